//! The words of a body, in whichever dialect: those of a request that a model reads, and those of an
//! answer. What is no words (names, kinds, addresses, bytes, proofs) is left alone.

use serde_json::{Map, Value};

use super::Stage;
use super::rule::Texts;

/// Members at the top of a request whose texts a model reads, in any dialect.
const ASKED: [&str; 12] = [
    "messages",
    "system",
    "instructions",
    "input",
    "contents",
    "content",
    "systemInstruction",
    "system_instruction",
    "prompt",
    "suffix",
    "prediction",
    "requests",
];

/// Members at the top of an answer that hold what a model says.
const SAID: [&str; 4] = ["choices", "content", "candidates", "output"];

/// Members whose text is no words.
const NOT_WORDS: [&str; 34] = [
    "role",
    "type",
    "object",
    "name",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "item_id",
    "previous_response_id",
    "conversation",
    "data",
    "file_data",
    "file_id",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "mime_type",
    "mimeType",
    "media_type",
    "format",
    "detail",
    "status",
    "url",
    "image_url",
    "file_url",
    "uri",
    "fileUri",
    "file_uri",
    "finish_reason",
    "native_finish_reason",
    "finishReason",
    "stop_reason",
];

/// What a tool is called with or came back with: there every text is words.
const TOOL_DATA: [&str; 4] = ["input", "args", "arguments", "response"];

/// Members that spell an answer's words once more, piece by piece: they cannot be masked alike.
const SPELT_AGAIN: [&str; 4] = ["logprobs", "logprobsResult", "avgLogprobs", "tokens"];

/// The texts of a body, those together that a model reads as one.
pub fn texts(body: &mut Value, stage: Stage) -> Vec<Texts<'_>> {
    let mut all = Vec::new();
    let Value::Object(members) = body else { return all };
    let roots: &[&str] = if stage == Stage::Input { &ASKED } else { &SAID };
    for (name, value) in members.iter_mut() {
        if roots.contains(&name.as_str()) {
            words(value, false, &mut all);
        } else if stage == Stage::Input {
            descriptions(value, &mut all);
        }
    }
    all.retain(|group| group.iter().any(|text| !text.is_empty()));
    all
}

/// Takes out of an answer what says its words once more.
pub fn forget_spelling(body: &mut Value) {
    match body {
        Value::Array(all) => all.iter_mut().for_each(forget_spelling),
        Value::Object(members) => {
            members.retain(|name, _| !SPELT_AGAIN.contains(&name.as_str()));
            members.values_mut().for_each(forget_spelling);
        }
        _ => {}
    }
}

fn words<'a>(value: &'a mut Value, of_tool: bool, all: &mut Vec<Texts<'a>>) {
    match value {
        Value::String(text) => all.push(vec![text]),
        Value::Array(items) => {
            let mut together = Vec::new();
            for item in items {
                if of_tool || !item.is_object() {
                    words(item, of_tool, all);
                } else if let Value::Object(members) = item {
                    // Parts of one message: what is split between them is said all the same.
                    together.extend(members_of(members, of_tool, all));
                }
            }
            if !together.is_empty() {
                all.push(together);
            }
        }
        Value::Object(members) => {
            if let Some(text) = members_of(members, of_tool, all) {
                all.push(vec![text]);
            }
        }
        _ => {}
    }
}

/// The words of an object's members; its own text is given back.
fn members_of<'a>(
    members: &'a mut Map<String, Value>,
    of_tool: bool,
    all: &mut Vec<Texts<'a>>,
) -> Option<&'a mut String> {
    // A document that is plain text has it where others have bytes.
    let plain = members.get("type").and_then(Value::as_str) == Some("text");
    let mut own = None;
    for (name, value) in members.iter_mut() {
        let document = plain && name == "data";
        if !of_tool && NOT_WORDS.contains(&name.as_str()) && !document {
            // An object in their place is none of them (`image_url`), and has its own members.
            if value.is_object() {
                words(value, of_tool, all);
            }
            continue;
        }
        if of_tool || name != "text" || !value.is_string() {
            let of_tool = of_tool || value.is_object() && TOOL_DATA.contains(&name.as_str());
            words(value, of_tool, all);
        } else if let Value::String(text) = value {
            own = Some(text);
        }
    }
    own
}

/// What tools and schemas say of themselves: a model reads it.
fn descriptions<'a>(value: &'a mut Value, all: &mut Vec<Texts<'a>>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| descriptions(item, all)),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if name != "description" || !value.is_string() {
                    descriptions(value, all);
                } else if let Value::String(text) = value {
                    all.push(vec![text]);
                }
            }
        }
        _ => {}
    }
}

/// Every text inside of a value, each by itself.
pub fn inside(value: &mut Value) -> Vec<Texts<'_>> {
    let mut all = Vec::new();
    words(value, true, &mut all);
    all
}

/// Whether a body has a member more than once: whoever reads it next may see another than we did.
#[must_use]
pub fn says_twice(body: &[u8], read: &Value) -> bool {
    fn members(value: &Value) -> usize {
        match value {
            Value::Array(all) => all.iter().map(members).sum(),
            Value::Object(all) => all.len() + all.values().map(members).sum::<usize>(),
            _ => 0,
        }
    }
    serde_json::from_slice::<Members>(body).is_ok_and(|all| all.0 != members(read))
}

/// How many members the objects of a JSON text have, as they are written.
struct Members(usize);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> serde::de::Visitor<'de> for Counting {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Members, E> {
                Ok(Members(0))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Members, E> {
                Ok(Members(0))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Members, E> {
                Ok(Members(0))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Members, E> {
                Ok(Members(0))
            }
            fn visit_str<E>(self, _: &str) -> Result<Members, E> {
                Ok(Members(0))
            }
            fn visit_unit<E>(self) -> Result<Members, E> {
                Ok(Members(0))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut all: A,
            ) -> Result<Members, A::Error> {
                let mut sum = 0;
                while let Some(Members(one)) = all.next_element()? {
                    sum += one;
                }
                Ok(Members(sum))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut all: A,
            ) -> Result<Members, A::Error> {
                let mut sum = 0;
                while let Some((_, Members(one))) =
                    all.next_entry::<serde::de::IgnoredAny, Members>()?
                {
                    sum += 1 + one;
                }
                Ok(Members(sum))
            }
        }
        deserializer.deserialize_any(Counting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(mut body: Value, stage: Stage) -> Vec<String> {
        texts(&mut body, stage)
            .into_iter()
            .map(|group| group.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("|"))
            .collect()
    }

    #[test]
    fn the_words_of_every_dialect_are_found_and_nothing_else() {
        for (body, wanted) in [
            (
                json!({"model": "x", "user": "x", "stop": ["x"], "reasoning_effort": "high",
                    "messages": [{"role": "system", "content": "a"},
                        {"role": "user", "name": "x", "content": [
                            {"type": "text", "text": "b"},
                            {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
                            {"type": "text", "text": "c"}]},
                        {"role": "assistant", "tool_calls": [{"id": "x", "type": "function",
                            "function": {"name": "x", "arguments": "{\"id\":\"d\"}"}}]},
                        {"role": "tool", "tool_call_id": "x", "content": "e"}],
                    "tools": [{"type": "function", "function": {"name": "x", "description": "f",
                        "parameters": {"type": "object"}}}]}),
                vec!["a", "b|c", "{\"id\":\"d\"}", "e", "f"],
            ),
            (
                json!({"system": [{"type": "text", "text": "a"}], "messages": [{"role": "user",
                    "content": [{"type": "document", "title": "b", "source":
                        {"type": "text", "media_type": "text/plain", "data": "c"}},
                        {"type": "image", "source": {"type": "base64", "data": "x"}},
                        {"type": "tool_result", "tool_use_id": "x", "content": "d"},
                        {"type": "tool_use", "id": "x", "name": "x", "input": {"name": "e"}}]}]}),
                vec!["b", "c", "d", "e", "a"],
            ),
            (
                json!({"instructions": "a", "input": [{"type": "message", "role": "user",
                    "content": [{"type": "input_text", "text": "b"}]},
                    {"type": "function_call_output", "call_id": "x", "output": "c"}]}),
                vec!["a", "b", "c"],
            ),
            (
                json!({"systemInstruction": {"parts": [{"text": "a"}]}, "contents": [{"role": "user",
                    "parts": [{"text": "b"}, {"inlineData": {"mimeType": "x", "data": "x"}},
                        {"functionResponse": {"name": "x", "response": {"data": "c"}}}]}]}),
                vec!["a", "c", "b"],
            ),
        ] {
            let mut found = said(body.clone(), Stage::Input);
            let mut wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{body}");
        }
    }

    #[test]
    fn of_an_answer_only_what_is_said() {
        let body = json!({"id": "x", "object": "x", "model": "x", "system_fingerprint": "x",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant",
                "content": "a", "reasoning_content": "b", "refusal": null}}]});
        assert_eq!(said(body, Stage::Output), ["a", "b"]);
    }

    #[test]
    fn words_that_are_spelt_again_can_be_taken_out() {
        let mut body = json!({"choices": [{"message": {"content": "a"}, "logprobs": {"content":
            [{"token": "a"}]}}]});
        forget_spelling(&mut body);
        assert_eq!(body, json!({"choices": [{"message": {"content": "a"}}]}));
    }
}
