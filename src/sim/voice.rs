//! What the simulated provider says. The same request always gets the same answer: tools when
//! they are offered and asked for, JSON when it is demanded, an echo otherwise.

use serde_json::{Map, Value, json};

use crate::wire::vocab::{
    Body, CallKind, Choice, Delta, Dialect, Effort, Event, Extra, Finish, Format, Media, MediaKind,
    MediaSource, Part, Reply, Request, Role, Signature, Slot, Stop, Thought, Tool, ToolCall,
    ToolChoice, ToolKind, Turn, Usage,
};

/// 2026-01-01, so that answers can be compared.
pub const CREATED: i64 = 1_767_225_600;
/// Deeper than this a schema's example is cut to `null`.
const DEEPEST: usize = 8;

pub fn answer(request: &Request, model: &str) -> Reply {
    let prompt = last_text(request);
    let mut parts = Vec::new();
    if thinks(request) {
        let mut part = Part::new(Body::Thought(Thought {
            text: format!("The user says: {}", head(&prompt, 80)),
            ..Thought::default()
        }));
        part.signature = request
            .from
            .filter(|dialect| *dialect != Dialect::OpenAiChat)
            .map(|by| Signature { by, value: "c2ltdWxhdGVk".to_owned() });
        parts.push(part);
    }
    let calls = calls(request, &prompt);
    let mut why = Stop::End;
    let mut sequence = None;
    if calls.is_empty() {
        let mut text = spoken(request, model, &prompt);
        if text.contains(REFUSAL) {
            parts.push(Part::new(Body::Refusal(text.clone())));
        } else {
            if let Some((at, stop)) = request
                .sampling
                .stop
                .iter()
                .filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop.clone())))
                .min()
            {
                text.truncate(at);
                why = Stop::Sequence;
                sequence = Some(stop);
            }
            if let Some(most) = request.max_output_tokens
                && tokens(&text) > most
            {
                text = words(&text)
                    .into_iter()
                    .take(usize::try_from(most).unwrap_or(usize::MAX))
                    .collect();
                why = Stop::Length;
                sequence = None;
            }
            parts.push(Part::text(text));
        }
    } else {
        why = Stop::ToolCalls;
        parts.extend(calls);
    }
    let count = request.sampling.n.unwrap_or(1).clamp(1, 16);
    let choices = (0..count)
        .map(|index| Choice {
            index,
            extra: logprobs(request, &parts),
            turn: Turn::new(Role::Assistant, parts.clone()),
            finish: Some(Finish { why, word: None, sequence: sequence.clone() }),
        })
        .collect();
    let thought = parts
        .iter()
        .map(|part| match &part.body {
            Body::Thought(thought) => tokens(&thought.text),
            _ => 0,
        })
        .sum();
    let output: u64 = parts
        .iter()
        .map(|part| match &part.body {
            Body::Text(text) | Body::Refusal(text) => tokens(text),
            Body::Call(call) => tokens(call.arguments.as_deref().unwrap_or_default()) + 4,
            _ => 0,
        })
        .sum();
    Reply {
        id: Some(format!("sim-{:016x}", fingerprint(&prompt))),
        model: Some(model.to_owned()),
        created: Some(CREATED),
        choices,
        usage: Some(Usage {
            input: prompt_tokens(request),
            output: output * count,
            thought,
            ..Usage::default()
        }),
        extra: Extra::NONE,
    }
}

/// The reply as a stream, a word at a time: a batch of events for each chunk.
pub fn events(reply: &Reply) -> Vec<Vec<Event>> {
    let mut batches = vec![vec![
        Event::Open { id: reply.id.clone(), model: reply.model.clone(), created: reply.created },
        Event::Usage(Usage {
            input: reply.usage.as_ref().map_or(0, |usage| usage.input),
            ..Usage::default()
        }),
    ]];
    for choice in &reply.choices {
        for (number, part) in choice.turn.parts.iter().enumerate() {
            let at = Slot { choice: choice.index, part: number as u64 };
            let mut opening = part.clone();
            let signature = opening.signature.take_if(|_| matches!(part.body, Body::Thought(_)));
            let pieces: Vec<Delta> = match &mut opening.body {
                Body::Text(text) | Body::Refusal(text) => {
                    words(&std::mem::take(text)).into_iter().map(Delta::Text).collect()
                }
                Body::Thought(thought) => {
                    words(&std::mem::take(&mut thought.text)).into_iter().map(Delta::Text).collect()
                }
                Body::Call(call) => {
                    let arguments = call.arguments.replace(String::new()).unwrap_or_default();
                    words(&arguments).into_iter().map(Delta::Arguments).collect()
                }
                _ => Vec::new(),
            };
            batches.push(vec![Event::PartOpen { at, part: opening }]);
            batches.extend(pieces.into_iter().map(|delta| vec![Event::Delta { at, delta }]));
            let mut closing = Vec::new();
            closing.extend(signature.map(|one| Event::Delta { at, delta: Delta::Signature(one) }));
            closing.push(Event::PartClose { at, extra: Extra::NONE });
            batches.push(closing);
        }
        if let Some(finish) = &choice.finish {
            batches.push(vec![Event::Finish { choice: choice.index, finish: finish.clone() }]);
        }
    }
    batches.push(reply.usage.clone().map(Event::Usage).into_iter().collect());
    batches
}

/// How many tokens the words of a request are.
pub fn prompt_tokens(request: &Request) -> u64 {
    let turns = request.instructions.iter().chain(&request.turns);
    turns.flat_map(Turn::texts).map(tokens).sum::<u64>().max(1)
}

/// One red pixel, a PNG in base64.
pub const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

const REFUSAL: &str = "I'm sorry, but I can't help with that.";

fn spoken(request: &Request, model: &str, prompt: &str) -> String {
    if prompt.contains("please refuse") {
        return REFUSAL.to_owned();
    }
    if let Some(results) = results(request) {
        return format!("The tools answered: {results}");
    }
    match &request.format {
        Some(Format::Schema { schema, bare, .. }) => {
            let example = example(schema, schema, "answer", prompt, 0);
            return match example {
                Value::String(word) if *bare => word,
                other => other.to_string(),
            };
        }
        Some(Format::Json) => return json!({"answer": head(prompt, 200)}).to_string(),
        Some(Format::Text) | None => {}
    }
    // What one without a JSON mode is told in words.
    let system = request.turns.iter().filter(|turn| turn.role == Role::System);
    let told = request.instructions.iter().chain(system).flat_map(Turn::texts);
    if told.into_iter().any(|text| text.contains("valid JSON object")) {
        return json!({"answer": head(prompt, 200)}).to_string();
    }
    if let Some((_, rest)) = prompt.split_once("Repeat after me: ") {
        return rest.to_owned();
    }
    let seen: Vec<String> = request
        .turns
        .iter()
        .flat_map(|turn| &turn.parts)
        .filter_map(|part| match &part.body {
            Body::Media(media) => Some(described(media)),
            _ => None,
        })
        .collect();
    if !seen.is_empty() {
        return format!("I see {}. You said: {}", seen.join(" and "), head(prompt, 200));
    }
    format!("This is {model}, simulated. You said: {}", head(prompt, 400))
}

fn described(media: &Media) -> String {
    let kind = match media.kind {
        MediaKind::Image => "an image",
        MediaKind::Audio => "a sound",
        MediaKind::Video => "a video",
        MediaKind::File => "a document",
    };
    match &media.source {
        MediaSource::Url(url) => format!("{kind} at {}", head(url, 100)),
        MediaSource::Inline(data) => format!(
            "{kind} of type {} and {} base64 characters",
            media.mime.as_deref().unwrap_or("unknown"),
            data.len()
        ),
        MediaSource::Id(id) => format!("{kind} with the id {id}"),
        MediaSource::Text(text) => format!("{kind} of {} characters", text.len()),
    }
}

fn last_text(request: &Request) -> String {
    request
        .turns
        .iter()
        .rev()
        .find(|turn| turn.role == Role::User && turn.texts().next().is_some())
        .map(|turn| turn.texts().collect::<Vec<_>>().join("\n"))
        .unwrap_or_default()
}

/// The outcomes that the conversation ends with.
fn results(request: &Request) -> Option<String> {
    let last = request.turns.last()?;
    let mut all = Vec::new();
    for turn in request.turns.iter().rev() {
        let outcomes: Vec<String> = turn
            .parts
            .iter()
            .filter_map(|part| match &part.body {
                Body::Outcome(outcome) => Some(outcome.text()),
                _ => None,
            })
            .collect();
        if outcomes.is_empty() {
            break;
        }
        all.extend(outcomes.into_iter().rev());
    }
    let ends_with_results = last.parts.iter().any(|part| matches!(part.body, Body::Outcome(_)));
    all.reverse();
    (ends_with_results && !all.is_empty()).then(|| all.join("; "))
}

fn thinks(request: &Request) -> bool {
    request.reasoning.as_ref().is_some_and(|reasoning| {
        reasoning.effort.is_some_and(|effort| effort > Effort::None)
            || reasoning.budget.is_some_and(|budget| budget != 0)
            || reasoning.enabled == Some(true)
    })
}

fn calls(request: &Request, prompt: &str) -> Vec<Part> {
    if results(request).is_some() {
        return Vec::new();
    }
    let functions: Vec<&Tool> = request.tools.iter().filter(|tool| tool.name().is_some()).collect();
    let lower = prompt.to_lowercase();
    let mentioned = |tool: &&&Tool| {
        let name = tool.name().unwrap_or_default().to_lowercase();
        lower.contains(&name)
            || name.split(['_', '-']).filter(|word| word.len() > 3).any(|word| lower.contains(word))
    };
    let named: Vec<&Tool> = match &request.tool_choice {
        Some(ToolChoice::None) => Vec::new(),
        Some(ToolChoice::Named(name)) => {
            functions.iter().copied().filter(|tool| tool.name() == Some(name)).collect()
        }
        Some(ToolChoice::Required | ToolChoice::Among { required: true, .. }) => {
            let asked: Vec<&Tool> = functions.iter().filter(mentioned).copied().collect();
            if asked.is_empty() { functions.into_iter().take(1).collect() } else { asked }
        }
        _ => functions.iter().filter(mentioned).copied().collect(),
    };
    let most = if request.parallel_tool_calls == Some(false) { 1 } else { 8 };
    named
        .into_iter()
        .take(most)
        .enumerate()
        .filter_map(|(index, tool)| {
            let ToolKind::Function { name, parameters, .. } = &tool.kind else { return None };
            let schema = parameters.clone().unwrap_or_else(|| json!({"type": "object"}));
            Some(Part::new(Body::Call(ToolCall {
                id: Some(format!("call_{:012x}{index}", fingerprint(prompt) >> 16)),
                name: name.clone(),
                arguments: Some(example(&schema, &schema, "value", prompt, 0).to_string()),
                kind: CallKind::Function,
            })))
        })
        .collect()
}

/// A value that a JSON schema allows.
fn example(schema: &Value, root: &Value, name: &str, prompt: &str, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let next = |inner: &Value, name: &str| example(inner, root, name, prompt, depth + 1);
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| root.pointer(path.trim_start_matches('#')))
    {
        return next(target, name);
    }
    if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|all| all.first()) {
        return first.clone();
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) =
            schema.get(choice).and_then(Value::as_array).and_then(|all| all.first())
        {
            return next(first, name);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.to_ascii_lowercase(),
        Some(Value::Array(kinds)) => {
            kinds.first().and_then(Value::as_str).unwrap_or("string").to_ascii_lowercase()
        }
        _ if schema.get("properties").is_some() => "object".to_owned(),
        _ => "string".to_owned(),
    };
    match kind.as_str() {
        "object" => {
            let members: Map<String, Value> = schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, inner)| (name.clone(), next(inner, name)))
                .collect();
            Value::Object(members)
        }
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
            let item = schema.get("items").map_or(Value::Null, |items| next(items, name));
            (0..least).map(|_| item.clone()).collect()
        }
        "integer" | "number" => {
            let said = json!(number(prompt));
            let least = schema.get("minimum").filter(|least| least.as_f64() > said.as_f64());
            least.cloned().unwrap_or(said)
        }
        "boolean" => Value::Bool(true),
        "null" => Value::Null,
        _ => Value::from(topic(prompt).unwrap_or(name)),
    }
}

/// The last capitalised word that does not begin the prompt: usually what it is about.
fn topic(prompt: &str) -> Option<&str> {
    prompt
        .split(|c: char| !c.is_alphanumeric())
        .skip(1)
        .filter(|word| word.len() > 1 && word.chars().next().is_some_and(char::is_uppercase))
        .last()
}

fn number(prompt: &str) -> u64 {
    prompt.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse().ok()).unwrap_or(1)
}

fn logprobs(request: &Request, parts: &[Part]) -> Extra {
    if request.sampling.logprobs != Some(true) || request.from != Some(Dialect::OpenAiChat) {
        return Extra::NONE;
    }
    let content: Vec<Value> = parts
        .iter()
        .filter_map(|part| match &part.body {
            Body::Text(text) => Some(words(text)),
            _ => None,
        })
        .flatten()
        .map(|word| json!({"token": word, "logprob": -0.1, "bytes": word.as_bytes(), "top_logprobs": []}))
        .collect();
    let mut members = Map::new();
    members.insert("logprobs".to_owned(), json!({"content": content, "refusal": null}));
    Extra::of(Dialect::OpenAiChat, members, Map::new())
}

fn head(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Words with the space before them: the simulated provider's tokens.
fn words(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for c in text.chars() {
        match all.last_mut() {
            Some(last) if c != ' ' => last.push(c),
            _ => all.push(c.to_string()),
        }
    }
    all
}

fn tokens(text: &str) -> u64 {
    words(text).len() as u64
}

fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A unit vector that follows from the text alone.
pub fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let mut dice = fastrand::Rng::with_seed(fingerprint(text));
    let raw: Vec<f32> = (0..dimensions).map(|_| dice.f32() - 0.5).collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::EPSILON);
    raw.into_iter().map(|value| value / length).collect()
}
