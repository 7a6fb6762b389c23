//! What nodes agree on: how much of every limit is gone, in this process or in Redis; and what they tell one
//! another there.

mod ask;
mod gauge;
mod gossip;
mod link;
mod memory;
mod place;
mod together;

pub use ask::{BookedUsage, QuotaDecision, QuotaRequest, Terms};
pub use gauge::{
    Correction, Gauges, Limit, LimitLine, LimitReached, Limits, Now, PeriodUsage, RequestAmount,
    Standing,
};
pub use gossip::Gossip;
pub use memory::LocalQuota;
pub use together::{RedisQuota, SharedCounters};

/// Where limits are counted.
#[derive(Debug, Clone)]
pub enum Quota {
    Local(LocalQuota),
    Shared(RedisQuota),
}

impl Quota {
    /// Takes all of it or nothing.
    pub async fn take(&self, ask: &QuotaRequest<'_>) -> QuotaDecision {
        match self {
            Self::Local(memory) => memory.take(ask),
            Self::Shared(redis) => redis.take(ask).await,
        }
    }

    /// Replaces the reserved amount by what was used. Never waits.
    pub fn settle(&self, terms: &Terms, hold: &str, correction: Correction) {
        match self {
            Self::Local(memory) => memory.settle(terms, &correction),
            Self::Shared(redis) => redis.settle(terms, hold, correction),
        }
    }
}
