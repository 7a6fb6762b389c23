//! `/v1/responses`: answers that build on each other, and answers in the background.

#[cfg(test)]
mod fixture;
mod keep;
mod read;
mod run;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Map, Value};

use crate::admit::{Caller, Scope};
use crate::base::ids::ResponseId;
use crate::base::{Error, Kind};
use crate::exchange::{Answered, Arrival, Refused, ResponseBody};
use crate::platform::items;
use crate::platform::responses::{ResponseOptions, failed, said_in};
use crate::wire::frame::Pieces;
use crate::wire::{Heading, codec, openai_responses};

use keep::ResponseKeeper;
pub use read::{cancel, forget, input_items, retrieve, watch};
pub use run::{Responses, Run, Runs};

/// What creating a response comes to: an answer now, or a job in the background.
pub enum CreatedResponse {
    Now(Box<Answered>),
    /// The answer as it stands, and the work that is to be done meanwhile.
    Later(Value, Box<Job>),
}

/// An answer to be worked on in the background.
pub struct Job {
    arrival: Arrival,
    caller: Arc<Caller>,
    keeper: ResponseKeeper,
    id: String,
    /// The answer as it stands at first.
    queued: Value,
    pub run: Arc<Run>,
    pub stream: bool,
}

/// Answers, or begins to: `answer` has the request answered, made whole with what it builds on.
///
/// # Errors
/// What the caller is to be told.
pub async fn respond(
    responses: &Responses,
    caller: &Arc<Caller>,
    mut arrival: Arrival,
    answer: impl AsyncFnOnce(Arrival) -> Result<Answered, Refused>,
) -> Result<CreatedResponse, Refused> {
    caller.must_be_for(Scope::Chat)?;
    let asked = ResponseOptions::read(&arrival.body)?;
    // What the caller said, before what it builds on is added.
    let told =
        if asked.background { codec(arrival.dialect).echo(&arrival.body) } else { Map::new() };
    if !asked.stands_alone() {
        let earlier = earlier(responses, caller, &asked).await?;
        let found = found(responses, caller, &asked).await?;
        arrival.body = asked.made_whole(&arrival.body, earlier, &found)?;
    }
    let kept = asked.store || asked.previous.is_some() || asked.conversation.is_some();
    let mut keeper = ResponseKeeper::new(responses, caller, asked);
    if keeper.asked.background {
        let id = ResponseId::fresh().as_str().to_owned();
        let heading = Heading {
            id: id.clone(),
            model: crate::wire::Inbound::arrive(arrival.dialect, arrival.body.clone(), None)?
                .head
                .model,
            created: responses.clock.now().seconds(),
            include_usage: true,
            functions: false,
            echo: told,
            clock: responses.clock,
            prompt_tokens: 0,
        };
        let mut queued = Value::Object(openai_responses::beginning(&heading, "queued"));
        keeper.claim(&mut queued).await.map_err(Error::internal)?;
        keeper.goes_by(id.clone());
        let run = responses.runs.begin(&caller.account, &id);
        let stream = keeper.asked.stream;
        let caller = Arc::clone(caller);
        let job = Job { arrival, caller, keeper, id, queued: queued.clone(), run, stream };
        return Ok(CreatedResponse::Later(queued, Box::new(job)));
    }
    let mut answered = answer(arrival).await?;
    if kept {
        answered.body = match answered.body {
            ResponseBody::Whole(body) => match keeper.whole(body.clone()).await {
                Ok(told) => ResponseBody::Whole(told),
                // It is paid for: the caller gets it, though no chain can go on from it.
                Err(why) => {
                    tracing::error!(%why, "an answer could not be kept");
                    ResponseBody::Whole(body)
                }
            },
            ResponseBody::Stream(pieces) => ResponseBody::Stream(keep::keeping(pieces, keeper)),
        };
    }
    Ok(CreatedResponse::Now(Box::new(answered)))
}

/// What the request builds on, oldest first.
async fn earlier(
    responses: &Responses,
    caller: &Caller,
    asked: &ResponseOptions,
) -> Result<Vec<Value>, Error> {
    let store = &responses.store;
    let account = || caller.account.clone();
    if let Some(previous) = &asked.previous {
        let chain = store
            .response_chain(account(), caller.seer(), previous.clone(), responses.clock.now())
            .await
            .map_err(Error::internal)?;
        return said_in(&chain, previous);
    }
    let Some(id) = &asked.conversation else { return Ok(Vec::new()) };
    let user = caller.person.id.clone();
    let known = store.conversation(account(), user, id.clone()).await.map_err(Error::internal)?;
    if known.is_none() {
        let shown: String = id.chars().take(80).collect();
        let text = format!("Conversation with id '{shown}' not found.");
        return Err(Error::new(Kind::NotFound, text).at("conversation"));
    }
    let items = store.conversation_items(account(), id.clone()).await.map_err(Error::internal)?;
    Ok(items.iter().filter_map(|item| items::kept(&item.id, &item.body)).collect())
}

/// The items that the input refers to by their ids.
async fn found(
    responses: &Responses,
    caller: &Caller,
    asked: &ResponseOptions,
) -> Result<HashMap<String, Value>, Error> {
    let mut found = HashMap::new();
    for id in asked.references() {
        let now = responses.clock.now();
        let body = responses
            .store
            .response_of_item(caller.account.clone(), caller.seer(), id.clone(), now)
            .await
            .map_err(Error::internal)?;
        let response: Value =
            body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default();
        let item = items::output(&response)
            .into_iter()
            .find(|item| items::id_of(item) == Some(id.as_str()));
        if let Some(item) = item {
            found.insert(id, item);
        }
    }
    Ok(found)
}

/// Works on an answer until it is there, cancelled, or given up: `answer` has it given.
pub async fn work(
    responses: &Responses,
    job: Job,
    answer: impl AsyncFnOnce(&Caller, Arrival) -> Result<Answered, Refused>,
) {
    let Job { arrival, caller, mut keeper, id, queued, run, .. } = job;
    let (account, runs) = (caller.account.clone(), responses.runs.clone());
    let stays = stays_wanted(responses, &caller, &id);
    let working = async {
        let outcome = answer(&caller, arrival).await;
        let finished = match outcome.map(|answered| answered.body) {
            Ok(ResponseBody::Whole(body)) => keeper.whole(body).await.map(|_| ()),
            Ok(ResponseBody::Stream(pieces)) => {
                let mut kept: Pieces = keep::keeping(pieces, keeper);
                while let Some(event) = kept.next().await {
                    run.tell(event);
                }
                Ok(())
            }
            Err(refused) => {
                let mut failed = failed(queued, &refused.error);
                run.tell(openai_responses::failure(&failed));
                keeper.finish(&mut failed).await.map_err(Error::internal)
            }
        };
        if let Err(why) = finished {
            tracing::error!(%why, "an answer in the background could not be kept");
        }
    };
    tokio::select! {
        () = working => {}
        () = run.cancelled() => {}
        () = stays => {}
    }
    runs.end(&account, &id);
}

/// Renews the lease; returns once the answer is no longer wanted, wherever that was said.
async fn stays_wanted(responses: &Responses, caller: &Caller, id: &str) {
    let mut tick = tokio::time::interval(keep::LEASE);
    loop {
        tick.tick().await;
        let lease = ResponseKeeper::lease(responses.clock.now());
        let renewed =
            responses.store.renew_response(caller.account.clone(), id.to_owned(), lease).await;
        match renewed {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => tracing::warn!(%why, "the lease of an answer could not be renewed"),
        }
    }
}

#[cfg(test)]
mod tests;
