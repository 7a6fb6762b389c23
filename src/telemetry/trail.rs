//! All that is known of one request: what is told at its end, by metrics, the access log and traces.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::traceparent::{Context, SpanId};
use crate::base::ids::{AccountId, KeyId, RequestId};
use crate::base::money::Nanos;

/// One try at one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub provider: Arc<str>,
    /// The catalogue's name, and the provider's.
    pub model: String,
    pub deployment: String,
    pub began: Instant,
    /// When the answer, or the first of its stream, or the fault had come.
    pub over: Instant,
    /// What went wrong, as the journal calls it.
    pub fault: Option<&'static str>,
    pub span: Option<SpanId>,
}

/// What a line of the ledger says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub surface: Cow<'static, str>,
    pub asked: String,
    /// Who answered, if anybody did.
    pub provider: Option<String>,
    pub model: Option<String>,
    pub streamed: bool,
    pub outcome: &'static str,
    pub tokens: TokenCounts,
    pub cost: Nanos,
    pub attempts: u8,
    /// How `auto` chose, in one line, where traces are wanted.
    pub decision: Option<String>,
    /// Wall clock, in milliseconds since the epoch: when it came and when it was settled.
    pub began_ms: i64,
    pub settled_ms: i64,
}

/// Tokens of a request for the access log, by kind; each is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenCounts {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    pub thought: u64,
}

impl TokenCounts {
    /// All that was read.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// All that was written.
    #[must_use]
    pub fn completion(&self) -> u64 {
        self.output.saturating_add(self.thought)
    }
}

/// How a request arrived: its method, and the part of the surface it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOrigin {
    pub method: &'static str,
    /// The part of the surface that was asked: one of a fixed list, never an address.
    pub surface: &'static str,
}

/// What was sent to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseSummary {
    /// 499 where the caller was gone before there was one.
    pub status: u16,
    /// When its first byte was handed on.
    pub first_byte: Option<Instant>,
    /// All of it was handed on.
    pub whole: bool,
    pub bytes: u64,
    /// Members that the provider could not be told.
    pub dropped: Option<String>,
}

/// All that is known of one request.
#[derive(Debug)]
pub struct Trail {
    pub id: RequestId,
    pub wall: SystemTime,
    pub began: Instant,
    /// `None` for work that no request of its own asked for: a later turn of an agent, an answer in
    /// the background.
    pub arrived: Option<RequestOrigin>,
    pub caller: Option<(AccountId, KeyId)>,
    pub attempts: Vec<Attempt>,
    pub bill: Option<Bill>,
    /// Guardrails that were met, as `input cards=mask`.
    pub guardrails: Option<String>,
    /// What moderation models have found, as `policy: hate violence`.
    pub moderation: Option<String>,
    pub left: Option<ResponseSummary>,
    pub ended: Instant,
    /// Where it stands in a trace, if it is traced.
    pub context: Option<Context>,
    /// When its body had been read.
    pub(super) heard: Option<Instant>,
}

impl Trail {
    /// One of which nothing is known yet.
    pub(super) fn begun(id: &RequestId, context: Option<Context>) -> Self {
        let began = Instant::now();
        Self {
            id: id.clone(),
            wall: SystemTime::now(),
            began,
            arrived: None,
            caller: None,
            attempts: Vec::new(),
            bill: None,
            guardrails: None,
            moderation: None,
            left: None,
            ended: began,
            context,
            heard: None,
        }
    }

    /// What we took of the time up to the first byte: from the body's last byte to the first
    /// attempt, and from the end of the last attempt on. `None` where nobody was asked.
    #[must_use]
    pub fn overhead(&self) -> Option<Duration> {
        let first = self.attempts.iter().map(|one| one.began).min()?;
        let last = self.attempts.iter().map(|one| one.over).max()?;
        let out = self.left.as_ref()?.first_byte?;
        let before = first.saturating_duration_since(self.heard.unwrap_or(self.began));
        Some(before + out.saturating_duration_since(last))
    }

    #[must_use]
    pub fn first_byte(&self) -> Option<Duration> {
        let out = self.left.as_ref()?.first_byte?;
        Some(out.saturating_duration_since(self.began))
    }

    /// From arrival to the end.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.ended.saturating_duration_since(self.began)
    }

    /// The wall clock at a moment of this request.
    #[must_use]
    pub fn wall_at(&self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.began) {
            Some(after) => self.wall + after,
            None => self.wall - self.began.saturating_duration_since(at),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request that was answered at the second attempt.
    pub fn answered() -> Trail {
        let mut one = Trail::begun(&RequestId::stored("req_a"), None);
        let at = |ms| one.began + Duration::from_millis(ms);
        let attempt = |provider: &str, from, to, fault| Attempt {
            provider: provider.into(),
            model: "m".to_owned(),
            deployment: "m-1".to_owned(),
            began: at(from),
            over: at(to),
            fault,
            span: None,
        };
        one.attempts = vec![attempt("p0", 3, 10, Some("broken")), attempt("p1", 210, 300, None)];
        one.heard = Some(at(1));
        one.left = Some(ResponseSummary {
            status: 200,
            first_byte: Some(at(304)),
            whole: true,
            bytes: 9,
            dropped: None,
        });
        one.ended = at(310);
        one.arrived = Some(RequestOrigin { method: "POST", surface: "openai-chat" });
        one.caller = Some((AccountId::stored("acct_a"), KeyId::stored("key_a")));
        one.bill = Some(Bill {
            surface: "openai-chat".into(),
            asked: "auto\u{1b}[2J\n".to_owned(),
            provider: Some("p1".to_owned()),
            model: Some("m".to_owned()),
            streamed: false,
            outcome: "complete",
            tokens: TokenCounts {
                input: 3,
                cache_read: 4,
                output: 2,
                thought: 1,
                ..TokenCounts::default()
            },
            cost: Nanos(12_345),
            attempts: 2,
            decision: None,
            began_ms: 0,
            settled_ms: 300,
        });
        one
    }

    #[test]
    fn our_own_time_is_what_no_provider_was_waited_for() {
        // 2 ms before the first attempt, 4 behind the last; the pause between them is nobody's.
        assert_eq!(answered().overhead(), Some(Duration::from_millis(6)));
        assert_eq!(answered().first_byte(), Some(Duration::from_millis(304)));
    }
}
