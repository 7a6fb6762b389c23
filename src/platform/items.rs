//! Items of input and output as they are kept, listed and said again.

use serde_json::{Map, Value, json};

use crate::base::ids::ConversationId;
use crate::wire::openai_responses::is_our_own;

/// An `input`, or the `items` of a conversation, as a list.
#[must_use]
pub fn listed(input: Value) -> Vec<Value> {
    match input {
        Value::Array(items) => items,
        Value::String(text) => vec![json!({"type": "message", "role": "user", "content": text})],
        _ => Vec::new(),
    }
}

/// The items of an answer.
#[must_use]
pub fn output(response: &Value) -> Vec<Value> {
    response.get("output").and_then(Value::as_array).cloned().unwrap_or_default()
}

#[must_use]
pub fn id_of(item: &Value) -> Option<&str> {
    item.get("id").and_then(Value::as_str)
}

fn kind_of(item: &Value) -> &str {
    item.get("type").and_then(Value::as_str).unwrap_or("message")
}

/// An item of an earlier turn as it goes to a provider again: without the id that only whoever
/// made it could look up. A thought that is not sealed goes on in words where another maker's model had it
/// (DeepSeek wants its own back within a loop of calls): its id says so. One of OpenAI's cannot be given back.
#[must_use]
pub fn said_again(mut item: Value) -> Option<Value> {
    let kind = kind_of(&item).to_owned();
    let members = item.as_object_mut()?;
    match kind.as_str() {
        "reasoning" => {
            members.shift_remove("status");
            if members.get("encrypted_content").is_some_and(Value::is_string) {
                members.shift_remove("id");
            } else {
                let ours = members.get("id").and_then(Value::as_str).is_some_and(is_our_own);
                let told = ["summary", "content"].iter().any(|name| {
                    let parts = members.get(*name).and_then(Value::as_array);
                    parts.is_some_and(|parts| !parts.is_empty())
                });
                if !(ours && told) {
                    return None;
                }
            }
        }
        "message"
        | "function_call"
        | "function_call_output"
        | "custom_tool_call"
        | "custom_tool_call_output" => {
            members.shift_remove("id");
            members.shift_remove("status");
        }
        _ => {}
    }
    Some(item)
}

/// The usual beginning of such an item's id.
fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        _ => "item",
    }
}

/// An item as it is listed: with an id, a type, a state, and parts in place of a bare text. An id
/// that nobody gave follows from `owner` and the item's number, so that it stays the same.
#[must_use]
pub fn shown(item: Value, owner: &str, number: usize) -> Value {
    let Value::Object(members) = item else { return item };
    let kind = kind_of(&Value::Object(members.clone())).to_owned();
    let mut shown = Map::new();
    let bare = owner.split_once('_').map_or(owner, |(_, bare)| bare);
    let id = members.get("id").filter(|id| id.is_string()).cloned();
    shown.insert(
        "id".to_owned(),
        id.unwrap_or_else(|| Value::from(format!("{}_{bare}_i{number}", prefix(&kind)))),
    );
    shown.insert("type".to_owned(), Value::from(kind.as_str()));
    if kind == "message" {
        shown.insert("status".to_owned(), Value::from("completed"));
    }
    let by_model = members.get("role").and_then(Value::as_str) == Some("assistant");
    for (name, value) in members {
        let value = match (name.as_str(), value) {
            ("id" | "type", _) => continue,
            ("content", Value::String(text)) if by_model => {
                json!([{"type": "output_text", "text": text, "annotations": []}])
            }
            ("content", Value::String(text)) => json!([{"type": "input_text", "text": text}]),
            (_, value) => value,
        };
        shown.insert(name, value);
    }
    Value::Object(shown)
}

/// Items that are added to a conversation, each with an id of its own.
#[must_use]
pub fn named(items: Vec<Value>) -> Vec<(String, Value)> {
    let owner = ConversationId::fresh();
    items
        .into_iter()
        .enumerate()
        .map(|(number, item)| shown(item, owner.as_str(), number))
        .filter_map(|item| Some((id_of(&item)?.to_owned(), item)))
        .collect()
}

/// A kept item, by the name that it is kept under.
#[must_use]
pub fn kept(id: &str, body: &str) -> Option<Value> {
    let mut item: Map<String, Value> = serde_json::from_str(body).ok()?;
    item.insert("id".to_owned(), Value::from(id));
    Some(Value::Object(item))
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    pub limit: Option<usize>,
    /// The id of the last item of the page before.
    pub after: Option<String>,
    /// Oldest first; newest first otherwise.
    pub ascending: bool,
}

/// A page of `items`, which come oldest first.
#[must_use]
pub fn page(mut items: Vec<Value>, page: &PageRequest) -> Value {
    if !page.ascending {
        items.reverse();
    }
    if let Some(after) = &page.after
        && let Some(at) = items.iter().position(|item| id_of(item) == Some(after))
    {
        items.drain(..=at);
    }
    let limit = page.limit.unwrap_or(20).clamp(1, 100);
    let has_more = items.len() > limit;
    items.truncate(limit);
    json!({
        "object": "list",
        "first_id": items.first().and_then(id_of),
        "last_id": items.last().and_then(id_of),
        "has_more": has_more,
        "data": items,
    })
}

/// What an item says, in lower case, without what is only about it.
#[must_use]
pub fn words(item: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_lowercase);
    let mut all: Vec<String> = Vec::new();
    for name in ["content", "summary", "output", "arguments"] {
        match item.get(name) {
            Some(Value::Array(parts)) => {
                all.extend(parts.iter().filter_map(|part| text(part.get("text")?)));
            }
            Some(value) => all.extend(text(value)),
            None => {}
        }
    }
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_thought_is_said_again_and_a_bare_one_is_not() {
        let bare = json!({"type": "reasoning", "id": "rs_1", "summary": []});
        assert_eq!(said_again(bare), None);
        // OpenAI's own, which it keeps, and one of another maker's model.
        let told = |id: &str| {
            json!({"type": "reasoning", "id": id, "status": "completed",
            "summary": [{"type": "summary_text", "text": "Hm."}]})
        };
        assert_eq!(said_again(told("rs_1")), None);
        let kept = said_again(told("rs_resp_1_0")).unwrap();
        assert_eq!((&kept["id"], kept.get("status")), (&json!("rs_resp_1_0"), None));
        let sealed =
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"});
        assert_eq!(
            said_again(sealed),
            Some(json!({"type": "reasoning", "summary": [], "encrypted_content": "x"}))
        );
        let hosted = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
        assert_eq!(said_again(hosted.clone()), Some(hosted));
    }

    #[test]
    fn pages_follow_each_other() {
        let items: Vec<Value> = (0..5).map(|n| json!({"id": format!("i{n}")})).collect();
        let first = page(items.clone(), &PageRequest { limit: Some(2), ..PageRequest::default() });
        assert_eq!(first["data"], json!([{"id": "i4"}, {"id": "i3"}]));
        assert_eq!(first["has_more"], true);
        let after = Some(first["last_id"].as_str().unwrap().to_owned());
        let next = page(items, &PageRequest { limit: Some(9), after, ascending: false });
        assert_eq!(next["data"], json!([{"id": "i2"}, {"id": "i1"}, {"id": "i0"}]));
        assert_eq!(next["has_more"], false);
    }
}
