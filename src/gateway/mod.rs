//! The path of a request, front to back: one readable function per kind of call.

mod app;
mod cascade;
mod charge;
mod count;
mod decide;
mod demands;
mod embed;
mod features;
mod images;
mod models;
mod moderating;
mod named;
mod realtime;
mod route;
mod several;
mod wishes;

use serde_json::Value;

use crate::admit::{Caller, Scope};
use crate::agents::{self, PreparedRun, RunView};
use crate::exchange::{Answered, Arrival, Refused};

use features::AnsweredRequest;

pub use app::{App, Books, Checks, NodeState, Routing, Serving, SessionLimits, Shared};
pub use count::count_tokens;
pub use embed::embed;
pub use images::{generate_images, picture};
pub use realtime::{Meter, end_session, meter_event, open_session, session_broke_off};
pub use route::{Route, explain};

/// Generates: reads the head, decides, takes what it may cost, and has the decision carried out.
///
/// # Errors
/// What the caller is to be told.
pub async fn answer(app: &App, caller: &Caller, arrival: Arrival) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Chat)?;
    match agents::asked(&app.shared.store, caller, &arrival).await? {
        None => generate(app, caller, arrival).await,
        // Boxed, as all that few requests take: every request's future has room for the largest path.
        Some(agent) => {
            let turn = turn(app);
            Box::pin(agents::answer(app.agents(), caller, &agent, arrival, turn)).await
        }
    }
}

/// Runs an agent, turn by turn; what came of it. `tell` hears what happens meanwhile.
///
/// # Errors
/// As the turn that failed.
pub async fn execute(
    app: &App,
    begun: PreparedRun,
    tell: &mut dyn FnMut(&'static str, Value),
) -> Result<RunView, Refused> {
    agents::execute(app.agents(), begun, turn(app), tell).await
}

/// How an agent has its turns answered.
fn turn(app: &App) -> impl AsyncFn(&Caller, Arrival) -> Result<Answered, Refused> {
    async move |caller: &Caller, arrival| Box::pin(generate(app, caller, arrival)).await
}

/// One turn of a model.
async fn generate(app: &App, caller: &Caller, mut arrival: Arrival) -> Result<Answered, Refused> {
    let live = app.live();
    let mut entered = features::enter(app, &live, caller, &mut arrival).await?;
    let Arrival { id, dialect, body, target, forward, asked } = arrival;
    let mut inbound = entered.inbound(dialect, body, target)?;
    inbound.forward = forward;
    inbound.strict = asked.strict;
    inbound.hides_cost = !caller.sees_cost();
    let decision = decide::decide(app, &live, caller, &inbound, &asked).await?;
    let planned = cascade::plan(app, &live, caller, &inbound, &asked, decision).await?;
    if let Some(known) = entered.known(app, caller, &inbound) {
        return Ok(known);
    }
    let hold = planned.hold(app, &live, caller, &inbound, &id).await?;
    let answered = planned.deliver(app, &live, caller, &inbound, &id, hold).await?;
    let request = AnsweredRequest { id: &id, asked: &asked, planned: &planned, inbound };
    entered.leave(app, &live, caller, request, answered).await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::admit::KeyTerms;
    use crate::base::Kind;
    use crate::base::ids::RequestId;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};
    use crate::store::AgentRow;
    use crate::wire::vocab::Dialect;

    fn asking(model: &str, more: &Value) -> Arrival {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = Bytes::from(body.to_string());
        Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body)
    }

    async fn asked(fixture: &Fixture, caller: &Caller, arrival: Arrival) -> Result<Answered, Kind> {
        answer(&fixture.app, caller, arrival).await.map_err(|refused| refused.error.kind)
    }

    #[tokio::test]
    async fn a_key_that_is_not_for_chat_gets_no_answer_and_hears_of_no_agent() {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("hi")).await;
        let fixture = Fixture::of(&provider.serving("openai-chat", &["m"])).await;
        let terms = KeyTerms { scopes: Some(vec![Scope::Embeddings]), ..KeyTerms::default() };
        let caller = fixture.caller_with("free", &terms).await;
        for model in ["m", "agent:agent_x"] {
            let refused = asked(&fixture, &caller, asking(model, &json!({}))).await;
            assert_eq!(refused.err(), Some(Kind::Forbidden), "{model}");
        }
        assert!(provider.asked().is_empty());
    }

    #[tokio::test]
    async fn an_agent_in_the_place_of_a_model_is_run_by_its_own_account_alone() {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("hi")).await;
        let fixture = Fixture::of(&provider.serving("openai-chat", &["m"])).await;
        let (caller, other) = (fixture.caller("free").await, fixture.caller("free").await);
        let now = fixture.app.shared.clock.now();
        let definition = json!({"name": "a", "model": "m", "instructions": "Be brief."});
        let row = AgentRow {
            account: caller.account.clone(),
            user: caller.account.as_str().to_owned(),
            id: "agent_x".to_owned(),
            version: 1,
            created: now,
            updated: now,
            definition: definition.to_string(),
        };
        fixture.app.shared.store.create_agent(row).await.unwrap();
        let refused = asked(&fixture, &other, asking("agent:agent_x", &json!({}))).await;
        assert_eq!(refused.err(), Some(Kind::NotFound));
        assert!(provider.asked().is_empty());
        let answered = asked(&fixture, &caller, asking("agent:agent_x", &json!({}))).await;
        assert_eq!(&*answered.unwrap().step.model.id, "m");
        let body = &provider.asked()[0].body;
        assert_eq!(body["model"], "m");
        assert!(body["messages"][0].to_string().contains("Be brief."), "{body}");
    }

    #[tokio::test]
    async fn what_a_provider_cannot_be_told_is_dropped_or_where_it_is_strict_refused() {
        let told = json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 4, "output_tokens": 2}});
        let provider = FakeProvider::answering(move |_| CannedAnswer::json(200, &told)).await;
        let fixture = Fixture::of(&provider.serving("anthropic", &["m"])).await;
        let caller = fixture.caller("free").await;
        let untold = json!({"logit_bias": {"50256": -100}});
        let answered = asked(&fixture, &caller, asking("m", &untold)).await.unwrap();
        assert_eq!(answered.losses.to_string(), "logit_bias");
        let mut strict = asking("m", &untold);
        strict.asked.strict = true;
        assert!(asked(&fixture, &caller, strict).await.is_err());
        assert_eq!(provider.asked().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_given_again_takes_nothing_of_the_callers() {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("hi")).await;
        let models = provider.serving("openai-chat", &["m"]);
        let plan = "[plans.one]\nrequests_per_day = 1\nfeatures = { response_cache = true }\n";
        let fixture = Fixture::of(&format!("{models}{plan}")).await;
        let caller = fixture.caller("one").await;
        for _ in 0..3 {
            assert!(asked(&fixture, &caller, asking("m", &json!({}))).await.is_ok());
        }
        assert_eq!(provider.asked().len(), 1);
        let other = asked(&fixture, &caller, asking("m", &json!({"seed": 7}))).await;
        assert_eq!(
            other.err(),
            Some(Kind::RateLimited),
            "another request is not given that answer"
        );
    }
}
