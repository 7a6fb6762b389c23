//! What models that nobody has data for are taken to be worth: from those that there is data for.

use super::algebra::Cholesky;
use super::data::Data;
use crate::router::neural::{Ability, CLUES, ModelMeta, clues};

/// What abilities are on average, and how they move with the level: least squares, each skill by
/// itself.
pub fn line_of(abilities: &[Ability]) -> [Ability; 2] {
    let count = abilities.len().max(1) as f32;
    let mean = abilities.iter().map(|one| one.level).sum::<f32>() / count;
    let spread = abilities.iter().map(|one| (one.level - mean).powi(2)).sum::<f32>() + 1.0;
    let demands = abilities.first().map_or(0, |one| one.skills.len());
    let mut base = Ability {
        level: 0.0,
        verbosity: 0.0,
        skills: vec![0.0; demands].into(),
        domains: Box::default(),
        signs: Box::default(),
    };
    let mut slope = Ability {
        level: 1.0,
        verbosity: 0.0,
        skills: vec![0.0; demands].into(),
        domains: Box::default(),
        signs: Box::default(),
    };
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
pub fn level_by_tier(data: &Data, abilities: &[Ability], models: &[ModelMeta]) -> Vec<f32> {
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
pub fn level_by(data: &Data, abilities: &[Ability], models: &[ModelMeta]) -> Vec<f32> {
    let mut left = vec![0.0_f64; CLUES * CLUES];
    let mut right = vec![0.0_f64; CLUES];
    for (ability, model) in abilities.iter().zip(models) {
        let listed = data.prices.get(&model.name).cloned().unwrap_or_default();
        let clues = clues(&model.name, listed.price_in, listed.price_out);
        for (row, clue) in clues.iter().enumerate() {
            right[row] += f64::from(*clue * ability.level);
            for (column, other) in clues.iter().enumerate() {
                left[row * CLUES + column] += f64::from(clue * other);
            }
        }
    }
    for place in 0..CLUES {
        // Words say less than sizes and prices: there are more of them.
        left[place * CLUES + place] += if place < 8 { 0.3 } else { 2.0 };
    }
    Cholesky::of(left, CLUES).solve(right).into_iter().map(|one| one as f32).collect()
}
