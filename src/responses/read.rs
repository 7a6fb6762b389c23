//! Answers that are kept: read, listed, cancelled, deleted.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::run::Responses;
use crate::admit::{Caller, Scope};
use crate::base::{Error, Kind};
use crate::platform::items::{self, Page};
use crate::platform::responses::{failed, said_in};
use crate::store::KeptResponse;
use crate::wire::frame::Pieces;
use crate::wire::frame::sse::{self, Splitter};
use crate::wire::vocab::Dialect;
use crate::wire::{Heading, codec};

fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("Response with id '{shown}' not found."))
}

async fn kept(responses: &Responses, caller: &Caller, id: &str) -> Result<KeptResponse, Error> {
    caller.must_be_for(Scope::Chat)?;
    responses
        .store
        .response(caller.account.clone(), caller.seer(), id.to_owned(), responses.clock.now())
        .await
        .map_err(Error::internal)?
        .ok_or_else(|| unknown(id))
}

fn is_under_way(row: &KeptResponse) -> bool {
    matches!(row.status.as_str(), "queued" | "in_progress")
}

/// The answer as it stands.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not kept, or is another's.
pub async fn retrieve(responses: &Responses, caller: &Caller, id: &str) -> Result<Value, Error> {
    let row = kept(responses, caller, id).await?;
    let mut body: Value = serde_json::from_str(&row.body).map_err(Error::internal)?;
    if !is_under_way(&row) {
        return Ok(body);
    }
    if row.lease < responses.clock.now() {
        let error = Error::new(Kind::Internal, "The work on this answer was interrupted.");
        body = failed(body, &error);
    } else if let Some(members) = body.as_object_mut() {
        members.insert("status".to_owned(), Value::from("in_progress"));
    }
    Ok(body)
}

/// The answer's events after the one numbered `after`, those to come included.
///
/// # Errors
/// As [`retrieve`]; [`Kind::Unsupported`] for one that another node works on.
pub async fn watch(
    responses: &Responses,
    caller: &Caller,
    id: &str,
    after: Option<u64>,
) -> Result<Pieces, Error> {
    let first = after.map_or(0, |after| usize::try_from(after).unwrap_or(usize::MAX - 1) + 1);
    let row = kept(responses, caller, id).await?;
    if let Some(run) = responses.runs.get(&caller.account, id) {
        return Ok(run.follow(first));
    }
    if is_under_way(&row) {
        let text = "This answer cannot be streamed from here; ask for it without 'stream'.";
        return Err(Error::new(Kind::Unsupported, text).at("stream"));
    }
    // Its events are gone, so it is told once more.
    let codec = codec(Dialect::OpenAiResponses);
    let reply = codec.decode_reply(row.body.as_bytes()).map_err(Error::internal)?;
    let heading = Heading {
        id: row.id.clone(),
        model: reply.model.clone().unwrap_or_default(),
        created: reply.created.unwrap_or_default(),
        include_usage: true,
        functions: false,
        echo: codec.echo(row.body.as_bytes()),
        clock: responses.clock,
        prompt_tokens: 0,
    };
    let (mut told, mut writer) = (Vec::new(), codec.writer(heading));
    writer.write(&reply.events(), &mut told);
    writer.finish(&mut told);
    let mut events = Vec::new();
    let fed = Splitter::new(usize::MAX).feed(&told, |frame| {
        let mut event = Vec::new();
        sse::write(&mut event, frame.event, frame.data);
        events.push(Bytes::from(event));
    });
    fed.map_err(Error::internal)?;
    Ok(Box::pin(stream::iter(events).skip(first)))
}

/// # Errors
/// As [`retrieve`].
pub async fn forget(responses: &Responses, caller: &Caller, id: &str) -> Result<Value, Error> {
    kept(responses, caller, id).await?;
    responses.runs.cancel(&caller.account, id);
    let done = responses
        .store
        .forget_response(caller.account.clone(), id.to_owned())
        .await
        .map_err(Error::internal)?;
    if !done {
        return Err(unknown(id));
    }
    Ok(json!({"id": id, "object": "response", "deleted": true}))
}

/// Stops the work on an answer in the background. One that is there already stays as it is.
///
/// # Errors
/// As [`retrieve`]; [`Kind::Unsupported`] for one that is not in the background.
pub async fn cancel(responses: &Responses, caller: &Caller, id: &str) -> Result<Value, Error> {
    let row = kept(responses, caller, id).await?;
    if !row.background {
        let text = "Cannot cancel a synchronous response.";
        return Err(Error::new(Kind::Unsupported, text));
    }
    if is_under_way(&row) {
        let mut body: Value = serde_json::from_str(&row.body).map_err(Error::internal)?;
        if let Some(members) = body.as_object_mut() {
            members.insert("status".to_owned(), Value::from("cancelled"));
        }
        responses
            .store
            .finish_response(
                caller.account.clone(),
                id.to_owned(),
                "cancelled".to_owned(),
                body.to_string(),
                Vec::new(),
            )
            .await
            .map_err(Error::internal)?;
        responses.runs.cancel(&caller.account, id);
    }
    retrieve(responses, caller, id).await
}

/// What the answer was made from, what it builds on included.
///
/// # Errors
/// As [`retrieve`].
pub async fn input_items(
    responses: &Responses,
    caller: &Caller,
    id: &str,
    page: &Page,
) -> Result<Value, Error> {
    let row = kept(responses, caller, id).await?;
    let mut all = Vec::new();
    if let Some(previous) = &row.previous {
        let chain = responses
            .store
            .response_chain(
                caller.account.clone(),
                caller.seer(),
                previous.clone(),
                responses.clock.now(),
            )
            .await
            .map_err(Error::internal)?;
        // What it was built on may have been deleted since.
        all = said_in(&chain, previous).unwrap_or_default();
    }
    all.extend(items::listed(serde_json::from_str(&row.input).unwrap_or_default()));
    let shown = all
        .into_iter()
        .enumerate()
        .map(|(number, item)| items::shown(item, &row.id, number))
        .collect();
    Ok(items::page(shown, page))
}
