//! Limits, taken apart from HTTP: in process and in Redis the same, and the books whole however
//! holds, settlements and crashes fall.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use optimux::base::calendar::Period;
use optimux::base::clock::{Clock, Timestamp};
use optimux::base::ids::{AccountId, KeyId, RequestId};
use optimux::base::money::{Credits, Nanos};
use optimux::catalogue::{Catalogue, Pictures, Sources, builtin, load};
use optimux::ledger::verify::verify;
use optimux::ledger::{
    AuxiliaryPricer, Basis, Counter, Delivered, Durability, Hold, Journal, Outcome, Outset,
    Selling, Tariff, Tokens,
};
use optimux::quota::{
    self, BookedUsage, Correction, Limits, LocalQuota, Now, PeriodUsage, Quota, QuotaDecision,
    QuotaRequest, RequestAmount, Terms,
};
use optimux::store::{AllowanceOf, Store};
use optimux::telemetry::access::AccessLog;
use optimux::telemetry::metrics::Metrics;
use optimux::telemetry::trails::Trails;
use proptest::prelude::*;

use crate::house::runtime;
use crate::servers::{Redis, RedisCluster, RedisSentinels};

fn fresh(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{name}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One step of a trace.
#[derive(Debug, Clone)]
enum Act {
    Wait(i64),
    Take(RequestAmount),
    /// Settles one of those that are held, with so much.
    Settle {
        which: usize,
        credits: i64,
        spend: i64,
        tokens: u64,
    },
}

fn amount() -> impl Strategy<Value = RequestAmount> {
    (0..3_u64, 0..400_u64, 0..3_u64, 0..3_i64, 0..2_000_i64).prop_map(
        |(requests, tokens, images, credits, spend)| RequestAmount {
            requests,
            tokens,
            images,
            credits: Credits(credits),
            spend: Nanos(spend),
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => prop_oneof![0..50_i64, 0..20_000_i64, Just(86_400_000)].prop_map(Act::Wait),
        6 => amount().prop_map(Act::Take),
        3 => (0..8_usize, 0..3_i64, 0..2_000_i64, 0..900_u64).prop_map(
            |(which, credits, spend, tokens)| Act::Settle { which, credits, spend, tokens }
        ),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = |most: u64| proptest::option::of(0..most);
    (
        rate(12),
        rate(15),
        rate(1_500),
        rate(4),
        proptest::option::of(0..20_i64),
        proptest::option::of(0..20_000_i64),
    )
        .prop_map(|(minute, day, tokens, images, credits, spend)| Limits {
            requests_per_minute: minute,
            requests_per_day: day,
            tokens_per_minute: tokens,
            images_per_minute: images,
            credits: credits.map(Credits),
            spend: spend.map(Nanos),
        })
}

/// Plays a trace; what every step came to.
async fn play(
    quota: &Quota,
    shared: Option<&quota::SharedCounters>,
    terms: &Terms,
    acts: &[Act],
) -> Vec<QuotaDecision> {
    let mut at = Timestamp(1_775_000_000_000);
    let mut held: Vec<(String, RequestAmount)> = Vec::new();
    let mut told = Vec::new();
    for (number, act) in acts.iter().enumerate() {
        match act {
            Act::Wait(ms) => at = Timestamp(at.0 + ms),
            Act::Take(amount) => {
                let hold = format!("hold_{number}");
                let mut ask = QuotaRequest {
                    terms,
                    amount: *amount,
                    now: Now::at(at),
                    hold: &hold,
                    lapses: Timestamp(i64::MAX / 1_000_000),
                    books: None,
                };
                let mut taken = quota.take(&ask).await;
                if taken == QuotaDecision::Blank {
                    told.push(taken);
                    let used = PeriodUsage { credits: Credits(1), spend: Nanos(10) };
                    ask.books = Some(BookedUsage { account: used, key: used });
                    taken = quota.take(&ask).await;
                }
                if matches!(taken, QuotaDecision::Yes(_)) {
                    held.push((hold, *amount));
                }
                told.push(taken);
            }
            Act::Settle { which, credits, spend, tokens } => {
                if held.is_empty() {
                    continue;
                }
                let (hold, amount) = held.remove(which % held.len());
                let correction = Correction {
                    period: Period::of(at),
                    held: amount,
                    charged: PeriodUsage { credits: Credits(*credits), spend: Nanos(*spend) },
                    used_tokens: *tokens,
                };
                quota.settle(terms, &hold, correction);
                if let Some(shared) = shared {
                    shared.flush().await;
                }
            }
        }
    }
    told
}

#[test]
fn redis_decides_as_this_process_does() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped redis_decides_as_this_process_does: no redis-server here");
        return;
    };
    let guard = runtime().enter();
    let shared = quota::SharedCounters::open(&redis.url, Clock::System).unwrap();
    drop(guard);
    let strategy =
        (limits(), proptest::option::of(limits()), proptest::collection::vec(act(), 1..60));
    let mut config = ProptestConfig::with_cases(200);
    config.failure_persistence = None;
    proptest!(config, |((limits, key_limits, acts) in strategy)| {
        let terms = Terms {
            account: AccountId::stored(&fresh("acct")),
            key: KeyId::stored("key_one"),
            family: KeyId::stored("key_one"),
            limits,
            key_limits,
        };
        let here = Quota::Local(LocalQuota::default());
        let there = Quota::Shared(quota::RedisQuota::new(shared.clone()));
        let (here, there) = runtime().block_on(async {
            (
                play(&here, None, &terms, &acts).await,
                play(&there, Some(&shared), &terms, &acts).await,
            )
        });
        prop_assert!(shared.is_up());
        prop_assert_eq!(here, there);
    });
}

/// What a node took that is gone is given back in time.
#[test]
fn a_hold_that_nobody_settles_lapses() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped a_hold_that_nobody_settles_lapses: no redis-server here");
        return;
    };
    let guard = runtime().enter();
    let shared = quota::SharedCounters::open(&redis.url, Clock::System).unwrap();
    drop(guard);
    let quota = Quota::Shared(quota::RedisQuota::new(shared));
    let limits = Limits { credits: Some(Credits(1)), ..Limits::default() };
    let terms = Terms { limits: limits.clone(), key_limits: Some(limits), ..terms() };
    let take = |hold: &str, at: i64| {
        let at = Timestamp(1_775_000_000_000 + at);
        let amount = RequestAmount { credits: Credits(1), ..RequestAmount::default() };
        let lapses = Timestamp(at.0 + 1_000);
        let books = Some(BookedUsage::default());
        let ask = QuotaRequest { terms: &terms, amount, now: Now::at(at), hold, lapses, books };
        matches!(runtime().block_on(quota.take(&ask)), QuotaDecision::Yes(_))
    };
    assert!(take("one", 0));
    assert!(!take("two", 500));
    assert!(take("three", 1_500));
    assert!(!take("four", 1_600));
}

/// Takes single requests of an account; how many of `tries` were let through.
fn let_through(quota: &Quota, account: &str, per_minute: u64, tries: usize) -> usize {
    let limits = Limits { requests_per_minute: Some(per_minute), ..Limits::default() };
    let terms = Terms { account: AccountId::stored(account), limits, ..terms() };
    let now = Now::at(Timestamp(1_775_000_000_000));
    let amount = RequestAmount { requests: 1, ..RequestAmount::default() };
    let lapses = Timestamp(i64::MAX / 1_000_000);
    let ask = QuotaRequest { terms: &terms, amount, now, hold: "", lapses, books: None };
    let taken = (0..tries).map(|_| runtime().block_on(quota.take(&ask)));
    taken.filter(|taken| matches!(taken, QuotaDecision::Yes(_))).count()
}

#[test]
fn nodes_count_together_in_a_cluster_whatever_slot_an_account_has() {
    let Some(cluster) = RedisCluster::start() else {
        eprintln!("skipped nodes_count_together_in_a_cluster: no redis-server here");
        return;
    };
    let guard = runtime().enter();
    let nodes = [(); 2].map(|()| quota::SharedCounters::open(&cluster.url, Clock::System).unwrap());
    drop(guard);
    runtime().block_on(nodes[0].prove()).unwrap();
    let quotas = nodes.clone().map(|node| Quota::Shared(quota::RedisQuota::new(node)));
    for number in 0..16 {
        let account = fresh(&format!("acct_{number}"));
        let through: usize = quotas.iter().map(|quota| let_through(quota, &account, 10, 8)).sum();
        assert_eq!(through, 10, "{account}");
    }
    // Settlements of many accounts go out together, to whichever node each belongs.
    let quota = &quotas[0];
    for number in 0..16 {
        let limits = Limits { credits: Some(Credits(1)), ..Limits::default() };
        let terms = Terms { account: AccountId::stored(&fresh("paid")), limits, ..terms() };
        let amount = RequestAmount { credits: Credits(1), ..RequestAmount::default() };
        let now = Now::at(Timestamp(1_775_000_000_000));
        let hold = format!("hold_{number}");
        let books = Some(BookedUsage::default());
        let ask = QuotaRequest {
            terms: &terms,
            amount,
            now,
            hold: &hold,
            lapses: Timestamp(i64::MAX / 1_000_000),
            books,
        };
        let take = || matches!(runtime().block_on(quota.take(&ask)), QuotaDecision::Yes(_));
        assert!(take() && !take());
        let correction = Correction {
            period: now.period,
            held: amount,
            charged: PeriodUsage::default(),
            used_tokens: 0,
        };
        quota.settle(&terms, &hold, correction);
        runtime().block_on(nodes[0].flush());
        assert!(take(), "what was held is given back");
    }
    assert!(nodes.iter().all(quota::SharedCounters::is_up));
}

#[test]
fn nodes_follow_their_sentinels_to_another_master() {
    let Some(mut watched) = RedisSentinels::start() else {
        eprintln!("skipped nodes_follow_their_sentinels: no redis-server here");
        return;
    };
    let guard = runtime().enter();
    let nodes = [(); 2].map(|()| quota::SharedCounters::open(&watched.url, Clock::System).unwrap());
    drop(guard);
    runtime().block_on(nodes[0].prove()).unwrap();
    let quotas = nodes.clone().map(|node| Quota::Shared(quota::RedisQuota::new(node)));
    let together = |account: &str| -> usize {
        quotas.iter().map(|quota| let_through(quota, account, 10, 8)).sum()
    };
    assert_eq!(together(&fresh("acct")), 10);
    watched.kill_master();
    crate::house::eventually("it is seen that the master is gone", || {
        together(&fresh("acct"));
        nodes.iter().all(|node| !node.is_up())
    });
    crate::house::eventually("the replica is the master, and counts for both", || {
        nodes.iter().all(quota::SharedCounters::is_up) && together(&fresh("acct")) == 10
    });
}

/// Whatever the reason: scripts are not allowed, the server writes no more, the key is elsewhere.
#[test]
fn what_redis_does_not_count_is_counted_here_and_not_forgotten() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped what_redis_does_not_count_is_counted_here: no redis-server here");
        return;
    };
    let guard = runtime().enter();
    let shared = quota::SharedCounters::open(&redis.url, Clock::System).unwrap();
    drop(guard);
    let quota = Quota::Shared(quota::RedisQuota::new(shared.clone()));
    let (one, other) = (fresh("acct"), fresh("acct"));
    assert_eq!(let_through(&quota, &one, 10, 4), 4);
    redis.command(&["ACL", "SETUSER", "default", "-@scripting"]);
    assert!(runtime().block_on(shared.prove()).is_err());
    // Over two heartbeats, which do succeed.
    let until = std::time::Instant::now() + Duration::from_millis(2_200);
    let (mut through, mut rounds) = (0, 0);
    while std::time::Instant::now() < until {
        through += let_through(&quota, &other, 10, 5);
        rounds += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(rounds > 10);
    assert_eq!(through, 10);
    assert!(!shared.is_up(), "it is told of as not shared");
    redis.command(&["ACL", "SETUSER", "default", "+@all"]);
    runtime().block_on(shared.prove()).unwrap();
    assert_eq!(let_through(&quota, &one, 10, 10), 6, "what Redis had counted counts again");
}

/// One step of a node's life.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take,
    Settle(usize),
    Fail(usize),
    Release(usize),
    /// The process is killed: what it held in memory is gone.
    Crash,
    /// The store is given time.
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Take),
        4 => (0..9_usize).prop_map(Step::Settle),
        1 => (0..9_usize).prop_map(Step::Fail),
        1 => (0..9_usize).prop_map(Step::Release),
        1 => Just(Step::Crash),
        1 => Just(Step::Flush),
    ]
}

const TOTAL: i64 = 20;

fn terms() -> Terms {
    Terms {
        account: AccountId::stored("acct_a"),
        key: KeyId::stored("key_a"),
        family: KeyId::stored("key_a"),
        limits: Limits { credits: Some(Credits(TOTAL)), ..Limits::default() },
        key_limits: None,
    }
}

/// A process: from its start to the moment it is killed.
struct Life {
    runtime: tokio::runtime::Runtime,
    store: Store,
    counter: Rc<Counter>,
    holds: Vec<Hold>,
}

impl Life {
    fn begin(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let url = format!("sqlite://{}", folder.join("books.db").display());
        let allowance: AllowanceOf = Arc::new(|_, _| Some(Credits(TOTAL)));
        let (store, journal) = runtime.block_on(async {
            let store = Store::open(&url, tokio::runtime::Handle::current()).await.unwrap();
            let journal = Journal::open(
                folder.join("journal"),
                Durability::Process,
                store.clone(),
                allowance,
            );
            (store.clone(), journal.await.unwrap())
        });
        let counter = Rc::new(Counter {
            quota: Quota::Local(LocalQuota::default()),
            journal,
            tariff: Arc::new(Tariff::default()),
            clock: Clock::System,
            patience: Duration::from_secs(10),
            trails: silent(),
            asides: AuxiliaryPricer::by(|_, _, _| Nanos(0)),
        });
        Self { runtime, store, counter, holds: Vec::new() }
    }

    fn take(&mut self) -> bool {
        let (terms, id) = (terms(), RequestId::fresh());
        let amount = RequestAmount { requests: 1, credits: Credits(1), ..RequestAmount::default() };
        let now = Now::at(Clock::System.now());
        let mut ask = QuotaRequest {
            terms: &terms,
            amount,
            now,
            hold: id.as_str(),
            lapses: Timestamp(i64::MAX),
            books: None,
        };
        let taken = self.runtime.block_on(async {
            let taken = self.counter.quota.take(&ask).await;
            if taken != QuotaDecision::Blank {
                return taken;
            }
            assert!(self.counter.journal.flush(Duration::from_secs(5)).await);
            let balances = self.store.balances(terms.account.clone()).await.unwrap();
            let used = balances.first().map_or(Credits(0), |balance| balance.used);
            ask.books = Some(BookedUsage {
                account: PeriodUsage { credits: used, spend: Nanos(0) },
                key: PeriodUsage::default(),
            });
            self.counter.quota.take(&ask).await
        });
        let QuotaDecision::Yes(standing) = taken else { return false };
        let outset = Outset {
            id,
            surface: "test".into(),
            asked: "gpt-4o".to_owned(),
            streamed: false,
            began: now.at,
            prompt_tokens: 1,
            selling: Selling::default(),
            decision: None,
            weighed: None,
        };
        let counter = Rc::clone(&self.counter);
        self.holds.push(Hold::open(counter, Arc::new(terms), outset, amount, standing));
        true
    }

    fn pick(&mut self, which: usize) -> Option<Hold> {
        (!self.holds.is_empty()).then(|| self.holds.swap_remove(which % self.holds.len()))
    }

    /// As a killed process: what is held goes with the memory that it was counted in, and nothing
    /// is flushed. All of it has to go, since the lock on the journal ends with the last of it.
    fn crash(self) {
        let Self { runtime, store, counter, holds } = self;
        drop((holds, counter, store));
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

fn catalogue() -> Catalogue {
    let keys = [("openai".to_owned(), vec![optimux::catalogue::ApiKey::new("k".into(), 1.0)])]
        .into_iter()
        .collect();
    load(Sources { files: builtin().unwrap(), keys, ..Sources::default() }).unwrap()
}

#[test]
fn the_books_balance_however_things_fall() {
    let catalogue = catalogue();
    let model = catalogue.model("gpt-4o").unwrap();
    let mut config = ProptestConfig::with_cases(24);
    config.failure_persistence = None;
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..80))| {
        let folder = std::env::temp_dir().join(fresh("optimux-books"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut life = Life::begin(&folder);
        let mut charged = 0;
        for step in steps {
            match step {
                Step::Take => {
                    let room = charged + i64::try_from(life.holds.len()).unwrap() < TOTAL;
                    prop_assert_eq!(life.take(), room);
                }
                Step::Settle(which) => {
                    if let Some(hold) = life.pick(which) {
                        let receipt = hold.settle(Delivered {
                            model,
                            deployment: &model.deployments[0],
                            outcome: Outcome::Complete,
                            tokens: Tokens { input: 10, output: 5, ..Tokens::default() },
                            asides: &[],
                            basis: Basis::Reported,
                            pictures: Pictures::default(),
                            attempts: 1,
                            tried: Vec::new(),
                            first_byte: Clock::System.now(),
                        });
                        life.runtime.block_on(receipt.safe()).unwrap();
                        charged += 1;
                    }
                }
                Step::Fail(which) => {
                    if let Some(hold) = life.pick(which) {
                        hold.fail(1, Vec::new());
                    }
                }
                Step::Release(which) => drop(life.pick(which)),
                Step::Crash => {
                    life.crash();
                    life = Life::begin(&folder);
                }
                Step::Flush => {
                    let flushed = life.counter.journal.flush(Duration::from_secs(5));
                    prop_assert!(life.runtime.block_on(flushed));
                }
            }
        }
        life.crash();
        let life = Life::begin(&folder);
        let (proof, balances) = life.runtime.block_on(async {
            let store = &life.store;
            (verify(store).await.unwrap(), store.balances(AccountId::stored("acct_a")).await.unwrap())
        });
        prop_assert!(proof.ok, "{:?}", proof.faults);
        let used: i64 = balances.iter().map(|balance| balance.used.0).sum();
        prop_assert_eq!(used, charged);
        life.crash();
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

/// Tells nobody of anything.
fn silent() -> Trails {
    let metrics = Metrics::new().unwrap();
    Trails::new(metrics.clone(), AccessLog::silent(&metrics), None)
}
