//! Embeddings: a named model, at whichever of its deployments is up.

use bytes::Bytes;

use super::{App, Earlier, Intent, charge, guarding, named};
use crate::admit::{Caller, Scope};
use crate::base::ids::RequestId;
use crate::catalogue::Mode;
use crate::exchange::{Answered, Refused};
use crate::wire::Inbound;
use crate::wire::embeddings::Form;

/// `model` is what the path says, where the form has it there.
///
/// # Errors
/// What the caller is to be told.
pub async fn embed(
    app: &App,
    caller: &Caller,
    id: &RequestId,
    mut body: Bytes,
    form: Form,
    model: Option<String>,
) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Embeddings)?;
    let live = app.live();
    let guarded = if guarding::may_hold(&live, caller) {
        Box::pin(guarding::enter(app, &live, caller, id, &mut body)).await?
    } else {
        None
    };
    let inbound = Inbound::arrive_to_embed(body, form, model)?;
    let mut decision = named(app, caller, &inbound.head.model, Mode::Embedding)?;
    // Vectors of different models never mix.
    let asked = decision.steps.first().map(|step| step.model.id.clone());
    decision.steps.retain(|step| Some(&step.model.id) == asked.as_ref());
    let intent = Intent::of(id, "embeddings");
    let hold = charge::hold(app, caller, &decision, &inbound.head, intent).await?;
    let mut answered =
        charge::deliver(app, &decision, &inbound, id, hold, Earlier::default()).await?;
    if let Some(guarded) = &guarded {
        guarded.tell(&mut answered);
    }
    Ok(answered)
}
