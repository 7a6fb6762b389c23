//! Whatever the bytes, no codec panics: recorded bodies with one thing wrong in them, and noise.

use optimux::wire::embeddings::EmbeddingsForm;
use optimux::wire::frame::sse::{Frame, Splitter};
use optimux::wire::vocab::Dialect;
use optimux::wire::{Heading, Target, codec, embeddings, images};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{Row, rows};

/// Recorded bodies of moderate size, read once.
fn bodies() -> &'static Vec<(Dialect, Value)> {
    static BODIES: std::sync::OnceLock<Vec<(Dialect, Value)>> = std::sync::OnceLock::new();
    BODIES.get_or_init(|| {
        rows()
            .into_iter()
            .flat_map(|Row { api, request, body, .. }| {
                [request, body].into_iter().flatten().map(move |body| (api, body))
            })
            .filter(|(_, body)| body.to_string().len() < 20_000)
            .collect()
    })
}

fn streams() -> &'static Vec<(Dialect, String)> {
    static STREAMS: std::sync::OnceLock<Vec<(Dialect, String)>> = std::sync::OnceLock::new();
    STREAMS.get_or_init(|| {
        rows()
            .into_iter()
            .filter_map(|row| Some((row.api, row.stream?)))
            .filter(|(_, text)| text.len() < 20_000)
            .collect()
    })
}

/// Every value of a tree, by its path.
fn nodes(value: &Value, path: String, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                nodes(
                    member,
                    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
                    out,
                );
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                nodes(item, format!("{path}/{index}"), out);
            }
        }
        _ => {}
    }
    out.push(path);
}

fn wrong() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(1.5e300)),
        Just(json!("")),
        Just(json!("data:;base64,")),
        Just(json!("\u{0}\u{2028}é")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null])),
        Just(json!({"type": "text", "text": null})),
        Just(json!({"$ref": "#"})),
    ]
}

fn try_everything(dialect: Dialect, bytes: &[u8]) {
    let home = codec(dialect);
    let target = Target { max_output_tokens: 10, ..Target::SELF };
    let _head = home.head(bytes);
    for form in [EmbeddingsForm::Openai, EmbeddingsForm::Gemini, EmbeddingsForm::GeminiOne] {
        let _embedding = embeddings::decode_request(bytes, form);
    }
    let _vectors = embeddings::decode_reply(bytes);
    let _picture = images::decode_request(bytes);
    let _drawn = images::from_gemini(bytes, 0);
    let _usage = home.usage(bytes);
    let _tapped = home.tap(bytes);
    let _echo = home.echo(bytes);
    for status in [200, 400, 500] {
        let _error = home.decode_error(status, bytes).into_error();
    }
    if let Ok(request) = home.decode_request(bytes) {
        for other in Dialect::ALL {
            let encoded = codec(other).encode_request(&request, &target).unwrap();
            let _: Value = serde_json::from_slice(&encoded.body).unwrap();
        }
    }
    if let Ok(reply) = home.decode_reply(bytes) {
        for other in Dialect::ALL {
            let _: Value =
                serde_json::from_slice(&codec(other).encode_reply(&reply, &Heading::default()))
                    .unwrap();
            let mut writer = codec(other).writer(Heading::default());
            let mut out = Vec::new();
            writer.write(&reply.events(), &mut out);
            writer.finish(&mut out);
        }
    }
}

fn stream_through(dialect: Dialect, bytes: &[u8]) {
    for other in Dialect::ALL {
        let mut reader = codec(dialect).reader();
        let mut writer = codec(other).writer(Heading { include_usage: true, ..Heading::default() });
        let mut splitter = Splitter::new(1 << 20);
        let mut out = Vec::new();
        let mut read = |frame: Frame<'_>| {
            let mut events = Vec::new();
            let _tapped = codec(dialect).tap(frame.data);
            if reader.read(&frame, &mut events).is_ok() {
                writer.write(&events, &mut out);
            }
        };
        let _fed = splitter.feed(bytes, &mut read);
        splitter.finish(&mut read);
        let mut events = Vec::new();
        let _ended = reader.finish(&mut events);
        writer.write(&events, &mut out);
        writer.finish(&mut out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_wrong_value_anywhere_is_survived(which in any::<Index>(), place in any::<Index>(), wrong in wrong()) {
        let (dialect, body) = which.get(bodies());
        let mut paths = Vec::new();
        nodes(body, String::new(), &mut paths);
        let mut body = body.clone();
        if let Some(node) = body.pointer_mut(place.get::<String>(&paths)) {
            *node = wrong;
        }
        try_everything(*dialect, body.to_string().as_bytes());
    }

    #[test]
    fn a_wrong_byte_in_a_stream_is_survived(which in any::<Index>(), place in any::<Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let (dialect, text) = which.get(streams());
        let mut bytes = text.clone().into_bytes();
        if !bytes.is_empty() {
            let at = place.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
        }
        stream_through(*dialect, &bytes);
    }

    #[test]
    fn another_dialects_words_are_survived(which in any::<Index>(), stream in any::<Index>()) {
        let (dialect, body) = which.get(bodies());
        let (theirs, text) = stream.get(streams());
        for other in Dialect::ALL {
            if other != *dialect {
                try_everything(other, body.to_string().as_bytes());
            }
            if other != *theirs {
                stream_through(other, text.as_bytes());
            }
        }
    }
}
