//! The body of a streamed answer, which reads the provider as it is read itself: no task, no
//! channel, natural back pressure. Dropping it cancels the provider.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;
use tokio::time::{Instant, Sleep};

use super::Upstream;
use super::breaker::Permit;
use super::heard::Heard;
use super::passing::{Rename, count_tokens};
use super::transport::Body;
use crate::base::Error;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::RequestId;
use crate::catalogue::Pictures;
use crate::ledger::{Delivered, Hold, Outcome, Tried};
use crate::router::Step;
use crate::shape::Names;
use crate::wire::frame::{Frame, Splitter, sse};
use crate::wire::vocab::{Dialect, Event, Fault, FaultKind, Protocol, Usage};
use crate::wire::{Heading, ProviderSide, Reader, Writer, codec, provider_side};

/// The largest single event: a picture in base64 fits.
const EVENT_BYTES: usize = 32 << 20;

/// Everything a relay needs to know of its request.
#[derive(Debug)]
pub struct Setup {
    pub upstream: Upstream,
    pub step: Step,
    pub front: Dialect,
    /// What the provider was asked in.
    pub protocol: Protocol,
    /// The provider's bytes are the caller's.
    pub passes: bool,
    pub usage_added: bool,
    /// Tools that go by other names there.
    pub names: Rc<Names>,
    pub heading: Heading,
    pub request: RequestId,
}

/// What a relay has to settle, and what it will say of how the answer came about.
struct Settling {
    hold: Hold,
    attempts: u8,
    tried: Vec<Tried>,
    first_byte: Timestamp,
    /// Told how it ended.
    ending: Rc<Cell<Option<Outcome>>>,
}

/// How frames become the caller's bytes.
enum Way {
    /// They are the caller's bytes. A tap watches.
    Verbatim,
    /// The same dialect, but the model's name changes or a frame that nobody asked for is left out.
    Edited { rename: Option<Rename>, drop_usage: bool },
    Translated {
        reader: Box<dyn Reader + Send>,
        events: Vec<Event>,
        /// Tools that go by other names there get their own back.
        names: Rc<Names>,
    },
}

#[expect(clippy::struct_excessive_bools, reason = "each says one thing that happened")]
pub struct Relay {
    /// `None` once the provider has said all, or is given up.
    body: Option<Body>,
    splitter: Splitter,
    way: Way,
    front: Dialect,
    theirs: &'static dyn ProviderSide,
    writer: Box<dyn Writer + Send>,
    ready: VecDeque<Bytes>,
    pulse: Option<Pin<Box<Sleep>>>,
    last_heard: Instant,
    last_said: Instant,
    usage: Option<Usage>,
    /// The stream has come to its own end, or at least its answer has.
    ended: bool,
    finished: bool,
    /// Something of the answer itself has come: from here on there is no other provider.
    committed: bool,
    failed: bool,
    heard: Heard,
    settling: Option<Settling>,
    /// The last piece does not leave before this is done.
    safe: Option<Pin<Box<dyn Future<Output = Result<(), Error>>>>>,
    /// Told otherwise, should the end of the answer not become safe.
    told: Option<Rc<Cell<Option<Outcome>>>>,
    setup: Option<Setup>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("setup", &self.setup).finish_non_exhaustive()
    }
}

impl Relay {
    /// Reads until the answer has begun.
    ///
    /// # Errors
    /// The fault that came in its place: another provider can still be asked.
    pub async fn open(body: Body, setup: Setup, patience: Duration) -> Result<Self, Fault> {
        let theirs = provider_side(setup.protocol);
        let rename = Rename::of(&setup.step);
        let way = if !setup.passes {
            let names = Rc::clone(&setup.names);
            Way::Translated { reader: theirs.reader(), events: Vec::new(), names }
        } else if rename.is_some() || setup.usage_added {
            Way::Edited { rename, drop_usage: setup.usage_added }
        } else {
            Way::Verbatim
        };
        let now = Instant::now();
        let mut relay = Self {
            body: Some(body),
            splitter: theirs.splitter(EVENT_BYTES),
            way,
            front: setup.front,
            theirs,
            writer: codec(setup.front).writer(setup.heading.clone()),
            ready: VecDeque::new(),
            pulse: None,
            last_heard: now,
            last_said: now,
            usage: None,
            ended: false,
            finished: false,
            committed: false,
            failed: false,
            heard: Heard::default(),
            settling: None,
            safe: None,
            told: None,
            setup: Some(setup),
        };
        let beginning = std::future::poll_fn(|cx| relay.poll_beginning(cx));
        match tokio::time::timeout(patience, beginning).await {
            Ok(Ok(())) => Ok(relay),
            Ok(Err(fault)) => {
                relay.setup = None;
                Err(fault)
            }
            Err(_) => {
                relay.setup = None;
                Err(Fault::new(FaultKind::Timeout, "the stream did not begin"))
            }
        }
    }

    /// From here on whoever reads the answer, or stops reading it, settles the hold.
    pub fn settle_with(
        &mut self,
        hold: Hold,
        attempts: u8,
        tried: Vec<Tried>,
        ending: Rc<Cell<Option<Outcome>>>,
    ) {
        let first_byte = Clock::System.now();
        self.settling = Some(Settling { hold, attempts, tried, first_byte, ending });
    }

    fn poll_beginning(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.committed {
            match self.poll_body(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Ready(Ok(true)) => {}
                // It ended before anything was said.
                Poll::Ready(Ok(false)) => {
                    if !(self.ended || self.finished) {
                        return Poll::Ready(Err(broken_off()));
                    }
                    self.committed = true;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in the next piece. `false` at the end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(Ok(false)) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.body = None;
                let outcome = self.end();
                Poll::Ready(outcome.map(|()| false))
            }
            Poll::Ready(Some(Err(why))) => {
                self.body = None;
                let text = format!("the stream broke off: {why}");
                Poll::Ready(Err(Fault::new(FaultKind::Broken, text)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    self.last_heard = Instant::now();
                    return Poll::Ready(self.take(data).map(|()| true));
                }
                Poll::Ready(Ok(true))
            }
        }
    }

    /// The splitter, and the rest of what a frame touches.
    fn taking<'a>(&'a mut self, out: &'a mut Vec<u8>) -> (&'a mut Splitter, Taking<'a>) {
        let taking = Taking {
            way: &mut self.way,
            theirs: self.theirs,
            writer: &mut *self.writer,
            out,
            usage: &mut self.usage,
            ended: &mut self.ended,
            finished: &mut self.finished,
            committed: &mut self.committed,
            fault: None,
        };
        (&mut self.splitter, taking)
    }

    /// One chunk of the provider's.
    fn take(&mut self, chunk: Bytes) -> Result<(), Fault> {
        if self.usage.is_some() && (self.finished || self.ended) {
            self.heard.forget();
        } else {
            self.heard.take(&chunk);
        }
        let mut out = Vec::new();
        let (splitter, mut step) = self.taking(&mut out);
        let fed = splitter.feed(&chunk, |frame| step.frame(&frame));
        let fault = step.fault.take();
        if let Err(why) = fed {
            return Err(Fault::new(FaultKind::Broken, why.to_string()));
        }
        if matches!(self.way, Way::Verbatim) {
            // The provider's own error event passes like everything else, once it is too late
            // for another provider.
            if let Some(fault) = fault {
                if !self.committed {
                    return Err(fault);
                }
                self.failed = true;
                self.ended = true;
            }
            self.ready.push_back(chunk);
        } else {
            if !out.is_empty() {
                self.ready.push_back(Bytes::from(out));
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// The connection has ended.
    fn end(&mut self) -> Result<(), Fault> {
        let mut out = Vec::new();
        let between = self.splitter.is_between_events();
        let (splitter, mut step) = self.taking(&mut out);
        splitter.finish(|frame| step.frame(&frame));
        if let Some(fault) = step.fault.take() {
            return Err(fault);
        }
        let passed_on = match &mut self.way {
            Way::Translated { reader, events, .. } => {
                events.clear();
                let complete = reader.finish(events);
                self.writer.write(events, &mut out);
                if complete {
                    self.ended = true;
                    self.writer.finish(&mut out);
                }
                false
            }
            Way::Verbatim => true,
            Way::Edited { .. } => false,
        };
        if !out.is_empty() {
            self.ready.push_back(Bytes::from(out));
        }
        let translated = matches!(self.way, Way::Translated { .. });
        if !self.ended && self.finished && !translated {
            // Cerebras and others leave the last word out; the caller's SDK may wait for it.
            self.ended = self.front != Dialect::Anthropic;
            if self.front == Dialect::OpenAiChat {
                let gap: &[u8] = if passed_on && !between { b"\n\n" } else { b"" };
                self.ready.push_back(Bytes::from([gap, b"data: [DONE]\n\n"].concat()));
            }
        }
        if self.ended { Ok(()) } else { Err(broken_off()) }
    }

    /// It cannot go on: say so in the caller's dialect, and stop.
    fn fail(&mut self, fault: Fault) {
        self.failed = true;
        self.body = None;
        if let Some(setup) = &self.setup {
            tracing::warn!(
                request = %setup.request,
                provider = %setup.step.deployment.provider.id,
                model = %setup.step.model.id,
                kind = ?fault.kind,
                message = %fault.message.chars().take(300).collect::<String>(),
                "stream failed after it began"
            );
            setup.upstream.health.failed(
                setup.step.deployment.id,
                Permit { probe: false },
                &fault,
                None,
            );
        }
        let mut out = Vec::new();
        if matches!(self.way, Way::Verbatim) && !self.splitter.is_between_events() {
            out.extend_from_slice(b"\n\n");
        }
        let error: Error = fault.into_error();
        self.writer.fail(&error, &mut out);
        self.ready.push_back(Bytes::from(out));
    }

    /// Watches the time while the provider is silent.
    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let limits = self.setup.as_ref().map(|setup| setup.upstream.limits).unwrap_or_default();
        let pulse = self.pulse.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep(limits.keep_alive.min(limits.idle)))
        });
        while pulse.as_mut().poll_elapsed(cx) {
            let now = Instant::now();
            let silent = now.duration_since(self.last_heard);
            if silent >= limits.idle {
                let text = format!("silent for {} s", limits.idle.as_secs());
                self.fail(Fault::new(FaultKind::Timeout, text));
                return self.ready.pop_front();
            }
            let quiet = now.duration_since(self.last_said);
            let next = self.last_heard + limits.idle;
            if quiet >= limits.keep_alive && self.splitter.is_between_events() {
                self.last_said = now;
                pulse.as_mut().reset(next.min(now + limits.keep_alive));
                // Asked to be woken at the new time, then speaks.
                if !pulse.as_mut().poll_elapsed(cx) {
                    return Some(Bytes::from_static(self.writer.keep_alive()));
                }
            } else {
                let due = self.last_said.max(self.last_heard) + limits.keep_alive;
                pulse.as_mut().reset(next.min(due.max(now + Duration::from_millis(50))));
            }
        }
        None
    }

    /// The next piece for the caller; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.ended || self.body.is_none() {
                self.close(if self.failed { Outcome::Failed } else { Outcome::Complete });
                if let Some(safe) = &mut self.safe {
                    let safe = ready!(safe.as_mut().poll(cx));
                    self.safe = None;
                    if let Err(error) = safe {
                        self.take_back(&error);
                    }
                }
            }
            if let Some(bytes) = self.ready.pop_front() {
                self.last_said = self.last_heard;
                return Poll::Ready(Some(bytes));
            }
            if self.body.is_none() {
                return Poll::Ready(None);
            }
            match self.poll_body(cx) {
                Poll::Pending => {
                    return match self.poll_pulse(cx) {
                        Some(bytes) => Poll::Ready(Some(bytes)),
                        None => Poll::Pending,
                    };
                }
                Poll::Ready(Ok(_)) => {
                    if self.failed {
                        self.body = None;
                    }
                }
                // All has been said.
                Poll::Ready(Err(_)) if self.ended => self.body = None,
                Poll::Ready(Err(fault)) => self.fail(fault),
            }
        }
    }

    /// The end of the answer could not be written down: an error stands in its place.
    fn take_back(&mut self, error: &Error) {
        self.body = None;
        self.ready.clear();
        // The piece before may have ended within an event.
        let mut out = b"\n\n".to_vec();
        self.writer.fail(error, &mut out);
        self.ready.push_back(Bytes::from(out));
        if let Some(ending) = self.told.take() {
            ending.set(Some(Outcome::Failed));
        }
    }

    /// Counts what was used and settles it, once.
    fn close(&mut self, outcome: Outcome) {
        let Some(setup) = self.setup.take() else { return };
        count_tokens(&setup.upstream, &setup.step, self.usage.as_ref());
        let Some(Settling { hold, attempts, tried, first_byte, ending }) = self.settling.take()
        else {
            return;
        };
        ending.set(Some(outcome));
        self.told = Some(ending);
        let to_the_end = self.finished || self.ended;
        let (tokens, basis) =
            self.heard.used(self.theirs, self.usage.as_ref(), to_the_end, hold.prompt_tokens());
        let receipt = hold.settle(Delivered {
            model: &setup.step.model,
            deployment: &setup.step.deployment,
            outcome,
            tokens,
            basis,
            pictures: Pictures::default(),
            attempts,
            tried,
            first_byte,
        });
        self.safe = Some(Box::pin(receipt.safe()));
    }
}

impl Stream for Relay {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.get_mut().poll_piece(cx)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.body.is_some()
            && let Some(setup) = &self.setup
        {
            tracing::debug!(request = %setup.request, "the caller left");
        }
        self.close(if self.failed { Outcome::Failed } else { Outcome::Left });
    }
}

/// `Sleep` as a question.
trait PollElapsed {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> bool;
}

impl PollElapsed for Pin<&mut Sleep> {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> bool {
        Future::poll(self, cx).is_ready()
    }
}

fn broken_off() -> Fault {
    Fault::new(FaultKind::Broken, "the stream broke off before its end")
}

/// The parts of a relay that a frame touches.
struct Taking<'a> {
    way: &'a mut Way,
    theirs: &'static dyn ProviderSide,
    writer: &'a mut (dyn Writer + Send),
    out: &'a mut Vec<u8>,
    usage: &'a mut Option<Usage>,
    ended: &'a mut bool,
    finished: &'a mut bool,
    committed: &'a mut bool,
    fault: Option<Fault>,
}

impl Taking<'_> {
    fn frame(&mut self, frame: &Frame<'_>) {
        if self.fault.is_some() {
            return;
        }
        if let Way::Translated { reader, events, names } = self.way {
            events.clear();
            if let Err(why) = reader.read(frame, events) {
                self.fault = Some(Fault::new(FaultKind::Broken, why.to_string()));
                return;
            }
            if !names.is_empty() {
                for event in events.iter_mut() {
                    if let Event::PartOpen { part, .. } = event {
                        names.restore(part);
                    }
                }
            }
            let mut fault = None;
            for event in events.iter() {
                match event {
                    Event::Usage(usage) => *self.usage = Some(usage.clone()),
                    Event::Fault(one) => fault = Some(one.clone()),
                    Event::PartOpen { .. } | Event::Delta { .. } => *self.committed = true,
                    Event::Finish { .. } => {
                        *self.committed = true;
                        *self.finished = true;
                    }
                    _ => {}
                }
            }
            self.writer.write(events, self.out);
            self.fault = fault;
            return;
        }
        let tapped = self.theirs.tap(frame.data);
        *self.ended |= tapped.ended;
        *self.finished |= tapped.finished;
        if let Some(later) = tapped.usage {
            *self.usage = Some(match self.usage.take() {
                Some(earlier) => earlier.updated(later),
                None => later,
            });
        }
        if let Some(fault) = tapped.fault {
            self.fault = Some(fault);
            return;
        }
        *self.committed = true;
        if let Way::Edited { rename, drop_usage } = self.way {
            if *drop_usage && tapped.usage_only {
                return;
            }
            let renamed = rename.as_ref().and_then(|rename| rename.apply(frame.data));
            sse::write(self.out, frame.event, renamed.as_deref().unwrap_or(frame.data));
        }
    }
}
