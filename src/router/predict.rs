//! How good an answer each model is likely to give, and how long.

use super::able::Able;
use super::asked::{form, question};
use super::corrections::Corrections;
use super::demand::PromptDemand;
use super::expect::{Expectations, Table, Weighing};
use super::levels::Levels;
use super::neural::{FormatError, Prompt, Signs, Weights};
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
    pub fn demand(&self, request: &Request) -> PromptDemand {
        let text = question(request);
        let prompt = Prompt { text: &text, tools: request.tools.len(), form: form(request) };
        let view = self.weights.view(prompt);
        let length = view.length.exp();
        PromptDemand::of(view, length)
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
        self.demand(&request).view().embedding.to_vec()
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
        demand: &PromptDemand,
        asked: &Weighing<'_>,
        corrections: Corrections<'_>,
    ) -> Expectations {
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
            assert!(easy.length() < 150.0, "{}", easy.length());
        }
        let chapter = of("Write a 1,500-word chapter of a novel in which two sisters meet again.");
        assert!(chapter.length() > 1_200.0, "{}", chapter.length());
        for demand in [&proof, &chapter] {
            assert!((0.3..2.0).contains(&demand.unsure()), "{}", demand.unsure());
        }
    }
}
