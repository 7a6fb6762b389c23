//! What a caller's plan and key demand of whoever is sent what they say: every request is held to both.

use crate::catalogue::{DataCollection, DataDemand, DataPolicy, Demands};

/// The members of a plan, an account or a key, as the rest of the gateway goes by them.
#[must_use]
pub(super) fn demands(
    data_collection: Option<DataCollection>,
    zdr: Option<bool>,
    regions: Option<&[String]>,
) -> Demands {
    Demands {
        no_collection: data_collection == Some(DataCollection::Deny),
        no_retention: zdr == Some(true),
        regions: regions.unwrap_or_default().to_vec(),
    }
}

/// What is demanded by the plan (or the account in its place), and by the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demanded {
    plan: Demands,
    key: Demands,
}

impl Demanded {
    /// `None` where nothing is.
    pub(super) fn of(plan: Demands, key: Demands) -> Option<Self> {
        let nothing = plan.is_empty() && key.is_empty();
        (!nothing).then_some(Self { plan, key })
    }

    /// Whether somebody with this policy may be asked.
    ///
    /// # Errors
    /// The member that says that they may not, with whose it is in front.
    pub fn met_by(&self, policy: &DataPolicy) -> Result<(), &'static str> {
        self.plan.met_by(policy).map_err(|demand| match demand {
            DataDemand::NoCollection => "plan.data_collection",
            DataDemand::NoRetention => "plan.zdr",
            DataDemand::Region => "plan.regions",
        })?;
        self.key.met_by(policy).map_err(|demand| match demand {
            DataDemand::NoCollection => "key.data_collection",
            DataDemand::NoRetention => "key.zdr",
            DataDemand::Region => "key.regions",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_to_be_met_and_whose_demand_is_not_is_named() {
        let region = |name: &str| vec![name.to_owned()];
        assert_eq!(Demanded::of(Demands::default(), demands(None, Some(false), None)), None);
        let plan = demands(Some(DataCollection::Deny), None, Some(&region("eu")));
        let key = demands(Some(DataCollection::Allow), Some(true), None);
        let both = Demanded::of(plan, key).unwrap();
        let policy = |retention_days, region: &str| DataPolicy {
            trains: Some(false),
            retention_days,
            region: Some(region.into()),
        };
        assert_eq!(both.met_by(&DataPolicy::default()), Err("plan.data_collection"));
        assert_eq!(both.met_by(&policy(Some(0), "us")), Err("plan.regions"));
        assert_eq!(both.met_by(&policy(Some(30), "eu")), Err("key.zdr"));
        assert_eq!(both.met_by(&policy(Some(0), "eu")), Ok(()));
    }
}
