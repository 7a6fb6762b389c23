//! The decision without the call.

use bytes::Bytes;
use serde::Serialize;

use super::app::App;
use super::decide::decide;
use super::wishes;
use crate::admit::Caller;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::exchange::{Arrival, RequestOptions};
use crate::live::Live;
use crate::router::{Account, LeftOut};
use crate::wire::Inbound;
use crate::wire::vocab::{Dialect, Effort};

/// A place that would be tried.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Planned")]
pub struct PlannedStep {
    pub model: String,
    pub provider: String,
    pub tier: &'static str,
    /// The effort that it would be asked to think with, where one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'static str>,
    /// In how many bits it is computed there, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<&'static str>,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Route<'a> {
    pub object: &'static str,
    /// What was asked for.
    pub asked: String,
    /// The model that would be tried first.
    pub model: String,
    pub provider: String,
    /// In the order in which they would be tried.
    pub plan: Vec<PlannedStep>,
    /// Who could have answered but for a member of the request, and which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Only for `auto`: every model, and why it was ranked or rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Account<'a>>,
}

/// What [`super::answer`] would do with this chat request.
///
/// # Errors
/// As the call itself would answer.
pub async fn explain<'a>(
    app: &App,
    live: &'a Live,
    caller: &Caller,
    body: Bytes,
    asked: &RequestOptions,
) -> Result<Route<'a>, Error> {
    let mut arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
    arrival.asked = RequestOptions { thorough: true, ..asked.clone() };
    wishes::take(&mut arrival)?;
    wishes::bound(caller, &mut arrival);
    let inbound = Inbound::arrive(arrival.dialect, arrival.body, None)?;
    let decision = decide(app, live, caller, &inbound, &arrival.asked).await?;
    let plan: Vec<PlannedStep> = decision
        .steps
        .iter()
        .map(|step| {
            let quantization = step.deployment.facts.quantization;
            PlannedStep {
                model: step.model.id.to_string(),
                provider: step.deployment.provider.id.to_string(),
                tier: step.model.tier.as_str(),
                effort: step.effort.map(Effort::as_str),
                quantization: quantization.is_known().then(|| quantization.as_str()),
            }
        })
        .collect();
    let first = plan.first().ok_or_else(|| Error::internal("an empty plan"))?;
    Ok(Route {
        object: "route",
        asked: inbound.head.model.clone(),
        model: first.model.clone(),
        provider: first.provider.clone(),
        plan,
        left_out: decision.left_out,
        explanation: decision.explanation.map(|all| {
            let told = all.told(&live.catalogue, &live.predictor);
            if caller.sees_cost() { told } else { told.without_costs() }
        }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::Kind;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};

    /// The model `m` at two providers, the first with eight bits, and a better one.
    fn config(base: &str) -> String {
        format!(
            "[providers.p1]\nbase_url = \"{base}/v1\"\ndialect = \"openai-chat\"\n\
             [providers.p2]\nbase_url = \"{base}/v1\"\ndialect = \"openai-chat\"\n\
             [[models]]\nid = \"m\"\ntier = \"budget\"\ndeployments = [\n\
             {{ provider = \"p1\", facts = {{ quantization = \"fp8\" }} }}, {{ provider = \"p2\" }}]\n\
             [[models]]\nid = \"best\"\ntier = \"ultra\"\ndeployments = [{{ provider = \"p1\" }}]\n\
             [plans.one]\nrequests_per_day = 1\n[plans.cheap]\ntiers = [\"budget\"]\n"
        )
    }

    /// What a caller on a plan is told of a request, as JSON.
    async fn told(fixture: &Fixture, plan: &str, body: Value) -> Result<Value, Error> {
        let (caller, live) = (fixture.caller(plan).await, fixture.app.live());
        let body = Bytes::from(body.to_string());
        let asked = RequestOptions::default();
        let route = explain(&fixture.app, &live, &caller, body, &asked).await?;
        Ok(serde_json::to_value(route).unwrap())
    }

    fn asking(model: &str, more: &Value) -> Value {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    }

    #[tokio::test]
    async fn the_plan_of_a_name_is_its_places_in_order_and_explains_nothing_else() {
        let fixture = Fixture::of(&config("http://127.0.0.1:1")).await;
        let order = json!({"provider": {"order": ["p2", "p1"]}});
        let route = told(&fixture, "enterprise", asking("m", &order)).await.unwrap();
        assert_eq!(
            route,
            json!({"object": "route", "asked": "m", "model": "m", "provider": "p2", "plan": [
                {"model": "m", "provider": "p2", "tier": "budget"},
                {"model": "m", "provider": "p1", "tier": "budget", "quantization": "fp8"},
            ]})
        );
        let only = json!({"provider": {"only": ["p1"]}});
        let route = told(&fixture, "enterprise", asking("m", &only)).await.unwrap();
        assert_eq!(
            (&route["provider"], route["plan"].as_array().unwrap().len()),
            (&json!("p1"), 1)
        );
        let left_out = json!([{"model": "m", "provider": "p2", "member": "provider.only"}]);
        assert_eq!(route["left_out"], left_out);
    }

    #[tokio::test]
    async fn of_auto_every_model_is_told_of_with_why() {
        let model = |number: usize| {
            let place = "deployments = [{ provider = \"p1\" }]";
            format!("[[models]]\nid = \"m{number}\"\ntier = \"budget\"\n{place}\n")
        };
        let more: String = (0..20).map(model).collect();
        let fixture = Fixture::of(&format!("{}{more}", config("http://127.0.0.1:1"))).await;
        let route = told(&fixture, "cheap", asking("auto", &json!({}))).await.unwrap();
        assert_eq!(route["asked"], "auto");
        assert_eq!(
            (&route["model"], &route["plan"][0]["tier"]),
            (&route["plan"][0]["model"], &json!("budget"))
        );
        // Those that would not be tried, and one that may not be asked, too.
        let explained = route["explanation"].to_string();
        for name in (0..20).map(|number| format!("\"m{number}\"")).chain(["\"best\"".to_owned()]) {
            assert!(explained.contains(&name), "{name}: {explained}");
        }
    }

    #[tokio::test]
    async fn it_takes_nothing_of_the_callers_and_asks_nobody() {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("hi")).await;
        let fixture = Fixture::of(&config(&provider.base)).await;
        let (caller, live) = (fixture.caller("one").await, fixture.app.live());
        for _ in 0..3 {
            let body = Bytes::from(asking("m", &json!({})).to_string());
            let asked = RequestOptions::default();
            assert!(explain(&fixture.app, &live, &caller, body, &asked).await.is_ok());
        }
        assert!(provider.asked().is_empty());
        let body = Bytes::from(asking("m", &json!({})).to_string());
        let arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
        let answered = super::super::answer(&fixture.app, &caller, arrival).await;
        assert!(answered.is_ok(), "the one request of the day is still there");
    }

    #[tokio::test]
    async fn what_the_call_would_be_refused_for_it_is_refused_for() {
        let fixture = Fixture::of(&config("http://127.0.0.1:1")).await;
        for (plan, body, kind) in [
            ("cheap", asking("best", &json!({})), Kind::Forbidden),
            ("cheap", asking("nobody", &json!({})), Kind::UnknownModel),
            ("cheap", asking("m", &json!({"provider": {"onyl": []}})), Kind::Malformed),
            ("cheap", asking("m", &json!({"provider": {"only": ["x"]}})), Kind::Unsupported),
        ] {
            let error = told(&fixture, plan, body.clone()).await.unwrap_err();
            assert_eq!(error.kind, kind, "{body}");
        }
    }
}
