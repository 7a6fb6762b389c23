//! A look at events that pass unread.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::wire::frame::Frame;
use crate::wire::frame::skim::{Text, texts};
use crate::wire::glance::{Choices, Glance, UnreadableEvent, Voice, read};

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    delta: Text<'a>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
    #[serde(default)]
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    output: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    output_tokens: Option<u64>,
}

impl Response {
    /// `completed` is a status, not a reason: an answer with nothing in it has none.
    fn is_hollow(&self) -> bool {
        let counted = self.usage.as_ref().and_then(|usage| usage.output_tokens).unwrap_or(0);
        self.output.as_ref().is_none_or(Vec::is_empty) && counted == 0
    }
}

/// What a text of an item or a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Label,
    /// The name of a function.
    Name,
    Mute,
}

fn mark(_: Mark, key: &str) -> Mark {
    match key {
        "type" | "id" | "status" | "role" | "phase" => Mark::Label,
        "name" => Mark::Name,
        _ => Mark::Mute,
    }
}

/// Whose words the delta of an event is; `None` for sound.
fn voice(kind: &str) -> Option<Voice> {
    if kind.contains("reasoning") {
        Some(Voice::Thought)
    } else if kind.contains("audio.") {
        None
    } else {
        Some(Voice::Said)
    }
}

pub(super) fn glance(
    frame: &Frame<'_>,
    hear: &mut dyn FnMut(Voice, &str),
) -> Result<Glance, UnreadableEvent> {
    if frame.data.starts_with(b"[DONE]") {
        return Ok(Glance::default());
    }
    read(frame.data, |event: Event<'_>| {
        let kind = event.kind.0.as_deref().unwrap_or(frame.event);
        let mut glance = Glance { choices: Choices::one(0), ..Glance::default() };
        match kind {
            "response.created" | "response.queued" | "response.in_progress" | "keepalive" => {}
            "response.completed" if event.response.as_ref().is_none_or(Response::is_hollow) => {}
            "response.completed" | "response.incomplete" => glance.finished = glance.choices,
            "response.output_item.added" | "response.content_part.added" => {
                let added = event.item.or(event.part).map_or("null", RawValue::get);
                texts(added, Mark::Mute, &mark, &mut |mark, text| {
                    glance.speaks |= mark != Mark::Label;
                    if mark == Mark::Name {
                        hear(Voice::Said, text);
                    }
                });
            }
            kind if kind.rsplit('.').next() == Some("delta") => {
                let delta = event.delta.as_str();
                glance.speaks = !delta.is_empty();
                if let Some(voice) = voice(kind) {
                    hear(voice, delta);
                }
            }
            _ => glance.speaks = true,
        }
        glance
    })
}

pub(super) fn is_hollow(body: &[u8]) -> bool {
    serde_json::from_slice::<Response>(body).is_ok_and(|response| {
        // One that is still under way has nothing yet, and never will: nobody asks for it again.
        matches!(response.status.as_deref(), Some("completed" | "queued" | "in_progress"))
            && response.is_hollow()
    })
}
