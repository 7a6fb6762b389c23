//! From rows to weights.

use std::collections::BTreeMap;

use super::data::Data;
use super::fit::{Fitted, Layout, fit};
use crate::router::neural::{
    Ability, BUCKETS, CLUES, COUNTS, Meta, ModelMeta, Net, PAIRS, Prompt, Shape, Usual, Weights,
    clues, dot, family, read, spot,
};

/// How a router is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    pub epochs: usize,
    /// Step sizes, of the networks and of the words.
    pub rate: f32,
    pub rate_words: f32,
    /// The share of words that are left out at each look.
    pub drop: f32,
    /// How far words are apart at the start.
    pub words: f32,
    /// The weight of telling the sources apart.
    pub tell: f32,
    /// Pulls towards nothing: of the networks, words, levels, families, models, and models on one
    /// source.
    pub decay: f32,
    pub decay_words: f32,
    pub decay_level: f32,
    pub decay_family: f32,
    pub decay_own: f32,
    pub decay_bias: f32,
}

impl Default for Recipe {
    /// What did best when prompts, and whole sources, were left out.
    fn default() -> Self {
        Self {
            epochs: 6,
            rate: 2e-3,
            rate_words: 0.05,
            drop: 0.6,
            words: 0.05,
            tell: 0.3,
            decay: 1e-2,
            decay_words: 1e-5,
            decay_level: 1e-3,
            decay_family: 0.4,
            decay_own: 0.8,
            decay_bias: 1e-4,
        }
    }
}

/// A score to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub model: usize,
    pub score: f32,
    pub log_tokens: Option<f32>,
}

/// A row as the networks see it.
#[derive(Debug, Clone)]
pub struct Sample {
    pub buckets: Vec<usize>,
    /// Bits of its word pairs, each once.
    pub pairs: Vec<usize>,
    pub counts: [f32; COUNTS],
    pub source: usize,
    pub cells: Vec<Target>,
}

fn samples(data: &Data) -> Vec<Sample> {
    data.rows
        .iter()
        .map(|row| {
            let (mut buckets, mut pairs) = (Vec::new(), Vec::new());
            let counts = read(Prompt::new(&row.prompt), &mut |trace| {
                buckets.push(trace.bucket());
                if trace.pair {
                    pairs.push(trace.bit());
                }
            });
            pairs.sort_unstable();
            pairs.dedup();
            let cells = row.cells.iter().map(|cell| Target {
                model: cell.model,
                score: cell.score,
                log_tokens: cell.tokens_out.map(|tokens| tokens.max(1.0).ln()),
            });
            Sample { buckets, pairs, counts, source: row.source, cells: cells.collect() }
        })
        .collect()
}

/// Trains a router.
#[must_use]
pub fn train(data: &Data, recipe: &Recipe, id: &str, seed: u64) -> Weights {
    let samples = samples(data);
    let mut families: Vec<String> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let family_of: Vec<usize> = data
        .models
        .iter()
        .map(|name| {
            let family = family(name);
            *places.entry(family.clone()).or_insert_with(|| {
                families.push(family);
                families.len() - 1
            })
        })
        .collect();
    let layout =
        Layout { sources: data.sources.len(), models: data.models.len(), families: families.len() };
    // Each network on a thread of its own: none sees another's draws.
    let fitted: Vec<Fitted> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..Shape::NETS as u64)
            .map(|number| {
                let (samples, family_of) = (&samples, &family_of);
                scope.spawn(move || {
                    fit(samples, layout, family_of, recipe, seed.wrapping_mul(1000) + number)
                })
            })
            .collect();
        // A network that panicked is no network less: the whole training has failed.
        let whole = |panic| std::panic::resume_unwind(panic);
        running.into_iter().map(|one| one.join().unwrap_or_else(whole)).collect()
    });
    let mut seen = vec![0_u64; data.models.len()];
    for cell in data.rows.iter().flat_map(|row| &row.cells) {
        seen[cell.model] += 1;
    }
    let mut weights = assemble(data, &fitted, &families, &family_of, &seen, id, seed);
    weights.meta.usual = usual(&weights, data);
    // From here on the unfamiliar is treated as such.
    weights.familiar = familiar(&samples);
    weights
}

/// What the prompts of training are like to a router that holds nothing of them yet.
fn usual(weights: &Weights, data: &Data) -> Usual {
    let count = data.rows.len().max(1);
    let (mut ease, mut length) = (0.0_f64, 0.0_f64);
    let mut far: [Vec<f32>; Shape::NETS] = Default::default();
    for row in &data.rows {
        let view = weights.view(Prompt::new(&row.prompt));
        ease += f64::from(view.ease);
        length += f64::from(view.length);
        for (far, words) in far.iter_mut().zip(view.embedding.chunks_exact(Shape::EMBED)) {
            far.push(dot(words, words).sqrt());
        }
    }
    let reach = far.map(|mut far| {
        far.sort_by(f32::total_cmp);
        far.get(far.len() * 99 / 100).copied().unwrap_or(f32::MAX)
    });
    Usual { ease: (ease / count as f64) as f32, length: (length / count as f64) as f32, reach }
}

/// The pairs of words of more than one prompt.
fn familiar(samples: &[Sample]) -> Vec<u64> {
    let (mut once, mut again) = (vec![0_u64; PAIRS / 64], vec![0_u64; PAIRS / 64]);
    for pair in samples.iter().flat_map(|sample| &sample.pairs) {
        let (word, bit) = spot(*pair);
        again[word] |= once[word] & bit;
        once[word] |= bit;
    }
    again
}

fn ability(fitted: &[Fitted], family: usize, model: Option<usize>) -> Ability {
    let part = 1.0 / fitted.len() as f32;
    let (mut level, mut verbosity, mut skills) = (0.0, 0.0, Vec::new());
    for Fitted { layout: at, numbers, .. } in fitted {
        let rank = Shape::RANK;
        let base = &numbers[at.family() + family * (1 + rank)..][..=rank];
        let own = model.map(|model| &numbers[at.own() + model * (1 + rank)..][..=rank]);
        let sum = |place: usize| base[place] + own.map_or(0.0, |own| own[place]);
        level += sum(0) * part;
        skills.extend((1..=rank).map(|place| sum(place) * part));
        verbosity += model.map_or(0.0, |model| numbers[at.verbosity() + model]) * part;
    }
    Ability { level, skills: skills.into(), verbosity }
}

fn assemble(
    data: &Data,
    fitted: &[Fitted],
    families: &[String],
    family_of: &[usize],
    seen: &[u64],
    id: &str,
    seed: u64,
) -> Weights {
    let mut abilities = Vec::new();
    let mut models = Vec::new();
    for (model, name) in data.models.iter().enumerate().filter(|(model, _)| seen[*model] > 0) {
        abilities.push(ability(fitted, family_of[model], Some(model)));
        models.push(ModelMeta { name: name.clone(), rows: seen[model] });
    }
    let known = abilities.len();
    for (family, name) in families.iter().enumerate() {
        let rows = (0..data.models.len()).filter(|model| family_of[*model] == family);
        let rows = rows.map(|model| seen[model]).sum();
        if rows > 0 {
            abilities.push(ability(fitted, family, None));
            models.push(ModelMeta { name: format!("family:{name}"), rows });
        }
    }
    let unknown = line_of(&abilities[..known]);
    let mut meta = Meta::new(id.to_owned(), seed, data.sources.clone(), models);
    meta.level_by_tier = level_by_tier(data, &abilities[..known], &meta.models[..known]);
    meta.level_by = level_by(data, &abilities[..known], &meta.models[..known]);
    let (mut table, mut steps) = (vec![0_i8; BUCKETS * Shape::WIDE], [0.0; Shape::NETS]);
    let mut nets = Vec::new();
    for (number, Fitted { layout: at, table: words, numbers }) in fitted.iter().enumerate() {
        let square = words.iter().map(|one| one * one).sum::<f32>() / words.len() as f32;
        // The few words farther out than this are pulled in.
        let step = square.sqrt() * 6.0 / 127.0;
        steps[number] = step;
        for bucket in 0..BUCKETS {
            for place in 0..Shape::EMBED {
                let one = words[bucket * Shape::EMBED + place] / step;
                table[bucket * Shape::WIDE + number * Shape::EMBED + place] =
                    one.round().clamp(-127.0, 127.0) as i8;
            }
        }
        // Rows become columns. The heads that tell sources apart come last and have done their work.
        let turned = |from: usize, rows: usize, columns: usize| -> Vec<f32> {
            let places = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
            places.map(|(row, column)| numbers[from + row * columns + column]).collect()
        };
        let part = |from: usize, count: usize| numbers[from..from + count].to_vec();
        nets.push(Net {
            first: turned(0, Shape::HIDDEN, Shape::INPUT),
            first_bias: part(Layout::FIRST_BIAS, Shape::HIDDEN),
            second: turned(Layout::SECOND, Shape::HEADS, Shape::HIDDEN),
            second_bias: part(at.second_bias(), Shape::HEADS),
            skip: turned(at.skip(), Shape::HEADS, Shape::INPUT),
        });
    }
    Weights { meta, table, steps, nets, abilities, unknown, familiar: Vec::new() }
}

/// What abilities are on average, and how they move with the level: least squares, each skill by
/// itself.
fn line_of(abilities: &[Ability]) -> [Ability; 2] {
    let count = abilities.len().max(1) as f32;
    let mean = abilities.iter().map(|one| one.level).sum::<f32>() / count;
    let spread = abilities.iter().map(|one| (one.level - mean).powi(2)).sum::<f32>() + 1.0;
    let demands = abilities.first().map_or(0, |one| one.skills.len());
    let mut base = Ability { level: 0.0, verbosity: 0.0, skills: vec![0.0; demands].into() };
    let mut slope = Ability { level: 1.0, verbosity: 0.0, skills: vec![0.0; demands].into() };
    for place in 0..demands {
        let of = |one: &Ability| one.skills[place];
        let middle = abilities.iter().map(of).sum::<f32>() / count;
        let with = abilities.iter().map(|one| (one.level - mean) * (of(one) - middle));
        let by = with.sum::<f32>() / spread;
        slope.skills[place] = by;
        base.skills[place] = middle - by * mean;
    }
    [base, slope]
}

/// What the better quarter of a tier's models is worth: a tier's newer models are not below it. A
/// dearer tier is worth no less than a cheaper one.
fn level_by_tier(data: &Data, abilities: &[Ability], models: &[ModelMeta]) -> Vec<f32> {
    let mut least = f32::MIN;
    let mut of = |tier: &str| {
        let is = |model: &ModelMeta| {
            data.prices.get(&model.name).and_then(|listed| listed.tier.as_deref()) == Some(tier)
        };
        let pairs = abilities.iter().zip(models);
        let mut levels: Vec<f32> =
            pairs.filter(|(_, model)| is(model)).map(|(ability, _)| ability.level).collect();
        levels.sort_by(f32::total_cmp);
        let better = &levels[levels.len() * 3 / 4..];
        let mean = better.iter().sum::<f32>() / better.len().max(1) as f32;
        // A step at least, so that a tier is something.
        least = if better.is_empty() { least.max(0.0) } else { mean.max(least + 0.1) };
        least
    };
    ["free", "budget", "mid", "premium", "ultra"].map(&mut of).to_vec()
}

/// Ridge regression of levels on clues: what a hundred models have in common.
fn level_by(data: &Data, abilities: &[Ability], models: &[ModelMeta]) -> Vec<f32> {
    let mut left = vec![vec![0.0_f64; CLUES]; CLUES];
    let mut right = vec![0.0_f64; CLUES];
    for (ability, model) in abilities.iter().zip(models) {
        let listed = data.prices.get(&model.name).cloned().unwrap_or_default();
        let clues = clues(&model.name, listed.price_in, listed.price_out);
        for (row, clue) in clues.iter().enumerate() {
            right[row] += f64::from(*clue * ability.level);
            for (column, other) in clues.iter().enumerate() {
                left[row][column] += f64::from(clue * other);
            }
        }
    }
    for (place, row) in left.iter_mut().enumerate() {
        // Words say less than sizes and prices: there are more of them.
        row[place] += if place < 8 { 0.3 } else { 2.0 };
    }
    solve(left, right).into_iter().map(|one| one as f32).collect()
}

/// Gaussian elimination; the ridge keeps every pivot above nothing.
fn solve(mut left: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let count = right.len();
    for pivot in 0..count {
        let (above, below) = left.split_at_mut(pivot + 1);
        for (offset, row) in below.iter_mut().enumerate() {
            let by = row[pivot] / above[pivot][pivot];
            for (one, over) in row.iter_mut().zip(&above[pivot]).skip(pivot) {
                *one -= by * over;
            }
            right[pivot + 1 + offset] -= by * right[pivot];
        }
    }
    for pivot in (0..count).rev() {
        let known: f64 = (pivot + 1..count).map(|place| left[pivot][place] * right[place]).sum();
        right[pivot] = (right[pivot] - known) / left[pivot][pivot];
    }
    right
}
