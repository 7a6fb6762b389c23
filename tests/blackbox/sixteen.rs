//! The sixteen faults of failoverbench as it plays them: streams of 60 words at 15 ms each, one fallback
//! model, 30 s for the first byte and of silence; twenty rounds in a row, on one node and on two.
//! `tests/failover` runs them and prints what was measured.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::house::{
    Gateway, KEY, Provider, Received, Reply, STREAM_HEAD, chunk, client, delta, end_chunks,
    respond, send,
};

const WORDS: usize = 60;
const ROUNDS: usize = 20;
/// Rounds that are played side by side: more, and it is the machine that is measured.
const LANES: usize = 2;
/// The one that takes a minute and a half, most of it waiting: all its rounds are played at once.
const LONG: usize = 15;

fn word(number: usize) -> String {
    format!("word{number} ")
}

fn all_words() -> String {
    (0..WORDS).map(word).collect()
}

fn announce(socket: &mut TcpStream) {
    let _gone = socket.write_all(STREAM_HEAD.as_bytes());
    chunk(socket, &delta("m", &json!({"role": "assistant", "content": ""}), None));
}

fn say(socket: &mut TcpStream, words: std::ops::Range<usize>) {
    for number in words {
        std::thread::sleep(Duration::from_millis(15));
        chunk(socket, &delta("m", &json!({"content": word(number)}), None));
    }
}

fn conclude(socket: &mut TcpStream, done: bool) {
    chunk(socket, &delta("m", &json!({}), Some("stop")));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": WORDS, "total_tokens": 70});
    let last = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage});
    chunk(socket, format!("data: {last}\n\n").as_bytes());
    if done {
        chunk(socket, b"data: [DONE]\n\n");
    }
    end_chunks(socket);
}

fn well(socket: &mut TcpStream) {
    announce(socket);
    say(socket, 0..WORDS);
    conclude(socket, true);
}

fn refuse(socket: &mut TcpStream, status: u16, extra: &str, code: &str) {
    let kind = if status == 400 { "invalid_request_error" } else { "server_error" };
    let body = json!({"error": {"message": "no", "type": kind, "code": code}});
    respond(socket, status, extra, "application/json", body.to_string().as_bytes());
}

fn ends_with_assistant(request: &Received) -> bool {
    let messages = request.json()["messages"].clone();
    messages.as_array().and_then(|all| all.last()).is_some_and(|last| last["role"] == "assistant")
}

/// What the provider of the first model does, by the request's number.
fn play(fault: usize, socket: &mut TcpStream, number: usize, began: Instant) {
    let seconds = |seconds| std::thread::sleep(Duration::from_secs(seconds));
    match (fault, number) {
        (1, 0) => refuse(socket, 429, "retry-after: 2\r\n", "rate_limit_exceeded"),
        (2, _) => refuse(socket, 429, "retry-after: 1\r\n", "rate_limit_exceeded"),
        (3, 0) => refuse(socket, 500, "", "server_error"),
        (4 | 16, _) => refuse(socket, 503, "", "overloaded"),
        (5, 0) => {
            let _gone = socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
        }
        (6, _) => seconds(120),
        (7, _) => {
            let _gone = socket.write_all(STREAM_HEAD.as_bytes());
            seconds(20);
            say(socket, 0..WORDS);
            conclude(socket, true);
        }
        (8 | 14, _) => {
            announce(socket);
            say(socket, 0..40);
            let _gone = socket.shutdown(Shutdown::Both);
        }
        (9, _) => {
            announce(socket);
            say(socket, 0..20);
            seconds(30);
        }
        (10, _) => {
            announce(socket);
            say(socket, 0..10);
            chunk(socket, b"data: {\"choices\": [{\"delta\": {\"con\n\n");
            say(socket, 11..WORDS);
            conclude(socket, true);
        }
        (11, _) => {
            announce(socket);
            say(socket, 0..WORDS);
            conclude(socket, false);
        }
        (12, _) => refuse(socket, 400, "", "context_length_exceeded"),
        (13, _) => refuse(socket, 400, "", "content_policy_violation"),
        (15, _) if began.elapsed() < Duration::from_secs(60) => {
            refuse(socket, 503, "", "overloaded");
        }
        _ => well(socket),
    }
}

struct First {
    fault: usize,
    provider: Provider,
    /// When it was asked.
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl First {
    fn of(fault: usize, began: Instant) -> Self {
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let times = Arc::clone(&asked);
        let provider = Provider::start(move |socket, request, number| {
            // Whether it is there is asked without a caller, and costs nothing.
            if request.head.starts_with("GET ") {
                return respond(socket, 404, "", "application/json", b"{}");
            }
            times.lock().unwrap().push(Instant::now());
            play(fault, socket, number, began);
        });
        Self { fault, provider, asked }
    }

    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }
}

struct Round {
    nodes: Vec<Gateway>,
    firsts: Vec<First>,
    next: AtomicUsize,
    began: Instant,
}

impl Round {
    /// A model for each of these faults, by its place among them.
    fn start(nodes: usize, faults: impl Iterator<Item = usize>) -> Self {
        let began = Instant::now();
        let firsts: Vec<First> = faults.map(|fault| First::of(fault, began)).collect();
        let spare = Provider::start(|socket, request, _| {
            if ends_with_assistant(request) {
                refuse(socket, 400, "", "prefill_not_supported");
            } else {
                well(socket);
            }
        });
        let mut config = format!(
            "[server]\nrequest_timeout = \"110s\"\n[upstream]\nfirst_byte_timeout = \"30s\"\n\
             idle_timeout = \"30s\"\n[providers.spare]\nbase_url = \"{}/v1\"\nfacts = {{ prefill = true }}\n\
             [[models]]\nid = \"spare\"\ndeployments = [{{ provider = \"spare\", model = \"m\" }}]\n",
            spare.base
        );
        let mut routes = String::from("[routes.fallback]\n");
        for (place, first) in firsts.iter().enumerate() {
            let _infallible = write!(
                config,
                "[providers.s{place}]\nbase_url = \"{}/v1\"\n[[models]]\nid = \"s{place}\"\n\
                 deployments = [{{ provider = \"s{place}\", model = \"m\" }}]\n",
                first.provider.base
            );
            let _infallible = writeln!(routes, "s{place} = [\"spare\"]");
        }
        let config = config + &routes;
        // As it is shipped.
        let probes = [("OPTIMUX_UPSTREAM__PROBES", "true")];
        let nodes = (0..nodes).map(|_| Gateway::start_with(&config, &probes)).collect();
        Self { nodes, firsts, next: AtomicUsize::new(0), began }
    }

    fn ask(&self, place: usize, rescue: &str) -> (Reply, Duration) {
        // One for all: making one takes longer than some of the faults.
        static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
        let node = self.next.fetch_add(1, Ordering::Relaxed) % self.nodes.len();
        let body = json!({
            "model": format!("s{place}"), "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "Say sixty words."}],
        });
        let address = format!("{}/v1/chat/completions", self.nodes[node].base);
        let began = Instant::now();
        let request = CLIENT
            .get_or_init(client)
            .post(address)
            .bearer_auth(KEY)
            .timeout(Duration::from_secs(120));
        let reply = send(request.header("x-optimux-rescue", rescue).body(body.to_string()));
        (reply, began.elapsed())
    }

    /// # Errors
    /// What keeps it from being a pass.
    fn played(&self, place: usize) -> Result<Duration, String> {
        let fault = self.firsts[place].fault;
        if fault == LONG {
            return self.back_in_time(place);
        }
        let (reply, took) = self.ask(place, "replay");
        let asked = self.firsts[place].asked();
        let early = |within: f64| {
            let until = Duration::from_secs_f64(within);
            asked.iter().filter(|at| at.duration_since(asked[0]) < until).count()
        };
        let same = reply.header("x-optimux-model") == format!("s{place}");
        let most = |limit: u64| took < Duration::from_secs(limit);
        let whole = || whole(&reply);
        let must = |good: bool, what: &str| if good { Ok(()) } else { Err(what.to_owned()) };
        match fault {
            1 => {
                whole()?;
                must(same, "another model")?;
                let wait = asked.get(1).map(|at| at.duration_since(asked[0]));
                must(wait >= Some(Duration::from_millis(1_800)), "asked again too soon")?;
                must(early(1.5) <= 2, "asked too often")?;
            }
            2 => {
                whole()?;
                must(early(3.0) <= 4 && asked.len() <= 6 && most(40), "asked too often")?;
            }
            3 => {
                whole()?;
                must(same, "another model")?;
            }
            4 => {
                whole()?;
                must(asked.len() <= 6, "asked too often")?;
            }
            6 => {
                whole()?;
                must(most(100) && asked.len() == 1, "too late, or asked twice")?;
            }
            7 => {
                whole()?;
                must(most(15), "too late")?;
            }
            9 => {
                whole()?;
                must(most(45), "too late")?;
            }
            10 => {
                let missing = all_words().replace(&word(10), "");
                must(reply.said() == missing || reply.said() == all_words(), "words are missing")?;
                must(ended(&reply), "no end")?;
            }
            11 => {
                whole()?;
                must(most(8), "too late")?;
            }
            12 => {
                must(asked.len() == 1, "asked twice")?;
                must(whole().is_ok() || reply.status == 400, "neither an answer nor an error")?;
            }
            13 => {
                must(asked.len() == 1 && reply.status == 400, "not one clear error")?;
                must(reply.json()["error"]["message"].is_string(), "no error")?;
            }
            14 => {
                whole()?;
                // Who has it given to a model that refuses it is not told so.
                let (given, _) = self.ask(place, "continue");
                must(!given.text().contains("prefill"), "what the other refused is shown")?;
                must(!ended(&given) || given.said() == all_words(), "cut, and told to be whole")?;
            }
            16 => {
                whole()?;
                must(!same, "the first model is named")?;
                let model = reply.events().first().map(|event| event["model"].clone());
                must(model == Some(json!("spare")), "the answer names another model")?;
            }
            _ => whole()?,
        }
        Ok(took)
    }

    /// S15: twenty requests, one every four seconds, while the provider is down for sixty.
    fn back_in_time(&self, place: usize) -> Result<Duration, String> {
        let mut back = None;
        for number in 0..24_u32 {
            // Not all at once.
            let due = Duration::from_secs(4) * number
                + Duration::from_millis(190) * u32::try_from(place).unwrap();
            std::thread::sleep(due.saturating_sub(self.began.elapsed()));
            let (reply, _) = self.ask(place, "replay");
            whole(&reply).map_err(|why| format!("request {number}: {why}"))?;
            if reply.header("x-optimux-model") == format!("s{place}") {
                back.get_or_insert(self.began.elapsed());
            }
        }
        let late = back.ok_or("it was not used again")?.saturating_sub(Duration::from_secs(60));
        if late > Duration::from_secs(30) { Err(format!("{late:?} late")) } else { Ok(late) }
    }
}

fn ended(reply: &Reply) -> bool {
    reply.whole && reply.text().trim_end().ends_with("data: [DONE]")
}

/// All words, a proper end, and what was used.
fn whole(reply: &Reply) -> Result<(), String> {
    if reply.status != 200 {
        return Err(format!("status {}", reply.status));
    }
    if reply.said() != all_words() || !ended(reply) {
        return Err("not whole".to_owned());
    }
    let used = reply.events().iter().any(|event| event["usage"]["completion_tokens"] == WORDS);
    if used { Ok(()) } else { Err("no usage".to_owned()) }
}

/// What became of each fault in every round.
type Card = Vec<Vec<Result<Duration, String>>>;

/// Plays all faults of a round at once, and writes down what became of them.
fn play_all(round: &Round, card: &Mutex<Card>) {
    std::thread::scope(|scope| {
        for (place, first) in round.firsts.iter().enumerate() {
            scope.spawn(move || {
                let outcome = round.played(place);
                card.lock().unwrap()[first.fault - 1].push(outcome);
            });
        }
    });
}

fn rounds(nodes: usize) -> Card {
    let card: Mutex<Card> = Mutex::new(vec![Vec::new(); 16]);
    let left = AtomicUsize::new(ROUNDS);
    std::thread::scope(|scope| {
        let (card, left) = (&card, &left);
        scope
            .spawn(move || play_all(&Round::start(nodes, std::iter::repeat_n(LONG, ROUNDS)), card));
        for _ in 0..LANES {
            scope.spawn(move || {
                let more = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok() {
                    let short = (1..=16).filter(|fault| *fault != LONG);
                    play_all(&Round::start(nodes, short), card);
                }
            });
        }
    });
    card.into_inner().unwrap()
}

fn told(nodes: usize) {
    let card = rounds(nodes);
    let mut page = format!("{ROUNDS} rounds on {nodes} node(s)\n");
    let mut failed = 0;
    for (fault, outcomes) in card.iter().enumerate() {
        let passed: Vec<f64> = outcomes.iter().flatten().map(Duration::as_secs_f64).collect();
        let (least, most) = passed
            .iter()
            .fold((f64::MAX, 0.0_f64), |(least, most), one| (least.min(*one), most.max(*one)));
        failed += outcomes.len() - passed.len();
        let _infallible = write!(
            page,
            "S{:02}  {:2} of {} pass, {least:.1} to {most:.1} s",
            fault + 1,
            passed.len(),
            outcomes.len()
        );
        for why in outcomes.iter().filter_map(|one| one.as_ref().err()) {
            let _infallible = write!(page, "; {why}");
        }
        page.push('\n');
    }
    eprintln!("{page}");
    assert_eq!(failed, 0, "{page}");
}

#[test]
#[ignore = "minutes long; tests/failover runs it"]
fn sixteen_faults_twenty_rounds_on_one_node() {
    told(1);
}

#[test]
#[ignore = "minutes long; tests/failover runs it"]
fn sixteen_faults_twenty_rounds_on_two_nodes() {
    told(2);
}
