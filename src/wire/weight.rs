//! How large a prompt is, found without reading it: what is inline and no words (pictures, documents,
//! sounds) counts for what it comes to in tokens, not for its bytes.

/// A shorter text is not worth looking at.
const LEAST_BYTES: usize = 2_048;
/// Bytes of text that make a token, roughly.
const BYTES_PER_TOKEN: usize = 4;

/// What one picture counts for, in tokens; providers charge from 85 to about 1,600.
pub const PICTURE_TOKENS: u64 = 800;
/// A document, a sound or a video.
pub const FILE_TOKENS: u64 = 3_000;

/// The size of a request's words in bytes, with what is inline in base64 put at [`PICTURE_TOKENS`] or
/// [`FILE_TOKENS`] each.
#[must_use]
pub fn prompt_bytes(body: &[u8]) -> usize {
    let words = body.len() - spelling(body);
    if body.len() < LEAST_BYTES {
        return words;
    }
    let (mut size, mut start) = (words, 0);
    for end in memchr::memchr_iter(b'"', body) {
        let text = body.get(start..end).unwrap_or_default();
        start = end + 1;
        if let Some(data) = inline(text) {
            let tokens = usize::try_from(tokens(data)).unwrap_or(usize::MAX);
            size = size
                .saturating_sub(data.len())
                .saturating_add(tokens.saturating_mul(BYTES_PER_TOKEN));
        }
    }
    // Never more than if it were all words.
    size.min(words)
}

/// Bytes that only the spelling takes: line ends and what indents the next line, which no string holds as
/// such, and what `\uXXXX` takes beyond the letter in UTF-8 (most are of three bytes).
fn spelling(body: &[u8]) -> usize {
    let mut bytes = 0;
    for end in memchr::memchr_iter(b'\n', body) {
        let behind = body.get(end + 1..).unwrap_or_default();
        bytes += 1 + behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    }
    let escapes = memchr::memmem::find_iter(body, b"\\u");
    let real = escapes.filter(|at| at.checked_sub(1).and_then(|at| body.get(at)) != Some(&b'\\'));
    bytes + real.count() * 3
}

/// The base64 in a JSON string, if that is what it holds: all of it, or what follows the head of a
/// data URI.
fn inline(text: &[u8]) -> Option<&[u8]> {
    if text.len() < LEAST_BYTES {
        return None;
    }
    let head = text.get(..200).unwrap_or(text);
    let data = match memchr::memmem::find(head, b";base64,") {
        Some(at) => text.get(at + 8..)?,
        None => text,
    };
    // `\n` and `\/` are how JSON writes a line end and PHP a slash.
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=\\".contains(byte);
    data.iter().all(is_base64).then_some(data)
}

/// What the bytes begin with tells pictures (PNG, JPEG, GIF, WebP) from all else.
fn tokens(data: &[u8]) -> u64 {
    let pictures: [&[u8]; 4] = [b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR"];
    let escaped = data.starts_with(b"\\/9j");
    if escaped || pictures.iter().any(|magic| data.starts_with(magic)) {
        PICTURE_TOKENS
    } else {
        FILE_TOKENS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_request_is_spelled_counts_for_little() {
        let plain = r#"{"messages":[{"content":"你好世界 a\\user"}]}"#;
        let value: serde_json::Value = serde_json::from_str(plain).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let escaped = plain.replace('你', r"\u4f60").replace('好', r"\u597d");
        let count = |body: &str| prompt_bytes(body.as_bytes());
        assert_eq!(count(plain), plain.len());
        assert_eq!(count(&escaped), plain.len());
        assert!(count(&pretty) < plain.len() + 10, "{} of {}", count(&pretty), plain.len());
    }

    #[test]
    fn what_is_inline_counts_for_what_it_is() {
        let megabyte = "A".repeat(1 << 20);
        let picture = usize::try_from(PICTURE_TOKENS).unwrap() * BYTES_PER_TOKEN;
        let file = usize::try_from(FILE_TOKENS).unwrap() * BYTES_PER_TOKEN;
        for (body, size) in [
            (format!(r#"{{"url":"data:image/png;base64,iVBORw0KGgo{megabyte}"}}"#), picture),
            (format!(r#"{{"data":"/9j/{megabyte}"}}"#), picture),
            (format!(r#"{{"data":"\/9j\/{megabyte}"}}"#), picture),
            (format!(r#"{{"data":"R0lGOD{}"}}"#, megabyte.replace("AAAA", "-_A=")), picture),
            (format!(r#"{{"file_data":"data:application/pdf;base64,JVBERi{megabyte}"}}"#), file),
            (format!(r#"{{"data":"UklGR{megabyte}","more":"JVBERi{megabyte}"}}"#), picture + file),
        ] {
            let counted = prompt_bytes(body.as_bytes());
            assert!((size..size + 100).contains(&counted), "{counted} for {}", &body[..40]);
        }
        // Words are words, however many.
        let words = format!(r#"{{"text":"{}"}}"#, "one two ".repeat(10_000));
        assert_eq!(prompt_bytes(words.as_bytes()), words.len());
        // A small picture is not made larger than its bytes.
        let small = format!(r#"{{"data":"/9j/{}"}}"#, "A".repeat(2_048));
        assert_eq!(prompt_bytes(small.as_bytes()), small.len());
    }
}
