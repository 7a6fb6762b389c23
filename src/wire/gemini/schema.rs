//! Between JSON Schema and what Gemini reads.

use serde_json::{Map, Value, json};

/// References may nest, and a schema may refer to itself: beyond this it is cut to "anything".
const DEEPEST: usize = 12;
/// Inlining can multiply: a schema that would grow beyond this many nodes is cut too.
const LARGEST: usize = 20_000;

/// A schema with its local `$ref`s written out, because Gemini refuses them in most places.
#[must_use]
pub(super) fn inlined(schema: &Value) -> Value {
    if !mentions_ref(schema) {
        return schema.clone();
    }
    let mut room = LARGEST;
    let mut whole = expand(schema, schema, 0, &mut room);
    if let Some(object) = whole.as_object_mut() {
        object.shift_remove("$defs");
        object.shift_remove("definitions");
    }
    whole
}

/// Whether the schema of a tool's arguments asks for anything: properties, one of several schemas, or members
/// under any name.
#[must_use]
pub(super) fn says_anything(schema: &Value) -> bool {
    let filled = |name: &str| match schema.get(name) {
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    };
    let members = ["properties", "patternProperties", "additionalProperties"];
    members.into_iter().chain(["anyOf", "oneOf", "allOf", "$ref"]).any(filled)
        || schema.get("$ref").is_some_and(Value::is_string)
}

fn mentions_ref(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key("$ref") || members.values().any(mentions_ref)
        }
        Value::Array(items) => items.iter().any(mentions_ref),
        _ => false,
    }
}

fn expand(value: &Value, root: &Value, depth: usize, room: &mut usize) -> Value {
    *room = room.saturating_sub(1);
    if *room == 0 {
        return Value::Object(Map::new());
    }
    match value {
        Value::Object(members) => {
            if let Some(path) = members.get("$ref").and_then(Value::as_str) {
                let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                return match target {
                    Some(target) if depth < DEEPEST => {
                        let mut target = expand(target, root, depth + 1, room);
                        // A description beside the reference says more than the shared one.
                        if let Some(target) = target.as_object_mut() {
                            for (name, member) in members.iter().filter(|(name, _)| *name != "$ref")
                            {
                                target.insert(name.clone(), member.clone());
                            }
                        }
                        target
                    }
                    _ => Value::Object(Map::new()),
                };
            }
            Value::Object(
                members
                    .iter()
                    .filter(|(name, _)| {
                        depth > 0 || !matches!(name.as_str(), "$defs" | "definitions")
                    })
                    .map(|(name, member)| (name.clone(), expand(member, root, depth, room)))
                    .collect(),
            )
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| expand(item, root, depth, room)).collect())
        }
        other => other.clone(),
    }
}

/// Limits that Google's JavaScript SDK writes as texts.
const NUMBERS: [&str; 9] = [
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "multipleOf",
];

/// Types by the numbers that they have in Google's definition.
const TYPES: [&str; 8] = ["", "string", "number", "integer", "boolean", "array", "object", "null"];

/// Gemini's older subset of OpenAPI as JSON Schema, which writes types in small letters, limits as
/// numbers, and `null` as a type of its own.
#[must_use]
pub(super) fn from_openapi(schema: &Value) -> Value {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(items) => return Value::Array(items.iter().map(from_openapi).collect()),
        other => return other.clone(),
    };
    let mut read = Map::new();
    for (name, member) in members {
        let value = match (name.as_str(), member) {
            ("nullable", Value::Bool(_)) | ("propertyOrdering" | "property_ordering", _) => {
                continue;
            }
            ("type", Value::String(word)) => Value::from(word.to_ascii_lowercase()),
            ("type", Value::Number(number)) => {
                let number = number.as_u64().and_then(|number| usize::try_from(number).ok());
                number
                    .and_then(|number| TYPES.get(number))
                    .map_or_else(|| member.clone(), |word| Value::from(*word))
            }
            // Names of the caller's own.
            ("properties" | "$defs" | "definitions" | "defs", Value::Object(named)) => named
                .iter()
                .map(|(name, schema)| (name.clone(), from_openapi(schema)))
                .collect::<Map<String, Value>>()
                .into(),
            ("enum" | "default" | "example" | "const", value) => value.clone(),
            (name, Value::String(text)) if NUMBERS.contains(&name) => {
                text.parse::<serde_json::Number>().map_or_else(|_| member.clone(), Value::Number)
            }
            (_, member) => from_openapi(member),
        };
        read.insert(name.clone(), value);
    }
    if members.get("nullable") == Some(&Value::Bool(true)) {
        allow_null(&mut read);
    }
    Value::Object(read)
}

/// Says in JSON Schema's way that `null` will do as well.
fn allow_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(Value::Array(types)) if !types.contains(&json!("null")) => types.push(json!("null")),
        Some(kind @ Value::String(_)) => *kind = json!([kind, "null"]),
        _ => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("anyOf") {
        kinds.push(json!({"type": "null"}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_written_out_and_recursion_ends() {
        let schema = json!({
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
            "properties": {"head": {"$ref": "#/$defs/node", "description": "first"}},
        });
        let flat = inlined(&schema);
        assert!(!mentions_ref(&flat), "{flat}");
        assert_eq!(flat["properties"]["head"]["type"], "object");
        assert_eq!(flat["properties"]["head"]["description"], "first");
        assert!(flat.get("$defs").is_none());
    }

    #[test]
    fn a_schema_that_multiplies_is_cut() {
        let mut defs = Map::new();
        for level in 0..11 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            let wide: Map<String, Value> =
                (0..20).map(|n| (format!("p{n}"), next.clone())).collect();
            defs.insert(format!("d{level}"), json!({"properties": wide}));
        }
        defs.insert("d11".to_owned(), json!({"type": "string"}));
        let schema = json!({"$defs": defs, "$ref": "#/$defs/d0"});
        assert!(inlined(&schema).to_string().len() < 2_000_000);
    }

    #[test]
    fn openapi_s_own_words_are_said_in_json_schema_s() {
        let schema = json!({
            "type": "OBJECT",
            "propertyOrdering": ["a", "nullable"],
            "properties": {
                "a": {"type": "STRING", "nullable": true, "enum": ["X", "Y"]},
                "b": {"type": "ARRAY", "minItems": "1", "maxItems": 3, "items": {"type": "INTEGER", "maximum": "9"}},
                "c": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": true},
                "nullable": {"type": "BOOLEAN", "nullable": false, "default": {"type": "STRING"}},
            },
        });
        assert_eq!(
            from_openapi(&schema),
            json!({
                "type": "object",
                "properties": {
                    "a": {"type": ["string", "null"], "enum": ["X", "Y", null]},
                    "b": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "integer", "maximum": 9}},
                    "c": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
                    "nullable": {"type": "boolean", "default": {"type": "STRING"}},
                },
            })
        );
    }
}
