//! The simulated provider's realtime sessions: text in, the usual answer out.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, Session};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::voice;
use crate::wire::vocab::{Part, Request, Role, Turn};

const MESSAGE_BYTES: usize = 16 << 20;

pub async fn realtime(request: HttpRequest, payload: Payload) -> HttpResponse {
    let model = request
        .query_string()
        .split('&')
        .find_map(|pair| pair.strip_prefix("model="))
        .unwrap_or("simulated")
        .to_owned();
    let Ok((response, session, messages)) = actix_ws::handle(&request, payload) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut messages = messages
        .max_frame_size(MESSAGE_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MESSAGE_BYTES);
    actix_web::rt::spawn(async move {
        let mut talk = Talk { session, model, turns: Vec::new(), said: 0 };
        if talk.say("session.created", json!({ "session": talk.described() })).await.is_err() {
            return;
        }
        while let Some(Ok(message)) = messages.next().await {
            let answered = match message {
                AggregatedMessage::Text(text) => {
                    talk.hear(&serde_json::from_str(&text).unwrap_or_default()).await
                }
                AggregatedMessage::Ping(bytes) => talk.session.pong(&bytes).await,
                AggregatedMessage::Close(_) => break,
                _ => Ok(()),
            };
            if answered.is_err() {
                return;
            }
        }
        // The other side has closed, or is gone.
        let _gone = talk.session.close(None).await;
    });
    response
}

struct Talk {
    session: Session,
    model: String,
    turns: Vec<Turn>,
    said: u64,
}

impl Talk {
    fn described(&self) -> Value {
        json!({"type": "realtime", "object": "realtime.session", "id": "sess_simulated",
               "model": self.model, "output_modalities": ["text"]})
    }

    async fn say(&mut self, kind: &str, rest: Value) -> Result<(), actix_ws::Closed> {
        self.said += 1;
        let mut event = json!({"type": kind, "event_id": format!("event_{}", self.said)});
        if let (Some(event), Value::Object(rest)) = (event.as_object_mut(), rest) {
            event.extend(rest);
        }
        self.session.text(event.to_string()).await
    }

    async fn hear(&mut self, event: &Value) -> Result<(), actix_ws::Closed> {
        match event.get("type").and_then(Value::as_str) {
            Some("session.update") => {
                self.say("session.updated", json!({ "session": self.described() })).await
            }
            Some("conversation.item.create") => {
                let item = event.get("item").cloned().unwrap_or_default();
                let parts: Vec<Part> = item
                    .get("content")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(|part| part.get("text").and_then(Value::as_str))
                    .map(Part::text)
                    .collect();
                let role = match item.get("role").and_then(Value::as_str) {
                    Some("assistant") => Role::Assistant,
                    Some("system") => Role::System,
                    _ => Role::User,
                };
                self.turns.push(Turn::new(role, parts));
                self.say("conversation.item.added", json!({ "item": item })).await
            }
            Some("response.create") => self.answer().await,
            Some(other) => {
                let text = format!("Simulated sessions know no '{other}'.");
                let error = json!({"type": "invalid_request_error", "code": "unknown_event", "message": text});
                self.say("error", json!({ "error": error })).await
            }
            None => Ok(()),
        }
    }

    async fn answer(&mut self) -> Result<(), actix_ws::Closed> {
        let request = Request { turns: self.turns.clone(), ..Request::default() };
        let reply = voice::answer(&request, &self.model);
        let text: String =
            reply.choices.iter().take(1).flat_map(|choice| choice.turn.texts()).collect();
        let usage = reply.usage.unwrap_or_default();
        let id = format!("resp_{}", self.said);
        let at =
            json!({"response_id": id, "item_id": "item_1", "output_index": 0, "content_index": 0});
        let with = |name: &str, value: Value| {
            let mut event = at.clone();
            event[name] = value;
            event
        };
        self.say("response.created", json!({"response": {"id": id, "status": "in_progress"}}))
            .await?;
        let pieces: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        for piece in pieces {
            self.say("response.output_text.delta", with("delta", json!(piece))).await?;
        }
        self.say("response.output_text.done", with("text", json!(text))).await?;
        self.turns.push(Turn::new(Role::Assistant, vec![Part::text(text.clone())]));
        let output = json!([{"id": "item_1", "type": "message", "role": "assistant", "status": "completed",
                             "content": [{"type": "output_text", "text": text}]}]);
        let usage = json!({"total_tokens": usage.total(), "input_tokens": usage.prompt(),
                           "output_tokens": usage.completion()});
        let response = json!({"id": id, "status": "completed", "output": output, "usage": usage});
        self.say("response.done", json!({ "response": response })).await
    }
}
