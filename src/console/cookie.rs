//! Cookies: the session's, and that of forms which nobody is signed in for. They are read here alone,
//! and no other room looks at one.

use actix_web::HttpRequest;
use actix_web::http::header::{COOKIE, HeaderValue};

/// Longer than any session lasts, in seconds: 90 days.
const SESSION_SECONDS: u32 = 90 * 86_400;
/// How long a form may stay open before anybody is signed in, in seconds.
const FORM_SECONDS: u32 = 86_400;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    Session,
    /// What forms are bound to while nobody is signed in.
    Form,
}

impl Cookie {
    /// Under https the name itself says that nobody but this host has set it.
    fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Session, true) => "__Host-optimux",
            (Self::Session, false) => "optimux",
            (Self::Form, true) => "__Host-optimux-form",
            (Self::Form, false) => "optimux-form",
        }
    }

    /// What a browser sent of it.
    #[must_use]
    pub fn read(self, request: &HttpRequest, https: bool) -> Option<String> {
        let name = self.name(https);
        let headers = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
        let mut pairs = headers.flat_map(|value| value.split(';'));
        pairs.find_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name && !value.is_empty() && value.len() <= 100).then(|| value.to_owned())
        })
    }

    /// Has the browser keep `value`, or forget what it has.
    #[must_use]
    pub fn set(self, value: Option<&str>, https: bool) -> Option<HeaderValue> {
        let (value, seconds) = match (value, self) {
            (None, _) => ("", 0),
            (Some(value), Self::Session) => (value, SESSION_SECONDS),
            (Some(value), Self::Form) => (value, FORM_SECONDS),
        };
        let secure = if https { "; Secure" } else { "" };
        let name = self.name(https);
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_cookie_is_read_by_its_whole_name() {
        let request = TestRequest::default()
            .insert_header(("cookie", "a=1; optimux-form=f; optimux=os-x; __Host-optimux=os-y"))
            .to_http_request();
        assert_eq!(Cookie::Session.read(&request, false).as_deref(), Some("os-x"));
        assert_eq!(Cookie::Session.read(&request, true).as_deref(), Some("os-y"));
        assert_eq!(Cookie::Form.read(&request, false).as_deref(), Some("f"));
        assert_eq!(Cookie::Form.read(&request, true), None);
        let set = Cookie::Session.set(Some("os-z"), true).unwrap();
        assert!(set.to_str().unwrap().ends_with("HttpOnly; SameSite=Lax; Secure"));
        assert!(Cookie::Session.set(None, false).unwrap().to_str().unwrap().contains("Max-Age=0"));
    }
}
