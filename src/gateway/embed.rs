//! Embeddings: a named model, at whichever of its deployments is up, in as many calls as the batch takes.

use bytes::Bytes;

use super::app::App;
use super::charge::{self, Earlier, Intent, Sum};
use super::decide;
use super::features::{guarded, tell};
use super::named::named;
use super::several::Several;
use crate::admit::{Caller, Scope};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Pictures};
use crate::exchange::{Answered, Arrival, Refused};
use crate::ledger::{Hold, Outcome};
use crate::router::{Decision, Step};
use crate::upstream::Unanswered;
use crate::wire::embeddings::{self, Form};
use crate::wire::{Inbound, Operation};

/// `model` is what the path says, where the form has it there.
///
/// # Errors
/// What the caller is to be told.
pub async fn embed(
    app: &App,
    caller: &Caller,
    arrival: Arrival,
    form: Form,
    model: Option<String>,
) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Embeddings)?;
    let live = app.live();
    let Arrival { id, mut body, asked, .. } = arrival;
    let id = &id;
    let guarded = guarded(app, &live, caller, id, &mut body).await?;
    let mut inbound = Inbound::arrive_to_embed(body, form, model)?;
    inbound.strict = decide::is_strict(app, caller, &asked);
    let mut decision = named(app, caller, &inbound.head.model, Mode::Embedding)?;
    // Vectors of different models never mix.
    let first = decision.steps.first().map(|step| step.model.id.clone());
    decision.steps.retain(|step| Some(&step.model.id) == first.as_ref());
    let intent = Intent::of(id, "embeddings");
    let hold = charge::hold(app, caller, &decision, &inbound.head, intent).await?;
    let parts = parts(&decision, &inbound);
    let mut answered = if parts.is_empty() {
        charge::deliver(app, &decision, &inbound, id, hold, Earlier::default()).await?
    } else {
        in_parts(app, &decision, &parts, id, hold).await?
    };
    tell(guarded.as_ref(), &mut answered);
    Ok(answered)
}

/// The calls that a batch is split into where it is larger than its providers take at once; empty where one call
/// will do.
fn parts(decision: &Decision, inbound: &Inbound) -> Vec<Inbound> {
    let Operation::Embed(form, request) = &inbound.operation else { return Vec::new() };
    let at_home = matches!(form, Form::Gemini | Form::GeminiOne);
    let most = |step: &Step| {
        let theirs = step.deployment.provider.embeddings?;
        // The caller's own words go to Gemini as they are, and it says itself what it takes.
        theirs.most_inputs().filter(|_| !(at_home && theirs == Form::Gemini))
    };
    let most: Option<Vec<usize>> = decision.steps.iter().map(most).collect();
    let (all, most) = (request.inputs.len(), most.and_then(|each| each.into_iter().min()));
    let Some(most) = most.filter(|most| all > *most) else { return Vec::new() };
    let parts = request.parts(most).into_iter();
    let calls = parts.map(|part| {
        let mut head = inbound.head.clone();
        // Where a provider counts no tokens, each part has its share of the whole.
        head.prompt_bytes = head.prompt_bytes * part.inputs.len() / all;
        let operation = Operation::Embed(*form, part);
        let mut call = Inbound::of(operation, inbound.dialect, head, Bytes::new());
        call.strict = inbound.strict;
        call
    });
    calls.collect()
}

/// Asks for each part, and answers with all of them, or with none where one could not be had: vectors of a
/// part of the texts are no answer, and cost nothing.
async fn in_parts(
    app: &App,
    decision: &Decision,
    parts: &[Inbound],
    id: &RequestId,
    hold: Hold,
) -> Result<Answered, Refused> {
    let all = Several::ask(app, decision, parts, id).await;
    let Several { step, losses, answers, tokens, asides, basis, attempts, tried, failure } = all;
    let whole = embeddings::joined(&answers).map_err(|why| {
        Error::new(Kind::UpstreamDown, "The provider's answer cannot be read.").because(why)
    });
    let (step, body) = match (failure, step, whole) {
        (None, Some(step), Ok(body)) => (step, body),
        (failure, _, whole) => {
            let error = failure.or(whole.err());
            let error = error.unwrap_or_else(|| Error::internal("no call was made"));
            return Err(charge::give_up(hold, Unanswered { error, attempts, tried }));
        }
    };
    let standing = Some(hold.standing());
    let (outcome, pictures) = (Outcome::Complete, Pictures::default());
    let sum = Sum { outcome, tokens, asides, basis, pictures, attempts, tried };
    let settled = charge::settle(app, &step, hold, sum).await;
    settled.map_err(|error| Refused { error, attempts, standing: standing.map(Box::new) })?;
    Ok(Answered::whole(step, attempts, losses, body, standing))
}
