//! `Idempotency-Key`: a request that comes again is answered as it was, and charged once.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::admit::Caller;
use crate::base::clock::Clock;
use crate::base::ids::{AccountId, RequestId};
use crate::base::secret::fingerprint;
use crate::base::{Error, Kind};
use crate::exchange::{AnswerEnding, Answered, Refused, ResponseBody};
use crate::gateway::App;
use crate::ledger::Outcome;
use crate::store::{IdempotencyState, Store};
use crate::wire::frame::Pieces;

/// How long an answer is given again.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);
/// A first that says nothing for so long is lost: its node is gone. What it was charged, if anything,
/// is given back to whoever asks again.
const LAPSE: Duration = Duration::from_secs(30);
/// A first that is under way says so this often.
const RENEWAL: Duration = Duration::from_secs(8);
/// Pieces of a stream that wait for a slow caller.
const PIECES: usize = 16;
/// A larger answer is not kept, and its request not answered again.
const KEPT_BYTES: usize = 4 << 20;
/// The longest key.
const KEY_CHARACTERS: usize = 255;

/// The headers of an answer that is kept for its idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayedHead {
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
    pub head: ReplayedHead,
    pub body: Bytes,
}

/// The place of a first request under its key.
#[derive(Debug)]
pub struct Ticket {
    place: Record,
    /// Says that the request is under way, for as long as it is.
    renewing: tokio::task::JoinHandle<()>,
    /// Something was kept, or there is nothing to give back.
    done: bool,
}

#[derive(Debug, Clone)]
struct Record {
    store: Store,
    clock: Clock,
    account: AccountId,
    name: String,
    request: String,
}

impl Record {
    async fn renew(self) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let Self { store, clock, account, name, request } = self.clone();
            let renewed = store.renew_idempotency(account, name, request, clock.now().after(LAPSE));
            if let Err(why) = renewed.await {
                tracing::warn!(%why, "the place of an Idempotency-Key could not be kept");
            }
        }
    }
}

/// What to do with a request.
pub enum Claim {
    /// It has no key.
    Plain,
    First(Ticket),
    Again(Box<Again>),
}

/// Looks up what a request under `key` is: the first, or one that was answered. `said` is all that
/// makes it this request. A key is its caller's: the same one of another credential, in another user's
/// name, or after the credential was given other rights, is another key.
///
/// # Errors
/// [`Kind::Conflict`] while the first is under way, [`Kind::Malformed`] when the key was used for
/// another request.
pub async fn claim(
    app: &App,
    caller: &Caller,
    key: Option<&str>,
    said: &[&[u8]],
    id: &RequestId,
) -> Result<Claim, Error> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(Claim::Plain) };
    if key.chars().count() > KEY_CHARACTERS {
        let text = "An Idempotency-Key has at most 255 characters.";
        return Err(Error::new(Kind::Malformed, text).coded("idempotency_key_too_long"));
    }
    let (store, clock) = (&app.shared.store, app.shared.clock);
    let now = clock.now();
    let hash = fingerprint(said);
    let account = caller.account.clone();
    let name = fingerprint(&[key.as_bytes(), caller.standing_for().as_bytes()]);
    let request = id.as_str().to_owned();
    let found = store
        .claim_idempotency(
            account.clone(),
            name.clone(),
            hash,
            (request.clone(), caller.person.id.clone()),
            now,
            now.after(LAPSE),
        )
        .await
        .map_err(Error::internal)?;
    match found {
        IdempotencyState::First { lost } => {
            let place = Record { store: store.clone(), clock, account, name, request };
            let renewing = tokio::spawn(place.clone().renew());
            let ticket = Ticket { place, renewing, done: false };
            if let Some(lost) = lost {
                give_back(app, caller, &lost).await;
            }
            Ok(Claim::First(ticket))
        }
        IdempotencyState::UnderWay => {
            let text = "A request with this Idempotency-Key is under way.";
            Err(Error::new(Kind::Conflict, text)
                .coded("idempotency_key_in_use")
                .after(Some(Duration::from_secs(1))))
        }
        IdempotencyState::Other => {
            let text = "This Idempotency-Key was used for another request.";
            Err(Error::new(Kind::Malformed, text).coded("idempotency_key_reused"))
        }
        IdempotencyState::Kept { head, body } => {
            let head = serde_json::from_str(&head).map_err(Error::internal)?;
            let body = BASE64_STANDARD.decode(body).map_err(Error::internal)?;
            Ok(Claim::Again(Box::new(Again { head, body: body.into() })))
        }
    }
}

/// What a request was charged whose answer nobody can be given any more.
async fn give_back(app: &App, caller: &Caller, lost: &str) {
    let reason = "The answer was lost before it was kept under its Idempotency-Key.";
    match app.administration(caller.key.clone()).refund(lost, reason).await {
        Ok(_) => tracing::info!(request = lost, "a lost answer was refunded"),
        // It was not charged, or has been given back.
        Err(why) if matches!(why.kind, Kind::NotFound | Kind::Conflict) => {}
        Err(why) => tracing::error!(request = lost, %why, "a lost answer could not be refunded"),
    }
}

impl Claim {
    /// Keeps what the request is answered, if it is to be.
    pub async fn keep(
        self,
        id: &RequestId,
        answered: Result<Answered, Refused>,
    ) -> Result<Answered, Refused> {
        let Self::First(mut ticket) = self else { return answered };
        // A failure is not an answer: the ticket is given back as it drops.
        let mut answered = answered?;
        let head = ReplayedHead {
            id: id.as_str().to_owned(),
            model: answered.step.model.id.to_string(),
            provider: answered.step.deployment.provider.id.to_string(),
            attempts: answered.attempts,
            decision: answered.decision.clone(),
            dropped: (!answered.losses.is_empty()).then(|| answered.losses.to_string()),
            streamed: matches!(answered.body, ResponseBody::Stream(_)),
        };
        answered.body = match answered.body {
            ResponseBody::Whole(body) => {
                ticket.write(&head, &body).await;
                ResponseBody::Whole(body)
            }
            ResponseBody::Stream(pieces) => {
                ResponseBody::Stream(ticket.carried_on(head, pieces, answered.ending.clone()))
            }
        };
        Ok(answered)
    }
}

impl Claim {
    /// Keeps an answer that is only the name of one to come (a response in the background).
    pub async fn keep_name(self, id: &RequestId, told: &serde_json::Value) {
        let Self::First(mut ticket) = self else { return };
        let model = told.get("model").and_then(serde_json::Value::as_str).unwrap_or_default();
        let head = ReplayedHead {
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
    async fn write(&mut self, head: &ReplayedHead, body: &[u8]) {
        if body.len() > KEPT_BYTES {
            return;
        }
        // A struct of words and numbers is always written.
        let head = serde_json::to_string(head).unwrap_or_default();
        let Record { store, clock, account, name, request } = self.place.clone();
        let expires = clock.now().after(KEPT_FOR);
        let body = BASE64_STANDARD.encode(body);
        match store.keep_idempotent(account, name, request, head, body, expires).await {
            Ok(()) => self.done = true,
            Err(why) => tracing::error!(%why, "an answer could not be kept for its key"),
        }
    }

    /// The stream, kept once it has come to a good end. The end itself leaves after that. It goes on
    /// where the caller leaves, who may come back for it under the same key, and pays once.
    fn carried_on(
        mut self,
        head: ReplayedHead,
        mut pieces: Pieces,
        ending: AnswerEnding,
    ) -> Pieces {
        let (sender, receiver) = tokio::sync::mpsc::channel(PIECES);
        tokio::task::spawn_local(async move {
            let (mut caller, mut all) = (Some(sender), Vec::new());
            while let Some(piece) = pieces.next().await {
                if all.len() <= KEPT_BYTES {
                    all.extend_from_slice(&piece);
                }
                // Before the last piece leaves; there may be more than one of it.
                if ending.get() == Some(Outcome::Complete) {
                    self.write(&head, &all).await;
                }
                if let Some(waiting) = &caller
                    && waiting.send(piece).await.is_err()
                {
                    caller = None;
                }
            }
            if ending.get() == Some(Outcome::Complete) && !self.done {
                self.write(&head, &all).await;
            }
        });
        Box::pin(stream::unfold(receiver, async |mut receiver| {
            Some((receiver.recv().await?, receiver))
        }))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.renewing.abort();
        if self.done {
            return;
        }
        // Should the process end first, the place lapses.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Record { store, account, name, request, .. } = self.place.clone();
        runtime.spawn(async move {
            if let Err(why) = store.release_idempotency(account, name, request).await {
                tracing::warn!(%why, "the place of an Idempotency-Key could not be given back");
            }
        });
    }
}

#[cfg(test)]
mod tests;
