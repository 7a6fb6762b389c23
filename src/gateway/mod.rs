//! The path of a request, front to back: one readable function per kind of call.

pub mod agents;
mod app;
pub mod cache;
mod cascade;
mod charge;
pub mod chats;
pub mod connect;
mod count;
mod decide;
mod demands;
mod embed;
mod features;
pub mod idempotency;
mod images;
pub mod memory;
mod moderating;
mod named;
mod realtime;
pub mod responses;
mod route;
mod wishes;
mod words;

use crate::admit::{Caller, Scope};
use crate::exchange::{Answered, Arrival, Refused};
use crate::wire::Inbound;

use features::Request;

pub use app::{App, MemoryModels, Sessions, Shared};
pub use cascade::Checks;
pub use count::count_tokens;
pub use embed::embed;
pub use images::{draw, picture};
pub use realtime::{Meter, converse, hang_up, overhear};
pub use route::explain;

/// Generates: reads the head, decides, takes what it may cost, and has the decision carried out.
///
/// # Errors
/// What the caller is to be told.
pub async fn answer(app: &App, caller: &Caller, arrival: Arrival) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Chat)?;
    match agents::asked(app, caller, &arrival).await? {
        None => generate(app, caller, arrival).await,
        // Boxed, as all that few requests take: every request's future has room for the largest path.
        Some(agent) => Box::pin(agents::answer(app, caller, &agent, arrival)).await,
    }
}

/// One turn of a model.
async fn generate(app: &App, caller: &Caller, mut arrival: Arrival) -> Result<Answered, Refused> {
    let live = app.live();
    let entered = features::enter(app, &live, caller, &mut arrival).await?;
    let Arrival { id, dialect, body, target, forward, asked } = arrival;
    let mut inbound = Inbound::arrive(dialect, body, target)?;
    inbound.forward = forward;
    inbound.strict = decide::is_strict(app, caller, &asked);
    let decision = decide::decide(app, &live, caller, &inbound, &asked).await?;
    let planned = cascade::plan(app, &live, caller, &inbound, &asked, decision).await?;
    if let Some(known) = entered.known(app, caller, &inbound) {
        return Ok(known);
    }
    let hold = planned.hold(app, &live, caller, &inbound, &id).await?;
    let answered = planned.deliver(app, &live, caller, &inbound, &id, hold).await?;
    let request = Request { id: &id, asked: &asked, planned: &planned, inbound };
    entered.leave(app, &live, caller, request, answered).await
}
