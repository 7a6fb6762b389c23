//! What names a person or an account, replaced by what kind of thing it was.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// Members whose text is not words: names, kinds, bytes, proofs.
const NOT_WORDS: [&str; 20] = [
    "model",
    "role",
    "type",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "previous_response_id",
    "conversation",
    "name",
    "data",
    "file_data",
    "file_id",
    "signature",
    "thoughtSignature",
    "encrypted_content",
    "mime_type",
    "mimeType",
    "media_type",
    "prompt_cache_key",
];

fn made(pattern: &str) -> Option<Regex> {
    // Every pattern is tried by a test.
    Regex::new(pattern).ok()
}

/// Kinds in the order in which they are looked for.
static KINDS: LazyLock<Vec<(&'static str, Option<Regex>)>> = LazyLock::new(|| {
    vec![
        ("EMAIL", made(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,24}")),
        ("IBAN", made(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
        ("CARD", made(r"\b(?:\d[ \-]?){12,18}\d\b")),
        ("SSN", made(r"\b\d{3}-\d{2}-\d{4}\b")),
        (
            "PHONE",
            made(
                r"\+\d{1,3}[ .\-]?\(?\d{1,4}\)?[ .\-]?\d{3,9}(?:[ .\-]\d{2,6})*\b|(?:\+\d{1,3}[ .\-]?)?(?:\(\d{2,4}\)[ .\-]?|\b\d{2,4}[ .\-])\d{2,4}[ .\-]\d{2,4}(?:[ .\-]?\d{2,4})?\b|\+\d{8,15}\b",
            ),
        ),
        ("IP", made(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b")),
        ("SECRET", made(r"\b(?:sk|pk|ghp|gho|xoxb|xoxp|AKIA)[-_A-Za-z0-9]{16,}\b")),
    ]
});

/// Luhn's sum, which every card number passes and one in ten other numbers.
fn is_card(digits: &str) -> bool {
    let digits = digits.bytes().filter(u8::is_ascii_digit).map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A text without what names a person; borrowed where there was nothing.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut all = Cow::Borrowed(text);
    for (kind, pattern) in KINDS.iter() {
        let Some(pattern) = pattern else { continue };
        let replaced = pattern.replace_all(&all, |found: &Captures<'_>| {
            let found = &found[0];
            if *kind == "CARD" && !is_card(found) { found.to_owned() } else { format!("[{kind}]") }
        });
        if let Cow::Owned(replaced) = replaced {
            all = Cow::Owned(replaced);
        }
    }
    all
}

/// Members whose objects are what a tool is called with or came back with, whatever its members are
/// called.
const TOOL_DATA: [&str; 4] = ["input", "args", "arguments", "response"];

/// Redacts every text of a request's body, in whichever dialect; how many texts were changed.
pub fn redact_body(body: &mut Value) -> usize {
    redact(body, false)
}

/// `of_tool`: inside of what is a tool's own, where every text is words.
fn redact(body: &mut Value, of_tool: bool) -> usize {
    match body {
        Value::String(text) => {
            let Cow::Owned(clean) = redacted(text) else { return 0 };
            let changed = usize::from(clean != *text);
            *text = clean;
            changed
        }
        Value::Array(all) => all.iter_mut().map(|one| redact(one, of_tool)).sum(),
        Value::Object(members) => members
            .iter_mut()
            .filter(|(name, value)| {
                let address = value.as_str().is_some_and(|text| {
                    text.starts_with("data:")
                        || text.starts_with("http:")
                        || text.starts_with("https:")
                });
                (of_tool || !NOT_WORDS.contains(&name.as_str())) && !address
            })
            .map(|(name, value)| {
                let of_tool = of_tool || value.is_object() && TOOL_DATA.contains(&name.as_str());
                redact(value, of_tool)
            })
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn persons_are_replaced_and_words_are_not() {
        assert!(KINDS.iter().all(|(_, pattern)| pattern.is_some()), "a pattern does not compile");
        for (text, clean) in [
            ("write to ann.b@example.co.uk now", "write to [EMAIL] now"),
            ("pay 4111 1111 1111 1111 please", "pay [CARD] please"),
            ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [IBAN]."),
            ("call +49 30 1234567 or (555) 123-4567", "call [PHONE] or [PHONE]"),
            ("ssn 078-05-1120", "ssn [SSN]"),
            ("from 192.168.1.20", "from [IP]"),
            ("key sk-abcdefghijklmnop1234", "key [SECRET]"),
        ] {
            assert_eq!(redacted(text), clean);
        }
        for text in [
            "In 2024 we sold 1,234,567 units at 3.14 each.",
            "x = a[1] - 20 * 30",
            "The year 1984-1985 and version 1.2.3",
            "Prove that $2^{10} = 1024$.",
        ] {
            assert!(matches!(redacted(text), Cow::Borrowed(_)), "{}", redacted(text));
        }
    }

    #[test]
    fn what_tools_are_called_with_is_words_whatever_its_members_are_called() {
        let data =
            json!({"name": "a@b.com", "id": "a@b.com", "data": ["a@b.com"], "type": "a@b.com"});
        for mut body in [
            json!({"messages": [{"role": "assistant", "content": [
                {"type": "tool_use", "id": "a@b.com", "name": "send", "input": data}]}]}),
            json!({"contents": [{"parts": [{"functionCall": {"name": "send", "args": data}}]}]}),
            json!({"contents": [{"parts": [{"functionResponse": {"name": "send", "response": data}}]}]}),
            json!({"messages": [{"role": "assistant", "tool_calls": [
                {"id": "a@b.com", "function": {"name": "send", "arguments": data.to_string()}}]}]}),
            json!({"input": [{"type": "function_call", "name": "send", "arguments": data.to_string()}]}),
        ] {
            redact_body(&mut body);
            let text = body.to_string();
            // But for the id of the call itself.
            assert!(text.matches("a@b.com").count() <= 1, "{text}");
            assert_eq!(text.matches("[EMAIL]").count(), 4, "{text}");
        }
    }

    #[test]
    fn only_words_of_a_body_are_changed() {
        let mut body = json!({
            "model": "a@b.com",
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "I am a@b.com"},
                {"type": "image_url", "image_url": {"url": "https://x.y/a@b.com.png"}},
            ]}],
            "temperature": 0.5,
        });
        assert_eq!(redact_body(&mut body), 1);
        assert_eq!(body["model"], "a@b.com");
        assert_eq!(body["messages"][0]["content"][0]["text"], "I am [EMAIL]");
        assert_eq!(
            body["messages"][0]["content"][1]["image_url"]["url"],
            "https://x.y/a@b.com.png"
        );
    }
}
