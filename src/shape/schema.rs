//! JSON schemas as a maker takes them. What cannot be said as a rule is said in the description,
//! and looked for in the answer.

use serde_json::{Map, Value, json};

use super::draft::{Draft, TargetModel};
use crate::catalogue::SchemaSubset;
use crate::wire::json_mode::{JsonForm, wrapped};
use crate::wire::refusal::FORMS;
use crate::wire::vocab::{Dialect, Format, Part, Protocol, Role, Turn};

/// Members that Anthropic's structured outputs refuse (platform.claude.com, structured outputs; the
/// anthropic SDK's `lib/_parse/_transform.py`).
const REFUSED: [&str; 12] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
];

/// Formats of strings that it takes.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Deeper than this a schema is left as it is.
const DEEPEST: usize = 64;

/// Puts the form of the answer into words, where the model takes none. The schema comes back, for
/// the answer to be held against.
pub(super) fn in_words(draft: &mut Draft<'_>, model: &TargetModel<'_>) -> Option<Value> {
    let whole = match draft.request.format.as_ref() {
        Some(Format::Schema { schema, bare, .. }) => Some(schema.clone()).filter(|_| !bare),
        Some(Format::Json) => None,
        Some(Format::Text) | None => return None,
    };
    if !model.takes_no_form() {
        return None;
    }
    into_words(draft);
    draft.losses.dropped("response_format");
    whole
}

/// Puts the schema of anything but an object into one, where the maker takes objects alone (OpenAI's
/// structured outputs: "root objects must be an object"; most that speak its dialect hold to it) or no
/// single words. Gemini takes any. A caller of the maker's own dialect is told by the maker. The schema
/// that was asked for comes back.
fn wrap(draft: &mut Draft<'_>, model: &TargetModel<'_>) -> Option<Value> {
    let Some(Format::Schema { schema, bare, .. }) = &draft.request.format else { return None };
    let objects_alone =
        matches!(model.protocol, Protocol::Dialect(Dialect::OpenAiChat | Dialect::OpenAiResponses));
    if model.at_home(&draft.request) || is_object(schema) || !(objects_alone || *bare) {
        return None;
    }
    draft.held = Some(if *bare { JsonForm::Word } else { JsonForm::Wrapped });
    let inside = wrapped(schema);
    let mut asked = None;
    if let Some(Format::Schema { schema, bare, .. }) = &mut draft.edit().format {
        asked = Some(std::mem::replace(schema, inside));
        *bare = false;
    }
    respell(draft);
    asked
}

/// Whether a schema says that the answer is an object, and nothing else.
fn is_object(schema: &Value) -> bool {
    match schema.get("type") {
        Some(kind) => kind == "object",
        None => schema.get("properties").is_some() || schema.as_object().is_none_or(Map::is_empty),
    }
}

/// Fits the schema of the answer. What the model could not be told comes back, for the answer to be
/// held against.
pub(super) fn fit(draft: &mut Draft<'_>, model: &TargetModel<'_>) -> Option<Value> {
    let asked = wrap(draft, model);
    let Some(Format::Schema { schema, .. }) = &draft.request.format else { return None };
    match model.facts.schema {
        Some(SchemaSubset::Anthropic) => {
            let mut unsaid = false;
            let fitted = anthropic(schema, &mut unsaid, 0);
            if fitted == *schema {
                return None;
            }
            let whole = asked.unwrap_or_else(|| schema.clone());
            if let Some(Format::Schema { schema, .. }) = &mut draft.edit().format {
                *schema = fitted;
            }
            respell(draft);
            if unsaid {
                draft.losses.dropped("response_format.schema");
            }
            unsaid.then_some(whole)
        }
        Some(SchemaSubset::JsonObject)
            if model.protocol == Protocol::Dialect(Dialect::OpenAiChat) =>
        {
            let whole = asked.unwrap_or_else(|| schema.clone());
            let held = draft.held;
            into_words(draft);
            // The provider itself holds it to that.
            draft.held = held;
            draft.edit().format = Some(Format::Json);
            draft.losses.dropped("response_format.schema");
            Some(whole)
        }
        _ => None,
    }
}

/// The form of the answer was changed: how it was spelled says it no longer.
fn respell(draft: &mut Draft<'_>) {
    draft.respell(&FORMS);
}

fn in_json(what: &str) -> String {
    format!("Respond with one valid JSON {what} and nothing else: no prose, no code fence.")
}

/// A form for the answer as an instruction, where it cannot be a rule.
pub(super) fn into_words(draft: &mut Draft<'_>) {
    let (text, held) = match draft.request.format.as_ref() {
        Some(Format::Schema { schema, bare: true, .. }) => {
            let words: Vec<&str> = schema
                .get("enum")
                .and_then(Value::as_array)
                .map_or_else(Vec::new, |words| words.iter().filter_map(Value::as_str).collect());
            (
                format!("Respond with exactly one of these and nothing else: {}", words.join(", ")),
                None,
            )
        }
        Some(Format::Schema { schema, .. }) => {
            // Gemini takes schemas of lists and of single values, too.
            let (what, held) = match schema.get("type").and_then(Value::as_str) {
                None | Some("object") => ("object", Some(JsonForm::Object)),
                Some("array") => ("list", Some(JsonForm::List)),
                Some(_) => ("value", None),
            };
            let rule = format!(" It must satisfy this JSON Schema: {schema}");
            (in_json(what) + &rule, held)
        }
        Some(Format::Json) => (in_json("object"), Some(JsonForm::Object)),
        Some(Format::Text) | None => return,
    };
    draft.held = held;
    let request = draft.edit();
    request.format = None;
    let instructing = |turn: &Turn| matches!(turn.role, Role::System | Role::Developer);
    let after = request.turns.iter().take_while(|turn| instructing(turn)).count();
    match &mut request.instructions {
        Some(instructions) => {
            instructions.parts.push(Part::text(text));
            instructions.shape = crate::wire::vocab::ContentShape::List;
        }
        None => request.turns.insert(after, Turn::new(Role::System, vec![Part::text(text)])),
    }
    request.forget_spelling();
    respell(draft);
}

/// A schema in Anthropic's subset: no limits, every object closed.
fn anthropic(schema: &Value, unsaid: &mut bool, depth: usize) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    if depth > DEEPEST {
        return schema.clone();
    }
    let mut fitted = Map::new();
    let mut notes = Vec::new();
    for (name, member) in members {
        let refused = REFUSED.contains(&name.as_str())
            || (name == "minItems" && member.as_u64().is_some_and(|least| least > 1))
            || (name == "format" && member.as_str().is_some_and(|one| !FORMATS.contains(&one)));
        if refused {
            notes.push(format!("{name}: {member}"));
            continue;
        }
        let inner = match name.as_str() {
            "properties" | "$defs" | "definitions" => each(member, unsaid, depth),
            "items" | "not" | "additionalItems" => anthropic(member, unsaid, depth + 1),
            "anyOf" | "allOf" | "prefixItems" => all(member, unsaid, depth),
            "oneOf" => {
                fitted.insert("anyOf".to_owned(), all(member, unsaid, depth));
                continue;
            }
            "additionalProperties" => {
                // Open objects cannot be said: what may stand there goes into words.
                if member != &Value::Bool(false) && member != &Value::Bool(true) {
                    notes.push(format!("additional properties: {member}"));
                }
                continue;
            }
            _ => member.clone(),
        };
        fitted.insert(name.clone(), inner);
    }
    let object = members.get("type").is_some_and(|kind| match kind {
        Value::String(kind) => kind == "object",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        _ => false,
    }) || members.contains_key("properties");
    if object {
        fitted.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if !notes.is_empty() {
        *unsaid = true;
        let notes = format!("({})", notes.join("; "));
        let text = match fitted.get("description").and_then(Value::as_str) {
            Some(known) if !known.is_empty() => format!("{known} {notes}"),
            _ => notes,
        };
        fitted.insert("description".to_owned(), Value::from(text));
    }
    Value::Object(fitted)
}

fn each(member: &Value, unsaid: &mut bool, depth: usize) -> Value {
    match member {
        Value::Object(inner) => Value::Object(
            inner
                .iter()
                .map(|(name, schema)| (name.clone(), anthropic(schema, unsaid, depth + 1)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn all(member: &Value, unsaid: &mut bool, depth: usize) -> Value {
    match member {
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| anthropic(item, unsaid, depth + 1)).collect())
        }
        other => other.clone(),
    }
}

/// Where an answer breaks the schema that its model could not be told: limits of numbers, texts and
/// lists, missing members, other types. `None` for one that keeps to it, or that is no JSON, which
/// is another fault.
#[must_use]
pub fn violation(schema: &Value, answer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(answer.trim()).ok()?;
    broken(schema, schema, &value, "$", 0)
}

fn broken(root: &Value, schema: &Value, value: &Value, at: &str, depth: usize) -> Option<String> {
    let members = schema.as_object().filter(|_| depth <= DEEPEST)?;
    if let Some(path) = members.get("$ref").and_then(Value::as_str) {
        let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer))?;
        return broken(root, target, value, at, depth + 1);
    }
    let number = |name: &str| members.get(name).and_then(Value::as_f64);
    let count = |name: &str| members.get(name).and_then(Value::as_u64);
    let breaks = |name: &str| Some(format!("{at}: {name} {}", members.get(name)?));
    if let Some(said) = value.as_f64() {
        if number("minimum").is_some_and(|least| said < least) {
            return breaks("minimum");
        }
        if number("maximum").is_some_and(|most| said > most) {
            return breaks("maximum");
        }
        if number("exclusiveMinimum").is_some_and(|least| said <= least) {
            return breaks("exclusiveMinimum");
        }
        if number("exclusiveMaximum").is_some_and(|most| said >= most) {
            return breaks("exclusiveMaximum");
        }
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        if count("minLength").is_some_and(|least| length < least) {
            return breaks("minLength");
        }
        if count("maxLength").is_some_and(|most| length > most) {
            return breaks("maxLength");
        }
    }
    if let Some(items) = value.as_array() {
        let length = items.len() as u64;
        if count("minItems").is_some_and(|least| length < least) {
            return breaks("minItems");
        }
        if count("maxItems").is_some_and(|most| length > most) {
            return breaks("maxItems");
        }
        let mut seen = std::collections::HashSet::new();
        if members.get("uniqueItems") == Some(&json!(true))
            && !items.iter().all(|item| seen.insert(item.to_string()))
        {
            return breaks("uniqueItems");
        }
        if let Some(schema) = members.get("items") {
            let each = items.iter().enumerate();
            let mut found = each.filter_map(|(place, item)| {
                broken(root, schema, item, &format!("{at}[{place}]"), depth + 1)
            });
            if let Some(first) = found.next() {
                return Some(first);
            }
        }
    }
    if let Some(object) = value.as_object() {
        let required = members.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Some(format!("{at}: '{name}' is missing"));
            }
        }
        let properties = members.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if let Some(inner) = object.get(name)
                && let Some(found) = broken(root, schema, inner, &format!("{at}.{name}"), depth + 1)
            {
                return Some(found);
            }
        }
    }
    if let Some(kind) = members.get("type").and_then(Value::as_str) {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            _ => true,
        };
        if !fits {
            return breaks("type");
        }
    }
    None
}
