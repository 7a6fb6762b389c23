//! The schemas of all types that operations name, by their names.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// A chat completion as OpenAI's interface has it, described where it comes from: only what is looked at to
/// decide is said here.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its codec reads it")]
pub(super) struct ChatRequest {
    model: String,
    messages: Vec<ChatMessage>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "its codec reads it")]
struct ChatMessage {
    role: String,
    content: Value,
}

/// Why something was refused, as the dialects and `respond` write it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is written by whoever knows the dialect")]
pub(super) struct Error {
    error: Why,
}

/// In words, or with what it is about.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "it is written by whoever knows the dialect")]
enum Why {
    Words(String),
    Told { message: String, r#type: Option<String>, param: Option<String>, code: Option<String> },
}

/// Schemas of what is told and of what is answered: a type that is read may be written otherwise.
pub(super) struct Schemas {
    pub told: SchemaGenerator,
    pub answered: SchemaGenerator,
}

impl Schemas {
    pub fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            told: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    /// All of them, by their names; and the names of those that are read otherwise than they are written, which
    /// are called otherwise, too.
    pub fn all(mut self) -> (Map<String, Value>, Vec<String>) {
        let mut all = self.answered.take_definitions(true);
        let mut told = Value::Object(self.told.take_definitions(true));
        let mut renamed: Vec<String> = Vec::new();
        if let Value::Object(told) = &told {
            let other = |(name, schema): &(&String, &Value)| {
                all.get(*name).is_some_and(|known| known != *schema)
            };
            renamed.extend(told.iter().filter(other).map(|(name, _)| name.clone()));
        }
        rename(&mut told, &renamed);
        if let Value::Object(told) = told {
            all.extend(told.into_iter().map(|(name, schema)| (told_as(&name, &renamed), schema)));
        }
        (all, renamed)
    }
}

fn told_as(name: &str, renamed: &[String]) -> String {
    if renamed.iter().any(|one| one == name) { format!("{name}Told") } else { name.to_owned() }
}

/// Has everything within lead to what is told, where that is another.
pub(super) fn rename(value: &mut Value, renamed: &[String]) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let name = member.as_str().and_then(|text| text.strip_prefix(SCHEMAS));
                match name.filter(|_| key == "$ref") {
                    Some(name) => {
                        *member = Value::from(format!("{SCHEMAS}{}", told_as(name, renamed)));
                    }
                    None => rename(member, renamed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, renamed)),
        _ => {}
    }
}

/// Where schemas stand in the document.
const SCHEMAS: &str = "#/components/schemas/";

/// As the document has it.
pub(super) fn written(schema: Schema) -> Value {
    schema.to_value()
}
