//! What answers may build on, and what becomes of those in the background.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::fixture::{KEPT_FOR, ResponsesFixture, asked, told};
use super::*;
use crate::admit::Role;
use crate::admit::fixture::NOON;
use crate::base::ids::RequestId;
use crate::catalogue::{ApiKey, Sources, builtin, load};
use crate::platform::chats::rows;
use crate::router::Step;
use crate::store::Conversation;
use crate::wire::vocab::{Dialect, Losses};

/// What a model of this build answers.
fn answered(body: &Value) -> Answered {
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    sources.keys.insert("openai".to_owned(), vec![ApiKey::new("k".into(), 1.0)]);
    let model = Arc::clone(&load(sources).unwrap().models()[0]);
    let step = Step { deployment: Arc::clone(&model.deployments[0]), model, effort: None };
    Answered::whole(step, 1, Losses::default(), Bytes::from(body.to_string()), None)
}

fn arrival(body: &Value) -> Arrival {
    let body = Bytes::from(body.to_string());
    Arrival::of(RequestId::fresh(), Dialect::OpenAiResponses, body)
}

impl ResponsesFixture {
    /// Has a request answered by `resp_new`: the request as it went, and the answer as it is told.
    async fn ask(&self, caller: &Arc<Caller>, body: &Value) -> Result<(Value, Value), Error> {
        let went = RefCell::new(Value::Null);
        let begun = respond(&self.responses, caller, arrival(body), async |arrival: Arrival| {
            *went.borrow_mut() = serde_json::from_slice(&arrival.body).unwrap();
            Ok(answered(&told("resp_new", "completed")))
        });
        let CreatedResponse::Now(now) = begun.await.map_err(|refused| refused.error)? else {
            panic!("it is waited for")
        };
        let ResponseBody::Whole(body) = now.body else { panic!("it comes whole") };
        Ok((went.into_inner(), serde_json::from_slice(&body).unwrap()))
    }

    /// Begins an answer in the background.
    async fn begin(&self, caller: &Arc<Caller>) -> (Value, Box<Job>) {
        let body = json!({"model": "m", "input": "hi", "background": true});
        let begun = respond(&self.responses, caller, arrival(&body), async |_| {
            unreachable!("nobody waits for it")
        });
        match begun.await {
            Ok(CreatedResponse::Later(queued, job)) => (queued, job),
            _ => panic!("it is worked on later"),
        }
    }

    async fn status(&self, caller: &Caller, id: &str) -> Value {
        retrieve(&self.responses, caller, id).await.unwrap()["status"].clone()
    }
}

#[tokio::test]
async fn an_answer_is_kept_unless_it_is_not_to_be() {
    let desk = ResponsesFixture::new().await;
    let caller = desk.all.owner(&desk.all.open("acme").await).await;
    let gone = json!({"model": "m", "input": "hi", "store": false});
    let (went, answer) = desk.ask(&caller, &gone).await.unwrap();
    assert_eq!((went, answer), (gone, told("resp_new", "completed")), "as it came, both ways");
    assert!(retrieve(&desk.responses, &caller, "resp_new").await.is_err());
    desk.ask(&caller, &json!({"model": "m", "input": "hi"})).await.unwrap();
    let kept = retrieve(&desk.responses, &caller, "resp_new").await.unwrap();
    assert_eq!((&kept["id"], &kept["store"]), (&json!("resp_new"), &json!(true)));
}

#[tokio::test]
async fn a_request_has_all_that_it_builds_on_oldest_first() {
    let desk = ResponsesFixture::new().await;
    let caller = desk.all.owner(&desk.all.open("acme").await).await;
    desk.kept(&caller, "resp_1", |_| {}).await;
    desk.kept(&caller, "resp_2", |row| row.previous = Some("resp_1".to_owned())).await;
    let body = json!({"model": "m", "input": "And?", "previous_response_id": "resp_2"});
    let (went, answer) = desk.ask(&caller, &body).await.unwrap();
    let text = |item: &Value| match &item["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap().to_owned(),
    };
    let said: Vec<String> = went["input"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(said, ["What is resp_1?", "resp_1", "What is resp_2?", "resp_2", "And?"]);
    assert!(went.get("previous_response_id").is_none(), "no provider knows it");
    assert_eq!(answer["previous_response_id"], "resp_2");
}

#[tokio::test]
async fn nothing_is_built_on_what_is_anothers_or_past_its_time() {
    let mut desk = ResponsesFixture::new().await;
    let (account, other) = (desk.all.open("acme").await, desk.all.open("bolt").await);
    let ann = desk.all.member(&account, "ann@acme.test", Role::Member).await;
    let bob = desk.all.member(&account, "bob@acme.test", Role::Member).await;
    let (ann, bob) = (desk.all.caller(&ann).await, desk.all.caller(&bob).await);
    let stranger = desk.all.owner(&other).await;
    desk.kept(&ann, "resp_1", |_| {}).await;
    let conversation = Conversation {
        account: account.clone(),
        user: ann.person.id.clone(),
        id: "conv_1".to_owned(),
        created: NOON,
        updated: NOON,
        title: String::new(),
        model: String::new(),
        metadata: "{}".to_owned(),
    };
    let said = rows(vec![asked("a secret")]);
    desk.all.store.save_conversation(conversation, Some(said)).await.unwrap();
    let chain = json!({"model": "m", "input": "?", "previous_response_id": "resp_1"});
    let item = json!([{"type": "item_reference", "id": "msg_resp_1"}]);
    let item = json!({"model": "m", "input": item});
    let saved = json!({"model": "m", "input": "?", "conversation": "conv_1"});
    for body in [&chain, &item, &saved] {
        assert!(desk.ask(&ann, body).await.is_ok(), "{body}");
    }
    for who in [&bob, &stranger] {
        for (body, field) in
            [(&chain, "previous_response_id"), (&item, "input[0].id"), (&saved, "conversation")]
        {
            let refused = desk.ask(who, body).await.unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(field), "{}", who.person.id);
            assert!(refused.public.contains("not found"), "{}", refused.public);
        }
    }
    desk.responses = desk.after(KEPT_FOR);
    for body in [&chain, &item] {
        let refused = desk.ask(&ann, body).await.unwrap_err();
        assert!(refused.public.contains("not found"), "{body}: {}", refused.public);
    }
}

#[tokio::test]
async fn an_answer_in_the_background_is_there_at_once_and_done_later() {
    let desk = ResponsesFixture::new().await;
    let caller = desk.all.owner(&desk.all.open("acme").await).await;
    let (queued, job) = desk.begin(&caller).await;
    let id = queued["id"].as_str().unwrap().to_owned();
    assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
    assert_eq!(desk.status(&caller, &id).await, "in_progress");
    let next = json!({"model": "m", "input": "?", "previous_response_id": id});
    let refused = desk.ask(&caller, &next).await.unwrap_err();
    assert_eq!(refused.code.as_deref(), Some("previous_response_not_finished"));
    let run = Arc::clone(&job.run);
    work(&desk.responses, *job, async |_, arrival: Arrival| {
        let went: Value = serde_json::from_slice(&arrival.body).unwrap();
        assert!(went.get("background").is_none(), "it is asked for as any other");
        Ok(answered(&told("resp_theirs", "completed")))
    })
    .await;
    let kept = retrieve(&desk.responses, &caller, &id).await.unwrap();
    assert_eq!((&kept["id"], &kept["status"]), (&json!(id), &json!("completed")));
    assert!(retrieve(&desk.responses, &caller, "resp_theirs").await.is_err(), "it has one name");
    assert_eq!(run.follow(0).count().await, 0, "and whoever watches it is told that it is over");
}

#[tokio::test]
async fn work_that_fails_says_why_and_work_that_is_cancelled_stays_so() {
    let desk = ResponsesFixture::new().await;
    let caller = desk.all.owner(&desk.all.open("acme").await).await;
    let (queued, job) = desk.begin(&caller).await;
    let id = queued["id"].as_str().unwrap();
    work(&desk.responses, *job, async |_, _| {
        let error = Error::new(Kind::UpstreamDown, "Nobody answers.").coded("all_down");
        Err::<Answered, _>(Refused::from(error))
    })
    .await;
    let kept = retrieve(&desk.responses, &caller, id).await.unwrap();
    assert_eq!(kept["status"], "failed");
    assert_eq!(kept["error"], json!({"code": "all_down", "message": "Nobody answers."}));
    let (queued, job) = desk.begin(&caller).await;
    let id = queued["id"].as_str().unwrap();
    let working = work(&desk.responses, *job, async |_, _| std::future::pending().await);
    let (cancelled, ()) = tokio::join!(cancel(&desk.responses, &caller, id), working);
    assert_eq!(cancelled.unwrap()["status"], "cancelled");
    assert_eq!(desk.status(&caller, id).await, "cancelled");
}

#[tokio::test]
async fn work_that_is_not_wanted_any_more_is_not_begun_and_its_answer_is_not_kept() {
    let desk = ResponsesFixture::new().await;
    let caller = desk.all.owner(&desk.all.open("acme").await).await;
    let (queued, job) = desk.begin(&caller).await;
    let id = queued["id"].as_str().unwrap();
    // It was deleted by way of another node, which knows nothing of the work here.
    let elsewhere = Responses { runs: Runs::default(), ..desk.responses.clone() };
    forget(&elsewhere, &caller, id).await.unwrap();
    let working = work(&desk.responses, *job, async |_, _| std::future::pending().await);
    tokio::time::timeout(Duration::from_secs(5), working).await.expect("its lease is not renewed");
    assert!(retrieve(&desk.responses, &caller, id).await.is_err());
}
