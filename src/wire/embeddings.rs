//! Embeddings: OpenAI's form in front, and how Gemini says the same.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::frame::json::span_of;
use super::vocab::{Head, Malformed};

/// The most texts of one request (OpenAI's own limit).
const MOST_INPUTS: usize = 2_048;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    input: Option<Value>,
    encoding_format: Option<String>,
    dimensions: Option<u64>,
}

fn read(body: &[u8]) -> Result<Body<'_>, Malformed> {
    serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))
}

/// What the hot path needs of a request.
///
/// # Errors
/// [`Malformed`] naming the field at fault.
pub fn head(body: &[u8]) -> Result<Head, Malformed> {
    let read = read(body)?;
    let model = read.model.ok_or_else(|| Malformed::missing("model"))?;
    let name: Cow<'_, str> = serde_json::from_str(model.get())
        .map_err(|_| Malformed::wrong_type("model", "a string", "another type"))?;
    match &read.input {
        None => return Err(Malformed::missing("input")),
        Some(Value::String(text)) if !text.is_empty() => {}
        Some(Value::Array(all)) if !all.is_empty() && all.len() <= MOST_INPUTS => {}
        Some(Value::String(_) | Value::Array(_)) => {
            return Err(Malformed::invalid(
                "input",
                "expected 1 to 2048 texts, none of them empty",
            ));
        }
        Some(_) => {
            return Err(Malformed::wrong_type("input", "a string or an array", "another type"));
        }
    }
    if let Some(format) = read.encoding_format.as_deref()
        && !matches!(format, "float" | "base64")
    {
        return Err(Malformed::invalid("encoding_format", "expected 'float' or 'base64'"));
    }
    Ok(Head {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        prompt_bytes: body.len(),
        ..Head::default()
    })
}

/// The same request as Gemini's `batchEmbedContents`.
///
/// # Errors
/// [`Malformed`] for tokens in the place of text, which only their own tokenizer understands.
pub fn to_gemini(body: &[u8], model: &str) -> Result<Bytes, Malformed> {
    let read = read(body)?;
    let texts = match read.input {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(all)) => all
            .into_iter()
            .map(|one| match one {
                Value::String(text) => Ok(text),
                _ => Err(Malformed::wrong_type("input", "text", "tokens")),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(Malformed::missing("input")),
    };
    let requests: Vec<Value> = texts
        .into_iter()
        .map(|text| {
            let mut one = json!({
                "model": format!("models/{model}"),
                "content": {"parts": [{"text": text}]},
            });
            if let (Some(dimensions), Some(one)) = (read.dimensions, one.as_object_mut()) {
                one.insert("outputDimensionality".to_owned(), Value::from(dimensions));
            }
            one
        })
        .collect();
    Ok(Bytes::from(json!({ "requests": requests }).to_string()))
}

/// Gemini's answer in OpenAI's form. Gemini counts no tokens for most models: `tokens` stands in.
///
/// # Errors
/// [`Malformed`] when it holds no vectors.
pub fn from_gemini(
    answer: &[u8],
    request: &[u8],
    model: &str,
    tokens: u64,
) -> Result<Bytes, Malformed> {
    #[derive(Deserialize)]
    struct Answer {
        embeddings: Vec<Vector>,
    }
    #[derive(Deserialize)]
    struct Vector {
        values: Vec<f32>,
    }
    let answer: Answer = serde_json::from_slice(answer).map_err(|why| Malformed::not_json(&why))?;
    let base64 = read(request)?.encoding_format.as_deref() == Some("base64");
    let data: Vec<Value> = answer
        .embeddings
        .into_iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding =
                if base64 { Value::from(packed(&vector.values)) } else { json!(vector.values) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let body = json!({
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    Ok(Bytes::from(body.to_string()))
}

/// Little-endian float32 in base64, as OpenAI's SDKs unpack it.
#[must_use]
pub fn packed(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_packed_as_the_sdks_unpack_them() {
        // Python: base64.b64encode(struct.pack("<3f", 0.5, -1, 2))
        assert_eq!(packed(&[0.5, -1.0, 2.0]), "AAAAPwAAgL8AAABA");
        assert_eq!(packed(&[0.5]), "AAAAPw==");
        assert_eq!(packed(&[]), "");
    }

    #[test]
    fn gemini_says_the_same() {
        let body = br#"{"model":"m","input":["a","b"],"dimensions":2,"encoding_format":"base64"}"#;
        let theirs: Value = serde_json::from_slice(&to_gemini(body, "g").unwrap()).unwrap();
        assert_eq!(theirs["requests"][1]["content"]["parts"][0]["text"], "b");
        assert_eq!(theirs["requests"][0]["outputDimensionality"], 2);
        let answer = br#"{"embeddings":[{"values":[0.5]},{"values":[0.5]}]}"#;
        let ours: Value =
            serde_json::from_slice(&from_gemini(answer, body, "m", 3).unwrap()).unwrap();
        assert_eq!(
            ours["data"][1],
            json!({"object": "embedding", "index": 1, "embedding": "AAAAPw=="})
        );
        assert_eq!(ours["usage"]["total_tokens"], 3);
    }

    #[test]
    fn nothing_to_embed_is_refused() {
        for body in [
            r#"{"model":"m"}"#,
            r#"{"model":"m","input":""}"#,
            r#"{"model":"m","input":[]}"#,
            r#"{"input":"a"}"#,
            r#"{"model":"m","input":"a","encoding_format":"x"}"#,
        ] {
            assert!(head(body.as_bytes()).is_err(), "{body}");
        }
    }
}
