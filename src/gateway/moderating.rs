//! Moderation models, asked for the guardrails that name them.

use bytes::Bytes;

use super::app::App;
use crate::guard::{Asks, Moderation};
use crate::upstream::moderate;
use crate::wire::vocab::Fault;

/// Asks whichever provider is in force when it is asked.
pub(super) fn asks(app: &App) -> Asks {
    let (upstream, current) = (app.upstream.clone(), app.shared.routing.current.clone());
    Asks::by(move |moderation: &Moderation, question: Bytes| {
        let live = current.load();
        let provider = live.catalogue.provider(&moderation.provider).cloned();
        let missing = format!("there is no provider '{}' to ask", moderation.provider);
        let (upstream, patience) = (upstream.clone(), moderation.patience);
        Box::pin(async move {
            let provider = provider.ok_or(missing)?;
            let answer = moderate(&upstream, &provider, question, patience).await;
            answer.map_err(|fault| told(&fault))
        })
    })
}

/// A fault, as a log may hold it: a provider's own words may quote the text.
fn told(fault: &Fault) -> String {
    match (fault.loggable(), fault.status) {
        (Some(why), _) => why.to_owned(),
        (None, Some(status)) => format!("it answered with status {status}"),
        (None, None) => format!("it gave no answer: {:?}", fault.kind),
    }
}
