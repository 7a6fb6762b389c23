//! How good an answer each model is likely to give, and how long.

use super::asked::{form, question};
use super::neural::{Ability, FormatError, Prompt, Scale, Signs, View, Weights};
use crate::catalogue::{Capability, Catalogue};
use crate::wire::vocab::Request;

/// What this build carries.
static BUILTIN: &[u8] = include_bytes!("../../router-models/auto-2/weights.bin");

/// Log-odds that a model which cannot think first loses when it is asked to.
const WITHOUT_THOUGHT: f32 = 1.0;
/// What models that think first write, against what they say.
const THOUGHT: f32 = 2.0;

/// What is expected of a model on a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Probability of a good answer.
    pub quality: f32,
    pub output_tokens: u64,
}

/// A trained router with the abilities of a catalogue's models. Deterministic: the same prompt and
/// model give the same prediction.
#[derive(Debug)]
pub struct Predictor {
    weights: Weights,
    /// Those that differ: siblings of a family, and models of which only a tier is known, are taken
    /// to be alike, and are worked out once for a prompt.
    minds: Vec<Mind>,
    /// The mind of each model, in the catalogue's order.
    places: Vec<usize>,
}

/// Abilities as a prompt meets them.
#[derive(Debug, PartialEq)]
struct Mind {
    ability: Ability,
    /// How many times the usual length it writes: its verbosity, out of the logarithm.
    spoken: f32,
    reasons: bool,
}

/// What is expected of every model on one prompt.
#[derive(Debug)]
pub struct Predictions<'a> {
    places: &'a [usize],
    /// By mind: log-odds of a good answer, and what goes with them.
    minds: Vec<(f32, Prediction)>,
}

impl Predictions<'_> {
    /// What is expected of the model at `place` of the catalogue. `correction` is what an account
    /// has found out about it, in log-odds.
    #[must_use]
    pub fn of(&self, place: usize, correction: f32) -> Prediction {
        let mind = self.places.get(place).and_then(|mind| self.minds.get(*mind));
        match mind {
            None => Prediction { quality: 0.0, output_tokens: 0 },
            Some((_, prediction)) if correction == 0.0 => *prediction,
            Some((logit, prediction)) => {
                Prediction { quality: sigmoid(logit + correction), ..*prediction }
            }
        }
    }
}

/// What a prompt demands, and whether thought was asked for.
#[derive(Debug)]
pub struct Demand {
    view: View,
    /// What a model of usual verbosity is expected to say, in tokens.
    length: f32,
    thought: bool,
}

impl Demand {
    /// Log-odds that a model of level 0 answers well: the higher, the easier.
    #[must_use]
    pub fn ease(&self) -> f32 {
        self.view.ease
    }

    /// How far the ease may be off: a standard deviation, in log-odds.
    #[must_use]
    pub fn unsure(&self) -> f32 {
        self.view.unsure
    }

    /// What thinking before the answer adds: from 0, nothing, over 1, it helps, to 2, it takes it.
    #[must_use]
    pub fn thinking(&self) -> f32 {
        self.view.thinking
    }

    /// Which class of models it takes: 1, any of 3 to 8 billion parameters; 2, a good small one; 3,
    /// a middle one; 4, a frontier model of 2026; 5, such a model with long thinking.
    #[must_use]
    pub fn need(&self) -> f32 {
        Scale::default().need(self.view.ease)
    }

    /// From 0, which any model answers, to 1, which few do.
    #[must_use]
    pub fn difficulty(&self) -> f32 {
        1.0 - sigmoid(self.view.ease)
    }

    /// From 0, like what the router was trained on, to 1, like nothing it has seen.
    #[must_use]
    pub fn novelty(&self) -> f32 {
        self.view.novelty
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

impl Predictor {
    #[must_use]
    pub fn new(mut weights: Weights, catalogue: &Catalogue) -> Self {
        // A handful of a catalogue's models are old enough to have been tried: to look up what single
        // words say of those would take a tenth of a decision.
        weights.signs = Signs::default();
        let mut minds: Vec<Mind> = Vec::new();
        let places = catalogue.models().iter().map(|model| {
            let reasons = model.capabilities.has(Capability::Reasoning);
            let known = weights.ability_in_tier(&model.id, model.tier as usize, reasons);
            let ability = Ability { signs: Box::default(), ..known };
            let spoken = ability.verbosity.exp();
            let mind = Mind { ability, spoken, reasons };
            minds.iter().position(|known| *known == mind).unwrap_or_else(|| {
                minds.push(mind);
                minds.len() - 1
            })
        });
        let places = places.collect();
        Self { weights, minds, places }
    }

    /// The weights that this build carries.
    ///
    /// # Errors
    /// Never, unless the build itself is broken: a test reads them.
    pub fn builtin() -> Result<Weights, FormatError> {
        Weights::from_static(BUILTIN)
    }

    /// What decisions are labelled with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.weights.meta.id
    }

    #[must_use]
    pub fn demand(&self, request: &Request) -> Demand {
        let text = question(request);
        let prompt = Prompt { text: &text, tools: request.tools.len(), form: form(request) };
        let view = self.weights.view(prompt);
        Demand { length: view.length.exp(), view, thought: request.reasoning.is_some() }
    }

    /// What is expected of every model.
    #[must_use]
    pub fn predict(&self, demand: &Demand) -> Predictions<'_> {
        let minds = self.minds.iter().map(|mind| {
            let mut logit = self.weights.logit(&demand.view, &mind.ability);
            if demand.thought && !mind.reasons {
                logit -= WITHOUT_THOUGHT;
            }
            let spoken = (demand.length * mind.spoken).clamp(16.0, 4_096.0);
            let written = if mind.reasons { spoken * (1.0 + THOUGHT) } else { spoken };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 16 and 12,288"
            )]
            let output_tokens = written as u64;
            (logit, Prediction { quality: sigmoid(logit), output_tokens })
        });
        Predictions { places: &self.places, minds: minds.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::{Part, Role, Turn};

    fn said(texts: &[&str]) -> Request {
        let turn = |text: &&str| Turn::new(Role::User, vec![Part::text(*text)]);
        Request { turns: texts.iter().map(turn).collect(), ..Request::default() }
    }

    #[test]
    fn a_greeting_is_easier_than_a_proof() {
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &Catalogue::default());
        let easy = predictor.demand(&said(&["Hello, how are you?"])).difficulty();
        let hard = predictor.demand(&said(&["Prove that for every prime $p$ the congruence $x^2 \\equiv -1 \\pmod p$ has a solution if and only if $p \\equiv 1 \\pmod 4$. Find the sum of all such $p < 10000$."])).difficulty();
        assert!(easy < hard, "{easy} {hard}");
    }

    #[test]
    fn everyday_prompts_take_what_they_take() {
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &Catalogue::default());
        let of = |text: &str| predictor.demand(&said(&[text]));
        let proof = of("Prove that every bounded sequence of real numbers has a convergent \
                        subsequence, without using nested intervals, and give the sharpest rate \
                        that can be had for sequences of bounded variation.");
        for easy in
            ["Hello, how are you?", "What is the capital of Australia?", "capital of australia"]
        {
            let easy = of(easy);
            assert!(easy.need() < 1.9, "{}", easy.need());
            assert!(easy.need() < proof.need() && easy.difficulty() < proof.difficulty());
            assert!(easy.thinking() < proof.thinking());
            assert!(easy.length < 150.0, "{}", easy.length);
        }
        let chapter = of("Write a 1,500-word chapter of a novel in which two sisters meet again.");
        assert!(chapter.length > 1_200.0, "{}", chapter.length);
        for demand in [&proof, &chapter] {
            assert!((0.3..2.0).contains(&demand.unsure()), "{}", demand.unsure());
        }
    }
}
