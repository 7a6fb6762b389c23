//! Processes that are killed under load, and many processes on one key: what callers saw complete
//! is charged once, and nothing else is.
//!
//! `CRASHES` says how often something is killed; `tests/crash` runs it for long.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use optimux::ledger::{Outcome, Settlement};
use optimux::store::Store;
use serde_json::{Value, json};

use crate::house::{Gateway, Provider, chain, client, eventually, good, respond, runtime};
use crate::servers::{Postgres, Redis, SmallDisk};

/// Callers at once.
const CALLERS: usize = 12;
const ROOMY: &str = "
[plans.roomy]
requests_per_minute = 10000000
credits_per_month = 100000000
";

fn crashes() -> usize {
    std::env::var("CRASHES").ok().and_then(|number| number.parse().ok()).unwrap_or(5)
}

/// What callers saw.
#[derive(Default)]
struct Seen {
    complete: Vec<String>,
    /// They have the beginning of an answer, or its name, and not its end.
    cut: HashSet<String>,
    /// They never heard of it again.
    unheard: u64,
    refused: Vec<String>,
    /// The longest that anybody waited, and for what.
    longest: (Duration, &'static str),
}

/// One request after another, plain and streamed in turn, until told to stop.
async fn call(
    base: String,
    key: String,
    caller: usize,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
) {
    let client = client();
    let mut number = caller;
    while !stop.load(Ordering::Acquire) {
        number += 1;
        let stream = number.is_multiple_of(2);
        let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]});
        let began = Instant::now();
        let sent = client
            .post(format!("{base}/v1/chat/completions"))
            .bearer_auth(&key)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await;
        let Ok(reply) = sent else {
            {
                let mut seen = seen.lock().unwrap();
                seen.longest = seen.longest.max((began.elapsed(), "unheard"));
                seen.unheard += 1;
            }
            // Nobody listens: not as fast as that.
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        let status = reply.status().as_u16();
        // What a process says that waits for a disk has no number.
        let id = reply.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        let whole = reply.bytes().await;
        let mut seen = seen.lock().unwrap();
        let ended = if whole.is_err() { "cut" } else { "answered" };
        seen.longest = seen.longest.max((began.elapsed(), ended));
        let Some(id) = id else {
            seen.refused.push(format!("{status} without a number"));
            continue;
        };
        match whole {
            Ok(bytes) if status == 200 => {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let ended = if stream { text.contains("[DONE]") } else { text.ends_with('}') };
                let failed = text.contains("\"error\":");
                if ended && !failed {
                    seen.complete.push(id);
                } else {
                    seen.cut.insert(id);
                }
            }
            Ok(bytes) => seen.refused.push(format!("{status} {}", String::from_utf8_lossy(&bytes))),
            Err(_) => {
                seen.cut.insert(id);
            }
        }
    }
}

/// Every line of the books.
fn books(url: &str) -> Vec<Settlement> {
    runtime().block_on(async {
        let store = Store::open(url, tokio::runtime::Handle::current()).await.unwrap();
        let (pages, _) = store
            .read_books(Vec::new(), |pages: &mut Vec<String>, page| pages.push(page.body))
            .await
            .unwrap();
        pages
            .iter()
            .flat_map(|page| page.lines())
            .map(|line| Settlement::read(line.as_bytes()).unwrap())
            .collect()
    })
}

/// Two providers, the first of which often fails.
fn providers() -> (Provider, Provider) {
    let flaky = Provider::start(|socket, request, number| match number % 5 {
        0 => respond(socket, 500, "", "application/json", br#"{"error":{"message":"down"}}"#),
        1 => respond(socket, 429, "", "application/json", br#"{"error":{"message":"busy"}}"#),
        _ => good("Hello")(socket, request, number),
    });
    (flaky, Provider::start(good("Hello")))
}

/// Something that can be killed while the gateway is asked.
enum Victim {
    Gateway,
    Redis,
    Postgres,
}

fn survives(redis: Option<Redis>, postgres: Option<Postgres>) {
    survives_with(redis, postgres, None);
}

/// The same with a journal of this durability, and with the SQLite file, if it is one, on a disk that
/// fills up and is freed again.
fn survives_with(
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    disk: Option<(SmallDisk, &str)>,
) {
    let (mut redis, mut postgres) = (redis, postgres);
    let (flaky, steady) = providers();
    let mut config = String::new();
    if let Some(redis) = &redis {
        write!(config, "[redis]\nurl = \"{}\"\n", redis.url).unwrap();
    }
    if let Some(postgres) = &postgres {
        write!(config, "[store]\nurl = \"{}\"\n", postgres.url).unwrap();
    }
    if let Some((disk, durability)) = &disk {
        let folder = disk.folder.display();
        if postgres.is_none() {
            write!(config, "[store]\nurl = \"sqlite://{folder}/books.db\"\n").unwrap();
        }
        write!(config, "[ledger]\nfolder = \"{folder}/journal\"\ndurability = \"{durability}\"\n")
            .unwrap();
    }
    let mut gateway = Gateway::start(&format!("{config}{ROOMY}{}", chain(&[&flaky, &steady])));
    let (_, key) = gateway.account("crash", "roomy", &json!({}));
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            runtime().spawn(call(gateway.base.clone(), key.clone(), caller, stop, seen))
        })
        .collect();
    let mut dice = fastrand::Rng::with_seed(7);
    let mut victims = vec![Victim::Gateway];
    if redis.is_some() {
        victims.push(Victim::Redis);
    }
    if postgres.is_some() {
        victims.push(Victim::Postgres);
    }
    for turn in 0..crashes() {
        // Some answers first, then at a moment that nobody chose.
        let before = seen.lock().unwrap().complete.len();
        eventually("answers come", || seen.lock().unwrap().complete.len() > before + 20);
        std::thread::sleep(Duration::from_micros(dice.u64(0..50_000)));
        if let Some((disk, _)) = &disk
            && dice.bool()
        {
            disk.fill();
            std::thread::sleep(Duration::from_micros(dice.u64(0..1_500_000)));
            if dice.bool() {
                // It dies while its disk is full, and starts on it.
                gateway.kill();
                gateway.start_unready();
                std::thread::sleep(Duration::from_micros(dice.u64(0..500_000)));
            }
            disk.free();
            eventually("there is room again", || gateway.is_ready());
        }
        match &victims[turn % victims.len()] {
            Victim::Gateway => {
                gateway.kill();
                gateway.start_again();
            }
            Victim::Redis => {
                redis.as_mut().unwrap().kill();
                std::thread::sleep(Duration::from_micros(dice.u64(0..300_000)));
                redis.as_mut().unwrap().start_again();
            }
            Victim::Postgres => {
                postgres.as_mut().unwrap().kill();
                std::thread::sleep(Duration::from_micros(dice.u64(0..300_000)));
                postgres.as_mut().unwrap().start_again();
            }
        }
    }
    stop.store(true, Ordering::Release);
    for caller in callers {
        runtime().block_on(caller).unwrap();
    }
    let usage = gateway.get("/v1/usage", &key).json();
    gateway.ask_to_stop();
    gateway.has_stopped();
    let proof: Value =
        serde_json::from_str(&gateway.command(&["ledger", "verify", "--json"])).unwrap();
    assert_eq!(proof["ok"], true, "{proof}");

    let url = postgres.as_ref().map_or_else(
        || match &disk {
            Some((disk, _)) => format!("sqlite://{}/books.db", disk.folder.display()),
            None => format!("sqlite://{}", gateway.folder.join("optimux.db").display()),
        },
        |postgres| postgres.url.clone(),
    );
    let mut lines: HashMap<String, Settlement> = HashMap::new();
    let (withdrawn, settled): (Vec<Settlement>, Vec<Settlement>) =
        books(&url).into_iter().partition(|line| line.outcome == Outcome::Withdrawn);
    for line in settled {
        assert!(lines.insert(line.id.as_str().to_owned(), line).is_none(), "settled twice");
    }
    for line in &withdrawn {
        let known = lines.get_mut(line.id.as_str()).unwrap();
        known.credits = known.credits.plus(line.credits);
    }
    let seen = seen.lock().unwrap();
    let complete: HashSet<&String> = seen.complete.iter().collect();
    assert_eq!(complete.len(), seen.complete.len());
    for id in &seen.complete {
        let line = lines.get(id).unwrap_or_else(|| panic!("{id} was complete and is not charged"));
        assert_eq!((line.outcome, line.credits.0), (Outcome::Complete, 1), "{id}");
    }
    // What else was charged was cut off on its way: the caller may have had all but the end.
    let others = lines.values().filter(|line| !complete.contains(&line.id.as_str().to_owned()));
    let charged: Vec<&Settlement> = others.filter(|line| line.credits.0 > 0).collect();
    let most = seen.cut.len() as u64 + seen.unheard.min((crashes() * CALLERS) as u64);
    assert!(charged.len() as u64 <= most, "{} charged, {most} cut off", charged.len());
    let credits: i64 = lines.values().map(|line| line.credits.0).sum();
    assert_eq!(usage["credits_used"], credits, "{usage}");
    eprintln!(
        "{} {}: {} crashes: {} complete, {} cut, {} unheard, {} charged beside, {} taken back, the \
         longest {:?}, {} refused: {:?}",
        if postgres.is_some() { "postgresql" } else { "sqlite" },
        disk.as_ref().map_or("process", |(_, durability)| durability),
        crashes(),
        seen.complete.len(),
        seen.cut.len(),
        seen.unheard,
        charged.len(),
        withdrawn.len(),
        seen.longest,
        seen.refused.len(),
        seen.refused.iter().collect::<BTreeSet<_>>()
    );
    assert!(seen.complete.len() > 20 * crashes());
    assert!(seen.longest.0 < Duration::from_secs(10), "{:?}", seen.longest);
}

/// A disk that holds the books of a few thousand requests, and no more.
const SMALL: u64 = 64 << 20;

/// `tests/crash` runs these: they take minutes.
fn full_disks(postgres: bool) {
    for durability in ["process", "power", "store"] {
        let disk = SmallDisk::mount(&format!("storm-{durability}"), SMALL);
        let server = if postgres { Postgres::start() } else { None };
        match disk {
            Some(disk) if server.is_some() == postgres => {
                survives_with(None, server, Some((disk, durability)));
            }
            _ => eprintln!("skipped full_disks: no disk can be mounted, or a server is missing"),
        }
    }
}

#[test]
#[ignore = "minutes long; tests/crash runs it"]
fn a_disk_that_fills_up_charges_once_on_sqlite() {
    full_disks(false);
}

#[test]
#[ignore = "minutes long; tests/crash runs it"]
fn a_disk_that_fills_up_charges_once_on_postgresql() {
    full_disks(true);
}

#[test]
fn a_killed_gateway_charges_once() {
    survives(None, None);
}

#[test]
fn killed_redis_and_postgresql_lose_no_charge() {
    match (Redis::start(), Postgres::start()) {
        (Some(redis), Some(postgres)) => survives(Some(redis), Some(postgres)),
        _ => eprintln!("skipped killed_redis_and_postgresql_lose_no_charge: a server is missing"),
    }
}

/// Nodes are stopped and started again one after the other: no answer is cut, and no charge lost.
#[test]
fn a_rolling_restart_loses_nothing() {
    let (Some(redis), Some(postgres)) = (Redis::start(), Postgres::start()) else {
        eprintln!("skipped a_rolling_restart_loses_nothing: a server is missing here");
        return;
    };
    let (flaky, steady) = providers();
    let config = format!(
        "[redis]\nurl = \"{}\"\n[store]\nurl = \"{}\"\n{ROOMY}{}",
        redis.url,
        postgres.url,
        chain(&[&flaky, &steady])
    );
    let mut nodes = [Gateway::start(&config), Gateway::start(&config)];
    let (_, key) = nodes[0].account("rolling", "roomy", &json!({}));
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            let base = nodes[caller % 2].base.clone();
            runtime().spawn(call(base, key.clone(), caller, stop, seen))
        })
        .collect();
    for turn in 0..4 {
        let before = seen.lock().unwrap().complete.len();
        eventually("answers come", || seen.lock().unwrap().complete.len() > before + 30);
        let node = &mut nodes[turn % 2];
        node.ask_to_stop();
        node.has_stopped();
        node.start_again();
    }
    stop.store(true, Ordering::Release);
    for caller in callers {
        runtime().block_on(caller).unwrap();
    }
    let seen = seen.lock().unwrap();
    assert!(seen.cut.is_empty(), "{:?} were cut", seen.cut);
    assert!(seen.refused.is_empty(), "{:?}", seen.refused);
    for node in &nodes {
        eventually("the books know every answer and no other", || {
            node.get("/v1/usage", &key).json()["credits_used"] == seen.complete.len()
        });
    }
    let proof = nodes[0].admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
}

/// Many nodes and many callers on one key: exactly the plan, no more and no less.
#[test]
fn four_nodes_hold_a_key_to_its_plan() {
    let (Some(redis), Some(postgres)) = (Redis::start(), Postgres::start()) else {
        eprintln!("skipped four_nodes_hold_a_key_to_its_plan: a server is missing here");
        return;
    };
    let steady = Provider::start(good("Hello"));
    let config = format!(
        "[redis]\nurl = \"{}\"\n[store]\nurl = \"{}\"\n\
         [plans.counted]\ncredits_per_month = 300\n[plans.timed]\nrequests_per_minute = 300\n{}",
        redis.url,
        postgres.url,
        chain(&[&steady])
    );
    // All at once: their migrations must not get into each other's way.
    let nodes: Vec<Gateway> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|_| scope.spawn(|| Gateway::start(&config))).collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    });
    let (_, counted) = nodes[0].account("counted", "counted", &json!({}));
    let (_, timed) = nodes[0].account("timed", "timed", &json!({}));

    let (statuses, _) = storm(&nodes, &counted, 600);
    assert_eq!(statuses.get(&200), Some(&300), "{statuses:?}");
    assert_eq!(statuses.get(&402), Some(&300), "{statuses:?}");
    for node in &nodes {
        eventually("every node says the same", || {
            node.get("/v1/usage", &counted).json()["credits_used"] == 300
        });
    }
    let (statuses, lasted) = storm(&nodes, &timed, 900);
    let passed = statuses[&200];
    // A burst of the limit, and what leaks meanwhile: five each second.
    let leaked = u64::try_from(lasted.as_millis()).unwrap() * 5 / 1_000;
    assert!(passed >= 300 && passed <= 300 + leaked + 1, "{passed} in {lasted:?}");
    assert_eq!(statuses.values().sum::<u64>(), 900, "{statuses:?}");
}

/// Processes that share a folder and its SQLite file may start at once, each with a file of its own
/// in the journal.
#[test]
fn nodes_may_share_a_folder() {
    let steady = Provider::start(good("Hello"));
    let folder = std::env::temp_dir().join(format!("optimux-shared-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = format!(
        "[store]\nurl = \"sqlite://{0}/books.db\"\n[ledger]\nfolder = \"{0}/journal\"\n{1}",
        folder.display(),
        chain(&[&steady])
    );
    let nodes: Vec<Gateway> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|_| scope.spawn(|| Gateway::start(&config))).collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    });
    let (_, key) = nodes[0].account("a", "enterprise", &json!({}));
    let (statuses, _) = storm(&nodes, &key, 200);
    assert_eq!(statuses.get(&200), Some(&200), "{statuses:?}");
    eventually("all of it is in the books", || {
        nodes[3].get("/v1/usage", &key).json()["credits_used"] == 200
    });
    let proof = nodes[1].admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
    drop(nodes);
    std::fs::remove_dir_all(folder).unwrap();
}

/// So many requests from 200 callers, spread over the nodes.
fn storm(nodes: &[Gateway], key: &str, requests: u64) -> (BTreeMap<u16, u64>, Duration) {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..200)
        .map(|caller| {
            let (next, key) = (Arc::clone(&next), key.to_owned());
            let base = nodes[caller % nodes.len()].base.clone();
            runtime().spawn(async move {
                let client = client();
                let mut statuses = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < requests {
                    let body =
                        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
                    let reply = client
                        .post(format!("{base}/v1/chat/completions"))
                        .bearer_auth(&key)
                        .header("content-type", "application/json")
                        .body(body.to_string())
                        .send()
                        .await
                        .unwrap();
                    statuses.push(reply.status().as_u16());
                    reply.bytes().await.unwrap();
                }
                statuses
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for caller in callers {
        for status in runtime().block_on(caller).unwrap() {
            *all.entry(status).or_insert(0) += 1;
        }
    }
    (all, began.elapsed())
}
