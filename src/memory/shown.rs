//! Memories, and what they name, as callers read them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::base::clock::Timestamp;
use crate::platform::recall::Hit;
use crate::store::Memory;

pub(super) fn tags_of(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}

/// A memory as callers read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Memory")]
pub struct ShownMemory {
    pub id: String,
    object: &'static str,
    pub text: String,
    tags: Vec<String>,
    metadata: Value,
    /// In seconds since the epoch.
    created_at: i64,
    expires_at: Option<i64>,
    embedded_by: String,
    /// How well it fits what was searched for: greater is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// Cosine of the vectors, from -1 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f64>,
    /// Whose it is, where it was kept by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
}

impl ShownMemory {
    /// The same, with how well it fits what was searched for.
    pub(super) fn found(self, hit: &Hit) -> Self {
        Self { score: Some(hit.score), similarity: Some(hit.similarity.into()), ..self }
    }

    /// The same, with whose it is.
    #[must_use]
    pub fn of(self, user: String) -> Self {
        Self { user_id: Some(user), ..self }
    }
}

/// What a user's memories name, and how it stands to each other.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Graph {
    pub(super) object: &'static str,
    pub(super) user_id: String,
    pub(super) entities: Vec<GraphEntity>,
    pub(super) relations: Vec<GraphRelation>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GraphEntity {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) mentions: usize,
    /// Ids of those that say so.
    pub(super) memories: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GraphRelation {
    pub(super) subject: String,
    pub(super) relation: String,
    pub(super) object: String,
    pub(super) memories: Vec<String>,
}

pub(super) fn shown(memory: &Memory) -> ShownMemory {
    ShownMemory {
        id: memory.id.clone(),
        object: "memory",
        text: memory.text.clone(),
        tags: tags_of(&memory.tags),
        metadata: serde_json::from_str(&memory.metadata).unwrap_or_default(),
        created_at: memory.created.seconds(),
        expires_at: memory.expires.map(Timestamp::seconds),
        embedded_by: memory.embedded_by.clone(),
        score: None,
        similarity: None,
        user_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn memory() -> Memory {
        Memory {
            id: "mem_1".to_owned(),
            place: 7,
            text: "Ada likes tea.".to_owned(),
            tags: r#"["drinks"]"#.to_owned(),
            metadata: r#"{"from": "chat"}"#.to_owned(),
            created: Timestamp(1_999),
            expires: Some(Timestamp(61_500)),
            embedded_by: "m".to_owned(),
            embedding: "AAAA".to_owned(),
        }
    }

    #[test]
    fn a_memory_is_told_in_seconds_and_without_what_is_kept_for_finding_it() {
        assert_eq!(
            serde_json::to_value(shown(&memory())).unwrap(),
            json!({"id": "mem_1", "object": "memory", "text": "Ada likes tea.", "tags": ["drinks"],
                "metadata": {"from": "chat"}, "created_at": 1, "expires_at": 61, "embedded_by": "m"})
        );
        let lasting = shown(&Memory { expires: None, ..memory() });
        let told = serde_json::to_value(lasting).unwrap();
        assert_eq!(
            told.get("expires_at"),
            Some(&Value::Null),
            "it is said that it does not expire"
        );
    }

    #[test]
    fn whose_it_is_and_how_well_it_fits_is_told_where_that_was_asked() {
        let hit = Hit { id: "mem_1".to_owned(), score: 0.5, similarity: -0.25, has_words: true };
        let found = serde_json::to_value(shown(&memory()).found(&hit)).unwrap();
        assert_eq!((&found["score"], &found["similarity"]), (&json!(0.5), &json!(-0.25)));
        assert!(found.get("user_id").is_none());
        let told = serde_json::to_value(shown(&memory()).of("ada".to_owned())).unwrap();
        assert_eq!(told["user_id"], "ada");
        assert!(told.get("score").is_none() && told.get("similarity").is_none());
    }

    #[test]
    fn what_was_kept_and_cannot_be_read_is_nothing_and_not_the_end_of_a_list() {
        let broken = Memory { tags: "drinks".to_owned(), metadata: "{".to_owned(), ..memory() };
        let told = shown(&broken);
        assert!(told.tags.is_empty() && told.metadata.is_null());
        assert_eq!(told.text, "Ada likes tea.");
    }
}
