//! Answers that are kept, for tests: over accounts in a store of their own.

use std::time::Duration;

use serde_json::{Value, json};

use super::keep::LEASE;
use super::run::{Responses, Runs};
use crate::admit::Caller;
use crate::admit::fixture::{Accounts, NOON, clock_at};
use crate::store::KeptResponse;

/// How long answers are kept.
pub const KEPT_FOR: Duration = Duration::from_secs(3_600);

pub struct ResponsesFixture {
    pub all: Accounts,
    pub responses: Responses,
}

impl ResponsesFixture {
    pub async fn new() -> Self {
        let all = Accounts::new().await;
        let responses = Responses {
            store: all.store.clone(),
            clock: all.clock,
            runs: Runs::default(),
            kept_for: KEPT_FOR,
        };
        Self { all, responses }
    }

    /// The same, so much later.
    pub fn after(&self, time: Duration) -> Responses {
        Responses { clock: clock_at(NOON.after(time)), ..self.responses.clone() }
    }

    /// Keeps an answer of a caller's: it says `id`, and its item goes by `msg_` and that.
    pub async fn kept(&self, caller: &Caller, id: &str, change: impl FnOnce(&mut KeptResponse)) {
        let mut row = KeptResponse {
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            id: id.to_owned(),
            previous: None,
            status: "completed".to_owned(),
            background: false,
            created: NOON,
            lease: NOON.after(LEASE * 3),
            expires: NOON.after(KEPT_FOR),
            input: json!([asked(&format!("What is {id}?"))]).to_string(),
            body: told(id, "completed").to_string(),
        };
        change(&mut row);
        let items = vec![format!("msg_{id}")];
        assert!(self.all.store.keep_response(row, items).await.unwrap());
    }
}

pub fn asked(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": text})
}

/// An answer as a provider tells it.
pub fn told(id: &str, status: &str) -> Value {
    json!({"id": id, "object": "response", "created_at": 1, "status": status, "model": "m",
        "output": [{"type": "message", "id": format!("msg_{id}"), "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": id, "annotations": []}]}]})
}
