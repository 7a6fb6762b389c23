//! Embeddings: a named model, at whichever of its deployments is up.

use bytes::Bytes;

use super::App;
use super::charge::{self, Earlier, Intent};
use super::features::{guarded, tell};
use super::named::named;
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
    let guarded = guarded(app, &live, caller, id, &mut body).await?;
    let inbound = Inbound::arrive_to_embed(body, form, model)?;
    let mut decision = named(app, caller, &inbound.head.model, Mode::Embedding)?;
    // Vectors of different models never mix.
    let asked = decision.steps.first().map(|step| step.model.id.clone());
    decision.steps.retain(|step| Some(&step.model.id) == asked.as_ref());
    let intent = Intent::of(id, "embeddings");
    let hold = charge::hold(app, caller, &decision, &inbound.head, intent).await?;
    let mut answered =
        charge::deliver(app, &decision, &inbound, id, hold, Earlier::default()).await?;
    tell(guarded.as_ref(), &mut answered);
    Ok(answered)
}
