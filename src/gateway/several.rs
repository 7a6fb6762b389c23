//! Several calls of providers that answer one request, added up: more pictures than a model draws in one
//! call, more texts than it embeds.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::app::App;
use super::charge;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::ledger::{Basis, FailedAttempt, Tokens};
use crate::router::{Decision, Step};
use crate::upstream::{AnswerBody, NoAnswer, UpstreamAnswer};
use crate::wire::Inbound;
use crate::wire::vocab::{AuxiliaryUsage, Losses};

/// So many calls of one request are under way at once.
const AT_ONCE: usize = 10;

/// What several calls came to.
#[derive(Default)]
pub(super) struct CombinedResult {
    /// Who answered the first of those that were answered.
    pub step: Option<Step>,
    pub losses: Losses,
    /// The answers, in the order of the calls.
    pub answers: Vec<Bytes>,
    pub tokens: Tokens,
    pub asides: Vec<AuxiliaryUsage>,
    pub basis: Basis,
    pub attempts: u8,
    pub tried: Vec<FailedAttempt>,
    /// Why it is not all there.
    pub failure: Option<Error>,
}

impl CombinedResult {
    /// Makes the calls, whatever becomes of one of them: what a provider did for another is known.
    pub async fn ask(app: &App, decision: &Decision, calls: &[Inbound], id: &RequestId) -> Self {
        let calls = calls.iter().map(|call| charge::ask(app, decision, call, id));
        let mut answers = stream::iter(calls).buffered(AT_ONCE);
        let mut all = Self::default();
        while let Some(answer) = answers.next().await {
            all.take(answer);
        }
        all
    }

    fn take(&mut self, answer: Result<UpstreamAnswer, NoAnswer>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(NoAnswer { error, attempts, tried }) => {
                self.attempts = self.attempts.saturating_add(attempts);
                self.tried.extend(tried);
                self.failure.get_or_insert(error);
                return;
            }
        };
        self.attempts = self.attempts.saturating_add(answer.attempts);
        self.tried.extend(answer.tried);
        let first = self.step.is_none();
        if first {
            self.step = Some(answer.step);
            self.losses = answer.losses;
        }
        match answer.body {
            AnswerBody::Whole { body, tokens, asides, basis } => {
                self.tokens = self.tokens.plus(tokens);
                self.asides.extend(asides);
                if first || basis == Basis::Estimated {
                    self.basis = basis;
                }
                self.answers.push(body);
            }
            // Neither pictures nor vectors come as a stream.
            AnswerBody::Relay(_) => {
                self.failure.get_or_insert(Error::internal("a part of an answer came as a stream"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::Kind;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};
    use crate::catalogue::Mode;
    use crate::gateway::named::named;
    use crate::wire::Operation;
    use crate::wire::embeddings::EmbeddingsForm;
    use crate::wire::vocab::Usage;

    /// Two models, nobody of whom is there.
    const TWO: &str = "[providers.p]\nbase_url = \"http://127.0.0.1:1/v1\"\ndialect = \"openai-chat\"\n\
        [[models]]\nid = \"one\"\ndeployments = [{ provider = \"p\" }]\n\
        [[models]]\nid = \"two\"\ndeployments = [{ provider = \"p\" }]\n";

    fn tried(model: &str) -> FailedAttempt {
        FailedAttempt { model: model.to_owned(), ..FailedAttempt::default() }
    }

    fn answer(step: &Step, body: &'static str, input: u64, basis: Basis) -> UpstreamAnswer {
        let tokens = Tokens { input, output: 1, ..Tokens::default() };
        let aside = AuxiliaryUsage { model: Some(body.to_owned()), usage: Usage::default() };
        let body = Bytes::from_static(body.as_bytes());
        UpstreamAnswer {
            step: step.clone(),
            attempts: 2,
            tried: vec![tried("before")],
            losses: Losses::default(),
            schema: None,
            body: AnswerBody::Whole { body, tokens, asides: vec![aside], basis },
        }
    }

    fn unanswered(kind: Kind, attempts: u8) -> NoAnswer {
        NoAnswer { error: Error::new(kind, "No."), attempts, tried: vec![tried("in vain")] }
    }

    #[tokio::test]
    async fn what_calls_took_is_added_up_and_the_first_that_answered_stands_for_all() {
        let fixture = Fixture::of(TWO).await;
        let (one, two) = (fixture.step("one"), fixture.step("two"));
        let mut all = CombinedResult::default();
        all.take(Err(unanswered(Kind::Overloaded, 3)));
        let mut first = answer(&one, "a", 10, Basis::Reported);
        first.losses.dropped("user");
        all.take(Ok(first));
        let mut second = answer(&two, "b", 32, Basis::Reported);
        second.losses.dropped("seed");
        all.take(Ok(second));
        let step = all.step.unwrap();
        assert_eq!(&*step.model.id, "one");
        assert_eq!(all.losses.to_string(), "user");
        assert_eq!((all.tokens.input, all.tokens.output), (42, 2));
        assert_eq!(all.answers, ["a", "b"]);
        assert_eq!((all.asides.len(), all.attempts), (2, 7));
        let models: Vec<&str> = all.tried.iter().map(|one| one.model.as_str()).collect();
        assert_eq!(models, ["in vain", "before", "before"]);
    }

    #[tokio::test]
    async fn one_part_that_is_estimated_makes_an_estimate_of_the_whole() {
        use Basis::{Estimated, Reported};
        let fixture = Fixture::of(TWO).await;
        let step = fixture.step("one");
        for (parts, whole) in [
            ([Reported, Reported, Reported], Reported),
            ([Estimated, Reported, Reported], Estimated),
            ([Reported, Estimated, Reported], Estimated),
            ([Reported, Reported, Estimated], Estimated),
        ] {
            let mut all = CombinedResult::default();
            for part in parts {
                all.take(Ok(answer(&step, "a", 1, part)));
            }
            assert_eq!(all.basis, whole, "{parts:?}");
        }
    }

    #[tokio::test]
    async fn the_first_failure_is_told_whatever_comes_after_it() {
        let fixture = Fixture::of(TWO).await;
        let mut all = CombinedResult::default();
        all.take(Ok(answer(&fixture.step("one"), "a", 1, Basis::Reported)));
        all.take(Err(unanswered(Kind::RateLimited, 1)));
        all.take(Err(unanswered(Kind::Timeout, u8::MAX)));
        assert_eq!(all.failure.map(|error| error.kind), Some(Kind::RateLimited));
        assert_eq!((all.answers.len(), all.attempts), (1, u8::MAX), "what was answered is kept");
    }

    #[tokio::test]
    async fn every_call_is_made_though_one_fails_and_answers_stand_in_the_order_of_calls() {
        let provider = FakeProvider::answering(|asked| match asked.body["input"][0].as_str() {
            Some("1") => CannedAnswer::json(400, &json!({"error": {"message": "no", "type": "x"}})),
            text => CannedAnswer::json(
                200,
                &json!({"object": "list", "model": "m", "data": [
                    {"object": "embedding", "index": 0, "embedding": [text.unwrap().parse::<f64>().unwrap()]}],
                    "usage": {"prompt_tokens": 5, "total_tokens": 5}}),
            ),
        })
        .await;
        let config = provider
            .serving("openai-chat", &["m"])
            .replace("id = \"m\"", "id = \"m\"\nmode = \"embedding\"");
        let config = config.replace("dialect =", "embeddings = \"openai\"\ndialect =");
        let fixture = Fixture::of(&config).await;
        let caller = fixture.caller("free").await;
        let decision = named(&fixture.app, &caller, "m", Mode::Embedding).unwrap();
        let calls: Vec<Inbound> = (0..4)
            .map(|text| {
                let body = json!({"model": "m", "input": [text.to_string()]}).to_string();
                let inbound =
                    Inbound::arrive_to_embed(Bytes::from(body), EmbeddingsForm::Openai, None)
                        .unwrap();
                assert!(matches!(inbound.operation, Operation::Embed(..)));
                inbound
            })
            .collect();
        let all = CombinedResult::ask(&fixture.app, &decision, &calls, &RequestId::fresh()).await;
        assert_eq!(provider.asked().len(), 4);
        assert!(all.failure.is_some());
        let vectors: Vec<String> = all
            .answers
            .iter()
            .map(|answer| {
                let answer: serde_json::Value = serde_json::from_slice(answer).unwrap();
                answer["data"][0]["embedding"][0].as_f64().unwrap().to_string()
            })
            .collect();
        assert_eq!(vectors, ["0", "2", "3"]);
        assert_eq!(all.tokens.input, 15);
    }
}
