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
use crate::agents::{self, Begun, ToldRun};
use crate::exchange::{Answered, Arrival, Refused};

use features::Request;

pub use app::{App, Books, Checks, Node, Routing, Serving, Sessions, Shared};
pub use count::count_tokens;
pub use embed::embed;
pub use images::{draw, picture};
pub use realtime::{Meter, broke_off, converse, hang_up, overhear};
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
    begun: Begun,
    tell: &mut dyn FnMut(&'static str, Value),
) -> Result<ToldRun, Refused> {
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
