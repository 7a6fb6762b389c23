//! What a key may do, beyond what its account may not.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::demands::demands;
use super::plan::{Bound, rates};
use crate::base::clock::Timestamp;
use crate::base::money::{Credits, Nanos};
use crate::catalogue::{DataCollection, Demands};
use crate::quota::Limits;

/// A part of the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything that generates text, in any dialect.
    Chat,
    Embeddings,
    Images,
    Realtime,
    /// Reading what was used.
    Usage,
    /// Saved chats (`/optima`), memory, agents, connected apps, switches.
    Platform,
    /// Making and revoking keys.
    Keys,
    /// The account's members and invitations. No key has it that does not name it.
    Account,
}

impl Scope {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::Images => "images",
            Self::Realtime => "realtime",
            Self::Usage => "usage",
            Self::Platform => "the platform",
            Self::Keys => "keys",
            Self::Account => "the account's members",
        }
    }
}

/// An amount in USD: written as a number or a decimal text, kept as a whole number of nano-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usd(pub Nanos);

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Whole(u64),
            Part(f64),
            Text(String),
        }
        // A number prints as the shortest decimal that reads back to it, which is what was written.
        let text = match Spelled::deserialize(deserializer)? {
            Spelled::Whole(number) => number.to_string(),
            Spelled::Part(number) => number.to_string(),
            Spelled::Text(text) => text,
        };
        let wrong = || serde::de::Error::custom("expected an amount in USD, such as 12.50");
        Nanos::from_decimal(&text).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_decimal())
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_serialize() {
            return json_schema!({"type": "string", "description": "An amount in USD"});
        }
        json_schema!({"type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]{1,9}(\\.[0-9]{1,9})?$", "description": "An amount in USD"})
    }
}

/// What is kept of a key beside its name; all of it optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyTerms {
    /// All but `account`, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// Names of models; `gpt-*` stands for all that begin so. All, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_budget_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_credits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_minute: Option<Bound>,
    /// `deny`: nobody is asked who may use what is sent for purposes of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_collection: Option<DataCollection>,
    /// Nobody is asked who keeps anything of what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zdr: Option<bool>,
    /// Nobody is asked outside these regions; none stands for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// In seconds since the epoch: from then on the key is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Guardrails that hold beside those of the account and its plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Vec<String>>,
}

/// Terms as the store keeps them.
///
/// # Errors
/// Never, as far as is known: terms are words and numbers.
pub fn written(terms: &KeyTerms) -> Result<String, serde_json::Error> {
    serde_json::to_string(terms)
}

impl KeyTerms {
    /// The key's own limits, if it has any.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        let limits = Limits {
            credits: self.monthly_credits.map(|credits| Credits(i64::from(credits))),
            spend: self.monthly_budget_usd.map(|usd| usd.0),
            ..rates(
                self.requests_per_minute,
                self.requests_per_day,
                self.tokens_per_minute,
                self.images_per_minute,
            )
        };
        (limits != Limits::default()).then_some(limits)
    }

    /// What it demands of whoever is asked.
    #[must_use]
    pub fn demands(&self) -> Demands {
        demands(self.data_collection, self.zdr, self.regions.as_deref())
    }

    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires_at.map(|seconds| Timestamp(seconds.saturating_mul(1000)))
    }

    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match &self.scopes {
            Some(scopes) => scopes.contains(&scope),
            None => scope != Scope::Account,
        }
    }

    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| {
            models.iter().any(|name| match name.strip_suffix('*') {
                Some(start) => model.starts_with(start),
                None => name == model,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_read_as_they_are_written() {
        let terms: KeyTerms = serde_json::from_str(
            r#"{"scopes":["chat"],"models":["gpt-*","o3"],"monthly_budget_usd":12.5,"requests_per_minute":5}"#,
        )
        .unwrap();
        assert!(terms.may(Scope::Chat) && !terms.may(Scope::Images));
        assert!(terms.may_use("gpt-5") && terms.may_use("o3") && !terms.may_use("o3-mini"));
        let limits = terms.limits().unwrap();
        assert_eq!(limits.spend, Some(Nanos(12_500_000_000)));
        assert_eq!(limits.requests_per_minute, Some(5));
        let again: KeyTerms =
            serde_json::from_str(&serde_json::to_string(&terms).unwrap()).unwrap();
        assert_eq!(again, terms);
        assert_eq!(KeyTerms::default().limits(), None);
        assert!(KeyTerms::default().may_use("anything"));
    }
}
