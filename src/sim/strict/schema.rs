//! What of JSON Schema each maker takes. Sources: OpenAI's and Anthropic's pages on structured
//! outputs and the latter's SDK (`lib/_parse/_transform.py`), Google's `Schema` message.

use serde_json::{Map, Value};

use super::asked::{RawRequest, list, text};
use super::house::House;
use super::tools;
use super::wording::Complaint;
use crate::catalogue::SchemaSubset;
use crate::wire::vocab::Dialect;

/// A document this deep is refused for its depth long before.
const DEEPEST: usize = 64;

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    json_mode(asked).or_else(|| answer(asked)).or_else(|| offered(asked))
}

/// JSON without a schema: some can do no more, and want the word in the conversation.
fn json_mode(asked: &RawRequest<'_>) -> Option<Complaint> {
    let kind = match asked.dialect()? {
        Dialect::OpenAiChat => asked.at("/response_format/type"),
        Dialect::OpenAiResponses => asked.at("/text/format/type"),
        Dialect::Anthropic | Dialect::Gemini => None,
    };
    match kind.and_then(Value::as_str)? {
        "json_schema" | "json_object" if asked.facts.schema == Some(SchemaSubset::None) => {
            let message = "'response_format' is not supported with this model.";
            Some(Complaint::of("response_format", message).code("unsupported_parameter"))
        }
        "json_schema" if tools::only_json_mode(asked) => {
            let message = "This response_format type is unavailable now";
            Some(Complaint::of("response_format", message).code("invalid_request_error"))
        }
        "json_object" if matches!(asked.house, House::OpenAi | House::DeepSeek) => {
            let words = ["messages", "input", "instructions"];
            let said = |name: &str| {
                asked
                    .body
                    .get(name)
                    .is_some_and(|value| value.to_string().to_ascii_lowercase().contains("json"))
            };
            (!words.iter().any(|name| said(name))).then(|| {
                let message = "'messages' must contain the word 'json' in some form, to use \
                     'response_format' of type 'json_object'.";
                Complaint::of("messages", message)
            })
        }
        _ => None,
    }
}

fn answer(asked: &RawRequest<'_>) -> Option<Complaint> {
    let wanted = asked.answer_schema()?;
    let (at, schema) = (wanted.at, wanted.schema);
    match subset(asked)? {
        SchemaSubset::Anthropic => anthropic(schema, at),
        SchemaSubset::Gemini if wanted.openapi => openapi(schema, at),
        SchemaSubset::OpenaiStrict
            if asked.house == House::OpenAi
                && schema.get("type").and_then(Value::as_str) != Some("object") =>
        {
            let kind = schema.get("type").and_then(Value::as_str).unwrap_or("None");
            let message = format!(
                "Invalid schema for response_format '{}': schema must be a JSON Schema of \
                 'type: \"object\"', got 'type: \"{kind}\"'.",
                wanted.name
            );
            Some(Complaint::of(at, message).code("invalid_json_schema"))
        }
        SchemaSubset::OpenaiStrict if wanted.strict && asked.house == House::OpenAi => {
            openai(schema, true).map(|why| {
                let message =
                    format!("Invalid schema for response_format '{}': {why}", wanted.name);
                Complaint::of(at, message).code("invalid_json_schema")
            })
        }
        SchemaSubset::OpenaiStrict
        | SchemaSubset::Gemini
        | SchemaSubset::JsonObject
        | SchemaSubset::None => None,
    }
}

/// Schemas of tools: judged where the maker builds its grammar from them.
fn offered(asked: &RawRequest<'_>) -> Option<Complaint> {
    let subset = subset(asked)?;
    asked.functions().iter().find_map(|function| {
        let schema = function.schema?;
        match (subset, asked.dialect()) {
            (SchemaSubset::Anthropic, Some(Dialect::Anthropic)) if function.strict => {
                anthropic(schema, &format!("{}.input_schema", function.at))
            }
            (SchemaSubset::Gemini, Some(Dialect::Gemini)) => {
                openapi(schema, &format!("{}.parameters", function.at))
            }
            (SchemaSubset::OpenaiStrict, _) if function.strict && asked.house == House::OpenAi => {
                openai(schema, true).map(|why| {
                    let message = format!("Invalid schema for function '{}': {why}", function.name);
                    let at = format!("{}.parameters", function.at);
                    Complaint::of(at, message).code("invalid_function_parameters")
                })
            }
            _ => None,
        }
    })
}

fn subset(asked: &RawRequest<'_>) -> Option<SchemaSubset> {
    let usual = match asked.house {
        House::Anthropic => Some(SchemaSubset::Anthropic),
        House::Google => Some(SchemaSubset::Gemini),
        House::OpenAi => Some(SchemaSubset::OpenaiStrict),
        _ => None,
    };
    // A maker's own dialect has its own rules, whatever else its models are served in.
    match asked.dialect() {
        Some(Dialect::Anthropic | Dialect::Gemini) => usual,
        Some(_) => asked.facts.schema.or(usual),
        None => None,
    }
}

/// The schemas within one, with the name of what holds them.
fn within(schema: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let maps = ["properties", "$defs", "definitions", "patternProperties"];
    let lists = ["anyOf", "allOf", "oneOf", "prefixItems"];
    let maps = maps.into_iter().filter_map(|name| schema.get(name)?.as_object());
    let lists = lists.into_iter().filter_map(|name| schema.get(name)?.as_array());
    let one = schema.get("items").into_iter().filter(|items| items.is_object());
    maps.flat_map(Map::values).chain(lists.flatten()).chain(one)
}

fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let all = kinds.iter().filter_map(Value::as_str);
            all.rev().find(|kind| *kind != "null").unwrap_or_default()
        }
        _ if schema.contains_key("properties") => "object",
        _ => "",
    }
}

fn anthropic(schema: &Value, at: &str) -> Option<Complaint> {
    fn walk(schema: &Value, at: &str, depth: usize) -> Option<Complaint> {
        let members = schema.as_object()?;
        let kind = kind(members);
        let refused: &[&str] = match kind {
            "integer" | "number" => {
                &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
            }
            "string" => &["minLength", "maxLength"],
            "array" => &["maxItems", "uniqueItems"],
            _ => &[],
        };
        if let Some(name) = refused.iter().find(|name| members.contains_key(**name)) {
            let message = format!("{at}: For '{kind}' type, property '{name}' is not supported");
            return Some(Complaint::new(message));
        }
        let least = members.get("minItems").and_then(Value::as_u64);
        if kind == "array" && least.is_some_and(|least| least > 1) {
            return Some(Complaint::new(format!(
                "{at}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
            )));
        }
        if kind == "object" && members.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some(Complaint::new(format!(
                "{at}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )));
        }
        if depth > DEEPEST {
            return Some(Complaint::new(format!("{at}: Schema is too complex.")));
        }
        within(members).find_map(|inner| walk(inner, at, depth + 1))
    }
    if recurs(schema) {
        return Some(Complaint::new(format!("{at}: Recursive schemas are not supported")));
    }
    walk(schema, at, 0)
}

/// Whether a definition comes back to itself.
fn recurs(root: &Value) -> bool {
    fn walk<'a>(schema: &'a Value, root: &'a Value, open: &mut Vec<&'a str>) -> bool {
        let Some(members) = schema.as_object() else { return false };
        if let Some(target) = members.get("$ref").and_then(Value::as_str) {
            if open.contains(&target) || open.len() > DEEPEST {
                return true;
            }
            let Some(found) = root.pointer(target.trim_start_matches('#')) else { return false };
            open.push(target);
            let again = walk(found, root, open);
            open.pop();
            return again;
        }
        let below = ["properties", "anyOf", "allOf", "oneOf", "items"];
        below.into_iter().filter_map(|name| members.get(name)).any(|inner| match inner {
            Value::Array(all) => all.iter().any(|one| walk(one, root, open)),
            Value::Object(all) if !inner.get("type").is_some_and(Value::is_string) => {
                walk(inner, root, open) || all.values().any(|one| walk(one, root, open))
            }
            one => walk(one, root, open),
        })
    }
    walk(root, root, &mut Vec::new())
}

/// Google's older form: the `OpenAPI` subset of its `Schema` message.
fn openapi(schema: &Value, at: &str) -> Option<Complaint> {
    const UNKNOWN: [&str; 12] = [
        "$ref",
        "$defs",
        "$schema",
        "definitions",
        "const",
        "oneOf",
        "allOf",
        "not",
        "patternProperties",
        "additionalProperties",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ];
    fn walk(schema: &Value, at: &str, depth: usize) -> Option<Complaint> {
        let members = schema.as_object()?;
        if let Some(name) = UNKNOWN.iter().find(|name| members.contains_key(**name)) {
            return Some(Complaint::new(format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
            )));
        }
        if members.get("type").is_some_and(Value::is_array) {
            return Some(Complaint::new(format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{at}': Proto field is not \
                 repeating, cannot start list."
            )));
        }
        if depth > DEEPEST {
            return Some(Complaint::new("A schema in GenerationConfig is too deep."));
        }
        within(members).find_map(|inner| walk(inner, at, depth + 1))
    }
    walk(schema, at, 0)
}

/// What is wrong with a schema that is to be followed strictly.
fn openai(schema: &Value, root: bool) -> Option<String> {
    fn walk(schema: &Value, path: &mut Vec<String>, depth: usize) -> Option<String> {
        let members = schema.as_object()?;
        let context = |why: String| {
            let all: Vec<String> = path.iter().map(|piece| format!("'{piece}'")).collect();
            let comma = if all.len() == 1 { "," } else { "" };
            Some(format!("In context=({}{comma}), {why}", all.join(", ")))
        };
        let barred = ["oneOf", "allOf", "not", "if", "patternProperties", "dependentRequired"];
        if let Some(name) = barred.iter().find(|name| members.contains_key(**name)) {
            return context(format!("'{name}' is not permitted."));
        }
        if kind(members) == "object" {
            if members.get("additionalProperties") != Some(&Value::Bool(false)) {
                return context(
                    "'additionalProperties' is required to be supplied and to be false.".to_owned(),
                );
            }
            let required: Vec<&str> =
                list(schema, "required").filter_map(|(_, name)| name.as_str()).collect();
            let properties = members.get("properties").and_then(Value::as_object);
            let missing = properties
                .into_iter()
                .flat_map(Map::keys)
                .find(|name| !required.contains(&name.as_str()));
            if let Some(missing) = missing {
                return context(format!(
                    "'required' is required to be supplied and to be an array including every key \
                     in properties. Missing '{missing}'."
                ));
            }
        }
        if depth > DEEPEST {
            return context("the schema is nested too deeply.".to_owned());
        }
        for (name, inner) in
            members.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            path.extend(["properties".to_owned(), name.clone()]);
            if let Some(why) = walk(inner, path, depth + 1) {
                return Some(why);
            }
            path.truncate(path.len().saturating_sub(2));
        }
        within(members).find_map(|inner| walk(inner, path, depth + 1))
    }
    if root && text(schema, "type") != Some("object") {
        let said = schema.get("type").map_or_else(|| "None".to_owned(), ToString::to_string);
        return Some(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: {said}'."
        ));
    }
    walk(schema, &mut Vec::new(), 0)
}
