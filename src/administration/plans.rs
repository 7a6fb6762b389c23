//! What administrators say of plans: part of every revision, so that it is in force on all nodes together
//! with the rest, and taken back with it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::{ChangeOptions, ChangeResult};
use super::{Administration, named};
use crate::admit::PlanEntry;
use crate::base::{Error, Kind};
use crate::catalogue::diff::Changed;
use crate::catalogue::{CatalogueSettings, SettingKind};
use crate::store::{PlanSettings, Revised, Store};

/// What is said of plans, by their names.
type Said = BTreeMap<String, PlanEntry>;

/// Reads what a revision says of plans.
pub(super) fn read(said: &BTreeMap<String, Value>) -> Result<Said, Error> {
    let one = |(name, terms): (&String, &Value)| {
        Ok((name.clone(), serde_json::from_value(terms.clone()).map_err(Error::internal)?))
    };
    said.iter().map(one).collect()
}

/// As the store keeps it.
pub(super) fn kept(said: &BTreeMap<String, Value>) -> PlanSettings {
    said.iter().map(|(name, terms)| (name.clone(), terms.to_string())).collect()
}

/// What letting a revision hold again says of plans. Revisions that were made before plans were part of them
/// say nothing: what holds stays. 0 takes back all that revisions have said.
///
/// # Errors
/// When the store fails, or a revision cannot be read.
pub async fn restored(
    store: &Store,
    id: i64,
    wanted: &Revised,
) -> Result<Option<BTreeMap<String, Value>>, Error> {
    let of = |revised: &Revised| -> Result<Option<BTreeMap<String, Value>>, Error> {
        let read = revised.settings.as_deref().map(CatalogueSettings::read).transpose();
        Ok(read.map_err(Error::internal)?.and_then(|settings| settings.plans))
    };
    if id != 0 {
        return of(wanted);
    }
    let active = store.active_catalogue().await.map_err(Error::internal)?;
    let active = store.catalogue_revision(active).await.map_err(Error::internal)?;
    Ok(of(&active.unwrap_or_default())?.map(|_| BTreeMap::new()))
}

/// The same, as the store keeps it.
///
/// # Errors
/// When the store fails, or a revision cannot be read.
pub async fn restored_as_kept(
    store: &Store,
    id: i64,
    wanted: &Revised,
) -> Result<Option<PlanSettings>, Error> {
    Ok(restored(store, id, wanted).await?.as_ref().map(kept))
}

/// What is different between plans.
fn between(before: &Said, after: &Said) -> Result<Vec<Changed>, Error> {
    let members = |entry: Option<&PlanEntry>| -> Result<Value, Error> {
        entry.map_or(Ok(Value::Null), |entry| serde_json::to_value(entry).map_err(Error::internal))
    };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut all = Vec::new();
    for name in names {
        let (was, is) = (members(before.get(name))?, members(after.get(name))?);
        let mut push = |what: &str, before: Value, after: Value| {
            if before != after {
                let (of, what) = (name.clone(), what.to_owned());
                all.push(Changed { of, what, before, after });
            }
        };
        let (Value::Object(was), Value::Object(is)) = (&was, &is) else {
            // One that came or went, as a whole.
            push("plan", was, is);
            continue;
        };
        let mut whats: Vec<&String> = was.keys().chain(is.keys()).collect();
        whats.sort_unstable();
        whats.dedup();
        for what in whats {
            let at = |of: &serde_json::Map<String, Value>| of.get(what).cloned();
            push(what, at(was).unwrap_or_default(), at(is).unwrap_or_default());
        }
    }
    Ok(all)
}

impl Administration<'_> {
    /// Makes a plan, or changes what is given of one: what is not given stays as it is.
    ///
    /// # Errors
    /// For a name that is none, and as [`Self::set`].
    pub async fn put_plan(
        &self,
        name: &str,
        entry: &PlanEntry,
        manner: &ChangeOptions,
    ) -> Result<ChangeResult, Error> {
        named(name)?;
        self.guardrails(entry.guardrails.as_ref())?;
        let name = self.plans.known_as(name);
        self.change(SettingKind::Plan, &name, "put", manner, |settings| {
            let before = settings.said(SettingKind::Plan, &name).map(serde_json::from_value);
            let before: PlanEntry =
                before.transpose().map_err(Error::internal)?.unwrap_or_default();
            let said = serde_json::to_value(entry.over(&before)).map_err(Error::internal)?;
            settings.put(SettingKind::Plan, &name, said).map_err(Error::internal)
        })
        .await
    }

    /// Takes back what administrators said of a plan: it is as configured or built in again, or is no
    /// more.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub async fn drop_plan(
        &self,
        name: &str,
        manner: &ChangeOptions,
    ) -> Result<ChangeResult, Error> {
        self.set(SettingKind::Plan, &self.plans.known_as(name), None, manner).await
    }

    /// What would be different if this were said of plans.
    ///
    /// # Errors
    /// [`Kind::Conflict`] for a plan that would be no more while accounts are on it.
    pub(super) async fn tried_plans(
        &self,
        said: &BTreeMap<String, Value>,
    ) -> Result<Vec<Changed>, Error> {
        let now = self.store.changed_plans().await.map_err(Error::internal)?;
        let now = now.into_iter().map(|(name, terms)| {
            Ok((name, serde_json::from_str(&terms).map_err(Error::internal)?))
        });
        let before = self.plans.would_be(&now.collect::<Result<Said, Error>>()?);
        let after = self.plans.would_be(&read(said)?);
        let gone: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
        if !gone.is_empty() {
            let accounts = self.store.accounts().await.map_err(Error::internal)?;
            let on = |one: &&crate::store::Account| gone.contains(&&self.plans.known_as(&one.plan));
            let count = accounts.iter().filter(on).count();
            if count > 0 {
                let text = format!("{count} accounts are on this plan. Give them another first.");
                return Err(Error::new(Kind::Conflict, text).coded("plan_in_use"));
            }
        }
        between(&before, &after)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_different_between_plans_is_told_by_member() {
        let said = |value: Value| read(&serde_json::from_value(value).unwrap()).unwrap();
        let before = said(json!({"gone": {}, "same": {"zdr": true},
            "pro": {"requests_per_minute": 3, "tiers": ["mid"]}}));
        let after = said(json!({"new": {"zdr": true}, "same": {"zdr": true},
            "pro": {"requests_per_minute": null, "tiers": ["mid"]}}));
        let told: Vec<_> = between(&before, &after)
            .unwrap()
            .into_iter()
            .map(|one| (one.of, one.what, one.before, one.after))
            .collect();
        let row = |of: &str, what: &str, before: Value, after: Value| {
            (of.to_owned(), what.to_owned(), before, after)
        };
        assert_eq!(
            told,
            [
                row("gone", "plan", json!({}), Value::Null),
                row("new", "plan", Value::Null, json!({"zdr": true})),
                row("pro", "requests_per_minute", json!(3), json!("unlimited")),
            ]
        );
    }
}
