//! `OAuth` 2.1 with PKCE: a user has an app's authorization server give us a token (RFC 6749, RFC 7636).

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::guard::vetted;
use super::{App, AppEntry, Auth, ConnectError};

/// An authorization server says little.
const LONGEST: usize = 64 << 10;

/// What is changed for a token.
#[derive(Debug, Clone)]
pub enum Grant {
    Code { code: String, verifier: String, redirect: String },
    Refresh { token: SecretString },
}

/// A token, and what renews it.
#[derive(Debug)]
pub struct Granted {
    pub token: SecretString,
    pub refresh: Option<SecretString>,
    pub lasts: Option<Duration>,
}

#[derive(Deserialize)]
struct Told {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: Option<u64>,
}

/// Where to send the user; `None` for an app that does not ask for it.
#[must_use]
pub fn authorize(entry: &AppEntry, redirect: &str, state: &str, verifier: &str) -> Option<String> {
    let Auth::Oauth { authorize_url, client_id, scopes, .. } = &entry.auth else { return None };
    let mut url = reqwest::Url::parse(authorize_url).ok()?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", redirect)
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    Some(url.into())
}

/// # Errors
/// [`ConnectError`] when the server refuses or cannot be reached.
pub async fn exchange(app: &App, grant: &Grant) -> Result<Granted, ConnectError> {
    let entry = &app.entry;
    let Auth::Oauth { token_url, client_id, client_secret_env, .. } = &entry.auth else {
        return Err(ConnectError::Refused("the app asks for no token".to_owned()));
    };
    let mut form = vec![("client_id", client_id.clone())];
    if let Some(secret) = client_secret_env.as_ref().and_then(|name| std::env::var(name).ok()) {
        form.push(("client_secret", secret.trim().to_owned()));
    }
    match grant {
        Grant::Code { code, verifier, redirect } => form.extend([
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.clone()),
            ("code_verifier", verifier.clone()),
            ("redirect_uri", redirect.clone()),
        ]),
        Grant::Refresh { token } => form.extend([
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", token.expose_secret().to_owned()),
        ]),
    }
    let mut encoded =
        reqwest::Url::parse("form:").map_err(|why| ConnectError::Down(why.to_string()))?;
    encoded.query_pairs_mut().extend_pairs(&form);
    let url = vetted(token_url, entry).await?;
    let down = |why: reqwest::Error| ConnectError::Down(why.without_url().to_string());
    let mut response = app
        .client()?
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(encoded.query().unwrap_or_default().to_owned())
        .send()
        .await
        .map_err(down)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(down)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(ConnectError::TooLarge(LONGEST));
        }
    }
    if !status.is_success() {
        // What it says may hold what we said: the status has to do.
        return Err(ConnectError::Refused(format!("the authorization server said {status}")));
    }
    let told: Told = serde_json::from_slice(&body)
        .map_err(|_| ConnectError::Refused("the authorization server gave no token".to_owned()))?;
    Ok(Granted {
        token: told.access_token,
        refresh: told.refresh_token,
        lasts: told.expires_in.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_verifiers_hash() {
        let auth = Auth::Oauth {
            authorize_url: "https://auth.example.com/authorize".to_owned(),
            token_url: "https://auth.example.com/token".to_owned(),
            client_id: "c".to_owned(),
            client_secret_env: None,
            scopes: vec!["a".to_owned(), "b".to_owned()],
        };
        let entry = AppEntry { auth, ..AppEntry::default() };
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let url = authorize(&entry, "https://g/cb", "s&t", verifier).unwrap();
        assert!(
            url.contains("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            "{url}"
        );
        assert!(url.contains("state=s%26t") && url.contains("scope=a+b"), "{url}");
        assert_eq!(authorize(&AppEntry::default(), "", "", ""), None);
    }
}
