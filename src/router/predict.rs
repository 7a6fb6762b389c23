//! How good an answer each model is likely to give, and how long.

use super::Corrections;
use super::able::Able;
use super::asked::{form, question};
use super::expect::{Asked, Expected, Table};
use super::levels::Levels;
use super::neural::{FormatError, Prompt, Scale, Signs, View, Weights};
use super::promise::Promises;
use crate::catalogue::Catalogue;
use crate::wire::vocab::{Part, Request, Role, Turn};

/// What this build carries: `router-models/auto-2/weights.bin` without its signs, which `build.rs` cuts off.
static BUILTIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weights.bin"));

/// A trained router with what is known of a catalogue's models. Deterministic: the same prompt and
/// model give the same prediction.
#[derive(Debug)]
pub struct Predictor {
    weights: Weights,
    able: Able,
    table: Table,
    promises: Promises,
}

/// What a prompt demands.
#[derive(Debug)]
pub struct Demand {
    view: View,
    /// What a model of usual verbosity is expected to say, in tokens.
    length: f32,
}

impl Demand {
    /// As it was read before.
    pub(super) fn of(view: View, length: f32) -> Self {
        Self { view, length }
    }

    /// What the networks make of the prompt.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// What a model of usual verbosity is expected to say, in tokens.
    pub(super) fn length(&self) -> f32 {
        self.length
    }

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

    /// How much what was learned of prompts like it is believed, from 0 to 1.
    #[must_use]
    pub fn belief(&self) -> f32 {
        self.view.belief
    }

    /// The likeliest of the subjects and tasks of training, by its place.
    #[must_use]
    pub fn domain(&self) -> Option<u8> {
        self.view.domains.first().filter(|(_, share)| *share > 0.0).map(|(place, _)| *place)
    }

    /// How much it is like everyday prompts, against questions of benchmarks: from 0 to 1.
    #[must_use]
    pub fn everyday(&self) -> f32 {
        self.view.everyday
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
    /// With the levels that this build carries.
    #[must_use]
    pub fn new(weights: Weights, catalogue: &Catalogue) -> Self {
        // A test reads them: they are there.
        Self::with(weights, &Levels::builtin().unwrap_or_default(), catalogue)
    }

    #[must_use]
    pub fn with(mut weights: Weights, levels: &Levels, catalogue: &Catalogue) -> Self {
        // A handful of a catalogue's models are old enough to have been tried: to look up what single
        // words say of those would take a tenth of a decision.
        weights.signs = Signs::default();
        let table = Table::new(&weights, levels, catalogue);
        let promises = Promises::builtin(&weights.meta.id);
        Self { weights, able: Able::new(catalogue), table, promises }
    }

    /// The weights that this build carries, without signs: those are in the file that they were made from.
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
        Demand { length: view.length.exp(), view }
    }

    /// What the dials promise.
    #[must_use]
    pub fn promises(&self) -> &Promises {
        &self.promises
    }

    /// The source that a subject or task of training is of.
    #[must_use]
    pub fn source_of(&self, domain: u8) -> Option<&str> {
        let name = self.weights.meta.domains.get(usize::from(domain))?;
        name.split_once('/').map(|(source, _)| source)
    }

    /// What a model's level rests on, in words.
    #[must_use]
    pub fn rests_on(&self, catalogue: &Catalogue, model: &str) -> Option<String> {
        let place = catalogue.models().iter().position(|one| &*one.id == model)?;
        self.table.level(place).map(|level| level.rests_on.to_string())
    }

    /// The sum of a text's words, as the networks get it.
    #[must_use]
    pub fn embedding(&self, text: &str) -> Vec<f32> {
        let turns = vec![Turn::new(Role::User, vec![Part::text(text)])];
        let request = Request { turns, ..Request::default() };
        self.demand(&request).view.embedding.to_vec()
    }

    /// What the models can do.
    pub(super) fn able(&self) -> &Able {
        &self.able
    }

    /// What is known of the models.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// What is expected of every model at every effort.
    pub(super) fn expect(
        &self,
        demand: &Demand,
        asked: &Asked<'_>,
        corrections: Corrections<'_>,
    ) -> Expected {
        self.table.expect(&self.weights, demand, asked, corrections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(texts: &[&str]) -> Request {
        let turn = |text: &&str| Turn::new(Role::User, vec![Part::text(*text)]);
        Request { turns: texts.iter().map(turn).collect(), ..Request::default() }
    }

    #[test]
    fn what_is_carried_is_the_trained_router_without_its_signs() {
        let trained = include_bytes!("../../router-models/auto-2/weights.bin");
        let trained = Weights::from_static(trained).unwrap();
        assert_ne!(trained.signs, Signs::default());
        let carried = Weights { signs: Signs::default(), ..trained };
        assert_eq!(Predictor::builtin().unwrap(), carried);
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
