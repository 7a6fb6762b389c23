//! The two shapes of a realtime session's settings: flat, as the first version of the interface had
//! them (`modalities`, `input_audio_format`, …), and nested, as today's has (`output_modalities`,
//! `audio.input`, …). Whoever speaks one is understood by a server that speaks the other. Source: the
//! openai SDK's types of both versions and the recordings.

use memchr::memmem;
use serde_json::{Map, Value, json};

/// The shape that a server's own session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionShape {
    Flat,
    Nested {
        /// It wants to be told the session's type.
        typed: bool,
    },
}

/// Members that only one of the shapes has.
const FLAT: [&str; 5] = [
    "modalities",
    "input_audio_format",
    "output_audio_format",
    "input_audio_transcription",
    "max_response_output_tokens",
];
const NESTED: [&str; 3] = ["output_modalities", "audio", "max_output_tokens"];

/// Where a setting stands in either shape, beside those that keep their name.
const PLACES: [(&str, [&str; 3]); 8] = [
    ("input_audio_format", ["audio", "input", "format"]),
    ("input_audio_transcription", ["audio", "input", "transcription"]),
    ("input_audio_noise_reduction", ["audio", "input", "noise_reduction"]),
    ("turn_detection", ["audio", "input", "turn_detection"]),
    ("output_audio_format", ["audio", "output", "format"]),
    ("voice", ["audio", "output", "voice"]),
    ("speed", ["audio", "output", "speed"]),
    ("input_audio_sampling_rate", ["audio", "input", "rate"]),
];

/// Samples a second, where nobody says another number.
const RATE: u64 = 24_000;

fn says(members: &Map<String, Value>, names: &[&str]) -> bool {
    names.iter().any(|name| members.contains_key(*name))
}

fn is_of_today(settings: &Map<String, Value>) -> bool {
    settings.contains_key("output_modalities")
        || settings.get("type").is_some_and(|kind| kind == "realtime")
}

fn parsed(event: &[u8], kinds: &[&str]) -> Option<Map<String, Value>> {
    let mentioned = |kind: &&str| memmem::find(event, format!("\"{kind}\"").as_bytes()).is_some();
    if !kinds.iter().any(mentioned) {
        return None;
    }
    let event: Map<String, Value> = serde_json::from_slice(event).ok()?;
    let kind = event.get("type").and_then(Value::as_str)?;
    kinds.contains(&kind).then_some(event)
}

/// The shape that a server shows by an event about its session.
#[must_use]
pub fn shown(event: &[u8]) -> Option<SessionShape> {
    let event = parsed(event, &["session.created", "session.updated"])?;
    let session = event.get("session")?.as_object()?;
    if says(session, &FLAT) {
        return Some(SessionShape::Flat);
    }
    let typed = session.get("type").is_some_and(|kind| kind == "realtime");
    (typed || says(session, &NESTED)).then_some(SessionShape::Nested { typed })
}

/// An event of a caller's in the shape that the server has, and whether the caller's is flat; `None`
/// for one that can go as it is. A server that has shown no shape yet has today's.
#[must_use]
pub fn asked(event: &[u8], theirs: Option<SessionShape>) -> Option<(String, bool)> {
    let mut event = parsed(event, &["session.update", "response.create"])?;
    let name = if event.contains_key("session") { "session" } else { "response" };
    let settings = event.get_mut(name)?.as_object_mut()?;
    let flat = says(settings, &FLAT);
    match theirs.unwrap_or(SessionShape::Nested { typed: true }) {
        SessionShape::Nested { typed } => {
            let untyped = typed && name == "session" && !settings.contains_key("type");
            if !flat && !untyped {
                return None;
            }
            if flat {
                *settings = nested(std::mem::take(settings));
            }
            if untyped {
                settings.insert("type".to_owned(), Value::from("realtime"));
            }
        }
        // xAI shows flat settings and takes nested ones; OpenAI's of today name themselves.
        SessionShape::Flat if is_of_today(settings) => {
            *settings = flattened(std::mem::take(settings));
        }
        SessionShape::Flat => return None,
    }
    Some((Value::Object(event).to_string(), flat))
}

/// Names of events that today's servers say otherwise than the first did.
const RENAMED: [(&str, &str); 7] = [
    ("response.output_text.delta", "response.text.delta"),
    ("response.output_text.done", "response.text.done"),
    ("response.output_audio.delta", "response.audio.delta"),
    ("response.output_audio.done", "response.audio.done"),
    ("response.output_audio_transcript.delta", "response.audio_transcript.delta"),
    ("response.output_audio_transcript.done", "response.audio_transcript.done"),
    ("conversation.item.added", "conversation.item.created"),
];

/// An event of a server that speaks today's interface, for a caller who speaks the first; `None` for
/// one that both have.
#[must_use]
pub fn answered_flat(event: &[u8]) -> Option<String> {
    if let Some(mut event) = parsed(event, &["session.created", "session.updated"]) {
        let session = event.get_mut("session")?.as_object_mut()?;
        *session = flattened(std::mem::take(session));
        return Some(Value::Object(event).to_string());
    }
    let text = std::str::from_utf8(event).ok()?;
    let renamed = RENAMED.iter().find(|(now, _)| text.contains(&format!("\"{now}\"")));
    // A piece of sound is long and holds nothing else to change.
    if let Some((now, then)) = renamed
        && now.ends_with("delta")
    {
        return Some(text.replacen(&format!("\"{now}\""), &format!("\"{then}\""), 1));
    }
    let parts = ["\"output_text\"", "\"output_audio\""];
    if renamed.is_none() && !parts.iter().any(|part| text.contains(part)) {
        return None;
    }
    let mut event: Value = serde_json::from_str(text).ok()?;
    rename_parts(&mut event);
    if let Some((now, then)) = renamed
        && event.get("type").is_some_and(|kind| kind == now)
        && let Some(members) = event.as_object_mut()
    {
        members.insert("type".to_owned(), Value::from(*then));
    }
    Some(event.to_string())
}

/// Parts of content have shorter types in the first version.
fn rename_parts(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let kind = match members.get("type").and_then(Value::as_str) {
                Some("output_text") => Some("text"),
                Some("output_audio") => Some("audio"),
                _ => None,
            };
            if let Some(kind) = kind {
                members.insert("type".to_owned(), Value::from(kind));
            }
            members.values_mut().for_each(rename_parts);
        }
        Value::Array(all) => all.iter_mut().for_each(rename_parts),
        _ => {}
    }
}

/// Flat settings, nested. What today's interface has no setting for (`temperature`) is left out.
fn nested(mut flat: Map<String, Value>) -> Map<String, Value> {
    let rate = flat.shift_remove("input_audio_sampling_rate").and_then(|rate| rate.as_u64());
    let mut now = Value::Object(Map::new());
    if let Some(modalities) = flat.shift_remove("modalities") {
        let spoken = modalities.as_array().is_some_and(|all| all.iter().any(|one| one == "audio"));
        now["output_modalities"] = json!([if spoken { "audio" } else { "text" }]);
    }
    for (name, [outer, side, inner]) in PLACES {
        let Some(value) = flat.shift_remove(name) else { continue };
        now[outer][side][inner] = match (inner, value.as_str()) {
            ("format", Some("pcm16")) => {
                json!({"type": "audio/pcm", "rate": rate.unwrap_or(RATE)})
            }
            ("format", Some("g711_ulaw")) => json!({"type": "audio/pcmu"}),
            ("format", Some("g711_alaw")) => json!({"type": "audio/pcma"}),
            _ => value,
        };
    }
    if let Some(most) = flat.shift_remove("max_response_output_tokens") {
        now["max_output_tokens"] = most;
    }
    flat.shift_remove("temperature");
    if let Value::Object(now) = now {
        flat.extend(now);
    }
    flat
}

/// Nested settings, flat.
fn flattened(mut now: Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    if let Some(modalities) = now.shift_remove("output_modalities") {
        let spoken = modalities.as_array().is_some_and(|all| all.iter().any(|one| one == "audio"));
        let all = if spoken { json!(["audio", "text"]) } else { json!(["text"]) };
        flat.insert("modalities".to_owned(), all);
    }
    let audio = now.shift_remove("audio").unwrap_or_default();
    for (name, [_, side, inner]) in PLACES {
        let Some(value) = audio.get(side).and_then(|side| side.get(inner)) else { continue };
        let value = match (inner, value.get("type").and_then(Value::as_str)) {
            ("format", Some("audio/pcm")) => Value::from("pcm16"),
            ("format", Some("audio/pcmu")) => Value::from("g711_ulaw"),
            ("format", Some("audio/pcma")) => Value::from("g711_alaw"),
            _ => value.clone(),
        };
        flat.insert(name.to_owned(), value);
    }
    if let Some(most) = now.shift_remove("max_output_tokens") {
        flat.insert("max_response_output_tokens".to_owned(), most);
    }
    now.shift_remove("type");
    now.extend(flat);
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    const TODAY: Option<SessionShape> = Some(SessionShape::Nested { typed: true });

    #[test]
    fn flat_settings_reach_a_server_of_today_and_nested_ones_the_first() {
        let flat = json!({"modalities": ["text", "audio"], "instructions": "i", "voice": "alloy",
            "input_audio_format": "g711_ulaw", "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "w"}, "turn_detection": null,
            "max_response_output_tokens": 9, "tools": []});
        let nested = json!({"instructions": "i", "tools": [], "type": "realtime",
            "output_modalities": ["audio"], "max_output_tokens": 9,
            "audio": {"input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "w"},
                                "turn_detection": null},
                      "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}}});
        let event = |session: &Value| json!({"type": "session.update", "session": session});
        for theirs in [TODAY, None] {
            let (sent, is_flat) = asked(event(&flat).to_string().as_bytes(), theirs).unwrap();
            assert_eq!((value(&sent), is_flat), (event(&nested), true));
        }
        assert_eq!(asked(event(&flat).to_string().as_bytes(), Some(SessionShape::Flat)), None);
        assert_eq!(asked(event(&nested).to_string().as_bytes(), TODAY), None);
        let (sent, is_flat) =
            asked(event(&nested).to_string().as_bytes(), Some(SessionShape::Flat)).unwrap();
        let back = value(&sent)["session"].clone();
        assert!(!is_flat);
        for (name, said) in flat.as_object().unwrap() {
            let same = back[name] == *said || name == "modalities";
            assert!(same, "{name}: {back}");
        }
        // A hint of a session's type is enough for a server that wants it.
        let bare = json!({"type": "session.update", "session": {"instructions": "i"}}).to_string();
        assert!(asked(bare.as_bytes(), TODAY).unwrap().0.contains("\"realtime\""));
        assert_eq!(asked(bare.as_bytes(), Some(SessionShape::Nested { typed: false })), None);
        let create = json!({"type": "response.create", "response": {"modalities": ["text"], "temperature": 0.8}});
        let (sent, _) = asked(create.to_string().as_bytes(), TODAY).unwrap();
        assert_eq!(value(&sent)["response"], json!({"output_modalities": ["text"]}));
        for other in [
            r#"{"type":"response.create"}"#,
            r#"{"type":"input_audio_buffer.append","audio":"AAAA"}"#,
            r#"{"type":"conversation.item.create","item":{"content":[{"text":"\"session.update\" modalities"}]}}"#,
            "no JSON, but \"session.update\"",
        ] {
            assert_eq!(asked(other.as_bytes(), TODAY), None, "{other}");
        }
    }

    #[test]
    fn a_server_shows_its_shape_and_its_events_bear_the_first_names_again() {
        let created =
            |session: Value| json!({"type": "session.created", "session": session}).to_string();
        for (session, shape) in [
            (json!({"modalities": ["text"], "voice": "alloy"}), Some(SessionShape::Flat)),
            (json!({"type": "realtime", "output_modalities": ["audio"]}), TODAY),
            (json!({"audio": {}}), Some(SessionShape::Nested { typed: false })),
            (json!({"id": "s"}), None),
        ] {
            assert_eq!(shown(created(session).as_bytes()), shape);
        }
        for (now, then) in RENAMED {
            let told = answered_flat(json!({"type": now, "delta": "AAAA"}).to_string().as_bytes());
            assert_eq!(value(&told.unwrap())["type"], then);
        }
        let item = json!({"type": "response.output_item.done",
            "item": {"content": [{"type": "output_text", "text": "hi"}]}});
        let told = value(&answered_flat(item.to_string().as_bytes()).unwrap());
        assert_eq!(told["item"]["content"][0]["type"], "text");
        let session = json!({"type": "realtime", "output_modalities": ["text"]});
        let told = value(&answered_flat(created(session).as_bytes()).unwrap());
        assert_eq!(told["session"], json!({"modalities": ["text"]}));
        assert_eq!(answered_flat(br#"{"type":"rate_limits.updated"}"#), None);
    }
}
