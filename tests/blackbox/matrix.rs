//! Every kind of model at its strict simulated provider, asked everything from every front door:
//! it is answered, and whatever did not arrive is named.
//!
//! ```text
//! cargo nextest run --no-capture -E 'test(whatever_is_asked)'
//! MATRIX=all …   every model, not one of each kind
//! MATRIX=gpt …   the models whose names hold the word
//! ```

mod kinds;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use optimux::base::clock::Clock;
use optimux::catalogue::{self, Auth, Facts, Mode, ProviderEntry, Sources};
use optimux::sim::{self, FactsIndex, Strictness};
use optimux::wire::vocab::{Dialect, Off};
use serde_json::{Value, json};

use super::house::{Gateway, KEY, client, runtime};
use kinds::{Kind, SAYS, Want};

/// How many requests are on their way at a time.
const AT_ONCE: usize = 48;

/// A model, and what is known of its first deployment.
struct Subject {
    name: String,
    facts: Arc<Facts>,
}

/// The catalogue's providers as they are, at the addresses of the simulated one.
fn patches(base: &str) -> BTreeMap<String, ProviderEntry> {
    let files = catalogue::builtin().unwrap();
    files
        .iter()
        .filter_map(|file| file.id.clone())
        .map(|id| {
            let base_url = Some(format!("{base}/at/{id}"));
            (id, ProviderEntry { base_url, auth: Some(Auth::None), ..ProviderEntry::default() })
        })
        .collect()
}

/// One model of each kind: those of which the same is known are asked the same.
fn subjects(patches: &BTreeMap<String, ProviderEntry>) -> Vec<Subject> {
    let files = catalogue::builtin().unwrap();
    let sources = Sources { files, providers: patches.clone(), ..Sources::default() };
    let catalogue = catalogue::load(sources).unwrap();
    let wanted = std::env::var("MATRIX").unwrap_or_default();
    let now = Clock::System.now();
    let mut seen = HashSet::new();
    let mut subjects = Vec::new();
    for model in catalogue.models().iter().filter(|model| model.mode == Mode::Chat) {
        let Some(first) = model.deployments.first().filter(|_| model.is_live(now)) else {
            continue;
        };
        let kind = format!(
            "{} {:?} {:?} {:?} {:?}",
            first.provider.id, first.protocols, first.facts, model.capabilities, model.input
        );
        let every = wanted == "all" || (!wanted.is_empty() && model.id.contains(&wanted));
        if every || (wanted.is_empty() && seen.insert(kind)) {
            subjects.push(Subject { name: model.id.to_string(), facts: Arc::clone(&first.facts) });
        }
    }
    subjects
}

/// What came of a request.
struct Outcome {
    status: u16,
    dropped: String,
    text: String,
    received: Vec<Value>,
}

async fn ask(
    http: &reqwest::Client,
    gateway: &str,
    sim: &str,
    subject: &Subject,
    kind: &Kind,
    streamed: bool,
    number: usize,
) -> Result<Outcome, reqwest::Error> {
    let marker = format!("marker{number}x");
    let text = kind.body.to_string().replace(SAYS, &format!("Say what {marker} is."));
    let mut body: Value = serde_json::from_str(&text).unwrap();
    let model = &subject.name;
    let path = match kind.front {
        Dialect::OpenAiChat => "/v1/chat/completions".to_owned(),
        Dialect::OpenAiResponses => "/v1/responses".to_owned(),
        Dialect::Anthropic => "/v1/messages".to_owned(),
        Dialect::Gemini if streamed => {
            format!("/v1beta/models/{model}:streamGenerateContent?alt=sse")
        }
        Dialect::Gemini => format!("/v1beta/models/{model}:generateContent"),
    };
    if kind.front != Dialect::Gemini {
        body["model"] = json!(model);
        if streamed {
            body["stream"] = json!(true);
        }
    }
    let request = http.post(format!("{gateway}{path}")).bearer_auth(KEY);
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await?;
    let status = response.status().as_u16();
    let header = response.headers().get("x-optimux-dropped");
    let dropped = header.map_or("", |value| value.to_str().unwrap()).to_owned();
    let text = response.text().await?;
    let heard = http.get(format!("{sim}/sim/received?holding={marker}")).send().await?;
    let heard: Value = serde_json::from_slice(&heard.bytes().await?).unwrap();
    let received = heard["received"].as_array().unwrap().clone();
    Ok(Outcome { status, dropped, text, received })
}

/// The members of these names, wherever they stand.
fn members<'a>(of: &'a Value, names: &[&str], found: &mut Vec<&'a Value>) {
    match of {
        Value::Object(all) => {
            for (name, value) in all {
                if names.contains(&name.as_str()) {
                    found.push(value);
                }
                members(value, names, found);
            }
        }
        Value::Array(all) => all.iter().for_each(|one| members(one, names, found)),
        _ => {}
    }
}

/// What is lost and not named, if anything is.
fn lost(want: Want, outcome: &Outcome, facts: &Facts) -> Option<String> {
    let received = outcome.received.first()?;
    let dropped = outcome.dropped.to_ascii_lowercase();
    let named =
        |words: &[&str]| words.iter().any(|word| dropped.contains(&word.to_ascii_lowercase()));
    let text = received.to_string();
    match want {
        Want::Member(names, value) => {
            let value: Value = serde_json::from_str(value).unwrap();
            let mut found = Vec::new();
            members(received, names, &mut found);
            let there = found.iter().any(|one| **one == value || json!([**one]) == value);
            (!there && !named(names)).then(|| format!("{} lost, not named", names[0]))
        }
        Want::Words(words) => {
            let there = text.contains(words);
            (!there && dropped.is_empty()).then(|| format!("'{words}' lost, nothing named"))
        }
        Want::Either(one, other) => {
            let there = text.contains(one) || text.contains(other);
            (!there && dropped.is_empty()).then(|| format!("'{one}' lost, nothing named"))
        }
        Want::Forced => {
            let choices = ["tool_choice", "toolConfig", "toolChoice"];
            let mut found = Vec::new();
            members(received, &choices, &mut found);
            let auto = |one: &&Value| one.to_string().to_ascii_lowercase().contains("auto");
            let there = found.iter().any(|one| !auto(one));
            (!there && !named(&["tool_choice", "toolConfig"]))
                .then(|| "the forced choice lost, not named".to_owned())
        }
        Want::Called(name) => {
            let there = outcome.text.contains(name);
            let excused = named(&["tool_choice", "toolConfig", "tools"]);
            (!there && !excused).then(|| "the answer calls by another name".to_owned())
        }
        Want::Effort(wish) => {
            let words = ["effort", "thinking", "reasoning", "output_config"];
            if named(&words) {
                return None;
            }
            let mut levels = Vec::new();
            let names = ["reasoning_effort", "effort", "thinkingLevel", "maxReasoningEffort"];
            members(received, &names, &mut levels);
            let levels: Vec<String> =
                levels.iter().filter_map(|one| one.as_str()).map(str::to_ascii_lowercase).collect();
            let mut said = Vec::new();
            let others = ["thinking", "thinkingConfig", "enable_thinking", "budget_tokens"];
            members(received, &others, &mut said);
            let off = matches!(wish, "off" | "none");
            if wish == "on" && facts.thinks(None) {
                return None;
            }
            if off && (facts.thinking.off == Off::Omitted || !facts.thinks(None)) {
                return None;
            }
            match levels.first() {
                Some(level) if !matches!(wish, "on" | "off") && level != wish => {
                    Some(format!("effort {wish} became {level}, not named"))
                }
                None if said.is_empty() => Some(format!("effort {wish} lost, not named")),
                _ => None,
            }
        }
    }
}

fn faults(kind: &Kind, outcome: &Outcome, facts: &Facts) -> Vec<String> {
    let message = || {
        let said: Value = serde_json::from_str(&outcome.text).unwrap_or_default();
        let message = said.pointer("/error/message").and_then(Value::as_str);
        message.map_or_else(|| outcome.text.chars().take(160).collect(), str::to_owned)
    };
    let mut found = match outcome.status {
        200 if outcome.received.is_empty() => vec!["answered without being asked".to_owned()],
        200 => Vec::new(),
        400 if outcome.received.is_empty() => {
            // Our own: right where nobody could serve what the answer cannot do without.
            let names = kind.grave.is_some_and(|word| {
                message().contains(word) || message().contains("cannot take '")
            });
            if names { Vec::new() } else { vec![format!("own 400: {}", message())] }
        }
        status => vec![format!("{status}: {}", message())],
    };
    if outcome.status == 200 {
        found.extend(kind.wants.iter().filter_map(|want| lost(*want, outcome, facts)));
        if outcome.text.contains("event: error") || outcome.text.contains("{\"error\"") {
            found.push(format!("an error in the stream: {}", message()));
        }
    }
    found
}

/// A fault without what differs from model to model.
fn general(fault: &str, model: &str) -> String {
    let mut out = String::new();
    for word in fault.replace(model, "MODEL").split_inclusive(' ') {
        let marked = word.contains("marker");
        out.push_str(if marked { "MARKED " } else { word });
    }
    out.chars().take(400).collect()
}

#[test]
fn whatever_is_asked_is_answered_and_what_is_lost_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let known = FactsIndex::new(&catalogue::builtin().unwrap());
    let _in_it = runtime().enter();
    let server = sim::serve(listener, 1, Strictness::Strict(known)).unwrap();
    let handle = server.handle();
    runtime().spawn(server);

    let patches = patches(&base);
    let mut config = String::new();
    for (id, patch) in &patches {
        let address = patch.base_url.as_deref().unwrap();
        writeln!(config, "[providers.{id}]\nbase_url = \"{address}\"\nauth = \"none\"").unwrap();
    }
    let gateway = Gateway::start(&config);
    let subjects = subjects(&patches);
    let kinds = kinds::all();
    let begun = Instant::now();
    let asked = subjects.iter().flat_map(|subject| {
        kinds.iter().flat_map(move |kind| {
            let ways: &[bool] = if kind.streamed { &[false, true] } else { &[false] };
            ways.iter().map(move |streamed| (subject, kind, *streamed))
        })
    });
    let http = client();
    let outcomes = runtime().block_on(
        stream::iter(asked.enumerate().map(|(number, (subject, kind, streamed))| {
            let (http, base, gateway) = (&http, &base, &gateway.base);
            async move {
                let outcome = ask(http, gateway, base, subject, kind, streamed, number).await;
                (subject, kind, streamed, outcome)
            }
        }))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>(),
    );
    let count = outcomes.len();
    let mut groups: BTreeMap<(String, &str, String), (usize, String)> = BTreeMap::new();
    for (subject, kind, streamed, outcome) in outcomes {
        let found = match &outcome {
            Ok(outcome) => faults(kind, outcome, &subject.facts),
            // With its causes: which of the two servers, and whether it closed or never opened.
            Err(why) => vec![format!("no answer: {why:?}")],
        };
        for fault in found {
            let way = if streamed { " (stream)" } else { "" };
            let key = (format!("{:?}{way}", kind.front), kind.name, general(&fault, &subject.name));
            let group = groups.entry(key).or_insert_with(|| (0, String::new()));
            group.0 += 1;
            if group.1.is_empty() {
                let received = outcome.as_ref().ok().and_then(|one| one.received.first());
                let received = received.map_or_else(String::new, ToString::to_string);
                let received: String = received.chars().take(300).collect();
                group.1 = format!("{} got {received}", subject.name);
            }
        }
    }
    runtime().block_on(handle.stop(false));
    let spent = begun.elapsed();
    let faults: usize = groups.values().map(|(count, _)| count).sum();
    let mut all: Vec<_> = groups.into_iter().collect();
    all.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let mut report = format!(
        "{faults} faults of {count} requests to {} models, in {spent:.1?}\n",
        subjects.len()
    );
    for ((front, kind, fault), (count, example)) in &all {
        writeln!(report, "{count:5} × {front}, {kind}: {fault}\n        {example}").unwrap();
    }
    if faults > 0 {
        // The gateway's own log says nothing to it, and it is long.
        drop(gateway);
        panic!("{report}");
    }
    assert!(count > 1_000, "only {count} requests were made");
}
