//! A router judged on rows: predictions, the measures of every source and domain, and what simpler
//! ways of choosing come to on the same prompts.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::cascade::{Cascaded, cascaded};
use super::daily::Daily;
use super::data::{Data, Predictions, Row};
use super::fit::Recipe;
use super::judge::{FLOORS, Measures, Pool, judge};
use super::promise::{Promise, promises};
use super::ratings::{Rated, rated};
use super::train::{Material, train};
use crate::router::neural::{Ability, Prompt, Weights, dot};

/// Prompts of a pool that are too few to say anything.
const FEWEST: usize = 30;
/// Neighbours that are asked, and the most rows that are searched for them.
const NEIGHBOURS: usize = 20;
const SEARCHED: usize = 20_000;

/// One pool, judged.
#[derive(Debug, Serialize)]
pub struct Entry {
    pub source: String,
    /// `None` for a source as a whole.
    pub domain: Option<String>,
    /// The router, or what it is held against.
    pub by: &'static str,
    #[serde(flatten)]
    pub measures: Measures,
    pub promises: Vec<Promise>,
    /// From `auto:cheap` to `auto:best`, with checkers of these qualities.
    pub cascades: Vec<Cascaded>,
}

/// Checkers: a coin that is somewhat loaded, one that is right four times in five, a good one.
const CHECKERS: [f64; 3] = [0.7, 0.8, 0.95];

/// What is left out of training when a router is judged by training it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldOut {
    /// A fifth of the questions at a time.
    Groups,
    /// A fifth of the domains at a time.
    Domains,
    /// A source at a time.
    Sources,
}

/// Prompts are left out a fifth at a time.
const FOLDS: u64 = 5;

fn abilities(weights: &Weights, data: &Data) -> Vec<Ability> {
    let ability = |name: &String| {
        let listed = data.prices.get(name);
        let price = |of: fn(&super::ListPrice) -> Option<f64>| listed.and_then(of);
        weights.ability(name, price(|one| one.price_in), price(|one| one.price_out))
    };
    data.models.iter().map(ability).collect()
}

/// What a router predicts of every model of the data on each row.
#[must_use]
pub fn predict(weights: &Weights, data: &Data) -> Predictions {
    let abilities = abilities(weights, data);
    let of = |row: &Row| {
        let view = weights.view(Prompt::new(&row.prompt));
        let chance = |ability| 1.0 / (1.0 + (-f64::from(weights.logit(&view, ability))).exp());
        abilities.iter().map(chance).collect()
    };
    data.rows.iter().map(of).collect()
}

/// What is predicted by price alone: the dearer the better.
#[must_use]
pub fn by_price(data: &Data) -> Predictions {
    let price = |name: &String| {
        let listed = data.prices.get(name);
        listed.and_then(|one| Some(one.price_in? + one.price_out?)).unwrap_or(0.0)
    };
    let quality: Vec<f64> =
        data.models.iter().map(|name| (price(name).max(0.01).ln() + 5.0) / 12.0).collect();
    data.rows.iter().map(|_| quality.clone()).collect()
}

/// What the most similar training prompts came to, model by model, and the model's mean where they
/// say nothing of it.
#[must_use]
pub fn by_neighbours(weights: &Weights, known: &Data, data: &Data) -> Predictions {
    let direction = |row: &Row| {
        let mut words = weights.view(Prompt::new(&row.prompt)).embedding.to_vec();
        let length = dot(&words, &words).sqrt().max(1e-6);
        for one in &mut words {
            *one /= length;
        }
        words
    };
    let step = known.rows.len().div_ceil(SEARCHED).max(1);
    let searched: Vec<(Vec<f32>, &Row)> =
        known.rows.iter().step_by(step).map(|row| (direction(row), row)).collect();
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for cell in known.rows.iter().flat_map(|row| &row.cells) {
        let sum = sums.entry(&known.models[cell.model]).or_default();
        sum.0 += f64::from(cell.score);
        sum.1 += 1.0;
    }
    let mean = |name: &str| sums.get(name).map_or(0.5, |(sum, count)| sum / count);
    let of = |row: &Row| {
        let at = direction(row);
        let mut near: Vec<(f32, &Row)> =
            searched.iter().map(|(words, row)| (dot(&at, words), *row)).collect();
        let nearest = NEIGHBOURS.min(near.len());
        if nearest < near.len() {
            near.select_nth_unstable_by(nearest, |one, other| other.0.total_cmp(&one.0));
        }
        near.truncate(nearest);
        let of_model = |name: &String| {
            // The mean weighs as much as two neighbours.
            let (mut sum, mut count) = (2.0 * mean(name), 2.0);
            for (_, row) in &near {
                let said = row.cells.iter().find(|cell| known.models[cell.model] == *name);
                if let Some(cell) = said {
                    sum += f64::from(cell.score);
                    count += 1.0;
                }
            }
            sum / count
        };
        data.models.iter().map(of_model).collect()
    };
    data.rows.iter().map(of).collect()
}

/// What cascades would be worth on each source of the data, by checkers of each quality.
#[must_use]
pub fn cascades(data: &Data, predictions: &Predictions) -> Vec<(String, Vec<Cascaded>)> {
    let mut all = Vec::new();
    for (place, source) in data.sources.iter().enumerate() {
        let rows = data.rows.iter().zip(predictions);
        let rows: Vec<(&Row, &[f64])> = rows
            .filter(|(row, _)| row.source == place)
            .map(|(row, predicted)| (row, predicted.as_slice()))
            .collect();
        if let Some(pool) = Pool::of(data, &rows) {
            let of = CHECKERS.map(|checker| cascaded(&pool, checker));
            all.push((source.clone(), of.to_vec()));
        }
    }
    all
}

/// Judges predictions by source and by domain.
#[must_use]
pub fn entries(data: &Data, predictions: &Predictions, by: &'static str) -> Vec<Entry> {
    let mut pools: BTreeMap<(usize, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (place, row) in data.rows.iter().enumerate() {
        pools.entry((row.source, None)).or_default().push(place);
        pools.entry((row.source, Some(&row.domain))).or_default().push(place);
    }
    let domains = |source: usize| pools.keys().filter(|key| key.0 == source).count() - 1;
    let mut entries = Vec::new();
    for ((source, domain), places) in &pools {
        // A source of one domain is that domain.
        if places.len() < FEWEST || (domain.is_some() && domains(*source) < 2) {
            continue;
        }
        let rows: Vec<(&Row, &[f64])> = places
            .iter()
            .map(|place| (&data.rows[*place], predictions[*place].as_slice()))
            .collect();
        if let Some(pool) = Pool::of(data, &rows) {
            entries.push(Entry {
                source: data.sources[*source].clone(),
                domain: domain.map(str::to_owned),
                by,
                promises: promises(std::iter::once(&pool)),
                cascades: CHECKERS.map(|checker| cascaded(&pool, checker)).to_vec(),
                measures: judge(&pool),
            });
        }
    }
    entries
}

/// Predictions for every row by routers that were trained without it, and what they make of the
/// everyday prompts: without its source, or without its domain and others, or without its question.
/// Whatever asks the same question is left out too. Everyday prompts are left out with questions, a
/// fifth at a time, and are trained on otherwise.
#[must_use]
pub fn left_out(
    material: Material<'_>,
    leave: HoldOut,
    recipe: &Recipe,
    seed: u64,
) -> (Predictions, Vec<Rated>) {
    let Material { data, dailies, vectors } = material;
    let fold_of = |row: &Row| match leave {
        HoldOut::Groups => row.group % FOLDS,
        HoldOut::Sources => row.source as u64,
        HoldOut::Domains => {
            let hash = row
                .domain
                .bytes()
                .fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
            hash % FOLDS
        }
    };
    let folds = data.rows.iter().map(fold_of).max().map_or(0, |last| last + 1);
    let mut predictions: Predictions = vec![Vec::new(); data.rows.len()];
    let mut ratings = Vec::new();
    for fold in 0..folds {
        let groups: HashSet<u64> =
            data.rows.iter().filter(|row| fold_of(row) == fold).map(|row| row.group).collect();
        let rest = data.only(|row| fold_of(row) != fold && !groups.contains(&row.group));
        if rest.rows.is_empty() {
            continue;
        }
        let left = |daily: &Daily| leave == HoldOut::Groups && daily.group % FOLDS == fold;
        let (judged, kept): (Vec<Daily>, Vec<Daily>) = dailies.iter().cloned().partition(left);
        let rest = Material { data: &rest, dailies: &kept, vectors };
        let weights = train(rest, recipe, "left-out", seed);
        ratings.extend(rated(&weights, &judged));
        let judged = predict(&weights, &data.only(|row| fold_of(row) == fold));
        let places = data.rows.iter().zip(&mut predictions);
        for ((_, place), one) in places.filter(|(row, _)| fold_of(row) == fold).zip(judged) {
            *place = one;
        }
    }
    (predictions, ratings)
}

/// For people: one line a pool.
#[must_use]
pub fn table(entries: &[Entry]) -> String {
    let mut out = String::from(
        "| pool | by | prompts | models | best | oracle | APGR | saved at 95/98/100% | mixed | above the line | its hull | levels known | explained | ECE | kept at 65/79/98% |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for Entry { source, domain, by, measures, .. } in entries {
        let pool =
            domain.as_ref().map_or_else(|| source.clone(), |name| format!("{source}: {name}"));
        let shares = |shares: [f64; 3]| shares.map(|one| format!("{:.0}", one * 100.0)).join("/");
        let Measures { prompts, models, best, oracle, apgr, .. } = measures;
        let Measures { above, hull_above, levelled_above, explained, calibration, kept, .. } =
            measures;
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            out,
            "| {pool} | {by} | {prompts} | {models} | {best:.3} | {oracle:.3} | {apgr:.3} | {} | {} | {above:+.4} | {hull_above:+.4} | {levelled_above:+.4} | {explained:+.3} | {calibration:.3} | {} |",
            shares(measures.savings),
            shares(measures.mixed),
            shares(*kept),
        );
    }
    for (by, [cheap, middle, best]) in coverage(entries) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            out,
            "\nThe floor of 65, 79 and 98% of the best model held on {cheap:.0}, {middle:.0} and {best:.0}% of the pools, by {by}."
        );
    }
    out
}

/// On how many pools in a hundred, sources and domains, each promise of a floor was kept.
#[must_use]
pub fn coverage(entries: &[Entry]) -> BTreeMap<&'static str, [f64; 3]> {
    let mut shares = BTreeMap::new();
    for by in entries.iter().map(|entry| entry.by) {
        let pools: Vec<&Measures> =
            entries.iter().filter(|entry| entry.by == by).map(|entry| &entry.measures).collect();
        let share = |place: usize| {
            let held = pools.iter().filter(|one| one.kept[place] >= FLOORS[place]).count();
            #[expect(clippy::cast_precision_loss, reason = "a count of pools")]
            let share = 100.0 * held as f64 / pools.len() as f64;
            share
        };
        shares.insert(by, [share(0), share(1), share(2)]);
    }
    shares
}
