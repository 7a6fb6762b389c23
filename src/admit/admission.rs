//! Letting a request in: its limits and its credits in one step.

use std::rc::Rc;
use std::time::Duration;

use super::Caller;
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::ledger::{Counter, Hold, Outset};
use crate::quota::{
    BookedUsage, Limit, LimitReached, Now, PeriodUsage, QuotaDecision, QuotaRequest, RequestAmount,
    Standing,
};
use crate::store::Store;

/// A hold of a node that is gone lapses after this. Longer than a request that does not stream.
const LAPSE: Duration = Duration::from_secs(15 * 60);
/// The books of an account are read once what this node has just delivered is in them.
const FLUSH: Duration = Duration::from_secs(2);

/// A refusal, with what the headers say.
#[derive(Debug)]
pub struct Denied {
    pub error: Error,
    pub standing: Standing,
}

/// Takes `amount` of the caller's limits and credits, or nothing.
///
/// # Errors
/// [`Kind::RateLimited`] with the time to wait, [`Kind::OutOfCredits`], [`Kind::Overloaded`] where
/// nothing can be written down or the books do not answer.
pub async fn admit(
    counter: &Rc<Counter>,
    store: &Store,
    caller: &Caller,
    outset: Outset,
    amount: RequestAmount,
) -> Result<Hold, Denied> {
    if !counter.journal.is_able() {
        // What a provider would answer could be neither charged nor given.
        return Err(Denied { error: Error::unavailable(), standing: Standing::default() });
    }
    let at = counter.clock.now();
    let mut ask = QuotaRequest {
        terms: &caller.terms,
        amount,
        now: Now::at(at),
        hold: outset.id.as_str(),
        lapses: at.after(LAPSE),
        books: None,
    };
    let mut taken = counter.quota.take(&ask).await;
    if taken == QuotaDecision::Blank {
        let read = books(counter, store, caller, ask.now).await;
        let books = read
            .map_err(|why| Denied { error: Error::internal(why), standing: Standing::default() })?;
        ask.books = Some(books);
        taken = counter.quota.take(&ask).await;
    }
    match taken {
        QuotaDecision::Yes(standing) => {
            let (counter, terms) = (Rc::clone(counter), caller.terms.clone());
            Ok(Hold::open(counter, terms, outset, amount, standing))
        }
        QuotaDecision::No(refusal, standing) => Err(Denied { error: told(&refusal), standing }),
        QuotaDecision::Blank => {
            let error = Error::internal("the books were given and not taken");
            Err(Denied { error, standing: Standing::default() })
        }
    }
}

/// What the books say of the period.
async fn books(
    counter: &Counter,
    store: &Store,
    caller: &Caller,
    now: Now,
) -> Result<BookedUsage, crate::store::StoreError> {
    if !counter.journal.flush(FLUSH).await {
        tracing::warn!(
            "the journal could not be posted in time: balances are read without its last lines"
        );
    }
    let balances = store.balances(caller.account.clone()).await?;
    let account = balances.iter().find(|balance| balance.period == now.period).map_or_else(
        PeriodUsage::default,
        |balance| PeriodUsage { credits: balance.used, spend: balance.cost },
    );
    let key = if caller.terms.key_limits.is_some() {
        let since: Timestamp = now.period.start();
        let (credits, spend) = store.used_by_key(caller.terms.family.clone(), since).await?;
        PeriodUsage { credits, spend }
    } else {
        PeriodUsage::default()
    };
    Ok(BookedUsage { account, key })
}

fn told(refusal: &LimitReached) -> Error {
    let whose = if refusal.of_key { "this API key" } else { "your plan" };
    let what = match refusal.limit {
        Limit::Requests => "requests per minute",
        Limit::RequestsDay => "requests per day",
        Limit::Tokens => "tokens per minute",
        Limit::Images => "images per minute",
        Limit::Credits if refusal.of_key => {
            return Error::new(
                Kind::OutOfCredits,
                "The monthly credits of this API key are used up.",
            )
            .coded("key_credits_exceeded");
        }
        Limit::Credits => {
            return Error::new(
                Kind::OutOfCredits,
                "Insufficient credits. Please upgrade your plan.",
            );
        }
        Limit::Spend => {
            return Error::new(
                Kind::OutOfCredits,
                "The monthly budget of this API key is used up.",
            )
            .coded("key_budget_exceeded");
        }
    };
    let seconds = refusal.wait.as_millis().div_ceil(1000).max(1);
    Error::new(
        Kind::RateLimited,
        format!("Rate limit reached: the {what} of {whose}. Try again in {seconds} s."),
    )
    .coded("rate_limit_exceeded")
    .after(Some(refusal.wait))
}
