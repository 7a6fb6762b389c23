//! `GET /v1/models` and `/v1/models/{id}`.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Worker, arrival, respond};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::gateway::{ListedModel, list_models};
use crate::wire::vocab::Dialect;

/// OpenAI's `created` for models whose date nobody tells.
const CREATED: i64 = 1_700_000_000;

fn shown(model: &ListedModel<'_>) -> Value {
    let mut object = json!({
        "id": model.id(),
        "object": "model",
        "created": CREATED,
        "owned_by": model.owned_by(),
        "mode": model.mode(),
    });
    if let Some(members) = object.as_object_mut() {
        if let Some(description) = model.description() {
            members.insert("description".to_owned(), Value::from(description));
        }
        if let Some(tier) = model.tier() {
            members.insert("tier".to_owned(), Value::from(tier.as_str()));
        }
        if let ListedModel::Real(model) = model {
            members.insert("context_window".to_owned(), Value::from(model.context_tokens));
            members.insert("max_output_tokens".to_owned(), Value::from(model.max_output_tokens));
            members.insert("input_modalities".to_owned(), json!(model.input));
            members.insert("output_modalities".to_owned(), json!(model.output));
        }
    }
    object
}

pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
    if let Err(error) = app.shared.identities.identify(arrival::credential(&request)).await {
        return respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0);
    }
    let data: Vec<Value> = list_models(&app).iter().map(shown).collect();
    HttpResponse::Ok().json(json!({"object": "list", "data": data}))
}

pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let found = match app.shared.identities.identify(arrival::credential(&request)).await {
        Ok(_) => {
            let real = app.shared.catalogue.model(&id).map(|model| model.id.clone());
            let wanted = real.as_deref().unwrap_or(&id);
            list_models(&app)
                .iter()
                .find(|model| model.id() == wanted)
                .map(shown)
                .ok_or_else(|| Error::unknown_model(&id))
        }
        Err(error) => Err(error),
    };
    match found {
        Ok(model) => HttpResponse::Ok().json(model),
        Err(error) => respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0),
    }
}
