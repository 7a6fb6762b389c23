//! A moderation model, asked about a text.

use std::sync::Arc;

use bytes::Bytes;

use crate::catalogue::Provider;
use crate::guard::Moderation;
use crate::upstream::{Upstream, moderate};
use crate::wire::vocab::Fault;

/// The categories that a text falls under; why there is no answer, in words.
pub(super) async fn moderated(
    upstream: &Upstream,
    provider: Option<&Arc<Provider>>,
    moderation: &Moderation,
    text: &str,
) -> Result<Vec<String>, String> {
    let Some(provider) = provider else {
        return Err(format!("there is no provider '{}' to ask", moderation.provider));
    };
    let question = moderation.question(text).map_err(|why| why.to_string())?;
    let answer = moderate(upstream, provider, Bytes::from(question), moderation.patience).await;
    let answer = answer.map_err(|fault| told(&fault))?;
    moderation.found(&answer).map_err(|why| why.to_string())
}

/// A fault, as a log may hold it: a provider's own words may quote the text.
fn told(fault: &Fault) -> String {
    match (fault.loggable(), fault.status) {
        (Some(why), _) => why.to_owned(),
        (None, status) => format!("it answered with status {status:?}: {:?}", fault.kind),
    }
}
