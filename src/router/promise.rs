//! What each dial keeps of the best candidate's good answers, at least: measured by `optimux router
//! promise` on prompts that were not trained on, by group of tasks, kept in `router-models/promises.json`,
//! embedded. For a prompt that is unlike what training saw, what holds for groups that it never saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Dial;

/// What this build carries.
static BUILTIN: &str = include_str!("../../router-models/promises.json");

/// What was kept at one dial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtDial {
    /// As [`Dial::quality`] has it.
    pub dial: f64,
    /// Prompts that the best single model answers well.
    pub prompts: u64,
    /// The share of them that was answered well.
    pub kept: f64,
    /// The least that this share is, with the confidence of all.
    pub least: f64,
}

/// What was kept on a group of tasks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PromiseGroup {
    /// Where training saw others of its prompts.
    pub known: Vec<AtDial>,
    /// Where it saw none of their kind.
    pub shifted: Vec<AtDial>,
}

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Promises {
    /// The weights that it holds for.
    pub router: String,
    pub confidence: f64,
    /// A prompt of which less is believed is taken to be unlike what training saw: but for one in ten,
    /// those of the groups are believed more.
    pub belief: f32,
    /// By the name of a group: a source of training rows.
    pub groups: BTreeMap<String, PromiseGroup>,
}

/// What is promised of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Promise {
    /// Of prompts of its group that the best candidate answers well, the share that is answered well, at
    /// least.
    pub least: f64,
    pub confidence: f64,
    pub group: String,
    /// It is unlike what training saw: the promise is that for groups which it never saw.
    pub shifted: bool,
    /// How many prompts it was measured on.
    pub prompts: u64,
}

impl Promises {
    /// Those that this build carries; none for other weights than they were measured with.
    #[must_use]
    pub fn builtin(router: &str) -> Self {
        let built: Self = serde_json::from_str(BUILTIN).unwrap_or_default();
        if built.router == router { built } else { Self::default() }
    }

    /// As a file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What a dial promises of a prompt of a group, by how far what was learned of it is believed. A dial
    /// between two promises what the lower does; one below all, nothing.
    #[must_use]
    pub fn of(&self, dial: Dial, group: &str, belief: f32) -> Option<Promise> {
        let found = self.groups.get(group)?;
        let shifted = belief < self.belief;
        let at = |all: &[AtDial]| {
            let lower = all.iter().filter(|one| one.dial <= dial.quality());
            lower.max_by(|one, other| one.dial.total_cmp(&other.dial)).cloned()
        };
        let known = at(&found.known)?;
        let one = if shifted {
            // Where nobody measured it, nothing is promised.
            let other = at(&found.shifted)?;
            if other.least < known.least { other } else { known }
        } else {
            known
        };
        (one.prompts > 0).then(|| Promise {
            least: one.least,
            confidence: self.confidence,
            group: group.to_owned(),
            shifted,
            prompts: one.prompts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dial: f64, least: f64) -> AtDial {
        AtDial { dial, prompts: 100, kept: least, least }
    }

    #[test]
    fn what_is_unlike_training_is_promised_less() {
        let group = PromiseGroup {
            known: vec![at(0.125, 0.8), at(0.5, 0.9), at(1.0, 0.97)],
            shifted: vec![at(0.125, 0.6), at(0.5, 0.95), at(1.0, 0.9)],
        };
        let promises = Promises {
            router: "r".to_owned(),
            confidence: 0.95,
            belief: 0.4,
            groups: BTreeMap::from([("mmlu".to_owned(), group)]),
        };
        let of = |dial: f64, belief: f32| {
            promises.of(Dial::new(dial).unwrap(), "mmlu", belief).map(|one| one.least)
        };
        assert_eq!(of(1.0, 0.7), Some(0.97));
        assert_eq!(of(0.7, 0.7), Some(0.9), "what the dial below keeps");
        assert_eq!(of(0.05, 0.7), None);
        assert_eq!(of(1.0, 0.1), Some(0.9));
        assert_eq!(of(0.5, 0.1), Some(0.9), "never more than where it is known");
        assert_eq!(promises.of(Dial::BEST, "other", 0.7), None);
        let text = promises.to_text();
        assert_eq!(serde_json::from_str::<Promises>(&text).unwrap(), promises);
    }

    #[test]
    fn what_is_carried_is_of_the_weights_that_are_carried() {
        let built: Promises = serde_json::from_str(BUILTIN).unwrap();
        let weights = crate::router::Predictor::builtin().unwrap();
        assert_eq!(built.router, weights.meta.id);
        assert_eq!(built.to_text(), BUILTIN);
    }
}
