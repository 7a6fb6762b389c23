//! Credentials onto a request.

use ::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::catalogue::{Auth, Provider};

/// The headers that every request to a provider carries. Secrets are marked sensitive, so that
/// nothing prints them. A header that cannot be sent is left out; the provider will say so.
#[must_use]
pub fn headers(provider: &Provider) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &provider.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
        {
            headers.insert(name, value);
        }
    }
    let Some(key) = &provider.api_key else { return headers };
    let key = key.expose_secret();
    let (name, value) = match provider.auth {
        Auth::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        Auth::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
        Auth::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
        Auth::None => return headers,
    };
    if let Ok(mut value) = HeaderValue::try_from(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}
