//! Switches that the path of a request obeys: what a plan gives, what an account and a user make of
//! it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::{Error, Kind};
use crate::store::FeatureRow;

/// Something that can be on or off.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    AutoRouting,
    Failover,
    ResponseCache,
    SemanticCache,
    Memory,
    Connect,
    ContentLogging,
    PiiRedaction,
    StrictParameters,
    Cascade,
}

impl Feature {
    pub const ALL: [Self; 10] = [
        Self::AutoRouting,
        Self::Failover,
        Self::ResponseCache,
        Self::SemanticCache,
        Self::Memory,
        Self::Connect,
        Self::ContentLogging,
        Self::PiiRedaction,
        Self::StrictParameters,
        Self::Cascade,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AutoRouting => "auto_routing",
            Self::Failover => "failover",
            Self::ResponseCache => "response_cache",
            Self::SemanticCache => "semantic_cache",
            Self::Memory => "memory",
            Self::Connect => "connect",
            Self::ContentLogging => "content_logging",
            Self::PiiRedaction => "pii_redaction",
            Self::StrictParameters => "strict_parameters",
            Self::Cascade => "cascade",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.as_str() == name)
    }

    /// What it is called, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AutoRouting => "Automatic model selection",
            Self::Failover => "Failover",
            Self::ResponseCache => "Response cache",
            Self::SemanticCache => "Semantic cache",
            Self::Memory => "Memory",
            Self::Connect => "Connected apps",
            Self::ContentLogging => "Content logging",
            Self::PiiRedaction => "Redaction of personal data",
            Self::StrictParameters => "Strict parameters",
            Self::Cascade => "Cascade",
        }
    }

    /// What it does, for people.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::AutoRouting => "model \"auto\" chooses among the plan's models.",
            Self::Failover => "A failing deployment is replaced by the next one.",
            Self::ResponseCache => {
                "The same request is answered again from memory, at no cost, for ttl_seconds."
            }
            Self::SemanticCache => {
                "A last question that means the same (similarity of threshold or more, everything \
                 before it equal) is answered from memory, for ttl_seconds."
            }
            Self::Memory => {
                "What is remembered of the user is added to requests (up to token_budget tokens), \
                 and new facts are kept."
            }
            Self::Connect => "Apps can be connected, and their tools run.",
            Self::ContentLogging => "Prompts and answers are kept for 30 days.",
            Self::PiiRedaction => {
                "Addresses, telephone, card and account numbers are replaced before a provider \
                 sees them."
            }
            Self::StrictParameters => "What a provider cannot be told is refused, not dropped.",
            Self::Cascade => {
                "model \"auto\" lets a cheap model answer first, and a better one if that answer does \
                 not stand."
            }
        }
    }

    /// Without a word of the plan, the account or the user.
    #[must_use]
    pub fn default_on(self) -> bool {
        matches!(self, Self::AutoRouting | Self::Failover | Self::Connect)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Settings of features that are numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureNumbers {
    /// How long an answer is given again.
    pub cache_seconds: u64,
    pub semantic_seconds: u64,
    /// Cosine, from 0 to 1.
    pub semantic_threshold: f32,
    /// What memories may add to a request.
    pub memory_tokens: u64,
}

impl Default for FeatureNumbers {
    fn default() -> Self {
        Self {
            cache_seconds: 300,
            semantic_seconds: 300,
            semantic_threshold: 0.92,
            memory_tokens: 500,
        }
    }
}

/// Who last said how a switch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FeatureSource")]
pub enum Source {
    Default,
    Plan,
    Account,
    User,
}

/// How the switches stand for a caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    on: u16,
    /// By place in [`Feature::ALL`].
    sources: [Source; Feature::ALL.len()],
    pub settings: FeatureNumbers,
}

impl Default for Features {
    fn default() -> Self {
        Self::of(None, &[])
    }
}

impl Features {
    /// The plan's word before the default, the account's before the plan's, the user's before all.
    #[must_use]
    pub fn of(plan: Option<&BTreeMap<Feature, bool>>, rows: &[FeatureRow]) -> Self {
        let mut features = Self {
            on: 0,
            sources: [Source::Default; Feature::ALL.len()],
            settings: FeatureNumbers::default(),
        };
        for feature in Feature::ALL {
            features.set(feature, feature.default_on(), Source::Default);
        }
        for (feature, on) in plan.into_iter().flatten() {
            features.set(*feature, *on, Source::Plan);
        }
        for source in [Source::Account, Source::User] {
            let of_source =
                rows.iter().filter(|row| row.user.is_empty() == (source == Source::Account));
            for row in of_source {
                let Some(feature) = Feature::parse(&row.feature) else { continue };
                features.set(feature, row.enabled, source);
                if let Ok(settings) = serde_json::from_str(&row.settings) {
                    features.settle(feature, &settings);
                }
            }
        }
        features
    }

    fn set(&mut self, feature: Feature, on: bool, source: Source) {
        if on {
            self.on |= feature.bit();
        } else {
            self.on &= !feature.bit();
        }
        self.sources[feature as usize] = source;
    }

    fn settle(&mut self, feature: Feature, settings: &Map<String, Value>) {
        let whole = |name: &str| settings.get(name).and_then(Value::as_u64);
        let at = &mut self.settings;
        match feature {
            Feature::ResponseCache => {
                at.cache_seconds = whole("ttl_seconds").unwrap_or(at.cache_seconds);
            }
            Feature::SemanticCache => {
                at.semantic_seconds = whole("ttl_seconds").unwrap_or(at.semantic_seconds);
                #[expect(clippy::cast_possible_truncation, reason = "from 0 to 1")]
                let threshold = settings.get("threshold").and_then(Value::as_f64).map(|n| n as f32);
                at.semantic_threshold = threshold.unwrap_or(at.semantic_threshold);
            }
            Feature::Memory => {
                at.memory_tokens = whole("token_budget").unwrap_or(at.memory_tokens);
            }
            _ => {}
        }
    }

    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.on & feature.bit() != 0
    }

    #[must_use]
    pub fn source(&self, feature: Feature) -> Source {
        self.sources[feature as usize]
    }

    /// Whether anything must be done to a request's words before it goes, or with its answer.
    #[must_use]
    pub fn touch_words(&self) -> bool {
        const WORDS: [Feature; 5] = [
            Feature::ResponseCache,
            Feature::SemanticCache,
            Feature::Memory,
            Feature::ContentLogging,
            Feature::PiiRedaction,
        ];
        WORDS.iter().any(|feature| self.has(*feature))
    }

    /// # Errors
    /// [`Kind::Forbidden`] when it is off.
    pub fn must_have(&self, feature: Feature) -> Result<(), Error> {
        if self.has(feature) {
            return Ok(());
        }
        let name = feature.as_str();
        let text = format!(
            "The feature '{name}' is not enabled. Switch it on with POST /v1/features/USER/{name}, if the plan has it."
        );
        Err(Error::new(Kind::Forbidden, text).coded("feature_disabled"))
    }
}

/// The settings of a feature as they are to be kept.
///
/// # Errors
/// [`Kind::Malformed`] for one that it does not have, or a value out of range.
pub fn checked(feature: Feature, settings: &Map<String, Value>) -> Result<(), Error> {
    let refused = |name: &str, what: &str| {
        let text = format!("'{name}' has to be {what}.");
        Err(Error::new(Kind::Malformed, text).at(format!("settings.{name}")))
    };
    for (name, value) in settings {
        let whole = |most: u64| value.as_u64().is_some_and(|n| (1..=most).contains(&n));
        match (feature, name.as_str()) {
            (Feature::ResponseCache | Feature::SemanticCache, "ttl_seconds") => {
                if !whole(86_400) {
                    return refused(name, "a number of seconds from 1 to 86400");
                }
            }
            (Feature::SemanticCache, "threshold") => {
                if !value.as_f64().is_some_and(|n| (0.5..=1.0).contains(&n)) {
                    return refused(name, "a number from 0.5 to 1");
                }
            }
            (Feature::Memory, "token_budget") => {
                if !whole(100_000) {
                    return refused(name, "a number of tokens from 1 to 100000");
                }
            }
            _ => {
                let text = format!("'{}' has no setting '{name}'.", feature.as_str());
                return Err(Error::new(Kind::Malformed, text).at("settings"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(user: &str, feature: Feature, enabled: bool, settings: &str) -> FeatureRow {
        FeatureRow {
            user: user.to_owned(),
            feature: feature.as_str().to_owned(),
            enabled,
            settings: settings.to_owned(),
        }
    }

    #[test]
    fn the_nearer_word_counts() {
        let plain = Features::default();
        assert!(plain.has(Feature::Failover) && !plain.has(Feature::Memory));
        assert!(!plain.touch_words());
        let plan = BTreeMap::from([(Feature::Memory, true), (Feature::Failover, false)]);
        let of_plan = Features::of(Some(&plan), &[]);
        assert!(of_plan.has(Feature::Memory) && !of_plan.has(Feature::Failover));
        assert_eq!(of_plan.source(Feature::Memory), Source::Plan);
        let rows = [
            row("u", Feature::Memory, true, r#"{"token_budget":7}"#),
            row("", Feature::Memory, false, "{}"),
            row("", Feature::Failover, true, "{}"),
        ];
        let all = Features::of(Some(&plan), &rows);
        assert!(all.has(Feature::Memory) && all.has(Feature::Failover) && all.touch_words());
        assert_eq!(all.source(Feature::Memory), Source::User);
        assert_eq!(all.source(Feature::Failover), Source::Account);
        assert_eq!(all.settings.memory_tokens, 7);
        for feature in Feature::ALL {
            assert_eq!(Feature::parse(feature.as_str()), Some(feature));
        }
    }

    #[test]
    fn settings_have_ranges() {
        let said = |text: &str| serde_json::from_str(text).unwrap();
        assert!(
            checked(Feature::SemanticCache, &said(r#"{"threshold":0.9,"ttl_seconds":5}"#)).is_ok()
        );
        assert!(checked(Feature::SemanticCache, &said(r#"{"threshold":2}"#)).is_err());
        assert!(checked(Feature::Failover, &said(r#"{"ttl_seconds":5}"#)).is_err());
        assert!(checked(Feature::ResponseCache, &said(r#"{"ttl_seconds":0}"#)).is_err());
    }
}
