//! Between JSON Schema and what Gemini reads.

use serde_json::{Map, Value};

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

/// Gemini's older OpenAPI subset writes types in capitals; JSON Schema does not.
#[must_use]
pub(super) fn from_openapi(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| {
                    let member = match (name.as_str(), member) {
                        ("type", Value::String(word)) => Value::from(word.to_ascii_lowercase()),
                        _ => from_openapi(member),
                    };
                    (name.clone(), member)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(from_openapi).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
}
