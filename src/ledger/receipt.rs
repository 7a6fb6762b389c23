//! What settling gives: says when the line is safe. What does not become safe in time is taken back.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::counter::Counter;
use super::journal::SafePoint;
use super::{Outcome, Settlement};
use crate::base::Error;
use crate::base::money::{Credits, Nanos};
use crate::quota::{Correction, PeriodUsage, RequestAmount, Terms};

/// The line of a settlement on its way to where it is safe.
#[must_use = "a settlement counts once its receipt says so"]
pub struct Receipt(Option<Awaited>);

pub(super) struct Awaited {
    pub counter: Rc<Counter>,
    pub terms: Arc<Terms>,
    pub settlement: Settlement,
    pub place: SafePoint,
    /// How long the caller is kept waiting for it.
    pub patience: Duration,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0.as_ref().map(|awaited| awaited.settlement.id.as_str());
        f.debug_tuple("Receipt").field(&id).finish()
    }
}

impl Receipt {
    /// Nothing was written, and there is nothing to wait for.
    pub(super) fn of_nothing() -> Self {
        Self(None)
    }

    pub(super) fn of(awaited: Awaited) -> Self {
        Self(Some(awaited))
    }

    /// Waits until the line is safe. Where that takes too long the settlement is taken back: the
    /// caller is not given the answer, and is charged no credits for it.
    ///
    /// # Errors
    /// What the caller is to be told in the place of the answer.
    pub async fn safe(self) -> Result<(), Error> {
        let Some(awaited) = self.0 else { return Ok(()) };
        if awaited.counter.journal.safe(awaited.place, awaited.patience).await {
            return Ok(());
        }
        tracing::error!(request = %awaited.settlement.id, "an answer could not be written down in time");
        awaited.take_back();
        Err(Error::unavailable())
    }
}

impl Awaited {
    /// A second line undoes the first, wherever that is by now: which of them is posted first, and by
    /// which process, does not matter.
    fn take_back(self) {
        let Self { counter, terms, settlement, .. } = self;
        if settlement.outcome == Outcome::Failed {
            // It is an error already, and charged nothing.
            return;
        }
        counter.trails.withdrawn(&settlement.id);
        let undone = settlement.credits.0;
        let correction = Correction {
            period: settlement.period(),
            held: RequestAmount::default(),
            charged: PeriodUsage {
                credits: Credits(-undone),
                spend: Nanos(-settlement.listed().0),
            },
            used_tokens: 0,
        };
        counter.quota.settle(&terms, "", correction);
        // The caller does not wait for this one: it is told that there is no answer either way.
        let _place = counter.journal.append(&settlement.withdrawn());
    }
}

impl Settlement {
    /// The line that takes this one back. What the provider charges stays.
    fn withdrawn(self) -> Self {
        Self {
            outcome: Outcome::Withdrawn,
            credits: Credits(-self.credits.0),
            cost: Nanos(0),
            list: Some(Nanos(-self.listed().0)),
            tokens: super::Tokens::default(),
            images: 0,
            tried: Vec::new(),
            decision: None,
            weighed: None,
            ..self
        }
    }
}
