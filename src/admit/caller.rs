//! Who asks, and what they may.

use std::sync::Arc;

use serde_json::Value;

use super::demands::Demanded;
use super::features::{Feature, Features};
use super::person::{Person, Role};
use super::plan::Plan;
use super::terms::{KeyTerms, Scope};
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::{Error, Kind};
use crate::catalogue::Model;
use crate::ledger::Selling;
use crate::quota::Terms;
use crate::store::{LentKey, ResponseViewer};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    pub account: AccountId,
    pub key: KeyId,
    /// The account's plan, with what the account has of its own.
    pub plan: Arc<Plan>,
    pub admin: bool,
    /// In whose name.
    pub person: Arc<Person>,
    /// How the switches stand for them.
    pub features: Features,
    /// What the account and the key are held to.
    pub terms: Arc<Terms>,
    /// Guardrails that its plan, the account or the key demands, beside those for everybody.
    pub guardrails: Vec<String>,
    pub(super) rights: KeyTerms,
    /// What was lent to a browser of a key with those rights, if the credential is no key itself.
    pub(super) lent: Option<Arc<BrowserKeyTerms>>,
    pub(super) demanded: Option<Arc<Demanded>>,
    /// When the key stops being good: it expires, or was rotated.
    pub(super) until: Option<Timestamp>,
    /// The period whose credits the terms speak of.
    pub(super) period: Period,
}

impl Caller {
    /// The model is in the plan, and the key is for it.
    #[must_use]
    pub fn may_use(&self, model: &Model) -> bool {
        let lent = self.lent.as_ref().is_none_or(|lent| lent.rights.may_use(&model.id));
        self.plan.allows(model.tier) && self.rights.may_use(&model.id) && lent
    }

    /// Whether they are told what providers charge.
    #[must_use]
    pub fn sees_cost(&self) -> bool {
        self.admin || self.plan.selling.show_cost
    }

    /// What they are asked for a request and told of it.
    #[must_use]
    pub fn selling(&self) -> Selling {
        Selling { show_cost: self.sees_cost(), ..self.plan.selling }
    }

    /// What its plan and its key demand of whoever is asked, if anything.
    #[must_use]
    pub fn demanded(&self) -> Option<&Demanded> {
        self.demanded.as_deref()
    }

    /// # Errors
    /// [`Kind::Forbidden`] when the key is not for this part of the surface.
    pub fn must_be_for(&self, scope: Scope) -> Result<(), Error> {
        if self.rights.may(scope) && self.lent.as_ref().is_none_or(|lent| lent.rights.may(scope)) {
            return Ok(());
        }
        let scope = scope.as_str();
        let text = format!("This API key lacks the scope '{scope}'. Use a key that has it.");
        Err(Error::new(Kind::Forbidden, text).coded("missing_scope"))
    }

    /// The same credential, in the name of one of the account's users: what is theirs, and no more.
    #[must_use]
    pub fn in_name_of(&self, user: &str, features: Features) -> Self {
        let person = Person { id: user.to_owned(), role: Role::Member };
        Self { person: Arc::new(person), features, admin: false, ..self.clone() }
    }

    /// What of the account's they see: their own, or all of it.
    #[must_use]
    pub fn seer(&self) -> ResponseViewer {
        match self.person.role {
            Role::Owner | Role::Admin => ResponseViewer::all(),
            Role::Member | Role::Billing => ResponseViewer::one(&self.person.id),
        }
    }

    /// Whether the credential is held to less than its account.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.rights != KeyTerms::default() || self.is_lent()
    }

    /// Whether the credential is lent to a browser.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// The settings of the realtime session that the credential was lent for.
    #[must_use]
    pub fn session(&self) -> Option<&Value> {
        self.lent.as_ref()?.session.as_ref()
    }

    /// When the credential stops being good, if that is known.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Which credential it is, in whose name and with which rights: what is kept for one caller is for
    /// no other, nor for the same one once it may do something else.
    #[must_use]
    pub fn standing_for(&self) -> String {
        // Terms are words and numbers, which can always be written.
        let lent = self.lent.as_ref().map(|lent| &lent.rights);
        let rights = serde_json::to_string(&(&self.rights, lent)).unwrap_or_default();
        let costs = if self.sees_cost() { "" } else { " without costs" };
        format!("{} {} {:?} {rights}{costs}", self.key, self.person.id, self.person.role)
    }

    /// # Errors
    /// [`Kind::Forbidden`] when the feature is off for the caller.
    pub fn must_have(&self, feature: Feature) -> Result<(), Error> {
        self.features.must_have(feature)
    }

    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What a browser key is good for, beside what the key that lends it is.
#[derive(Debug)]
pub(super) struct BrowserKeyTerms {
    pub(super) rights: KeyTerms,
    pub(super) session: Option<Value>,
}

impl BrowserKeyTerms {
    pub fn of(lent: &LentKey) -> Result<Self, Error> {
        let rights = serde_json::from_str(&lent.terms).map_err(Error::internal)?;
        let session = lent.session.as_deref().map(serde_json::from_str).transpose();
        Ok(Self { rights, session: session.map_err(Error::internal)? })
    }
}
