//! How long a provider asks to be left alone, in every form in which it is said: in headers (seconds,
//! milliseconds or a date), and in the body of an error.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// Nobody is left alone for longer, whatever was said.
const LONGEST: Duration = Duration::from_secs(86_400);

/// `OpenAI`'s own header, and Azure's, both in milliseconds.
const MILLISECONDS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];

/// A wait of `seconds`; `None` for one that is none, or no number.
fn of_seconds(seconds: f64) -> Option<Duration> {
    let wait = seconds > 0.0;
    wait.then(|| Duration::try_from_secs_f64(seconds).map_or(LONGEST, |wait| wait.min(LONGEST)))
}

/// What the headers of an answer say. `Retry-After` has seconds or a date (RFC 9110, 10.2.3); a date
/// that is over asks for nothing.
#[must_use]
pub fn in_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    if let Some(wait) = MILLISECONDS.iter().find_map(|name| of_seconds(number(name)? / 1000.0)) {
        return Some(wait);
    }
    let text = text(RETRY_AFTER.as_str())?;
    match text.parse::<f64>() {
        Ok(seconds) => of_seconds(seconds),
        Err(_) => {
            let wait = httpdate::parse_http_date(text).ok()?.duration_since(now).ok()?;
            of_seconds(wait.as_secs_f64())
        }
    }
}

/// What an error of Google's says: `details` holds a `RetryInfo` with a `retryDelay` of `"30s"`.
/// Source: google.rpc.RetryInfo; a duration is written as seconds with an `s`.
#[must_use]
pub(in crate::wire) fn in_error(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay"))?;
    match delay {
        Value::String(text) => of_seconds(text.trim().strip_suffix('s')?.parse().ok()?),
        Value::Object(parts) => {
            let part = |name: &str| parts.get(name).and_then(Value::as_f64).unwrap_or_default();
            of_seconds(part("seconds") + part("nanos") / 1e9)
        }
        other => of_seconds(other.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_is_understood() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        for (name, value, wait) in [
            ("retry-after", "30", Some(30_000)),
            ("retry-after", " 1.5 ", Some(1_500)),
            ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT", Some(30_000)),
            ("retry-after", "Wednesday, 21-Oct-15 07:28:30 GMT", Some(30_000)),
            ("retry-after", "Wed Oct 21 07:28:30 2015", Some(30_000)),
            ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT", None),
            ("retry-after", "99999999999", Some(86_400_000)),
            ("retry-after", "0", None),
            ("retry-after", "-4", None),
            ("retry-after", "NaN", None),
            ("retry-after", "soon", None),
            ("retry-after-ms", "250", Some(250)),
            ("x-ms-retry-after-ms", "250", Some(250)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let wait = wait.map(Duration::from_millis);
            assert_eq!(in_headers(&headers, now), wait, "{name}: {value}");
        }
        for (delay, wait) in [
            (json!("30s"), Some(30_000)),
            (json!("1.5s"), Some(1_500)),
            (json!({"seconds": 2, "nanos": 500_000_000}), Some(2_500)),
            (json!("0s"), None),
            (json!("long"), None),
        ] {
            let error = json!({"details": [{"@type": "x"}, {"retryDelay": delay}]});
            assert_eq!(in_error(&error), wait.map(Duration::from_millis), "{error}");
        }
    }
}
