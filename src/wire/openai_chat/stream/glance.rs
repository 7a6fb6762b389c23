//! A look at chunks that pass unread.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::DONE;
use crate::wire::frame::Frame;
use crate::wire::frame::skim::{Text, texts};
use crate::wire::glance::{Choices, Glance, UnreadableEvent, Voice, read};
use crate::wire::openai_chat::reply;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    /// In the place of the delta; where both are, it repeats all that was said (Perplexity).
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

/// What a text is, by the members around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The delta itself.
    Delta,
    /// A label, which says nothing.
    Label,
    /// The names and arguments of calls are words of the answer, the ids are not.
    Calls,
    Heard(Voice),
    /// Part of the answer, but no words.
    Mute,
}

fn mark(outside: Mark, key: &str) -> Mark {
    match (outside, key) {
        (_, "type") | (Mark::Delta, "role") => Mark::Label,
        (Mark::Delta, "content" | "refusal") => Mark::Heard(Voice::Said),
        (Mark::Delta, "reasoning_content" | "reasoning") => Mark::Heard(Voice::Thought),
        (Mark::Delta, "tool_calls" | "function_call") => Mark::Calls,
        // Mistral's content is a list of items.
        (Mark::Heard(Voice::Said), "thinking") => Mark::Heard(Voice::Thought),
        (Mark::Heard(voice), "text") => Mark::Heard(voice),
        (Mark::Calls, "function" | "custom") => Mark::Calls,
        (Mark::Calls, "name" | "arguments" | "input") => Mark::Heard(Voice::Said),
        _ => Mark::Mute,
    }
}

pub(in crate::wire::openai_chat) fn glance(
    frame: &Frame<'_>,
    hear: &mut dyn FnMut(Voice, &str),
) -> Result<Glance, UnreadableEvent> {
    if frame.data.starts_with(DONE) {
        return Ok(Glance::default());
    }
    read(frame.data, |chunk: Chunk<'_>| {
        let mut glance = Glance::default();
        for choice in chunk.choices.into_iter().flatten() {
            let number = Choices::one(choice.index.unwrap_or(0));
            glance.choices.add(number);
            if !choice.finish_reason.as_str().is_empty() {
                glance.finished.add(number);
                glance.gave_up |= reply::gives_up(choice.finish_reason.as_str());
            }
            let Some(delta) = choice.delta.or(choice.message) else { continue };
            texts(delta.get(), Mark::Delta, &mark, &mut |mark, text| {
                glance.speaks |= mark != Mark::Label;
                if let Mark::Heard(voice) = mark {
                    hear(voice, text);
                }
            });
        }
        glance
    })
}

/// Whether a message says anything.
pub(in crate::wire::openai_chat) fn says(message: &str) -> bool {
    let mut says = false;
    texts(message, Mark::Delta, &mark, &mut |mark, _| says |= mark != Mark::Label);
    says
}
