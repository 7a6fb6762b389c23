//! From figures, weights and a catalogue to levels.

use std::collections::{BTreeMap, BTreeSet};

use super::factor::{Example, Factors, factors, rank_correlation, ridge};
use super::figure::Figure;
use super::leaning::{leanings, subject};
use super::order::in_order;
use crate::catalogue::{Catalogue, Mode, Model};
use crate::router::levels::{Clues, Guess, Level, Levels, RestsOn, Scale, depth, efforts, round};
use crate::router::neural::{Weights, family};
use crate::wire::vocab::{Effort, Efforts};

/// A model that was tried on fewer prompts has no level to go by: those of one source alone, of
/// function calls, say nothing of all else.
const LEAST_PROMPTS: u64 = 900;
/// The share of measured models below the bend.
const BELOW_BEND: f64 = 0.95;
/// Above it a step of the factor adds this share of the slope. Nothing was measured there: an
/// assumption, chosen so that the classes of models that everyday prompts are rated by come to the
/// levels that [`crate::router::PromptDemand::need`] counts with. To be fitted from feedback.
const ABOVE_BEND: f64 = 0.7;
/// How far a level of the weights may be off, and one that was taken from a factor by the line.
const MEASURED_SD: f64 = 0.4;
/// What one subject says beyond the common factor, as a deviation of the factor: many figures of one
/// subject, such as what people like to read, are no better than this.
const SUBJECT_SD: f64 = 0.45;
/// How strongly the clues' coefficients are held back.
const GUESS_RIDGE: f64 = 3.0;
/// How far levels are off that the clues' coefficients were fitted to, all alike.
const GUESS_SD: f32 = 0.45;
/// How many figures are named.
const NAMED: usize = 3;
/// What thinking is worth to a model, and how many models that weighs, before any is seen.
const THOUGHT_WEIGHS: f64 = 2.0;

/// A model's level in the weights, and its name there.
pub struct Measured<'a> {
    pub name: &'a str,
    pub level: f64,
    pub prompts: u64,
}

/// A name that its maker moves on to newer models: its figures are of another than what was tried.
fn moves(name: &str) -> bool {
    name.ends_with("-latest") || name == "deepseek-chat" || name == "deepseek-reasoner"
}

/// The level that the weights have of a model: by its own name, or by that of its family's member
/// which was tried most.
#[must_use]
pub fn measured<'a>(weights: &'a Weights, name: &str) -> Option<Measured<'a>> {
    if moves(name) {
        return None;
    }
    let kin = family(name);
    let tried = weights
        .meta
        .models
        .iter()
        .zip(&weights.abilities)
        .filter(|(meta, _)| meta.rows >= LEAST_PROMPTS && !meta.name.starts_with("family:"));
    let fits = tried.filter(|(meta, _)| meta.name == name || family(&meta.name) == kin);
    let best = fits.max_by_key(|(meta, _)| (meta.name == name, meta.rows, meta.name.as_str()))?;
    let (meta, ability) = best;
    Some(Measured { name: &meta.name, level: f64::from(ability.level), prompts: meta.rows })
}

/// A straight line, less steep above a bend.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub intercept: f64,
    pub slope: f64,
    pub bend: f64,
}

impl Line {
    #[must_use]
    pub fn level(&self, factor: f64) -> f64 {
        let over = (factor - self.bend).max(0.0);
        self.intercept + self.slope * (factor - over * (1.0 - ABOVE_BEND))
    }

    /// How far a level may be off, where its factor may be off by `sd`; `misfit` is how far the line is.
    fn sd(&self, factor: f64, sd: f64, misfit: f64) -> f64 {
        let slope = if factor > self.bend { self.slope * ABOVE_BEND } else { self.slope };
        (slope * sd).hypot(misfit)
    }
}

/// The line of levels on factors, how far it is off, and the pairs it was laid through.
fn lay(pairs: &[(f64, f64)]) -> (Line, f64) {
    let rows: Vec<Example> =
        pairs.iter().map(|(factor, level)| (vec![1.0, *factor], *level, 1.0)).collect();
    let line = ridge(&rows, 0.1);
    let mut factors: Vec<f64> = pairs.iter().map(|(factor, _)| *factor).collect();
    factors.sort_by(f64::total_cmp);
    let place = (factors.len() as f64 * BELOW_BEND) as usize;
    let bend = factors.get(place.min(factors.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let line = Line { intercept: line[0], slope: line[1], bend };
    let off =
        pairs.iter().map(|(factor, level)| (line.level(*factor) - level).powi(2)).sum::<f64>();
    (line, (off / pairs.len().max(1) as f64).sqrt())
}

/// What figures say of a model that it is worth.
struct Figured {
    row: usize,
    count: usize,
    /// How many subjects they are of.
    subjects: usize,
    latest: String,
    strongest: Vec<(String, f64)>,
    /// What it loses without thinking, in levels, and how many tokens it takes for an answer.
    thought: Option<f64>,
    tokens: Option<f64>,
}

fn figured(found: &Factors, figures: &[Figure], name: &str, line: &Line) -> Option<Figured> {
    let row = found.row(name, None)?;
    let own = || figures.iter().filter(|figure| figure.model == name);
    let mut weighed: Vec<(f64, &str, f64)> = found
        .cells
        .iter()
        .filter(|cell| cell.row == row)
        .filter_map(|cell| {
            let benchmark = found.columns[cell.column].as_str();
            let figure = own().find(|one| one.effort.is_none() && one.benchmark == benchmark)?;
            Some((found.weight(cell), benchmark, figure.value))
        })
        .collect();
    weighed.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    let named = weighed.iter().take(NAMED).map(|(_, name, value)| ((*name).to_owned(), *value));
    let subjects: BTreeSet<_> = weighed.iter().map(|(_, name, _)| subject(name)).collect();
    let off = found.row(name, Some(Effort::None));
    let tokens = |effort: Option<Effort>| {
        own()
            .find(|one| one.effort == effort && one.benchmark == "tokens_per_gpqa_answer")
            .map(|one| one.value)
    };
    Some(Figured {
        row,
        count: weighed.len(),
        subjects: subjects.len(),
        latest: own().map(|figure| figure.day.as_str()).max().unwrap_or_default().to_owned(),
        strongest: named.collect(),
        thought: off
            .map(|off| (line.level(found.factor[row]) - line.level(found.factor[off])).max(0.05)),
        tokens: tokens(None),
    })
}

/// All names of a model, the id first.
fn names(model: &Model) -> impl Iterator<Item = &str> {
    std::iter::once(&*model.id).chain(model.aliases.iter().map(|alias| &**alias))
}

/// The efforts that the model takes where it is asked first.
fn efforts_of(model: &Model) -> Efforts {
    model.deployments.first().map(|one| efforts(&one.facts)).unwrap_or_default()
}

/// Levels of every model of the catalogue that converses.
#[must_use]
pub fn fit(figures: &[Figure], weights: &Weights, catalogue: &Catalogue) -> Levels {
    let found = factors(figures);
    let mut pairs = Vec::new();
    for (row, (name, effort)) in found.rows.iter().enumerate() {
        if effort.is_none()
            && let Some(known) = measured(weights, name)
        {
            pairs.push((found.factor[row], known.level));
        }
    }
    let (line, misfit) = lay(&pairs);
    let (one, other): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let models: Vec<&Model> = catalogue
        .models()
        .iter()
        .map(|model| &**model)
        .filter(|model| model.mode == Mode::Chat)
        .collect();
    let mut known: BTreeMap<String, Level> = BTreeMap::new();
    let mut thoughts = Vec::new();
    let mut tokens: BTreeMap<String, f64> = BTreeMap::new();
    for model in &models {
        let tried = measured(weights, &model.id);
        let figured = names(model).find_map(|name| figured(&found, figures, name, &line));
        let mut level = match (&figured, &tried) {
            (Some(figured), tried) => by_figures(&found, figured, tried.as_ref(), &line, misfit),
            (None, Some(tried)) => by_scores(tried),
            (None, None) => continue,
        };
        if let Some(figured) = &figured {
            thoughts.extend(figured.thought);
            if let Some(said) = figured.tokens.filter(|_| !efforts_of(model).is_empty()) {
                tokens.insert(model.id.to_string(), said);
            }
        }
        level.skills_of = tried.map(|tried| tried.name.to_owned());
        known.insert(model.id.to_string(), level);
    }
    let thought =
        (thoughts.iter().sum::<f64>() + THOUGHT_WEIGHS) / (thoughts.len() as f64 + THOUGHT_WEIGHS);
    set_tokens(&mut known, &tokens);
    let guess = guess(&models, &mut known, thought);
    believe(&models, &mut known, &guess, misfit as f32);
    let mut levels = Levels {
        scale: Scale {
            router: weights.meta.id.clone(),
            intercept: round(line.intercept as f32),
            slope: round(line.slope as f32),
            bend: round(line.bend as f32),
            anchors: pairs.len(),
            rank_correlation: round(rank_correlation(&one, &other) as f32),
        },
        guess,
        models: BTreeMap::new(),
    };
    for model in &models {
        let mut level = match known.get(&*model.id) {
            Some(level) => level.clone(),
            None => levels.guess.level(&Clues::of(model), &known),
        };
        set_efforts(&mut level, efforts_of(model), thought);
        levels.models.insert(model.id.to_string(), level);
    }
    // Those that their families speak for stand in order as well.
    in_order(&mut levels.models);
    levels
}

fn by_figures(
    found: &Factors,
    figured: &Figured,
    tried: Option<&Measured<'_>>,
    line: &Line,
    misfit: f64,
) -> Level {
    let factor = found.factor[figured.row];
    let own = found.sd[figured.row].hypot(SUBJECT_SD / (figured.subjects.max(1) as f64).sqrt());
    let (mut level, mut sd) = (line.level(factor), line.sd(factor, own, misfit));
    if let Some(tried) = tried {
        let (one, other) = (sd.powi(-2), MEASURED_SD.powi(-2));
        level = (level * one + tried.level * other) / (one + other);
        sd = (one + other).sqrt().recip();
    }
    Level {
        level: round(level as f32),
        sd: round(sd as f32),
        thought: round(figured.thought.unwrap_or(0.0) as f32),
        thinks: 1.0,
        efforts: BTreeMap::new(),
        leanings: leanings(found, figured.row, line.slope),
        skills_of: None,
        beyond: None,
        rests_on: RestsOn::Figures {
            count: figured.count,
            latest: figured.latest.clone(),
            strongest: figured.strongest.clone(),
        },
    }
}

fn by_scores(tried: &Measured<'_>) -> Level {
    Level {
        level: round(tried.level as f32),
        sd: round(MEASURED_SD as f32),
        thought: 0.0,
        thinks: 1.0,
        efforts: BTreeMap::new(),
        leanings: BTreeMap::new(),
        skills_of: None,
        beyond: None,
        rests_on: RestsOn::Measured { prompts: tried.prompts },
    }
}

/// How much each thinks, against the middle one of those of which it is known.
fn set_tokens(known: &mut BTreeMap<String, Level>, tokens: &BTreeMap<String, f64>) {
    let mut all: Vec<f64> = tokens.values().copied().collect();
    all.sort_by(f64::total_cmp);
    let Some(middle) = all.get(all.len() / 2).copied() else { return };
    for (name, said) in tokens {
        if let Some(level) = known.get_mut(name) {
            level.thinks = round((said / middle).clamp(0.3, 3.0) as f32);
        }
    }
}

/// The regression on clues, measured by leaving out all models whose name begins with the same word.
fn guess(models: &[&Model], known: &mut BTreeMap<String, Level>, thought: f64) -> Guess {
    let rows: Vec<(String, Example)> = models
        .iter()
        .filter_map(|model| {
            let level = known.get(&*model.id)?;
            let weight = (f64::from(level.sd).powi(2) + 0.1).recip();
            let numbers = Clues::of(model).numbers().to_vec();
            Some((model.id.to_string(), (numbers, f64::from(level.level), weight)))
        })
        .collect();
    let first = |name: &str| name.split(['-', '.', '/']).next().unwrap_or(name).to_owned();
    let with = |coefficients: Vec<f64>| Guess { coefficients, sd: 1.0, thought: 0.0 };
    let lines: BTreeSet<String> = rows.iter().map(|(name, _)| first(name)).collect();
    let (mut off, mut count) = (0.0, 0.0);
    for line in lines {
        let others: Vec<_> = rows
            .iter()
            .filter(|(name, _)| first(name) != line)
            .map(|(_, row)| row.clone())
            .collect();
        let guess = with(ridge(&others, GUESS_RIDGE));
        for model in models.iter().filter(|model| first(&model.id) == line) {
            if let Some(level) = known.get(&*model.id) {
                off += f64::from(guess.by_clues(&Clues::of(model)) - level.level).powi(2);
                count += 1.0;
            }
        }
    }
    let all: Vec<_> = rows.iter().map(|(_, row)| row.clone()).collect();
    // Six digits are more than enough, and the same on every machine.
    let coefficients = ridge(&all, GUESS_RIDGE).into_iter().map(|one| (one * 1e6).round() / 1e6);
    let mut guess = with(coefficients.collect());
    guess.sd = round((off / f64::max(count, 1.0)).sqrt() as f32);
    guess.thought = round(thought as f32);
    for model in models {
        if let Some(level) = known.get_mut(&*model.id) {
            level.beyond = Some(round(level.level - guess.by_clues(&Clues::of(model))));
        }
    }
    guess
}

/// Levels that rest on little are drawn towards what their models' prices and sizes say.
fn believe(models: &[&Model], known: &mut BTreeMap<String, Level>, guess: &Guess, misfit: f32) {
    for model in models {
        let Some(level) = known.get_mut(&*model.id) else { continue };
        let clues = Clues::of(model);
        let said = guess.by_clues(&clues);
        // What the line may be off by is off for all of them.
        let own = (level.sd.powi(2) - misfit * misfit).max(0.01).recip();
        let other = (guess.sd.powi(2) + GUESS_SD.powi(2)).recip();
        level.level = round((level.level * own + said * other) / (own + other));
        level.sd = round(((own + other).recip() + misfit * misfit).sqrt());
    }
    in_order(known);
    for model in models {
        if let Some(level) = known.get_mut(&*model.id) {
            level.beyond = Some(round(level.level - guess.by_clues(&Clues::of(model))));
        }
    }
}

/// What the model loses at each effort that it takes.
fn set_efforts(level: &mut Level, efforts: Efforts, usual: f64) {
    if efforts.is_empty() {
        level.thought = 0.0;
        return;
    }
    if level.thought == 0.0 {
        level.thought = round(usual as f32);
    }
    let top = efforts.iter().last().map_or(0.0, |top| depth(top).loses);
    let at = |effort: Effort| round(level.thought * (top - depth(effort).loses).min(0.0));
    level.efforts = efforts.iter().map(|effort| (effort, at(effort))).collect();
}
