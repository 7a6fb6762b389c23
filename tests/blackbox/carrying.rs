//! Generated conversations through every pair of dialects: what both can say arrives.

use optimux::wire::vocab::{
    Body, CallKind, ContentShape, Dialect, Format, Media, MediaKind, MediaSource, Part, Protocol,
    Request, Role, Sampling, Tool, ToolCall, ToolChoice, ToolKind, ToolResult, Turn,
};
use optimux::wire::{Target, codec, provider_side};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a conversation says, whoever says it how.
#[derive(Debug, PartialEq)]
struct Meaning {
    system: String,
    /// Whether it is the model's, and what is said.
    turns: Vec<(bool, Vec<Said>)>,
    tools: Vec<(String, Option<Value>)>,
    choice: Option<String>,
    /// A schema; `null` for any JSON.
    format: Option<Value>,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    stop: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Said {
    Text(String),
    Image(String),
    Called(String, Value),
    Returned(String),
}

fn said(part: &Part) -> Option<Said> {
    Some(match &part.body {
        Body::Text(text) if text.is_empty() => return None,
        Body::Text(text) => Said::Text(text.clone()),
        Body::Media(Media { source: MediaSource::Inline(data), .. }) => Said::Image(data.clone()),
        Body::Call(call) => {
            let arguments = call.arguments.as_deref().unwrap_or("{}");
            Said::Called(call.name.clone(), serde_json::from_str(arguments).unwrap())
        }
        Body::Outcome(outcome) => {
            // Gemini's results are objects: a text is wrapped in one, and stays so elsewhere.
            let text = outcome.text();
            let wrapped = serde_json::from_str::<Value>(&text).ok();
            let inner = wrapped.as_ref().and_then(|value| value.get("result")?.as_str());
            Said::Returned(inner.map_or(text.clone(), str::to_owned))
        }
        _ => return None,
    })
}

fn meaning(request: &Request) -> Meaning {
    let mut turns: Vec<(bool, Vec<Said>)> = Vec::new();
    let mut system = String::new();
    for turn in request.instructions.iter().chain(&request.turns) {
        if matches!(turn.role, Role::System | Role::Developer) {
            turn.texts().for_each(|text| system.push_str(text));
            continue;
        }
        let model = turn.role == Role::Assistant;
        let all = turn.parts.iter().filter_map(said);
        match turns.last_mut() {
            Some((same, known)) if *same == model => known.extend(all),
            _ => turns.push((model, all.collect())),
        }
    }
    for (_, all) in &mut turns {
        // Results stand first wherever order is insisted on; neighbouring texts are one.
        all.sort_by_key(|one| !matches!(one, Said::Returned(_)));
        let mut merged: Vec<Said> = Vec::new();
        for one in all.drain(..) {
            match (merged.last_mut(), one) {
                (Some(Said::Text(known)), Said::Text(more)) => known.push_str(&more),
                (_, one) => merged.push(one),
            }
        }
        *all = merged;
    }
    system.retain(|c| !c.is_whitespace());
    Meaning {
        system,
        turns,
        tools: request
            .tools
            .iter()
            .filter_map(|tool| match &tool.kind {
                ToolKind::Function { name, parameters, .. } => {
                    Some((name.clone(), parameters.clone()))
                }
                ToolKind::Opaque(..) => None,
            })
            .collect(),
        choice: request.tool_choice.as_ref().map(|choice| match choice {
            // To choose among one is to name it, and to need none is to be free.
            ToolChoice::Among { names, required: true } if names.len() == 1 => {
                format!("{:?}", ToolChoice::Named(names[0].clone()))
            }
            other => format!("{other:?}"),
        }),
        format: request.format.as_ref().and_then(|format| match format {
            Format::Text => None,
            Format::Json => Some(Value::Null),
            Format::Schema { schema, .. } => Some(schema.clone()),
        }),
        max_tokens: request.max_output_tokens,
        temperature: request.sampling.temperature.as_ref().and_then(serde_json::Number::as_f64),
        stop: request.sampling.stop.clone(),
    }
}

fn text() -> impl Strategy<Value = String> {
    // Letters of several scripts, quotes and line ends; nothing that any dialect trims.
    "[a-zß世🌍\"\\\\]{1,8}( [a-z\n{}:,]{0,5}[a-z])?"
}

fn arguments() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(
        "[a-z]{1,4}",
        prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            text().prop_map(Value::from),
            Just(json!(null)),
            Just(json!([1, {"x": "y"}])),
        ],
        0..3,
    )
    .prop_map(|members| json!(members))
}

const NAMES: [&str; 3] = ["get_weather", "clock", "find_one"];

/// The user's turn, and what the model says to it, with calls and their results in between.
fn exchange() -> impl Strategy<Value = Vec<Turn>> {
    let call = (prop::sample::select(&NAMES[..]), arguments(), text());
    (text(), any::<bool>(), prop::collection::vec(call, 0..3), text()).prop_map(
        |(asked, shows, calls, answered)| {
            let mut user = vec![Part::text(asked)];
            if shows {
                user.push(Part::new(Body::Media(Media {
                    kind: MediaKind::Image,
                    source: MediaSource::Inline("iVBORw0KGgo=".to_owned()),
                    mime: Some("image/png".to_owned()),
                    filename: None,
                    detail: None,
                })));
            }
            let shape = if shows { ContentShape::List } else { ContentShape::Text };
            let mut turns = vec![Turn { shape, ..Turn::new(Role::User, user) }];
            if !calls.is_empty() {
                let id = |number: usize| Some(format!("call_{number}"));
                let made = calls.iter().enumerate().map(|(number, (name, arguments, _))| {
                    Part::new(Body::Call(ToolCall {
                        id: id(number),
                        name: (*name).to_owned(),
                        arguments: Some(arguments.to_string()),
                        kind: CallKind::Function,
                    }))
                });
                let made = Turn::new(Role::Assistant, made.collect());
                turns.push(Turn { shape: ContentShape::Null, ..made });
                for (number, (name, _, result)) in calls.iter().enumerate() {
                    turns.push(Turn::new(
                        Role::Tool,
                        vec![Part::new(Body::Outcome(ToolResult {
                            call_id: id(number),
                            name: Some((*name).to_owned()),
                            parts: vec![Part::text(result.as_str())],
                            shape: ContentShape::Text,
                            is_error: None,
                            json: None,
                        }))],
                    ));
                }
            }
            turns.push(Turn::new(Role::Assistant, vec![Part::text(answered)]));
            turns
        },
    )
}

fn tool(name: &str) -> Tool {
    Tool {
        kind: ToolKind::Function {
            name: name.to_owned(),
            description: Some("d".to_owned()),
            parameters: Some(json!({"type": "object", "properties": {"city": {"type": "string"}}})),
            strict: None,
        },
        cache: None,
        extra: optimux::wire::vocab::Extra::NONE,
        inner: optimux::wire::vocab::Extra::NONE,
    }
}

prop_compose! {
    fn conversation()(
        system in prop::option::of(text()),
        exchanges in prop::collection::vec(exchange(), 0..3),
        last in text(),
        choice in prop_oneof![
            Just(None),
            Just(Some(ToolChoice::Auto)),
            Just(Some(ToolChoice::Required)),
            Just(Some(ToolChoice::Named("clock".to_owned()))),
        ],
        schema in any::<bool>(),
        max_tokens in 1..9_000_u64,
        temperature in prop::option::of(0..=10_u8),
        stop in prop::option::of("[a-z]{1,5}"),
    ) -> Request {
        let mut turns: Vec<Turn> = system
            .into_iter()
            .map(|text| Turn::new(Role::System, vec![Part::text(text)]))
            .collect();
        turns.extend(exchanges.into_iter().flatten());
        turns.push(Turn::new(Role::User, vec![Part::text(last)]));
        Request {
            model: "m".to_owned(),
            turns,
            tools: NAMES.map(tool).to_vec(),
            tool_choice: choice,
            format: schema.then(|| Format::Schema {
                name: Some("answer".to_owned()),
                schema: json!({"type": "object", "properties": {"a": {"type": "string"}}}),
                strict: None,
                description: None,
                bare: false,
            }),
            max_output_tokens: Some(max_tokens),
            sampling: Sampling {
                temperature: temperature.and_then(|tenths| serde_json::Number::from_f64(f64::from(tenths) / 10.0)),
                stop: stop.into_iter().collect(),
                ..Sampling::default()
            },
            ..Request::default()
        }
    }
}

/// Said in a dialect and understood there; `None` where it refuses.
fn through(request: &Request, dialect: Dialect) -> Option<(Request, Vec<String>)> {
    let target = Target { max_output_tokens: 9_000, ..Target::SELF };
    let encoded =
        provider_side(Protocol::Dialect(dialect)).encode_request(request, &target).unwrap();
    if encoded.losses.grave().is_some() {
        return None;
    }
    let lost = encoded.losses.iter().map(|loss| loss.field.to_string()).collect();
    Some((codec(dialect).decode_request(&encoded.body).unwrap(), lost))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_both_dialects_can_say_arrives(request in conversation()) {
        for first in Dialect::ALL {
            // Responses has no stop sequences, and says so.
            let Some((ours, _)) = through(&request, first) else {
                prop_assert!(first == Dialect::OpenAiResponses && !request.sampling.stop.is_empty());
                continue;
            };
            prop_assert_eq!(meaning(&ours), meaning(&request), "{:?}", first);
            for second in Dialect::ALL {
                let Some((theirs, lost)) = through(&ours, second) else {
                    prop_assert!(second == Dialect::OpenAiResponses && !request.sampling.stop.is_empty());
                    continue;
                };
                prop_assert!(lost.is_empty(), "{:?} to {:?} loses {:?}", first, second, lost);
                prop_assert_eq!(meaning(&theirs), meaning(&ours), "{:?} to {:?}", first, second);
            }
        }
    }
}
