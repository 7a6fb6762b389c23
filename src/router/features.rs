//! What can be seen of a request without asking anybody: what it needs, and how hard it looks.
//! Bounded in time: only the head and the tail of a long conversation are read.

use crate::catalogue::{Capabilities, Capability, Modality};
use crate::wire::vocab::{Body, Format, MediaKind, Request, Role, Source, Turn};

/// What a model must be able to do to be asked at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    pub capabilities: Capabilities,
    pub modalities: Vec<Modality>,
    /// A rough count: four bytes of text to a token, fixed sums for media.
    pub input_tokens: u64,
    pub max_output_tokens: Option<u64>,
}

/// Signs of difficulty, each from 0 to 1 unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// Characters of the last user message.
    pub prompt_chars: usize,
    pub code: f32,
    pub mathematics: f32,
    pub reasoning: f32,
    pub constraints: f32,
    pub tools: f32,
    pub turns: usize,
    pub wants_reasoning: bool,
}

/// At most so many bytes of a message are looked at, half from each end.
const READ_BYTES: usize = 8_192;
/// What one image counts for; providers charge from 85 to about 1,600.
const TOKENS_PER_IMAGE: u64 = 800;
const TOKENS_PER_FILE: u64 = 3_000;

impl Needs {
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut needs = Self { max_output_tokens: request.max_output_tokens, ..Self::default() };
        let mut bytes = 0_u64;
        let modality = |needs: &mut Self, one: Modality, capability: Capability| {
            needs.capabilities.add(capability);
            if !needs.modalities.contains(&one) {
                needs.modalities.push(one);
            }
        };
        for turn in request.instructions.iter().chain(&request.turns) {
            for part in &turn.parts {
                match &part.body {
                    Body::Text(text) | Body::Refusal(text) => bytes += text.len() as u64,
                    Body::Thought(thought) => bytes += thought.text.len() as u64,
                    Body::Call(call) => {
                        bytes += call.arguments.as_ref().map_or(0, String::len) as u64;
                    }
                    Body::Outcome(outcome) => bytes += outcome.text().len() as u64,
                    Body::Media(media) => {
                        if let Source::Text(text) = &media.source {
                            bytes += text.len() as u64;
                            continue;
                        }
                        match media.kind {
                            MediaKind::Image => {
                                modality(&mut needs, Modality::Image, Capability::Vision);
                                needs.input_tokens += TOKENS_PER_IMAGE;
                            }
                            MediaKind::Audio => {
                                modality(&mut needs, Modality::Audio, Capability::AudioIn);
                                needs.input_tokens += TOKENS_PER_FILE;
                            }
                            MediaKind::Video => {
                                modality(&mut needs, Modality::Video, Capability::VideoIn);
                                needs.input_tokens += TOKENS_PER_FILE;
                            }
                            MediaKind::File => {
                                needs.capabilities.add(Capability::Pdf);
                                needs.input_tokens += TOKENS_PER_FILE;
                            }
                        }
                    }
                    Body::Opaque(_, value) => bytes += value.to_string().len() as u64,
                }
            }
        }
        needs.input_tokens += bytes.div_ceil(4) + 4 * request.turns.len() as u64;
        if !request.tools.is_empty() {
            needs.capabilities.add(Capability::Tools);
            needs.input_tokens += 100 * request.tools.len() as u64;
        }
        if matches!(request.format, Some(Format::Schema { .. })) {
            needs.capabilities.add(Capability::JsonSchema);
        }
        needs
    }
}

impl Features {
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut features = Self {
            turns: request.turns.len(),
            wants_reasoning: request.reasoning.is_some(),
            ..Self::default()
        };
        features.tools = share(request.tools.len(), 8);
        let last = request.turns.iter().rev().find(|turn| turn.role == Role::User);
        for text in last.into_iter().flat_map(Turn::texts) {
            features.prompt_chars += text.len();
            features.read(ends(text).0);
            features.read(ends(text).1);
        }
        features
    }

    fn read(&mut self, text: &str) {
        let lower = text.to_ascii_lowercase();
        let count = |words: &[&str]| words.iter().filter(|word| lower.contains(**word)).count();
        self.code = self.code.max(share(
            count(&[
                "```",
                "fn ",
                "def ",
                "class ",
                "import ",
                "function",
                "sql",
                "regex",
                "compile",
                "refactor",
                "unit test",
                "stack trace",
            ]),
            4,
        ));
        self.mathematics = self.mathematics.max(share(
            count(&[
                "prove",
                "integral",
                "equation",
                "theorem",
                "probability",
                "derivative",
                "matrix",
                "\\frac",
                "solve for",
                "how many",
            ]),
            3,
        ));
        self.reasoning = self.reasoning.max(share(
            count(&[
                "why",
                "analy",
                "compare",
                "trade-off",
                "tradeoff",
                "step by step",
                "implications",
                "evaluate",
                "design",
                "strategy",
                "plan ",
                "explain how",
            ]),
            4,
        ));
        self.constraints = self.constraints.max(share(
            count(&[
                "must", "exactly", "at least", "at most", "do not", "without", "only", "format",
                "json", "table",
            ]),
            6,
        ));
    }

    /// From 0, which any model answers, to 1, which few do.
    #[must_use]
    pub fn difficulty(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "a rough measure")]
        let length = ((self.prompt_chars as f32 / 200.0).ln_1p() / 4.0).min(1.0);
        let score = 0.05
            + 0.25 * length
            + 0.25 * self.code
            + 0.30 * self.mathematics
            + 0.25 * self.reasoning
            + 0.15 * self.constraints
            + 0.15 * self.tools
            + if self.wants_reasoning { 0.2 } else { 0.0 };
        score.clamp(0.0, 1.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn share(count: usize, full: usize) -> f32 {
    (count as f32 / full as f32).min(1.0)
}

/// The beginning and the end of a text, cut at characters.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= READ_BYTES {
        return (text, "");
    }
    let half = READ_BYTES / 2;
    let head = (0..=half).rev().find_map(|at| text.get(..at)).unwrap_or_default();
    let tail = (text.len() - half..text.len()).find_map(|at| text.get(at..)).unwrap_or_default();
    (head, tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::Part;

    fn asking(text: &str) -> Request {
        Request { turns: vec![Turn::new(Role::User, vec![Part::text(text)])], ..Request::default() }
    }

    #[test]
    fn a_greeting_is_easier_than_a_proof() {
        let easy = Features::of(&asking("Hello")).difficulty();
        let hard = Features::of(&asking(
            "Prove the theorem step by step and evaluate the integral; why must the matrix be regular?",
        ))
        .difficulty();
        assert!(easy < 0.15 && hard > 0.5, "{easy} {hard}");
    }

    #[test]
    fn a_long_text_is_cut_at_characters() {
        let text = "é".repeat(10_000);
        let (head, tail) = ends(&text);
        assert!(head.len() <= READ_BYTES / 2 && tail.len() <= READ_BYTES / 2);
    }
}
