//! The published list, whole, as entries of ours.

use std::io::Read as _;

use optimux::catalogue::published::{self, Extent};
use optimux::catalogue::{self, Families, PriceEntry, document};
use serde_json::{Value, json};

use crate::house::{Gateway, KEY, eventually};
use crate::servers::Postgres;

/// The list that the built-in files were written from.
pub fn list() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lists/models.json.gz");
    let mut text = String::new();
    let mut packed = flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap());
    packed.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn families_and_the_rest_come_to_the_facts_of_the_list() {
    let list = published::read(&list()).unwrap();
    let files = catalogue::builtin().unwrap();
    let converted = published::convert(&list, &files, Extent::All);
    assert_eq!(converted.faults, Vec::new());
    let families = Families::new(files.iter().flat_map(|file| file.families.clone()).collect());
    let mut chat = 0;
    for model in converted.parts.iter().flat_map(|part| &part.models) {
        let Some(whole) = converted.facts.get(&model.id) else { continue };
        let mut together = families.of(&model.id);
        together.lay(&model.facts);
        let mut together = together.settle();
        let whole = whole.settle();
        // Of some models the list does not say whether they go on from what is given; families do.
        together.goes_on = whole.goes_on;
        // Nor what licences do.
        together.distillable = whole.distillable;
        // Nor which search before every answer.
        together.searches = whole.searches;
        assert_eq!(together, whole, "{}", model.id);
        chat += 1;
    }
    assert!(chat > 300, "{chat}");
}

#[test]
fn prices_of_the_list_are_prices_of_ours() {
    let list = published::read(&list()).unwrap();
    let converted = published::convert(&list, &catalogue::builtin().unwrap(), Extent::All);
    let deployments = converted.parts.iter().flat_map(|part| &part.deployments);
    let prices: Vec<&PriceEntry> = deployments.flat_map(|one| &one.prices).collect();
    assert!(prices.len() > 2_000, "{}", prices.len());
    for price in &prices {
        price.read().unwrap();
    }
    let haiku = converted
        .parts
        .iter()
        .flat_map(|part| part.deployments.iter().map(move |one| (&part.provider, one)))
        .find(|(provider, one)| *provider == "anthropic" && one.model == "claude-haiku-5-5")
        .unwrap();
    let [standard, batch] = haiku.1.prices.as_slice() else { panic!("{:?}", haiku.1.prices) };
    assert_eq!(standard.above.first().map(|step| step.tokens), Some(100_000));
    assert_eq!(batch.times, Some(0.5), "it is half of the other, kind by kind");
}

/// The files are what `optimux catalogue write` makes of the list: nobody has changed them by hand.
#[test]
fn the_files_are_what_the_list_says() {
    let list = published::read(&list()).unwrap();
    let files = catalogue::builtin().unwrap();
    let converted = published::convert(&list, &files, Extent::Core);
    for part in &converted.parts {
        let file = files.iter().find(|file| file.id.as_deref() == Some(&part.provider)).unwrap();
        assert_eq!(file.models, part.models, "{}", part.provider);
        assert_eq!(file.deployments, part.deployments, "{}", part.provider);
    }
}

/// A command that may fail: whether it did not, and all that it said.
fn run(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .args(arguments)
        .current_dir(&gateway.folder)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

/// Input and output of a model, in USD per million tokens.
fn price(gateway: &Gateway, model: &str) -> (f64, f64) {
    let all = gateway.get("/optima/v1/models", KEY).json();
    let one = all["data"].as_array().unwrap().iter().find(|one| one["id"] == model).unwrap();
    let of = |kind: &str| one["usd_per_million_tokens"][kind].as_f64().unwrap();
    (of("input"), of("output"))
}

const CHANGE: &str = r#"
[[providers]]
id = "openai"

[[providers.models]]
id = "gpt-4o"
owned_by = "openai"
tier = "premium"

[[providers.models]]
id = "gpt-9"
owned_by = "openai"

[[providers.deployments]]
model = "gpt-4o"
name = "gpt-4o"
prices = [{ usd_per_million = { input = 1.5, output = 6.0 } }]

[[providers.deployments]]
model = "gpt-9"
name = "gpt-9"
prices = [{ usd_per_million = { input = 3.0, output = 9.0 } }]
"#;

fn is_updated_and_rolled_back(mut gateway: Gateway) {
    let file = gateway.folder.join("change.toml");
    std::fs::write(&file, CHANGE).unwrap();
    let from = file.to_str().unwrap();
    let before = price(&gateway, "gpt-4o");

    let told = gateway.command(&["catalogue", "diff", "--from", from, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["changes"]["models"]["added"], json!(["gpt-9"]));
    let input = told["changes"]["prices"].as_array().unwrap().iter();
    let input = input.clone().find(|one| one["what"] == "standard: input").unwrap();
    assert_eq!((&input["of"], &input["after"]), (&json!("openai/gpt-4o"), &json!(1.5)));
    assert_eq!(input["before"], json!(before.0));

    let pinned = ["catalogue", "update", "--from", from, "--reason", "new prices", "--pin"];
    let (taken, why) = run(&gateway, &[&pinned[..], &["00"]].concat());
    assert!(!taken && why.contains("not taken"), "{why}");
    let sha256 = told["sha256"].as_str().unwrap();
    gateway.command(&[&pinned[..], &[sha256]].concat());

    // What is wrong changes nothing.
    std::fs::write(&file, CHANGE.replace("1.5", "-1.5")).unwrap();
    let (taken, why) = run(&gateway, &["catalogue", "update", "--from", from, "--reason", "x"]);
    assert!(!taken && why.contains("model 'gpt-4o' at 'openai'"), "{why}");
    let listed = gateway.command(&["catalogue", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["sha256"], &listed[0]["active"]), (&told["sha256"], &json!(true)));

    gateway.kill();
    gateway.start_again();
    assert_eq!(price(&gateway, "gpt-4o"), (1.5, 6.0));
    assert_eq!(price(&gateway, "gpt-9"), (3.0, 9.0));

    gateway.command(&["catalogue", "rollback", "0", "--reason", "too early"]);
    assert!(!run(&gateway, &["catalogue", "rollback", "7", "--reason", "none"]).0);
    gateway.kill();
    gateway.start_again();
    assert_eq!(price(&gateway, "gpt-4o"), before);
    let log = gateway.admin("GET", "/audit", &Value::Null).json();
    let of = |at: usize, what: &str| log["data"][at][what].clone();
    assert_eq!((of(0, "action"), of(0, "target")), (json!("catalogue.rollback"), json!("0")));
    assert_eq!((of(1, "action"), of(1, "target")), (json!("catalogue.update"), json!("1")));
    assert_eq!(of(1, "detail")["reason"], "new prices");
}

#[test]
fn a_document_holds_until_it_is_rolled_back() {
    is_updated_and_rolled_back(Gateway::start(""));
}

#[test]
fn a_document_holds_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    is_updated_and_rolled_back(Gateway::start(&format!("[store]\nurl = \"{}\"", postgres.url)));
}

#[test]
fn the_whole_list_is_taken_in_a_second() {
    let text = list();
    let began = std::time::Instant::now();
    let files = catalogue::builtin().unwrap();
    assert_eq!(document::faults(&files), Vec::new());
    println!("the built-in files, all enabled, in {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let read = document::read(&text, &files).unwrap();
    let laid = document::lay(files, read);
    assert_eq!(document::faults(&laid), Vec::new());
    let took = began.elapsed();
    println!("read, laid and checked in {took:?}");
    // What is built for tests is an order of magnitude slower.
    let most = if cfg!(debug_assertions) { 10.0 } else { 1.0 };
    assert!(took.as_secs_f64() < most, "{took:?}");

    let gateway = Gateway::start("");
    let file = gateway.folder.join("models.json");
    std::fs::write(&file, text).unwrap();
    let arguments = ["catalogue", "update", "--reason", "all of it", "--from"];
    gateway.command(&[&arguments[..], &[file.to_str().unwrap()]].concat());
    assert!(gateway.command(&["check"]).contains("good"));
}

#[test]
fn a_running_node_takes_up_a_revision_and_gives_it_up_again() {
    let gateway = Gateway::start("");
    let listed =
        |name: &str| gateway.get("/v1/models", KEY).text().contains(&format!("\"{name}\""));
    let price = || {
        let models = gateway.get("/optima/v1/models", KEY).json();
        let models = models["data"].as_array().unwrap().clone();
        let one = models.into_iter().find(|model| model["id"] == "gpt-6-luna").unwrap();
        one["usd_per_million_tokens"]["input"].as_f64().unwrap()
    };
    let before = price();
    let document = json!({"providers": [{
        "id": "openai",
        "models": [{"id": "gpt-9-nova", "tier": "mid", "context_tokens": 1000, "max_output_tokens": 500,
                    "input": ["text"], "output": ["text"], "capabilities": ["tools"]},
                   {"id": "gpt-6-luna", "tier": "budget", "context_tokens": 400_000,
                    "max_output_tokens": 100_000, "input": ["text"], "output": ["text"],
                    "capabilities": ["tools"]}],
        "deployments": [{"model": "gpt-9-nova", "name": "gpt-9-nova", "usd_per_million": {"input": 1.0, "output": 4.0}},
                        {"model": "gpt-6-luna", "name": "gpt-6-luna", "usd_per_million": {"input": 77.0, "output": 99.0}}],
    }]});
    let file = gateway.folder.join("document.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let file = file.display().to_string();
    assert!(!listed("gpt-9-nova"));
    gateway.command(&["catalogue", "update", "--from", &file, "--reason", "a new model"]);
    eventually("the revision is in force", || listed("gpt-9-nova"));
    assert!((price() - 77.0).abs() < 1e-9, "{before}");
    let body = json!({"model": "gpt-9-nova", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.chat(&body).status, 200);
    let status = gateway.admin("GET", "/status", &Value::Null).json();
    assert_eq!(status["catalogue_revision"], 1, "{status}");
    gateway.command(&["catalogue", "rollback", "0", "--reason", "it was a test"]);
    eventually("it is given up", || !listed("gpt-9-nova"));
    assert!((price() - before).abs() < 1e-9);
}
