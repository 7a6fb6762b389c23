//! JSON objects taken apart member by member: known members by name and type, with an error that
//! names the field; the rest stays, in order, for [`Extra`].

use serde_json::{Map, Number, Value};

use crate::wire::vocab::{ByteSpan, Dialect, Extra, Malformed};

/// A JSON object on its way into the vocabulary. `path` is where it stood, for errors.
#[derive(Debug, Clone)]
pub struct Object {
    left: Map<String, Value>,
    spelled: Map<String, Value>,
    unsaid: Vec<String>,
    path: String,
}

/// What JSON calls a value's type, with its article, as it reads in an error.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl Object {
    /// # Errors
    /// [`Malformed`] when `bytes` is not one JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|why| Malformed::not_json(&why))?;
        match value {
            Value::Object(left) => {
                Ok(Self { left, spelled: Map::new(), unsaid: Vec::new(), path: String::new() })
            }
            other => Err(Malformed::new(format!(
                "The request body must be a JSON object, but is {}.",
                type_name(&other)
            ))
            .coded("invalid_json")),
        }
    }

    /// # Errors
    /// [`Malformed`] when `value` is not an object.
    pub fn of(value: Value, path: impl Into<String>) -> Result<Self, Malformed> {
        let path = path.into();
        match value {
            Value::Object(left) => Ok(Self { left, spelled: Map::new(), unsaid: Vec::new(), path }),
            other => Err(Malformed::wrong_type(&path, "an object", type_name(&other))),
        }
    }

    #[must_use]
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|value| !value.is_null())
    }

    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&Value> {
        self.left.get(name).filter(|value| !value.is_null())
    }

    /// The member, unless it is absent or null; a null stays, as a spelling.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        if self.has(name) { self.left.shift_remove(name) } else { None }
    }

    /// Takes the member even when it is null.
    pub fn take_any(&mut self, name: &str) -> Option<Value> {
        self.left.shift_remove(name)
    }

    /// The first of several spellings of the same member.
    pub fn take_either(&mut self, names: [&str; 2]) -> Option<Value> {
        names.into_iter().find_map(|name| self.take(name))
    }

    /// Marks a member as understood, but written in a way that an encoder would not choose.
    pub fn keep_spelling(&mut self, name: &str) {
        if let Some(value) = self.left.shift_remove(name) {
            self.spelled.insert(name.to_owned(), value);
        }
    }

    pub fn spell(&mut self, name: &str, value: Value) {
        self.spelled.insert(name.to_owned(), value);
    }

    /// What was understood but for what is `left` of it.
    pub fn spell_in_part(&mut self, name: &str, whole: Value, left: &Self) {
        let said = left.left.iter().filter(|(_, value)| !value.is_null());
        self.unsaid.extend(said.map(|(inner, _)| format!("{name}.{inner}")));
        self.spell(name, whole);
    }

    pub fn unknown(&mut self, name: &str, value: Value) {
        self.left.insert(name.to_owned(), value);
    }

    fn mistyped(&self, name: &str, wanted: &str, got: &Value) -> Malformed {
        Malformed::wrong_type(&self.path(name), wanted, type_name(got))
    }

    /// # Errors
    /// When the member is there and not a string. So for each type below.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.mistyped(name, "a string", &other)),
        }
    }

    /// # Errors
    /// When the member is missing or not a string.
    pub fn required_string(&mut self, name: &str) -> Result<String, Malformed> {
        self.string(name)?.ok_or_else(|| Malformed::missing(&self.path(name)))
    }

    /// # Errors
    /// See [`Object::string`].
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.mistyped(name, "a boolean", &other)),
        }
    }

    /// # Errors
    /// See [`Object::string`].
    pub fn number(&mut self, name: &str) -> Result<Option<Number>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(value)) => Ok(Some(value)),
            Some(other) => Err(self.mistyped(name, "a number", &other)),
        }
    }

    /// # Errors
    /// See [`Object::string`]; also for a negative or fractional number.
    pub fn unsigned(&mut self, name: &str) -> Result<Option<u64>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.mistyped(name, "a non-negative integer", &value)),
            },
        }
    }

    /// # Errors
    /// See [`Object::string`]; also for a fractional number.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.mistyped(name, "an integer", &value)),
            },
        }
    }

    /// # Errors
    /// See [`Object::string`].
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.mistyped(name, "an array", &other)),
        }
    }

    /// A list, or an object that stands for a list of one, as Google's servers take it. The spelling
    /// of such an object is kept.
    ///
    /// # Errors
    /// See [`Object::string`].
    pub fn list_or_one(&mut self, name: &str) -> Result<Option<Vec<Value>>, Malformed> {
        if self.peek(name).is_some_and(Value::is_object) {
            let one = self.peek(name).cloned();
            self.keep_spelling(name);
            return Ok(one.map(|one| vec![one]));
        }
        self.list(name)
    }

    /// # Errors
    /// See [`Object::string`].
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Malformed> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => Self::of(value, self.path(name)).map(Some),
        }
    }

    /// Puts an object back that was looked into and left as it is.
    pub fn restore(&mut self, name: &str, object: Self) {
        self.left.insert(name.to_owned(), object.into_value());
    }

    #[must_use]
    pub fn into_value(mut self) -> Value {
        self.left.extend(self.spelled);
        Value::Object(self.left)
    }

    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left.is_empty() && self.spelled.is_empty()
    }

    /// What nobody took.
    #[must_use]
    pub fn finish(self, dialect: Dialect) -> Extra {
        Extra::of(dialect, self.left, self.spelled).with_unsaid(self.unsaid)
    }
}

/// An object under construction, where absent members are simply not set.
#[derive(Debug, Default)]
pub struct Builder(pub Map<String, Value>);

impl Builder {
    #[must_use]
    pub fn new() -> Self {
        Self(Map::new())
    }

    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub fn maybe(&mut self, name: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    #[must_use]
    pub fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// Where `part` stands inside `whole`. Both must be the same allocation, as a borrowed
/// deserialization guarantees; anything else gives `None`.
#[must_use]
pub fn span_of(whole: &[u8], part: &str) -> Option<ByteSpan> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// `body` with the bytes at each span replaced. Spans must be in order and must not overlap;
/// one that does not fit is left out.
#[must_use]
pub fn splice(body: &[u8], edits: &[(ByteSpan, &[u8])]) -> Vec<u8> {
    let added: usize = edits.iter().map(|(_, with)| with.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for (span, with) in edits {
        if let Some(kept) = body.get(from..span.start) {
            out.extend_from_slice(kept);
            out.extend_from_slice(with);
            from = span.end;
        }
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

/// JSON with U+FFFD for every half of a character (`\ud83d` without its `\ude42`), which is no text; `None` if
/// there is none.
#[must_use]
pub fn with_whole_characters(data: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| {
        let hex = std::str::from_utf8(data.get(at..at + 6)?.strip_prefix(b"\\u")?).ok()?;
        u16::from_str_radix(hex, 16).ok()
    };
    let (mut whole, mut at, mut mended) = (Vec::with_capacity(data.len()), 0, false);
    while let Some(byte) = data.get(at) {
        let length = match (byte, unit(at)) {
            (b'\\', Some(0xd800..=0xdbff)) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff)) => {
                mended = true;
                whole.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            // What is escaped is no escape itself.
            (b'\\', _) => 2,
            _ => 1,
        };
        whole.extend_from_slice(data.get(at..(at + length).min(data.len())).unwrap_or_default());
        at += length;
    }
    mended.then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_type_is_named_with_its_path() {
        let mut inner = Object::of(json!({"role": 3}), "messages[0]").unwrap();
        let error = inner.required_string("role").unwrap_err();
        assert_eq!(
            error.message,
            "Invalid type for 'messages[0].role': expected a string, but got a number instead."
        );
    }

    #[test]
    fn splices_keep_everything_else() {
        let body = br#"{"model":"a","n":1}"#;
        assert_eq!(splice(body, &[(9..12, br#""gpt""#)]), br#"{"model":"gpt","n":1}"#);
        assert_eq!(
            splice(body, &[(1..1, br#""x":2,"#), (9..12, b"7")]),
            br#"{"x":2,"model":7,"n":1}"#
        );
    }

    #[test]
    fn halves_of_characters_are_replaced_and_whole_ones_stay() {
        for (data, mended) in [
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""a\ude42\u0041""#, Some(r#""a\ufffd\u0041""#)),
            (r#""\ud83d\ud83d\ude42""#, Some(r#""\ufffd\ud83d\ude42""#)),
            (r#""\ud83d\ude42""#, None),
            (r#""\\ud83d \u4f60""#, None),
        ] {
            let found = with_whole_characters(data.as_bytes());
            assert_eq!(found.as_deref(), mended.map(str::as_bytes), "{data}");
            let read = mended.unwrap_or(data);
            assert!(serde_json::from_str::<Value>(read).is_ok(), "{read}");
        }
    }

    #[test]
    fn a_foreign_slice_has_no_span() {
        let whole = b"abc".to_vec();
        let text = std::str::from_utf8(&whole[1..]).unwrap();
        assert_eq!(span_of(&whole, text), Some(1..3));
        assert_eq!(span_of(&whole, "elsewhere, longer than the whole"), None);
    }
}
