//! Realtime: a socket to a model, and what passes over it. Each of the model's answers is settled
//! by itself; what the next may cost is taken before it is asked for.

use std::sync::Arc;

use super::charge::{self, Intent, Sum};
use super::{App, Refused, guarding, named};
use crate::admit::{Caller, Scope};
use crate::base::ids::RequestId;
use crate::catalogue::{Mode, Pictures};
use crate::ledger::{Basis, Hold, Outcome, Tokens};
use crate::router::{Decision, Step};
use crate::upstream::{self, Address, Socket, Unanswered};
use crate::wire::realtime;
use crate::wire::vocab::{Head, Malformed};

const SURFACE: &str = "realtime";

/// Who pays for a session, and what is taken for its next answer.
#[derive(Debug)]
pub struct Meter {
    caller: Arc<Caller>,
    decision: Decision,
    head: Head,
    step: Step,
    hold: Option<Hold>,
}

/// Opens a socket to a model by name, or to the first that the caller may use.
///
/// # Errors
/// What the caller is to be told, before its own socket opens.
pub async fn converse(
    app: &App,
    caller: &Arc<Caller>,
    id: &RequestId,
    address: &Address,
    forward: &[(&'static str, String)],
) -> Result<(Socket, Meter), Refused> {
    caller.must_be_for(Scope::Realtime)?;
    let live = app.live();
    guarding::must_be_free(&live, caller, "a realtime session")?;
    let now = app.shared.clock.now();
    let first = || {
        let models = live.catalogue.models().iter();
        let mut usable = models.filter(|model| {
            model.mode == Mode::Realtime && model.is_live(now) && caller.may_use(model)
        });
        usable.next().map(|model| &*model.id)
    };
    let model = address.model.as_deref().or_else(first);
    let model = model.ok_or_else(|| Malformed::missing("model"))?;
    let decision = named(app, caller, model, Mode::Realtime)?;
    let head = Head { model: model.to_owned(), stream: true, ..Head::default() };
    let hold = charge::hold(app, caller, &decision, &head, Intent::of(id, SURFACE)).await?;
    match upstream::dial(&app.upstream, &decision, address, forward, id).await {
        Ok(socket) => {
            let (caller, step) = (Arc::clone(caller), socket.step.clone());
            Ok((socket, Meter { caller, decision, head, step, hold: Some(hold) }))
        }
        Err((error, attempts)) => {
            Err(charge::give_up(hold, Unanswered { error, attempts, tried: Vec::new() }))
        }
    }
}

/// Looks at an event on its way to the caller. An answer that is complete is settled.
///
/// # Errors
/// When the caller cannot pay for another.
pub async fn overhear(app: &App, meter: &mut Meter, event: &[u8]) -> Result<(), Refused> {
    let Some(usage) = realtime::usage_of(event) else { return Ok(()) };
    upstream::meter(&app.upstream, &meter.step, &usage);
    if let Some(hold) = meter.hold.take() {
        let tokens = Tokens::from(&usage);
        let (outcome, basis, tried) = (Outcome::Complete, Basis::Reported, Vec::new());
        let pictures = Pictures::default();
        let sum = Sum { outcome, tokens, basis, pictures, attempts: 1, tried };
        charge::settle(app, &meter.step, hold, sum).await?;
    }
    let intent = Intent { counts: false, ..Intent::of(&RequestId::fresh(), SURFACE) };
    let hold = charge::hold(app, &meter.caller, &meter.decision, &meter.head, intent).await?;
    meter.hold = Some(hold);
    Ok(())
}
