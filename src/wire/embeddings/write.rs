//! Requests to providers, and answers in the forms of the surfaces.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::read::decode_request;
use super::{
    EmbeddingsForm, EmbeddingsReply, EmbeddingsRequest, Input, InputOptions, Malformed,
    VectorPurpose,
};
use crate::wire::Encoded;
use crate::wire::frame::json::Builder;
use crate::wire::vocab::{Dialect, Losses, Usage};

/// The request in a provider's form, for the model that it calls `name`.
///
/// # Errors
/// [`Malformed`] for an input that the form has no place for, or for wishes that differ from text to
/// text where the form has one place for all.
pub fn encode_request(
    request: &EmbeddingsRequest,
    form: EmbeddingsForm,
    name: &str,
) -> Result<Encoded, Malformed> {
    check_count(request, form)?;
    let mut body = Builder::new();
    let mut lost = Losses::default();
    let wish = |input: usize| request.wish_of(input);
    let all = request.wishes.iter();
    match form {
        EmbeddingsForm::Openai => {
            let inputs = request
                .inputs
                .iter()
                .enumerate()
                .map(|(index, input)| match input {
                    Input::Tokens(tokens) => Ok(tokens.clone()),
                    input => text(input)
                        .map(Value::from)
                        .ok_or_else(|| not_a_text(request.is_gemini, index)),
                })
                .collect::<Result<Vec<_>, _>>()?;
            body.set("model", name).set("input", inputs);
            body.maybe("dimensions", dimensions(request)?);
            if request.base64 {
                body.set("encoding_format", "base64");
            }
        }
        EmbeddingsForm::Mistral => {
            body.set("model", name).set("input", texts(request)?);
            body.maybe("output_dimension", dimensions(request)?);
        }
        EmbeddingsForm::Voyage => {
            body.set("model", name).set("input", texts(request)?);
            let purpose = purpose(request)?;
            let word = purpose.and_then(|purpose| match purpose {
                VectorPurpose::Query
                | VectorPurpose::Question
                | VectorPurpose::Fact
                | VectorPurpose::Code => Some("query"),
                VectorPurpose::Document => Some("document"),
                VectorPurpose::Classification
                | VectorPurpose::Clustering
                | VectorPurpose::Similarity => None,
            });
            if purpose.is_some() && word.is_none() {
                lost.dropped(purpose_name(request));
            }
            body.maybe("input_type", word);
            body.maybe("output_dimension", dimensions(request)?);
            body.maybe("truncation", wish(0).and_then(|wish| wish.truncate));
            if request.base64 {
                body.set("encoding_format", "base64");
            }
        }
        EmbeddingsForm::Cohere => {
            body.set("model", name).set("texts", texts(request)?);
            let word = match purpose(request)? {
                Some(
                    VectorPurpose::Query
                    | VectorPurpose::Question
                    | VectorPurpose::Fact
                    | VectorPurpose::Code,
                ) => "search_query",
                Some(VectorPurpose::Classification) => "classification",
                Some(VectorPurpose::Clustering) => "clustering",
                // It must be told something; what is embedded is mostly kept to be searched.
                Some(VectorPurpose::Document) | None => "search_document",
                Some(VectorPurpose::Similarity) => {
                    lost.dropped(purpose_name(request));
                    "search_document"
                }
            };
            body.set("input_type", word);
            body.set("embedding_types", json!(["float"]));
            body.maybe("output_dimension", dimensions(request)?);
            let truncate = wish(0).and_then(|wish| wish.truncate);
            body.maybe("truncate", truncate.map(|cuts| if cuts { "END" } else { "NONE" }));
        }
        EmbeddingsForm::Vertex => {
            let instances: Vec<Value> = texts(request)?
                .into_iter()
                .enumerate()
                .map(|(index, text)| {
                    let mut one = Builder::new();
                    one.set("content", text);
                    if let Some(wish) = wish(index) {
                        one.maybe("task_type", wish.purpose.map(task));
                        one.maybe("title", wish.title.as_deref());
                    }
                    one.done()
                })
                .collect();
            body.set("instances", instances);
            let mut parameters = Builder::new();
            parameters.maybe("outputDimensionality", dimensions(request)?);
            parameters.maybe("autoTruncate", wish(0).and_then(|wish| wish.truncate));
            if !parameters.0.is_empty() {
                body.set("parameters", parameters.done());
            }
        }
        EmbeddingsForm::Gemini | EmbeddingsForm::GeminiOne => {
            let requests = request
                .inputs
                .iter()
                .enumerate()
                .map(|(index, input)| gemini_one(wish(index), input, index, name))
                .collect::<Result<Vec<_>, _>>()?;
            body.set("requests", requests);
        }
    }
    if matches!(form, EmbeddingsForm::Openai | EmbeddingsForm::Mistral) {
        if all.clone().any(|wish| wish.purpose.is_some()) {
            lost.dropped(purpose_name(request));
        }
        if all.clone().any(|wish| wish.truncate.is_some()) {
            lost.dropped("autoTruncate");
        }
    }
    let titled =
        matches!(form, EmbeddingsForm::Vertex | EmbeddingsForm::Gemini | EmbeddingsForm::GeminiOne);
    if !titled && all.clone().any(|wish| wish.title.is_some()) {
        lost.dropped("title");
    }
    Ok(Encoded { body: Bytes::from(body.done().to_string()), losses: lost })
}

/// A request in one of Gemini's forms as a batch of Gemini's: the caller's own words, for the model that
/// it calls `name`.
///
/// # Errors
/// [`Malformed`] for what is not such a request.
pub fn encode_at_home(body: &[u8], form: EmbeddingsForm, name: &str) -> Result<Bytes, Malformed> {
    let mut whole: Map<String, Value> =
        serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    if form == EmbeddingsForm::GeminiOne {
        let one = Value::Object(std::mem::take(&mut whole));
        whole.insert("requests".to_owned(), Value::Array(vec![one]));
    }
    let requests = whole.get_mut("requests").and_then(Value::as_array_mut);
    for one in requests.into_iter().flatten().filter_map(Value::as_object_mut) {
        one.insert("model".to_owned(), Value::from(format!("models/{name}")));
    }
    Ok(Bytes::from(Value::Object(whole).to_string()))
}

/// The member in which the caller says what the vectors are for.
fn purpose_name(request: &EmbeddingsRequest) -> &'static str {
    if request.is_gemini { "taskType" } else { "input_type" }
}

/// What all texts are wished alike, where the form has one place for it.
fn one_for_all<T: PartialEq + Clone>(
    request: &EmbeddingsRequest,
    of: impl Fn(&InputOptions) -> Option<T>,
    name: &str,
) -> Result<Option<T>, Malformed> {
    let first = request.wishes.first().and_then(&of);
    match request.wishes.iter().position(|wish| of(wish) != first) {
        None => Ok(first),
        Some(index) => Err(Malformed::invalid(
            &format!("requests[{index}].{name}"),
            "the model takes one for all texts: send those that differ in requests of their own",
        )),
    }
}

fn dimensions(request: &EmbeddingsRequest) -> Result<Option<u64>, Malformed> {
    one_for_all(request, |wish| wish.dimensions, "outputDimensionality")
}

fn purpose(request: &EmbeddingsRequest) -> Result<Option<VectorPurpose>, Malformed> {
    one_for_all(request, |wish| wish.purpose, "taskType")
}

/// Batches that are larger than a provider takes would be refused there, without a word on what would do.
fn check_count(request: &EmbeddingsRequest, form: EmbeddingsForm) -> Result<(), Malformed> {
    let Some(most) = form.most_inputs().filter(|most| request.inputs.len() > *most) else {
        return Ok(());
    };
    let field = if request.is_gemini { "requests" } else { "input" };
    let text = format!("the model takes at most {most} texts in a request: send them in parts");
    Err(Malformed::invalid(field, text))
}

fn not_a_text(is_gemini: bool, index: usize) -> Malformed {
    let field = if is_gemini { "requests" } else { "input" };
    Malformed::invalid(&format!("{field}[{index}]"), "the model embeds texts only")
}

fn texts(request: &EmbeddingsRequest) -> Result<Vec<Cow<'_, str>>, Malformed> {
    let inputs = request.inputs.iter().enumerate();
    inputs
        .map(|(index, input)| text(input).ok_or_else(|| not_a_text(request.is_gemini, index)))
        .collect()
}

/// An input that is nothing but text; parts of one content are embedded together, as Gemini does.
fn text(input: &Input) -> Option<Cow<'_, str>> {
    match input {
        Input::Text(text) => Some(Cow::Borrowed(text)),
        Input::Parts(parts) => {
            let part = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
            let all: Option<Vec<String>> = parts.as_array()?.iter().map(part).collect();
            Some(Cow::Owned(all?.join("\n")))
        }
        Input::Tokens(_) => None,
    }
}

fn gemini_one(
    wish: Option<&InputOptions>,
    input: &Input,
    index: usize,
    name: &str,
) -> Result<Value, Malformed> {
    let parts = match input {
        Input::Text(text) => json!([{ "text": text }]),
        Input::Parts(parts) => parts.clone(),
        Input::Tokens(_) => return Err(not_a_text(false, index)),
    };
    let mut one = Builder::new();
    one.set("model", format!("models/{name}"));
    one.set("content", json!({ "parts": parts }));
    if let Some(wish) = wish {
        one.maybe("taskType", wish.purpose.map(task));
        one.maybe("title", wish.title.as_deref());
        one.maybe("outputDimensionality", wish.dimensions);
    }
    Ok(one.done())
}

/// Google's words for it.
fn task(purpose: VectorPurpose) -> &'static str {
    match purpose {
        VectorPurpose::Query => "RETRIEVAL_QUERY",
        VectorPurpose::Document => "RETRIEVAL_DOCUMENT",
        VectorPurpose::Classification => "CLASSIFICATION",
        VectorPurpose::Clustering => "CLUSTERING",
        VectorPurpose::Similarity => "SEMANTIC_SIMILARITY",
        VectorPurpose::Question => "QUESTION_ANSWERING",
        VectorPurpose::Fact => "FACT_VERIFICATION",
        VectorPurpose::Code => "CODE_RETRIEVAL_QUERY",
    }
}

/// The answer in the form of whoever asked.
///
/// # Errors
/// [`Malformed`] for vectors that cannot be unpacked.
pub fn encode_reply(
    reply: EmbeddingsReply,
    request: &EmbeddingsRequest,
    form: EmbeddingsForm,
    model: &str,
    tokens: u64,
) -> Result<Bytes, Malformed> {
    let usage = reply.usage.as_ref();
    let tokens = usage.map_or(tokens, Usage::prompt);
    let body = match form {
        EmbeddingsForm::Gemini | EmbeddingsForm::GeminiOne => {
            let mut vectors = Vec::with_capacity(reply.vectors.len());
            for vector in reply.vectors {
                vectors.push(json!({ "values": vector.floats()? }));
            }
            let mut told = Builder::new();
            match (form, vectors.pop()) {
                (EmbeddingsForm::GeminiOne, Some(one)) => {
                    told.set("embedding", one);
                }
                (_, last) => {
                    vectors.extend(last);
                    told.set("embeddings", vectors);
                }
            }
            told.maybe(
                "usageMetadata",
                usage.and_then(|usage| usage.raw_in(Dialect::Gemini)).cloned(),
            );
            told.done()
        }
        EmbeddingsForm::Openai
        | EmbeddingsForm::Mistral
        | EmbeddingsForm::Voyage
        | EmbeddingsForm::Cohere
        | EmbeddingsForm::Vertex => {
            let mut data = Vec::with_capacity(reply.vectors.len());
            for (index, vector) in reply.vectors.into_iter().enumerate() {
                let embedding = if request.base64 {
                    Value::from(vector.packed())
                } else {
                    json!(vector.floats()?)
                };
                data.push(json!({"object": "embedding", "index": index, "embedding": embedding}));
            }
            json!({
                "object": "list",
                "data": data,
                "model": model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            })
        }
    };
    Ok(Bytes::from(body.to_string()))
}

/// The answers to the parts of a request as one answer, in the form that they are in: vectors in the order
/// of the parts, counts added up.
///
/// # Errors
/// [`Malformed`] for an answer that cannot be read.
pub fn joined(answers: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut whole = Map::new();
    for answer in answers {
        let more: Map<String, Value> =
            serde_json::from_slice(answer).map_err(|why| Malformed::not_json(&why))?;
        if whole.is_empty() {
            whole = more;
            continue;
        }
        for (name, more) in more {
            match (name.as_str(), whole.get_mut(&name), more) {
                ("data" | "embeddings", Some(Value::Array(all)), Value::Array(more)) => {
                    let before = all.len();
                    all.extend(more.into_iter().enumerate().map(|(place, mut one)| {
                        if let Some(index) = one.get_mut("index") {
                            *index = Value::from(before + place);
                        }
                        one
                    }));
                }
                ("usage" | "usageMetadata", Some(all), more) => add_counts(all, more),
                (_, None, more) => {
                    whole.insert(name, more);
                }
                _ => {}
            }
        }
    }
    Ok(Bytes::from(Value::Object(whole).to_string()))
}

/// Adds counts to counts, through objects and lists of kinds (Gemini's details by medium).
fn add_counts(all: &mut Value, more: Value) {
    match (all, more) {
        (Value::Object(all), Value::Object(more)) => {
            for (name, more) in more {
                match all.get_mut(&name) {
                    Some(known) => add_counts(known, more),
                    None => {
                        all.insert(name, more);
                    }
                }
            }
        }
        (Value::Array(all), Value::Array(more)) => {
            for more in more {
                let alike = |one: &&mut Value| one.get("modality") == more.get("modality");
                match all.iter_mut().find(alike) {
                    Some(known) => add_counts(known, more),
                    None => all.push(more),
                }
            }
        }
        (Value::Number(all), Value::Number(more)) => {
            if let (Some(known), Some(more)) = (all.as_u64(), more.as_u64()) {
                *all = known.saturating_add(more).into();
            }
        }
        _ => {}
    }
}

/// A request in the form that a provider wants, for the model it calls `name`.
///
/// # Errors
/// [`Malformed`] for what the form cannot say.
pub fn translate(
    body: &[u8],
    from: EmbeddingsForm,
    to: EmbeddingsForm,
    name: &str,
) -> Result<Encoded, Malformed> {
    encode_request(&decode_request(body, from)?, to, name)
}
