//! Tokens of a request: counted by a provider that speaks the caller's dialect, or estimated here.

use bytes::Bytes;
use serde_json::Value;

use super::app::App;
use super::charge;
use super::named::named;
use crate::admit::{Caller, Scope};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::catalogue::Mode;
use crate::router::{Dial, Needs};
use crate::upstream::AnswerBody;
use crate::wire::vocab::{Dialect, Protocol, RequestHead};
use crate::wire::{Inbound, Operation, codec};

/// How many tokens a request has. `body` is what a provider of the dialect is asked, `words` the
/// request in it.
///
/// # Errors
/// When the request cannot be read, or nobody serves the model.
pub async fn count_tokens(
    app: &App,
    caller: &Caller,
    id: &RequestId,
    dialect: Dialect,
    head: RequestHead,
    body: Bytes,
    words: &[u8],
) -> Result<u64, Error> {
    caller.must_be_for(Scope::Chat)?;
    let request = codec(dialect).decode_request(words)?;
    let estimate = Needs::of(&request).input_tokens;
    // What is under rules is told to nobody before it has passed them.
    let free = app.live().rules(&caller.guardrails).must_be_free("counting").is_ok();
    if !free || Dial::of(&head.model).is_some() {
        return Ok(estimate);
    }
    let mut decision = named(app, caller, &head.model, Mode::Chat)?;
    let spoken = Protocol::Dialect(dialect);
    // Where the model stands in the address (Vertex), counting is asked for in another way.
    decision.steps.retain(|step| {
        let surface = step.deployment.provider.surface(spoken);
        step.deployment.protocols.contains(&spoken)
            && surface.is_some_and(|surface| !surface.base_url.contains("{model}"))
    });
    if decision.steps.is_empty() {
        return Ok(estimate);
    }
    // It costs nothing, and counts as a request all the same: the provider is asked.
    let intent = charge::Intent::of(id, "count");
    let _taken = charge::hold_place(app, caller, &head, intent).await.map_err(|no| no.error)?;
    let inbound = Inbound::of(Operation::Count, dialect, head, body);
    let counted = charge::ask(app, &decision, &inbound, id).await;
    let told = counted.ok().and_then(|answer| match answer.body {
        AnswerBody::Whole { body, .. } => serde_json::from_slice::<Value>(&body).ok(),
        AnswerBody::Relay(_) => None,
    });
    let tokens = told.as_ref().and_then(|told| {
        ["input_tokens", "totalTokens"].iter().find_map(|name| told.get(*name)?.as_u64())
    });
    Ok(tokens.unwrap_or(estimate))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admit::KeyTerms;
    use crate::base::Kind;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};

    /// A text whose estimate is no figure of a provider's.
    const TOLD: u64 = 4321;

    /// How many tokens a short request in Anthropic's dialect has.
    async fn counted(fixture: &Fixture, caller: &Caller, model: &str) -> Result<u64, Error> {
        let dialect = Dialect::Anthropic;
        let body = Bytes::from(
            json!({"model": model, "max_tokens": 5,
                "messages": [{"role": "user", "content": "How many tokens are these?"}]})
            .to_string(),
        );
        let head = codec(dialect).head(&body).unwrap();
        let id = RequestId::fresh();
        count_tokens(&fixture.app, caller, &id, dialect, head, body.clone(), &body).await
    }

    async fn provider() -> FakeProvider {
        FakeProvider::answering(|_| CannedAnswer::json(200, &json!({ "input_tokens": TOLD }))).await
    }

    #[tokio::test]
    async fn a_provider_of_the_dialect_counts_by_either_name_of_the_figure() {
        for name in ["input_tokens", "totalTokens"] {
            let told = move |_: &_| CannedAnswer::json(200, &json!({ name: TOLD }));
            let provider = FakeProvider::answering(told).await;
            let fixture = Fixture::of(&provider.serving("anthropic", &["m"])).await;
            let caller = fixture.caller("free").await;
            assert_eq!(counted(&fixture, &caller, "m").await.unwrap(), TOLD, "{name}");
            let asked = provider.asked();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].path, "/v1/messages/count_tokens");
        }
    }

    #[tokio::test]
    async fn it_is_estimated_and_nobody_is_asked_where_nobody_can_or_may_be() {
        let provider = provider().await;
        let spoken = provider.serving("anthropic", &["m"]);
        let rules = "[[guardrails]]\nname = \"cards\"\naction = \"block\"\nkind = \"words\"\n\
            words = [\"card\"]\n";
        let in_address = spoken.replace("/v1\"", "/v1/models/{model}\"");
        for (why, config, model) in [
            ("a model is still to be chosen", spoken.clone(), "auto"),
            ("rules hold for it", format!("{spoken}{rules}"), "m"),
            ("it speaks another dialect", provider.serving("openai-chat", &["m"]), "m"),
            ("the model stands in the address", in_address, "m"),
        ] {
            let fixture = Fixture::of(&config).await;
            let caller = fixture.caller("free").await;
            let tokens = counted(&fixture, &caller, model).await.unwrap();
            assert!((1..100).contains(&tokens), "{why}: {tokens}");
            assert!(provider.asked().is_empty(), "{why}");
        }
    }

    #[tokio::test]
    async fn a_provider_that_fails_or_tells_no_figure_leaves_the_estimate() {
        for (status, told) in [
            (500, json!({"error": {"type": "api_error", "message": "no"}})),
            (200, json!({"tokens": TOLD})),
            (200, json!({"input_tokens": "many"})),
        ] {
            let body = told.clone();
            let provider =
                FakeProvider::answering(move |_| CannedAnswer::json(status, &body)).await;
            let fixture = Fixture::of(&provider.serving("anthropic", &["m"])).await;
            let caller = fixture.caller("free").await;
            let tokens = counted(&fixture, &caller, "m").await.unwrap();
            assert!((1..100).contains(&tokens), "{told}: {tokens}");
            assert!(!provider.asked().is_empty(), "{told}");
        }
    }

    #[tokio::test]
    async fn a_count_of_a_provider_takes_a_request_and_an_estimate_takes_none() {
        let provider = provider().await;
        let config = provider.serving("anthropic", &["m"]);
        let fixture = Fixture::of(&format!("{config}[plans.one]\nrequests_per_day = 1\n")).await;
        let caller = fixture.caller("one").await;
        for _ in 0..3 {
            assert!(counted(&fixture, &caller, "auto").await.is_ok());
        }
        assert_eq!(counted(&fixture, &caller, "m").await.unwrap(), TOLD);
        let refused = counted(&fixture, &caller, "m").await.unwrap_err();
        assert_eq!((refused.kind, provider.asked().len()), (Kind::RateLimited, 1));
    }

    #[tokio::test]
    async fn who_may_not_ask_the_model_is_told_nothing_of_its_tokens() {
        let provider = provider().await;
        let fixture = Fixture::of(&provider.serving("anthropic", &["m"])).await;
        let terms = KeyTerms { scopes: Some(vec![Scope::Embeddings]), ..KeyTerms::default() };
        let caller = fixture.caller_with("free", &terms).await;
        assert_eq!(counted(&fixture, &caller, "m").await.unwrap_err().kind, Kind::Forbidden);
        let terms = KeyTerms { models: Some(vec!["other".to_owned()]), ..KeyTerms::default() };
        let caller = fixture.caller_with("free", &terms).await;
        assert_eq!(counted(&fixture, &caller, "m").await.unwrap_err().kind, Kind::Forbidden);
        let caller = fixture.caller("free").await;
        let unknown = counted(&fixture, &caller, "nobody").await.unwrap_err();
        assert_eq!((unknown.kind, provider.asked().len()), (Kind::UnknownModel, 0));
    }
}
