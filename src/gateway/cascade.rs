//! Cascades: the cheap candidate answers first, its answer is checked, and if it does not stand, the
//! model that the dial chose answers in its place. The caller pays for the answer that is delivered;
//! both stand in the record.
//!
//! The check needs the whole answer, so a stream begins when the first answer has come and stood, or
//! when the second model begins.

mod judge;

use std::borrow::Cow;

use super::app::App;
use super::charge::{self, DecisionSummary, Intent, PriorAttempts};
use super::decide::decide;
use crate::admit::{Caller, Feature};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::exchange::{Answered, Refused, RequestOptions, as_stream};
use crate::findings::check;
use crate::ledger::Hold;
use crate::live::Live;
use crate::router::{Decision, Dial, RequestFeatures, Step};
use crate::upstream::{AnswerBody, UpstreamAnswer};
use crate::wire::vocab::{Protocol, Reply};
use crate::wire::{Inbound, provider_side};

use judge::{JudgeResult, look, spent};

/// The candidate that answers first, where a cascade is wished for and it is another one than the
/// dial's. A dial that is as cheap as can be goes up to the middle one.
pub(super) struct CascadeSteps {
    /// Deployments of the cheap candidate.
    pub first: Decision,
    /// Of the model that answers if it does not stand.
    pub then: Decision,
}

/// Who answers a request: one decision's models in turn, or a cascade of two.
pub(super) enum AnswerPlan {
    /// By the decision's models in turn, the next where one fails.
    Plain(Decision),
    Cascade(Box<CascadeSteps>),
}

impl AnswerPlan {
    /// What the dial decided.
    pub fn decision(&self) -> &Decision {
        match self {
            Self::Plain(decision) => decision,
            Self::Cascade(cascade) => &cascade.then,
        }
    }

    /// What was read of the request, where that is kept.
    pub fn features(&self) -> Option<&RequestFeatures> {
        self.decision().explanation.as_ref()?.features.as_deref()
    }

    /// Whoever may answer can be paid.
    fn steps(&self) -> impl Iterator<Item = &Step> + Clone {
        let first = match self {
            Self::Plain(_) => &[],
            Self::Cascade(cascade) => cascade.first.steps.as_slice(),
        };
        first.iter().chain(&self.decision().steps)
    }

    /// How `auto` chose, in one line.
    fn line(&self) -> Option<String> {
        let of = |decision: &Decision| decision.line(decision.steps.first()?);
        match self {
            Self::Plain(decision) => of(decision),
            Self::Cascade(cascade) => {
                let first = &cascade.first.steps.first()?.model.id;
                Some(format!("cascade from {first}; {}", of(&cascade.then)?))
            }
        }
    }

    /// Takes what it may come to, whoever answers.
    pub async fn hold(
        &self,
        app: &App,
        live: &Live,
        caller: &Caller,
        inbound: &Inbound,
        id: &RequestId,
    ) -> Result<Hold, Refused> {
        let intent = Intent::of(id, inbound.dialect.as_str());
        let weighed = self.decision().explanation.as_deref();
        let weighed = weighed.map(|all| Box::new(all.weighed(&live.catalogue, &live.predictor)));
        let why = DecisionSummary { line: self.line(), weighed };
        charge::hold_for(app, caller, self.steps(), why, &inbound.head, intent).await
    }

    /// Has it carried out, and settles the answer that is delivered.
    pub async fn deliver(
        &self,
        app: &App,
        live: &Live,
        caller: &Caller,
        inbound: &Inbound,
        id: &RequestId,
        hold: Hold,
    ) -> Result<Answered, Refused> {
        match self {
            Self::Plain(decision) => {
                charge::deliver(app, decision, inbound, id, hold, PriorAttempts::default()).await
            }
            // Boxed, as all that few requests take: every request's future has room for the largest path.
            Self::Cascade(both) => {
                Box::pin(deliver(app, live, caller, both, inbound, id, hold)).await
            }
        }
    }
}

/// Plans a cascade around what the dial decided.
///
/// # Errors
/// As [`decide`].
pub(super) async fn plan(
    app: &App,
    live: &Live,
    caller: &Caller,
    inbound: &Inbound,
    asked: &RequestOptions,
    decision: Decision,
) -> Result<AnswerPlan, Error> {
    let wished = asked.cascade.unwrap_or_else(|| caller.features.has(Feature::Cascade));
    let Some(dial) = asked.dial.or_else(|| Dial::of(&inbound.head.model)).filter(|_| wished) else {
        return Ok(AnswerPlan::Plain(decision));
    };
    let cheap = dial.quality() <= Dial::CHEAP.quality();
    let other = if cheap { Dial::BALANCED } else { Dial::CHEAP };
    let other = decide(app, live, caller, inbound, &asked.at(other)).await?;
    let (mut first, then) = if cheap { (decision, other) } else { (other, decision) };
    let name = |decision: &Decision| decision.steps.first().map(|step| step.model.id.clone());
    if name(&first) == name(&then) {
        return Ok(AnswerPlan::Plain(then));
    }
    let cheapest = name(&first);
    first.steps.retain(|step| Some(&step.model.id) == cheapest.as_ref());
    Ok(AnswerPlan::Cascade(Box::new(CascadeSteps { first, then })))
}

/// Has a cascade carried out, and settles the answer that is delivered.
async fn deliver(
    app: &App,
    live: &Live,
    caller: &Caller,
    cascade: &CascadeSteps,
    inbound: &Inbound,
    id: &RequestId,
    hold: Hold,
) -> Result<Answered, Refused> {
    let CascadeSteps { first, then } = cascade;
    let whole;
    let asked = if inbound.head.stream {
        whole = inbound.asking_whole()?;
        &whole
    } else {
        inbound
    };
    let (earlier, doubted) = match charge::ask(app, first, asked, id).await {
        Err(unanswered) => {
            let earlier = PriorAttempts { attempts: unanswered.attempts, tried: unanswered.tried };
            (earlier, "did not answer".to_owned())
        }
        Ok(mut answer) => {
            match stands(app, live, caller, first, (asked, inbound), &mut answer, id).await {
                Ok(reply) => return stood(app, first, inbound, answer, reply, hold).await,
                Err(doubt) => {
                    let labels = [&*answer.step.model.label, doubt.label()];
                    app.shared.metrics.cascades.with_label_values(&labels).inc();
                    if let Some(findings) = &app.shared.routing.learned.findings {
                        findings.note(&caller.account, &answer.step.model, doubt.sign());
                    }
                    let doubted = spent(app, &answer, doubt.label());
                    let mut earlier =
                        PriorAttempts { attempts: answer.attempts, tried: answer.tried };
                    earlier.tried.push(doubted);
                    (earlier, format!("was doubted: {doubt}"))
                }
            }
        }
    };
    let mut answered = charge::deliver(app, then, inbound, id, hold, earlier).await?;
    let cheap = first.steps.first().map_or("", |step| &*step.model.id);
    if let Some(line) = &mut answered.decision {
        for piece in ["; cascade: ", cheap, " ", &visible(&doubted)] {
            line.push_str(piece);
        }
    }
    answered.notes.push(("x-optimux-cascade", Cow::Borrowed("second")));
    Ok(answered)
}

/// Delivers the first answer.
async fn stood(
    app: &App,
    first: &Decision,
    inbound: &Inbound,
    mut answer: UpstreamAnswer,
    reply: Reply,
    hold: Hold,
) -> Result<Answered, Refused> {
    let labels = [&*answer.step.model.label, "stood"];
    app.shared.metrics.cascades.with_label_values(&labels).inc();
    if inbound.head.stream
        && let AnswerBody::Whole { body, .. } = &mut answer.body
    {
        let model = &answer.step.model.id;
        *body =
            as_stream(app.shared.clock, inbound.dialect, model, &reply, inbound.head.include_usage);
    }
    let mut answered = charge::delivered(app, first, inbound, answer, hold).await?;
    if let Some(line) = &mut answered.decision {
        line.push_str("; cascade: it stands");
    }
    answered.notes.push(("x-optimux-cascade", Cow::Borrowed("first")));
    Ok(answered)
}

/// Whether the first answer can be delivered; if so, what it says. What was asked to find out is added to
/// what the answer took.
async fn stands(
    app: &App,
    live: &Live,
    caller: &Caller,
    first: &Decision,
    (asked, inbound): (&Inbound, &Inbound),
    answer: &mut UpstreamAnswer,
    id: &RequestId,
) -> Result<Reply, check::Doubt> {
    let AnswerBody::Whole { body, .. } = &answer.body else { return Err(check::Doubt::Empty) };
    let theirs = provider_side(Protocol::Dialect(inbound.dialect));
    let reply = theirs.decode_reply(body).map_err(|_| check::Doubt::Empty)?;
    let request = inbound.request().map_err(|_| check::Doubt::Empty)?;
    match check::doubt(request, &reply) {
        Some(doubt) => return Err(doubt),
        None if answer.schema.is_some() => {
            return Err(check::Doubt::Schema(answer.schema.clone().unwrap_or_default()));
        }
        None => {}
    }
    let JudgeResult { doubt, attempts, tried } =
        look(app, live, caller, first, asked, request, &reply, id).await;
    answer.attempts = answer.attempts.saturating_add(attempts);
    answer.tried.extend(tried);
    doubt.map_or(Ok(reply), Err)
}

/// For a header: visible ASCII, and not much of it.
fn visible(text: &str) -> String {
    text.chars().filter(|one| one.is_ascii_graphic() || *one == ' ').take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_doubted_is_told_in_what_a_header_can_carry() {
        assert_eq!(visible("was doubted: answer_empty"), "was doubted: answer_empty");
        assert_eq!(visible("a\r\nb\u{fc}c"), "abc");
        assert_eq!(visible(&"x".repeat(1_000)).len(), 160);
    }
}
