//! The head of a request of which only the model has to be known.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::frame::json::span_of;
use super::vocab::{Malformed, RequestHead};

/// The head of a request of which only the model must be known.
///
/// # Errors
/// [`Malformed`] when it names none.
pub fn model_only(body: &[u8]) -> Result<RequestHead, Malformed> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        model: Option<&'a RawValue>,
    }
    let only: Only<'_> = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let model = only.model.ok_or_else(|| Malformed::missing("model"))?;
    let name: Cow<'_, str> = serde_json::from_str(model.get())
        .map_err(|_| Malformed::wrong_type("model", "a string", "another type"))?;
    Ok(RequestHead {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        prompt_bytes: body.len(),
        ..RequestHead::default()
    })
}
