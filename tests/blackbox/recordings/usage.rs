//! What recorded answers say of tokens, whole and streamed: every token in one kind, and all of
//! them the totals that the provider gives.

use optimux::wire::codec;
use optimux::wire::frame::Frame;
use optimux::wire::vocab::{Dialect, Event, Usage};
use serde_json::Value;

use super::rows;

fn number(usage: &Value, name: &str) -> u64 {
    usage.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether it is what the provider's own object says in all.
fn is_all(usage: &Usage) -> bool {
    let Some((dialect, raw)) = &usage.raw else { return false };
    let count = |name: &str| number(raw, name);
    let (prompt, completion) = match dialect {
        Dialect::OpenAiChat => {
            // What is counted beside, the total holds.
            let (prompt, completion) = (count("prompt_tokens"), count("completion_tokens"));
            return usage.total() == count("total_tokens").max(prompt + completion);
        }
        Dialect::OpenAiResponses => (count("input_tokens"), count("output_tokens")),
        Dialect::Anthropic => {
            let iterations = raw.get("iterations").and_then(Value::as_array);
            let compacted =
                iterations.into_iter().flatten().filter(|one| one["type"] == "compaction");
            let (mut prompt, mut completion) = (0, 0);
            for one in std::iter::once(raw).chain(compacted) {
                prompt += number(one, "input_tokens")
                    + number(one, "cache_creation_input_tokens")
                    + number(one, "cache_read_input_tokens");
                completion += number(one, "output_tokens");
            }
            (prompt, completion)
        }
        Dialect::Gemini => (
            count("promptTokenCount") + count("toolUsePromptTokenCount"),
            count("candidatesTokenCount") + count("thoughtsTokenCount"),
        ),
    };
    (usage.prompt(), usage.completion()) == (prompt, completion)
}

#[test]
fn every_recorded_answer_adds_up() {
    let (mut whole, mut streamed, mut apart, mut wrong) = (0, 0, 0, Vec::new());
    for row in rows().into_iter().filter(|row| row.status == 200) {
        let codec = codec(row.api);
        if let Some(body) = &row.body
            && let Some(usage) = codec.usage(body.to_string().as_bytes())
        {
            whole += 1;
            apart += usize::from(!usage.more.is_nothing());
            if !is_all(&usage) {
                wrong.push((row.id.clone(), usage));
            }
        }
        let Some(stream) = &row.stream else { continue };
        let (mut reader, mut events, mut tapped) = (codec.reader(), Vec::new(), None::<Usage>);
        let mut take = |frame: Frame<'_>| {
            if reader.read(&frame, &mut events).is_ok()
                && let Some(later) = codec.tap(frame.data).usage
            {
                tapped = Some(match tapped.take() {
                    Some(earlier) => earlier.updated(later),
                    None => later,
                });
            }
        };
        // Several answers in a row were one recording.
        let answers = ["\"message_start\"", "\"response.completed\""];
        if answers.iter().any(|start| stream.matches(start).count() > 1) {
            continue;
        }
        let mut splitter = codec.splitter(32 << 20);
        if splitter.feed(stream.as_bytes(), &mut take).is_err() {
            continue;
        }
        splitter.finish(&mut take);
        let read = events.into_iter().rev().find_map(|event| match event {
            Event::Usage(usage) => Some(usage),
            _ => None,
        });
        let (Some(read), Some(tapped)) = (read, tapped) else { continue };
        streamed += 1;
        // Read or passed on unread, it is the same.
        let same = Usage { raw: None, ..read.clone() } == Usage { raw: None, ..tapped };
        if !is_all(&read) || !same {
            wrong.push((row.id.clone(), read));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), whole + streamed);
    assert!(whole > 500 && streamed > 200 && apart > 20, "{whole} {streamed} {apart}");
}
