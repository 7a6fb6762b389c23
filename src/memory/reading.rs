//! What models make of memories, where the configuration names some: vectors, and what is stated.

use serde::Deserialize;
use serde_json::json;

use super::Remembering;
use crate::admit::Caller;
use crate::base::{Error, Kind};
use crate::platform::embedding::{self, packed};
use crate::platform::facts;
use crate::store::{Memory, RelationRow};
use crate::wire::codec;
use crate::wire::vocab::Dialect;

/// Memories of one request that a model is asked about.
const ASKED: usize = 16;

/// What an embedding model answers, as far as it matters here.
#[derive(Deserialize)]
struct Vectors {
    data: Vec<OneVector>,
}

/// What an extraction model answers.
#[derive(Deserialize)]
struct Read {
    relations: Vec<ReadRelation>,
}

#[derive(Deserialize)]
struct ReadRelation {
    subject: String,
    #[serde(default)]
    subject_type: String,
    #[serde(default)]
    relation: String,
    object: String,
    #[serde(default)]
    object_type: String,
}

impl ReadRelation {
    fn row(self, memory: &str) -> RelationRow {
        let short = |text: String| text.replace('\0', "").chars().take(200).collect();
        RelationRow {
            memory: memory.to_owned(),
            subject: short(self.subject),
            subject_kind: short(self.subject_type),
            relation: short(self.relation),
            object: short(self.object),
            object_kind: short(self.object_type),
        }
    }
}

#[derive(Deserialize)]
struct OneVector {
    embedding: Vec<f32>,
}

const READ: &str = "Read the text and answer with a JSON object only: {\"relations\": [{\"subject\", \
\"subject_type\", \"relation\", \"object\", \"object_type\"}]}. Types are person, organization, place, \
thing. The relation is a short verb phrase, or empty for a mere mention.";

impl Remembering<'_> {
    /// Vectors for texts, and who made them.
    pub(super) async fn vectors(
        &self,
        caller: &Caller,
        texts: &[&str],
    ) -> Result<(String, Vec<Vec<i8>>), Error> {
        let Some(model) = &self.memories.asked.embedding_model else {
            let all = texts.iter().map(|text| packed(&embedding::embed(text))).collect();
            return Ok((embedding::NAME.to_owned(), all));
        };
        let body = json!({"model": model, "input": texts, "encoding_format": "float"}).to_string();
        let body = self.models.embed(caller, body.into()).await?;
        let all: Vectors = serde_json::from_slice(&body).map_err(Error::internal)?;
        if all.data.len() != texts.len() {
            return Err(Error::new(
                Kind::UpstreamDown,
                "The embedding model answered with too few.",
            ));
        }
        Ok((model.clone(), all.data.iter().map(|one| packed(&one.embedding)).collect()))
    }

    /// What a memory states: as the configured model reads it, or by rules, where there is none, it
    /// cannot be asked, or there are too many to ask it about.
    pub(super) async fn stated(
        &self,
        caller: &Caller,
        memory: &Memory,
        among: usize,
    ) -> Vec<RelationRow> {
        if let Some(model) =
            self.memories.asked.extraction_model.as_deref().filter(|_| among <= ASKED)
        {
            match self.read_by(caller, model, &memory.text).await {
                Ok(read) => return read.into_iter().map(|one| one.row(&memory.id)).collect(),
                Err(why) => {
                    tracing::warn!(
                        %why,
                        model,
                        "the extraction model failed: relations are found by rules; check memory.extraction_model"
                    );
                }
            }
        }
        let rows = facts::relations(&memory.text).into_iter().map(|relation| RelationRow {
            memory: memory.id.clone(),
            subject: relation.subject.name,
            subject_kind: relation.subject.kind.to_owned(),
            relation: relation.relation,
            object: relation.object.name,
            object_kind: relation.object.kind.to_owned(),
        });
        rows.collect()
    }

    /// What a model finds in a text, charged to the caller as any request.
    async fn read_by(
        &self,
        caller: &Caller,
        model: &str,
        text: &str,
    ) -> Result<Vec<ReadRelation>, Error> {
        let body = json!({
            "model": model,
            "messages": [{"role": "system", "content": READ}, {"role": "user", "content": text}],
            "response_format": {"type": "json_object"},
            "max_completion_tokens": 1_000,
        });
        let body = self.models.complete(caller, body.to_string().into()).await?;
        let reply = codec(Dialect::OpenAiChat).decode_reply(&body)?;
        let said: String =
            reply.choices.first().map(|one| one.turn.texts().collect()).unwrap_or_default();
        relations(&said).map_err(Error::internal)
    }
}

/// The relations in what a model answered. Some wrap what they write in a fence.
fn relations(said: &str) -> Result<Vec<ReadRelation>, serde_json::Error> {
    let said = said.trim().trim_start_matches("```json").trim_matches('`');
    let read: Read = serde_json::from_str(said)?;
    Ok(read.relations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_reads_is_found_in_a_fence_too() {
        let plain = json!({"relations": [{"subject": "Ada", "subject_type": "person",
            "relation": "works at", "object": "Acme"}]});
        for said in [plain.to_string(), format!("```json\n{plain}\n```\n"), format!(" {plain} ")] {
            let read = relations(&said).unwrap();
            let row = read.into_iter().next().unwrap().row("mem_1");
            assert_eq!((row.subject.as_str(), row.object.as_str()), ("Ada", "Acme"), "{said}");
            assert_eq!((row.memory.as_str(), row.object_kind.as_str()), ("mem_1", ""));
        }
        for bad in ["", "I found none.", "{\"relations\": [{\"subject\": 1}]}"] {
            assert!(relations(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_model_makes_up_is_kept_short_and_without_zeros() {
        let long = json!({"relations": [{"subject": "a\u{0}b", "object": "x".repeat(1_000)}]});
        let row = relations(&long.to_string()).unwrap().remove(0).row("m");
        assert_eq!((row.subject.as_str(), row.object.len()), ("ab", 200));
    }
}
