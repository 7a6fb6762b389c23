//! What the hot path does with a request and a stream: decode, encode, decide, pump.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use optimux::base::clock::Clock;
use optimux::base::money::Nanos;
use optimux::catalogue::{Catalogue, Sources, builtin, load};
use optimux::router::{CandidatePool, Dial, Health, Needs, Predictor, decide_auto, decide_named};
use optimux::wire::frame::sse::{Frame, Splitter};
use optimux::wire::vocab::Dialect;
use optimux::wire::{Heading, Target, codec};
use serde_json::json;

fn request() -> Vec<u8> {
    json!({
        "model": "auto",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Explain how a gateway works, step by step. ".repeat(45)},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"it\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "It routes."},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}}],
        "temperature": 0.7,
        "stream": true,
    })
    .to_string()
    .into_bytes()
}

fn catalogue() -> Catalogue {
    let mut sources = Sources { files: builtin().unwrap_or_default(), ..Sources::default() };
    for file in &sources.files {
        if let Some(id) = file.id.clone() {
            sources.keys.insert(id, vec![optimux::catalogue::ApiKey::new("k".into(), 1.0)]);
        }
    }
    load(sources).unwrap_or_default()
}

fn requests(c: &mut Criterion) {
    let body = request();
    let chat = codec(Dialect::OpenAiChat);
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("head", |b| b.iter(|| chat.head(black_box(&body))));
    group.bench_function("decode", |b| b.iter(|| chat.decode_request(black_box(&body))));
    let Ok(decoded) = chat.decode_request(&body) else { return };
    let target = Target { max_output_tokens: 8192, ..Target::SELF };
    for dialect in Dialect::ALL {
        group.bench_function(format!("encode {}", dialect.as_str()), |b| {
            b.iter(|| codec(dialect).encode_request(black_box(&decoded), &target));
        });
    }
    group.finish();
}

/// Everything is up, and nothing is known of anybody.
fn choice<'a>(catalogue: &'a Catalogue, predictor: &'a Predictor) -> CandidatePool<'a> {
    CandidatePool {
        catalogue,
        allows: &|_| true,
        health: &|_| Health::default(),
        predictor,
        now: Clock::System.now(),
        corrections: None,
        pays: &|_| Nanos(0),
        thorough: false,
        before: None,
        explore: None,
    }
}

fn decisions(c: &mut Criterion) {
    let catalogue = catalogue();
    let mut group = c.benchmark_group("decide");
    let Ok(weights) = Predictor::builtin() else { return };
    let predictor = Predictor::new(weights, &catalogue);
    let choice = choice(&catalogue, &predictor);
    for characters in [500, 2_000, 100_000] {
        let text = "Explain how a proxy balances requests over 3 servers, step by step; why? ";
        let text = text.repeat(characters / text.len() + 1);
        let said = json!({"model": "auto", "messages": [{"role": "user", "content": text.get(..characters)}]});
        let Ok(request) = codec(Dialect::OpenAiChat).decode_request(said.to_string().as_bytes())
        else {
            return;
        };
        group.bench_function(format!("auto, {characters} characters, whole catalogue"), |b| {
            b.iter(|| {
                let demand = predictor.demand(black_box(&request));
                decide_auto(Dial::BALANCED.into(), &Needs::of(&request), &demand, &choice)
            });
        });
    }
    // What a start, or a new catalogue, takes for it.
    group.bench_function("tables", |b| {
        b.iter(|| Predictor::builtin().map(|weights| Predictor::new(weights, &catalogue)));
    });
    group.bench_function("named", |b| {
        b.iter(|| {
            decide_named(
                black_box("gpt-4o"),
                optimux::catalogue::Mode::Chat,
                &catalogue,
                Clock::System.now(),
                &|_| true,
                &|_| Health::default(),
                0.0,
            )
        });
    });
    group.finish();
}

/// What a mean hides: the slowest in a hundred decisions, each on words of its own.
fn tails(_: &mut Criterion) {
    let Ok(weights) = Predictor::builtin() else { return };
    let catalogue = catalogue();
    let predictor = Predictor::new(weights, &catalogue);
    let choice = choice(&catalogue, &predictor);
    let words = include_str!("../docs/router.md").split_whitespace().collect::<Vec<_>>();
    for characters in [500, 2_000, 100_000] {
        let rounds = 10_000;
        let mut took: Vec<u128> = (0..rounds)
            .filter_map(|round| {
                let mut text = String::with_capacity(characters + 32);
                for word in words.iter().cycle().skip(round * 7 % words.len()) {
                    if text.len() >= characters {
                        break;
                    }
                    text.push_str(word);
                    text.push(' ');
                }
                let said =
                    json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
                let request =
                    codec(Dialect::OpenAiChat).decode_request(said.to_string().as_bytes()).ok()?;
                let started = std::time::Instant::now();
                let demand = predictor.demand(black_box(&request));
                let decided =
                    decide_auto(Dial::BALANCED.into(), &Needs::of(&request), &demand, &choice);
                let took = started.elapsed().as_nanos();
                black_box(decided).ok()?;
                Some(took)
            })
            .collect();
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 1_000).copied().unwrap_or(0);
        #[expect(clippy::print_stdout, reason = "a bench prints what it found")]
        {
            println!(
                "decide/auto, {characters} characters: p50 {} ns, p99 {} ns, p99.9 {} ns",
                at(500),
                at(990),
                at(999)
            );
        }
    }
}

fn stream(dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..100 {
        match dialect {
            Dialect::Anthropic => {
                if number == 0 {
                    out.extend_from_slice(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
                }
                out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n");
            }
            _ => out.extend_from_slice(b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"),
        }
    }
    out
}

fn pumps(c: &mut Criterion) {
    let mut group = c.benchmark_group("pump 100 chunks");
    group.throughput(Throughput::Elements(100));
    let chat = stream(Dialect::OpenAiChat);
    group.bench_function("split and tap, chat", |b| {
        b.iter(|| {
            let mut splitter = Splitter::new(1 << 20);
            let mut usage = None;
            let fed = splitter.feed(black_box(&chat), |frame| {
                usage = codec(Dialect::OpenAiChat).tap(frame.data).usage;
            });
            (fed, usage)
        });
    });
    for (name, dialect, bytes) in [
        ("chat to chat", Dialect::OpenAiChat, &chat),
        ("anthropic to chat", Dialect::Anthropic, &stream(Dialect::Anthropic)),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut splitter = Splitter::new(1 << 20);
                let mut reader = codec(dialect).reader();
                let mut writer = codec(Dialect::OpenAiChat).writer(Heading::default());
                let mut events = Vec::new();
                let mut out = Vec::with_capacity(32 << 10);
                let fed = splitter.feed(black_box(bytes), |frame: Frame<'_>| {
                    events.clear();
                    if reader.read(&frame, &mut events).is_ok() {
                        writer.write(&events, &mut out);
                    }
                });
                (fed, out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, decisions, tails, pumps);
criterion_main!(benches);
