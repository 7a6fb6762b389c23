//! What a request needs of a model, whatever it asks.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Capabilities, Capability, Modality};
use crate::wire::vocab::{
    Body, Effort, Format, Media, MediaKind, MediaSource, Part, Reasoning, Request, RiskyMembers,
    Sampling, Tool, ToolChoice, ToolKind,
};
use crate::wire::{FILE_TOKENS, PICTURE_TOKENS};

/// What a model must be able to do to be asked at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Needs {
    pub capabilities: Capabilities,
    pub modalities: Vec<Modality>,
    /// A rough count: four bytes of text to a token, fixed sums for media.
    pub input_tokens: u64,
    pub max_output_tokens: Option<u64>,
    /// How hard the caller wishes it to be thought about, where it says so.
    pub effort: Option<Effort>,
    /// What is asked for explicitly, beyond what holds anyway.
    pub explicit: RiskyMembers,
}

/// What a tool's place in the prompt takes beside its words, in tokens.
const TOKENS_PER_TOOL: u64 = 10;

impl Needs {
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut needs = Self {
            max_output_tokens: request.max_output_tokens,
            effort: request.reasoning.as_ref().and_then(wished),
            ..Self::default()
        };
        let mut bytes = 0_u64;
        for turn in request.instructions.iter().chain(&request.turns) {
            for part in &turn.parts {
                bytes = bytes.saturating_add(needs.add_part(part));
            }
        }
        for tool in &request.tools {
            bytes = bytes.saturating_add(size_of_tool(tool));
        }
        needs.input_tokens += bytes.div_ceil(4) + 4 * request.turns.len() as u64;
        if !request.tools.is_empty() {
            needs.capabilities.add(Capability::Tools);
            needs.input_tokens += TOKENS_PER_TOOL * request.tools.len() as u64;
        }
        if matches!(request.format, Some(Format::Schema { .. })) {
            needs.capabilities.add(Capability::JsonSchema);
        }
        needs.explicit = explicit(&request.sampling).and(RiskyMembers::of(&[(
            matches!(
                request.tool_choice,
                Some(
                    ToolChoice::Required
                        | ToolChoice::Named(_)
                        | ToolChoice::Among { required: true, .. }
                )
            ),
            RiskyMembers::TOOL_CHOICE,
        )]));
        needs
    }

    /// Takes in what a part asks for; its words in bytes.
    fn add_part(&mut self, part: &Part) -> u64 {
        match &part.body {
            Body::Text(text) | Body::Refusal(text) => text.len() as u64,
            Body::Thought(thought) => thought.text.len() as u64,
            Body::Call(call) => {
                (call.name.len() + call.arguments.as_ref().map_or(0, String::len)) as u64
            }
            // What a tool came back with is looked at like all else.
            Body::Outcome(outcome) => {
                let object = outcome.json.as_ref().map_or(0, |json| json.to_string().len() as u64);
                let parts = outcome.parts.iter().map(|part| self.add_part(part));
                object.saturating_add(parts.fold(0, u64::saturating_add))
            }
            Body::Media(media) => self.add_media(media),
            Body::Opaque(_, value) => match &part.words {
                Some(words) => words.len() as u64,
                None => value.to_string().len() as u64,
            },
        }
    }

    fn add_media(&mut self, media: &Media) -> u64 {
        let (modality, capability, tokens) = match (media.kind, &media.source) {
            (_, MediaSource::Text(text)) => return text.len() as u64,
            // A file of text is read as text by every model.
            (MediaKind::File, source) if is_text(media) => {
                return match source {
                    MediaSource::Inline(data) => data.len() as u64 * 3 / 4,
                    _ => 0,
                };
            }
            (MediaKind::Image, _) => (Some(Modality::Image), Capability::Vision, PICTURE_TOKENS),
            (MediaKind::Audio, _) => (Some(Modality::Audio), Capability::AudioIn, FILE_TOKENS),
            (MediaKind::Video, _) => (Some(Modality::Video), Capability::VideoIn, FILE_TOKENS),
            (MediaKind::File, _) => (None, Capability::Pdf, FILE_TOKENS),
        };
        self.capabilities.add(capability);
        self.input_tokens = self.input_tokens.saturating_add(tokens);
        if let Some(modality) = modality.filter(|one| !self.modalities.contains(one)) {
            self.modalities.push(modality);
        }
        0
    }
}

/// A wish to think as an effort, in whichever unit it was said.
fn wished(reasoning: &Reasoning) -> Option<Effort> {
    match (reasoning.budget, reasoning.effort, reasoning.enabled) {
        (_, _, Some(false)) | (Some(0), ..) => Some(Effort::None),
        (Some(tokens), ..) if tokens > 0 => Effort::of_budget(tokens),
        (_, Some(effort), _) => Some(effort),
        (Some(_), None, _) | (None, None, Some(true)) => Some(Effort::Medium),
        (None, None, None) => None,
    }
}

/// The words of a tool's declaration in bytes: its name, what it is for, its arguments.
fn size_of_tool(tool: &Tool) -> u64 {
    let size = match &tool.kind {
        ToolKind::Function { name, description, parameters, .. } => {
            name.len()
                + description.as_ref().map_or(0, String::len)
                + parameters.as_ref().map_or(0, |schema| schema.to_string().len())
        }
        ToolKind::Opaque(_, value) => value.to_string().len(),
    };
    size as u64
}

fn is_text(media: &Media) -> bool {
    media.mime.as_deref().is_some_and(|mime| mime.starts_with("text/"))
}

/// Settings that say something other than what holds anyway.
fn explicit(sampling: &Sampling) -> RiskyMembers {
    let other = |number: &Option<serde_json::Number>, usual: f64| {
        number
            .as_ref()
            .and_then(serde_json::Number::as_f64)
            .is_some_and(|said| (said - usual).abs() > 1e-9)
    };
    RiskyMembers::of(&[
        (other(&sampling.temperature, 1.0), RiskyMembers::TEMPERATURE),
        (other(&sampling.top_p, 1.0), RiskyMembers::TOP_P),
        (sampling.top_k.is_some(), RiskyMembers::TOP_K),
        (other(&sampling.frequency_penalty, 0.0), RiskyMembers::FREQUENCY_PENALTY),
        (other(&sampling.presence_penalty, 0.0), RiskyMembers::PRESENCE_PENALTY),
        (sampling.logprobs == Some(true), RiskyMembers::LOGPROBS),
        (!sampling.stop.is_empty(), RiskyMembers::STOP),
        (sampling.n.is_some_and(|n| n > 1), RiskyMembers::N),
        (sampling.seed.is_some(), RiskyMembers::SEED),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;
    use crate::wire::vocab::Dialect;
    use serde_json::{Value, json};

    fn needs(dialect: Dialect, body: &Value) -> Needs {
        Needs::of(&codec(dialect).decode_request(body.to_string().as_bytes()).unwrap())
    }

    /// A call, and what its tool came back with, in every dialect that lets a tool return media.
    fn returned(dialect: Dialect, media: &str) -> Option<Value> {
        let data = "QUJD";
        Some(match (dialect, media) {
            (Dialect::OpenAiResponses, "image") => json!({"model": "m", "input": [
                {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": [
                    {"type": "input_image", "image_url": format!("data:image/png;base64,{data}")}]}]}),
            (Dialect::OpenAiResponses, _) => json!({"model": "m", "input": [
                {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": [
                    {"type": "input_file", "file_data": format!("data:application/pdf;base64,{data}")}]}]}),
            (Dialect::Anthropic, _) => {
                let (kind, mime) = match media {
                    "image" => ("image", "image/png"),
                    _ => ("document", "application/pdf"),
                };
                json!({"model": "m", "max_tokens": 9, "messages": [
                    {"role": "user", "content": "go"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "look", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [
                        {"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}}]}]}]})
            }
            (Dialect::Gemini, _) => {
                let mime = if media == "image" { "image/png" } else { "application/pdf" };
                json!({"contents": [
                    {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
                    {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {},
                        "parts": [{"inlineData": {"mimeType": mime, "data": data}}]}}]}]})
            }
            (Dialect::OpenAiChat, _) => return None,
        })
    }

    #[test]
    fn what_tools_come_back_with_is_looked_at_and_counted() {
        for dialect in Dialect::ALL {
            for (media, capability, tokens) in [
                ("image", Capability::Vision, PICTURE_TOKENS),
                ("file", Capability::Pdf, FILE_TOKENS),
            ] {
                let Some(body) = returned(dialect, media) else { continue };
                let needs = needs(dialect, &body);
                assert!(needs.capabilities.has(capability), "{dialect:?} {media}");
                assert!((tokens..tokens + 100).contains(&needs.input_tokens), "{needs:?}");
            }
        }
    }

    #[test]
    fn tools_count_by_their_words() {
        let counted = |description: &str| {
            let tool = json!({"type": "function", "function": {"name": "f", "description": description,
                "parameters": {"type": "object", "properties": {}}}});
            let body = json!({"model": "m", "tools": vec![tool; 10],
                "messages": [{"role": "user", "content": "hi"}]});
            needs(Dialect::OpenAiChat, &body).input_tokens
        };
        let (terse, wordy) = (counted(""), counted(&"word ".repeat(1_000)));
        assert!(terse < 500, "{terse}");
        assert!((10_000..20_000).contains(&wordy), "{wordy}");
    }
}
