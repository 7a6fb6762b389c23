//! Declarative edits of a request body for providers that say a thing by another name.

use bytes::Bytes;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::capability::Capability;

/// Edits of the body's top-level members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quirk {
    /// Only for models with this capability.
    pub when: Option<Capability>,
    #[serde(default)]
    pub rename: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    pub drop: Vec<String>,
}

/// Applies the quirks. A body that mentions none of their members is returned untouched, without
/// being parsed; so is one that is not a JSON object.
#[must_use]
pub fn apply(quirks: &[Quirk], body: Bytes) -> Bytes {
    let mentions = |name: &str| memmem::find(&body, format!("\"{name}\"").as_bytes()).is_some();
    let touched = quirks
        .iter()
        .any(|quirk| quirk.rename.keys().chain(&quirk.drop).any(|name| mentions(name)));
    if !touched {
        return body;
    }
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(&body) else { return body };
    for quirk in quirks {
        for name in &quirk.drop {
            members.shift_remove(name);
        }
        for (from, to) in &quirk.rename {
            if let Some(value) = members.shift_remove(from) {
                members.entry(to.clone()).or_insert(value);
            }
        }
    }
    Bytes::from(Value::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_and_drops_top_level_members_only() {
        let quirk = Quirk {
            when: None,
            rename: [("seed".to_owned(), "random_seed".to_owned())].into(),
            drop: vec!["user".to_owned()],
        };
        let body = Bytes::from_static(br#"{"seed":1,"user":"u","x":{"seed":2}}"#);
        assert_eq!(
            &apply(std::slice::from_ref(&quirk), body)[..],
            br#"{"x":{"seed":2},"random_seed":1}"#
        );
        let plain = Bytes::from_static(br#"{ "n": 1 }"#);
        assert_eq!(apply(&[quirk], plain.clone()), plain);
    }
}
