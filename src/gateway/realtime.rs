//! Realtime: a socket to a model, and what passes over it. Each of the model's answers is settled
//! by itself; what the next may cost is taken before it is asked for.

use std::sync::Arc;

use super::app::App;
use super::charge::{self, Intent, Sum};
use super::named::named;
use crate::admit::{Caller, Scope};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::catalogue::{Mode, Pictures};
use crate::exchange::Refused;
use crate::ledger::{Basis, Hold, Outcome, Tokens};
use crate::router::{Decision, Step};
use crate::upstream::{self, Address, Permit, Socket, Unanswered};
use crate::wire::realtime::{self, Work};
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
    /// Nothing is asked of the model but to write down what it hears.
    transcribes: bool,
    /// What was written down beside the answers, and is settled with the next of them.
    beside: Tokens,
    /// With which it is reported how the session ends.
    permit: Option<Permit>,
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
    live.rules(&caller.guardrails).must_be_free("a realtime session")?;
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
        Ok(mut socket) => {
            let permit = socket.permit.take();
            let (caller, step) = (Arc::clone(caller), socket.step.clone());
            let transcribes = address.rest.split('&').any(|pair| pair == "intent=transcription");
            let (hold, beside) = (Some(hold), Tokens::default());
            let meter = Meter { caller, decision, head, step, hold, transcribes, beside, permit };
            Ok((socket, meter))
        }
        Err((error, attempts)) => {
            Err(charge::give_up(hold, Unanswered { error, attempts, tried: Vec::new() }))
        }
    }
}

/// Looks at an event on its way to the caller. An answer that is complete is settled, and so is each
/// transcription of a session for nothing else.
///
/// # Errors
/// When the caller cannot pay for another.
pub async fn overhear(app: &App, meter: &mut Meter, event: &[u8]) -> Result<(), Refused> {
    let Some((work, usage)) = realtime::usage_of(event) else { return Ok(()) };
    upstream::meter(&app.upstream, &meter.step, &usage);
    meter.beside = meter.beside.plus(Tokens::from(&usage));
    if work == Work::Transcript && !meter.transcribes {
        return Ok(());
    }
    meter.settle(app).await?;
    let intent = Intent { counts: false, ..Intent::of(&RequestId::fresh(), SURFACE) };
    let hold = charge::hold(app, &meter.caller, &meter.decision, &meter.head, intent).await?;
    meter.hold = Some(hold);
    Ok(())
}

/// The provider's side of a session broke off: that counts against its deployment.
pub fn broke_off(app: &App, meter: &mut Meter) {
    app.upstream.health.broke_off(meter.step.deployment.id, meter.permit.take());
}

/// The session is over: what was written down since the last answer is settled.
///
/// # Errors
/// Where it cannot be written down in time.
pub async fn hang_up(app: &App, mut meter: Meter) -> Result<(), Error> {
    if let Some(permit) = meter.permit.take() {
        app.upstream.health.succeeded(permit);
    }
    if meter.beside == Tokens::default() {
        return Ok(());
    }
    meter.settle(app).await
}

impl Meter {
    /// Settles what was heard of and is not settled yet.
    async fn settle(&mut self, app: &App) -> Result<(), Error> {
        let Some(hold) = self.hold.take() else { return Ok(()) };
        let tokens = std::mem::take(&mut self.beside);
        let (outcome, basis, tried) = (Outcome::Complete, Basis::Reported, Vec::new());
        let pictures = Pictures::default();
        let asides = Vec::new();
        let sum = Sum { outcome, tokens, asides, basis, pictures, attempts: 1, tried };
        charge::settle(app, &self.step, hold, sum).await
    }
}
