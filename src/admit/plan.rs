//! Plans: what an account may use, and how much of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::demands::demands;
use super::features::Feature;
use crate::base::money::{Credits, Margin};
use crate::catalogue::{DataCollection, Demands, Tier};
use crate::ledger::Selling;
use crate::quota::Limits;
use crate::store::{AllowanceOf, Store, StoreError};

/// A limit as it is written: a number, or `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Of(u64),
    Unlimited,
}

/// Limits per time as they are written: of a plan, an account or a key.
pub(super) fn rates(
    minute: Option<Bound>,
    day: Option<Bound>,
    tokens: Option<Bound>,
    images: Option<Bound>,
) -> Limits {
    let limit = |bound: Option<Bound>| bound.and_then(Bound::limit);
    Limits {
        requests_per_minute: limit(minute),
        requests_per_day: limit(day),
        tokens_per_minute: limit(tokens),
        images_per_minute: limit(images),
        ..Limits::default()
    }
}

impl Bound {
    fn limit(self) -> Option<u64> {
        match self {
            Self::Of(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Number(u64),
            Word(String),
        }
        let wrong = || serde::de::Error::custom("expected a whole number, or \"unlimited\"");
        match Spelled::deserialize(deserializer).map_err(|_| wrong())? {
            Spelled::Number(limit) => Ok(Self::Of(limit)),
            Spelled::Word(word) if word == "unlimited" => Ok(Self::Unlimited),
            // The environment has only text.
            Spelled::Word(word) => word.parse().map(Self::Of).map_err(|_| wrong()),
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Of(limit) => serializer.serialize_u64(*limit),
            Self::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

impl JsonSchema for Bound {
    fn schema_name() -> Cow<'static, str> {
        "Bound".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [{"type": "integer", "minimum": 0}, {"const": "unlimited"}]})
    }
}

/// `null` is no limit; what is not there at all is left open.
fn or_unlimited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bound>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or(Bound::Unlimited)))
}

/// `null` is all of them.
fn or_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Tier>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_else(|| Tier::ALL.to_vec())))
}

type Switches = BTreeMap<Feature, bool>;

/// `null` is none of them.
fn or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Switches>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

/// A `[plans.NAME]` table; also what an account has in the place of its plan's, and what an
/// administrator says of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanEntry {
    /// All, if not given.
    #[serde(deserialize_with = "or_all", skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    #[serde(deserialize_with = "or_unlimited", skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<Bound>,
    #[serde(deserialize_with = "or_unlimited", skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<Bound>,
    #[serde(deserialize_with = "or_unlimited", skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<Bound>,
    #[serde(deserialize_with = "or_unlimited", skip_serializing_if = "Option::is_none")]
    pub images_per_minute: Option<Bound>,
    #[serde(deserialize_with = "or_unlimited", skip_serializing_if = "Option::is_none")]
    pub credits_per_month: Option<Bound>,
    /// What is asked above the price of a model's first deployment: `0.15` is 15 % more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// `deny`: nobody is asked who may use what is sent for purposes of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_collection: Option<DataCollection>,
    /// Nobody is asked who keeps anything of what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zdr: Option<bool>,
    /// Nobody is asked outside these regions; none stands for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// Switches, where they differ from the defaults.
    #[serde(deserialize_with = "or_nothing", skip_serializing_if = "Option::is_none")]
    pub features: Option<BTreeMap<Feature, bool>>,
    /// Guardrails that hold beside those that hold for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Vec<String>>,
}

impl PlanEntry {
    /// What it demands of whoever is asked.
    #[must_use]
    pub fn demands(&self) -> Demands {
        demands(self.data_collection, self.zdr, self.regions.as_deref())
    }

    /// This, and what it leaves open as `other` has it.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self {
            tiers: self.tiers.clone().or_else(|| other.tiers.clone()),
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            requests_per_day: self.requests_per_day.or(other.requests_per_day),
            tokens_per_minute: self.tokens_per_minute.or(other.tokens_per_minute),
            images_per_minute: self.images_per_minute.or(other.images_per_minute),
            credits_per_month: self.credits_per_month.or(other.credits_per_month),
            margin: self.margin.or(other.margin),
            data_collection: self.data_collection.or(other.data_collection),
            zdr: self.zdr.or(other.zdr),
            regions: self.regions.clone().or_else(|| other.regions.clone()),
            features: self.features.clone().or_else(|| other.features.clone()),
            guardrails: self.guardrails.clone().or_else(|| other.guardrails.clone()),
        }
    }
}

/// What a plan allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub entry: PlanEntry,
    pub tiers: Vec<Tier>,
    /// Without the money, which depends on the period.
    pub limits: Limits,
    /// Per period. `None` = as much as it takes.
    pub credits: Option<Credits>,
    pub selling: Selling,
}

impl Plan {
    fn of(name: &str, entry: PlanEntry, selling: Selling) -> Self {
        let limits = rates(
            entry.requests_per_minute,
            entry.requests_per_day,
            entry.tokens_per_minute,
            entry.images_per_minute,
        );
        let credits = entry
            .credits_per_month
            .and_then(Bound::limit)
            .map(|credits| Credits(i64::try_from(credits).unwrap_or(i64::MAX)));
        let tiers = entry.tiers.clone().unwrap_or_else(|| Tier::ALL.to_vec());
        let selling = Selling { margin: entry.margin.unwrap_or(selling.margin), ..selling };
        Self { name: name.to_owned(), entry, tiers, limits, credits, selling }
    }

    #[must_use]
    pub fn allows(&self, tier: Tier) -> bool {
        self.tiers.contains(&tier)
    }

    /// The plan as an account has it that was given limits of its own.
    #[must_use]
    pub fn with(&self, own: &PlanEntry) -> Self {
        let mut entry = own.over(&self.entry);
        // What a plan demands no account can do without.
        let both = [&self.entry.guardrails, &own.guardrails].into_iter().flatten().flatten();
        let mut guardrails: Vec<String> = both.cloned().collect();
        guardrails.sort_unstable();
        guardrails.dedup();
        entry.guardrails = (!guardrails.is_empty()).then_some(guardrails);
        Self::of(&self.name, entry, self.selling)
    }
}

/// The plans that there are without any configuration: requests a minute and a day, tokens and
/// pictures a minute, credits a month. The published ones of the API documents, and the next steps
/// where those say nothing.
const BUILT_IN: [(&str, [u64; 5]); 4] = [
    ("free", [10, 200, 40_000, 5, 500]),
    ("starter", [60, 5_000, 200_000, 20, 10_000]),
    ("pro", [300, 50_000, 1_000_000, 60, 100_000]),
    ("business", [1_000, 200_000, 5_000_000, 200, 500_000]),
];
/// Without limits, until an account is given some.
const CUSTOM: &str = "enterprise";

fn built_in() -> BTreeMap<String, PlanEntry> {
    let entry = |[minute, day, tokens, images, credits]: [u64; 5]| PlanEntry {
        tiers: None,
        requests_per_minute: Some(Bound::Of(minute)),
        requests_per_day: Some(Bound::Of(day)),
        tokens_per_minute: Some(Bound::Of(tokens)),
        images_per_minute: Some(Bound::Of(images)),
        credits_per_month: Some(Bound::Of(credits)),
        ..PlanEntry::default()
    };
    BUILT_IN
        .into_iter()
        .map(|(name, limits)| (name.to_owned(), entry(limits)))
        .chain([(CUSTOM.to_owned(), PlanEntry::default())])
        .collect()
}

type Named = BTreeMap<String, Arc<Plan>>;

/// Every plan by name. `standard` is another name of `starter`. Cheap to clone; all clones see a
/// change.
#[derive(Debug, Clone)]
pub struct Plans {
    configured: Arc<ArcSwap<Configured>>,
    named: Arc<ArcSwap<Named>>,
}

/// What the configuration says of plans, over what is built in.
#[derive(Debug)]
struct Configured {
    entries: BTreeMap<String, PlanEntry>,
    selling: Selling,
}

impl Configured {
    fn of(said: &BTreeMap<String, PlanEntry>, selling: Selling) -> Self {
        let mut entries = built_in();
        lay_over(&mut entries, said);
        Self { entries, selling }
    }
}

impl Plans {
    /// `configured` comes before what is built in.
    #[must_use]
    pub fn new(configured: &BTreeMap<String, PlanEntry>, selling: Selling) -> Self {
        let configured = Configured::of(configured, selling);
        let named = Arc::new(ArcSwap::from_pointee(plans(&configured.entries, selling)));
        Self { configured: Arc::new(ArcSwap::from_pointee(configured)), named }
    }

    /// Another configuration holds, once what administrators have changed is taken up again
    /// ([`Self::reload`]).
    pub fn configure(&self, configured: &BTreeMap<String, PlanEntry>, selling: Selling) {
        self.configured.store(Arc::new(Configured::of(configured, selling)));
        // What is asked and told holds at once, whatever becomes of the rest.
        let named = self.named.load();
        let anew = |(name, plan): (&String, &Arc<Plan>)| {
            (name.clone(), Arc::new(Plan::of(name, plan.entry.clone(), selling)))
        };
        self.named.store(Arc::new(named.iter().map(anew).collect()));
    }

    /// What holds of every plan that says nothing else.
    #[must_use]
    pub fn selling(&self) -> Selling {
        self.configured.load().selling
    }

    /// Takes up what administrators have changed, on whichever node.
    ///
    /// # Errors
    /// When the store fails, or what is there cannot be read.
    pub async fn reload(&self, store: &Store) -> Result<(), PlanError> {
        let mut changed = BTreeMap::new();
        for (name, terms) in store.changed_plans().await? {
            changed.insert(name, serde_json::from_str(&terms)?);
        }
        self.change(&changed);
        Ok(())
    }

    /// What a plan gives for a period, for whoever opens one.
    #[must_use]
    pub fn allowances(&self) -> AllowanceOf {
        let plans = self.clone();
        Arc::new(move |plan, own| plans.held_to(plan, own).and_then(|plan| plan.credits))
    }

    /// What is changed comes before everything else.
    fn change(&self, changed: &BTreeMap<String, PlanEntry>) {
        let selling = self.configured.load().selling;
        self.named.store(Arc::new(plans(&self.would_be(changed), selling)));
    }

    /// What each plan would be with these said of some; what administrators say now is not part of it.
    #[must_use]
    pub fn would_be(&self, said: &BTreeMap<String, PlanEntry>) -> BTreeMap<String, PlanEntry> {
        let mut entries = self.configured.load().entries.clone();
        lay_over(&mut entries, said);
        entries
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Plan>> {
        let name = name.to_ascii_lowercase();
        let name = if name == "standard" { "starter" } else { &name };
        self.named.load().get(name).cloned()
    }

    /// The one name of a plan that may go by another.
    #[must_use]
    pub fn known_as(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        if name == "standard" { "starter".to_owned() } else { name }
    }

    #[must_use]
    pub fn all(&self) -> Vec<Arc<Plan>> {
        self.named.load().values().cloned().collect()
    }

    /// What an account's plan and its own limits (JSON) come to. A plan that is no more is `free`.
    #[must_use]
    pub fn held_to(&self, plan: &str, own: Option<&str>) -> Option<Arc<Plan>> {
        let plan = self.get(plan).or_else(|| self.get("free"))?;
        let own = own.and_then(|own| serde_json::from_str::<PlanEntry>(own).ok());
        Some(own.map_or_else(|| Arc::clone(&plan), |own| Arc::new(plan.with(&own))))
    }
}

/// Plans that an administrator made or changed cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a changed plan cannot be read: {0}")]
    Terms(#[from] serde_json::Error),
}

fn lay_over(entries: &mut BTreeMap<String, PlanEntry>, upper: &BTreeMap<String, PlanEntry>) {
    for (name, entry) in upper {
        let name = name.to_ascii_lowercase();
        let name = if name == "standard" { "starter".to_owned() } else { name };
        let merged = entries.get(&name).map_or_else(|| entry.clone(), |lower| entry.over(lower));
        entries.insert(name, merged);
    }
}

fn plans(entries: &BTreeMap<String, PlanEntry>, selling: Selling) -> Named {
    let plan = |(name, entry): (&String, &PlanEntry)| {
        (name.clone(), Arc::new(Plan::of(name, entry.clone(), selling)))
    };
    entries.iter().map(plan).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> BTreeMap<String, PlanEntry> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn plans_are_as_published_until_configured() {
        let plans = Plans::new(&BTreeMap::new(), Selling::default());
        let free = plans.get("Free").unwrap();
        assert_eq!(free.limits.requests_per_minute, Some(10));
        assert_eq!(free.credits, Some(Credits(500)));
        assert_eq!(plans.get("standard").unwrap().name, "starter");
        assert_eq!(plans.get("enterprise").unwrap().limits, Limits::default());
        assert!(plans.get("gold").is_none());
    }

    #[test]
    fn what_is_configured_comes_first() {
        let plans = Plans::new(
            &read(
                "[free]\nrequests_per_minute = 3\ncredits_per_month = \"unlimited\"\n[gold]\ntiers = [\"mid\"]",
            ),
            Selling::default(),
        );
        let free = plans.get("free").unwrap();
        assert_eq!(free.limits.requests_per_minute, Some(3));
        assert_eq!(free.limits.requests_per_day, Some(200));
        assert_eq!(free.credits, None);
        let gold = plans.get("gold").unwrap();
        assert_eq!(gold.limits, Limits::default());
        assert!(gold.allows(Tier::Mid) && !gold.allows(Tier::Ultra));
        plans.configure(&read("[free]\nrequests_per_minute = 7"), Selling::default());
        assert_eq!(plans.get("free").unwrap().limits.requests_per_minute, Some(3));
        plans.change(&BTreeMap::new());
        assert_eq!(plans.get("free").unwrap().limits.requests_per_minute, Some(7));
        assert!(plans.get("gold").is_none());
        plans.change(&read("[free]\nrequests_per_minute = 4"));
        assert_eq!(plans.get("free").unwrap().limits.requests_per_minute, Some(4));
        let own = plans.held_to("free", Some(r#"{"requests_per_minute":5}"#)).unwrap();
        assert_eq!(own.limits.requests_per_minute, Some(5));
        assert_eq!(own.limits.requests_per_day, Some(200));
    }

    #[test]
    fn an_account_is_asked_for_its_own_margin_its_plans_or_the_one_for_all() {
        let margin = |share: f64| Margin::of(share).unwrap();
        let for_all = Selling { margin: margin(0.1), show_cost: false };
        let plans = Plans::new(&read("[pro]\nmargin = 0.15"), for_all);
        let asked = |plan: &str, own: Option<&str>| plans.held_to(plan, own).unwrap().selling;
        assert_eq!(asked("free", None), for_all);
        assert_eq!(asked("pro", None), Selling { margin: margin(0.15), ..for_all });
        assert_eq!(asked("pro", Some(r#"{"margin":0}"#)).margin, Margin::default());
        plans.configure(&read("[pro]\nmargin = 0.2"), Selling::default());
        plans.change(&read("[free]\nmargin = 0.3"));
        assert_eq!(asked("pro", None).margin, margin(0.2));
        assert_eq!(asked("free", None), Selling { margin: margin(0.3), show_cost: true });
    }

    #[test]
    fn an_account_adds_to_the_guardrails_of_its_plan_and_takes_none_away() {
        let plans = Plans::new(&read("[free]\nguardrails = [\"cards\"]"), Selling::default());
        for (own, wanted) in [
            (r#"{"guardrails":[]}"#, vec!["cards"]),
            (r#"{"guardrails":["names","cards"]}"#, vec!["cards", "names"]),
            ("{}", vec!["cards"]),
        ] {
            let plan = plans.held_to("free", Some(own)).unwrap();
            assert_eq!(plan.entry.guardrails.as_deref().unwrap(), wanted, "{own}");
        }
    }
}
