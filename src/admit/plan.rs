//! Plans: what an account may use.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::catalogue::Tier;

/// What a plan allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub tiers: Vec<Tier>,
}

impl Plan {
    #[must_use]
    pub fn allows(&self, tier: Tier) -> bool {
        self.tiers.contains(&tier)
    }
}

/// A `[plans.NAME]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// All, if not given.
    pub tiers: Option<Vec<Tier>>,
    pub requests_per_minute: Option<u64>,
    pub requests_per_day: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub images_per_minute: Option<u64>,
    pub credits_per_month: Option<u64>,
}

impl PlanEntry {
    /// Something is configured that nothing enforces yet.
    #[must_use]
    pub fn asks_for_limits(&self) -> bool {
        [
            self.requests_per_minute,
            self.requests_per_day,
            self.tokens_per_minute,
            self.images_per_minute,
            self.credits_per_month,
        ]
        .iter()
        .any(Option::is_some)
    }
}

/// Every plan by name. `standard` is another name of `starter`.
#[derive(Debug, Clone)]
pub struct Plans(BTreeMap<String, Arc<Plan>>);

const BUILT_IN: [&str; 5] = ["free", "starter", "pro", "business", "enterprise"];

impl Plans {
    #[must_use]
    pub fn new(configured: &BTreeMap<String, PlanEntry>) -> Self {
        let mut plans = BTreeMap::new();
        for name in BUILT_IN.iter().map(|name| (*name).to_owned()).chain(configured.keys().cloned())
        {
            let entry = configured.get(&name);
            let tiers =
                entry.and_then(|entry| entry.tiers.clone()).unwrap_or_else(|| Tier::ALL.to_vec());
            plans.insert(name.clone(), Arc::new(Plan { name, tiers }));
        }
        if let Some(starter) = plans.get("starter").cloned() {
            plans.entry("standard".to_owned()).or_insert(starter);
        }
        Self(plans)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Plan>> {
        self.0.get(&name.to_ascii_lowercase())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
