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
use crate::wire::vocab::{Dialect, Head, Protocol};
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
    head: Head,
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
    use crate::boot::fixture::{Fixture, Provider, Told};

    /// How many tokens a short request of a dialect has, as a caller on a plan is told.
    async fn counted(fixture: &Fixture, caller: &Caller, dialect: Dialect, model: &str) -> u64 {
        let body = Bytes::from(
            json!({"model": model, "max_tokens": 5,
                "messages": [{"role": "user", "content": "How many tokens are these?"}]})
            .to_string(),
        );
        let head = codec(dialect).head(&body).unwrap();
        let id = RequestId::fresh();
        count_tokens(&fixture.app, caller, &id, dialect, head, body.clone(), &body).await.unwrap()
    }

    #[tokio::test]
    async fn a_provider_of_the_dialect_counts_by_either_name_of_the_figure() {
        for name in ["input_tokens", "totalTokens"] {
            let told = move |_: &_| Told::json(200, &json!({ name: 4321 }));
            let provider = Provider::answering(told).await;
            let fixture = Fixture::of(&provider.serving("anthropic", &["m"])).await;
            let caller = fixture.caller("free").await;
            assert_eq!(counted(&fixture, &caller, Dialect::Anthropic, "m").await, 4321, "{name}");
            let asked = provider.asked();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].path, "/v1/messages/count_tokens");
        }
    }
}
