//! Requests to providers, and answers in the forms of the surfaces.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Form, Input, Malformed, Purpose, Reply, Request};
use crate::wire::frame::json::Builder;

/// The request in a provider's form, for the model that it calls `name`.
///
/// # Errors
/// [`Malformed`] for an input that the form has no place for.
pub fn encode_request(request: &Request, form: Form, name: &str) -> Result<Bytes, Malformed> {
    let mut body = Builder::new();
    match form {
        Form::Openai => {
            let inputs = request
                .inputs
                .iter()
                .enumerate()
                .map(|(index, input)| match input {
                    Input::Text(text) => Ok(Value::from(text.as_str())),
                    Input::Tokens(tokens) => Ok(tokens.clone()),
                    Input::Parts(_) => Err(not_a_text(index)),
                })
                .collect::<Result<Vec<_>, _>>()?;
            body.set("model", name).set("input", inputs);
            body.maybe("dimensions", request.dimensions);
            if request.base64 {
                body.set("encoding_format", "base64");
            }
        }
        Form::Mistral => {
            body.set("model", name).set("input", texts(request)?);
            body.maybe("output_dimension", request.dimensions);
        }
        Form::Voyage => {
            body.set("model", name).set("input", texts(request)?);
            body.maybe(
                "input_type",
                match request.purpose {
                    Some(Purpose::Query) => Some("query"),
                    Some(Purpose::Document) => Some("document"),
                    _ => None,
                },
            );
            body.maybe("output_dimension", request.dimensions);
            if request.base64 {
                body.set("encoding_format", "base64");
            }
        }
        Form::Cohere => {
            body.set("model", name).set("texts", texts(request)?);
            body.set(
                "input_type",
                match request.purpose {
                    Some(Purpose::Query) => "search_query",
                    Some(Purpose::Classification) => "classification",
                    Some(Purpose::Clustering) => "clustering",
                    // It must be told something; what is embedded is mostly kept to be searched.
                    Some(Purpose::Document) | None => "search_document",
                },
            );
            body.set("embedding_types", json!(["float"]));
            body.maybe("output_dimension", request.dimensions);
        }
        Form::Vertex => {
            let instances: Vec<Value> = texts(request)?
                .into_iter()
                .map(|text| {
                    let mut one = Builder::new();
                    one.set("content", text).maybe("task_type", request.purpose.map(task));
                    one.done()
                })
                .collect();
            body.set("instances", instances);
            if let Some(dimensions) = request.dimensions {
                body.set("parameters", json!({ "outputDimensionality": dimensions }));
            }
        }
        Form::Gemini | Form::GeminiOne => {
            let requests = request
                .inputs
                .iter()
                .enumerate()
                .map(|(index, input)| gemini_one(request, input, index, name))
                .collect::<Result<Vec<_>, _>>()?;
            body.set("requests", requests);
        }
    }
    Ok(Bytes::from(body.done().to_string()))
}

fn not_a_text(index: usize) -> Malformed {
    Malformed::invalid(&format!("input[{index}]"), "the model embeds texts only")
}

fn texts(request: &Request) -> Result<Vec<&str>, Malformed> {
    request
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| match input {
            Input::Text(text) => Ok(text.as_str()),
            Input::Tokens(_) | Input::Parts(_) => Err(not_a_text(index)),
        })
        .collect()
}

fn gemini_one(
    request: &Request,
    input: &Input,
    index: usize,
    name: &str,
) -> Result<Value, Malformed> {
    let parts = match input {
        Input::Text(text) => json!([{ "text": text }]),
        Input::Parts(parts) => parts.clone(),
        Input::Tokens(_) => return Err(not_a_text(index)),
    };
    let mut one = Builder::new();
    one.set("model", format!("models/{name}"));
    one.set("content", json!({ "parts": parts }));
    one.maybe("taskType", request.purpose.map(task));
    one.maybe("outputDimensionality", request.dimensions);
    Ok(one.done())
}

/// Google's words for it.
fn task(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Query => "RETRIEVAL_QUERY",
        Purpose::Document => "RETRIEVAL_DOCUMENT",
        Purpose::Classification => "CLASSIFICATION",
        Purpose::Clustering => "CLUSTERING",
    }
}

/// The answer in the form of whoever asked.
///
/// # Errors
/// [`Malformed`] for vectors that cannot be unpacked.
pub fn encode_reply(
    reply: Reply,
    request: &Request,
    form: Form,
    model: &str,
    tokens: u64,
) -> Result<Bytes, Malformed> {
    let tokens = reply.tokens.unwrap_or(tokens);
    let body = match form {
        Form::Gemini | Form::GeminiOne => {
            let mut vectors = Vec::with_capacity(reply.vectors.len());
            for vector in reply.vectors {
                vectors.push(json!({ "values": vector.floats()? }));
            }
            match (form, vectors.pop()) {
                (Form::GeminiOne, Some(one)) => json!({ "embedding": one }),
                (_, last) => {
                    vectors.extend(last);
                    json!({ "embeddings": vectors })
                }
            }
        }
        Form::Openai | Form::Mistral | Form::Voyage | Form::Cohere | Form::Vertex => {
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
