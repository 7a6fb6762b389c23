//! Limits counted in Redis, so that any number of nodes holds an account to one plan: one script
//! and one round trip for all limits of a request together.
//!
//! Without Redis each node goes by itself, within its share of every rate: the plan's limit divided
//! by the nodes that were last seen. All nodes together let through at most one plan's worth beyond
//! what Redis had counted. A heartbeat finds Redis again. What was counted here for an account counts
//! until Redis has counted for that account again: that somebody answers there is not enough.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{RedisError, RedisResult, Script, ScriptInvocation};
use tokio::sync::{mpsc, oneshot};

use super::gauge::{DailyCount, Rate};
use super::link::{Connection, is_refusal};
use super::memory::shared_out;
use super::place::PATIENCE;
use super::place::RedisServer;
use super::{
    Correction, Gauges, Limit, LimitReached, Limits, LocalQuota, QuotaDecision, QuotaRequest, Terms,
};
use crate::base::calendar::day;
use crate::base::clock::Clock;
use crate::base::ids::{AccountId, KeyId};

/// How often a node says that it is there, and how soon after a failure it asks again.
const HEARTBEAT: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(200);
/// A node not heard of for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Corrections that go out together.
const BATCH: usize = 256;
/// Corrections that wait for Redis. Those beyond are dropped: their holds lapse, and the books know.
const WAITING: usize = 16_384;
/// For so long after Redis last refused to count, limits are told of as not shared.
const REFUSAL_REMEMBERED: Duration = Duration::from_secs(60);

/// What all workers of a node share to count limits through Redis.
#[derive(Clone)]
pub struct SharedCounters(Arc<Link>);

struct Link {
    place: RedisServer,
    clock: Clock,
    take: Script,
    /// Redis answered when it was last asked.
    up: AtomicBool,
    /// Until when it is told that Redis, though it answers, does not count for everybody (ms).
    refusing_until: AtomicI64,
    /// The local count holds something.
    alone: AtomicBool,
    /// Corrections are being dropped.
    flooded: AtomicBool,
    /// Nodes that were there when it was last known.
    nodes: AtomicU64,
    /// Counts while Redis is away.
    local: LocalQuota,
    corrections: mpsc::Sender<Passed>,
}

/// What is passed on to Redis.
enum Passed {
    Settled(Box<Settled>),
    /// Asks to be told once all before it is there.
    Mark(oneshot::Sender<()>),
}

impl fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

/// A settlement on its way to Redis.
struct Settled {
    terms: Terms,
    hold: String,
    correction: Correction,
}

fn keys(account: &AccountId) -> (String, String) {
    (format!("optimux:{{{account}}}:gauges"), format!("optimux:{{{account}}}:holds"))
}

/// How a hold is named among the holds: it says what it holds, for when it lapses.
fn hold_name(hold: &str, terms: &Terms, amount: &super::RequestAmount) -> String {
    let held = |limits: Option<&Limits>| {
        let credits = limits.filter(|limits| limits.credits.is_some());
        let spend = limits.filter(|limits| limits.spend.is_some());
        (credits.map_or(0, |_| amount.credits.0), spend.map_or(0, |_| amount.spend.0))
    };
    let (credits, spend) = held(Some(&terms.limits));
    let (key_credits, key_spend) = held(terms.key_limits.as_ref());
    format!("{hold}|{}|{credits}|{spend}|{key_credits}|{key_spend}", terms.family)
}

impl SharedCounters {
    /// Opens the link and starts its heartbeat; Redis need not be there yet.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn open(url: &str, clock: Clock) -> RedisResult<Self> {
        let (corrections, settled) = mpsc::channel(WAITING);
        let shared = Self(Arc::new(Link {
            place: RedisServer::of(url)?,
            clock,
            take: Script::new(include_str!("take.lua")),
            up: AtomicBool::new(true),
            refusing_until: AtomicI64::new(0),
            alone: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            nodes: AtomicU64::new(1),
            local: LocalQuota::default(),
            corrections,
        }));
        // Both only keep Redis up to date: the books do not depend on them.
        tokio::spawn(heartbeat(shared.clone()));
        tokio::spawn(settling(shared.clone(), settled));
        Ok(shared)
    }

    /// Whether Redis counts for every account.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_there() && self.0.refusing_until.load(Ordering::Relaxed) < self.0.clock.now().0
    }

    /// Settlements that are still to be passed on.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.corrections.max_capacity() - self.0.corrections.capacity()
    }

    fn is_there(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    /// Waits until what has been settled so far is in Redis, if it is there at all.
    pub async fn flush(&self) {
        let (told, done) = oneshot::channel();
        let passing = async {
            if self.0.corrections.send(Passed::Mark(told)).await.is_ok() {
                // It ends with whoever passes things on.
                let _ended = done.await;
            }
        };
        let _late = tokio::time::timeout(PATIENCE * 4, passing).await;
    }

    fn failed(&self, why: &RedisError) {
        if is_refusal(why) { self.refused(why) } else { self.lost(why) }
    }

    fn lost(&self, why: &RedisError) {
        if self.0.up.swap(false, Ordering::AcqRel) {
            // What others charged meanwhile is not in a purse that was filled some outage ago.
            self.0.local.forget_money();
            tracing::error!(%why, "Redis is away: limits are counted by each node for itself");
        }
    }

    /// Redis is there, and does not count for an account: which one is counted here.
    fn refused(&self, why: &RedisError) {
        let now = self.0.clock.now().0;
        let until = now + i64::try_from(REFUSAL_REMEMBERED.as_millis()).unwrap_or(0);
        if self.0.refusing_until.swap(until, Ordering::Relaxed) < now {
            tracing::error!(
                %why,
                "Redis answers, and does not count: the limits of accounts for which it says so \
                 are counted by each node for itself"
            );
        }
    }

    fn found(&self, nodes: u64) {
        self.0.nodes.store(nodes.max(1), Ordering::Release);
        if !self.0.up.swap(true, Ordering::AcqRel) {
            tracing::warn!(nodes, "Redis is back: limits are counted together again");
        }
    }

    /// Redis has counted for an account: what was counted here for it is no longer needed.
    fn counted(&self, account: &AccountId) {
        if self.0.alone.load(Ordering::Acquire) && self.0.local.forget(account) {
            self.0.alone.store(false, Ordering::Release);
        }
    }
}

async fn heartbeat(shared: SharedCounters) {
    let node = uuid::Uuid::now_v7().simple().to_string();
    let mut connection = None;
    loop {
        let beat = async {
            if connection.is_none() {
                connection = Some(Connection::open(&shared.0.place).await?);
            }
            let Some(link) = connection.as_mut() else { return Ok(1) };
            let now = shared.0.clock.now();
            let gone = now.0.saturating_sub(i64::try_from(SILENCE.as_millis()).unwrap_or(0));
            let (nodes,): (u64,) = redis::pipe()
                .zadd("optimux:nodes", &node, now.0)
                .ignore()
                .zrembyscore("optimux:nodes", "-inf", gone)
                .ignore()
                .zcard("optimux:nodes")
                .query_async(link)
                .await?;
            Ok::<u64, RedisError>(nodes)
        };
        match beat.await {
            Ok(nodes) => {
                shared.found(nodes);
                tokio::time::sleep(HEARTBEAT).await;
            }
            Err(why) => {
                connection = None;
                shared.lost(&why);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Waits while Redis is away.
async fn there(shared: &SharedCounters) {
    while !shared.is_there() {
        tokio::time::sleep(RETRY).await;
    }
}

/// Passes settlements on, many at a time.
async fn settling(shared: SharedCounters, mut settled: mpsc::Receiver<Passed>) {
    let script = Script::new(include_str!("settle.lua"));
    let mut connection = None;
    let mut batch = Vec::new();
    while settled.recv_many(&mut batch, BATCH).await > 0 {
        there(&shared).await;
        let passing = async {
            if connection.is_none() {
                let mut link = Connection::open(&shared.0.place).await?;
                let _loaded: String = script.prepare_invoke().load_async(&mut link).await?;
                connection = Some(link);
            }
            let Some(link) = connection.as_ref() else { return Ok(()) };
            pass(&script, link, &batch).await
        };
        match passing.await {
            Ok(()) => shared.0.flooded.store(false, Ordering::Relaxed),
            // What was held lapses by itself; what was charged is in the books, which Redis is told
            // of again when it has forgotten.
            Err(why) => {
                connection = None;
                shared.failed(&why);
            }
        }
        for one in batch.drain(..) {
            if let Passed::Mark(told) = one {
                // Whoever asked may have stopped waiting.
                let _gone = told.send(());
            }
        }
    }
}

async fn pass(script: &Script, link: &Connection, batch: &[Passed]) -> RedisResult<()> {
    let all = batch.iter().filter_map(|one| match one {
        Passed::Settled(one) => Some(settlement(script, one)),
        Passed::Mark(_) => None,
    });
    if link.takes_all_at_once() {
        let mut pipe = redis::pipe();
        let mut empty = true;
        for call in all {
            pipe.invoke_script(&call).ignore();
            empty = false;
        }
        return if empty { Ok(()) } else { pipe.query_async(&mut link.clone()).await };
    }
    // Accounts are at different nodes.
    let each = all.map(|call| async move { call.invoke_async::<i64>(&mut link.clone()).await });
    try_join_all(each).await.map(|_| ())
}

fn settlement<'a>(script: &'a Script, settled: &Settled) -> ScriptInvocation<'a> {
    let Settled { terms, hold, correction } = settled;
    let (gauges, holds) = keys(&terms.account);
    let mut call = script.key(gauges);
    call.key(holds)
        .arg(hold)
        .arg(correction.period.0)
        .arg(correction.charged.credits.0)
        .arg(correction.charged.spend.0)
        .arg(correction.tokens());
    let key = terms.key_limits.as_ref().map(|limits| (terms.family.as_str(), limits));
    for (prefix, limits) in [("a", &terms.limits)].into_iter().chain(key) {
        call.arg(prefix)
            .arg(i64::from(limits.credits.is_some()))
            .arg(i64::from(limits.spend.is_some()))
            .arg(i64::from(limits.tokens_per_minute.is_some()))
            .arg(correction.held.credits.0)
            .arg(correction.held.spend.0);
    }
    call
}

/// One worker's client of Redis for quotas.
#[derive(Clone)]
pub struct RedisQuota {
    shared: SharedCounters,
    connection: Rc<RefCell<Option<Connection>>>,
}

impl fmt::Debug for RedisQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl RedisQuota {
    #[must_use]
    pub fn new(shared: SharedCounters) -> Self {
        Self { shared, connection: Rc::default() }
    }

    /// Takes all of it or nothing.
    pub async fn take(&self, ask: &QuotaRequest<'_>) -> QuotaDecision {
        if self.shared.is_there() {
            match self.ask(ask).await {
                Ok(taken) => {
                    self.shared.counted(&ask.terms.account);
                    return taken;
                }
                Err(why) => self.shared.failed(&why),
            }
        }
        self.alone(ask)
    }

    /// Decides without Redis.
    fn alone(&self, ask: &QuotaRequest<'_>) -> QuotaDecision {
        let nodes = self.shared.0.nodes.load(Ordering::Acquire);
        let terms = Terms {
            limits: shared_out(&ask.terms.limits, nodes),
            key_limits: ask.terms.key_limits.as_ref().map(|limits| shared_out(limits, nodes)),
            ..ask.terms.clone()
        };
        let taken = self.shared.0.local.take(&QuotaRequest { terms: &terms, ..*ask });
        self.shared.0.alone.store(true, Ordering::Release);
        taken
    }

    async fn ask(&self, ask: &QuotaRequest<'_>) -> RedisResult<QuotaDecision> {
        let call = question(&self.shared.0.take, ask);
        let known = self.connection.borrow().clone();
        if let Some(mut link) = known {
            match call.invoke_async::<Vec<i64>>(&mut link).await {
                Ok(told) => return Ok(understood(&told, ask)),
                Err(why) => {
                    *self.connection.borrow_mut() = None;
                    // What may have been carried out is not asked for twice; a connection that
                    // was found closed is opened anew.
                    if why.is_timeout() || !why.is_io_error() {
                        return Err(why);
                    }
                }
            }
        }
        let mut link = Connection::open(&self.shared.0.place).await?;
        *self.connection.borrow_mut() = Some(link.clone());
        let told: Vec<i64> = call.invoke_async(&mut link).await?;
        Ok(understood(&told, ask))
    }

    /// Passes on what a hold came to.
    pub fn settle(&self, terms: &Terms, hold: &str, correction: Correction) {
        let hold = hold_name(hold, terms, &correction.held);
        let link = &self.shared.0;
        // While Redis is away the local count is the one that matters.
        link.local.settle(terms, &correction);
        let settled = Settled { terms: terms.clone(), hold, correction };
        let passed = link.corrections.try_send(Passed::Settled(Box::new(settled)));
        if passed.is_err() && !link.flooded.swap(true, Ordering::Relaxed) {
            tracing::error!(waiting = WAITING, "settlements no longer reach Redis in time");
        }
    }
}

fn question<'a>(script: &'a Script, ask: &QuotaRequest<'_>) -> ScriptInvocation<'a> {
    let (gauges, holds) = keys(&ask.terms.account);
    let hold = if ask.hold.is_empty() {
        String::new()
    } else {
        hold_name(ask.hold, ask.terms, &ask.amount)
    };
    let mut call = script.key(gauges);
    call.key(holds)
        .arg(ask.now.at.0)
        .arg(ask.now.period.0)
        .arg(day(ask.now.at))
        .arg(hold)
        .arg(ask.lapses.0)
        .arg(ask.amount.requests)
        .arg(ask.amount.tokens)
        .arg(ask.amount.images)
        .arg(ask.amount.credits.0)
        .arg(ask.amount.spend.0);
    let limit =
        |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let key = ask.terms.key_limits.as_ref();
    let scopes = [
        Some(("a", &ask.terms.limits, ask.books.map(|books| books.account))),
        key.map(|limits| (ask.terms.family.as_str(), limits, ask.books.map(|books| books.key))),
    ];
    for (prefix, limits, used) in scopes.into_iter().flatten() {
        let seed = |amount: Option<i64>| amount.map_or(String::new(), |amount| amount.to_string());
        call.arg(prefix)
            .arg(limit(limits.requests_per_minute))
            .arg(limit(limits.requests_per_day))
            .arg(limit(limits.tokens_per_minute))
            .arg(limit(limits.images_per_minute))
            .arg(limits.credits.map_or(-1, |credits| credits.0.max(0)))
            .arg(limits.spend.map_or(-1, |spend| spend.0.max(0)))
            .arg(seed(used.map(|used| used.credits.0)))
            .arg(seed(used.map(|used| used.spend.0)));
    }
    call
}

/// What the script's numbers mean.
fn understood(told: &[i64], ask: &QuotaRequest<'_>) -> QuotaDecision {
    let at = |index: usize| told.get(index).copied().unwrap_or(0);
    if at(0) == 2 {
        return QuotaDecision::Blank;
    }
    let rate = |first: usize| Rate { level: at(first), at_ms: at(first + 1) };
    let gauges = Gauges {
        requests: rate(4),
        requests_day: DailyCount { day: at(7), count: u64::try_from(at(6)).unwrap_or(0) },
        tokens: rate(8),
        images: rate(10),
        ..Gauges::default()
    };
    let standing = gauges.standing(&ask.terms.limits, ask.now.at);
    if at(0) == 0 {
        return QuotaDecision::Yes(standing);
    }
    let index = usize::try_from(at(1) - 1).unwrap_or(0);
    let limit = Limit::ALL.get(index).copied().unwrap_or(Limit::Requests);
    let wait = Duration::from_millis(u64::try_from(at(3)).unwrap_or(0));
    QuotaDecision::No(LimitReached { limit, of_key: at(2) == 1, wait }, standing)
}

impl SharedCounters {
    /// Whether Redis answers, and lets the script that counts run.
    ///
    /// # Errors
    /// When it does not.
    pub async fn prove(&self) -> RedisResult<()> {
        let mut link = Connection::open(&self.0.place).await?;
        let terms = Terms {
            account: AccountId::stored("check"),
            key: KeyId::stored("check"),
            family: KeyId::stored("check"),
            limits: Limits::default(),
            key_limits: None,
        };
        let ask = QuotaRequest {
            terms: &terms,
            amount: super::RequestAmount::default(),
            now: super::Now::at(self.0.clock.now()),
            hold: "",
            lapses: self.0.clock.now(),
            books: None,
        };
        let told: RedisResult<Vec<i64>> =
            question(&self.0.take, &ask).invoke_async(&mut link).await;
        told.map(|_| ())
    }
}
