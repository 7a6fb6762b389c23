//! The call of the interface that a page is made of, as a line for a shell.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde_json::Value;

use super::parts::snippet;
use super::path::encoded;

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    method: &'static str,
    /// What stands for the credential: an API key's variable, or an access token's.
    credential: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method: "GET", credential: "KEY", path, query: Vec::new(), body: None }
    }

    #[must_use]
    pub fn of(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, ..Self::get(path) }
    }

    /// It takes a person who is signed in.
    #[must_use]
    pub fn of_person(self) -> Self {
        Self { credential: "ACCESS", ..self }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        self.query.extend(value.map(|value| (name, value.into())));
        self
    }

    #[must_use]
    pub fn saying(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// As it is typed.
    #[must_use]
    pub fn line(&self) -> String {
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let asks = if query.is_empty() { "" } else { "?" };
        let mut line = String::from("curl");
        if self.method != "GET" {
            line.push_str(" -X ");
            line.push_str(self.method);
        }
        // Writing to a String cannot fail.
        let _infallible = write!(
            line,
            " \"$BASE{}{asks}{}\" -H \"Authorization: Bearer ${}\"",
            self.path,
            query.join("&"),
            self.credential
        );
        if let Some(body) = &self.body {
            let text = body.to_string().replace('\'', "'\\''");
            let _infallible =
                write!(line, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{text}'");
        }
        line
    }
}

/// The end of a page: the same by the API.
#[must_use]
pub fn shown(home: &str, calls: &[Call]) -> Markup {
    let lines: Vec<String> = calls.iter().map(Call::line).collect();
    let is_used = |credential| calls.iter().any(|call| call.credential == credential);
    let mut text = format!("BASE={home}");
    if is_used("KEY") {
        text.push_str(" KEY=sk-optimux-...");
    }
    if is_used("ACCESS") {
        text.push_str(" ACCESS=eyJ...  # the access_token of POST /api/auth/login");
    }
    let text = format!("{text}\n{}", lines.join("\n"));
    html! {
        @if !calls.is_empty() {
            details class="call" {
                summary { "The same by API" }
                (snippet("the-same-by-api", &text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_safe_in_a_shell() {
        let call = Call::of("POST", "/v1/keys").saying(json!({"name": "it's"}));
        assert!(call.line().ends_with(r#"-d '{"name":"it'\''s"}'"#), "{}", call.line());
        let call = Call::get("/v1/usage").with("start", Some("a b")).with("end", None::<String>);
        let wanted = "curl \"$BASE/v1/usage?start=a%20b\" -H \"Authorization: Bearer $KEY\"";
        assert_eq!(call.line(), wanted);
        assert!(Call::get("/v1/me").of_person().line().ends_with("Bearer $ACCESS\""));
    }
}
