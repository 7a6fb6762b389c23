//! The doors of people: how many may come in from one place, and that no answer, by its words or by how
//! long it takes, tells who is here.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::console::Tab;
use crate::house::{Gateway, Provider, Reply, chain, client, good, send};
use crate::mail::mailing;
use crate::servers::Smtp;
use crate::signin::member;

const PASSWORD: &str = "correct horse battery staple";
const TRIES: u32 = 50;

/// From somewhere else each time.
fn post_from(gateway: &Gateway, place: &str, path: &str, body: &Value) -> Reply {
    let request = client().post(format!("{}{path}", gateway.base));
    send(request.header("x-forwarded-for", place).body(body.to_string()))
}

#[test]
fn twelve_people_from_twelve_places_sign_up_and_a_sixth_from_one_waits() {
    let gateway = Gateway::start("[signin]\nregister = \"free\"\nbehind_proxy = true\n");
    let register = |number: u32, place: &str| {
        let said = json!({"email": format!("p{number}@example.com"), "password": PASSWORD});
        post_from(&gateway, place, "/api/auth/register", &said)
    };
    for number in 0..12 {
        let made = register(number, &format!("203.0.113.{number}"));
        assert_eq!(made.status, 200, "{number}: {}", made.text());
    }
    for number in 12..17 {
        assert_eq!(register(number, "198.51.100.7").status, 200, "{number}");
    }
    let sixth = register(17, "198.51.100.7");
    assert_eq!(sixth.status, 429, "{}", sixth.text());
    let wait: u64 = sixth.header("retry-after").parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    assert_eq!(register(18, "198.51.100.8").status, 200, "and nobody else does");
}

/// With providers' keys there is a set-up code, too, and nobody else may sign up.
#[test]
fn a_gateway_with_real_providers_is_set_up_by_its_code() {
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&format!("[admin]\n{}", chain(&[&provider])));
    let log = gateway.log();
    let at = log.find("/setup?code=").unwrap_or_else(|| panic!("no code: {log}"));
    let path = log[at..].split_whitespace().next().unwrap().to_owned();
    let code = path.split('=').nth(1).unwrap().to_owned();
    let tab = Tab::of(&gateway);
    let fields = [("code", code.as_str()), ("email", "root@example.com"), ("password", PASSWORD)];
    let made = tab.fill(&path, "/setup", &fields);
    let key = made.secret("secret");
    let asked = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    let answered = gateway.post("/v1/chat/completions", &key, asked.to_string());
    assert_eq!((answered.status, answered.said()), (200, "Hello".to_owned()));
    assert_eq!(Tab::of(&gateway).get("/signup").status(), 403);
}

/// The middle of how long something takes, for each of two that are asked in turns: what else the machine
/// does falls on both.
fn medians(mut one: impl FnMut(u32), mut other: impl FnMut(u32)) -> (Duration, Duration) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    let time = |work: &mut dyn FnMut(u32), number: u32| {
        let began = Instant::now();
        work(number);
        began.elapsed()
    };
    for number in 0..TRIES {
        ones.push(time(&mut one, number));
        others.push(time(&mut other, number));
    }
    ones.sort_unstable();
    others.sort_unstable();
    let middle = (TRIES / 2) as usize;
    (ones[middle], others[middle])
}

#[test]
fn no_answer_and_no_time_tells_who_is_here() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "[signin]\nregister = \"pro\"\nbehind_proxy = true\n");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    // Somebody is written to five times an hour: ten of them are asked for.
    for number in 0..10 {
        member(&gateway, &account, &format!("ann{number}@example.com"), "member");
    }
    let mut place = 0_u32;
    let mut ask = |path: &str, body: Value| {
        place += 1;
        let place = format!("10.1.{}.{}", place / 200, place % 200);
        post_from(&gateway, &place, path, &body)
    };
    let known = |number: u32| format!("ann{}@example.com", number % 10);
    let unknown = |number: u32| format!("nobody{}@example.com", number % 10);
    for (path, more) in [
        ("/api/auth/login", json!({"password": "quite another password"})),
        ("/api/auth/register", json!({"password": PASSWORD})),
        ("/api/auth/forgot", json!({})),
    ] {
        let answers = std::cell::RefCell::new(Vec::new());
        let try_one = |email: String, ask: &mut dyn FnMut(&str, Value) -> Reply| {
            let mut said = more.clone();
            said["email"] = json!(email);
            let reply = ask(path, said);
            answers.borrow_mut().push((reply.status, reply.text()));
        };
        let ask = std::cell::RefCell::new(&mut ask);
        let (here, nowhere) = medians(
            |number| try_one(known(number), &mut **ask.borrow_mut()),
            |number| try_one(unknown(number), &mut **ask.borrow_mut()),
        );
        let mut answers = answers.into_inner();
        answers.dedup();
        assert_eq!(answers.len(), 1, "{path}: {answers:?}");
        let apart = here.abs_diff(nowhere);
        // Two milliseconds are less than anybody can tell apart over a network.
        let most = (here.max(nowhere) / 5).max(Duration::from_millis(2));
        assert!(apart <= most, "{path}: {here:?} of who is here, {nowhere:?} of who is not");
    }
}
