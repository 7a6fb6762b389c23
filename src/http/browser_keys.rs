//! Browser keys, in our own form and in that of OpenAI's realtime interface.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Worker, arrival, respond, visit};
use crate::admit::{Bound, Scope, Usd};
use crate::base::Error;
use crate::stored::browser_keys::{self, BrowserKeyRequest};
use crate::wire::vocab::Dialect;

/// The largest body that either is asked with.
const BODY_BYTES: usize = 128 << 10;

/// As OpenAI's SDKs ask.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SecretWanted {
    expires_after: Option<ExpiresAfter>,
    session: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct ExpiresAfter {
    seconds: Option<u64>,
}

/// A browser key, shown once.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct BrowserKey {
    id: String,
    object: &'static str,
    value: String,
    /// In seconds since the epoch.
    expires_at: i64,
    #[serde(flatten)]
    terms: BrowserTerms,
}

/// What it is good for, beside what the key that lends it is.
#[derive(Serialize, JsonSchema)]
struct BrowserTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<Scope>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_minute: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrails: Option<Vec<String>>,
}

fn told<A: Serialize>(request: &HttpRequest, outcome: Result<A, Error>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value),
        Err(error) => respond::refused(&visit::id(request), Dialect::OpenAiChat, &error, 0),
    }
}

/// `POST /v1/keys/browser`
pub async fn make(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let making = async {
        let caller = arrival::identified(&app, &request).await?;
        let wanted: BrowserKeyRequest =
            arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let made = browser_keys::make(app.keys(), &caller, wanted).await?;
        let terms = made.terms;
        Ok(BrowserKey {
            id: made.id.as_str().to_owned(),
            object: "browser_key",
            value: made.secret.expose_secret().to_owned(),
            expires_at: made.expires.seconds(),
            terms: BrowserTerms {
                scopes: terms.scopes,
                models: terms.models,
                // It has no month.
                budget_usd: terms.monthly_budget_usd,
                requests_per_minute: terms.requests_per_minute,
                tokens_per_minute: terms.tokens_per_minute,
                guardrails: terms.guardrails,
            },
        })
    };
    told(&request, making.await)
}

/// `POST /v1/realtime/client_secrets`
pub async fn client_secret(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let making = async {
        let caller = arrival::identified(&app, &request).await?;
        let wanted: SecretWanted = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let seconds = wanted.expires_after.and_then(|after| after.seconds);
        let mut session = wanted.session;
        session.entry("type").or_insert_with(|| Value::from("realtime"));
        let made = browser_keys::make_for_session(app.keys(), &caller, &session, seconds).await?;
        let id = made.id.as_str().replacen("key_", "sess_", 1);
        session.insert("object".to_owned(), Value::from("realtime.session"));
        session.insert("id".to_owned(), Value::from(id));
        Ok(json!({
            "value": made.secret.expose_secret(),
            "expires_at": made.expires.seconds(),
            "session": session,
        }))
    };
    told(&request, making.await)
}
