//! The decision without the call.

use bytes::Bytes;
use serde::Serialize;

use super::app::App;
use super::decide::decide;
use super::wishes;
use crate::admit::Caller;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::exchange::{Arrival, Asked};
use crate::live::Live;
use crate::router::{Account, LeftOut};
use crate::wire::Inbound;
use crate::wire::vocab::{Dialect, Effort};

/// A place that would be tried.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Planned {
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
    pub plan: Vec<Planned>,
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
    asked: &Asked,
) -> Result<Route<'a>, Error> {
    let mut arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
    arrival.asked = Asked { thorough: true, ..asked.clone() };
    wishes::take(&mut arrival)?;
    let inbound = Inbound::arrive(arrival.dialect, arrival.body, None)?;
    let decision = decide(app, live, caller, &inbound, &arrival.asked).await?;
    let plan: Vec<Planned> = decision
        .steps
        .iter()
        .map(|step| {
            let quantization = step.deployment.facts.quantization;
            Planned {
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
        explanation: decision.explanation.map(|all| all.told(&live.catalogue, &live.predictor)),
    })
}
