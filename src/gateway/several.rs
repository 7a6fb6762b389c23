//! Several calls of providers that answer one request, added up: more pictures than a model draws in one
//! call, more texts than it embeds.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::app::App;
use super::charge;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::ledger::{Basis, Tokens, Tried};
use crate::router::{Decision, Step};
use crate::upstream::{Answer, AnswerBody, Unanswered};
use crate::wire::Inbound;
use crate::wire::vocab::{Aside, Losses};

/// So many calls of one request are under way at once.
const AT_ONCE: usize = 10;

/// What several calls came to.
#[derive(Default)]
pub(super) struct Several {
    /// Who answered the first of those that were answered.
    pub step: Option<Step>,
    pub losses: Losses,
    /// The answers, in the order of the calls.
    pub answers: Vec<Bytes>,
    pub tokens: Tokens,
    pub asides: Vec<Aside>,
    pub basis: Basis,
    pub attempts: u8,
    pub tried: Vec<Tried>,
    /// Why it is not all there.
    pub failure: Option<Error>,
}

impl Several {
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

    fn take(&mut self, answer: Result<Answer, Unanswered>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Unanswered { error, attempts, tried }) => {
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
