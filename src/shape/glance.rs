//! Whether a body that would pass as it is may need anything, found without decoding it. To say
//! "perhaps" too often costs time; to say "no" wrongly would cost a refusal.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::content::{canonical, is_text, unwanted_thoughts};
use super::draft::TargetModel;
use crate::catalogue::{Forced, Param, SchemaSubset, TokenLimit};
use crate::wire::openai_responses::is_our_own;
use crate::wire::vocab::{Dialect, Protocol, RequestHead, RiskyMembers, ThinkingStyle};

/// What is looked for in nearly every body. To prepare a search costs more than to search a short body.
static ASSISTANT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"assistant\""));
static DATA: [LazyLock<Finder<'static>>; 2] =
    [LazyLock::new(|| Finder::new("ata:")), LazyLock::new(|| Finder::new("ATA:"))];

fn has(body: &[u8], needle: &str) -> bool {
    memmem::find(body, needle.as_bytes()).is_some()
}

/// Whether a body in the model's own dialect may have to be changed.
#[must_use]
pub fn may_need(head: &RequestHead, body: &[u8], model: &TargetModel<'_>) -> bool {
    let facts = model.facts;
    let refused = |param: &Param| match param.said() {
        Some(said) => head.said.has(said),
        None => match param {
            Param::Other(name) => has(body, &format!("\"{name}\"")),
            Param::MaxTokens => head.max_output_tokens.is_some(),
            _ => false,
        },
    };
    if facts.refuses.iter().any(|refusal| refused(&refusal.param)) {
        return true;
    }
    let chat = model.protocol == Protocol::Dialect(Dialect::OpenAiChat);
    let wrong_limit = match facts.token_limit {
        Some(TokenLimit::MaxCompletionTokens) => RiskyMembers::MAX_TOKENS,
        Some(TokenLimit::MaxTokens) => RiskyMembers::MAX_COMPLETION_TOKENS,
        _ if model.max_tokens_only => RiskyMembers::MAX_COMPLETION_TOKENS,
        _ => RiskyMembers::default(),
    };
    if chat && head.said.has(wrong_limit) {
        return true;
    }
    if head.said.has(RiskyMembers::REASONING) && facts.thinking.manner != ThinkingStyle::Unknown {
        let plain =
            head.effort.is_some_and(|effort| facts.thinking_on(model.protocol).efforts.has(effort));
        if !plain {
            return true;
        }
    }
    if head.said.has(RiskyMembers::TOOLS) && tools_may(head, body, model) {
        return true;
    }
    let formed = matches!(
        facts.schema,
        Some(SchemaSubset::Anthropic | SchemaSubset::JsonObject | SchemaSubset::None)
    );
    let formed = formed || model.refused_form;
    if head.said.has(RiskyMembers::FORMAT) && formed {
        return true;
    }
    if head.said.has(RiskyMembers::TEMPERATURE)
        && facts.temperature_max.is_some_and(|most| most < 2.0)
    {
        return true;
    }
    if head.said.has(RiskyMembers::STOP) && facts.stop_max.is_some() {
        return true;
    }
    (!facts.developer && has(body, "\"developer\""))
        || ((facts.call_id_length.is_some() || facts.call_id_max.is_some())
            && (has(body, "\"tool_call") || has(body, "\"call_id\"")))
        || (!facts.prefill && ends_with_assistant(body))
        || (chat
            && ASSISTANT.find(body).is_some()
            && unwanted_thoughts(facts.thoughts).any(|name| has(body, &format!("\"{name}\""))))
        || unproven(body, model)
        || odd_media(body, model)
}

/// Whether earlier reasoning may be there that its dialect's maker has neither signed nor sealed.
fn unproven(body: &[u8], model: &TargetModel<'_>) -> bool {
    match model.protocol {
        Protocol::Dialect(Dialect::Anthropic) => {
            let proofs = memmem::find_iter(body, b"\"signature\"").map(|at| at + 11);
            let mut signed = 0;
            for at in proofs {
                if string_after(body, at).is_none_or(<[u8]>::is_empty) {
                    return true;
                }
                signed += 1;
            }
            let empty = |name: &str| {
                memmem::find_iter(body, name.as_bytes())
                    .any(|at| string_after(body, at + name.len()).is_some_and(<[u8]>::is_empty))
            };
            // The wish to think is an object of another type.
            types(body, b"thinking") > signed
                || empty("\"encrypted_index\"")
                || has(body, "\"char_location\"")
                || (has(body, "\"redacted_thinking\"") && empty("\"data\""))
        }
        Protocol::Dialect(Dialect::OpenAiResponses) => {
            let ids = memmem::find_iter(body, b"\"rs_").map(|at| body.get(at + 1..));
            ids.flatten().any(|id| {
                let end = memchr::memchr(b'"', id).unwrap_or(0);
                std::str::from_utf8(id.get(..end).unwrap_or_default()).is_ok_and(is_our_own)
            })
        }
        _ => false,
    }
}

/// How many objects say that they are of a type.
fn types(body: &[u8], kind: &[u8]) -> usize {
    let types = memmem::find_iter(body, b"\"type\"").map(|at| at + 6);
    types.filter(|at| string_after(body, *at) == Some(kind)).count()
}

fn tools_may(head: &RequestHead, body: &[u8], model: &TargetModel<'_>) -> bool {
    let facts = model.facts;
    if !facts.tools || (!facts.tools_with_schema && head.said.has(RiskyMembers::FORMAT)) {
        return true;
    }
    if facts.forced != Forced::Yes && head.said.has(RiskyMembers::TOOL_CHOICE) {
        return true;
    }
    let Some(rule) = &facts.tool_name else { return false };
    // Any member called "name" counts, whoever's it is.
    memmem::find_iter(body, b"\"name\"").any(|at| {
        let value = string_after(body, at + 6);
        value.is_some_and(|name| std::str::from_utf8(name).is_ok_and(|name| !rule.takes(name)))
    })
}

/// The text that is the value of a key which ends at `at`; `None` for a value of another kind.
fn string_after(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..)?;
    let start =
        rest.iter().position(|byte| !matches!(byte, b' ' | b':' | b'\n' | b'\t' | b'\r'))?;
    let inner = rest.get(start..)?.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inner)?;
    inner.get(..end)
}

/// Whether the last turn is the assistant's, as far as the last role that is named tells.
fn ends_with_assistant(body: &[u8]) -> bool {
    let mut end = body.len();
    while let Some(at) = memmem::rfind(body.get(..end).unwrap_or_default(), b"\"role\"") {
        match string_after(body, at + 6) {
            Some(b"assistant") => return true,
            Some(b"user") => return false,
            // A property of that name in some schema.
            _ => end = at,
        }
    }
    false
}

/// Whether a media type is spelled in an unusual way, or is a text file's where only PDF will do.
fn odd_media(body: &[u8], model: &TargetModel<'_>) -> bool {
    let odd = |mime: &[u8]| {
        std::str::from_utf8(mime).is_ok_and(|mime| {
            // PHP writes `image\/jpg`: what it says is known once it is decoded.
            if mime.contains('\\') {
                return true;
            }
            let text = is_text(mime);
            let chat = model.protocol == Protocol::Dialect(Dialect::OpenAiChat);
            canonical(mime) != mime || (text && (chat || model.is_anthropic()))
        })
    };
    match model.protocol {
        Protocol::Dialect(Dialect::OpenAiChat | Dialect::OpenAiResponses) => {
            // `"data:TYPE;base64,`, in the cases that people write: `data`, `Data` and `DATA`.
            DATA.iter().flat_map(|data| data.find_iter(body)).any(|at| {
                let scheme = at.checked_sub(2).and_then(|start| body.get(start..at + 3));
                if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"\"data")) {
                    return false;
                }
                let meta = body.get(at + 4..).unwrap_or_default();
                let meta = meta.get(..meta.len().min(200)).unwrap_or_default();
                let end = memchr::memchr(b',', meta).unwrap_or(0);
                let meta = meta.get(..end).unwrap_or_default();
                meta.strip_suffix(b";base64").is_none_or(odd)
            })
        }
        Protocol::Dialect(Dialect::Anthropic) => memmem::find_iter(body, b"\"media_type\"")
            .any(|at| string_after(body, at + 12).is_some_and(odd)),
        Protocol::Dialect(Dialect::Gemini) => {
            let camel = memmem::find_iter(body, b"\"mimeType\"").map(|at| at + 10);
            let snake = memmem::find_iter(body, b"\"mime_type\"").map(|at| at + 11);
            camel.chain(snake).any(|at| string_after(body, at).is_some_and(odd))
        }
        Protocol::Bedrock => false,
    }
}
