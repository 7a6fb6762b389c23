//! Google's service accounts: a signed assertion is changed for a token (RFC 7523). Pure; the
//! exchange itself is the transport's.

use std::time::Duration;

use ::http::header::HeaderValue;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::base::clock::Timestamp;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that Google grants.
const LIFETIME: i64 = 3_600;

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the service account's key cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the service account's private key is not an RSA key in PKCS#8")]
    NotAKey,
    #[error("the token was refused: {0}")]
    Refused(String),
}

/// The members of a key file that are needed.
#[derive(Deserialize)]
pub struct ServiceAccount {
    client_email: String,
    private_key: SecretString,
    #[serde(default = "usual_token_uri")]
    pub token_uri: String,
}

fn usual_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

impl ServiceAccount {
    /// # Errors
    /// [`AccountError::Unreadable`] when it is not such a file's text.
    pub fn read(key: &SecretString) -> Result<Self, AccountError> {
        Ok(serde_json::from_str(key.expose_secret())?)
    }
}

/// The body of a request for a token.
///
/// # Errors
/// [`AccountError::NotAKey`] for a private key of another kind.
pub fn assertion(account: &ServiceAccount, now: Timestamp) -> Result<String, AccountError> {
    let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let issued = now.seconds();
    let header = encode(json!({"alg": "RS256", "typ": "JWT"}).to_string());
    let claims = encode(
        json!({
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": issued,
            "exp": issued + LIFETIME,
        })
        .to_string(),
    );
    let words = format!("{header}.{claims}");
    let pem: String = account
        .private_key
        .expose_secret()
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let der = BASE64_STANDARD.decode(pem).map_err(|_| AccountError::NotAKey)?;
    let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| AccountError::NotAKey)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), words.as_bytes(), &mut signature)
        .map_err(|_| AccountError::NotAKey)?;
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
    Ok(format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={words}.{signature}"
    ))
}

/// The header that a token makes, and how long it is good.
///
/// # Errors
/// [`AccountError::Refused`] with what was said in its place.
pub fn token_of(answer: &[u8]) -> Result<(HeaderValue, Duration), AccountError> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Option<String>,
        expires_in: Option<u64>,
        error_description: Option<String>,
        error: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer)?;
    let refused = answer.error_description.or(answer.error).unwrap_or_default();
    let token = answer.access_token.ok_or(AccountError::Refused(refused))?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|why| AccountError::Refused(why.to_string()))?;
    value.set_sensitive(true);
    // Google's last an hour.
    Ok((value, Duration::from_secs(answer.expires_in.unwrap_or(3_600).min(3_600))))
}
