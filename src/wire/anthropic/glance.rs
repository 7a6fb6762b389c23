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
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(default)]
    message: Option<Message>,
}

/// A message that begins with something in it goes on with one that had ended.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    stop_reason: Option<IgnoredAny>,
}

/// What a text of a block or of its delta is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Block,
    Label,
    Reason,
    Heard(Voice),
    Mute,
}

fn mark(outside: Mark, key: &str) -> Mark {
    match (outside, key) {
        (Mark::Block, "type") => Mark::Label,
        (Mark::Block, "text" | "partial_json" | "name") => Mark::Heard(Voice::Said),
        (Mark::Block, "thinking") => Mark::Heard(Voice::Thought),
        (Mark::Block, "stop_reason") => Mark::Reason,
        _ => Mark::Mute,
    }
}

pub(super) fn glance(
    frame: &Frame<'_>,
    hear: &mut dyn FnMut(Voice, &str),
) -> Result<Glance, UnreadableEvent> {
    read(frame.data, |event: Event<'_>| {
        let mut glance = Glance { choices: Choices::one(0), ..Glance::default() };
        match event.kind.as_str() {
            "message_start" => {
                let content = event.message.and_then(|message| message.content);
                glance.speaks = content.is_some_and(|blocks| !blocks.is_empty());
            }
            "content_block_start" | "content_block_delta" | "message_delta" => {
                let inside = event.content_block.or(event.delta).map_or("null", RawValue::get);
                texts(inside, Mark::Block, &mark, &mut |mark, text| match mark {
                    Mark::Block | Mark::Label => {}
                    Mark::Reason => glance.finished = Choices::one(0),
                    Mark::Heard(voice) => {
                        glance.speaks = true;
                        hear(voice, text);
                    }
                    Mark::Mute => glance.speaks = true,
                });
            }
            "ping" | "content_block_stop" | "message_stop" => {}
            _ => glance.speaks = true,
        }
        glance
    })
}

pub(super) fn is_hollow(body: &[u8]) -> bool {
    serde_json::from_slice::<Message>(body).is_ok_and(|message| {
        message.stop_reason.is_none() && message.content.is_some_and(|blocks| blocks.is_empty())
    })
}
