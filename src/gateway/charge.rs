//! What a request takes of the caller's limits and credits: asked for before the call, settled with
//! what came of it.

use std::borrow::Cow;
use std::rc::Rc;

use super::app::App;
use crate::admit::{self, Caller};
use crate::base::ids::RequestId;
use crate::base::money::{Credits, Nanos};
use crate::base::{Error, Kind};
use crate::catalogue::lifecycle;
use crate::catalogue::{Mode, Pictures};
use crate::exchange::{AnswerEnding, Answered, Refused, ResponseBody};
use crate::ledger::{Basis, Delivered, FailedAttempt, Hold, Outcome, Outset, Tokens, Weighed};
use crate::quota::RequestAmount;
use crate::router::{Decision, Step, without_cost};
use crate::upstream::{self, AnswerBody, NoAnswer, UpstreamAnswer};
use crate::wire::Inbound;
use crate::wire::vocab::{AuxiliaryUsage, RequestHead, Usage};

/// Output tokens that are assumed when credits are reserved; settling corrects them.
const EXPECTED_TOKENS: u64 = 256;

/// More of the name of a model is not written down; none is as long.
const NAME_BYTES: usize = 200;

/// What a request is about to take.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub id: RequestId,
    pub surface: Cow<'static, str>,
    pub images: u64,
    /// It is the first of a session, or stands for itself.
    pub counts: bool,
}

impl Intent {
    pub fn of(id: &RequestId, surface: impl Into<Cow<'static, str>>) -> Self {
        Self { id: id.clone(), surface: surface.into(), images: 0, counts: true }
    }
}

/// Takes what the request may come to.
pub(super) async fn hold(
    app: &App,
    caller: &Caller,
    decision: &Decision,
    head: &RequestHead,
    intent: Intent,
) -> Result<Hold, Refused> {
    let line = decision.steps.first().and_then(|first| decision.line(first));
    let why = DecisionSummary { line, weighed: None };
    hold_for(app, caller, decision.steps.iter(), why, head, intent).await
}

/// How `auto` chose: in one line, and what it weighed.
#[derive(Debug, Default)]
pub(super) struct DecisionSummary {
    pub line: Option<String>,
    pub weighed: Option<Box<Weighed>>,
}

/// The same, where any of `steps` may answer; `why` is how they were chosen.
pub(super) async fn hold_for(
    app: &App,
    caller: &Caller,
    mut steps: impl Iterator<Item = &Step> + Clone,
    why: DecisionSummary,
    head: &RequestHead,
    intent: Intent,
) -> Result<Hold, Refused> {
    let prompt_tokens = (head.prompt_bytes as u64).div_ceil(4);
    let expected = head.max_output_tokens.unwrap_or(EXPECTED_TOKENS).min(EXPECTED_TOKENS * 16);
    let tariff = &app.counter.tariff;
    // A conversation with a model that draws counts as one picture.
    let draws = steps.clone().any(|step| step.model.mode == Mode::Image);
    let images = intent.images.max(u64::from(draws));
    // Whichever of the steps answers can be paid.
    let dearest = steps.clone().map(|step| match step.model.mode {
        Mode::Image => tariff.pictures(&step.model.id, step.model.tier, images),
        _ => tariff.request(step.model.tier),
    });
    let margin = caller.plan.selling.margin;
    let spend = steps.next().filter(|_| caller.terms.key_limits.is_some()).map(|step| {
        let usage = Usage { input: prompt_tokens, output: expected, ..Usage::default() };
        let pictures = Pictures { count: images, ..Pictures::default() };
        let sold = step.model.sold_at(&step.deployment);
        margin.on(sold.prices.bill(&usage, pictures, app.shared.clock.now()))
    });
    let amount = RequestAmount {
        requests: u64::from(intent.counts),
        tokens: if intent.images == 0 { prompt_tokens.saturating_add(expected) } else { 0 },
        images,
        credits: dearest.max().unwrap_or(Credits(0)),
        spend: spend.unwrap_or(Nanos(0)),
    };
    let outset = Outset {
        id: intent.id,
        surface: intent.surface,
        asked: head.model.get(..NAME_BYTES).unwrap_or(&head.model).to_owned(),
        streamed: head.stream,
        began: app.shared.clock.now(),
        prompt_tokens,
        selling: caller.selling(),
        decision: why.line,
        weighed: why.weighed,
    };
    take(app, caller, outset, amount).await
}

/// Takes a request of the minute and of the day, and nothing else: for calls of a provider that cost
/// nothing. Dropped, it stays taken.
pub(super) async fn hold_place(
    app: &App,
    caller: &Caller,
    head: &RequestHead,
    intent: Intent,
) -> Result<Hold, Refused> {
    let amount = RequestAmount { requests: 1, ..RequestAmount::default() };
    let outset = Outset {
        id: intent.id,
        surface: intent.surface,
        asked: head.model.get(..NAME_BYTES).unwrap_or(&head.model).to_owned(),
        streamed: false,
        began: app.shared.clock.now(),
        prompt_tokens: 0,
        selling: caller.selling(),
        decision: None,
        weighed: None,
    };
    take(app, caller, outset, amount).await
}

/// Takes it, and counts refusals.
async fn take(
    app: &App,
    caller: &Caller,
    outset: Outset,
    amount: RequestAmount,
) -> Result<Hold, Refused> {
    admit::admit(&app.counter, &app.shared.store, caller, outset, amount).await.map_err(|denied| {
        if denied.error.kind != Kind::Internal {
            let limit = denied.error.code.as_deref().unwrap_or("insufficient_credits");
            app.shared.metrics.refusals.with_label_values(&[limit]).inc();
        }
        Refused { error: denied.error, attempts: 0, standing: Some(Box::new(denied.standing)) }
    })
}

/// What one or several calls came to.
#[derive(Debug)]
pub(super) struct Sum<'a> {
    pub outcome: Outcome,
    pub tokens: Tokens,
    /// What other models did for it.
    pub asides: Vec<AuxiliaryUsage>,
    pub basis: Basis,
    pub pictures: Pictures<'a>,
    pub attempts: u8,
    pub tried: Vec<FailedAttempt>,
}

/// Writes down what was delivered whole, and waits until that is safe.
///
/// # Errors
/// Where it cannot be written down in time: the caller must not be given the answer.
pub(super) async fn settle(app: &App, step: &Step, hold: Hold, sum: Sum<'_>) -> Result<(), Error> {
    let Sum { outcome, mut tokens, asides, basis, pictures, attempts, tried } = sum;
    if basis == Basis::Estimated && tokens.input == 0 {
        tokens.input = hold.prompt_tokens();
    }
    let receipt = hold.settle(Delivered {
        model: &step.model,
        deployment: &step.deployment,
        outcome,
        tokens,
        asides: &asides,
        basis,
        pictures,
        attempts,
        tried,
        first_byte: app.shared.clock.now(),
    });
    receipt.safe().await
}

/// Nobody answered: it costs nothing.
pub(super) fn give_up(hold: Hold, unanswered: NoAnswer) -> Refused {
    let NoAnswer { error, attempts, tried } = unanswered;
    let standing = Some(Box::new(hold.standing()));
    hold.fail(attempts, tried);
    Refused { error, attempts, standing }
}

/// Has a decision carried out.
pub(super) async fn ask(
    app: &App,
    decision: &Decision,
    inbound: &Inbound,
    id: &RequestId,
) -> Result<UpstreamAnswer, NoAnswer> {
    let mut dice = app.dice.borrow_mut().split();
    upstream::run(&app.upstream, decision, inbound, id, &mut dice).await
}

/// Attempts of a request before the one that is delivered.
#[derive(Debug, Default)]
pub(super) struct PriorAttempts {
    pub attempts: u8,
    pub tried: Vec<FailedAttempt>,
}

impl PriorAttempts {
    fn before(self, attempts: &mut u8, tried: &mut Vec<FailedAttempt>) {
        *attempts = attempts.saturating_add(self.attempts);
        tried.splice(0..0, self.tried);
    }
}

/// Has a decision carried out, and settles what it comes to.
pub(super) async fn deliver(
    app: &App,
    decision: &Decision,
    inbound: &Inbound,
    id: &RequestId,
    hold: Hold,
    earlier: PriorAttempts,
) -> Result<Answered, Refused> {
    match ask(app, decision, inbound, id).await {
        Ok(mut answer) => {
            earlier.before(&mut answer.attempts, &mut answer.tried);
            delivered(app, decision, inbound, answer, hold).await
        }
        Err(mut unanswered) => {
            earlier.before(&mut unanswered.attempts, &mut unanswered.tried);
            Err(give_up(hold, unanswered))
        }
    }
}

/// Settles what an answer comes to, as it is delivered.
pub(super) async fn delivered(
    app: &App,
    decision: &Decision,
    inbound: &Inbound,
    answer: UpstreamAnswer,
    hold: Hold,
) -> Result<Answered, Refused> {
    let standing = Some(hold.standing());
    let shows_cost = hold.shows_cost();
    let ending = AnswerEnding::default();
    let UpstreamAnswer { step, attempts, tried, losses, schema, body } = answer;
    let line = decision.line(&step);
    let line = line.map(|line| if shows_cost { line } else { without_cost(&line) });
    let body = match body {
        AnswerBody::Relay(mut relay) => {
            relay.settle_with(hold, attempts, tried, Rc::clone(&ending));
            ResponseBody::Stream(Box::pin(*relay))
        }
        AnswerBody::Whole { body, tokens, asides, basis } => {
            let (outcome, pictures) = (Outcome::Complete, Pictures::default());
            let sum = Sum { outcome, tokens, asides, basis, pictures, attempts, tried };
            settle(app, &step, hold, sum).await.map_err(|error| Refused {
                error,
                attempts,
                standing: standing.map(Box::new),
            })?;
            ending.set(Some(Outcome::Complete));
            if inbound.head.stream {
                ResponseBody::at_once(body)
            } else {
                ResponseBody::Whole(body)
            }
        }
    };
    let mut notes = Vec::new();
    lifecycle::notes(decision.replaced.as_deref(), &step.model, app.shared.clock.now(), &mut notes);
    if let Some(broken) = schema {
        let labels = [&*step.deployment.provider.id, &*step.model.id];
        app.shared.metrics.schema_violations.with_label_values(&labels).inc();
        let shown: String = broken.chars().filter(|c| !c.is_control()).take(200).collect();
        notes.push(("x-optimux-schema", Cow::Owned(format!("broken at {shown}"))));
    }
    Ok(Answered { step, attempts, losses, body, decision: line, standing, ending, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_before_comes_first_and_counts() {
        let tried =
            |model: &str| FailedAttempt { model: model.to_owned(), ..FailedAttempt::default() };
        let earlier = PriorAttempts { attempts: 2, tried: vec![tried("one"), tried("two")] };
        let (mut attempts, mut all) = (254, vec![tried("three")]);
        earlier.before(&mut attempts, &mut all);
        let models: Vec<&str> = all.iter().map(|one| one.model.as_str()).collect();
        assert_eq!((attempts, models), (u8::MAX, vec!["one", "two", "three"]));
    }
}
