//! Browser keys, in our own form and in that of OpenAI's realtime interface.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Worker, arrival, respond, visit};
use crate::base::Error;
use crate::stored::browser_keys::{self, Wanted};
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

fn told(request: &HttpRequest, outcome: Result<Value, Error>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value),
        Err(error) => respond::refused(&visit::id(request), Dialect::OpenAiChat, &error, 0),
    }
}

/// `POST /v1/keys/browser`
pub async fn make(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let making = async {
        let caller = arrival::identified(&app, &request).await?;
        let wanted: Wanted = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let made = browser_keys::make(&app, &caller, wanted).await?;
        let mut value = json!({
            "id": made.id.as_str(),
            "object": "browser_key",
            "value": made.secret.expose_secret(),
            "expires_at": made.expires.seconds(),
        });
        let terms = serde_json::to_value(&made.terms).map_err(Error::internal)?;
        if let (Some(value), Value::Object(terms)) = (value.as_object_mut(), terms) {
            for (name, term) in terms {
                // It has no month.
                let name =
                    if name == "monthly_budget_usd" { "budget_usd".to_owned() } else { name };
                value.insert(name, term);
            }
        }
        Ok(value)
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
        let made = browser_keys::make_for_session(&app, &caller, &session, seconds).await?;
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
