//! What a request needs of a model, whatever it asks.

use crate::catalogue::{Capabilities, Capability, Modality};
use crate::wire::vocab::{
    Body, Format, Media, MediaKind, Request, Said, Sampling, Source, ToolChoice,
};

/// What a model must be able to do to be asked at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    pub capabilities: Capabilities,
    pub modalities: Vec<Modality>,
    /// A rough count: four bytes of text to a token, fixed sums for media.
    pub input_tokens: u64,
    pub max_output_tokens: Option<u64>,
    /// What is asked for explicitly, beyond what holds anyway.
    pub explicit: Said,
}

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
                            // A file of text is read as text by every model.
                            MediaKind::File if is_text(media) => {
                                if let Source::Inline(data) = &media.source {
                                    bytes += data.len() as u64 * 3 / 4;
                                }
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
        needs.explicit = explicit(&request.sampling).and(Said::of(&[(
            matches!(
                request.tool_choice,
                Some(
                    ToolChoice::Required
                        | ToolChoice::Named(_)
                        | ToolChoice::Among { required: true, .. }
                )
            ),
            Said::TOOL_CHOICE,
        )]));
        needs
    }
}

fn is_text(media: &Media) -> bool {
    media.mime.as_deref().is_some_and(|mime| mime.starts_with("text/"))
}

/// Settings that say something other than what holds anyway.
fn explicit(sampling: &Sampling) -> Said {
    let other = |number: &Option<serde_json::Number>, usual: f64| {
        number
            .as_ref()
            .and_then(serde_json::Number::as_f64)
            .is_some_and(|said| (said - usual).abs() > 1e-9)
    };
    Said::of(&[
        (other(&sampling.temperature, 1.0), Said::TEMPERATURE),
        (other(&sampling.top_p, 1.0), Said::TOP_P),
        (sampling.top_k.is_some(), Said::TOP_K),
        (other(&sampling.frequency_penalty, 0.0), Said::FREQUENCY_PENALTY),
        (other(&sampling.presence_penalty, 0.0), Said::PRESENCE_PENALTY),
        (sampling.logprobs == Some(true), Said::LOGPROBS),
        (!sampling.stop.is_empty(), Said::STOP),
        (sampling.n.is_some_and(|n| n > 1), Said::N),
        (sampling.seed.is_some(), Said::SEED),
    ])
}
