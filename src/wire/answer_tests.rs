//! Answers of every provider's dialect told in every dialect of callers, whole and streamed: what is
//! said arrives in a form that the dialect's SDK takes, and what was not said is not made up. Longer than
//! most files: one table over all dialects.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::frame::{Frame, sse};
use super::vocab::{Dialect, Event, FaultKind, Protocol, Reply};
use super::{Heading, codec, provider_side};

const PROVIDERS: [Protocol; 4] = [
    Protocol::Dialect(Dialect::OpenAiChat),
    Protocol::Dialect(Dialect::OpenAiResponses),
    Protocol::Dialect(Dialect::Anthropic),
    Protocol::Dialect(Dialect::Gemini),
];

fn heading() -> Heading {
    Heading {
        id: "x_1".to_owned(),
        model: "m".to_owned(),
        created: 1,
        include_usage: true,
        ..Heading::default()
    }
}

/// The events of a stream, and whether it came to its end.
fn read(from: Protocol, chunks: &[Value]) -> (Vec<Event>, bool) {
    let (mut reader, mut events) = (provider_side(from).reader(), Vec::new());
    for chunk in chunks {
        let data = chunk.as_str().map_or_else(|| chunk.to_string(), str::to_owned);
        let frame = Frame { event: "", data: data.as_bytes() };
        reader.read(&frame, &mut events).unwrap();
    }
    let whole = reader.finish(&mut events);
    (events, whole)
}

/// What a caller's own reader makes of a stream, as `(kind, payload)` of each part.
fn told(front: Dialect, events: &[Event]) -> (Vec<Value>, Reply) {
    let mut out = Vec::new();
    let mut writer = codec(front).writer(heading());
    for event in events {
        writer.write(std::slice::from_ref(event), &mut out);
    }
    writer.finish(&mut out);
    let mut all = Vec::new();
    let mut splitter = sse::Splitter::new(usize::MAX);
    splitter
        .feed(&out, |frame| {
            if !frame.data.starts_with(b"[DONE]") {
                all.push(serde_json::from_slice(frame.data).unwrap());
            }
        })
        .unwrap();
    (all, super::said(front, &out, true).unwrap())
}

/// Names, ids and arguments of the calls of an answer.
fn calls(reply: &Reply) -> Vec<(String, String, Value)> {
    use super::vocab::Body;
    let parts = reply.choices.iter().flat_map(|choice| &choice.turn.parts);
    parts
        .filter_map(|part| match &part.body {
            Body::Call(call) => {
                let arguments = call.arguments.as_deref().unwrap_or("{}");
                let arguments = serde_json::from_str(arguments).unwrap();
                Some((call.name.clone(), call.id.clone().unwrap_or_default(), arguments))
            }
            _ => None,
        })
        .collect()
}

fn fragment(call: Value) -> Value {
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
}

fn end(word: &str) -> [Value; 2] {
    let last = json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": word}]});
    [last, json!("[DONE]")]
}

/// How servers cut two calls into fragments: what each fragment says beside its arguments.
fn fragments(manner: &str, number: usize, place: usize) -> Value {
    let (name, id) = (["run_tool", "stop"][number], format!("call_{number}"));
    let first = place == 0;
    match manner {
        // OpenAI's own.
        "once" if first => json!({"index": number, "id": id, "function": {"name": name}}),
        "once" => json!({"index": number, "function": {}}),
        // All of it in every fragment.
        "repeated" => json!({"index": number, "id": id, "function": {"name": name}}),
        // The name comes after the first of the arguments.
        "late" if first => json!({"index": number, "id": id, "function": {}}),
        "late" if place == 1 => json!({"index": number, "function": {"name": name}}),
        "late" => json!({"index": number, "function": {}}),
        // The name itself comes in pieces.
        "named in pieces" if first => {
            let (begun, _) = name.split_at(2);
            json!({"index": number, "id": id, "function": {"name": begun}})
        }
        "named in pieces" if place == 1 => {
            json!({"index": number, "function": {"name": name.split_at(2).1}})
        }
        "named in pieces" => json!({"index": number, "function": {}}),
        // No call has a number, or every call the same.
        "minus one" => json!({"index": -1, "id": id, "function": {"name": name}}),
        "unnumbered" => json!({"id": id, "function": {"name": name}}),
        _ => json!({"index": 0, "id": id, "function": {"name": name}}),
    }
}

#[test]
fn a_call_is_the_same_however_a_server_cuts_it_up() {
    let manners = [
        ("once", ["{\"a\"", ":", "1}"]),
        ("repeated", ["{\"a\"", ":", "1}"]),
        ("late", ["{\"a\"", ":", "1}"]),
        ("minus one", ["{\"a\"", ":", "1}"]),
        ("unnumbered", ["{\"a\"", ":", "1}"]),
        ("all numbered 0", ["{\"a\"", ":", "1}"]),
        ("named in pieces", ["", "", "{\"a\":1}"]),
    ];
    // What else a chunk may say: that it has not ended, or words between the pieces of a call.
    let manners = manners.into_iter().flat_map(|manner| {
        ["", "no end", "words", "thoughts"].map(|between| (manner.0, manner.1, between))
    });
    for (manner, pieces, between) in manners {
        let mut chunks = Vec::new();
        for number in 0..2 {
            for (place, arguments) in pieces.into_iter().enumerate() {
                let mut call = fragments(manner, number, place);
                call["type"] = json!("function");
                call["function"]["arguments"] = json!(arguments);
                let mut chunk = fragment(call);
                if between == "no end" {
                    chunk["choices"][0]["finish_reason"] = json!("");
                }
                chunks.push(chunk);
                let said = match between {
                    "words" => json!({"content": "\n"}),
                    "thoughts" => json!({"reasoning_content": "hm"}),
                    _ => continue,
                };
                chunks.push(
                    json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": said}]}),
                );
            }
        }
        chunks.extend(end("tool_calls"));
        let (events, whole) = read(PROVIDERS[0], &chunks);
        assert!(whole, "{manner}");
        for front in Dialect::ALL {
            let (_, reply) = told(front, &events);
            let said = calls(&reply);
            let names: Vec<&str> = said.iter().map(|(name, ..)| name.as_str()).collect();
            assert_eq!(names, ["run_tool", "stop"], "{manner}, {between} to {front:?}");
            assert!(said.iter().all(|(.., arguments)| *arguments == json!({"a": 1})), "{said:?}");
        }
    }
}

#[test]
fn what_calls_nothing_is_no_call() {
    let nothing = json!({"name": "", "arguments": ""});
    let (events, _) = read(
        PROVIDERS[0],
        &[
            &[json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "4", "function_call": nothing}}]})][..],
            &end("stop")[..],
        ]
        .concat(),
    );
    let whole = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "4", "function_call": nothing}}]});
    let whole = codec(Dialect::OpenAiChat).decode_reply(whole.to_string().as_bytes()).unwrap();
    for front in Dialect::ALL {
        let (_, streamed) = told(front, &events);
        let at_once = codec(front).encode_reply(&whole, &heading());
        let at_once = codec(front).decode_reply(&at_once).unwrap();
        for reply in [streamed, at_once] {
            assert!(calls(&reply).is_empty(), "{front:?}: {reply:?}");
            let why = reply.choices[0].finish.as_ref().unwrap().why;
            assert_eq!(why, super::vocab::Stop::End, "{front:?}");
        }
    }
}

/// An answer that ends by giving up, in each provider's dialect, whole and as a stream.
fn given_up() -> Vec<(Protocol, Value, Vec<Value>)> {
    let mut all = Vec::new();
    for word in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER"]
    {
        let answer = json!({"candidates": [{"finishReason": word, "index": 0, "finishMessage": "cannot be read"}],
            "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}});
        all.push((PROVIDERS[3], answer.clone(), vec![answer]));
    }
    for word in ["error", "network_error", "insufficient_system_resource"] {
        let answer = json!({"id": "c", "choices": [{"index": 0, "finish_reason": word,
            "message": {"role": "assistant", "content": null}}]});
        all.push((PROVIDERS[0], answer, end(word).to_vec()));
    }
    let cancelled = json!({"id": "r", "object": "response", "status": "cancelled", "output": []});
    let event = json!({"type": "response.incomplete", "response": cancelled});
    all.push((PROVIDERS[1], cancelled, vec![event]));
    all
}

#[test]
fn giving_up_is_a_fault_and_never_an_answer() {
    for (from, whole, stream) in given_up() {
        let reply = provider_side(from).decode_reply(whole.to_string().as_bytes()).unwrap();
        let fault = reply.fault().expect("a fault");
        assert_eq!(fault.kind, FaultKind::GaveUp, "{whole}");
        assert!(!fault.counts_against_health());
        let (events, _) = read(from, &stream);
        assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. })), "{stream:?}");
        let gave_up =
            |event: &Event| matches!(event, Event::Fault(fault) if fault.kind == FaultKind::GaveUp);
        assert!(events.iter().any(gave_up), "{stream:?}");
    }
    let told =
        json!({"candidates": [{"finishReason": "OTHER", "finishMessage": "why"}]}).to_string();
    let reply = codec(Dialect::Gemini).decode_reply(told.as_bytes()).unwrap();
    assert_eq!(reply.fault().unwrap().message, "OTHER: why");
}

#[test]
fn an_answer_without_any_choice_is_none() {
    let empty = json!({"id": "c", "object": "chat.completion", "choices": []}).to_string();
    assert!(codec(Dialect::OpenAiChat).decode_reply(empty.as_bytes()).is_err());
    for chunks in [
        vec![json!("[DONE]")],
        vec![json!({"id": "c", "model": "m", "choices": []}), json!("[DONE]")],
        vec![
            json!({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}),
            json!("[DONE]"),
        ],
    ] {
        assert!(!read(PROVIDERS[0], &chunks).1, "{chunks:?}");
    }
}

/// A thought that says nothing, before "Four.", from each provider.
fn silent_thoughts() -> Vec<(Protocol, Vec<Value>)> {
    let item = |kind: &str, item: Value| json!({"type": kind, "output_index": 0, "item": item});
    let text = |kind: &str, rest: Value| {
        let mut event = json!({"type": kind, "output_index": 1, "content_index": 0});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        event
    };
    let thought = json!({"type": "reasoning", "id": "rs", "summary": []});
    let response = json!({"id": "r", "status": "completed", "output": []});
    vec![
        (
            PROVIDERS[1],
            vec![
                json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
                item("response.output_item.added", thought.clone()),
                item("response.output_item.done", thought),
                text(
                    "response.content_part.added",
                    json!({"part": {"type": "output_text", "text": ""}}),
                ),
                text("response.output_text.delta", json!({"delta": "Four."})),
                text(
                    "response.content_part.done",
                    json!({"part": {"type": "output_text", "text": "Four."}}),
                ),
                json!({"type": "response.completed", "response": response}),
            ],
        ),
        (
            PROVIDERS[2],
            vec![
                json!({"type": "message_start", "message": {"id": "m", "model": "m", "content": []}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_stop", "index": 1}),
                json!({"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "Four."}}),
                json!({"type": "content_block_stop", "index": 2}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}),
                json!({"type": "message_stop"}),
            ],
        ),
    ]
}

#[test]
fn thoughts_and_texts_that_say_nothing_are_not_told() {
    for (from, chunks) in silent_thoughts() {
        let (events, whole) = read(from, &chunks);
        assert!(whole);
        let mut fold = super::vocab::Fold::new();
        for event in &events {
            fold.push(event);
        }
        let (reply, _) = fold.finish();
        for front in Dialect::ALL {
            if from == Protocol::Dialect(front) {
                continue;
            }
            let (streamed, _) = told(front, &events);
            let mut at_once: Value =
                serde_json::from_slice(&codec(front).encode_reply(&reply, &heading())).unwrap();
            // What an answer repeats of its request speaks of thinking as well.
            at_once.as_object_mut().unwrap().shift_remove("reasoning");
            for said in [Value::Array(streamed), at_once.clone()] {
                let said = said.to_string();
                for thought in [
                    "\"thinking\"",
                    "\"thought\"",
                    "\"reasoning_content\"",
                    "reasoning_summary",
                    "\"summary\":[]",
                ] {
                    let repeated = said.contains("\"reasoning\":{\"effort\":null");
                    assert!(
                        !said.contains(thought) || repeated && thought.contains("summary\":"),
                        "{from:?} to {front:?}: {said}"
                    );
                }
            }
            if front == Dialect::Anthropic {
                assert_eq!(at_once["content"], json!([{"type": "text", "text": "Four."}]));
            }
        }
    }
}

#[test]
fn calls_without_ids_get_ids_of_their_own_for_every_caller() {
    let call = json!({"functionCall": {"name": "weather", "args": {}}});
    let answer = json!({"responseId": "abc", "candidates": [{"index": 0, "finishReason": "STOP",
        "content": {"role": "model", "parts": [call, call]}}]});
    let (events, _) = read(PROVIDERS[3], std::slice::from_ref(&answer));
    let whole = codec(Dialect::Gemini).decode_reply(answer.to_string().as_bytes()).unwrap();
    for front in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic] {
        let (_, streamed) = told(front, &events);
        let at_once = codec(front).encode_reply(&whole, &heading());
        let at_once = codec(front).decode_reply(&at_once).unwrap();
        for reply in [streamed, at_once] {
            let said = calls(&reply);
            assert!(said.len() == 2 && said[0].1 != said[1].1, "{front:?}: {said:?}");
            assert!(said.iter().all(|(_, id, _)| !id.is_empty()), "{front:?}: {said:?}");
        }
    }
}

/// Two calls of one answer, as each provider says them, whole and streamed.
fn two_calls() -> Vec<(Value, Vec<Value>)> {
    let chat = |index: u64| {
        json!({"index": index, "id": format!("c{index}"), "type": "function",
        "function": {"name": format!("f{index}"), "arguments": "{\"a\":1}"}})
    };
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "x", "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let item = |index: u64| {
        json!({"type": "function_call", "id": format!("fc_{index}"), "status": "completed",
        "call_id": format!("c{index}"), "name": format!("f{index}"), "arguments": "{\"a\":1}"})
    };
    let response = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m",
        "output": [item(0), item(1)]});
    let block = |index: u64| {
        json!({"type": "tool_use", "id": format!("c{index}"),
        "name": format!("f{index}"), "input": {"a": 1}})
    };
    let mut anthropic = Vec::new();
    for index in 0..2 {
        let mut begun = block(index);
        begun["input"] = json!({});
        anthropic
            .push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        anthropic.push(json!({"type": "content_block_delta", "index": index,
            "delta": {"type": "input_json_delta", "partial_json": "{\"a\":1}"}}));
        anthropic.push(json!({"type": "content_block_stop", "index": index}));
    }
    anthropic.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}));
    anthropic.push(json!({"type": "message_stop"}));
    let named =
        |index: u64| json!({"functionCall": {"name": format!("f{index}"), "args": {"a": 1}}});
    let gemini = json!({"responseId": "r", "candidates": [{"index": 0, "finishReason": "STOP",
        "content": {"role": "model", "parts": [named(0), named(1)]}}]});
    vec![
        (
            json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [{"index": 0,
                "finish_reason": "tool_calls",
                "message": {"role": "assistant", "content": null, "tool_calls": [chat(0), chat(1)]}}]}),
            vec![
                chunk(json!({"role": "assistant", "tool_calls": [chat(0)]}), Value::Null),
                chunk(json!({"tool_calls": [chat(1)]}), Value::Null),
                chunk(json!({}), json!("tool_calls")),
                json!("[DONE]"),
            ],
        ),
        (
            response.clone(),
            vec![
                json!({"type": "response.output_item.added", "output_index": 0, "item": item(0)}),
                json!({"type": "response.output_item.done", "output_index": 0, "item": item(0)}),
                json!({"type": "response.output_item.added", "output_index": 1, "item": item(1)}),
                json!({"type": "response.output_item.done", "output_index": 1, "item": item(1)}),
                json!({"type": "response.completed", "response": response}),
            ],
        ),
        (
            json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
                "content": [block(0), block(1)], "stop_reason": "tool_use"}),
            anthropic,
        ),
        (gemini.clone(), vec![gemini]),
    ]
}

#[test]
fn callers_of_functions_are_told_the_first_call_as_they_know_it() {
    let heading = || Heading { functions: true, ..heading() };
    for (from, (whole, chunks)) in PROVIDERS.into_iter().zip(two_calls()) {
        let reply = provider_side(from).decode_reply(whole.to_string().as_bytes()).unwrap();
        let told = codec(Dialect::OpenAiChat).encode_reply(&reply, &heading());
        let told: Value = serde_json::from_slice(&told).unwrap();
        let choice = &told["choices"][0];
        assert_eq!(choice["finish_reason"], "function_call", "{from:?}");
        assert_eq!(choice["message"].get("tool_calls"), None, "{from:?}");
        let call = &choice["message"]["function_call"];
        assert_eq!(call["name"], "f0", "{from:?} {told}");
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"a": 1}), "{from:?}");

        let (events, _) = read(from, &chunks);
        let mut out = Vec::new();
        let mut writer = codec(Dialect::OpenAiChat).writer(heading());
        for event in &events {
            writer.write(std::slice::from_ref(event), &mut out);
        }
        writer.finish(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("tool_calls"), "{from:?} {text}");
        let (mut name, mut arguments, mut ends) = (String::new(), String::new(), Vec::new());
        for line in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
            let chunk: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
            let choice = &chunk["choices"][0];
            let call = &choice["delta"]["function_call"];
            name.push_str(call["name"].as_str().unwrap_or_default());
            arguments.push_str(call["arguments"].as_str().unwrap_or_default());
            ends.extend(choice["finish_reason"].as_str().map(str::to_owned));
        }
        assert_eq!(
            (name.as_str(), ends.as_slice()),
            ("f0", &["function_call".to_owned()][..]),
            "{from:?}"
        );
        let arguments: Value = serde_json::from_str(&arguments).unwrap();
        assert_eq!(arguments, json!({"a": 1}), "{from:?}");
    }
}

#[test]
fn calls_without_arguments_add_up_to_an_object() {
    let call = json!({"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}});
    let (events, _) = read(PROVIDERS[0], &[&[fragment(call)][..], &end("tool_calls")].concat());
    let (said, _) = told(Dialect::OpenAiResponses, &events);
    let deltas: String = said
        .iter()
        .filter(|event| event["type"] == "response.function_call_arguments.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    let done = said.iter().find(|event| event["type"] == "response.function_call_arguments.done");
    assert_eq!((deltas.as_str(), &done.unwrap()["arguments"]), ("{}", &json!("{}")));
    // Claude begins every call with an empty object, and some say nothing more.
    let start = json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}});
    let nothing = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": ""}});
    let ends = [
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        json!({"type": "message_stop"}),
    ];
    for chunks in [vec![start.clone()], vec![start, nothing]] {
        let (events, _) = read(PROVIDERS[2], &[chunks, ends.to_vec()].concat());
        let (said, _) = told(Dialect::OpenAiChat, &events);
        let deltas: String = said
            .iter()
            .filter_map(|chunk| {
                chunk.pointer("/choices/0/delta/tool_calls/0/function/arguments")?.as_str()
            })
            .collect();
        assert_eq!(deltas, "{}");
    }
}

#[test]
fn citations_point_at_their_words_in_the_whole_content() {
    let cited = json!([{"type": "web_search_result_location", "url": "https://x.test/a", "title": "A",
        "cited_text": "a source's own words", "encrypted_index": "x"}]);
    let whole = json!({"id": "m", "model": "m", "stop_reason": "end_turn", "content": [
        {"type": "text", "text": "S\u{f6}: "},
        {"type": "text", "text": "The sky is blue", "citations": cited},
        {"type": "text", "text": ". Done."}]});
    let reply = codec(Dialect::Anthropic).decode_reply(whole.to_string().as_bytes()).unwrap();
    let body = codec(Dialect::OpenAiChat).encode_reply(&reply, &heading());
    let body: Value = serde_json::from_slice(&body).unwrap();
    let place = |annotation: &Value| {
        let at = &annotation["url_citation"];
        (at["start_index"].as_u64().unwrap(), at["end_index"].as_u64().unwrap())
    };
    let annotation = &body["choices"][0]["message"]["annotations"][0];
    assert_eq!(place(annotation), (4, 19), "{body}");
    let (said, _) = told(Dialect::OpenAiChat, &reply.events());
    let annotation =
        said.iter().find_map(|chunk| chunk.pointer("/choices/0/delta/annotations/0")).unwrap();
    assert_eq!(place(annotation), (4, 19));
}

#[test]
fn a_message_that_is_told_at_its_end_alone_is_told() {
    let created = json!({"type": "response.created", "response": {"id": "r", "model": "m"}});
    let message = |part: &Value| json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [part]});
    let added = json!({"type": "response.output_item.added", "output_index": 0,
        "item": {"type": "message", "id": "msg_1", "role": "assistant", "content": []}});
    let completed =
        json!({"type": "response.completed", "response": {"id": "r", "status": "completed"}});
    for part in [
        json!({"type": "output_text", "text": "Late.", "annotations": []}),
        json!({"type": "refusal", "refusal": "Late."}),
    ] {
        let done =
            json!({"type": "response.output_item.done", "output_index": 0, "item": message(&part)});
        let opened = json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0,
            "part": {"type": part["type"], "text": "", "refusal": "", "annotations": []}});
        let closed = json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": part});
        for chunks in [
            vec![created.clone(), added.clone(), done.clone(), completed.clone()],
            vec![created.clone(), done.clone(), completed.clone()],
            vec![created.clone(), added.clone(), opened, closed, done, completed.clone()],
        ] {
            let (events, whole) = read(PROVIDERS[1], &chunks);
            let text: String = events
                .iter()
                .filter_map(|event| match event {
                    Event::Delta { delta: super::vocab::Delta::Text(text), .. } => {
                        Some(text.as_str())
                    }
                    _ => None,
                })
                .collect();
            assert_eq!((text.as_str(), whole), ("Late.", true), "{chunks:?}");
        }
    }
}

#[test]
fn pictures_of_an_answer_reach_every_caller_in_a_form_that_its_sdk_has() {
    let answer = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model",
        "parts": [{"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]}}]});
    let router = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant",
        "content": "Here.", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}}]});
    let delta = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "Here.",
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}}]});
    let cases = [
        (Dialect::Gemini, answer.clone(), vec![answer]),
        (Dialect::OpenAiChat, router, [&[delta][..], &end("stop")].concat()),
    ];
    for (from, whole, chunks) in cases {
        let reply = codec(from).decode_reply(whole.to_string().as_bytes()).unwrap();
        let (events, _) = read(Protocol::Dialect(from), &chunks);
        for front in Dialect::ALL {
            let at_once = codec(front).encode_reply(&reply, &heading());
            let at_once = String::from_utf8(at_once.to_vec()).unwrap();
            let (streamed, _) = told(front, &events);
            for said in [at_once, Value::Array(streamed).to_string()] {
                assert!(said.contains("iVBORw0KGgo="), "{from:?} to {front:?}: {said}");
                // Anthropic's answers have no such block.
                assert!(front != Dialect::Anthropic || !said.contains("\"image\""), "{said}");
            }
        }
    }
}

#[test]
fn sources_are_told_wherever_a_provider_has_them() {
    let page = "https://x.test/a";
    let perplexity = json!({"id": "c", "citations": [page], "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "So [1]."}}]});
    let piece = |text: &str| json!({"id": "c", "citations": [page], "choices": [{"index": 0, "delta": {"content": text}}]});
    let recited = json!({"candidates": [{"index": 0, "finishReason": "STOP",
        "content": {"role": "model", "parts": [{"text": "So."}]},
        "citationMetadata": {"citationSources": [{"startIndex": 0, "endIndex": 3, "uri": page}]}}]});
    let grounding = json!({"groundingChunks": [{"web": {"uri": page, "title": "A"}}]});
    let said = |parts: Value| json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}}]});
    let mut last = said(json!([{"text": "", "thoughtSignature": "sig"}]));
    last["candidates"][0]["finishReason"] = json!("STOP");
    last["candidates"][0]["groundingMetadata"] = grounding;
    let cases = [
        (
            Dialect::OpenAiChat,
            Some(perplexity),
            [&[piece("So"), piece(" [1].")][..], &end("stop")].concat(),
        ),
        (Dialect::Gemini, Some(recited.clone()), vec![recited]),
        (Dialect::Gemini, None, vec![said(json!([{"text": "So."}])), last]),
    ];
    for (from, whole, chunks) in cases {
        let (events, _) = read(Protocol::Dialect(from), &chunks);
        let reply =
            whole.map(|body| codec(from).decode_reply(body.to_string().as_bytes()).unwrap());
        for front in Dialect::ALL.into_iter().filter(|front| *front != from) {
            let (streamed, _) = told(front, &events);
            let at_once = reply.as_ref().map(|reply| codec(front).encode_reply(reply, &heading()));
            let at_once = at_once.map(|body| String::from_utf8(body.to_vec()).unwrap());
            for said in at_once.into_iter().chain([Value::Array(streamed).to_string()]) {
                assert!(said.contains(page), "{from:?} to {front:?}: {said}");
            }
        }
    }
}

#[test]
fn usage_is_found_within_the_choice() {
    let usage = json!({"prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234, "cached_tokens": 1000});
    let last = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]});
    let whole = json!({"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "usage": usage,
        "message": {"role": "assistant", "content": "hi"}}]})
    .to_string();
    let side = codec(Dialect::OpenAiChat);
    let (events, _) = read(PROVIDERS[0], std::slice::from_ref(&last));
    let read = events.iter().find_map(|event| match event {
        Event::Usage(usage) => Some(usage.clone()),
        _ => None,
    });
    for found in [
        read,
        side.tap(last.to_string().as_bytes()).usage,
        side.usage(whole.as_bytes()),
        side.decode_reply(whole.as_bytes()).unwrap().usage,
    ] {
        let found = found.expect("usage");
        assert_eq!((found.input, found.cache_read, found.output), (200, 1000, 34));
    }
}

#[test]
fn an_event_is_known_by_its_type_wherever_that_stands() {
    let long = "x".repeat(500);
    let event = format!(
        r#"{{"response":{{"id":"{long}","usage":{{"input_tokens":3,"output_tokens":4}}}},"type":"response.completed"}}"#
    );
    let tapped = codec(Dialect::OpenAiResponses).tap(event.as_bytes());
    assert!(tapped.ended && tapped.usage.is_some());
    // A text that only speaks of it.
    let delta =
        json!({"type": "response.output_text.delta", "delta": "\"response.completed\" \"error\""});
    let tapped = codec(Dialect::OpenAiResponses).tap(delta.to_string().as_bytes());
    assert!(!tapped.ended && tapped.fault.is_none());
}

proptest! {
    /// However a text, a thought and calls follow each other, a caller's own reader finds them all.
    #[test]
    fn parts_arrive_in_order(kinds in prop::collection::vec(0..3_u8, 1..6)) {
        let mut chunks: Vec<Value> = kinds
            .iter()
            .enumerate()
            .map(|(number, kind)| match kind {
                0 => json!({"id": "c", "choices": [{"index": 0, "delta": {"content": format!("t{number}")}}]}),
                1 => json!({"id": "c", "choices": [{"index": 0, "delta": {"reasoning_content": format!("h{number}")}}]}),
                _ => fragment(json!({"index": number, "id": format!("c{number}"), "type": "function",
                    "function": {"name": format!("f{number}"), "arguments": "{}"}})),
            })
            .collect();
        chunks.extend(end("stop"));
        let (events, _) = read(PROVIDERS[0], &chunks);
        for front in Dialect::ALL {
            let (said, reply) = told(front, &events);
            let said = Value::Array(said).to_string();
            for (number, kind) in kinds.iter().enumerate() {
                let word = format!("{}{number}", ["t", "h", "f"][usize::from(*kind)]);
                prop_assert!(said.contains(&word), "{front:?}: {word} in {said}");
            }
            let called = kinds.iter().filter(|kind| u32::from(**kind) == 2).count();
            prop_assert_eq!(calls(&reply).len(), called);
        }
    }
}

#[test]
fn likelihoods_of_a_whole_answer_reach_a_caller_of_chat() {
    let top = json!([{"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}, {"token": "Yo", "logprob": -2.5, "bytes": [89, 111]}]);
    let told = json!([{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": top}]);
    let response = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m",
        "status": "completed", "output": [{"type": "message", "id": "m", "role": "assistant",
        "status": "completed", "content": [
            {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": told}]}]});
    let one =
        |token: &str, likely: f64| json!({"token": token, "tokenId": 1, "logProbability": likely});
    let candidate = json!({"index": 0, "finishReason": "STOP",
        "content": {"role": "model", "parts": [{"text": "Hi"}]},
        "logprobsResult": {"chosenCandidates": [one("Hi", -0.1)],
            "topCandidates": [{"candidates": [one("Hi", -0.1), one("Yo", -2.5)]}]}});
    for (from, answer) in [
        (PROVIDERS[1], response),
        (PROVIDERS[3], json!({"candidates": [candidate], "modelVersion": "m"})),
    ] {
        let reply = provider_side(from).decode_reply(answer.to_string().as_bytes()).unwrap();
        let chat = codec(Dialect::OpenAiChat).encode_reply(&reply, &heading());
        let chat: Value = serde_json::from_slice(&chat).unwrap();
        assert_eq!(chat["choices"][0]["logprobs"], json!({"content": told, "refusal": null}));
    }
}
