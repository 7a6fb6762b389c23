//! Limits counted in Redis, so that any number of nodes holds an account to one plan: one script
//! and one round trip for all limits of a request together.
//!
//! Without Redis each node goes by itself, within its share of every rate: the plan's limit divided
//! by the nodes that were last seen. All nodes together let through at most one plan's worth beyond
//! what Redis had counted. A heartbeat finds Redis again, and its word then holds as before.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script, ScriptInvocation};
use tokio::sync::{mpsc, oneshot};

use super::gauge::{Daily, Rate};
use super::memory::shared_out;
use super::{Ask, Correction, Gauges, Limit, Limits, Memory, Refusal, Taken, Terms};
use crate::base::calendar::day;
use crate::base::clock::Clock;
use crate::base::ids::AccountId;

/// A limit that is not known by then is decided here.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a node says that it is there, and how soon after a failure it asks again.
const HEARTBEAT: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(200);
/// A node not heard of for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Corrections that go out together.
const BATCH: usize = 256;

/// What all workers of a node share.
#[derive(Clone)]
pub struct Shared(Arc<Link>);

struct Link {
    client: Client,
    clock: Clock,
    take: Script,
    /// Redis answered when it was last asked.
    up: AtomicBool,
    /// Nodes that were there when it was last known.
    nodes: AtomicU64,
    /// Counts while Redis is away.
    local: Memory,
    corrections: mpsc::UnboundedSender<Passed>,
}

/// What is passed on to Redis.
enum Passed {
    Settled(Box<Settled>),
    /// Asks to be told once all before it is there.
    Mark(oneshot::Sender<()>),
}

impl fmt::Debug for Shared {
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
fn hold_name(hold: &str, terms: &Terms, amount: &super::Amount) -> String {
    let held = |limits: Option<&Limits>| {
        let credits = limits.filter(|limits| limits.credits.is_some());
        let spend = limits.filter(|limits| limits.spend.is_some());
        (credits.map_or(0, |_| amount.credits.0), spend.map_or(0, |_| amount.spend.0))
    };
    let (credits, spend) = held(Some(&terms.limits));
    let (key_credits, key_spend) = held(terms.key_limits.as_ref());
    format!("{hold}|{}|{credits}|{spend}|{key_credits}|{key_spend}", terms.family)
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await
}

impl Shared {
    /// Opens the link and starts its heartbeat; Redis need not be there yet.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub fn open(url: &str, clock: Clock) -> RedisResult<Self> {
        let (corrections, settled) = mpsc::unbounded_channel();
        let shared = Self(Arc::new(Link {
            client: Client::open(url)?,
            clock,
            take: Script::new(include_str!("take.lua")),
            up: AtomicBool::new(true),
            nodes: AtomicU64::new(1),
            local: Memory::default(),
            corrections,
        }));
        // Both only keep Redis up to date: the books do not depend on them.
        tokio::spawn(heartbeat(shared.clone()));
        tokio::spawn(settling(shared.clone(), settled));
        Ok(shared)
    }

    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    /// Waits until what has been settled so far is in Redis, if it is there at all.
    pub async fn flush(&self) {
        let (told, done) = oneshot::channel();
        if self.0.corrections.send(Passed::Mark(told)).is_ok() {
            // It ends with whoever passes things on.
            let _ended = tokio::time::timeout(PATIENCE * 4, done).await;
        }
    }

    fn lost(&self, why: &RedisError) {
        if self.0.up.swap(false, Ordering::AcqRel) {
            tracing::error!(%why, "Redis is away: limits are counted by each node for itself");
        }
    }

    fn found(&self, nodes: u64) {
        self.0.nodes.store(nodes.max(1), Ordering::Release);
        if !self.0.up.swap(true, Ordering::AcqRel) {
            self.0.local.clear();
            tracing::warn!(nodes, "Redis is back: limits are counted together again");
        }
    }
}

async fn heartbeat(shared: Shared) {
    let node = uuid::Uuid::now_v7().simple().to_string();
    let mut connection = None;
    loop {
        let beat = async {
            if connection.is_none() {
                connection = Some(connect(&shared.0.client).await?);
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

/// Passes settlements on, many at a time.
async fn settling(shared: Shared, mut settled: mpsc::UnboundedReceiver<Passed>) {
    let script = Script::new(include_str!("settle.lua"));
    let mut connection = None;
    let mut batch = Vec::new();
    while settled.recv_many(&mut batch, BATCH).await > 0 {
        let passing = async {
            if connection.is_none() {
                let mut link = connect(&shared.0.client).await?;
                let _hash: String = script.prepare_invoke().load_async(&mut link).await?;
                connection = Some(link);
            }
            let Some(link) = connection.as_mut() else { return Ok(()) };
            let mut pipe = redis::pipe();
            let mut empty = true;
            for one in &batch {
                if let Passed::Settled(one) = one {
                    pipe.invoke_script(&settlement(&script, one)).ignore();
                    empty = false;
                }
            }
            if empty { Ok(()) } else { pipe.query_async::<()>(link).await }
        };
        if let Err(why) = passing.await {
            // What was held lapses by itself; what was charged is in the books, which Redis is told
            // of again when it has forgotten.
            connection = None;
            shared.lost(&why);
        }
        for one in batch.drain(..) {
            if let Passed::Mark(told) = one {
                // Whoever asked may have stopped waiting.
                let _gone = told.send(());
            }
        }
    }
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

/// One worker's way to Redis.
#[derive(Clone)]
pub struct Redis {
    shared: Shared,
    connection: Rc<RefCell<Option<MultiplexedConnection>>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl Redis {
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self { shared, connection: Rc::default() }
    }

    /// Takes all of it or nothing.
    pub async fn take(&self, ask: &Ask<'_>) -> Taken {
        if self.shared.is_up() {
            match self.ask(ask).await {
                Ok(taken) => return taken,
                Err(why) => self.shared.lost(&why),
            }
        }
        self.alone(ask)
    }

    /// Decides without Redis.
    fn alone(&self, ask: &Ask<'_>) -> Taken {
        let nodes = self.shared.0.nodes.load(Ordering::Acquire);
        let terms = Terms {
            limits: shared_out(&ask.terms.limits, nodes),
            key_limits: ask.terms.key_limits.as_ref().map(|limits| shared_out(limits, nodes)),
            ..ask.terms.clone()
        };
        self.shared.0.local.take(&Ask { terms: &terms, ..*ask })
    }

    async fn ask(&self, ask: &Ask<'_>) -> RedisResult<Taken> {
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
        let mut link = connect(&self.shared.0.client).await?;
        *self.connection.borrow_mut() = Some(link.clone());
        let told: Vec<i64> = call.invoke_async(&mut link).await?;
        Ok(understood(&told, ask))
    }

    /// Passes on what a hold came to.
    pub fn settle(&self, terms: &Terms, hold: &str, correction: Correction) {
        let hold = hold_name(hold, terms, &correction.held);
        // While Redis is away the local count is the one that matters.
        self.shared.0.local.settle(terms, &correction);
        let settled = Settled { terms: terms.clone(), hold, correction };
        if self.shared.0.corrections.send(Passed::Settled(Box::new(settled))).is_err() {
            tracing::error!("settlements no longer reach Redis");
        }
    }
}

fn question<'a>(script: &'a Script, ask: &Ask<'_>) -> ScriptInvocation<'a> {
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
fn understood(told: &[i64], ask: &Ask<'_>) -> Taken {
    let at = |index: usize| told.get(index).copied().unwrap_or(0);
    if at(0) == 2 {
        return Taken::Blank;
    }
    let rate = |first: usize| Rate { level: at(first), at_ms: at(first + 1) };
    let gauges = Gauges {
        requests: rate(4),
        requests_day: Daily { day: at(7), count: u64::try_from(at(6)).unwrap_or(0) },
        tokens: rate(8),
        images: rate(10),
        ..Gauges::default()
    };
    let standing = gauges.standing(&ask.terms.limits, ask.now.at);
    if at(0) == 0 {
        return Taken::Yes(standing);
    }
    let index = usize::try_from(at(1) - 1).unwrap_or(0);
    let limit = Limit::ALL.get(index).copied().unwrap_or(Limit::Requests);
    let wait = Duration::from_millis(u64::try_from(at(3)).unwrap_or(0));
    Taken::No(Refusal { limit, of_key: at(2) == 1, wait }, standing)
}

impl Shared {
    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> RedisResult<()> {
        let mut link = connect(&self.0.client).await?;
        redis::cmd("PING").query_async(&mut link).await
    }
}
