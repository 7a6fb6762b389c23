//! A relay whose stream broke off, while somebody is asked to go on with it.

use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use super::super::Upstream;
use super::super::rescue::{Rescue, Rescued, Rescuing};
use super::{Relay, Source, Stage};
use crate::ledger::FailedAttempt;
use crate::router::Step;
use crate::wire::resume::{PartialAnswer, ResumeMethod};
use crate::wire::vocab::{Fault, Retry};

impl Relay {
    /// Should the answer break off, others are asked to go on with it.
    pub(in crate::upstream) fn rescue_with(&mut self, rescue: Option<Box<Rescue>>) {
        if let Some(begun) = self.begun_mut() {
            begun.rescue = rescue;
        }
    }

    /// Asks somebody to go on with the answer.
    ///
    /// # Errors
    /// The fault, where nobody can.
    pub(super) fn asks_again(&mut self, fault: Fault, upstream: Upstream) -> Result<(), Fault> {
        let said = self.reading.passage.said().filter(|_| fault.retry() == Retry::Same);
        let rescue = match &mut self.stage {
            Stage::Begun(begun) => begun.rescue.take(),
            Stage::Settled { .. } | Stage::Ended => None,
        };
        let (Some(rescue), Some(said)) = (rescue, said) else { return Err(fault) };
        self.reading.passage.pause();
        self.reading.last_heard = Instant::now();
        let asking = Box::pin(rescue.again(upstream, said.clone()));
        let rescuing = Rescuing { asking, said, error: fault.into_error() };
        self.reading.source = Source::Rescue(rescuing);
        Ok(())
    }

    /// Waits for somebody who goes on with the answer; ready with a word to say meanwhile, or with
    /// nothing once that is decided.
    pub(super) fn poll_rescue(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Source::Rescue(rescuing) = &mut self.reading.source else { return Poll::Ready(None) };
        let Poll::Ready(rescued) = rescuing.asking.as_mut().poll(cx) else {
            return self.poll_pulse(cx);
        };
        let rescuing = std::mem::replace(&mut self.reading.source, Source::Nobody);
        match (rescuing, rescued) {
            (Source::Rescue(Rescuing { said, .. }), Some(rescued)) => self.resume(rescued, said),
            (Source::Rescue(Rescuing { error, .. }), None) => self.stop(&error),
            (Source::Provider(_) | Source::Nobody, _) => {}
        }
        Poll::Ready(None)
    }

    /// Goes on with another answer.
    fn resume(&mut self, rescued: Rescued, said: PartialAnswer) {
        let Rescued { step, permit, protocol, limits, way, read, body } = rescued;
        let Stage::Begun(begun) = &mut self.stage else { return };
        let setup = &mut begun.setup;
        let first = std::mem::replace(&mut setup.step, step);
        let (provider, model) = (&*first.deployment.provider.id, &*first.model.id);
        tracing::warn!(
            request = %setup.request, provider, model, by = %setup.step.deployment.provider.id,
            "a stream that broke off is gone on with by another deployment"
        );
        setup.upstream.metrics.rescues.with_label_values(&[provider, &*first.model.label]).inc();
        if let Some(settling) = &mut begun.settling {
            settling.attempts = settling.attempts.saturating_add(1);
            settling.tried.push(FailedAttempt {
                provider: provider.to_owned(),
                model: model.to_owned(),
                fault: if way == ResumeMethod::Again { "rescued" } else { "continued" }.into(),
                ..FailedAttempt::default()
            });
        }
        begun.permit = Some(permit);
        self.limits = limits;
        if way != ResumeMethod::Again {
            let Step { model, deployment, .. } = &setup.step;
            let by = format!("optimux: continued by {}/{}", deployment.provider.id, model.id);
            self.reading.passage.remark(&by);
        }
        self.reading.passage.resume(protocol, said, way);
        self.reading.last_heard = Instant::now();
        self.reading.source = Source::Provider(body);
        for chunk in read {
            if let Err(fault) = self.reading.passage.take(chunk) {
                return self.fail(fault);
            }
        }
    }
}
