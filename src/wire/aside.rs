//! Members of a request's body that are for the gateway and for no provider: taken out of it.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::vocab::Malformed;

/// The members of an object in their order, as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// A body without some of its members, and those.
type Taken = (Bytes, Map<String, Value>);

/// Takes the members of these names (given in quotes, as JSON has them) out of a body; `None` where it has none,
/// as most. A body without a `model` gets the one that `model` finds in them.
///
/// # Errors
/// [`Malformed`] for a body that is no JSON object.
pub fn taken(
    body: &Bytes,
    names: &[&str],
    model: impl FnOnce(&Map<String, Value>) -> Option<String>,
) -> Result<Option<Taken>, Malformed> {
    let mentions = |name: &&str| memchr::memmem::find(body, name.as_bytes());
    if names.iter().all(|name| mentions(name).is_none()) {
        return Ok(None);
    }
    let Members(all) = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let mut aside = Map::new();
    let mut rest = Vec::with_capacity(body.len());
    let mut named = false;
    let mut member = |name: &str, value: &str| {
        rest.push(if rest.is_empty() { b'{' } else { b',' });
        rest.extend_from_slice(Value::from(name).to_string().as_bytes());
        rest.push(b':');
        rest.extend_from_slice(value.as_bytes());
    };
    for (name, value) in all {
        if names.iter().any(|one| one.trim_matches('"') == name) {
            let value =
                serde_json::from_str(value.get()).map_err(|why| Malformed::not_json(&why))?;
            aside.insert(name, value);
        } else {
            named |= name == "model";
            member(&name, value.get());
        }
    }
    if aside.is_empty() {
        return Ok(None);
    }
    if !named && let Some(model) = model(&aside) {
        member("model", &Value::from(model).to_string());
    }
    if rest.is_empty() {
        rest.push(b'{');
    }
    rest.push(b'}');
    Ok(Some((Bytes::from(rest), aside)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn took(body: &'static str) -> Option<(String, Value)> {
        let taken = taken(&Bytes::from(body), &["\"provider\"", "\"models\""], |aside| {
            Some(aside.get("models")?.get(0)?.as_str()?.to_owned())
        });
        let (rest, aside) = taken.unwrap()?;
        Some((String::from_utf8(rest.to_vec()).unwrap(), Value::Object(aside)))
    }

    #[test]
    fn what_is_aside_is_taken_out_and_the_rest_stays_as_it_was_written() {
        assert_eq!(took(r#"{"model":"m","messages":[{"content":"the provider"}]}"#), None);
        assert_eq!(took(r#"{"model":"m","metadata":{"provider":1}}"#), None);
        let (rest, aside) =
            took(r#"{"provider":{"only":["a"]}, "temperature":1.0,"n":12345678901234567890123}"#)
                .unwrap();
        assert_eq!(rest, r#"{"temperature":1.0,"n":12345678901234567890123}"#);
        assert_eq!(aside, json!({"provider": {"only": ["a"]}}));
        let (rest, _) = took(r#"{"models":["a","b"],"x":1}"#).unwrap();
        assert_eq!(rest, r#"{"x":1,"model":"a"}"#);
        let (rest, _) = took(r#"{"model":"c","models":["a","b"]}"#).unwrap();
        assert_eq!(rest, r#"{"model":"c"}"#);
        assert!(taken(&Bytes::from(r#"["models"]"#), &["\"models\""], |_| None).is_err());
    }
}
