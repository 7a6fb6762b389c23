//! What administrators say of providers, models, routes, prices and plans while the gateway runs. Each change is
//! a revision of the catalogue: tried as every node will make it, kept with who, when and why, in force on
//! all nodes within a second, and taken back by letting an earlier one hold again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::change::{ChangeOptions, ChangeResult};
use super::{Administration, missing, plans};
use crate::base::calendar;
use crate::base::ids::AuditId;
use crate::base::secret::fingerprint;
use crate::base::{Error, Kind};
use crate::catalogue::diff::{Changes, between};
use crate::catalogue::{CatalogueSettings, SettingKind};
use crate::router::Replay;
use crate::store::{Audit, Change, NewRevision, Revised, Revision};

/// So many recent requests are decided again, at most.
const REPLAYED: usize = 1_000;
/// More of a reason is not kept.
const REASON_CHARACTERS: usize = 1_000;

/// What holds now.
struct Held {
    revision: i64,
    revised: Revised,
    settings: CatalogueSettings,
}

fn refused(faults: &[String]) -> Error {
    let mut all = faults.join("; ");
    if let Some((end, _)) = all.char_indices().nth(2_000) {
        all.truncate(end);
    }
    Error::new(Kind::Malformed, format!("Nothing was changed: {all}.")).coded("invalid_settings")
}

impl Administration<'_> {
    async fn held(&self) -> Result<Held, Error> {
        let revision = self.store.active_catalogue().await.map_err(Error::internal)?;
        let revised = self.store.catalogue_revision(revision).await.map_err(Error::internal)?;
        let revised = revised.unwrap_or_default();
        let read = revised.settings.as_deref().map(CatalogueSettings::read).transpose();
        let mut settings = read.map_err(Error::internal)?.unwrap_or_default();
        if settings.plans.is_none() {
            // What was said before plans were part of revisions is from now on.
            let said = self.store.changed_plans().await.map_err(Error::internal)?;
            let said = said.into_iter().map(|(name, terms)| {
                Ok((name, serde_json::from_str(&terms).map_err(Error::internal)?))
            });
            settings.plans = Some(said.collect::<Result<_, Error>>()?);
        }
        Ok(Held { revision, revised, settings })
    }

    /// All that is said of a sort, by name, and the revision in which it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settings(&self, sort: SettingKind) -> Result<(i64, Vec<(String, Value)>), Error> {
        let held = self.held().await?;
        let names = held.settings.names(sort).into_iter();
        let all = names.filter_map(|name| Some((name.to_owned(), held.settings.said(sort, name)?)));
        Ok((held.revision, all.collect()))
    }

    /// What is said of one thing.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where nothing is.
    pub async fn setting(&self, sort: SettingKind, name: &str) -> Result<Value, Error> {
        let held = self.held().await?;
        held.settings.said(sort, name).ok_or_else(|| nothing_said(sort, name))
    }

    /// Says something of a provider, a model, a route or a price; `None` takes back what was said: it is
    /// as configured or built in again.
    ///
    /// # Errors
    /// Every fault of what would be in force: then nothing is changed. [`Kind::NotFound`] where there is
    /// nothing to be taken back; [`Kind::Conflict`] where somebody else made a change at the same time.
    pub async fn set(
        &self,
        sort: SettingKind,
        name: &str,
        said: Option<Value>,
        manner: &ChangeOptions,
    ) -> Result<ChangeResult, Error> {
        let verb = if said.is_some() { "put" } else { "drop" };
        self.change(sort, name, verb, manner, |settings| match said {
            Some(said) => {
                settings.put(sort, name, said).map_err(|fault| refused(&[fault.to_string()]))
            }
            None if settings.take_back(sort, name) => Ok(()),
            None => Err(nothing_said(sort, name)),
        })
        .await
    }

    /// Has something said otherwise, as `act` says it.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(super) async fn change(
        &self,
        sort: SettingKind,
        name: &str,
        verb: &str,
        manner: &ChangeOptions,
        act: impl FnOnce(&mut CatalogueSettings) -> Result<(), Error>,
    ) -> Result<ChangeResult, Error> {
        let Held { revision, revised, mut settings } = self.held().await?;
        act(&mut settings)?;
        let said_of_plans = settings.plans.clone().unwrap_or_default();
        let text = serde_json::to_string(&settings).map_err(Error::internal)?;
        let wanted = Revised { settings: Some(text.clone()), ..revised };
        let (changes, replay) = self.tried(wanted, Some(&said_of_plans)).await?;
        let now_said = settings.said(sort, name);
        if manner.dry_run {
            return Ok(ChangeResult { revision: None, changes, replay, said: now_said });
        }
        let reason: String = manner.reason.chars().take(REASON_CHARACTERS).collect();
        let detail = json!({"reason": reason, "over": revision, "said": now_said});
        let audit = self.entry(&format!("{}.{verb}", sort.as_str()), name, &detail);
        let new = NewRevision {
            sha256: fingerprint(&[text.as_bytes()]),
            reason,
            change: Change::Settings { text, over: revision, plans: plans::kept(&said_of_plans) },
        };
        let made = self.store.add_catalogue(new, audit).await.map_err(Error::internal)?;
        let id = made.ok_or_else(|| {
            let text =
                "Somebody else made a change at the same time. Read what holds, and try again.";
            Error::new(Kind::Conflict, text).coded("revision_changed")
        })?;
        self.take_up_plans(&changes).await?;
        Ok(ChangeResult { revision: Some(id), changes, replay, said: now_said })
    }

    /// Every revision, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revisions(&self) -> Result<Vec<Revision>, Error> {
        self.store.catalogue_revisions().await.map_err(Error::internal)
    }

    /// Lets an earlier revision hold again; 0 for what is built in and configured alone.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub async fn restore(&self, id: i64, manner: &ChangeOptions) -> Result<ChangeResult, Error> {
        let no = || missing("revision", &id.to_string());
        let wanted = self.store.catalogue_revision(id).await.map_err(Error::internal)?;
        let wanted = wanted.ok_or_else(no)?;
        let said_of_plans = plans::restored(self.store, id, &wanted).await?;
        let (changes, replay) = self.tried(wanted, said_of_plans.as_ref()).await?;
        if manner.dry_run {
            return Ok(ChangeResult { revision: None, changes, replay, said: None });
        }
        let reason: String = manner.reason.chars().take(REASON_CHARACTERS).collect();
        let detail = json!({"reason": reason});
        let audit = self.entry("catalogue.rollback", &id.to_string(), &detail);
        let kept = said_of_plans.as_ref().map(plans::kept);
        if !self.store.activate_catalogue(id, kept, audit).await.map_err(Error::internal)? {
            return Err(no());
        }
        self.take_up_plans(&changes).await?;
        Ok(ChangeResult { revision: Some(id), changes, replay, said: None })
    }

    fn entry(&self, action: &str, target: &str, detail: &Value) -> Audit {
        Audit {
            id: AuditId::fresh(),
            at: self.now(),
            actor: self.actor.as_str().to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_string(),
        }
    }

    /// Plans that are another hold here at once; other nodes see it within a second.
    async fn take_up_plans(&self, changes: &Changes) -> Result<(), Error> {
        if changes.plans.is_empty() {
            return Ok(());
        }
        self.plans.reload(self.store).await.map_err(Error::internal)?;
        self.identities.forget_all();
        Ok(())
    }

    /// What would be different with a revision, and for requests that were made; of plans, where it says
    /// something of them.
    async fn tried(
        &self,
        wanted: Revised,
        said_of_plans: Option<&BTreeMap<String, Value>>,
    ) -> Result<(Changes, Option<Replay>), Error> {
        let plans = match said_of_plans {
            Some(said) => self.tried_plans(said).await?,
            None => Vec::new(),
        };

        let trial = Arc::clone(self.trial);
        let (before, recent, now) = (self.current.load(), self.recent.clone(), self.now());
        // It takes some milliseconds, which no request of this worker should wait for.
        let made = tokio::task::spawn_blocking(move || {
            let live = trial(&wanted)?;
            let changes = between(&before.catalogue, &live.catalogue, now);
            let sides = [&*before, &live].map(|one| (&one.catalogue, &one.predictor));
            let recent = recent.map(|recent| recent(REPLAYED));
            let replay = recent.map(|recent| Replay::of(&recent, sides[0], sides[1], now));
            Ok::<_, Vec<String>>((changes, replay))
        });
        let made = made.await.map_err(Error::internal)?;
        let (changes, replay) = made.map_err(|faults| refused(&faults))?;
        Ok((Changes { plans, ..changes }, replay))
    }
}

fn nothing_said(sort: SettingKind, name: &str) -> Error {
    let name: String = name.chars().take(80).collect();
    let sort = sort.as_str();
    let text =
        format!("Nothing is said here of the {sort} '{name}': it is as configured or built in.");
    Error::new(Kind::NotFound, text)
}

/// A revision as callers read it.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "Revision")]
pub struct ShownRevision {
    id: i64,
    object: &'static str,
    created: String,
    sha256: String,
    actor: String,
    reason: String,
    active: bool,
}

/// A revision as callers read it.
#[must_use]
pub fn shown(one: &Revision) -> ShownRevision {
    ShownRevision {
        id: one.id,
        object: "revision",
        created: calendar::written(one.created),
        sha256: one.sha256.clone(),
        actor: one.actor.clone(),
        reason: one.reason.clone(),
        active: one.active,
    }
}

#[cfg(test)]
mod tests;
