//! The simulated provider's strictness against real traffic: what a provider answered is not
//! refused.

use std::collections::BTreeMap;

use optimux::catalogue;
use optimux::sim::{FactsIndex, House, refusal};
use optimux::wire::vocab::{Dialect, Protocol};

use super::lines;

/// Rows that were answered, and are refused here on purpose, by the row's or the model's name.
const EXCEPTIONS: [(&str, &str); 9] = [
    ("anthropic-messages-ef1de45b", "of 2024: a result's call is looked for today"),
    ("openai-chat-dd8d96cf", "o3-mini took `stop` at its beginning"),
    ("claude-3-7-sonnet-20250219", "retired: its family does not think"),
    ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "the same"),
    ("moonshotai/kimi-k2-instruct", "older than what its family says of sampling"),
    ("moonshotai/kimi-k2-instruct-0905", "the same"),
    ("groq-chat-cb76e694", "an effort that Groq alone knows, `default`"),
    ("groq-chat-e8ae8b95", "`none` to Qwen, at Groq alone"),
    ("gemini-flash-lite-latest", "was 2.5, with budgets; it is another model today"),
];

/// The name of a model in an address: Gemini's, Vertex's, Azure's and Bedrock's.
fn named_in(path: &str) -> Option<String> {
    let after = ["/models/", "/model/", "/deployments/"]
        .into_iter()
        .find_map(|mark| path.split_once(mark).map(|(_, rest)| rest))?;
    let name = after.split(['/', '@']).next().unwrap_or(after).replace("%3A", ":");
    // A verb stands behind a colon; so does a version at Bedrock.
    let name = match name.rsplit_once(':') {
        Some((name, verb)) if verb.contains("enerateContent") || verb.contains("awPredict") => name,
        _ => &name,
    };
    Some(name.to_owned())
}

#[test]
fn what_a_provider_answered_is_not_refused() {
    let files = catalogue::builtin().unwrap();

    let known = FactsIndex::new(&files);
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut checked = 0;
    for row in lines() {
        let protocol = match row["api"].as_str().unwrap_or_default() {
            "chat" => Protocol::Dialect(Dialect::OpenAiChat),
            "responses" => Protocol::Dialect(Dialect::OpenAiResponses),
            "messages" => Protocol::Dialect(Dialect::Anthropic),
            "gemini" => Protocol::Dialect(Dialect::Gemini),
            "bedrock" => Protocol::Bedrock,
            _ => continue,
        };
        let status = row["response"]["status"].as_u64().unwrap_or(200);
        let body = row.pointer("/request/body").filter(|body| body.is_object());
        let Some(body) = body.filter(|_| status < 300) else { continue };
        let id = row["id"].as_str().unwrap();
        let path = row["request"]["path"].as_str().unwrap_or_default();
        let in_body = body["model"].as_str().map(str::to_owned);
        let Some(model) = in_body.or_else(|| named_in(path)) else { continue };
        // What a recording left out was not said; an invented answer was given by nobody.
        if body.get("_raw").is_some() || row["hand_made"] == true {
            continue;
        }
        checked += 1;
        let provider = row["provider"].as_str();
        let facts = known.facts(provider, &model);
        let house = House::of(provider, protocol, &model);
        let Some(refusal) = refusal(house, protocol, body, &model, &facts) else { continue };
        if !EXCEPTIONS.iter().any(|(known, _)| *known == id || *known == model) {
            let said = refusal.body.to_string();
            let group = format!("{} {}: {said}", provider.unwrap_or_default(), row["api"]);
            refused.entry(group).or_default().push(format!("{id} ({model})"));
        }
    }
    assert!(checked > 1_400, "only {checked} rows were checked");
    let shown: Vec<String> = refused
        .iter()
        .map(|(why, rows)| format!("{} × {why}\n    {}", rows.len(), rows[0]))
        .collect();
    assert!(refused.is_empty(), "refused, though answered:\n{}", shown.join("\n"));
}
