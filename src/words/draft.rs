//! The body of a request while features change it: read once, decoded once as long as nobody changes it, and
//! written again only if somebody did.

use bytes::Bytes;
use serde_json::Value;

use crate::base::Error;
use crate::wire::codec;
use crate::wire::vocab::{Dialect, Malformed, Request};

/// A body while features change it.
#[derive(Debug)]
pub(super) struct RequestBody {
    dialect: Dialect,
    /// As it came, or as it was last written.
    bytes: Bytes,
    read: Option<Value>,
    /// What was read says something else than the bytes.
    changed: bool,
    /// What the bytes mean.
    decoded: Option<Box<Request>>,
}

impl RequestBody {
    pub fn of(dialect: Dialect, bytes: Bytes) -> Self {
        Self { dialect, bytes, read: None, changed: false, decoded: None }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// For a body that is no JSON.
    pub fn read(&mut self) -> Result<&Value, Error> {
        Ok(self.tree()?)
    }

    /// Changes the body. `change` says whether it did.
    ///
    /// # Errors
    /// For a body that is no JSON.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value) -> bool) -> Result<(), Error> {
        if change(self.tree()?) {
            self.changed = true;
            self.decoded = None;
        }
        Ok(())
    }

    fn tree(&mut self) -> Result<&mut Value, Malformed> {
        let read = match self.read.take() {
            Some(read) => read,
            None => serde_json::from_slice(&self.bytes).map_err(|why| Malformed::not_json(&why))?,
        };
        Ok(self.read.insert(read))
    }

    /// The body as it goes on: the bytes that came, if nobody changed it.
    pub fn bytes(&mut self) -> Bytes {
        if let Some(read) = self.read.as_ref().filter(|_| self.changed) {
            self.bytes = Bytes::from(read.to_string());
            self.changed = false;
        }
        self.bytes.clone()
    }

    /// What the request means.
    ///
    /// # Errors
    /// As its dialect's codec finds it.
    pub fn request(&mut self) -> Result<&Request, Error> {
        let decoded = match self.decoded.take() {
            Some(decoded) => decoded,
            None => Box::new(codec(self.dialect).decode_request(&self.bytes())?),
        };
        Ok(self.decoded.insert(decoded))
    }

    /// The body as it goes on, and what it means, where somebody had to know.
    pub fn done(mut self) -> (Bytes, Option<Box<Request>>) {
        (self.bytes(), self.decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SPACED: &[u8] = br#"{ "model":"m", "messages":[{"role":"user","content":"hi"}] }"#;

    fn draft() -> RequestBody {
        RequestBody::of(Dialect::OpenAiChat, Bytes::from_static(SPACED))
    }

    #[test]
    fn a_body_that_nobody_changes_goes_on_as_it_came() {
        let mut draft = draft();
        assert_eq!(draft.read().unwrap()["model"], "m");
        draft.edit(|_| false).unwrap();
        assert_eq!(draft.request().unwrap().turns.len(), 1);
        let (bytes, request) = draft.done();
        assert_eq!(bytes, SPACED);
        assert_eq!(request.unwrap().model, "m");
    }

    #[test]
    fn what_is_changed_is_written_and_read_by_whoever_comes_after() {
        let mut draft = draft();
        assert_eq!(draft.request().unwrap().model, "m");
        for (member, value) in [("model", json!("other")), ("user", json!("ann"))] {
            let change = |body: &mut Value| {
                body[member] = value;
                true
            };
            draft.edit(change).unwrap();
        }
        let request = draft.request().unwrap();
        assert_eq!((request.model.as_str(), request.user.as_deref()), ("other", Some("ann")));
        let (bytes, request) = draft.done();
        let written: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&written["model"], &written["user"]), (&json!("other"), &json!("ann")));
        assert!(request.is_some());
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_has_to_be_read() {
        let mut draft = RequestBody::of(Dialect::OpenAiChat, Bytes::from_static(b"{"));
        assert_eq!(draft.read().unwrap_err().kind, crate::base::Kind::Malformed);
        assert!(draft.edit(|_| true).is_err() && draft.request().is_err());
        assert_eq!(draft.bytes(), "{");
    }
}
