//! A request that builds on earlier ones, made into one that stands alone; and what the answer then
//! says of it.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::items;
use crate::base::{Error, Kind};
use crate::store::ChainTurn;
use crate::wire::vocab::Malformed;

/// What a request says of keeping and of what was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseOptions {
    pub store: bool,
    pub background: bool,
    pub stream: bool,
    pub previous: Option<String>,
    pub conversation: Option<String>,
    /// The `input` as it came: JSON.
    input: String,
}

#[derive(Deserialize)]
struct Body<'a> {
    store: Option<bool>,
    background: Option<bool>,
    stream: Option<bool>,
    previous_response_id: Option<String>,
    conversation: Option<Named>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Id(String),
    Object { id: String },
}

impl ResponseOptions {
    /// # Errors
    /// [`Malformed`] when the members exclude each other. A body that cannot be read at all asks
    /// for nothing: the codec says what is wrong with it.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Ok(read) = serde_json::from_slice::<Body<'_>>(body) else { return Ok(Self::default()) };
        let asked = Self {
            store: read.store.unwrap_or(true),
            background: read.background.unwrap_or(false),
            stream: read.stream.unwrap_or(false),
            previous: read.previous_response_id,
            conversation: read.conversation.map(|named| match named {
                Named::Id(id) | Named::Object { id } => id,
            }),
            input: read.input.map_or_else(|| "[]".to_owned(), |input| input.get().to_owned()),
        };
        if asked.previous.is_some() && asked.conversation.is_some() {
            let why = "cannot be combined with 'conversation'";
            return Err(Malformed::invalid("previous_response_id", why));
        }
        if asked.background && !asked.store {
            return Err(Malformed::invalid("background", "needs 'store' to be true"));
        }
        Ok(asked)
    }

    /// The items of this turn alone.
    #[must_use]
    pub fn items(&self) -> Vec<Value> {
        items::listed(serde_json::from_str(&self.input).unwrap_or_default())
    }

    /// The ids of earlier items that the input refers to.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        if memchr::memmem::find(self.input.as_bytes(), b"item_reference").is_none() {
            return Vec::new();
        }
        self.items().iter().filter_map(reference).map(str::to_owned).collect()
    }

    /// Whether the body can be passed on as it is.
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        self.previous.is_none()
            && self.conversation.is_none()
            && !self.background
            && self.references().is_empty()
    }

    /// The request with everything that it builds on in its `input`.
    ///
    /// # Errors
    /// [`Malformed`] for an item that is not kept.
    pub fn made_whole(
        &self,
        body: &[u8],
        earlier: Vec<Value>,
        found: &HashMap<String, Value>,
    ) -> Result<Bytes, Malformed> {
        let mut members: Map<String, Value> =
            serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
        let mut input: Vec<Value> = earlier.into_iter().filter_map(items::said_again).collect();
        for (index, item) in self.items().into_iter().enumerate() {
            match reference(&item) {
                None => input.push(item),
                Some(id) => {
                    let known = found.get(id).cloned().ok_or_else(|| {
                        Malformed::new(format!("Item with id '{}' not found.", shortened(id)))
                            .at(format!("input[{index}].id"))
                    })?;
                    input.extend(items::said_again(known));
                }
            }
        }
        members.insert("input".to_owned(), Value::Array(input));
        for name in ["previous_response_id", "conversation", "background"] {
            members.shift_remove(name);
        }
        Ok(Bytes::from(Value::Object(members).to_string()))
    }

    /// What an answer says of how it was asked for. `true` when that changed it.
    pub fn tell(&self, id: Option<&str>, response: &mut Value) -> bool {
        let Some(members) = response.as_object_mut() else { return false };
        let mut changed = false;
        let mut set = |name: &str, value: Value| {
            if members.get(name) != Some(&value) {
                members.insert(name.to_owned(), value);
                changed = true;
            }
        };
        if let Some(id) = id {
            set("id", Value::from(id));
        }
        if self.store {
            set("store", Value::from(true));
        }
        if let Some(previous) = &self.previous {
            set("previous_response_id", Value::from(previous.as_str()));
        }
        if let Some(conversation) = &self.conversation {
            set("conversation", json!({ "id": conversation }));
        }
        if self.background {
            set("background", Value::from(true));
        }
        changed
    }
}

fn reference(item: &Value) -> Option<&str> {
    let kind = item.get("type").and_then(Value::as_str);
    // The type may be left out.
    let bare = kind.is_none() && item.get("role").is_none();
    (kind == Some("item_reference") || bare).then(|| items::id_of(item)).flatten()
}

fn shortened(id: &str) -> String {
    id.chars().take(80).collect()
}

/// All that was said in a chain, oldest first.
///
/// # Errors
/// [`Kind::Malformed`] for a chain that is not kept, or whose last answer is not there yet.
pub fn said_in(chain: &[ChainTurn], id: &str) -> Result<Vec<Value>, Error> {
    let refused = |text: String, code: &'static str| {
        Error::new(Kind::Malformed, text).at("previous_response_id").coded(code)
    };
    let Some(last) = chain.last() else {
        let text = format!("Previous response with id '{}' not found.", shortened(id));
        return Err(refused(text, "previous_response_not_found"));
    };
    if matches!(last.status.as_str(), "queued" | "in_progress") {
        let text = format!("Previous response with id '{}' is not finished.", shortened(id));
        return Err(refused(text, "previous_response_not_finished"));
    }
    let mut said = Vec::new();
    for link in chain {
        said.extend(items::listed(serde_json::from_str(&link.input).unwrap_or_default()));
        let body: Value = serde_json::from_str(&link.body).unwrap_or_default();
        said.extend(items::output(&body));
    }
    Ok(said)
}

/// The body of an answer that failed.
#[must_use]
pub fn failed(mut response: Value, error: &Error) -> Value {
    if let Some(members) = response.as_object_mut() {
        let code = error.code.as_deref().unwrap_or("server_error");
        members.insert("status".to_owned(), Value::from("failed"));
        members.insert("error".to_owned(), json!({"code": code, "message": error.public.as_ref()}));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(input: Value, output: Value) -> ChainTurn {
        ChainTurn {
            status: "completed".to_owned(),
            input: input.to_string(),
            body: json!({ "output": output }).to_string(),
        }
    }

    #[test]
    fn a_chain_becomes_one_request() {
        let body =
            json!({"model": "m", "input": "c?", "previous_response_id": "resp_2"}).to_string();
        let asked = ResponseOptions::read(body.as_bytes()).unwrap();
        assert!(asked.store && !asked.stands_alone());
        let answer = |text: &str| {
            json!([{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                    "content": [{"type": "output_text", "text": text}]}])
        };
        let chain = [link(json!("a?"), answer("a!")), link(json!("b?"), answer("b!"))];
        let said = said_in(&chain, "resp_2").unwrap();
        let whole = asked.made_whole(body.as_bytes(), said, &HashMap::new()).unwrap();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert!(whole.get("previous_response_id").is_none());
        let text = |at: &str| whole.pointer(at).and_then(Value::as_str).unwrap_or_default();
        assert_eq!(text("/input/0/content"), "a?");
        assert_eq!(text("/input/3/content/0/text"), "b!");
        assert_eq!(text("/input/4/content"), "c?");
        assert!(whole.pointer("/input/1/id").is_none());
    }

    #[test]
    fn references_are_resolved_or_refused() {
        let body = json!({"model": "m", "input": [{"type": "item_reference", "id": "msg_9"}]});
        let body = body.to_string();
        let asked = ResponseOptions::read(body.as_bytes()).unwrap();
        assert_eq!(asked.references(), ["msg_9"]);
        assert!(asked.made_whole(body.as_bytes(), Vec::new(), &HashMap::new()).is_err());
        let kept = json!({"type": "message", "role": "assistant", "content": "x", "id": "msg_9"});
        let found = HashMap::from([("msg_9".to_owned(), kept)]);
        let whole = asked.made_whole(body.as_bytes(), Vec::new(), &found).unwrap();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(whole["input"][0]["content"], "x");
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        let both = br#"{"input":"x","previous_response_id":"resp_1","conversation":"conv_1"}"#;
        assert!(ResponseOptions::read(both).is_err());
        assert!(
            ResponseOptions::read(br#"{"input":"x","background":true,"store":false}"#).is_err()
        );
    }

    #[test]
    fn an_answer_tells_how_it_was_asked_for() {
        let asked = ResponseOptions {
            store: true,
            conversation: Some("conv_1".to_owned()),
            ..ResponseOptions::default()
        };
        let mut response = json!({"id": "resp_1", "store": false});
        assert!(asked.tell(None, &mut response));
        assert_eq!(
            response,
            json!({"id": "resp_1", "store": true, "conversation": {"id": "conv_1"}})
        );
        assert!(!asked.tell(None, &mut response));
    }
}
