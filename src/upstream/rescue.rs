//! A stream that broke off after it began is asked for once more, elsewhere: if the other answer begins
//! with the very words that the caller has read, it is gone on with. Who has opted in may have a model that
//! takes them as the beginning of its turn go on from there.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use bytes::Bytes;
use http_body::Body as _;
use tokio::time::Instant;

use super::client::WireBody;
use super::health::Permit;
use super::outgoing::{outgoing, thinks};
use super::reading::read_whole;
use super::transport::{EndpointKind, IncomingAnswer};
use super::{AttemptLimits, Upstream};
use crate::base::Error;
use crate::catalogue::{DeploymentId, Timeouts};
use crate::ledger::count_text;
use crate::router::Step;
use crate::wire::frame::Frame;
use crate::wire::resume::{PartialAnswer, ResumeMethod, Resuming};
use crate::wire::vocab::{Event, Fault, FaultKind, Protocol};
use crate::wire::{Inbound, Reader as _, provider_side};

/// A caller who has read half an answer is not left waiting for longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest event.
const EVENT_BYTES: usize = 32 << 20;
/// How many others are asked.
const STEPS: usize = 2;

/// What it takes to ask once more.
#[derive(Debug)]
pub(super) struct Rescue {
    steps: Vec<Step>,
    inbound: Inbound,
    within: Timeouts,
    /// A model may be given what was said, to go on with it.
    gives: bool,
}

/// Another answer, read as far as the first one came.
pub(super) struct Rescued {
    pub step: Step,
    pub permit: Permit,
    pub protocol: Protocol,
    pub limits: AttemptLimits,
    pub way: ResumeMethod,
    /// What was read of it.
    pub read: Vec<Bytes>,
    pub body: WireBody,
}

/// The wait for an answer that goes on with one that broke off.
pub(super) struct Rescuing {
    pub asking: Pin<Box<dyn Future<Output = Option<Rescued>>>>,
    pub said: PartialAnswer,
    /// What the caller is told if there is none.
    pub error: Error,
}

impl Rescue {
    /// `None` where there is nobody else.
    pub fn of<'a>(
        steps: impl Iterator<Item = &'a Step>,
        answering: DeploymentId,
        inbound: &Inbound,
        (within, gives): (Timeouts, bool),
    ) -> Option<Box<Self>> {
        let others = steps.filter(|step| step.deployment.id != answering);
        let steps: Vec<Step> = others.take(STEPS).cloned().collect();
        (!steps.is_empty())
            .then(|| Box::new(Self { steps, inbound: inbound.again(), within, gives }))
    }

    /// Asks the others in turn, until one has said again what was said.
    pub async fn again(
        self: Box<Self>,
        upstream: Upstream,
        said: PartialAnswer,
    ) -> Option<Rescued> {
        let asking = async {
            for step in &self.steps {
                let Some(permit) = upstream.health.permit(step.deployment.id, Instant::now())
                else {
                    continue;
                };
                if let Some(rescued) = self.at(&upstream, step, permit, &said).await {
                    return Some(rescued);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
    }

    async fn at(
        &self,
        upstream: &Upstream,
        step: &Step,
        permit: Permit,
        said: &PartialAnswer,
    ) -> Option<Rescued> {
        // With the beginning as a prefill the model continues it; without, a second answer usually differs.
        let given = self.gives && step.deployment.facts.goes_on && !said.given().is_empty();
        let (more, way) = if given {
            let tokens = count_text(said.given());
            (Some(self.inbound.going_on_from(said.given()).ok()?), ResumeMethod::Given { tokens })
        } else {
            (None, ResumeMethod::Again)
        };
        let inbound = more.as_ref().unwrap_or(&self.inbound);
        let limits = upstream.limits.at(step, &self.within, thinks(step, inbound));
        let refused = upstream.refusals.of(&step.deployment);
        let outgoing = outgoing(step, inbound, (&refused, &[]), false).ok()?;
        // What changes the answer on its way is not gone on with.
        if outgoing.json.is_some() || !outgoing.names.is_empty() {
            return None;
        }
        let protocol = outgoing.protocol;
        let forward: &[_] = if outgoing.same_dialect { &inbound.forward } else { &[] };
        let forward = forward.iter().map(|(name, value)| (*name, value.as_str()));
        let key = upstream.health.keys().pick(&step.deployment, Instant::now());
        let sending = upstream.transport.send(
            (&step.deployment, key),
            protocol,
            EndpointKind::Stream,
            outgoing.body,
            forward,
            limits.first_byte,
        );
        let read = match sending.await {
            Ok(incoming) => caught_up(incoming, protocol, (said, way), limits).await,
            Err(fault) => Err(fault),
        };
        match read {
            Ok(Some((read, body))) => {
                Some(Rescued { step: step.clone(), permit, protocol, limits, way, read, body })
            }
            // It says something else, which is no fault of its own.
            Ok(None) => None,
            Err(fault) => {
                upstream.health.failed(permit, &fault, None);
                None
            }
        }
    }
}

/// Reads an answer until all of `said` has come again; `None` if it says something else.
async fn caught_up(
    incoming: IncomingAnswer,
    protocol: Protocol,
    (said, way): (&PartialAnswer, ResumeMethod),
    limits: AttemptLimits,
) -> Result<Option<(Vec<Bytes>, WireBody)>, Fault> {
    let theirs = provider_side(protocol);
    if !(200..300).contains(&incoming.status) {
        let status = incoming.status;
        let body = read_whole(incoming, limits.idle, 1 << 20).await.unwrap_or_default();
        return Err(theirs.decode_error(status, &body));
    }
    let kind = incoming.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.contains("event")) {
        return Ok(None);
    }
    let (mut body, mut read) = (incoming.body, Vec::new());
    let mut splitter = theirs.splitter(EVENT_BYTES);
    let mut resuming = Resuming::new(theirs, said.clone(), way);
    let mut events = Vec::new();
    loop {
        let next = std::future::poll_fn(|cx: &mut Context<'_>| Pin::new(&mut body).poll_frame(cx));
        let silent = || Fault::new(FaultKind::Timeout, "the stream was silent");
        let chunk = match tokio::time::timeout(limits.idle, next).await.map_err(|_| silent())? {
            None => return Ok(None),
            Some(Err(why)) => return Err(Fault::new(FaultKind::Broken, why.to_string())),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => chunk,
                Err(_) => continue,
            },
        };
        let mut differs = false;
        let fed = splitter.feed(&chunk, |frame: Frame<'_>| {
            differs |= resuming.read(&frame, &mut events).is_err();
        });
        read.push(chunk);
        differs |= fed.is_err() || events.iter().any(|event| matches!(event, Event::Fault(_)));
        if differs {
            return Ok(None);
        }
        if resuming.has_caught_up() {
            return Ok(Some((read, body)));
        }
    }
}
