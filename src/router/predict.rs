//! How good an answer each model is likely to give, and how long.

use std::borrow::Cow;

use super::expect::{Asked, Expected, Table};
use super::levels::Levels;
use super::neural::{FormatError, Prompt, View, Weights};
use crate::catalogue::Catalogue;
use crate::wire::vocab::{Body, Part, Request, Role, Turn};

/// What this build carries.
static BUILTIN: &[u8] = include_bytes!("../../router-models/auto-1/weights.bin");

/// A last message shorter than this, in bytes, is read with the one before: "and in French?".
const SHORT_BYTES: usize = 40;

/// A trained router with what is known of a catalogue's models. Deterministic: the same prompt and
/// model give the same prediction.
#[derive(Debug)]
pub struct Predictor {
    weights: Weights,
    table: Table,
}

/// What a prompt demands.
#[derive(Debug)]
pub struct Demand {
    view: View,
    /// What a model of usual verbosity is expected to say, in tokens.
    length: f32,
}

impl Demand {
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
        0.6 + 0.6 * self.view.novelty
    }

    /// What thinking before the answer adds: from 0, nothing, over 1, it helps, to 2, it takes it.
    #[must_use]
    pub fn thinking(&self) -> f32 {
        ((self.need() - 2.0) / 1.5).clamp(0.0, 2.0)
    }

    /// Which class of models it takes: 1, any of 3 to 8 billion parameters; 2, a good small one; 3,
    /// a middle one; 4, a frontier model of 2026; 5, such a model with long thinking.
    #[must_use]
    pub fn need(&self) -> f32 {
        need(self.view.ease, &ANCHORS)
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

/// Levels of the classes of models that [`Demand::need`] counts in, from 1 to 5.
const ANCHORS: [f32; 5] = [0.2, 1.2, 1.8, 2.7, 3.5];
/// Log-odds of a good answer, .8, that a model of the class a prompt needs is taken to have.
const ENOUGH: f32 = 1.386;

/// The class whose models have just enough of a level for a prompt of this ease.
fn need(ease: f32, anchors: &[f32; 5]) -> f32 {
    let level = ENOUGH - ease;
    let (mut need, mut below) = (1.0, f32::NAN);
    for anchor in anchors {
        if below.is_finite() {
            need += ((level - below) / (anchor - below)).clamp(0.0, 1.0);
        }
        below = *anchor;
    }
    need
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The text of a turn: borrowed if it is one piece, as it mostly is.
fn text(turn: &Turn) -> Cow<'_, str> {
    let mut pieces = turn.parts.iter().filter_map(|part| match &part.body {
        Body::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let first = pieces.next().unwrap_or_default();
    match pieces.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let mut all = format!("{first}\n{second}");
            for piece in pieces {
                all.push('\n');
                all.push_str(piece);
            }
            Cow::Owned(all)
        }
    }
}

/// What is asked: the last thing its user said, with the one before where that says little.
#[must_use]
pub fn question(request: &Request) -> Cow<'_, str> {
    let mut said = request.turns.iter().rev().filter(|turn| turn.role == Role::User).map(text);
    // Turns that only hand in what a tool said are no question.
    let Some(last) = said.by_ref().find(|text| !text.is_empty()) else { return Cow::Borrowed("") };
    if last.len() >= SHORT_BYTES {
        return last;
    }
    match said.find(|text| !text.is_empty()) {
        Some(before) => Cow::Owned(format!("{before}\n{last}")),
        None => last,
    }
}

impl Predictor {
    /// With the levels that this build carries.
    #[must_use]
    pub fn new(weights: Weights, catalogue: &Catalogue) -> Self {
        // A test reads them: they are there.
        Self::with(weights, &Levels::builtin().unwrap_or_default(), catalogue)
    }

    #[must_use]
    pub fn with(weights: Weights, levels: &Levels, catalogue: &Catalogue) -> Self {
        let table = Table::new(&weights, levels, catalogue);
        Self { weights, table }
    }

    /// The weights that this build carries.
    ///
    /// # Errors
    /// Never, unless the build itself is broken: a test reads them.
    pub fn builtin() -> Result<Weights, FormatError> {
        Weights::from_bytes(BUILTIN)
    }

    /// What decisions are labelled with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.weights.meta.id
    }

    #[must_use]
    pub fn demand(&self, request: &Request) -> Demand {
        let text = question(request);
        let prompt = Prompt { text: &text, tools: request.tools.len() };
        let view = self.weights.view(prompt);
        Demand { length: view.length.exp(), view }
    }

    /// The sum of a text's words, as the networks get it.
    #[must_use]
    pub fn embedding(&self, text: &str) -> Vec<f32> {
        let turns = vec![Turn::new(Role::User, vec![Part::text(text)])];
        let request = Request { turns, ..Request::default() };
        self.demand(&request).view.embedding.to_vec()
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
        correction: &dyn Fn(usize) -> f32,
    ) -> Expected {
        self.table.expect(&self.weights, demand, asked, correction)
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
    fn a_short_question_is_read_with_the_one_before() {
        let asked = said(&["Prove that there are infinitely many primes.", "and now?", ""]);
        assert_eq!(question(&asked), "Prove that there are infinitely many primes.\nand now?");
        let asked = said(&["Hello", "Explain how a gateway routes requests, in detail."]);
        assert_eq!(question(&asked), "Explain how a gateway routes requests, in detail.");
        assert_eq!(question(&Request::default()), "");
    }

    #[test]
    fn a_greeting_is_easier_than_a_proof() {
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &Catalogue::default());
        let easy = predictor.demand(&said(&["Hello, how are you?"])).difficulty();
        let hard = predictor.demand(&said(&["Prove that for every prime $p$ the congruence $x^2 \\equiv -1 \\pmod p$ has a solution if and only if $p \\equiv 1 \\pmod 4$. Find the sum of all such $p < 10000$."])).difficulty();
        assert!(easy < hard, "{easy} {hard}");
    }
}
