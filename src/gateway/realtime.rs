//! Realtime: a socket to a model, and what passes over it. Each of the model's answers is settled
//! by itself; what the next may cost is taken before it is asked for.

use std::sync::Arc;

use super::app::App;
use super::charge::{self, Intent, Sum};
use super::named::named;
use crate::admit::{Caller, Scope};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::catalogue::{Mode, Pictures};
use crate::exchange::Refused;
use crate::ledger::{Basis, Hold, Outcome, Tokens};
use crate::router::{Decision, Step};
use crate::upstream::{self, Address, NoAnswer, Permit, Socket};
use crate::wire::realtime::{self, Work};
use crate::wire::vocab::{Fault, Malformed, RequestHead};

const SURFACE: &str = "realtime";

/// Who pays for a session, and what is taken for its next answer.
#[derive(Debug)]
pub struct Meter {
    caller: Arc<Caller>,
    decision: Decision,
    head: RequestHead,
    step: Step,
    hold: Option<Hold>,
    /// Nothing is asked of the model but to write down what it hears.
    transcribes: bool,
    /// What was written down beside the answers, and is settled with the next of them.
    beside: Tokens,
    /// With which it is reported how the session ends.
    permit: Option<Permit>,
    /// The model has answered: a session that ends without a fault then went well. Of one that its caller left
    /// before, nothing is known.
    answered: bool,
}

/// Opens a socket to a model by name, or to the first that the caller may use.
///
/// # Errors
/// What the caller is to be told, before its own socket opens.
pub async fn open_session(
    app: &App,
    caller: &Arc<Caller>,
    id: &RequestId,
    address: &Address,
    forward: &[(&'static str, String)],
) -> Result<(Socket, Meter), Refused> {
    caller.must_be_for(Scope::Realtime)?;
    let live = app.live();
    live.rules(&caller.guardrails).must_be_free("a realtime session")?;
    let now = app.shared.clock.now();
    let first = || {
        let models = live.catalogue.models().iter();
        let mut usable = models.filter(|model| {
            model.mode == Mode::Realtime && model.is_live(now) && caller.may_use(model)
        });
        usable.next().map(|model| &*model.id)
    };
    let model = address.model.as_deref().or_else(first);
    let model = model.ok_or_else(|| Malformed::missing("model"))?;
    let decision = named(app, caller, model, Mode::Realtime)?;
    let head = RequestHead { model: model.to_owned(), stream: true, ..RequestHead::default() };
    let hold = charge::hold(app, caller, &decision, &head, Intent::of(id, SURFACE)).await?;
    match upstream::dial(&app.upstream, &decision, address, forward, id).await {
        Ok(mut socket) => {
            let permit = socket.permit.take();
            let (caller, step) = (Arc::clone(caller), socket.step.clone());
            let transcribes = address.rest.split('&').any(|pair| pair == "intent=transcription");
            let (hold, beside) = (Some(hold), Tokens::default());
            let meter = Meter {
                caller,
                decision,
                head,
                step,
                hold,
                transcribes,
                beside,
                permit,
                answered: false,
            };
            Ok((socket, meter))
        }
        Err((error, attempts)) => {
            Err(charge::give_up(hold, NoAnswer { error, attempts, tried: Vec::new() }))
        }
    }
}

/// Looks at an event on its way to the caller. An answer that is complete is settled, and so is each
/// transcription of a session for nothing else.
///
/// # Errors
/// When the caller cannot pay for another.
pub async fn meter_event(app: &App, meter: &mut Meter, event: &[u8]) -> Result<(), Refused> {
    let Some((work, usage)) = realtime::usage_of(event) else { return Ok(()) };
    meter.answered = true;
    upstream::meter(&app.upstream, &meter.step, &usage);
    meter.beside = meter.beside.plus(Tokens::from(&usage));
    if work == Work::Transcript && !meter.transcribes {
        return Ok(());
    }
    meter.settle(app).await?;
    let intent = Intent { counts: false, ..Intent::of(&RequestId::fresh(), SURFACE) };
    let hold = charge::hold(app, &meter.caller, &meter.decision, &meter.head, intent).await?;
    meter.hold = Some(hold);
    Ok(())
}

/// The provider's side of a session broke off: that counts against its deployment, if the fault is its.
pub fn session_broke_off(app: &App, meter: &mut Meter, fault: &Fault) {
    app.upstream.health.broke_off(meter.step.deployment.id, meter.permit.take(), fault);
}

/// The session is over: what was written down since the last answer is settled.
///
/// # Errors
/// Where it cannot be written down in time.
pub async fn end_session(app: &App, mut meter: Meter) -> Result<(), Error> {
    if let Some(permit) = meter.permit.take().filter(|_| meter.answered) {
        app.upstream.health.succeeded(permit);
    }
    if meter.beside == Tokens::default() {
        return Ok(());
    }
    meter.settle(app).await
}

impl Meter {
    /// Settles what was heard of and is not settled yet.
    async fn settle(&mut self, app: &App) -> Result<(), Error> {
        let Some(hold) = self.hold.take() else { return Ok(()) };
        let tokens = std::mem::take(&mut self.beside);
        let (outcome, basis, tried) = (Outcome::Complete, Basis::Reported, Vec::new());
        let pictures = Pictures::default();
        let asides = Vec::new();
        let sum = Sum { outcome, tokens, asides, basis, pictures, attempts: 1, tried };
        charge::settle(app, &self.step, hold, sum).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::admit::KeyTerms;
    use crate::base::Kind;
    use crate::boot::fixture::Fixture;

    const DONE: &[u8] = br#"{"type":"response.done","response":{"usage":{"input_tokens":63,
        "output_tokens":22}}}"#;
    const HEARD: &[u8] = br#"{"type":"conversation.item.input_audio_transcription.completed",
        "usage":{"type":"duration","seconds":2}}"#;
    /// What [`HEARD`] is in tokens of sound.
    const SOUND: u64 = 20;

    /// The models `r1` and `r2` that are for sessions, and one that chats before them.
    fn config(base: &str) -> String {
        format!(
            "[providers.p]\nbase_url = \"{base}/v1\"\ndialect = \"openai-chat\"\n\
             [[models]]\nid = \"chat\"\ndeployments = [{{ provider = \"p\" }}]\n\
             [[models]]\nid = \"r1\"\nmode = \"realtime\"\ntier = \"ultra\"\n\
             deployments = [{{ provider = \"p\" }}]\n\
             [[models]]\nid = \"r2\"\nmode = \"realtime\"\ntier = \"budget\"\n\
             deployments = [{{ provider = \"p\" }}]\n\
             [plans.one]\nrequests_per_day = 1\n[plans.poor]\ncredits_per_month = 1\n\
             [plans.cheap]\ntiers = [\"budget\"]\n"
        )
    }

    async fn fixture() -> Fixture {
        Fixture::of(&config("http://127.0.0.1:1")).await
    }

    /// A session with `r2` that is under way, and the request that its next answer is booked as.
    async fn meter(fixture: &Fixture, plan: &str, transcribes: bool) -> (Meter, RequestId) {
        let (caller, id) = (fixture.caller(plan).await, RequestId::fresh());
        let decision = named(&fixture.app, &caller, "r2", Mode::Realtime).unwrap();
        let head = RequestHead { model: "r2".to_owned(), stream: true, ..RequestHead::default() };
        let intent = Intent::of(&id, SURFACE);
        let hold = charge::hold(&fixture.app, &caller, &decision, &head, intent).await.unwrap();
        let (step, beside) = (fixture.step("r2"), Tokens::default());
        let hold = Some(hold);
        let permit = None;
        (
            Meter {
                caller,
                decision,
                head,
                step,
                hold,
                transcribes,
                beside,
                permit,
                answered: false,
            },
            id,
        )
    }

    #[tokio::test]
    async fn each_answer_is_booked_by_itself_and_the_session_counts_as_one_request() {
        let fixture = fixture().await;
        let (mut meter, first) = meter(&fixture, "one", false).await;
        let delta = br#"{"type":"response.output_text.delta","delta":"hi"}"#;
        meter_event(&fixture.app, &mut meter, delta).await.unwrap();
        assert!(fixture.booked(&first).await.is_none(), "it is not complete");
        // The plan has one request a day, and the session is it.
        for _ in 0..3 {
            meter_event(&fixture.app, &mut meter, DONE).await.unwrap();
        }
        let booked = fixture.booked(&first).await.unwrap();
        assert_eq!((booked.tokens.input, booked.tokens.output), (63, 22), "no sum of answers");
        assert_eq!((&*booked.surface, &*booked.asked, booked.credits.0), ("realtime", "r2", 1));
        assert!(meter.hold.is_some(), "what the next may cost is taken before it is asked for");
    }

    #[tokio::test]
    async fn what_was_written_down_is_booked_with_the_next_answer() {
        let fixture = fixture().await;
        let (mut meter, id) = meter(&fixture, "free", false).await;
        meter_event(&fixture.app, &mut meter, HEARD).await.unwrap();
        assert!(fixture.booked(&id).await.is_none());
        meter_event(&fixture.app, &mut meter, DONE).await.unwrap();
        let booked = fixture.booked(&id).await.unwrap();
        assert_eq!((booked.tokens.input, booked.tokens.more.audio_in), (63, SOUND));
        assert_eq!(meter.beside, Tokens::default(), "and with that one alone");
    }

    #[tokio::test]
    async fn a_session_that_only_writes_down_is_booked_line_by_line() {
        let fixture = fixture().await;
        let (mut meter, id) = meter(&fixture, "free", true).await;
        meter_event(&fixture.app, &mut meter, HEARD).await.unwrap();
        assert_eq!(fixture.booked(&id).await.unwrap().tokens.more.audio_in, SOUND);
    }

    #[tokio::test]
    async fn at_the_end_what_was_heard_is_booked_and_what_was_only_taken_is_given_back() {
        let fixture = fixture().await;
        let (mut heard, id) = meter(&fixture, "free", false).await;
        meter_event(&fixture.app, &mut heard, HEARD).await.unwrap();
        end_session(&fixture.app, heard).await.unwrap();
        assert_eq!(fixture.booked(&id).await.unwrap().tokens.more.audio_in, SOUND);
        let (silent, id) = meter(&fixture, "poor", false).await;
        let caller = Arc::clone(&silent.caller);
        end_session(&fixture.app, silent).await.unwrap();
        assert!(fixture.booked(&id).await.is_none());
        let decision = named(&fixture.app, &caller, "r2", Mode::Realtime).unwrap();
        let intent = Intent::of(&RequestId::fresh(), SURFACE);
        let again =
            charge::hold(&fixture.app, &caller, &decision, &RequestHead::default(), intent).await;
        assert!(again.is_ok(), "its one credit is there");
    }

    #[tokio::test]
    async fn whoever_cannot_pay_for_another_answer_is_told_after_the_one_that_was_paid() {
        let fixture = fixture().await;
        let (mut meter, id) = meter(&fixture, "poor", false).await;
        let refused = meter_event(&fixture.app, &mut meter, DONE).await.unwrap_err();
        assert_eq!(refused.error.kind, Kind::OutOfCredits);
        assert_eq!(fixture.booked(&id).await.unwrap().credits.0, 1);
    }

    fn address(model: Option<&str>, rest: &str) -> Address {
        Address { model: model.map(str::to_owned), rest: rest.to_owned() }
    }

    #[tokio::test]
    async fn without_a_name_it_is_the_first_model_that_the_caller_may_use() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(tokio_tungstenite::accept_async(socket));
            }
        });
        let fixture = Fixture::of(&config(&base)).await;
        for (plan, model, rest, answers, transcribes) in [
            ("enterprise", None, "", "r1", false),
            ("cheap", None, "intent=transcription", "r2", true),
            ("enterprise", Some("r2"), "a=1&intent=transcription", "r2", true),
            ("enterprise", Some("r2"), "intent=transcriptions", "r2", false),
        ] {
            let (caller, id) = (fixture.caller(plan).await, RequestId::fresh());
            let opened =
                open_session(&fixture.app, &caller, &id, &address(model, rest), &[]).await.unwrap();
            let meter = opened.1;
            assert_eq!(&*meter.step.model.id, answers, "{plan} {model:?}");
            assert_eq!((&*meter.head.model, meter.transcribes), (answers, transcribes), "{rest}");
            assert!(meter.hold.is_some());
        }
    }

    #[tokio::test]
    async fn whoever_may_not_converse_is_refused_before_anything_is_taken() {
        let fixture = fixture().await;
        let rules = "[[guardrails]]\nname = \"cards\"\naction = \"block\"\nkind = \"words\"\n\
            words = [\"card\"]\n";
        let ruled = Fixture::of(&format!("{}{rules}", config("http://127.0.0.1:1"))).await;
        let scopes = KeyTerms { scopes: Some(vec![Scope::Chat]), ..KeyTerms::default() };
        let chat = KeyTerms { models: Some(vec!["chat".to_owned()]), ..KeyTerms::default() };
        for (why, fixture, terms, model, kind) in [
            ("its key is for chat", &fixture, &scopes, Some("r1"), Kind::Forbidden),
            ("rules hold", &ruled, &KeyTerms::default(), Some("r1"), Kind::Forbidden),
            ("no model is for it", &fixture, &chat, None, Kind::Malformed),
            ("that one chats", &fixture, &KeyTerms::default(), Some("chat"), Kind::Unsupported),
        ] {
            let (caller, id) = (fixture.caller_with("one", terms).await, RequestId::fresh());
            let opened = open_session(&fixture.app, &caller, &id, &address(model, ""), &[]).await;
            assert_eq!(opened.err().map(|refused| refused.error.kind), Some(kind), "{why}");
            assert!(fixture.booked(&id).await.is_none(), "{why}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_nobody_opens_costs_nothing() {
        let fixture = fixture().await;
        let (caller, id) = (fixture.caller("free").await, RequestId::fresh());
        let opened = open_session(&fixture.app, &caller, &id, &address(Some("r1"), ""), &[]).await;
        let Err(refused) = opened else { panic!("somebody is there") };
        assert_eq!((refused.attempts, refused.standing.is_some()), (1, true));
        let booked = fixture.booked(&id).await.unwrap();
        assert_eq!((booked.outcome, booked.credits.0, &*booked.asked), (Outcome::Failed, 0, "r1"));
    }
}
