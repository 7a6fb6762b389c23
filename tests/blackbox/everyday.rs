//! Forty prompts of everyday use, and where each dial sends them: `docs/router-everyday.md` is written
//! by this test, with `UPDATE_DOCS=1` anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use optimux::base::clock::Timestamp;
use optimux::base::money::Nanos;
use optimux::catalogue::{Catalogue, Sources, builtin, load};
use optimux::router::{
    Account, CandidatePool, Dial, Health, Needs, Predictor, Ranked, decide_auto,
};
use optimux::wire::codec;
use optimux::wire::vocab::{Dialect, Request};
use serde_json::json;

use crate::house::is_written;

/// 2026-11-25: prices and ends are those of this day.
const NOW: Timestamp = Timestamp(1_795_564_800_000);

/// What is around a prompt.
#[derive(Clone, Copy)]
enum With {
    Nothing,
    /// A system prompt.
    System(&'static str),
    /// So many tools.
    Tools(usize),
    /// A form for the answer.
    Json,
}

use With::{Json, Nothing, System, Tools};

const PROMPTS: [(With, &str); 40] = [
    (Nothing, "good morning! how's it going"),
    (Nothing, "What's the tallest mountain in Africa?"),
    (Nothing, "thx, that worked"),
    (Nothing, "Translate to Spanish: The meeting was moved to Thursday at nine."),
    (Nothing, "Wie sage ich auf Japanisch höflich, dass ich mich verspäte?"),
    (Nothing, "Rewrite this so it sounds less rude: Send me the file now, I have asked twice."),
    (Nothing, "Give me five names for a bakery next to a train station."),
    (
        Nothing,
        "Write a birthday poem for my grandmother, who turns 90 and still rides her bicycle.",
    ),
    (
        Nothing,
        "Summarise in two sentences: The council voted on Monday to close the old bridge to cars from March. Cyclists and buses may still cross. Shops on the east bank fear losing customers, while residents expect quieter streets. A review is planned after one year.",
    ),
    (Nothing, "Plan a weekend in Lisbon for two people who dislike museums, with a rough budget."),
    (
        Nothing,
        "My flight was cancelled four hours before departure inside the EU. What am I owed, and what should I write to the airline?",
    ),
    (
        Nothing,
        "Is it safe to take ibuprofen together with blood pressure tablets such as lisinopril?",
    ),
    (Nothing, "Explain how a vaccine trains the immune system, for a curious ten-year-old."),
    (
        Nothing,
        "Why did the Bronze Age collapse happen? Weigh the main explanations against each other.",
    ),
    (
        Nothing,
        "Compare fixed and variable mortgages for someone who may move within four years, with a worked example at 300,000 euros.",
    ),
    (
        Nothing,
        "Draft a termination clause for a software licence under German law that survives a change of control.",
    ),
    (Nothing, "A shop takes 20% off and then another 10%. What is the total discount?"),
    (
        Nothing,
        "Two trains start 300 km apart and drive towards each other at 80 and 70 km/h; a bird flies between them at 100 km/h until they meet. How far does the bird fly?",
    ),
    (Nothing, "Prove that the square root of 7 is irrational."),
    (Nothing, "Find all pairs of integers with x^2 - 2y^2 = 1 and show that there are no others."),
    (
        Nothing,
        "Let G be a finite group in which every element satisfies x^3 = e. Must G be abelian? Prove it or give the smallest counterexample, with proof.",
    ),
    (
        Nothing,
        "Seven people of whom an unknown number lie sit in a circle; each says that both neighbours lie. How many liars are possible? Show every case.",
    ),
    (Nothing, "python one-liner to flatten a list of lists"),
    (
        Nothing,
        "SELECT u.name, COUNT(*) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.name;\nwhy do users without orders get a 1?",
    ),
    (Nothing, "How do I undo the last commit but keep my changes?"),
    (
        Nothing,
        "Traceback (most recent call last):\n  File \"app.py\", line 12, in <module>\n    total += row['price'] * row['qty']\nTypeError: can't multiply sequence by non-int of type 'str'\nwhat do I change?",
    ),
    (Nothing, "Write a Rust function that merges overlapping intervals, with tests."),
    (
        Nothing,
        "Our service leaks file descriptors only under load: epoll, a pool of worker threads, and a timer that closes idle sockets. Here is the close path: if (--conn->refs == 0) { close(conn->fd); free(conn); } Find the race and fix it without a global lock.",
    ),
    (
        Nothing,
        "Design the schema and the API of a booking system for shared laboratory equipment: overlapping reservations, maintenance windows, approval by a supervisor, and an audit trail. Justify each choice.",
    ),
    (
        Nothing,
        "Write a bash script that backs up a Postgres database every night, keeps seven copies and mails me if it fails.",
    ),
    (
        Nothing,
        "Port this lock-free queue from x86 to ARM and explain which memory orderings have to change: void push(node* n) { n->next = head; while (!cas(&head, n->next, n)) n->next = head; }",
    ),
    (
        Nothing,
        "Design an experiment that tells whether a drop in sign-ups comes from the new price or from the season, with the statistics that I need.",
    ),
    (
        Nothing,
        "Write the first chapter, some 1,500 words, of a novel in which a lighthouse keeper receives letters from the future.",
    ),
    (
        Nothing,
        "Escribe un correo formal para pedir una prórroga de dos semanas en la entrega del proyecto.",
    ),
    (Nothing, "请用三句话解释什么是通货膨胀。"),
    (
        Json,
        "Extract name, date and amount: Invoice 2231, Miller & Sons, 3 May 2026, total 1,249.50 EUR.",
    ),
    (
        Json,
        "Classify the tone of this review as positive, negative or mixed: Great screen, but the battery is a joke.",
    ),
    (
        System("You are the support assistant of a bicycle shop. Answer in one short paragraph."),
        "My chain skips under load after I replaced the cassette. What now?",
    ),
    (Tools(3), "Find me a table for four tonight near the opera and put it in my calendar."),
    (
        Tools(12),
        "The nightly build fails since yesterday. Look at the logs, find the commit that did it, and open a pull request that fixes it.",
    ),
];

fn catalogue() -> Catalogue {
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    for file in &sources.files {
        let id = file.id.clone().unwrap();
        sources.keys.insert(id, vec![optimux::catalogue::ApiKey::new("k".into(), 1.0)]);
    }
    load(sources).unwrap()
}

fn request(with: With, prompt: &str) -> Request {
    let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
    match with {
        Nothing => {}
        System(text) => {
            body["messages"] =
                json!([{"role": "system", "content": text}, {"role": "user", "content": prompt}]);
        }
        Tools(count) => {
            let tool = |number: usize| {
                json!({"type": "function", "function": {
                "name": format!("tool_{number}"), "description": "One of the tools.",
                "parameters": {"type": "object", "properties": {"of": {"type": "string"}}}}})
            };
            body["tools"] = (0..count).map(tool).collect();
        }
        Json => {
            body["response_format"] = json!({"type": "json_schema", "json_schema": {
                "name": "answer", "schema": {"type": "object"}}});
        }
    }
    codec(Dialect::OpenAiChat).decode_request(body.to_string().as_bytes()).unwrap()
}

/// A prompt as it stands in a table.
fn shown(with: With, prompt: &str) -> String {
    let line = prompt.replace('\n', " ").replace('|', "\\|");
    let mut short: String = line.chars().take(72).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    match with {
        Nothing => short,
        System(_) => format!("{short} (with a system prompt)"),
        Tools(count) => format!("{short} (with {count} tools)"),
        Json => format!("{short} (with a JSON schema)"),
    }
}

fn usd(nanos: i64) -> String {
    let usd = Nanos(nanos).as_usd();
    if usd >= 0.0995 { format!("${usd:.2}") } else { format!("${usd:.5}") }
}

fn cost(one: &Ranked<'_>) -> i64 {
    one.expected_cost_nano_usd.unwrap()
}

/// Why the first is asked, against the best there is.
fn why(told: &Account<'_>) -> String {
    let first = &told.kept[0];
    let best = told.kept.iter().max_by(|one, other| one.quality.total_cmp(&other.quality)).unwrap();
    if first.quality >= best.quality {
        return "the best".to_owned();
    }
    let usd = |nanos: i64| Nanos(nanos.max(1)).as_usd();
    let times = usd(cost(best)) / usd(cost(first));
    let share = f64::from(first.quality / best.quality) * 100.0;
    if cost(first) == 0 {
        format!("{share:.0}% of the best, for nothing")
    } else if times >= 1.5 {
        format!("{share:.0}% of the best, at 1/{times:.0} of its cost")
    } else {
        format!("{share:.0}% of the best")
    }
}

fn page() -> String {
    let catalogue = catalogue();
    let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
    let choice = CandidatePool {
        catalogue: &catalogue,
        allows: &|_| true,
        health: &|_| Health::default(),
        predictor: &predictor,
        now: NOW,
        corrections: None,
        pays: &|_| Nanos(0),
        thorough: true,
        before: None,
        explore: None,
    };
    let mut table = String::new();
    let mut models: BTreeMap<String, (String, [u32; 3])> = BTreeMap::new();
    for (with, prompt) in PROMPTS {
        let request = request(with, prompt);
        let demand = predictor.demand(&request);
        write!(
            table,
            "| {} | {:.1} | {:.1} |",
            shown(with, prompt),
            demand.need(),
            demand.thinking()
        )
        .unwrap();
        for (column, dial) in [Dial::CHEAP, Dial::BALANCED, Dial::BEST].into_iter().enumerate() {
            let decision =
                decide_auto(dial.into(), &Needs::of(&request), &demand, &choice).unwrap();
            let explanation = decision.explanation.unwrap();
            let told = explanation.told(&catalogue, &predictor);
            let first = &told.kept[0];
            let effort = first.effort.map_or(String::new(), |effort| format!(", {effort}"));
            write!(table, " {}{effort}; {}; {} |", first.model, usd(cost(first)), why(&told))
                .unwrap();
            let level = format!("{:.2} ± {:.2} | {}", first.level, first.level_sd, first.rests_on);
            models.entry(first.model.to_owned()).or_insert((level, [0; 3])).1[column] += 1;
        }
        table.push('\n');
    }
    let mut page = HEAD.to_owned() + &table;
    page.push_str(MODELS);
    for (model, (level, [cheap, auto, best])) in models {
        writeln!(page, "| {model} | {cheap} | {auto} | {best} | {level} |").unwrap();
    }
    page
}

const HEAD: &str = "\
# Forty everyday prompts, and where `auto` sends them

Written by `tests/blackbox/everyday.rs` from the router that a build carries, as if every provider had
a key, at the prices of 2026-11-25; the test fails when this page does not say what the router does.

**Class**: the class of models that a prompt is taken to need, from 1 (any of 3 to 8 billion
parameters) over 2 (a good small one), 3 (a middle one) and 4 (a frontier model of 2026) to 5 (such a
model with long thinking). **Thought**: what thinking before the answer adds, from 0, nothing, to 2, it
takes it. Then for each dial the model and its effort, what the answer is expected to cost, and why:
its expected quality against that of the best model there is.

| prompt | class | thought | auto:cheap | auto | auto:best |
| --- | --- | --- | --- | --- | --- |
";

const MODELS: &str = "
## The models, and what is known of them

How often each dial asks them above, their levels (log-odds of a good answer to a prompt of ease 0, at
the highest effort), and what those rest on: `optimux router levels MODEL` shows the figures.

| model | auto:cheap | auto | auto:best | level | rests on |
| --- | --- | --- | --- | --- | --- |
";

#[test]
fn the_page_says_where_everyday_prompts_go() {
    is_written("docs/router-everyday.md", &page());
}
