//! What is taken for a request before it is asked, and what becomes of it: settled, or given back.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::counter::Counter;
use super::receipt::{Awaited, Receipt};
use super::{Answerer, Basis, FailedAttempt, Outcome, Selling, Settlement, Tokens, Weighed};
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::money::{Credits, Nanos};
use crate::catalogue::{Deployment, Mode, Model, Pictures};
use crate::quota::{Correction, PeriodUsage, RequestAmount, Standing, Terms};
use crate::wire::vocab::AuxiliaryUsage;

/// An answer that came at the last moment is not refused because its line takes a moment too.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);

/// What is known of a request when it is let in.
#[derive(Debug, Clone)]
pub struct Outset {
    pub id: RequestId,
    pub surface: Cow<'static, str>,
    pub asked: String,
    pub streamed: bool,
    pub began: Timestamp,
    /// Tokens of the prompt, should nobody say how many there were.
    pub prompt_tokens: u64,
    /// What the caller is asked for it and told of it.
    pub selling: Selling,
    /// How `auto` chose, in one line.
    pub decision: Option<String>,
    /// What it weighed for that.
    pub weighed: Option<Box<Weighed>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Delivered<'a> {
    pub model: &'a Model,
    pub deployment: &'a Deployment,
    pub outcome: Outcome,
    pub tokens: Tokens,
    /// What other models did for it: in its cost, and not among its tokens.
    pub asides: &'a [AuxiliaryUsage],
    pub basis: Basis,
    pub pictures: Pictures<'a>,
    pub attempts: u8,
    pub tried: Vec<FailedAttempt>,
    /// When the answer began.
    pub first_byte: Timestamp,
}

/// What a request came to in money.
#[derive(Debug, Clone, Copy, Default)]
struct Charge {
    credits: Credits,
    cost: Nanos,
    list: Nanos,
}

/// A part of an account's limits and credits, spoken for. Settled once; given back when dropped.
#[must_use = "a hold that is dropped is given back"]
pub struct Hold(Option<Box<Open>>);

struct Open {
    counter: Rc<Counter>,
    terms: Arc<Terms>,
    outset: Outset,
    amount: RequestAmount,
    standing: Standing,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0.as_ref().map(|open| open.outset.id.as_str());
        f.debug_tuple("Hold").field(&id).finish()
    }
}

impl Hold {
    /// What `amount` was taken for.
    pub fn open(
        counter: Rc<Counter>,
        terms: Arc<Terms>,
        outset: Outset,
        amount: RequestAmount,
        standing: Standing,
    ) -> Self {
        Self(Some(Box::new(Open { counter, terms, outset, amount, standing })))
    }

    /// Where the account stands with its limits, this request counted.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.as_ref().map(|open| open.standing).unwrap_or_default()
    }

    /// How `auto` chose, in one line.
    #[must_use]
    pub fn decision(&self) -> Option<&str> {
        self.0.as_ref()?.outset.decision.as_deref()
    }

    /// Whether the caller is told what providers charge.
    #[must_use]
    pub fn shows_cost(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.outset.selling.show_cost)
    }

    /// Tokens of the prompt, as far as they can be told from its size.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| open.outset.prompt_tokens)
    }

    /// Writes down what was delivered. The receipt says when that is safe.
    pub fn settle(mut self, delivered: Delivered<'_>) -> Receipt {
        let Some(open) = self.0.take() else { return Receipt::of_nothing() };
        let Delivered {
            model,
            deployment,
            outcome,
            mut tokens,
            asides,
            basis,
            pictures,
            attempts,
            tried,
            ..
        } = delivered;
        if deployment.facts.searches {
            tokens.more.searches = tokens.more.searches.max(1);
        }
        let credits = match outcome {
            Outcome::Failed | Outcome::Withdrawn => Credits(0),
            Outcome::Complete | Outcome::Left if model.mode == Mode::Image => {
                // A conversation with a model that draws costs what one picture does.
                open.counter.tariff.pictures(&model.id, model.tier, pictures.count.max(1))
            }
            Outcome::Complete | Outcome::Left => open.counter.tariff.request(model.tier),
        };
        // A request is booked at the price of the moment it completed.
        let at = open.counter.clock.now();
        let usage = tokens.into();
        let mut cost = deployment.prices.bill(&usage, pictures, at);
        // Whichever deployment answers, the price is the same.
        let sold = model.sold_at(deployment);
        let same = sold.id == deployment.id;
        let mut list = if same { cost } else { sold.prices.bill(&usage, pictures, at) };
        if !asides.is_empty() {
            let beside = open.counter.asides.price(&deployment.provider.id, asides, at);
            (cost, list) = (cost.plus(beside), list.plus(beside));
        }
        let list = match outcome {
            Outcome::Complete | Outcome::Left => open.outset.selling.margin.on(list),
            Outcome::Failed | Outcome::Withdrawn => Nanos(0),
        };
        open.counter.trails.charged(&deployment.provider.id, &model.label, cost);
        let by = Answerer {
            model: model.id.to_string(),
            provider: deployment.provider.id.to_string(),
            tier: model.tier,
        };
        let first_byte_ms =
            u64::try_from(delivered.first_byte.0 - open.outset.began.0).unwrap_or(0);
        open.close(
            outcome,
            Some(by),
            tokens,
            basis,
            pictures.count,
            Charge { credits, cost, list },
            attempts,
            tried,
            first_byte_ms,
        )
    }

    /// Nobody answered: that too is written down, and costs nothing.
    pub fn fail(mut self, attempts: u8, tried: Vec<FailedAttempt>) {
        let Some(open) = self.0.take() else { return };
        // Nothing hangs on its being safe.
        let _receipt = open.close(
            Outcome::Failed,
            None,
            Tokens::default(),
            Basis::Reported,
            0,
            Charge::default(),
            attempts,
            tried,
            0,
        );
    }
}

impl Open {
    #[expect(clippy::too_many_arguments, reason = "each is a column of the line")]
    fn close(
        self: Box<Self>,
        outcome: Outcome,
        by: Option<Answerer>,
        tokens: Tokens,
        basis: Basis,
        images: u64,
        charge: Charge,
        attempts: u8,
        tried: Vec<FailedAttempt>,
        first_byte_ms: u64,
    ) -> Receipt {
        let Self { counter, terms, outset, amount, .. } = *self;
        let Charge { credits, cost, list } = charge;
        let at = counter.clock.now();
        // The books of the period in which it ends pay for it.
        let correction = Correction {
            period: Period::of(at),
            held: amount,
            charged: PeriodUsage { credits, spend: list },
            used_tokens: tokens.total(),
        };
        counter.quota.settle(&terms, outset.id.as_str(), correction);
        let waited = Duration::from_millis(u64::try_from(at.0 - outset.began.0).unwrap_or(0));
        let patience = if outset.streamed {
            counter.patience
        } else {
            counter.patience.saturating_sub(waited).max(LEAST_PATIENCE)
        };
        let settlement = Settlement {
            id: outset.id,
            account: terms.account.clone(),
            key: terms.key.clone(),
            began: outset.began,
            at,
            surface: outset.surface,
            asked: outset.asked,
            streamed: outset.streamed,
            outcome,
            by,
            tokens,
            images,
            basis,
            credits,
            cost,
            list: (list != cost).then_some(list),
            attempts,
            tried,
            decision: outset.decision,
            weighed: outset.weighed,
            first_byte_ms,
        };
        let place = counter.journal.append(&settlement);
        let paid_by = (&settlement.account, &settlement.key);
        counter.trails.settled(&settlement.id, paid_by, settlement.bill(counter.trails.traces()));
        Receipt::of(Awaited { counter, terms, settlement, place, patience })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let correction = Correction {
            period: Period::of(open.counter.clock.now()),
            held: open.amount,
            charged: PeriodUsage::default(),
            used_tokens: 0,
        };
        open.counter.quota.settle(&open.terms, open.outset.id.as_str(), correction);
    }
}
