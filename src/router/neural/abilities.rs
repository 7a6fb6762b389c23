//! Which abilities a model is taken to have: its own, its family's, or those that its price and its
//! size speak for.

use super::names::{clues, family};
use super::net::dot;
use super::view::{Ability, Weights};

/// How far the skills that go with a level are believed of a model that was never tried.
const UNTRIED: f32 = 0.3;

/// What thinking first is worth to a model that was never tried, in log-odds: less than half of what
/// o1-mini has over gpt-4o-mini.
const REASONING: f32 = 0.4;

impl Weights {
    fn named(&self, name: &str) -> Option<&Ability> {
        let place = self.meta.models.iter().position(|model| model.name == name)?;
        self.abilities.get(place)
    }

    /// The abilities of the model that goes by this name in the weights.
    #[must_use]
    pub fn ability_of(&self, name: &str) -> Option<&Ability> {
        self.named(name)
    }

    /// A model's abilities. Prices are in USD per million tokens.
    #[must_use]
    pub fn ability(&self, name: &str, price_in: Option<f64>, price_out: Option<f64>) -> Ability {
        if let Some(own) = self.named(name) {
            return own.clone();
        }
        if let Some(sibling) = self.named(&format!("family:{}", family(name))) {
            return sibling.clone();
        }
        self.of_level(dot(&clues(name, price_in, price_out), &self.meta.level_by))
    }

    /// The abilities of a model of a catalogue, whose price may change without its answers changing:
    /// its own, its family's, or its tier's. `tier` counts from the cheapest.
    #[must_use]
    pub fn ability_in_tier(&self, name: &str, tier: usize, reasons: bool) -> Ability {
        let known = self.named(name).or_else(|| self.named(&format!("family:{}", family(name))));
        if let Some(known) = known {
            return known.clone();
        }
        let levels = &self.meta.level_by_tier;
        let level = levels.get(tier).or(levels.last()).copied().unwrap_or(0.0);
        self.of_level(level + if reasons { REASONING } else { 0.0 })
    }

    /// The abilities that go with a level, where nothing else is known of a model.
    #[must_use]
    pub fn of_level(&self, level: f32) -> Ability {
        let [base, slope] = &self.unknown;
        let skills = base.skills.iter().zip(&slope.skills);
        Ability {
            level,
            skills: skills.map(|(base, slope)| (base + slope * level) * UNTRIED).collect(),
            verbosity: base.verbosity,
            domains: Box::default(),
            signs: Box::default(),
        }
    }
}
