//! Keeps an answer as it goes out. What tells the caller that it is complete leaves only after it
//! has been written down, so that the next request of a chain finds it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::run::Responses;
use crate::admit::Caller;
use crate::base::Error;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, ResponseId};
use crate::platform::chats::rows;
use crate::platform::items;
use crate::platform::responses::ResponseOptions;
use crate::store::{KeptResponse, ResponseViewer, Store, StoreError};
use crate::wire::frame::Pieces;
use crate::wire::frame::sse::{self, Splitter};

/// Whoever works on an answer says so this often, and is taken to be gone after three silences.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Larger than any event that a relay lets through.
const EVENT_BYTES: usize = 64 << 20;
/// The events that carry the whole response, and whether they are the last.
const CARRIERS: [(&str, bool); 6] = [
    ("response.created", false),
    ("response.queued", false),
    ("response.in_progress", false),
    ("response.completed", true),
    ("response.incomplete", true),
    ("response.failed", true),
];

/// Writes an answer of `/v1/responses` to the store while it passes to the caller.
#[derive(Debug)]
pub(super) struct ResponseKeeper {
    pub asked: ResponseOptions,
    pub account: AccountId,
    user: String,
    store: Store,
    clock: Clock,
    retention: Duration,
    /// Its row is there, under this id.
    claimed: Option<String>,
    /// The id that the caller reads, where it is not the provider's.
    renamed: Option<String>,
    ended: bool,
}

impl ResponseKeeper {
    pub(super) fn new(responses: &Responses, caller: &Caller, asked: ResponseOptions) -> Self {
        Self {
            asked,
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            store: responses.store.clone(),
            clock: responses.clock,
            retention: responses.kept_for,
            claimed: None,
            renamed: None,
            ended: false,
        }
    }

    pub(super) fn lease(now: Timestamp) -> Timestamp {
        now.after(LEASE * 3)
    }

    fn row(&self, id: String, response: &Value) -> KeptResponse {
        let now = self.clock.now();
        let status = response.get("status").and_then(Value::as_str).unwrap_or("completed");
        KeptResponse {
            account: self.account.clone(),
            user: self.user.clone(),
            id,
            previous: self.asked.previous.clone(),
            status: status.to_owned(),
            background: self.asked.background,
            created: now,
            lease: Self::lease(now),
            expires: now.after(self.retention),
            input: Value::Array(self.asked.items()).to_string(),
            body: response.to_string(),
        }
    }

    /// Puts down a row under the response's own id, or under a fresh one where that is taken.
    pub(super) async fn claim(&mut self, response: &mut Value) -> Result<(), StoreError> {
        let own = response.get("id").and_then(Value::as_str).map(str::to_owned);
        let names = ids_in(response);
        if let Some(own) = own {
            self.asked.tell(None, response);
            let row = self.row(own.clone(), response);
            if self.store.keep_response(row, names.clone()).await? {
                self.claimed = Some(own);
                return Ok(());
            }
        }
        let fresh = ResponseId::fresh().as_str().to_owned();
        self.asked.tell(Some(&fresh), response);
        self.store.keep_response(self.row(fresh.clone(), response), names).await?;
        self.claimed = Some(fresh.clone());
        self.renamed = Some(fresh);
        Ok(())
    }

    /// From here on the answer goes by `id`, whose row is there.
    pub(super) fn goes_by(&mut self, id: String) {
        self.claimed = Some(id.clone());
        self.renamed = Some(id);
    }

    /// The answer is complete, whichever way it ended.
    pub(super) async fn finish(&mut self, response: &mut Value) -> Result<(), StoreError> {
        self.ended = true;
        match self.claimed.clone() {
            // All at once, for an answer that comes whole.
            None => self.claim(response).await?,
            Some(id) => {
                self.asked.tell(self.renamed.as_deref(), response);
                let status = response.get("status").and_then(Value::as_str).unwrap_or("completed");
                let first = self
                    .store
                    .finish_response(
                        self.account.clone(),
                        id,
                        status.to_owned(),
                        response.to_string(),
                        ids_in(response),
                    )
                    .await?;
                if !first {
                    return Ok(());
                }
            }
        }
        self.converse(response).await
    }

    /// Adds what was said to the conversation.
    async fn converse(&self, response: &Value) -> Result<(), StoreError> {
        let Some(conversation) = &self.asked.conversation else { return Ok(()) };
        let mut said = self.asked.items();
        said.extend(items::output(response));
        let said = rows(said);
        let now = self.clock.now();
        self.store.add_to_conversation(self.account.clone(), conversation.clone(), said, now).await
    }

    /// An answer that came whole, as the caller is to read it.
    pub(super) async fn whole(&mut self, body: Bytes) -> Result<Bytes, Error> {
        let mut response: Value = serde_json::from_slice(&body).map_err(Error::internal)?;
        let before = response.clone();
        if self.asked.store {
            self.finish(&mut response).await.map_err(Error::internal)?;
        } else {
            self.asked.tell(None, &mut response);
            self.converse(&response).await.map_err(Error::internal)?;
        }
        // Nothing to tell: the provider's own bytes.
        Ok(if response == before { body } else { Bytes::from(response.to_string()) })
    }

    /// An event that carries the response: writes down what it says, and has it say what we know.
    async fn carry(&mut self, kind: &str, last: bool, data: &[u8]) -> Option<Vec<u8>> {
        let mut event: Value = serde_json::from_slice(data).ok()?;
        let response = event.get_mut("response")?;
        let before = response.clone();
        let written = if !self.asked.store {
            self.asked.tell(None, response);
            if last { self.converse(response).await } else { Ok(()) }
        } else if last {
            self.finish(response).await
        } else if self.claimed.is_none() {
            self.claim(response).await
        } else {
            self.asked.tell(self.renamed.as_deref(), response);
            Ok(())
        };
        if let Err(why) = written {
            // The caller gets the answer all the same; only the chain cannot go on from it.
            tracing::error!(%why, event = kind, "an answer could not be kept");
        }
        (*response != before).then(|| event.to_string().into_bytes())
    }

    /// The events of one chunk, each as the caller is to read it.
    async fn take(&mut self, frames: Vec<Framed>) -> Vec<Bytes> {
        let mut out = Vec::with_capacity(frames.len());
        for frame in frames {
            let carrier = CARRIERS.iter().find(|(kind, _)| *kind == frame.kind);
            let told = match carrier {
                Some((kind, last)) => self.carry(kind, *last, &frame.data).await,
                None => None,
            };
            let mut bytes = Vec::new();
            sse::write(&mut bytes, &frame.event, told.as_deref().unwrap_or(&frame.data));
            out.push(Bytes::from(bytes));
        }
        out
    }

    /// The stream broke off: nobody will finish the row.
    async fn broke_off(&mut self) {
        let (Some(id), false) = (self.claimed.clone(), self.ended) else { return };
        let error = Error::new(crate::base::Kind::UpstreamDown, "The answer broke off.");
        let row = self
            .store
            .response(self.account.clone(), ResponseViewer::all(), id, self.clock.now())
            .await;
        let Ok(Some(row)) = row else { return };
        let body = serde_json::from_str(&row.body).unwrap_or_default();
        let mut failed = crate::platform::responses::failed(body, &error);
        if let Err(why) = self.finish(&mut failed).await {
            tracing::error!(%why, "a broken answer could not be marked");
        }
    }
}

/// An event that owns its bytes.
struct Framed {
    event: String,
    kind: String,
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// The kind of a response event, from its name or else from what its data says.
fn kind_of(event: &str, data: &[u8]) -> String {
    if !event.is_empty() {
        return event.to_owned();
    }
    // Hardly any event is a carrier: most need not be read.
    let mut kinds = CARRIERS.iter().map(|(kind, _)| kind.as_bytes());
    if !kinds.any(|kind| memchr::memmem::find(data, kind).is_some()) {
        return String::new();
    }
    serde_json::from_slice(data).map(|typed: Typed<'_>| typed.kind.into_owned()).unwrap_or_default()
}

/// The ids of an answer's items.
fn ids_in(response: &Value) -> Vec<String> {
    items::output(response).iter().filter_map(items::id_of).map(str::to_owned).collect()
}

/// The stream, kept as it goes by: event by event.
pub(super) fn keeping(pieces: Pieces, keeper: ResponseKeeper) -> Pieces {
    let start = (pieces, keeper, Splitter::new(EVENT_BYTES));
    let kept = stream::unfold(Some(start), |state| async move {
        let (mut pieces, mut keeper, mut splitter) = state?;
        let mut frames = Vec::new();
        let mut collect = |frame: sse::Frame<'_>| {
            frames.push(Framed {
                event: frame.event.to_owned(),
                kind: kind_of(frame.event, frame.data),
                data: frame.data.to_vec(),
            });
        };
        let next = pieces.next().await;
        let intact = match &next {
            Some(chunk) => splitter.feed(chunk, &mut collect).is_ok(),
            None => {
                splitter.finish(&mut collect);
                true
            }
        };
        let comment = next.as_ref().is_some_and(|chunk| chunk.starts_with(b":"));
        let mut out = keeper.take(frames).await;
        if !keeper.asked.background {
            // Those who follow a run count its events; others get them as they came.
            out = vec![Bytes::from(out.concat())];
            out.retain(|bytes| !bytes.is_empty());
        }
        if comment && out.is_empty() {
            out.extend(next.clone());
        }
        let more = intact && next.is_some();
        if !more {
            keeper.broke_off().await;
        }
        Some((stream::iter(out), more.then_some((pieces, keeper, splitter))))
    });
    Box::pin(kept.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_known_by_its_name_or_by_what_its_data_says() {
        let data = br#"{"type":"response.completed","response":{}}"#;
        assert_eq!(kind_of("response.created", data), "response.created");
        assert_eq!(kind_of("", data), "response.completed");
        let last = json!({"response": {"output": "x".repeat(200)}, "type": "response.completed"});
        assert_eq!(kind_of("", last.to_string().as_bytes()), "response.completed");
        // Words of the answer are no kind of an event.
        let said = json!({"type": "response.output_text.delta", "item_id": "msg_1".repeat(20),
            "delta": "\"response.failed\""});
        assert_eq!(kind_of("", said.to_string().as_bytes()), "response.output_text.delta");
        assert_eq!(kind_of("", b""), "");
    }

    #[test]
    fn the_items_of_an_answer_are_found_by_their_ids() {
        let response = json!({"id": "resp_1", "output": [{"type": "reasoning", "id": "rs_1"},
            {"type": "message", "id": "msg_1"}, {"type": "message"}]});
        assert_eq!(ids_in(&response), ["rs_1", "msg_1"]);
        assert!(ids_in(&json!({})).is_empty());
    }

    #[test]
    fn a_lease_outlasts_two_silences() {
        let now = Timestamp(0);
        assert!(now.after(LEASE * 2) < ResponseKeeper::lease(now));
    }
}
