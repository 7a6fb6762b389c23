//! `Idempotency-Key`: a request that comes again is answered as it was, and charged once.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Answered, App, Body, Pieces, Refused};
use crate::admit::Caller;
use crate::base::clock::Clock;
use crate::base::ids::{AccountId, RequestId};
use crate::base::secret::fingerprint;
use crate::base::{Error, Kind};
use crate::ledger::Outcome;
use crate::store::{Replay, Store};

/// How long an answer is given again.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);
/// A first that is heard of no more, since its node is gone, is in nobody's way after this.
const LAPSE: Duration = Duration::from_secs(15 * 60);
/// A larger answer is not kept, and its request not answered again.
const KEPT_BYTES: usize = 4 << 20;
/// The longest key.
const KEY_CHARACTERS: usize = 255;

/// What the headers of a kept answer say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    pub id: String,
    pub model: String,
    pub provider: String,
    pub attempts: u8,
    pub decision: Option<String>,
    pub dropped: Option<String>,
    pub streamed: bool,
}

/// An answer that was given before.
pub struct Again {
    pub head: Head,
    pub body: Bytes,
}

/// The place of a first request under its key.
#[derive(Debug)]
pub struct Ticket {
    store: Store,
    clock: Clock,
    account: AccountId,
    key: String,
    /// Something was kept, or there is nothing to give back.
    done: bool,
}

/// What to do with a request.
pub enum Turn {
    /// It has no key.
    Plain,
    First(Ticket),
    Again(Box<Again>),
}

/// Looks up what a request under `key` is: the first, or one that was answered. `said` is all that
/// makes it this request.
///
/// # Errors
/// [`Kind::Conflict`] while the first is under way, [`Kind::Malformed`] when the key was used for
/// another request.
pub async fn turn(
    app: &App,
    caller: &Caller,
    key: Option<&str>,
    said: &[&[u8]],
) -> Result<Turn, Error> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(Turn::Plain) };
    if key.chars().count() > KEY_CHARACTERS {
        let text = "An Idempotency-Key has at most 255 characters.";
        return Err(Error::new(Kind::Malformed, text).coded("idempotency_key_too_long"));
    }
    let (store, clock) = (&app.shared.store, app.shared.clock);
    let now = clock.now();
    let hash = fingerprint(said);
    let account = caller.account.clone();
    let found = store
        .take_replay(account.clone(), key.to_owned(), hash, now, now.after(LAPSE))
        .await
        .map_err(Error::internal)?;
    match found {
        Replay::First => Ok(Turn::First(Ticket {
            store: store.clone(),
            clock,
            account,
            key: key.to_owned(),
            done: false,
        })),
        Replay::UnderWay => {
            let text = "A request with this Idempotency-Key is under way.";
            Err(Error::new(Kind::Conflict, text)
                .coded("idempotency_key_in_use")
                .after(Some(Duration::from_secs(1))))
        }
        Replay::Other => {
            let text = "This Idempotency-Key was used for another request.";
            Err(Error::new(Kind::Malformed, text).coded("idempotency_key_reused"))
        }
        Replay::Kept { head, body } => {
            let head = serde_json::from_str(&head).map_err(Error::internal)?;
            let body = BASE64_STANDARD.decode(body).map_err(Error::internal)?;
            Ok(Turn::Again(Box::new(Again { head, body: body.into() })))
        }
    }
}

impl Turn {
    /// Keeps what the request is answered, if it is to be.
    pub async fn keep(
        self,
        id: &RequestId,
        answered: Result<Answered, Refused>,
    ) -> Result<Answered, Refused> {
        let Self::First(mut ticket) = self else { return answered };
        // A failure is not an answer: the ticket is given back as it drops.
        let mut answered = answered?;
        let head = Head {
            id: id.as_str().to_owned(),
            model: answered.step.model.id.to_string(),
            provider: answered.step.deployment.provider.id.to_string(),
            attempts: answered.attempts,
            decision: answered.decision.clone(),
            dropped: (!answered.losses.is_empty()).then(|| answered.losses.to_string()),
            streamed: matches!(answered.body, Body::Stream(_)),
        };
        answered.body = match answered.body {
            Body::Whole(body) => {
                ticket.write(&head, &body).await;
                Body::Whole(body)
            }
            Body::Stream(pieces) => {
                Body::Stream(ticket.keeping(head, pieces, answered.ending.clone()))
            }
        };
        Ok(answered)
    }
}

impl Turn {
    /// Keeps an answer that is only the name of one to come (a response in the background).
    pub async fn keep_name(self, id: &RequestId, told: &serde_json::Value) {
        let Self::First(mut ticket) = self else { return };
        let model = told.get("model").and_then(serde_json::Value::as_str).unwrap_or_default();
        let head = Head {
            id: id.as_str().to_owned(),
            model: model.to_owned(),
            provider: String::new(),
            attempts: 0,
            decision: None,
            dropped: None,
            streamed: false,
        };
        ticket.write(&head, told.to_string().as_bytes()).await;
    }
}

impl Ticket {
    async fn write(&mut self, head: &Head, body: &[u8]) {
        if body.len() > KEPT_BYTES {
            return;
        }
        // A struct of words and numbers is always written.
        let head = serde_json::to_string(head).unwrap_or_default();
        let (account, key) = (self.account.clone(), self.key.clone());
        let expires = self.clock.now().after(KEPT_FOR);
        let body = BASE64_STANDARD.encode(body);
        match self.store.keep_replay(account, key, head, body, expires).await {
            Ok(()) => self.done = true,
            Err(why) => tracing::error!(%why, "an answer could not be kept for its key"),
        }
    }

    /// The stream, kept once it has come to a good end. The end itself leaves after that.
    fn keeping(self, head: Head, pieces: Pieces, ending: super::Ending) -> Pieces {
        let start = Some((pieces, self, Vec::new()));
        let kept = stream::unfold(start, move |state| {
            let (head, ending) = (head.clone(), ending.clone());
            async move {
                let (mut pieces, mut ticket, mut all) = state?;
                match pieces.next().await {
                    Some(piece) => {
                        if all.len() <= KEPT_BYTES {
                            all.extend_from_slice(&piece);
                        }
                        // Before the last piece leaves; there may be more than one of it.
                        if ending.get() == Some(Outcome::Complete) {
                            ticket.write(&head, &all).await;
                        }
                        Some((piece, Some((pieces, ticket, all))))
                    }
                    None => {
                        if ending.get() == Some(Outcome::Complete) && !ticket.done {
                            ticket.write(&head, &all).await;
                        }
                        None
                    }
                }
            }
        });
        Box::pin(kept)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let (store, account, key) = (self.store.clone(), self.account.clone(), self.key.clone());
        // Should the process end first, the place lapses.
        tokio::spawn(async move {
            if let Err(why) = store.leave_replay(account, key).await {
                tracing::warn!(%why, "the place of an Idempotency-Key could not be given back");
            }
        });
    }
}
