//! What a model is taken to be worth of which nobody has published anything: by its price, size,
//! context and whether it thinks, moved by how its kin differ from what theirs say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Level, Name, RestsOn};
use crate::catalogue::{Capability, Model, TokenKind};

/// What is known of a model before anybody has asked it anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clues<'a> {
    pub name: &'a str,
    /// USD per million tokens; `None` where nobody has said.
    pub price_in: Option<f64>,
    pub price_out: Option<f64>,
    pub thinks: bool,
    pub context_tokens: u64,
}

/// How many numbers clues come to.
pub const COUNT: usize = 8;

/// Kin whose nearness adds up to this are believed by half.
const HALF: f32 = 0.25;
/// From this nearness on a level is said to rest on its family.
const FAMILY: f32 = 0.15;
/// What the nearest of kin explains at most of what the clues leave open.
const EXPLAINS: f32 = 0.75;
/// How far the levels are off, on average, that the clues were fitted to: a standard deviation.
const LEARNED_SD: f32 = 0.45;

impl<'a> Clues<'a> {
    #[must_use]
    pub fn of(model: &'a Model) -> Self {
        let usd = |kind| {
            let usd = model.least.of(kind).as_usd();
            // A price of nothing says nothing.
            (usd > 0.0).then_some(usd)
        };
        Self {
            name: &model.id,
            price_in: usd(TokenKind::Input),
            price_out: usd(TokenKind::Output),
            thinks: model.capabilities.has(Capability::Reasoning),
            context_tokens: model.context_tokens,
        }
    }

    /// As numbers: a constant, log prices, the log size and whether it is known, the log context,
    /// whether it thinks, whether it has a price.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rough measure")]
    pub fn numbers(&self) -> [f64; COUNT] {
        let log = |usd: Option<f64>, else_: f64| usd.map_or(else_, |usd| usd.max(0.01).ln());
        let size = Name::read(self.name).size();
        let context = (self.context_tokens.max(1_024) as f64).ln() - 12.0;
        [
            1.0,
            log(self.price_in, 0.0),
            log(self.price_out, 1.0),
            size.map_or(0.0, |size| f64::from(size.clamp(0.5, 2_000.0)).ln() - 3.0),
            f64::from(u8::from(size.is_some())),
            context,
            f64::from(u8::from(self.thinks)),
            f64::from(u8::from(self.price_out.is_some())),
        ]
    }
}

/// A ridge regression of levels on clues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guess {
    /// One for each of the [`Clues::numbers`].
    pub coefficients: Vec<f64>,
    /// How far it is off: a standard deviation, measured on models left out with their makers' line.
    pub sd: f32,
    /// What a model that thinks loses where it does not, on average.
    pub thought: f32,
}

impl Guess {
    /// By the clues alone.
    #[must_use]
    pub fn by_clues(&self, clues: &Clues<'_>) -> f32 {
        let numbers = clues.numbers();
        let level: f64 = numbers.iter().zip(&self.coefficients).map(|(one, by)| one * by).sum();
        #[expect(clippy::cast_possible_truncation, reason = "a level")]
        let level = level.clamp(-3.0, 8.0) as f32;
        level
    }

    /// With what is known of its kin.
    #[must_use]
    pub fn level(&self, clues: &Clues<'_>, known: &BTreeMap<String, Level>) -> Level {
        let name = Name::read(clues.name);
        let (mut sum, mut weights, mut leanings) = (0.0_f32, 0.0_f32, BTreeMap::new());
        let (mut nearest, mut most): (Option<(&str, &Level)>, f32) = (None, 0.0);
        for (other, level) in known {
            let Some(beyond) = level.beyond.filter(|_| other != clues.name) else { continue };
            let near = name.nearness(&Name::read(other));
            let weight = near * near;
            sum += weight * beyond;
            weights += weight;
            if near > most {
                (nearest, most) = (Some((other.as_str(), level)), near);
            }
        }
        let level = self.by_clues(clues) + sum / (weights + HALF);
        let family = nearest.filter(|_| most >= FAMILY);
        if let Some((_, kin)) = family.filter(|_| most > 0.5) {
            leanings = kin.leanings.iter().map(|(to, by)| (*to, round(by * most))).collect();
        }
        // What it was learned from is not certain either.
        let learned = family.map_or(LEARNED_SD, |(_, kin)| kin.sd);
        let kin_thought =
            family.map_or(
                self.thought,
                |(_, kin)| {
                    if kin.thought > 0.0 { kin.thought } else { self.thought }
                },
            );
        Level {
            level: round(level),
            sd: round((self.sd.powi(2) * (1.0 - EXPLAINS * most) + learned.powi(2)).sqrt()),
            thought: if clues.thinks { round(kin_thought) } else { 0.0 },
            thinks: family.map_or(1.0, |(_, kin)| kin.thinks),
            efforts: BTreeMap::new(),
            leanings,
            skills_of: None,
            beyond: None,
            rests_on: match family {
                Some((name, _)) => RestsOn::Family { nearest: name.to_owned() },
                None => RestsOn::Price,
            },
        }
    }
}

/// To thousandths: the file is to be read.
#[must_use]
pub fn round(number: f32) -> f32 {
    (number * 1_000.0).round() / 1_000.0
}
