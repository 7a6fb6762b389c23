//! What is different between two catalogues, in words for people and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::entry::{FileDeployment, ModelEntry, ProviderEntry, prices_of};
use super::facts::{FactsEntry, Families};
use super::price::{PriceEntry, RatesEntry};
use super::{Catalogue, Deployment, Pictures};
use crate::base::clock::Timestamp;
use crate::wire::vocab::{Class, Usage};

/// All that is different.
#[derive(Debug, Clone, PartialEq, Default, Serialize, schemars::JsonSchema)]
pub struct Changes {
    pub models: Sets,
    /// As `provider/name`.
    pub deployments: Sets,
    pub prices: Vec<Changed>,
    pub facts: Vec<Changed>,
    /// Who is asked when a model cannot answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Changed>,
    /// What plans allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Changed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct Sets {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// What has a last day now, or another one, as `name on DAY`.
    pub ended: Vec<String>,
}

/// One value of one thing.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Changed {
    /// The deployment, the model or the plan.
    pub of: String,
    /// Which value of it.
    pub what: String,
    pub before: Value,
    pub after: Value,
}

/// What is different between two catalogues in use. Prices are those of a million tokens, read and
/// written, and of a picture, now.
#[must_use]
pub fn between(before: &Catalogue, after: &Catalogue, now: Timestamp) -> Changes {
    let models = |of: &Catalogue| -> BTreeSet<String> {
        of.models().iter().map(|model| model.id.to_string()).collect()
    };
    let places = |of: &Catalogue| -> BTreeMap<String, [Value; 3]> {
        let all = of.models().iter().flat_map(|model| &model.deployments);
        all.map(|one| (format!("{}/{}", one.provider.id, one.name), costs(one, now))).collect()
    };
    let only = |of: &BTreeSet<String>, other: &BTreeSet<String>| {
        of.difference(other).cloned().collect::<Vec<String>>()
    };
    let (old, new) = (models(before), models(after));
    let (was, is) = (places(before), places(after));
    let (old_places, new_places) = (was.keys().cloned().collect(), is.keys().cloned().collect());
    let mut changes = Changes {
        models: Sets { added: only(&new, &old), removed: only(&old, &new), ended: Vec::new() },
        deployments: Sets {
            added: only(&new_places, &old_places),
            removed: only(&old_places, &new_places),
            ended: Vec::new(),
        },
        ..Changes::default()
    };
    for (of, now) in &is {
        let Some(then) = was.get(of) else { continue };
        let whats = ["input", "output", "a picture"].into_iter();
        for ((what, before), after) in whats.zip(then).zip(now) {
            if before != after {
                let (what, before, after) = (what.to_owned(), before.clone(), after.clone());
                changes.prices.push(Changed { of: of.clone(), what, before, after });
            }
        }
    }
    let chains = |of: &Catalogue, name: &str| -> Value {
        let chain = of.model(name).map_or(&[][..], |model| of.fallbacks(model));
        chain.iter().map(|name| Value::from(&**name)).collect()
    };
    for model in &new {
        let (before, after) = (chains(before, model), chains(after, model));
        if before != after {
            let what = "fallback".to_owned();
            changes.routes.push(Changed { of: model.clone(), what, before, after });
        }
    }
    changes
}

/// A million tokens read, a million written, and a picture, in USD.
fn costs(one: &Deployment, now: Timestamp) -> [Value; 3] {
    let million = 1_000_000;
    let usd = |usage: Usage, count: u64| {
        let pictures = Pictures { count, ..Pictures::default() };
        Value::from(one.prices.bill(&usage, pictures, now).to_decimal())
    };
    [
        usd(Usage { input: million, ..Usage::default() }, 0),
        usd(Usage { output: million, ..Usage::default() }, 0),
        usd(Usage::default(), 1),
    ]
}

fn models(files: &[ProviderEntry]) -> BTreeMap<&str, &ModelEntry> {
    files.iter().flat_map(|file| &file.models).map(|model| (model.id.as_str(), model)).collect()
}

fn deployments(files: &[ProviderEntry]) -> BTreeMap<String, &FileDeployment> {
    let all = files.iter().flat_map(|file| {
        let provider = file.id.as_deref().unwrap_or_default();
        file.deployments.iter().map(move |one| (format!("{provider}/{}", one.name), one))
    });
    all.collect()
}

/// Which names came, which went, and of which the last day is another.
fn sets<'a, K: AsRef<str> + Ord, T>(
    before: &'a BTreeMap<K, T>,
    after: &'a BTreeMap<K, T>,
    ends: impl Fn(&T) -> Option<&String>,
) -> Sets {
    let names = |of: &'a BTreeMap<K, T>, other: &'a BTreeMap<K, T>| -> Vec<String> {
        of.keys()
            .filter(|name| !other.contains_key(*name))
            .map(|name| name.as_ref().to_owned())
            .collect()
    };
    let ended = after.iter().filter_map(|(name, now)| {
        let day = ends(now)?;
        let was = ends(before.get(name)?);
        (was != Some(day)).then(|| format!("{} on {day}", name.as_ref()))
    });
    Sets { added: names(after, before), removed: names(before, after), ended: ended.collect() }
}

fn class(class: Class) -> String {
    serde_json::to_value(class)
        .ok()
        .and_then(|word| Some(word.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// What a price is for, but for its days.
fn label(price: &PriceEntry) -> String {
    let mut label = class(price.class);
    for (said, word) in [(price.thinking, "thinking"), (price.hours.is_some(), "busy hours")] {
        if said {
            label = format!("{label} {word}");
        }
    }
    label
}

/// Every number of a deployment's prices, by what it is the price of.
fn flat(one: &FileDeployment) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let prices = prices_of(one.usd_per_million.as_ref(), one.usd_per_image, one.prices.clone());
    let labels: Vec<String> = prices.iter().map(label).collect();
    for (price, label) in prices.iter().zip(&labels) {
        // Days tell apart what has nothing else to be told apart by.
        let alone = labels.iter().filter(|other| *other == label).count() == 1;
        let days = [(&price.from, "from"), (&price.until, "until")].into_iter();
        let days = days.filter(|_| !alone).filter_map(|(day, word)| Some((day.as_ref()?, word)));
        let label = days.fold(label.clone(), |label, (day, word)| format!("{label} {word} {day}"));
        entries(&mut all, &label, price);
    }
    all
}

fn entries(all: &mut BTreeMap<String, Value>, label: &str, price: &PriceEntry) {
    if let Some(times) = price.times {
        all.insert(format!("{label}: times the standard price"), times.into());
    }
    let mut rates = |label: &str, rates: &RatesEntry| {
        if let Ok(Value::Object(kinds)) = serde_json::to_value(rates) {
            all.extend(kinds.into_iter().map(|(kind, usd)| (format!("{label}: {kind}"), usd)));
        }
    };
    if let Some(base) = &price.usd_per_million {
        rates(label, base);
    }
    for step in &price.above {
        rates(&format!("{label} above {} tokens", step.tokens), &step.usd_per_million);
    }
    if let Some(Ok(Value::Object(pieces))) = price.usd_each.as_ref().map(serde_json::to_value) {
        all.extend(pieces.into_iter().map(|(kind, usd)| (format!("{label}: each {kind}"), usd)));
    }
    for one in &price.pictures {
        let quality = one.quality.as_deref().unwrap_or("any");
        all.insert(format!("{label}: a picture of {}, {quality}", one.size), one.usd.into());
    }
}

fn values(entry: &FactsEntry) -> BTreeMap<String, Value> {
    match serde_json::to_value(entry) {
        Ok(Value::Object(members)) => members.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

fn changed(
    of: &str,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    into: &mut Vec<Changed>,
) {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for what in names {
        let at =
            |values: &BTreeMap<String, Value>| values.get(what).cloned().unwrap_or(Value::Null);
        let (was, is) = (at(before), at(after));
        if was != is {
            into.push(Changed { of: of.to_owned(), what: what.clone(), before: was, after: is });
        }
    }
}

/// What of `after` is not as it was `before`.
#[must_use]
pub fn diff(before: &[ProviderEntry], after: &[ProviderEntry]) -> Changes {
    let (old, new) = (models(before), models(after));
    let (old_places, new_places) = (deployments(before), deployments(after));
    let mut changes = Changes {
        models: sets(&old, &new, |model| model.ends.as_ref()),
        deployments: sets(&old_places, &new_places, |one| one.ends.as_ref()),
        ..Changes::default()
    };
    for (name, one) in &new_places {
        if let Some(known) = old_places.get(name) {
            changed(name, &flat(known), &flat(one), &mut changes.prices);
            changed(name, &values(&known.facts), &values(&one.facts), &mut changes.facts);
        }
    }
    let families = |files: &[ProviderEntry]| {
        Families::new(files.iter().flat_map(|file| file.families.iter().cloned()).collect())
    };
    let (old_families, new_families) = (families(before), families(after));
    for (id, model) in &new {
        if let Some(known) = old.get(id) {
            let whole = |families: &Families, model: &ModelEntry| {
                let mut facts = families.of(&model.id);
                facts.lay(&model.facts);
                values(&facts)
            };
            changed(
                id,
                &whole(&old_families, known),
                &whole(&new_families, model),
                &mut changes.facts,
            );
        }
    }
    changes
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A line for each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (kind, sets) in [("model", &self.models), ("deployment", &self.deployments)] {
            for (sign, names) in [("+", &sets.added), ("-", &sets.removed)] {
                lines.extend(names.iter().map(|name| format!("{sign} {kind} {name}")));
            }
            lines.extend(sets.ended.iter().map(|name| format!("! {kind} ends: {name}")));
        }
        let shown = |value: &Value| match value {
            Value::Null => "nothing".to_owned(),
            other => other.to_string(),
        };
        for (kind, list) in [
            ("price (USD)", &self.prices),
            ("fact", &self.facts),
            ("route", &self.routes),
            ("plan", &self.plans),
        ] {
            lines.extend(list.iter().map(|one| {
                let (before, after) = (shown(&one.before), shown(&one.after));
                format!("~ {kind} {}: {}: {before} -> {after}", one.of, one.what)
            }));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{builtin, document};

    #[test]
    fn old_and_new_prices_are_named() {
        let files = builtin().unwrap();
        let text = r#"{"providers": [{"id": "deepseek",
            "models": [{"id": "deepseek-9", "facts": {"temperature_max": 1.5}}],
            "deployments": [{"model": "deepseek-flash", "name": "deepseek-flash", "ends": "2027-02-01",
                "prices": [{"usd_per_million": {"input": 0.2, "output": 0.6}}]}]}]}"#;
        let laid = document::lay(files.clone(), document::read(text, &files).unwrap());
        let changes = diff(&files, &laid);
        assert_eq!(changes.models.added, ["deepseek-9"]);
        assert_eq!(changes.deployments.ended, ["deepseek/deepseek-flash on 2027-02-01"]);
        let told = changes.lines();
        assert!(
            told.contains(
                &"~ price (USD) deepseek/deepseek-flash: standard: input: 0.15 -> 0.2".to_owned()
            ),
            "{told:#?}"
        );
        assert!(diff(&files, &files).is_empty());
    }
}
