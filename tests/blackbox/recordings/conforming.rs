//! What we say on OpenAI's surfaces, against OpenAI's own document: every recorded answer and stream
//! of the other dialects, told there.

use std::collections::BTreeMap;
use std::io::Read;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jsonschema::{Registry, Validator};
use optimux::base::{Error, Kind};
use optimux::wire::embeddings::{
    EmbeddingsForm, EmbeddingsReply, EmbeddingsRequest, Vector, encode_reply,
};
use optimux::wire::frame::{Splitter, sse};
use optimux::wire::vocab::{Dialect, Protocol};
use optimux::wire::{Heading, codec, images, provider_side};
use serde_json::{Value, json};

use super::lines;

const SCHEMAS: &[u8] = include_bytes!("../../specs/openai-schemas.json.gz");
const BASE: &str = "json-schema:///openai";

struct Schemas(Value);

impl Schemas {
    fn read() -> Self {
        let mut text = String::new();
        flate2::read::GzDecoder::new(SCHEMAS).read_to_string(&mut text).unwrap();
        let mut schemas = serde_json::from_str(&text).unwrap();
        allow_null(&mut schemas);
        Self(schemas)
    }

    fn validator(&self, name: &str) -> Validator {
        let registry = Registry::new().add(BASE, self.0.clone()).unwrap().prepare().unwrap();
        let schema = json!({"$ref": format!("{BASE}#/components/schemas/{name}")});
        jsonschema::options().with_registry(&registry).build(&schema).unwrap()
    }
}

impl Schemas {
    /// The members of a union by their `type`, so that a finding names what is wrong.
    fn by_type(&self, union: &str) -> BTreeMap<String, Validator> {
        let at = |name: &str| &self.0["components"]["schemas"][name];
        let members = at(union)["anyOf"].as_array().or_else(|| at(union)["oneOf"].as_array());
        let names = members
            .unwrap()
            .iter()
            .map(|one| one["$ref"].as_str().unwrap().rsplit('/').next().unwrap());
        names
            .map(|name| {
                let kind = &at(name)["properties"]["type"];
                let kind = kind["const"].as_str().or_else(|| kind["enum"][0].as_str()).unwrap();
                (kind.to_owned(), self.validator(name))
            })
            .collect()
    }
}

/// One schema of the document still says `nullable`, which its version of JSON Schema does not know.
fn allow_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(allow_null);
            if members.shift_remove("nullable") == Some(json!(true)) {
                let inner = Value::Object(std::mem::take(members));
                members.insert("anyOf".to_owned(), json!([inner, {"type": "null"}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(allow_null),
        _ => {}
    }
}

/// Findings by what is wrong, with an example and a count.
#[derive(Default)]
struct Findings(BTreeMap<String, (usize, String)>);

impl Findings {
    fn check(&mut self, validator: &Validator, value: &Value, id: &str) {
        for why in validator.iter_errors(value).take(3) {
            let text = why.to_string();
            let what: String =
                format!("{}: {}", why.instance_path(), text.chars().take(300).collect::<String>());
            let entry = self.0.entry(what).or_insert_with(|| (0, id.to_owned()));
            entry.0 += 1;
        }
    }

    fn report(&self, what: &str, checked: usize) {
        assert!(checked > 0, "nothing was checked");
        assert!(self.0.is_empty(), "{what}, {checked} checked: {:#?}", self.0);
    }
}

fn protocol(row: &Value) -> Option<Protocol> {
    Some(match row["api"].as_str()? {
        "chat" => Protocol::Dialect(Dialect::OpenAiChat),
        "responses" => Protocol::Dialect(Dialect::OpenAiResponses),
        "messages" => Protocol::Dialect(Dialect::Anthropic),
        "gemini" => Protocol::Dialect(Dialect::Gemini),
        "bedrock" => Protocol::Bedrock,
        _ => return None,
    })
}

fn heading() -> Heading {
    Heading {
        id: "resp_1".to_owned(),
        model: "m".to_owned(),
        created: 1,
        include_usage: true,
        ..Heading::default()
    }
}

#[test]
fn answers_conform_to_openai_s_document() {
    let schemas = Schemas::read();
    for (front, name) in [
        (Dialect::OpenAiChat, "CreateChatCompletionResponse"),
        (Dialect::OpenAiResponses, "Response"),
    ] {
        let validator = schemas.validator(name);
        let (mut checked, mut findings) = (0, Findings::default());
        for row in lines() {
            let Some(protocol) = protocol(&row).filter(|one| *one != Protocol::Dialect(front))
            else {
                continue;
            };
            let body = &row["response"]["body"];
            let Ok(reply) = provider_side(protocol).decode_reply(body.to_string().as_bytes())
            else {
                continue;
            };
            checked += 1;
            let told = codec(front).encode_reply(&reply, &heading());
            let told: Value = serde_json::from_slice(&told).unwrap();
            findings.check(&validator, &told, row["id"].as_str().unwrap());
        }
        findings.report(name, checked);
    }
}

#[test]
fn streams_conform_to_openai_s_document() {
    let schemas = Schemas::read();
    for (front, name) in [
        (Dialect::OpenAiChat, "CreateChatCompletionStreamResponse"),
        (Dialect::OpenAiResponses, "ResponseStreamEvent"),
    ] {
        let whole = schemas.validator(name);
        let kinds = match front {
            Dialect::OpenAiResponses => schemas.by_type(name),
            _ => BTreeMap::new(),
        };
        let (mut checked, mut findings) = (0, Findings::default());
        for row in lines() {
            let Some(protocol) = protocol(&row).filter(|one| *one != Protocol::Dialect(front))
            else {
                continue;
            };
            let response = &row["response"];
            let bytes = match (response["text"].as_str(), response["base64"].as_str()) {
                (Some(text), _) => text.as_bytes().to_vec(),
                (None, Some(text)) => BASE64_STANDARD.decode(text).unwrap(),
                _ => continue,
            };
            let theirs = provider_side(protocol);
            let (mut reader, mut writer) = (theirs.reader(), codec(front).writer(heading()));
            let (mut events, mut out) = (Vec::new(), Vec::new());
            let mut splitter: Splitter = theirs.splitter(1 << 26);
            let read = |frame: sse::Frame<'_>| {
                events.clear();
                if reader.read(&frame, &mut events).is_ok() {
                    writer.write(&events, &mut out);
                }
            };
            if splitter.feed(&bytes, read).is_err() {
                continue;
            }
            let mut last = Vec::new();
            if reader.finish(&mut last) {
                writer.write(&last, &mut out);
                writer.finish(&mut out);
            }
            let mut told = Vec::new();
            sse::Splitter::new(1 << 26).feed(&out, |frame| told.push(frame.data.to_vec())).unwrap();
            for data in told.iter().filter(|data| *data != b"[DONE]") {
                let event: Value = serde_json::from_slice(data).unwrap();
                // A chat stream that fails says so in an object of its own.
                if event.get("error").is_some_and(Value::is_object) && front == Dialect::OpenAiChat
                {
                    continue;
                }
                // The document has custom calls in whole answers only; OpenAI streams them as well.
                if event.to_string().contains("\"type\":\"custom\"") {
                    continue;
                }
                checked += 1;
                let kind = event["type"].as_str().and_then(|kind| kinds.get(kind));
                findings.check(kind.unwrap_or(&whole), &event, row["id"].as_str().unwrap());
            }
        }
        findings.report(name, checked);
    }
}

#[test]
fn errors_vectors_and_pictures_conform_to_openai_s_document() {
    let schemas = Schemas::read();
    let mut findings = Findings::default();
    let validator = schemas.validator("ErrorResponse");
    let kinds = [
        Kind::Malformed,
        Kind::Unsupported,
        Kind::ContextLength,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::UnknownModel,
        Kind::NotFound,
        Kind::Conflict,
        Kind::TooLarge,
        Kind::RateLimited,
        Kind::Internal,
        Kind::UpstreamDown,
        Kind::Overloaded,
        Kind::Timeout,
    ];
    for kind in kinds {
        for front in [Dialect::OpenAiChat, Dialect::OpenAiResponses] {
            let (_, body) = codec(front).encode_error(&Error::new(kind, "why"));
            let body = serde_json::from_slice(&body).unwrap();
            findings.check(&validator, &body, &format!("{kind:?}"));
        }
    }
    let vectors = EmbeddingsReply { vectors: vec![Vector::Floats(vec![0.5, 1.0])], usage: None };
    let body = encode_reply(vectors, &EmbeddingsRequest::default(), EmbeddingsForm::Openai, "m", 3)
        .unwrap();
    let validator = schemas.validator("CreateEmbeddingResponse");
    findings.check(&validator, &serde_json::from_slice(&body).unwrap(), "embeddings");
    let drawn = json!({"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}}]});
    let body = images::from_gemini(drawn.to_string().as_bytes(), 1).unwrap();
    let validator = schemas.validator("ImagesResponse");
    findings.check(&validator, &serde_json::from_slice(&body).unwrap(), "images");
    findings.report("the rest", kinds.len());
}
