//! A whole answer that passes unread: looked at once, for what it used and whether it is one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::reply::usage_from;
use super::stream::says;
use crate::wire::frame::skim::Text;
use crate::wire::openai_usage;
use crate::wire::vocab::Usage;

#[derive(Deserialize)]
pub(super) struct Whole<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    service_tier: Option<Value>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    /// Some servers count here.
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

impl<'a> Whole<'a> {
    /// `None` for what is no answer of this dialect.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub fn usage(&self) -> Option<Usage> {
        let within = || self.choices.iter().flatten().find_map(|choice| choice.usage);
        let raw: Value = serde_json::from_str(self.usage.or_else(within)?.get()).ok()?;
        let class = openai_usage::class(self.service_tier.as_ref());
        raw.is_object().then(|| usage_from(raw, class))
    }

    /// No choice says anything, or has a reason to end.
    pub fn is_hollow(&self) -> bool {
        self.choices.as_ref().is_some_and(|choices| {
            choices.iter().all(|choice| {
                choice.finish_reason.as_str().is_empty()
                    && !choice.message.is_some_and(|message| says(message.get()))
            })
        })
    }
}
