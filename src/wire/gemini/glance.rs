//! A look at chunks that pass unread.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::reply;
use crate::wire::frame::Frame;
use crate::wire::frame::skim::{Text, texts};
use crate::wire::glance::{Choices, Glance, UnreadableEvent, Voice, read};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default, rename = "promptFeedback", alias = "prompt_feedback")]
    feedback: Option<Value>,
}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default, rename = "finishReason", alias = "finish_reason")]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(borrow, default, rename = "functionCall", alias = "function_call")]
    call: Option<&'a RawValue>,
}

/// Whether a part says anything, and what of it is words.
fn look(raw: &str, hear: &mut dyn FnMut(Voice, &str)) -> bool {
    if let Ok(part) = serde_json::from_str::<Part<'_>>(raw) {
        let voice = if part.thought.unwrap_or_default() { Voice::Thought } else { Voice::Said };
        hear(voice, part.text.as_str());
        if let Some(call) = part.call {
            hear(Voice::Said, call.get());
        }
    }
    let mut says = false;
    texts(raw, (), &|(), _| (), &mut |(), _| says = true);
    says
}

pub(super) fn glance(
    frame: &Frame<'_>,
    hear: &mut dyn FnMut(Voice, &str),
) -> Result<Glance, UnreadableEvent> {
    read(frame.data, |chunk: Chunk<'_>| {
        let mut glance = Glance::default();
        for candidate in chunk.candidates.into_iter().flatten() {
            let number = Choices::one(candidate.index.unwrap_or(0));
            glance.choices.add(number);
            if !candidate.finish_reason.as_str().is_empty() {
                glance.finished.add(number);
                glance.gave_up |= reply::gives_up(candidate.finish_reason.as_str());
            }
            let parts = candidate.content.and_then(|content| content.parts);
            for part in parts.into_iter().flatten() {
                glance.speaks |= look(part.get(), hear);
            }
        }
        if chunk.feedback.as_ref().is_some_and(reply::is_blocked) {
            glance.choices.add(Choices::one(0));
            glance.finished.add(Choices::one(0));
        }
        glance
    })
}

pub(super) fn is_hollow(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Chunk<'_>>(body) else { return false };
    let blocked = answer.feedback.as_ref().is_some_and(reply::is_blocked);
    !blocked
        && answer.candidates.into_iter().flatten().all(|candidate| {
            let parts = candidate.content.and_then(|content| content.parts);
            candidate.finish_reason.as_str().is_empty()
                && !parts.into_iter().flatten().any(|part| look(part.get(), &mut |_, _| {}))
        })
}
