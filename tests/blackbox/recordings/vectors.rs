//! Recorded embeddings: every provider's vectors are found, and both packings mean the same.

use optimux::wire::embeddings::{
    EmbeddingsForm, EmbeddingsRequest, decode_reply, decode_request, encode_reply,
};
use serde_json::Value;

use super::{lines, report};

/// Not ours to read: the bodies of Bedrock's `InvokeModel`.
fn is_spoken(row: &Value) -> bool {
    let path = row.pointer("/request/path").and_then(Value::as_str).unwrap_or_default();
    !path.contains("/invoke")
}

#[test]
fn vectors_are_found_in_every_recorded_answer() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in lines().iter().filter(|row| row["api"] == "embeddings" && is_spoken(row)) {
        let body = &row["response"]["body"];
        if row["response"]["status"] != 200 || !body.is_object() {
            continue;
        }
        checked += 1;
        let id = row["id"].as_str().unwrap();
        let reply = match decode_reply(body.to_string().as_bytes()) {
            Ok(reply) if !reply.vectors.is_empty() => reply,
            other => {
                findings.push(format!("{id}: {other:?}"));
                continue;
            }
        };
        // What was floats comes back as the same floats, packed or not.
        let ours = |base64: bool| -> Value {
            let request = EmbeddingsRequest { base64, ..EmbeddingsRequest::default() };
            let body =
                encode_reply(reply.clone(), &request, EmbeddingsForm::Openai, "m", 1).unwrap();
            serde_json::from_slice(&body).unwrap()
        };
        if !row["request"]["body"]["encoding_format"].is_string() && !id.starts_with("perplexity") {
            let packed = decode_reply(ours(true).to_string().as_bytes()).unwrap();
            let plain = decode_reply(ours(false).to_string().as_bytes()).unwrap();
            for (packed, plain) in packed.vectors.into_iter().zip(plain.vectors) {
                if packed.floats().unwrap() != plain.floats().unwrap() {
                    findings.push(format!("{id}: packed and plain differ"));
                }
            }
        }
    }
    report("embeddings", checked, &findings);
}

#[test]
fn recorded_requests_in_openai_s_form_are_read() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in lines().iter().filter(|row| row["api"] == "embeddings" && is_spoken(row)) {
        let body = &row["request"]["body"];
        let form = match (body.get("input"), body.get("requests"), body.get("content")) {
            (Some(input), ..) if input != "" => EmbeddingsForm::Openai,
            (_, Some(_), _) => EmbeddingsForm::Gemini,
            (_, _, Some(_)) => EmbeddingsForm::GeminiOne,
            _ => continue,
        };
        checked += 1;
        if let Err(why) = decode_request(body.to_string().as_bytes(), form) {
            findings.push(format!("{}: {why}", row["id"]));
        }
    }
    report("embedding requests", checked, &findings);
}
