//! Credentials onto a request.

use std::time::{Duration, UNIX_EPOCH};

use ::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use secrecy::ExposeSecret;

use crate::base::clock::Clock;
use crate::catalogue::{ApiKey, Auth, AwsCredential, Provider};

/// The headers that every request to a provider carries, with the first of its keys. Secrets are marked
/// sensitive, so that nothing prints them. A header that cannot be sent is left out; the provider will
/// say so.
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
    headers.extend(credential(provider, 0));
    headers
}

/// The header that holds one of a provider's keys; none where it is not sent as it is.
#[must_use]
pub fn credential(provider: &Provider, at: usize) -> Option<(HeaderName, HeaderValue)> {
    let key = provider.keys.get(at)?.secret.expose_secret();
    let (name, value) = match provider.auth {
        Auth::Google if needs_token(provider, at).is_some() => return None,
        Auth::Bearer | Auth::Aws | Auth::Google => (AUTHORIZATION, format!("Bearer {key}")),
        Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        Auth::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
        Auth::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
        Auth::None => return None,
    };
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The service account's key that has to be changed for a token first.
#[must_use]
pub fn needs_token(provider: &Provider, at: usize) -> Option<&ApiKey> {
    let key = provider.keys.get(at).filter(|_| provider.auth == Auth::Google)?;
    key.secret.expose_secret().trim_start().starts_with('{').then_some(key)
}

/// Signs a request to Bedrock (Signature Version 4): its address, its body and the time.
///
/// # Errors
/// When something of it cannot be signed.
pub fn with_aws(
    credential: &AwsCredential,
    region: &str,
    url: &str,
    body: &[u8],
    headers: &mut HeaderMap,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let now = u64::try_from(Clock::System.now().0).unwrap_or_default();
    let identity = Credentials::new(
        credential.access_key.as_str(),
        credential.secret_key.expose_secret(),
        credential.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
        None,
        "optimux",
    )
    .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("bedrock")
        .time(UNIX_EPOCH + Duration::from_millis(now))
        .settings(SigningSettings::default())
        .build()?
        .into();
    let request = SignableRequest::new("POST", url, std::iter::empty(), SignableBody::Bytes(body))?;
    let (signed, _) = sign(request, &parameters)?.into_parts();
    for (name, value) in signed.headers() {
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name)?, value);
    }
    Ok(())
}
