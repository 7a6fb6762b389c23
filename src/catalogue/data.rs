//! What a provider does with what it is sent, and what somebody demands of that.

use serde::{Deserialize, Serialize};

/// A `data` table of a provider, a model or a deployment, as the operator's contract says. What nobody
/// said is not known, and does not pass for yes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataPolicy {
    /// It may train on what it is sent, or use it for other purposes of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trains: Option<bool>,
    /// For so many days it keeps what it is sent; 0 = it keeps nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Where it is processed, and kept if it is: `eu`, `us`, or whatever else demands call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Box<str>>,
}

impl DataPolicy {
    /// This, and of `wider` what it leaves open.
    #[must_use]
    pub fn over(&self, wider: &Self) -> Self {
        Self {
            trains: self.trains.or(wider.trains),
            retention_days: self.retention_days.or(wider.retention_days),
            region: self.region.clone().or_else(|| wider.region.clone()),
        }
    }

    /// Whether it is known that nothing that was sent is used for purposes of the provider's own: it says
    /// so, or it keeps nothing to use.
    #[must_use]
    pub fn collects_nothing(&self) -> bool {
        self.trains == Some(false) || self.keeps_nothing()
    }

    /// Whether it is known that nothing is kept.
    #[must_use]
    pub fn keeps_nothing(&self) -> bool {
        self.retention_days == Some(0)
    }

    /// Whether it is known to be in one of these regions.
    #[must_use]
    pub fn is_in(&self, regions: &[String]) -> bool {
        let region = self.region.as_deref();
        region.is_some_and(|region| regions.iter().any(|one| one.eq_ignore_ascii_case(region)))
    }
}

/// Whether providers may use what they are sent for purposes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataCollection {
    Allow,
    Deny,
}

/// One thing that a plan or key demands of the providers that are sent its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataDemand {
    /// That it is not used for purposes of theirs.
    NoCollection,
    /// That nothing is kept.
    NoRetention,
    /// That it stays in a region.
    Region,
}

/// All that a plan or a key demands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demands {
    pub no_collection: bool,
    pub no_retention: bool,
    /// One of these; wherever it may be, where none is named.
    pub regions: Vec<String>,
}

impl Demands {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.no_collection && !self.no_retention && self.regions.is_empty()
    }

    /// # Errors
    /// The first demand that a policy does not meet.
    pub fn met_by(&self, policy: &DataPolicy) -> Result<(), DataDemand> {
        let broken = [
            (self.no_collection && !policy.collects_nothing(), DataDemand::NoCollection),
            (self.no_retention && !policy.keeps_nothing(), DataDemand::NoRetention),
            (!self.regions.is_empty() && !policy.is_in(&self.regions), DataDemand::Region),
        ];
        broken.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, demand)| Err(demand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_does_not_pass_for_yes() {
        let policy = |trains, retention_days, region: Option<&str>| DataPolicy {
            trains,
            retention_days,
            region: region.map(Into::into),
        };
        let all = Demands {
            no_collection: true,
            no_retention: true,
            regions: vec!["EU".to_owned(), "ch".to_owned()],
        };
        for (known, met) in [
            (policy(None, None, None), Err(DataDemand::NoCollection)),
            (policy(Some(true), Some(30), Some("eu")), Err(DataDemand::NoCollection)),
            (policy(Some(false), None, Some("eu")), Err(DataDemand::NoRetention)),
            (policy(Some(false), Some(30), Some("eu")), Err(DataDemand::NoRetention)),
            (policy(None, Some(0), None), Err(DataDemand::Region)),
            (policy(None, Some(0), Some("us")), Err(DataDemand::Region)),
            (policy(None, Some(0), Some("eu")), Ok(())),
        ] {
            assert_eq!(all.met_by(&known), met, "{known:?}");
            assert_eq!(Demands::default().met_by(&known), Ok(()));
        }
    }

    #[test]
    fn narrower_goes_over_wider_member_by_member() {
        let wide =
            DataPolicy { trains: Some(false), retention_days: Some(30), region: Some("us".into()) };
        let narrow = DataPolicy { retention_days: Some(0), ..DataPolicy::default() };
        let both = narrow.over(&wide);
        assert_eq!((both.trains, both.retention_days), (Some(false), Some(0)));
        assert_eq!(both.region.as_deref(), Some("us"));
    }
}
