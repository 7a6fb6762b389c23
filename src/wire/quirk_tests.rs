//! What servers leave out, or write otherwise than the dialect's maker does: whatever way a thing was
//! said, every caller gets it, whole and streamed, and nothing is made up.

use serde_json::{Value, json};

use super::frame::Frame;
use super::vocab::{Body, Dialect, Event, Protocol, Reply, Stop};
use super::{Heading, codec, provider_side, said};

const FRONTS: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini];
const CHAT: Protocol = Protocol::Dialect(Dialect::OpenAiChat);
const RESPONSES: Protocol = Protocol::Dialect(Dialect::OpenAiResponses);
const ANTHROPIC: Protocol = Protocol::Dialect(Dialect::Anthropic);
const GEMINI: Protocol = Protocol::Dialect(Dialect::Gemini);

/// What an answer says, however it is cut into parts.
#[derive(Debug, PartialEq, Default)]
struct Gist {
    text: String,
    thought: String,
    calls: Vec<(String, Value)>,
    cited: Vec<String>,
    ended: Option<Stop>,
}

fn gist(reply: &Reply) -> Gist {
    let mut gist = Gist::default();
    let Some(choice) = reply.choices.first() else { return gist };
    for part in &choice.turn.parts {
        match &part.body {
            Body::Text(text) => gist.text.push_str(text),
            Body::Thought(thought) => gist.thought.push_str(&thought.text),
            Body::Call(call) => {
                let arguments = call.arguments.as_deref().unwrap_or("{}");
                let arguments = serde_json::from_str(arguments).unwrap_or(json!(arguments));
                gist.calls.push((call.name.clone(), arguments));
            }
            _ => {}
        }
        gist.cited.extend(part.citations.iter().filter_map(|one| one.url.clone()));
    }
    gist.ended = choice.finish.as_ref().map(|finish| finish.why);
    gist
}

fn heading() -> Heading {
    Heading { id: "x_1".to_owned(), model: "m".to_owned(), ..Heading::default() }
}

fn read(from: Protocol, frames: &[Value]) -> Vec<Event> {
    let (mut reader, mut events) = (provider_side(from).reader(), Vec::new());
    for frame in frames {
        let data = frame.as_str().map_or_else(|| frame.to_string(), str::to_owned);
        reader.read(&Frame { event: "", data: data.as_bytes() }, &mut events).unwrap();
    }
    assert!(reader.finish(&mut events), "{frames:?}");
    events
}

/// What each caller of another dialect reads of a stream.
fn streamed(from: Protocol, frames: &[Value]) -> Vec<(Dialect, Gist)> {
    let events = read(from, frames);
    let fronts = FRONTS.into_iter().filter(|front| Protocol::Dialect(*front) != from);
    let told = fronts.map(|front| {
        let (mut writer, mut out) = (codec(front).writer(heading()), Vec::new());
        for event in &events {
            writer.write(std::slice::from_ref(event), &mut out);
        }
        writer.finish(&mut out);
        (front, gist(&said(front, &out, true).unwrap()))
    });
    told.collect()
}

fn whole(from: Protocol, answer: &Value) -> Vec<(Dialect, Gist)> {
    let reply = provider_side(from).decode_reply(answer.to_string().as_bytes()).unwrap();
    let fronts = FRONTS.into_iter().filter(|front| Protocol::Dialect(*front) != from);
    let told = fronts.map(|front| {
        let out = codec(front).encode_reply(&reply, &heading());
        (front, gist(&said(front, &out, false).unwrap()))
    });
    told.collect()
}

fn says(text: &str) -> Gist {
    Gist { text: text.to_owned(), ended: Some(Stop::End), ..Gist::default() }
}

fn calls(names: &[&str]) -> Gist {
    let calls = names.iter().map(|name| ((*name).to_owned(), json!({"a": 1}))).collect();
    Gist { calls, ended: Some(Stop::ToolCalls), ..Gist::default() }
}

fn check(all: Vec<(Dialect, Gist)>, wanted: &Gist, case: &str) {
    for (front, told) in all {
        assert_eq!(&told, wanted, "{case} for {front:?}");
    }
}

fn call_item() -> Value {
    json!({"type": "function_call", "id": "fc", "call_id": "c", "name": "w",
        "arguments": "{\"a\":1}", "status": "completed"})
}

fn message_item(text: &str) -> Value {
    let part = json!({"type": "output_text", "text": text, "annotations":
        [{"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0,
          "end_index": 1}]});
    json!({"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]})
}

fn thought_item() -> Value {
    json!({"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hm."}]})
}

/// A stream of Responses whose last event holds `output`.
fn responses(events: &[Value], output: &Value) -> Vec<Value> {
    let mut all = vec![json!({"type": "response.created", "response": {"id": "r", "model": "m"}})];
    all.extend_from_slice(events);
    all.push(json!({"type": "response.completed", "response":
        {"id": "r", "model": "m", "status": "completed", "output": output}}));
    all
}

#[test]
fn what_only_later_events_of_a_response_hold_is_told() {
    let all = json!([thought_item(), message_item("Hi"), call_item()]);
    let everything = Gist {
        text: "Hi".to_owned(),
        thought: "Hm.".to_owned(),
        cited: vec!["https://a.example/".to_owned()],
        ..calls(&["w"])
    };
    let begun = |item: &Value, name: &str| {
        let mut begun = item.clone();
        begun[name] = if name == "arguments" { json!("") } else { json!([]) };
        json!({"type": "response.output_item.added", "output_index": 0, "item": begun})
    };
    let done = |number: u64, item: Value| json!({"type": "response.output_item.done", "output_index": number, "item": item});
    // Nothing but the whole; items that are told as they end, and not as they begin.
    check(streamed(RESPONSES, &responses(&[], &all)), &everything, "the whole alone");
    let ends = [done(0, thought_item()), done(1, message_item("Hi")), done(2, call_item())];
    check(streamed(RESPONSES, &responses(&ends, &all)), &everything, "ends alone");
    check(streamed(RESPONSES, &responses(&ends, &json!([]))), &everything, "ends, and no whole");
    // A call whose arguments come at once, or without its beginning.
    let arguments = json!({"type": "response.function_call_arguments.done", "output_index": 0,
        "item_id": "fc", "arguments": "{\"a\":1}"});
    let piece = json!({"type": "response.function_call_arguments.delta", "output_index": 0,
        "item_id": "fc", "delta": "{\"a\":1}"});
    let call = begun(&call_item(), "arguments");
    for (case, events) in [
        ("arguments at once", vec![call.clone(), arguments.clone()]),
        ("arguments twice", vec![call.clone(), piece.clone(), arguments]),
        ("pieces without a beginning", vec![piece.clone(), done(0, call_item())]),
        ("no end", vec![call.clone(), piece]),
        ("within the beginning", vec![done(0, call_item())]),
    ] {
        let frames = responses(&events, &json!([call_item()]));
        check(streamed(RESPONSES, &frames), &calls(&["w"]), case);
    }
    // A text that comes at once; a text in pieces beside a call that only the whole has.
    let at = json!({"output_index": 0, "content_index": 0});
    let text = |kind: &str, name: &str| {
        let mut event = at.clone();
        event["type"] = json!(kind);
        event[name] = json!("Hi");
        event
    };
    let part = json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0,
        "part": {"type": "output_text", "text": ""}});
    let once = [part, text("response.output_text.done", "text")];
    check(streamed(RESPONSES, &responses(&once, &json!([]))), &says("Hi"), "a text at once");
    let pieces = [text("response.output_text.delta", "delta")];
    let frames = responses(&pieces, &json!([message_item("Hi"), call_item()]));
    let both = Gist { text: "Hi".to_owned(), ..calls(&["w"]) };
    check(streamed(RESPONSES, &frames), &both, "a text in pieces, a call in the whole");
    // A thought in pieces that nobody announced, with and without its end.
    let thought = json!({"type": "response.reasoning_summary_text.delta", "output_index": 0,
        "item_id": "r", "summary_index": 0, "delta": "Hm."});
    let thinks = Gist { thought: "Hm.".to_owned(), ..says("Hi") };
    let mut words = text("response.output_text.delta", "delta");
    words["output_index"] = json!(1);
    let heard = [thought.clone(), words.clone()];
    check(streamed(RESPONSES, &responses(&heard, &json!([]))), &thinks, "a thought, unannounced");
    let ended = [thought, done(0, thought_item()), words];
    check(streamed(RESPONSES, &responses(&ended, &json!([]))), &thinks, "a thought that ends");
}

#[test]
fn calls_that_bear_one_number_and_no_ids_are_told_apart() {
    let chunk = |delta: Value| json!({"id": "c", "choices": [{"index": 0, "delta": delta}]});
    let call = |name: Value, arguments: &str| {
        chunk(json!({"tool_calls": [{"index": 0, "type": "function",
            "function": {"name": name, "arguments": arguments}}]}))
    };
    let end =
        json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    let whole = "{\"a\":1}";
    for (case, frames, names) in [
        ("two at once", vec![call(json!("w"), whole), call(json!("v"), whole)], vec!["w", "v"]),
        ("twice the same", vec![call(json!("w"), whole), call(json!("w"), whole)], vec!["w", "w"]),
        (
            "in pieces",
            vec![
                call(json!("w"), "{\"a\""),
                call(json!(null), ":1}"),
                call(json!("v"), ""),
                call(json!(null), whole),
            ],
            vec!["w", "v"],
        ),
        // The name in every piece, of which the last is empty.
        (
            "repeated",
            vec![call(json!("w"), "{\"a\""), call(json!("w"), ":1}"), call(json!("w"), "")],
            vec!["w"],
        ),
        ("cut names", vec![call(json!("w"), ""), call(json!("_x"), whole)], vec!["w_x"]),
    ] {
        let frames: Vec<Value> = frames.into_iter().chain([end.clone(), json!("[DONE]")]).collect();
        check(streamed(CHAT, &frames), &calls(&names), case);
    }
}

#[test]
fn a_message_may_leave_out_beginnings_and_reasons() {
    let start =
        json!({"type": "message_start", "message": {"id": "m", "model": "m", "content": []}});
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |word: Value| json!({"type": "message_delta", "delta": {"stop_reason": word}});
    let last = json!({"type": "message_stop"});
    let text = delta(1, json!({"type": "text_delta", "text": "Hi"}));
    let more = delta(1, json!({"type": "text_delta", "text": " there"}));
    let thought = delta(0, json!({"type": "thinking_delta", "thinking": "Hm."}));
    let frames = [start.clone(), thought, text, more, stop(json!("end_turn")), last.clone()];
    let wanted = Gist { thought: "Hm.".to_owned(), ..says("Hi there") };
    check(streamed(ANTHROPIC, &frames), &wanted, "blocks without a beginning");
    let block =
        |block: Value| json!({"type": "content_block_start", "index": 0, "content_block": block});
    let text = block(json!({"type": "text", "text": "Hi"}));
    let call = block(json!({"type": "tool_use", "id": "t", "name": "w", "input": {"a": 1}}));
    for (case, said, wanted) in [("a text", text, says("Hi")), ("a call", call, calls(&["w"]))] {
        let frames = [start.clone(), said, stop(Value::Null), last.clone()];
        check(streamed(ANTHROPIC, &frames), &wanted, case);
    }
}

#[test]
fn arguments_are_an_object_however_they_are_spelled() {
    for (case, input) in [("text", json!("{\"a\":1}")), ("object", json!({"a": 1}))] {
        let block = json!({"type": "tool_use", "id": "t", "name": "w", "input": input});
        let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
            "content": [block], "stop_reason": "tool_use"});
        check(whole(ANTHROPIC, &answer), &calls(&["w"]), case);
        // To Anthropic's own it goes back as it came.
        let codec = codec(Dialect::Anthropic);
        let reply = codec.decode_reply(answer.to_string().as_bytes()).unwrap();
        let again: Value = serde_json::from_slice(&codec.encode_reply(&reply, &heading())).unwrap();
        assert_eq!(again["content"], answer["content"]);
    }
    // Of a call without any, whole as streamed.
    for arguments in [json!(""), json!(null), json!("{}")] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "w", "arguments": arguments}});
        let answer = json!({"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": null, "tool_calls": [call]}}]});
        let none = Gist { calls: vec![("w".to_owned(), json!({}))], ..calls(&[]) };
        check(whole(CHAT, &answer), &none, &arguments.to_string());
    }
}

#[test]
fn sources_are_of_the_words_that_rest_on_them_whenever_they_come() {
    let grounding =
        json!({"groundingChunks": [{"web": {"uri": "https://a.example/", "title": "A"}}]});
    let candidate =
        |text: &str| json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
    let wanted = Gist { cited: vec!["https://a.example/".to_owned()], ..says("Hi there") };
    let pieces = ["", "Hi", " there", ""];
    for place in 0..pieces.len() {
        let frames: Vec<Value> = (0..)
            .zip(pieces)
            .map(|(number, text)| {
                let mut one = candidate(text);
                if number == place {
                    one["groundingMetadata"] = grounding.clone();
                }
                if number + 1 == pieces.len() {
                    one["finishReason"] = json!("STOP");
                }
                json!({"candidates": [one], "modelVersion": "m"})
            })
            .collect();
        check(streamed(GEMINI, &frames), &wanted, &format!("in chunk {place}"));
    }
    // The last part of a whole answer may hold a proof alone.
    let parts = json!([{"text": "Hi there"}, {"text": "", "thoughtSignature": "QQ=="}]);
    let answer = json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0,
        "finishReason": "STOP", "groundingMetadata": grounding}]});
    check(whole(GEMINI, &answer), &wanted, "whole");
}

#[test]
fn a_prompt_that_is_too_long_is_known_in_any_dialect_and_anybody_s_words() {
    use super::vocab::FaultKind;
    for words in [
        "This model's maximum context length is 8192 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
        "Input length (9000 tokens) exceeds the maximum allowed length (8191 tokens).",
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
        "Invalid request: Your request exceeded model token limit: 262144",
    ] {
        let body = json!({"type": "error", "error": {"type": "invalid_request_error",
            "status": "INVALID_ARGUMENT", "code": 400, "message": words}});
        for from in [CHAT, RESPONSES, ANTHROPIC, GEMINI] {
            let fault = provider_side(from).decode_error(400, body.to_string().as_bytes());
            assert_eq!(fault.kind, FaultKind::ContextLength, "{from:?}: {words}");
        }
    }
    // What the servers have cancelled, or have no room for, is not what was asked.
    for (status, kind) in [(498, FaultKind::Overloaded), (499, FaultKind::Broken)] {
        for from in [CHAT, RESPONSES, ANTHROPIC, GEMINI] {
            let fault = provider_side(from).decode_error(status, br#"{"error":{"message":"no"}}"#);
            assert_eq!(fault.kind, kind, "{from:?} {status}");
        }
    }
}

#[test]
fn a_response_that_is_under_way_is_no_answer() {
    for (status, hollow) in
        [("queued", true), ("in_progress", true), ("completed", true), ("incomplete", false)]
    {
        let answer = json!({"id": "r", "object": "response", "status": status, "output": []});
        let theirs = provider_side(RESPONSES);
        assert_eq!(theirs.is_hollow(answer.to_string().as_bytes()), hollow, "{status}");
    }
}
