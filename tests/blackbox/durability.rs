//! Disks that fill up, stores that go away: what cannot be made safe in time is refused and costs
//! nothing, nothing hangs, and all of it passes without a restart.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{Gateway, Provider, Reply, chain, eventually, good};
use crate::servers::{Postgres, SmallDisk};

const DURABILITIES: [&str; 3] = ["process", "power", "store"];
const ROOMY: &str =
    "[plans.roomy]\nrequests_per_minute = 10000000\ncredits_per_month = 100000000\n";

fn ask(gateway: &Gateway, key: &str, stream: bool) -> Reply {
    let body =
        json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]});
    gateway.post("/v1/chat/completions", key, body.to_string())
}

/// The caller has the whole answer.
fn is_complete(reply: &Reply, stream: bool) -> bool {
    let text = reply.text();
    let ended = if stream { text.contains("[DONE]") } else { text.ends_with('}') };
    reply.status == 200 && ended && !text.contains("\"error\":")
}

/// Books and journal on a disk that fills up and is freed again, while requests come.
fn fills_up(durability: &str) {
    let Some(disk) = SmallDisk::mount(durability, 8 << 20) else {
        eprintln!("skipped fills_up: nothing can be mounted here");
        return;
    };
    let provider = Provider::start(good("Hello"));
    let mut gateway = Gateway::start(&format!(
        "[store]\nurl = \"sqlite://{0}/books.db\"\n\
         [ledger]\nfolder = \"{0}/journal\"\ndurability = \"{durability}\"\n{ROOMY}{1}",
        disk.folder.display(),
        chain(&[&provider]).replace("\"3s\"", "\"600ms\""),
    ));
    let (_, key) = gateway.account("full", "roomy", &json!({}));
    let mut complete = 0;
    let mut asked = |gateway: &Gateway, stream: bool| {
        let began = Instant::now();
        let reply = ask(gateway, &key, stream);
        let lasted = began.elapsed();
        assert!(lasted < Duration::from_secs(3), "{durability}: {lasted:?}");
        let whole = is_complete(&reply, stream);
        complete += i64::from(whole);
        assert!(
            whole || reply.status == 503 || reply.text().contains("\"error\""),
            "{}",
            reply.text()
        );
        whole
    };
    assert!(asked(&gateway, false) && asked(&gateway, true));

    disk.fill();
    // The first may find room in what SQLite has already; then nobody is answered any more.
    eventually("requests are refused", || !asked(&gateway, false));
    eventually("streams are cut off or refused", || !asked(&gateway, true));
    eventually("a probe sees it", || gateway.get("/readyz", "").status == 503);
    let asked_before = provider.count();
    assert!(!asked(&gateway, false), "{durability}");
    assert_eq!(provider.count(), asked_before, "no provider is asked for what cannot be kept");
    let (began, ticks) = (Instant::now(), gateway.ticks());
    std::thread::sleep(Duration::from_millis(400));
    let spent = u128::from(gateway.ticks() - ticks) * 10;
    assert!(spent * 2 < began.elapsed().as_millis(), "{durability}: {spent} ms of spinning");

    disk.free();
    eventually("a probe sees that there is room", || gateway.is_ready());
    eventually("requests are answered", || asked(&gateway, false) && asked(&gateway, true));
    assert!(!gateway.account("after", "roomy", &json!({})).1.is_empty());
    let charged =
        || gateway.get("/v1/usage", &key).json()["credits_used"].as_i64().unwrap_or_default();
    eventually("what was delivered is charged", || charged() == complete);

    gateway.ask_to_stop();
    gateway.has_stopped();
    let proof: Value =
        serde_json::from_str(&gateway.command(&["ledger", "verify", "--json"])).unwrap();
    assert_eq!(proof["ok"], true, "{durability}: {proof}");
    assert_eq!(proof["credits_used"], complete, "{durability}: {proof}");

    // It starts on a full disk, refuses, and recovers.
    disk.fill();
    gateway.start_unready();
    eventually("the process is there", || gateway.get("/healthz", "").status == 200);
    assert_eq!(gateway.get("/readyz", "").status, 503);
    assert_eq!(ask(&gateway, &key, false).status, 503);
    // Whoever asks meanwhile is answered by one or the other: nobody's connection is dropped on the way.
    let (gone_on, began) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|callers| {
        for _ in 0..4 {
            callers.spawn(|| {
                while !gone_on.load(Ordering::Acquire) && began.elapsed().as_secs() < 60 {
                    let status = ask(&gateway, &key, false).status;
                    assert!(matches!(status, 200 | 503), "{durability}: {status}");
                }
            });
        }
        disk.free();
        eventually("it goes on", || gateway.is_ready());
        assert!(is_complete(&ask(&gateway, &key, false), false));
        gone_on.store(true, Ordering::Release);
    });
}

#[test]
fn a_full_disk_refuses_and_recovers_when_the_process_is_enough() {
    fills_up(DURABILITIES[0]);
}

#[test]
fn a_full_disk_refuses_and_recovers_when_power_may_fail() {
    fills_up(DURABILITIES[1]);
}

#[test]
fn a_full_disk_refuses_and_recovers_when_the_store_has_to_have_it() {
    fills_up(DURABILITIES[2]);
}

/// PostgreSQL goes away: known callers go on where the journal is enough, and are refused in time
/// where the store has to have it; unknown ones are refused at once.
#[test]
fn a_store_that_is_away_keeps_nobody_waiting() {
    let Some(mut postgres) = Postgres::start() else {
        eprintln!("skipped a_store_that_is_away_keeps_nobody_waiting: PostgreSQL is missing here");
        return;
    };
    let provider = Provider::start(good("Hello"));
    let gateways = ["process", "store"].map(|durability| {
        Gateway::start(&format!(
            "[store]\nurl = \"{}\"\n[ledger]\ndurability = \"{durability}\"\n{ROOMY}{}",
            postgres.url,
            chain(&[&provider]).replace("\"3s\"", "\"600ms\""),
        ))
    });
    let (_, key) = gateways[0].account("away", "roomy", &json!({}));
    for gateway in &gateways {
        assert!(is_complete(&ask(gateway, &key, false), false));
    }
    postgres.kill();
    let (process, store) = (&gateways[0], &gateways[1]);
    let mut complete = 2;
    let mut timed = |gateway: &Gateway, key: &str| {
        let began = Instant::now();
        let reply = ask(gateway, key, false);
        let lasted = began.elapsed();
        assert!(lasted < Duration::from_secs(2), "{lasted:?}: {}", reply.text());
        complete += i64::from(reply.status == 200);
        reply
    };
    assert_eq!(timed(store, &key).status, 503);
    assert_eq!(timed(process, &key).status, 200);
    let stranger = format!("sk-optimux-{}", "x".repeat(43));
    eventually("an unknown key is refused at once", || {
        let began = Instant::now();
        let reply = timed(process, &stranger);
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(!reply.header("retry-after").is_empty());
        began.elapsed() < Duration::from_millis(100)
    });
    postgres.start_again();
    eventually("it is known to be back", || {
        timed(store, &key).status == 200 && timed(process, &stranger).status == 401
    });
    for gateway in &gateways {
        eventually("what was answered is charged, and no more", || {
            gateway.get("/v1/usage", &key).json()["credits_used"].as_i64() == Some(complete)
        });
    }
    let proof = process.admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
}
