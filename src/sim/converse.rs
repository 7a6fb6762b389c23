//! Amazon Bedrock's Converse, as the simulated provider hears and speaks it. Requests are turned into
//! Anthropic's Messages, of which Converse is another spelling, so that one decoder reads both.
//! Source: the service's API reference.

use actix_web::web::Bytes;
use serde_json::{Map, Value, json};

use super::voice;
use crate::wire::frame::eventstream;
use crate::wire::vocab::{Body, Event, Malformed, Part, Reply, Request, Stop, Usage};
use crate::wire::{codec, vocab};

/// The header that names an event.
const EVENT: (&str, &str) = ("event", ":event-type");

/// # Errors
/// [`Malformed`] for what is not JSON, or has no messages.
pub fn decode(body: &[u8]) -> Result<Request, Malformed> {
    let asked: Value = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let spelled = messages(&asked).to_string();
    codec(vocab::Dialect::Anthropic).decode_request(spelled.as_bytes())
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The request as Anthropic spells it.
fn messages(asked: &Value) -> Value {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<&Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.clone());
        }
    };
    let config = |name: &str| asked.pointer(&format!("/inferenceConfig/{name}"));
    let most = json!(4_096);
    set("max_tokens", config("maxTokens").or(Some(&most)));
    set("temperature", config("temperature"));
    set("top_p", config("topP"));
    set("stop_sequences", config("stopSequences"));
    set("thinking", asked.pointer("/additionalModelRequestFields/thinking"));
    let turns: Vec<Value> = list(asked, "messages")
        .map(|turn| {
            let content: Vec<Value> = list(turn, "content").filter_map(block).collect();
            json!({"role": turn.get("role"), "content": content})
        })
        .collect();
    set("messages", Some(&Value::Array(turns)));
    let system: Vec<Value> = list(asked, "system").filter_map(block).collect();
    set("system", Some(&Value::Array(system)).filter(|all| **all != json!([])));
    let tools = asked.get("toolConfig").unwrap_or(&Value::Null);
    let declared: Vec<Value> = list(tools, "tools")
        .filter_map(|tool| {
            let tool = tool.get("toolSpec")?;
            Some(json!({
                "name": tool.get("name"),
                "description": tool.get("description").and_then(Value::as_str).unwrap_or_default(),
                "input_schema": tool.pointer("/inputSchema/json"),
            }))
        })
        .collect();
    set("tools", Some(&Value::Array(declared)).filter(|all| **all != json!([])));
    let choice = tools.get("toolChoice").and_then(|choice| {
        let (kind, value) = choice.as_object()?.iter().next()?;
        Some(match value.get("name") {
            Some(name) => json!({"type": kind, "name": name}),
            None => json!({ "type": kind }),
        })
    });
    set("tool_choice", choice.as_ref());
    let schema = asked.pointer("/outputConfig/textFormat/structure/jsonSchema/schema");
    // As text, in the service's own form.
    let schema = schema.and_then(|schema| match schema {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    });
    let format = schema.map(|schema: Value| json!({"type": "json_schema", "schema": schema}));
    let effort = asked.pointer("/additionalModelRequestFields/output_config/effort");
    if format.is_some() || effort.is_some() {
        set("output_config", Some(&json!({"format": format, "effort": effort})));
    }
    Value::Object(body)
}

/// A content block; `None` for marks and for what an echo has nothing to say of.
fn block(block: &Value) -> Option<Value> {
    let (kind, inner) = block.as_object()?.iter().next()?;
    let source = |mime: String| {
        let data = inner.pointer("/source/bytes").and_then(Value::as_str).unwrap_or_default();
        json!({"type": "base64", "media_type": mime, "data": data})
    };
    let format = inner.get("format").and_then(Value::as_str).unwrap_or_default();
    Some(match kind.as_str() {
        "text" => json!({"type": "text", "text": inner}),
        "image" => json!({"type": "image", "source": source(format!("image/{format}"))}),
        "document" => json!({
            "type": "document",
            "title": inner.get("name"),
            "source": source(format!("application/{format}")),
        }),
        "toolUse" => json!({
            "type": "tool_use",
            "id": inner.get("toolUseId"),
            "name": inner.get("name"),
            "input": inner.get("input"),
        }),
        "toolResult" => {
            let content: Vec<Value> = list(inner, "content")
                .filter_map(|one| match one.get("json") {
                    Some(json) => Some(json!({"type": "text", "text": json.to_string()})),
                    None => self::block(one),
                })
                .collect();
            json!({"type": "tool_result", "tool_use_id": inner.get("toolUseId"), "content": content})
        }
        "reasoningContent" => json!({
            "type": "thinking",
            "thinking": inner.pointer("/reasoningText/text"),
            "signature": inner.pointer("/reasoningText/signature"),
        }),
        _ => return None,
    })
}

fn word(stop: Stop) -> &'static str {
    match stop {
        Stop::ToolCalls => "tool_use",
        Stop::Length => "max_tokens",
        Stop::Sequence => "stop_sequence",
        Stop::Filter => "content_filtered",
        _ => "end_turn",
    }
}

fn usage(usage: Option<&Usage>) -> Value {
    let (input, output) = usage.map_or((0, 0), |usage| (usage.input, usage.output));
    json!({"inputTokens": input, "outputTokens": output, "totalTokens": input + output})
}

/// A part of an answer, whole.
fn spoken(part: &Part) -> Value {
    match &part.body {
        Body::Text(text) | Body::Refusal(text) => json!({ "text": text }),
        Body::Thought(thought) => json!({"reasoningContent": {"reasoningText": {
            "text": thought.text,
            "signature": part.signature.as_ref().map(|sealed| &sealed.value),
        }}}),
        Body::Call(call) => {
            let arguments = call.arguments.as_deref().unwrap_or_default();
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({"toolUse": {"toolUseId": call.id, "name": call.name, "input": input}})
        }
        _ => json!({ "text": "" }),
    }
}

/// The whole answer.
pub fn encode(reply: &Reply) -> Vec<u8> {
    let choice = reply.choices.first();
    let content: Vec<Value> =
        choice.into_iter().flat_map(|one| &one.turn.parts).map(spoken).collect();
    let stop = choice.and_then(|one| one.finish.as_ref()).map_or("end_turn", |one| word(one.why));
    let body = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": usage(reply.usage.as_ref()),
        "metrics": {"latencyMs": 1},
    });
    body.to_string().into_bytes()
}

/// The answer as a stream: a piece for each chunk.
pub fn events(reply: &Reply) -> Vec<Bytes> {
    let mut pieces = vec![frame("messageStart", &json!({"role": "assistant"}))];
    let mut stop = "end_turn";
    for event in voice::events(reply).into_iter().flatten() {
        match event {
            Event::PartOpen { at, part } => {
                if let Body::Call(call) = &part.body {
                    let tool = json!({"toolUseId": call.id, "name": call.name});
                    let start = json!({"contentBlockIndex": at.part, "start": {"toolUse": tool}});
                    pieces.push(frame("contentBlockStart", &start));
                }
                // Whatever comes in pieces later says which kind of block it belongs to.
                pieces.extend(
                    matches!(part.body, Body::Thought(_))
                        .then(|| delta(at.part, &json!({"reasoningContent": {"text": ""}}))),
                );
            }
            Event::Delta { at, delta: said } => {
                let thought = reply
                    .choices
                    .first()
                    .and_then(|one| one.turn.parts.get(usize::try_from(at.part).ok()?))
                    .is_some_and(|part| matches!(part.body, Body::Thought(_)));
                let said = match said {
                    vocab::Delta::Text(text) if thought => {
                        json!({"reasoningContent": {"text": text}})
                    }
                    vocab::Delta::Text(text) => json!({ "text": text }),
                    vocab::Delta::Arguments(text) => json!({"toolUse": {"input": text}}),
                    vocab::Delta::Signature(sealed) => {
                        json!({"reasoningContent": {"signature": sealed.value}})
                    }
                    _ => continue,
                };
                pieces.push(delta(at.part, &said));
            }
            Event::PartClose { at, .. } => {
                pieces.push(frame("contentBlockStop", &json!({"contentBlockIndex": at.part})));
            }
            Event::Finish { finish, .. } => stop = word(finish.why),
            _ => {}
        }
    }
    pieces.push(frame("messageStop", &json!({ "stopReason": stop })));
    let told = json!({"usage": usage(reply.usage.as_ref()), "metrics": {"latencyMs": 1}});
    pieces.push(frame("metadata", &told));
    pieces
}

fn delta(index: u64, said: &Value) -> Bytes {
    frame("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": said}))
}

fn frame(event: &str, data: &Value) -> Bytes {
    Bytes::from(eventstream::write(EVENT, event, data.to_string().as_bytes()))
}

/// The provider fails in the middle of a stream.
pub fn failure() -> Bytes {
    let told = json!({"message": "The model is overloaded. Try your request again."});
    let exception = ("exception", ":exception-type");
    Bytes::from(eventstream::write(exception, "throttlingException", told.to_string().as_bytes()))
}
