//! What becomes of a request that comes again.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::Stream;
use serde_json::json;

use super::*;
use crate::admit::KeyTerms;
use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};
use crate::exchange::Arrival;
use crate::gateway::answer;
use crate::router::Step;
use crate::wire::vocab::{Dialect, Losses};

const BODY: &[u8] = b"{\"id\":\"first\"}";

async fn fixture() -> (Fixture, FakeProvider) {
    let provider = FakeProvider::answering(|_| CannedAnswer::completion("hi")).await;
    (Fixture::of(&provider.serving("openai-chat", &["m"])).await, provider)
}

async fn claimed(
    fixture: &Fixture,
    caller: &Caller,
    key: &str,
    said: &str,
) -> Result<Claim, Error> {
    claim(&fixture.app, caller, Some(key), &[said.as_bytes()], &RequestId::fresh()).await
}

/// The same once nothing is under way: what gives a place back goes on behind the request.
async fn claimed_after(fixture: &Fixture, caller: &Caller, key: &str, said: &str) -> Claim {
    loop {
        match claimed(fixture, caller, key, said).await {
            Err(error) if error.kind == Kind::Conflict => tokio::task::yield_now().await,
            claim => return claim.unwrap(),
        }
    }
}

fn whole(step: Step, body: Bytes) -> Answered {
    Answered::whole(step, 2, Losses::default(), body, None)
}

/// The body that a claim gives again, if it is one.
fn again(claim: Claim) -> Option<Bytes> {
    match claim {
        Claim::Again(again) => Some(again.body),
        Claim::Plain | Claim::First(_) => None,
    }
}

#[tokio::test]
async fn without_a_key_a_request_is_by_itself_and_a_long_one_is_refused() {
    let (fixture, _provider) = fixture().await;
    let caller = fixture.caller("free").await;
    let id = RequestId::fresh();
    for key in [None, Some("")] {
        let claim = claim(&fixture.app, &caller, key, &[b"a"], &id).await;
        assert!(matches!(claim, Ok(Claim::Plain)), "{key:?}");
    }
    // Characters, not bytes.
    let longest = "é".repeat(KEY_CHARACTERS);
    assert!(matches!(claimed(&fixture, &caller, &longest, "a").await, Ok(Claim::First(_))));
    let error = claimed(&fixture, &caller, &format!("{longest}x"), "a").await.err().unwrap();
    assert_eq!(error.code.as_deref(), Some("idempotency_key_too_long"));
}

#[tokio::test]
async fn the_same_request_is_answered_as_it_was() {
    let (fixture, _provider) = fixture().await;
    let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
    let claim = claimed(&fixture, &caller, "k", "a").await.unwrap();
    let mut given = whole(fixture.step("m"), Bytes::from_static(BODY));
    given.losses.dropped("seed");
    given.decision = Some("auto -> m".to_owned());
    let kept = claim.keep(&id, Ok(given)).await;
    assert!(
        matches!(kept.unwrap().body, ResponseBody::Whole(body) if body == BODY),
        "and delivered"
    );
    for _ in 0..2 {
        let Claim::Again(again) = claimed(&fixture, &caller, "k", "a").await.unwrap() else {
            panic!("it is not given again")
        };
        assert_eq!(again.body, BODY);
        let ReplayedHead { id: told, model, provider, attempts, decision, dropped, streamed } =
            again.head;
        assert_eq!((&*told, &*model, &*provider), (id.as_str(), "m", "p"));
        assert_eq!((attempts, streamed), (2, false));
        assert_eq!((decision.as_deref(), dropped.as_deref()), (Some("auto -> m"), Some("seed")));
    }
}

#[tokio::test]
async fn another_request_under_the_key_is_refused_whether_the_first_is_done_or_not() {
    let (fixture, _provider) = fixture().await;
    let caller = fixture.caller("free").await;
    let first = claimed(&fixture, &caller, "k", "a").await.unwrap();
    let other = async || {
        let error = claimed(&fixture, &caller, "k", "b").await.err().unwrap();
        (error.kind, error.code.unwrap_or_default().into_owned())
    };
    let reused = (Kind::Malformed, "idempotency_key_reused".to_owned());
    assert_eq!(other().await, reused);
    let given = whole(fixture.step("m"), Bytes::from_static(BODY));
    assert!(first.keep(&RequestId::fresh(), Ok(given)).await.is_ok());
    assert_eq!(other().await, reused);
    // What is said counts in its parts.
    let (one, two) = (fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    assert_ne!(one, two);
}

#[tokio::test]
async fn while_the_first_is_under_way_the_next_is_told_when_to_come_again() {
    let (fixture, _provider) = fixture().await;
    let caller = fixture.caller("free").await;
    let first = claimed(&fixture, &caller, "k", "a").await.unwrap();
    let error = claimed(&fixture, &caller, "k", "a").await.err().unwrap();
    assert_eq!((error.kind, error.retry_after), (Kind::Conflict, Some(Duration::from_secs(1))));
    assert!(matches!(first, Claim::First(_)));
}

#[tokio::test]
async fn a_failure_is_no_answer_and_gives_the_place_back() {
    let (fixture, _provider) = fixture().await;
    let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
    let first = claimed(&fixture, &caller, "k", "a").await.unwrap();
    assert!(
        first
            .keep(&id, Err(Error::new(Kind::Overloaded, "Nobody is there.").into()))
            .await
            .is_err()
    );
    let claim = claimed_after(&fixture, &caller, "k", "a").await;
    assert!(matches!(claim, Claim::First(_)));
    // And so does one that is given up.
    drop(claim);
    let claim = claimed_after(&fixture, &caller, "k", "a").await;
    assert!(matches!(claim, Claim::First(_)));
}

#[tokio::test]
async fn what_is_too_large_to_keep_is_answered_and_not_given_again() {
    let (fixture, _provider) = fixture().await;
    let caller = fixture.caller("free").await;
    for (bytes, kept) in [(KEPT_BYTES, true), (KEPT_BYTES + 1, false)] {
        let key = bytes.to_string();
        let first = claimed(&fixture, &caller, &key, "a").await.unwrap();
        let given = whole(fixture.step("m"), Bytes::from(vec![b'x'; bytes]));
        assert!(first.keep(&RequestId::fresh(), Ok(given)).await.is_ok());
        let claim = claimed_after(&fixture, &caller, &key, "a").await;
        assert_eq!(again(claim).is_some(), kept, "{bytes}");
    }
}

#[tokio::test]
async fn a_key_is_its_callers_own() {
    let (fixture, _provider) = fixture().await;
    let caller = fixture.caller("free").await;
    let first = claimed(&fixture, &caller, "k", "a").await.unwrap();
    let given = whole(fixture.step("m"), Bytes::from_static(BODY));
    assert!(first.keep(&RequestId::fresh(), Ok(given)).await.is_ok());
    let member = fixture.member_beside(&caller).await;
    let other = fixture.caller("free").await;
    let named = Arc::new(caller.in_name_of("user_1", caller.features));
    let terms = KeyTerms {
        requests_per_day: Some(crate::admit::plan::Bound::Of(9)),
        ..KeyTerms::default()
    };
    let store = &fixture.app.shared.store;
    crate::admit::keys::change(store, caller.key.as_str(), &terms).await.unwrap();
    for (who, caller) in [("a member", &member), ("another", &other), ("a user", &named)] {
        let claim = claimed(&fixture, caller, "k", "a").await.unwrap();
        assert!(matches!(claim, Claim::First(_)), "{who}");
    }
    assert_eq!(again(claimed(&fixture, &caller, "k", "a").await.unwrap()).unwrap(), BODY);
}

#[tokio::test]
async fn the_name_of_an_answer_to_come_is_kept_as_an_answer() {
    let (fixture, _provider) = fixture().await;
    let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
    let first = claimed(&fixture, &caller, "k", "a").await.unwrap();
    let told = json!({"id": "resp_1", "model": "m", "status": "queued"});
    first.keep_name(&id, &told).await;
    let body = again(claimed(&fixture, &caller, "k", "a").await.unwrap()).unwrap();
    assert_eq!(body, told.to_string());
}

#[tokio::test]
async fn a_lost_first_is_refunded_once_to_whoever_asks_again() {
    let (fixture, _provider) = fixture().await;
    let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    let body = Bytes::from(body.to_string());
    let arrival = Arrival::of(id.clone(), Dialect::OpenAiChat, body);
    assert!(answer(&fixture.app, &caller, arrival).await.is_ok());
    assert_eq!(fixture.booked(&id).await.unwrap().credits.0, 1);
    // Its node is heard of no more.
    let shared = &fixture.app.shared;
    let name = fingerprint(&[b"k", caller.standing_for().as_bytes()]);
    let (lost, past) = (id.as_str().to_owned(), shared.clock.now().before(LAPSE));
    let hash = fingerprint(&[b"a"]);
    let account = caller.account.clone();
    let taken = shared
        .store
        .claim_idempotency(account, name, hash, (lost, caller.person.id.clone()), past, past)
        .await;
    assert_eq!(taken.unwrap(), IdempotencyState::First { lost: None });
    let claim = claimed(&fixture, &caller, "k", "a").await.unwrap();
    assert!(matches!(claim, Claim::First(_)));
    let administration = fixture.app.administration(caller.key.clone());
    let refund = administration.refund(id.as_str(), "again").await;
    assert_eq!(refund.unwrap_err().kind, Kind::Conflict, "it has been given back");
    // A request that was charged nothing is lost, too, and there is nothing to give back.
    give_back(&fixture.app, &caller, RequestId::fresh().as_str()).await;
}

/// All that a stream of them says.
fn all() -> String {
    let pieces: Vec<String> = (0..4 * PIECES).map(|number| format!("{number};")).collect();
    pieces.concat()
}

/// Has a stream of pieces that ends so kept under the key `k`, read by its caller to the piece before
/// `leaves`; what it got.
async fn streamed(
    fixture: &Fixture,
    caller: &Caller,
    outcome: Option<Outcome>,
    then: impl Stream<Item = Bytes> + 'static,
    leaves: usize,
) -> Vec<Bytes> {
    let first = claimed(fixture, caller, "k", "a").await.unwrap();
    let mut given = whole(fixture.step("m"), Bytes::new());
    let ending = Rc::clone(&given.ending);
    let pieces = stream::iter(0..4 * PIECES).map(move |number| {
        // Whoever settles it says how it ended before the last piece leaves.
        if number == 4 * PIECES - 1 {
            ending.set(outcome);
        }
        Bytes::from(format!("{number};"))
    });
    given.body = ResponseBody::Stream(Box::pin(pieces.chain(then)));
    let kept = first.keep(&RequestId::fresh(), Ok(given)).await.unwrap();
    let ResponseBody::Stream(pieces) = kept.body else { panic!("it is whole") };
    pieces.take(leaves).collect().await
}

#[tokio::test]
async fn a_stream_is_kept_once_it_has_come_to_a_good_end() {
    let all = all();
    let local = tokio::task::LocalSet::new();
    let done = local.run_until(Box::pin(async {
        let (fixture, _provider) = fixture().await;
        for (outcome, kept) in
            [(Some(Outcome::Complete), true), (Some(Outcome::Failed), false), (None, false)]
        {
            let caller = fixture.caller("free").await;
            let got =
                streamed(&fixture, &caller, outcome, stream::empty(), usize::MAX).await.concat();
            assert_eq!(got, all.as_bytes(), "it passes as it came");
            let claim = claimed_after(&fixture, &caller, "k", "a").await;
            assert_eq!(again(claim).is_some_and(|body| body == all), kept, "{outcome:?}");
        }
    }));
    done.await;
}

#[tokio::test]
async fn the_answer_of_a_caller_who_leaves_is_there_when_they_come_back() {
    let all = all();
    let local = tokio::task::LocalSet::new();
    let done = local.run_until(Box::pin(async {
        let (fixture, _provider) = fixture().await;
        let caller = fixture.caller("free").await;
        let got =
            streamed(&fixture, &caller, Some(Outcome::Complete), stream::empty(), 3).await.concat();
        assert_eq!(got, b"0;1;2;");
        let claim = claimed_after(&fixture, &caller, "k", "a").await;
        assert_eq!(again(claim).unwrap(), all);
    }));
    done.await;
}

#[tokio::test]
async fn the_last_piece_of_a_stream_leaves_after_it_is_kept() {
    let local = tokio::task::LocalSet::new();
    let done = local.run_until(Box::pin(async {
        let (fixture, _provider) = fixture().await;
        let caller = fixture.caller("free").await;
        // Whoever has the last piece may ask again at once, though the connection is still open.
        let (complete, open) = (Some(Outcome::Complete), stream::pending());
        let got = streamed(&fixture, &caller, complete, open, 4 * PIECES).await;
        assert_eq!(got.len(), 4 * PIECES);
        let claim = claimed(&fixture, &caller, "k", "a").await.unwrap();
        assert!(again(claim).is_some());
    }));
    done.await;
}
