//! `GET …/models` and `…/models/{id}`, in the shape of whoever asks: three dialects list their
//! models at the same path.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Worker, arrival, respond, visit};
use crate::base::Error;
use crate::base::calendar;
use crate::catalogue::Mode;
use crate::reports::models::{ListedModel, list_models};
use crate::wire::vocab::Dialect;

/// OpenAI's `created` for models whose date nobody tells; Anthropic's below is the same moment.
const CREATED: i64 = 1_700_000_000;

/// Each SDK says who it is.
fn dialect_of(request: &HttpRequest) -> Dialect {
    let says = |name: &str| request.headers().contains_key(name);
    if request.path().contains("/v1beta/") || says("x-goog-api-client") || says("x-goog-api-key") {
        Dialect::Gemini
    } else if says("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAiChat
    }
}

fn shown(model: &ListedModel<'_>, dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => shown_to_openai(model),
        Dialect::Anthropic => {
            let (input, output) = limits(model);
            json!({
                "type": "model",
                "id": model.id(),
                "display_name": display_name(model.id()),
                "created_at": "2023-11-14T22:13:20Z",
                "max_input_tokens": input,
                "max_tokens": output,
            })
        }
        Dialect::Gemini => shown_to_gemini(model),
    }
}

/// The most tokens that go in, and that come out.
fn limits(model: &ListedModel<'_>) -> (u64, u64) {
    match model {
        ListedModel::Auto(_) => (1_048_576, 65_536),
        ListedModel::Real(model) => (model.context_tokens, model.max_output_tokens),
    }
}

/// A name for people, made of the id: `claude-opus-4-8` is "Claude Opus 4.8".
fn display_name(id: &str) -> String {
    let is_number = |word: &str| word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut name = String::with_capacity(id.len());
    let mut before = false;
    for word in id.split(['-', '_']).filter(|word| !word.is_empty()) {
        let number = is_number(word);
        if !name.is_empty() {
            name.push(if number && before { '.' } else { ' ' });
        }
        // GPT, GLM: what cannot be pronounced is spelled out.
        let abbreviated = word.len() <= 3 && !word.contains(['a', 'e', 'i', 'o', 'u', 'y']);
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if !abbreviated => {
                name.extend(first.to_uppercase());
                name.push_str(letters.as_str());
            }
            _ => name.push_str(&word.to_uppercase()),
        }
        before = number;
    }
    name
}

fn shown_to_openai(model: &ListedModel<'_>) -> Value {
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
            if let Some(ends) = model.ends {
                members.insert("ends".to_owned(), Value::from(calendar::written_day(ends)));
            }
            if let Some(replacement) = &model.replacement {
                members.insert("replacement".to_owned(), Value::from(&**replacement));
            }
            if model.preview {
                members.insert("preview".to_owned(), Value::from(true));
            }
        }
    }
    object
}

fn shown_to_gemini(model: &ListedModel<'_>) -> Value {
    let (input, output) = limits(model);
    let (output, methods) = match model.mode() {
        // A vector is one token, as Google tells it.
        Mode::Embedding => (1, json!(["embedContent", "batchEmbedContents"])),
        Mode::Realtime => (output, json!(["bidiGenerateContent"])),
        Mode::Image => (output, json!(["generateContent"])),
        Mode::Chat => (output, json!(["generateContent", "streamGenerateContent", "countTokens"])),
    };
    json!({
        "name": format!("models/{}", model.id()),
        "baseModelId": model.id(),
        "version": "1",
        "displayName": display_name(model.id()),
        "description": model.description().unwrap_or_default(),
        "inputTokenLimit": input,
        "outputTokenLimit": output,
        "supportedGenerationMethods": methods,
    })
}

/// A page of Anthropic's list: `limit`, `after_id`, `before_id`.
fn page(request: &HttpRequest, models: &[ListedModel<'_>]) -> Value {
    let asked = |name: &str| {
        request.query_string().split('&').find_map(|pair| {
            let (known, value) = pair.split_once('=')?;
            (known == name).then_some(value)
        })
    };
    let limit = asked("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000).clamp(1, 1000);
    let at = |id: &str| models.iter().position(|model| model.id() == id);
    let (start, end) = match (asked("after_id").and_then(at), asked("before_id").and_then(at)) {
        (Some(after), _) => (after + 1, (after + 1 + limit).min(models.len())),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit.min(models.len())),
    };
    let part = models.get(start..end).unwrap_or_default();
    json!({
        "data": part.iter().map(|model| shown(model, Dialect::Anthropic)).collect::<Vec<_>>(),
        "has_more": end < models.len(),
        "first_id": part.first().map(ListedModel::id),
        "last_id": part.last().map(ListedModel::id),
    })
}

pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
    let dialect = dialect_of(&request);
    let caller = match arrival::caller(&app, &request).await {
        Ok(caller) => caller,
        Err(error) => return respond::refused(&visit::id(&request), dialect, &error, 0),
    };
    let live = app.live();
    let models = list_models(&app, &live, &caller);
    let all = |models: &[ListedModel<'_>]| -> Vec<Value> {
        models.iter().map(|model| shown(model, dialect)).collect()
    };
    HttpResponse::Ok().json(match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            json!({"object": "list", "data": all(&models)})
        }
        Dialect::Anthropic => page(&request, &models),
        Dialect::Gemini => {
            // What can be asked for on Google's paths.
            let asked =
                |model: &ListedModel<'_>| matches!(model.mode(), Mode::Chat | Mode::Embedding);
            let models: Vec<_> = models.into_iter().filter(asked).collect();
            json!({ "models": all(&models) })
        }
    })
}

pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let dialect = dialect_of(&request);
    let found = match arrival::caller(&app, &request).await {
        Ok(caller) => {
            let live = app.live();
            let real = live.catalogue.model(&id).map(|model| model.id.clone());
            let wanted = real.as_deref().unwrap_or(&id);
            list_models(&app, &live, &caller)
                .iter()
                .find(|model| model.id() == wanted)
                .map(|model| shown(model, dialect))
                .ok_or_else(|| Error::unknown_model(&id))
        }
        Err(error) => Err(error),
    };
    match found {
        Ok(model) => HttpResponse::Ok().json(model),
        Err(error) => respond::refused(&visit::id(&request), dialect, &error, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_people_are_made_of_ids() {
        for (id, name) in [
            ("claude-opus-4-8", "Claude Opus 4.8"),
            ("claude-haiku-4-5-20251001", "Claude Haiku 4.5 20251001"),
            ("gpt-5.2-mini", "GPT 5.2 Mini"),
            ("gemini-embedding-001", "Gemini Embedding 001"),
            ("auto", "Auto"),
            ("", ""),
        ] {
            assert_eq!(display_name(id), name);
        }
    }
}
