//! A rule that asks a server: what is said goes there, and its verdict comes back in time or not at
//! all.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::entry::{GuardrailEntry, OnError};
use crate::base::egress::Egress;

/// How long it may take, if nothing else is said, and at most.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER_BYTES: usize = 256 << 10;
/// Strings that one answer may want masked.
const MOST_MASKS: usize = 200;

/// What is asked.
#[derive(Debug, Clone, Serialize)]
pub struct Question<'a> {
    pub request_id: &'a str,
    pub stage: &'static str,
    pub account: &'a str,
    pub text: &'a str,
}

/// What a webhook says of a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum WebhookVerdict {
    Allow,
    Block,
    Mask {
        /// The strings that are to be replaced, as they stand in the text.
        masks: Vec<String>,
    },
    Flag,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("it cannot be asked: {0}")]
    Http(#[from] reqwest::Error),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer is longer than {ANSWER_BYTES} bytes")]
    TooLong,
    #[error("its answer is none: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its answer wants more than {MOST_MASKS} strings masked, or none")]
    Masks,
    #[error("the question was given up")]
    GivenUp,
}

/// A server that is asked.
#[derive(Debug)]
pub struct Webhook {
    client: Client,
    url: Url,
    token: Option<SecretString>,
    pub on_error: OnError,
    /// Where its connections live: the threads of requests come and go.
    runtime: Option<Handle>,
}

impl Webhook {
    /// # Errors
    /// What is wrong with the rule, in words.
    pub fn of(
        entry: &GuardrailEntry,
        egress: &Egress,
        runtime: Option<&Handle>,
    ) -> Result<Self, String> {
        let text = entry.url.as_deref().ok_or("a webhook has a 'url'")?;
        let url = Url::parse(text).map_err(|why| format!("'{text}' is no address: {why}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("'{text}' is no address of HTTP"));
        }
        let token = match &entry.token_env {
            None => None,
            Some(name) => {
                let token = std::env::var(name).unwrap_or_default().trim().to_owned();
                if token.is_empty() {
                    return Err(format!("{name} is not set (token_env)"));
                }
                Some(SecretString::from(token))
            }
        };
        let timeout = entry.timeout.map_or(PATIENCE, |timeout| timeout.0);
        if timeout.is_zero() || timeout > MOST_PATIENCE {
            let most = MOST_PATIENCE.as_secs();
            return Err(format!("'timeout' is a duration of at most {most} s"));
        }
        let client = egress.client().and_then(|client| client.timeout(timeout).build());
        let client = client.map_err(|why| why.to_string())?;
        let on_error = entry.on_error;
        Ok(Self { client, url, token, on_error, runtime: runtime.cloned() })
    }

    /// # Errors
    /// Why there is no verdict.
    pub async fn ask(&self, question: &Question<'_>) -> Result<WebhookVerdict, WebhookError> {
        let body = serde_json::to_vec(question)?;
        let mut request =
            self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let said = match &self.runtime {
            Some(runtime) => {
                runtime.spawn(answer(request)).await.map_err(|_| WebhookError::GivenUp)??
            }
            None => answer(request).await?,
        };
        let said: WebhookVerdict = serde_json::from_slice(&said)?;
        if let WebhookVerdict::Mask { masks } = &said
            && (masks.len() > MOST_MASKS || masks.iter().all(String::is_empty))
        {
            return Err(WebhookError::Masks);
        }
        Ok(said)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Vec<u8>, WebhookError> {
    let mut response = request.send().await?;
    if !response.status().is_success() {
        return Err(WebhookError::Status(response.status().as_u16()));
    }
    let mut all = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if all.len() + chunk.len() > ANSWER_BYTES {
            return Err(WebhookError::TooLong);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_one_of_four() {
        let read = |text: &str| serde_json::from_str::<WebhookVerdict>(text).ok();
        assert_eq!(read(r#"{"verdict":"allow","why":"fine"}"#), Some(WebhookVerdict::Allow));
        assert_eq!(read(r#"{"verdict":"block"}"#), Some(WebhookVerdict::Block));
        let masks = vec!["Ann".to_owned()];
        assert_eq!(
            read(r#"{"verdict":"mask","masks":["Ann"]}"#),
            Some(WebhookVerdict::Mask { masks })
        );
        for wrong in [r#"{"verdict":"maybe"}"#, r#"{"verdict":"mask"}"#, "{}", "[]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
