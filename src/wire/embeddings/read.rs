//! Requests of the surfaces, and answers of any provider.

use serde::Deserialize;
use serde_json::Value;

use super::{
    EmbeddingsForm, EmbeddingsReply, EmbeddingsRequest, Input, InputOptions, Malformed,
    RequestHead, Vector, VectorPurpose,
};
use crate::wire::frame::json::{Object, type_name};
use crate::wire::vocab::{Usage, tokens_in};
use crate::wire::{gemini, head::model_only};

/// The most texts of one request (OpenAI's own limit).
const MOST_INPUTS: usize = 2_048;

/// What the hot path needs of an OpenAI request.
///
/// # Errors
/// [`Malformed`] naming the field at fault.
pub fn head(body: &[u8]) -> Result<RequestHead, Malformed> {
    let head = model_only(body)?;
    decode_request(body, EmbeddingsForm::Openai)?;
    Ok(head)
}

/// # Errors
/// [`Malformed`] naming the field at fault.
pub fn decode_request(body: &[u8], form: EmbeddingsForm) -> Result<EmbeddingsRequest, Malformed> {
    let mut object = Object::parse(body)?;
    match form {
        EmbeddingsForm::Gemini => {
            let requests =
                object.list("requests")?.ok_or_else(|| Malformed::missing("requests"))?;
            check_count("requests", requests.len())?;
            let mut all = EmbeddingsRequest { is_gemini: true, ..EmbeddingsRequest::default() };
            for (index, one) in requests.into_iter().enumerate() {
                let one = Object::of(one, format!("requests[{index}]"))?;
                gemini_one(one, &mut all)?;
            }
            Ok(all)
        }
        EmbeddingsForm::GeminiOne => {
            let mut all = EmbeddingsRequest { is_gemini: true, ..EmbeddingsRequest::default() };
            gemini_one(object, &mut all)?;
            Ok(all)
        }
        EmbeddingsForm::Openai
        | EmbeddingsForm::Mistral
        | EmbeddingsForm::Voyage
        | EmbeddingsForm::Cohere
        | EmbeddingsForm::Vertex => openai(object),
    }
}

fn check_count(field: &str, count: usize) -> Result<(), Malformed> {
    if (1..=MOST_INPUTS).contains(&count) {
        return Ok(());
    }
    Err(Malformed::invalid(field, "expected 1 to 2048 texts"))
}

fn openai(mut object: Object) -> Result<EmbeddingsRequest, Malformed> {
    let mut request = EmbeddingsRequest::default();
    let is_number = |value: &Value| value.is_number();
    match object.take("input") {
        None => return Err(Malformed::missing("input")),
        Some(Value::String(text)) => request.inputs.push(input(Value::String(text), "input")?),
        Some(Value::Array(tokens)) if !tokens.is_empty() && tokens.iter().all(is_number) => {
            request.inputs.push(Input::Tokens(Value::Array(tokens)));
        }
        Some(Value::Array(all)) => {
            check_count("input", all.len())?;
            for (index, one) in all.into_iter().enumerate() {
                request.inputs.push(input(one, &format!("input[{index}]"))?);
            }
        }
        Some(other) => {
            return Err(Malformed::wrong_type("input", "a string or an array", type_name(&other)));
        }
    }
    let mut wish =
        InputOptions { dimensions: object.unsigned("dimensions")?, ..InputOptions::default() };
    if wish.dimensions == Some(0) {
        return Err(Malformed::invalid("dimensions", "expected at least 1"));
    }
    request.base64 = match object.string("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Err(Malformed::invalid("encoding_format", "expected 'float' or 'base64'"));
        }
    };
    // Not OpenAI's, but what Cohere's and Voyage's own clients say in its place.
    wish.purpose = match object.string("input_type")?.as_deref() {
        Some("query" | "search_query") => Some(VectorPurpose::Query),
        Some("document" | "search_document") => Some(VectorPurpose::Document),
        Some("classification") => Some(VectorPurpose::Classification),
        Some("clustering") => Some(VectorPurpose::Clustering),
        _ => None,
    };
    request.wishes.push(wish);
    Ok(request)
}

fn input(value: Value, path: &str) -> Result<Input, Malformed> {
    match value {
        Value::String(text) => Ok(Input::Text(text)),
        Value::Array(tokens) if !tokens.is_empty() && tokens.iter().all(Value::is_number) => {
            Ok(Input::Tokens(Value::Array(tokens)))
        }
        other => Err(Malformed::wrong_type(path, "a text", type_name(&other))),
    }
}

fn gemini_one(mut object: Object, all: &mut EmbeddingsRequest) -> Result<(), Malformed> {
    let path = object.path("content");
    let content = object.take("content").ok_or_else(|| Malformed::missing(&path))?;
    let mut content = Object::of(content, path)?;
    let parts = content.list("parts")?.ok_or_else(|| Malformed::missing(&content.path("parts")))?;
    let text = match parts.as_slice() {
        [one] => one.get("text").and_then(Value::as_str),
        _ => None,
    };
    all.inputs.push(match text {
        Some(text) => Input::Text(text.to_owned()),
        None => Input::Parts(Value::Array(parts)),
    });
    // The newer place of what stood beside the content.
    let config = object.take_either(["embedContentConfig", "embed_content_config"]);
    let mut said = |names: [&str; 2]| {
        let newer =
            config.as_ref().and_then(|config| names.iter().find_map(|name| config.get(*name)));
        newer.cloned().or_else(|| object.take_either(names))
    };
    let dimensions = said(["outputDimensionality", "output_dimensionality"]);
    let task = said(["taskType", "task_type"]);
    let title = said(["title", "title"]);
    let truncate = said(["autoTruncate", "auto_truncate"]);
    all.wishes.push(InputOptions {
        dimensions: dimensions.and_then(|value| value.as_u64()),
        purpose: match task.as_ref().and_then(Value::as_str) {
            Some("RETRIEVAL_QUERY") => Some(VectorPurpose::Query),
            Some("RETRIEVAL_DOCUMENT") => Some(VectorPurpose::Document),
            Some("SEMANTIC_SIMILARITY") => Some(VectorPurpose::Similarity),
            Some("CLASSIFICATION") => Some(VectorPurpose::Classification),
            Some("CLUSTERING") => Some(VectorPurpose::Clustering),
            Some("QUESTION_ANSWERING") => Some(VectorPurpose::Question),
            Some("FACT_VERIFICATION") => Some(VectorPurpose::Fact),
            Some("CODE_RETRIEVAL_QUERY") => Some(VectorPurpose::Code),
            _ => None,
        },
        title: title.as_ref().and_then(Value::as_str).map(str::to_owned),
        truncate: truncate.and_then(|value| value.as_bool()),
    });
    Ok(())
}

/// An answer of any form, told apart by its shape. Its vectors are in the order of the inputs,
/// whichever order they came in.
///
/// # Errors
/// [`Malformed`] when it holds no vectors, or an input's number is missing or there twice.
pub fn decode_reply(body: &[u8]) -> Result<EmbeddingsReply, Malformed> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Vec<Openai>>,
        embeddings: Option<Several>,
        embedding: Option<One>,
        predictions: Option<Vec<Prediction>>,
        usage: Option<Value>,
        meta: Option<Meta>,
        #[serde(rename = "usageMetadata")]
        metadata: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Openai {
        embedding: OneOrPacked,
        /// Which input it is of.
        index: Option<usize>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrPacked {
        Floats(Vec<f32>),
        Packed(String),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Several {
        Values(Vec<Values>),
        /// Cohere's first version.
        Bare(Vec<Vec<f32>>),
        ByType {
            float: Vec<Vec<f32>>,
        },
    }
    #[derive(Deserialize)]
    struct Values {
        values: Vec<f32>,
        statistics: Option<Statistics>,
    }
    /// Gemini's, or Ollama's bare one.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum One {
        Values(Values),
        Bare(Vec<f32>),
    }
    /// Vertex counts by text, in fractions.
    #[derive(Deserialize)]
    struct Statistics {
        token_count: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Prediction {
        embeddings: Values,
    }
    #[derive(Deserialize)]
    struct Meta {
        billed_units: Option<Billed>,
    }
    #[derive(Deserialize)]
    struct Billed {
        /// Cohere writes some counts as fractions.
        input_tokens: Option<f64>,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let floats = |all: Vec<Vec<f32>>| all.into_iter().map(Vector::Floats).collect();
    let counts = |all: &[Prediction]| -> Option<f64> {
        all.iter().map(|one| one.embeddings.statistics.as_ref()?.token_count).sum()
    };
    let predicted = answer.predictions.as_deref().and_then(counts);
    let several = answer.embeddings.or_else(|| {
        let values = answer.predictions?.into_iter().map(|one| one.embeddings).collect();
        Some(Several::Values(values))
    });
    let vectors: Vec<Vector> = match (answer.data, several, answer.embedding) {
        (Some(mut data), ..) => {
            // Where nobody numbers them they are in order.
            if data.iter().any(|one| one.index.is_some()) {
                data.sort_by_key(|one| one.index);
                let numbered = data.iter().enumerate().all(|(at, one)| one.index == Some(at));
                if !numbered {
                    return Err(Malformed::new(
                        "the vectors are not numbered from 0 without a gap",
                    ));
                }
            }
            data.into_iter()
                .map(|one| match one.embedding {
                    OneOrPacked::Floats(values) => Vector::Floats(values),
                    OneOrPacked::Packed(text) => Vector::Packed(text),
                })
                .collect()
        }
        (_, Some(Several::Values(all)), _) => {
            floats(all.into_iter().map(|one| one.values).collect())
        }
        (_, Some(Several::Bare(all) | Several::ByType { float: all }), _) => floats(all),
        (_, _, Some(One::Values(Values { values, .. }) | One::Bare(values))) => {
            vec![Vector::Floats(values)]
        }
        _ => return Err(Malformed::new("the answer holds no vectors")),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let billed = answer
        .meta
        .and_then(|meta| meta.billed_units?.input_tokens)
        .or(predicted)
        .map(|tokens| tokens.max(0.0) as u64);
    let by_medium = answer.metadata.map(|raw| gemini::usage_from(raw, 0));
    let counted = answer.usage.and_then(|usage| {
        let names = ["prompt_tokens", "input_tokens", "total_tokens"];
        names.into_iter().find_map(|name| usage.get(name).and_then(tokens_in))
    });
    let plain = counted.or(billed).map(|input| Usage { input, ..Usage::default() });
    let usage = by_medium.filter(|usage| usage.prompt() > 0).or(plain);
    Ok(EmbeddingsReply { vectors, usage })
}
