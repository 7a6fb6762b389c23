//! Answers that are kept: read, listed, cancelled, deleted.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::run::Responses;
use crate::admit::{Caller, Scope};
use crate::base::{Error, Kind};
use crate::platform::items::{self, PageRequest};
use crate::platform::responses::{failed, said_in};
use crate::store::KeptResponse;
use crate::wire::frame::Pieces;
use crate::wire::frame::sse::{self, Splitter};
use crate::wire::vocab::Dialect;
use crate::wire::{Heading, codec, cost};

fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("Response with id '{shown}' not found."))
}

async fn kept(responses: &Responses, caller: &Caller, id: &str) -> Result<KeptResponse, Error> {
    caller.must_be_for(Scope::Chat)?;
    let store = &responses.store;
    let found = store
        .response(caller.account.clone(), caller.seer(), id.to_owned(), responses.clock.now())
        .await;
    let mut row = found.map_err(Error::internal)?.ok_or_else(|| unknown(id))?;
    // It may have been asked for by somebody who was told.
    if !caller.sees_cost()
        && let Some(body) = cost::without(row.body.as_bytes())
    {
        row.body = String::from_utf8(body).map_err(Error::internal)?;
    }
    Ok(row)
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
    let first =
        after.map_or(0, |after| usize::try_from(after).unwrap_or(usize::MAX).saturating_add(1));
    let row = kept(responses, caller, id).await?;
    if let Some(run) = responses.runs.get(&caller.account, id) {
        return Ok(run.follow(first));
    }
    if is_under_way(&row) {
        let text = "Another node is writing this answer. Ask for it again without 'stream'.";
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
    page: &PageRequest,
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{KEPT_FOR, ResponsesFixture};
    use super::super::keep::LEASE;
    use super::*;
    use crate::admit::Role;
    use futures_util::FutureExt as _;

    fn under_way(row: &mut KeptResponse) {
        row.status = "queued".to_owned();
        row.background = true;
        row.body = json!({"id": row.id, "object": "response", "status": "queued"}).to_string();
    }

    #[tokio::test]
    async fn an_answer_is_read_by_who_asked_and_who_runs_the_account_for_as_long_as_it_is_kept() {
        let desk = ResponsesFixture::new().await;
        let (account, other) = (desk.all.open("acme").await, desk.all.open("bolt").await);
        let ann = desk.all.member(&account, "ann@acme.test", Role::Member).await;
        let bob = desk.all.member(&account, "bob@acme.test", Role::Member).await;
        let (ann, bob) = (desk.all.caller(&ann).await, desk.all.caller(&bob).await);
        let (owner, stranger) = (desk.all.owner(&account).await, desk.all.owner(&other).await);
        desk.kept(&ann, "resp_1", |_| {}).await;
        for who in [&ann, &owner] {
            assert_eq!(retrieve(&desk.responses, who, "resp_1").await.unwrap()["id"], "resp_1");
        }
        let late = desk.after(KEPT_FOR);
        for (responses, who) in
            [(&desk.responses, &bob), (&desk.responses, &stranger), (&late, &ann)]
        {
            let page = PageRequest::default();
            for refused in [
                retrieve(responses, who, "resp_1").await.map(|_| ()),
                watch(responses, who, "resp_1", None).await.map(|_| ()),
                cancel(responses, who, "resp_1").await.map(|_| ()),
                input_items(responses, who, "resp_1", &page).await.map(|_| ()),
                forget(responses, who, "resp_1").await.map(|_| ()),
            ] {
                assert_eq!(refused.unwrap_err().kind, Kind::NotFound, "{}", who.person.id);
            }
        }
        assert!(retrieve(&desk.responses, &ann, "resp_1").await.is_ok(), "nobody deleted it");
    }

    #[tokio::test]
    async fn an_answer_under_way_is_that_until_nobody_works_on_it_any_more() {
        let desk = ResponsesFixture::new().await;
        let caller = desk.all.owner(&desk.all.open("acme").await).await;
        desk.kept(&caller, "resp_1", under_way).await;
        let told = retrieve(&desk.responses, &caller, "resp_1").await.unwrap();
        assert_eq!((&told["status"], told.get("error")), (&json!("in_progress"), None));
        let left = desk.after(LEASE * 3 + std::time::Duration::from_secs(1));
        let told = retrieve(&left, &caller, "resp_1").await.unwrap();
        assert_eq!(told["status"], "failed", "its node is gone");
        assert_eq!(told["error"]["code"], "server_error");
        // What is finished stays so, however long ago.
        desk.kept(&caller, "resp_2", |_| {}).await;
        assert_eq!(retrieve(&left, &caller, "resp_2").await.unwrap()["status"], "completed");
    }

    #[tokio::test]
    async fn work_is_stopped_once_and_what_is_done_stays_as_it_is() {
        let desk = ResponsesFixture::new().await;
        let account = desk.all.open("acme").await;
        let caller = desk.all.owner(&account).await;
        desk.kept(&caller, "resp_1", under_way).await;
        let run = desk.responses.runs.begin(&account, "resp_1");
        for _ in 0..2 {
            let told = cancel(&desk.responses, &caller, "resp_1").await.unwrap();
            assert_eq!(told["status"], "cancelled");
        }
        assert!(run.cancelled().now_or_never().is_some(), "whoever works on it stops");
        desk.kept(&caller, "resp_2", |row| row.background = true).await;
        let told = cancel(&desk.responses, &caller, "resp_2").await.unwrap();
        assert_eq!(told["status"], "completed");
        desk.kept(&caller, "resp_3", |_| {}).await;
        let refused = cancel(&desk.responses, &caller, "resp_3").await.unwrap_err();
        assert_eq!(refused.kind, Kind::Unsupported, "it was waited for");
    }

    #[tokio::test]
    async fn an_answer_is_forgotten_once_with_the_work_on_it() {
        let desk = ResponsesFixture::new().await;
        let account = desk.all.open("acme").await;
        let caller = desk.all.owner(&account).await;
        desk.kept(&caller, "resp_1", under_way).await;
        desk.kept(&caller, "resp_2", |_| {}).await;
        let run = desk.responses.runs.begin(&account, "resp_1");
        let told = forget(&desk.responses, &caller, "resp_1").await.unwrap();
        assert_eq!(told, json!({"id": "resp_1", "object": "response", "deleted": true}));
        assert!(run.cancelled().now_or_never().is_some());
        for gone in [
            forget(&desk.responses, &caller, "resp_1").await.map(|_| ()),
            retrieve(&desk.responses, &caller, "resp_1").await.map(|_| ()),
        ] {
            assert_eq!(gone.unwrap_err().kind, Kind::NotFound);
        }
        assert!(retrieve(&desk.responses, &caller, "resp_2").await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_is_watched_where_it_is_worked_on_and_told_once_more_when_it_is_done() {
        let desk = ResponsesFixture::new().await;
        let account = desk.all.open("acme").await;
        let caller = desk.all.owner(&account).await;
        let events = async |id: &str, after: Option<u64>| {
            let watched = watch(&desk.responses, &caller, id, after).await?;
            Ok::<_, Error>(watched.map(|event| String::from_utf8(event.to_vec()).unwrap()))
        };
        desk.kept(&caller, "resp_1", under_way).await;
        let refused = events("resp_1", None).await.map(|_| ()).unwrap_err();
        assert_eq!((refused.kind, refused.field.as_deref()), (Kind::Unsupported, Some("stream")));
        let run = desk.responses.runs.begin(&account, "resp_1");
        run.tell(Bytes::from_static(b"0"));
        run.tell(Bytes::from_static(b"1"));
        desk.responses.runs.end(&account, "resp_1");
        let after: Vec<String> = events("resp_1", Some(0)).await.unwrap().collect().await;
        assert_eq!(after, ["1"], "those after the one that was seen");
        desk.kept(&caller, "resp_2", |_| {}).await;
        let all: Vec<String> = events("resp_2", None).await.unwrap().collect().await;
        assert!(all[0].starts_with("event: response.created"), "{}", all[0]);
        assert!(all.last().unwrap().starts_with("event: response.completed"), "{all:?}");
        assert!(all.concat().contains("resp_2"));
        let rest: Vec<String> = events("resp_2", Some(1)).await.unwrap().collect().await;
        assert_eq!(rest, all[2..]);
        let none: Vec<String> = events("resp_2", Some(u64::MAX)).await.unwrap().collect().await;
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn what_an_answer_was_made_from_goes_back_to_the_beginning_of_its_chain() {
        let desk = ResponsesFixture::new().await;
        let caller = desk.all.owner(&desk.all.open("acme").await).await;
        desk.kept(&caller, "resp_1", |_| {}).await;
        desk.kept(&caller, "resp_2", |row| row.previous = Some("resp_1".to_owned())).await;
        let texts = async |page: &PageRequest| {
            let told = input_items(&desk.responses, &caller, "resp_2", page).await.unwrap();
            let text = |item: &Value| item["content"][0]["text"].as_str().unwrap().to_owned();
            told["data"].as_array().unwrap().iter().map(text).collect::<Vec<_>>()
        };
        let oldest = PageRequest { ascending: true, ..PageRequest::default() };
        assert_eq!(texts(&oldest).await, ["What is resp_1?", "resp_1", "What is resp_2?"]);
        assert_eq!(
            texts(&PageRequest { limit: Some(1), ..PageRequest::default() }).await,
            ["What is resp_2?"]
        );
        // What it was built on is gone: the answer is still told of.
        forget(&desk.responses, &caller, "resp_1").await.unwrap();
        assert_eq!(texts(&oldest).await, ["What is resp_2?"]);
    }
}
