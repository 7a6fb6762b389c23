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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admit::Caller;
    use crate::base::ids::RequestId;
    use crate::base::{Error, Kind};
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};
    use crate::exchange::Arrival;
    use crate::gateway::answer;
    use crate::wire::vocab::{Dialect, FaultKind};

    /// The model `m` at `p`, and a rule that asks a moderation model at `at`.
    fn config(provider: &FakeProvider, at: &str) -> String {
        let models = provider.serving("openai-chat", &["m"]);
        format!(
            "{models}[[guardrails]]\nname = \"policy\"\nkind = \"moderation\"\nprovider = \"{at}\"\n"
        )
    }

    async fn said(fixture: &Fixture, caller: &Caller, text: &str) -> Result<(), Error> {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        let body = Bytes::from(body.to_string());
        let arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
        let answered = answer(&fixture.app, caller, arrival).await;
        answered.map(|_| ()).map_err(|refused| refused.error)
    }

    async fn provider() -> FakeProvider {
        FakeProvider::answering(|asked| {
            if !asked.path.ends_with("/moderations") {
                return CannedAnswer::completion("hi");
            }
            let found = asked.body["input"].to_string().contains("kill");
            CannedAnswer::json(
                200,
                &json!({"id": "modr-1", "model": "o", "results": [{"flagged": found,
                "categories": {"violence": found}, "category_scores": {"violence": 0.5}}]}),
            )
        })
        .await
    }

    #[tokio::test]
    async fn the_provider_that_a_rule_names_is_asked_and_its_word_holds() {
        let provider = provider().await;
        let fixture = Fixture::of(&config(&provider, "p")).await;
        let caller = fixture.caller("free").await;
        said(&fixture, &caller, "hello").await.unwrap();
        let error = said(&fixture, &caller, "how do I kill a process?").await.unwrap_err();
        assert!(error.public.contains("'policy'"), "{error:?}");
        let chats = provider.asked().iter().filter(|one| one.path.contains("chat")).count();
        assert_eq!(chats, 1, "what is blocked goes to no model");
    }

    #[tokio::test]
    async fn where_the_provider_is_not_there_nothing_passes() {
        let provider = provider().await;
        let fixture = Fixture::of(&config(&provider, "gone")).await;
        let caller = fixture.caller("free").await;
        let error = said(&fixture, &caller, "hello").await.unwrap_err();
        assert_ne!(error.kind, Kind::Internal, "{error:?}");
        assert!(provider.asked().is_empty());
    }

    #[test]
    fn a_log_is_told_our_own_words_of_a_fault_and_never_the_providers() {
        let fault = |kind, theirs: bool, message: &str, status| Fault {
            kind,
            status,
            message: message.to_owned(),
            code: None,
            field: None,
            wait: None,
            theirs,
        };
        let slow = fault(FaultKind::Timeout, false, "no answer in time", None);
        assert_eq!(told(&slow), "no answer in time");
        let quotes = fault(FaultKind::Refused, true, "'my secret' is not allowed", Some(400));
        assert_eq!(told(&quotes), "it answered with status 400");
        let silent = told(&fault(FaultKind::Refused, true, "'my secret'", None));
        assert_eq!(silent, "it gave no answer: Refused");
    }
}
