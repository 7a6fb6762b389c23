//! What one request came to: a line of the journal, for good.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Weighed;
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId, RequestId};
use crate::base::money::{Credits, Nanos};
use crate::catalogue::Tier;
use crate::telemetry::trail::{Bill, TokenCounts};
use crate::wire::vocab::{RareUsage, Usage};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The answer was given whole.
    Complete,
    /// The caller left before its end, and is charged for what was produced.
    Left,
    /// The provider broke off, or none answered. Costs the caller nothing.
    Failed,
    /// Undoes the other line of the same request: what was delivered could not be written down
    /// safely in time, so the caller was refused it. Its credits are those of the other, below nothing.
    Withdrawn,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Left => "left",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Where the token counts come from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The provider's own.
    #[default]
    Reported,
    /// Counted here, since the provider said nothing.
    Estimated,
}

/// Tokens by kind, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    #[serde(skip_serializing_if = "is_nothing")]
    pub input: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub cache_read: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub cache_write: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub output: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub thought: u64,
    /// What few answers report: other media, longer caches, searches, another class of service.
    #[serde(skip_serializing_if = "RareUsage::is_nothing")]
    pub more: RareUsage,
}

/// Lines are short: what is nothing is not said.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_nothing(count: &u64) -> bool {
    *count == 0
}

impl Tokens {
    /// All that was read and is in no cache, whatever the medium.
    #[must_use]
    pub fn fresh(&self) -> u64 {
        let more = &self.more;
        [self.input, more.audio_in, more.image_in, more.video_in]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// All that was read from a cache.
    #[must_use]
    pub fn cached(&self) -> u64 {
        self.cache_read
            .saturating_add(self.more.cache_read_audio)
            .saturating_add(self.more.cache_read_image)
    }

    /// All that was written to a cache.
    #[must_use]
    pub fn cache_writes(&self) -> u64 {
        self.cache_write.saturating_add(self.more.cache_write_long)
    }

    /// All that was written but reasoning, whatever the medium.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.output.saturating_add(self.more.completion())
    }

    /// With those of another call for the same request.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            thought: self.thought.saturating_add(other.thought),
            more: self.more.plus(other.more),
        }
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        [
            self.input,
            self.cache_read,
            self.cache_write,
            self.output,
            self.thought,
            self.more.prompt(),
            self.more.completion(),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// More tokens of one kind than any request can have. A provider that says more is not believed:
/// such a count could not be added up for ever.
const MOST: u64 = 1_000_000_000;

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        Self {
            input: usage.input.min(MOST),
            cache_read: usage.cache_read.min(MOST),
            cache_write: usage.cache_write.min(MOST),
            output: usage.output.min(MOST),
            thought: usage.thought.min(MOST),
            more: usage.more.at_most(MOST),
        }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input: tokens.input,
            cache_read: tokens.cache_read,
            cache_write: tokens.cache_write,
            output: tokens.output,
            thought: tokens.thought,
            more: tokens.more,
            asides: Vec::new(),
            raw: None,
        }
    }
}

/// An attempt that gave no answer, as the ledger keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    pub provider: String,
    pub model: String,
    pub fault: Cow<'static, str>,
    /// What it has likely cost all the same: a request that was asked twice, and answered by the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Nanos>,
    /// When it began, from the first attempt on, and how long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What the provider answered with, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answerer {
    pub model: String,
    pub provider: String,
    pub tier: Tier,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    pub id: RequestId,
    pub account: AccountId,
    pub key: KeyId,
    pub began: Timestamp,
    pub at: Timestamp,
    /// The dialect or the surface that was asked.
    pub surface: Cow<'static, str>,
    /// The model that was asked for.
    pub asked: String,
    pub streamed: bool,
    pub outcome: Outcome,
    /// `None` when nobody answered.
    pub by: Option<Answerer>,
    pub tokens: Tokens,
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub images: u64,
    pub basis: Basis,
    pub credits: Credits,
    /// What the providers charge for it.
    pub cost: Nanos,
    /// What it is sold for, where that is not its cost: at the price of the model's first deployment, with
    /// the caller's margin; nothing, where nothing was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Nanos>,
    pub attempts: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<FailedAttempt>,
    /// How `auto` chose, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// What `auto` weighed. Under a name of its own since it is packed: nodes of before read past it.
    #[serde(
        default,
        rename = "packed",
        alias = "weighed",
        skip_serializing_if = "Option::is_none"
    )]
    pub weighed: Option<Box<Weighed>>,
    /// From arrival to the first byte of the answer.
    pub first_byte_ms: u64,
}

impl Settlement {
    /// The period whose allowance pays for it.
    #[must_use]
    pub fn period(&self) -> Period {
        Period::of(self.at)
    }

    /// What it says, for the access log and, `traced`, for the traces.
    #[must_use]
    pub fn bill(&self, traced: bool) -> Bill {
        Bill {
            surface: self.surface.clone(),
            asked: self.asked.clone(),
            provider: self.by.as_ref().map(|by| by.provider.clone()),
            model: self.by.as_ref().map(|by| by.model.clone()),
            streamed: self.streamed,
            outcome: self.outcome.as_str(),
            tokens: TokenCounts {
                input: self.tokens.fresh(),
                cache_read: self.tokens.cached(),
                cache_write: self.tokens.cache_writes(),
                output: self.tokens.written(),
                thought: self.tokens.thought,
            },
            cost: self.cost,
            attempts: self.attempts,
            decision: self.decision.as_ref().filter(|_| traced).cloned(),
            began_ms: self.began.0,
            settled_ms: self.at.0,
        }
    }

    /// What it is sold for.
    #[must_use]
    pub fn listed(&self) -> Nanos {
        self.list.unwrap_or(self.cost)
    }

    /// From arrival to the end, in milliseconds.
    #[must_use]
    pub fn latency_ms(&self) -> u64 {
        u64::try_from(self.at.0 - self.began.0).unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("the line has no checksum")]
    Cut,
    #[error("the line's checksum is wrong")]
    Checksum,
    #[error("the line cannot be read: {0}")]
    Words(String),
}

impl Settlement {
    /// Adds the settlement's line to `out`: a checksum, its JSON, a line end.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(b"00000000 ");
        if serde_json::to_writer(&mut *out, self).is_err() {
            // Nothing in it can fail to be written: no map has keys that are not text.
            out.truncate(start);
            return;
        }
        let sum = crc32fast::hash(out.get(start + 9..).unwrap_or_default());
        let digits = b"0123456789abcdef";
        for (place, byte) in out.iter_mut().skip(start).take(8).enumerate() {
            let nibble = (sum >> (28 - 4 * place)) & 15;
            *byte = digits.get(nibble as usize).copied().unwrap_or(b'0');
        }
        out.push(b'\n');
    }

    /// Reads a line without its end.
    ///
    /// # Errors
    /// [`LineError`] for a line that was cut off or changed.
    pub fn read(line: &[u8]) -> Result<Self, LineError> {
        let (sum, words) = line.split_at_checked(9).ok_or(LineError::Cut)?;
        let sum = std::str::from_utf8(sum).map_err(|_| LineError::Cut)?;
        let sum = u32::from_str_radix(sum.trim_end(), 16).map_err(|_| LineError::Cut)?;
        if crc32fast::hash(words) != sum {
            return Err(LineError::Checksum);
        }
        serde_json::from_slice(words).map_err(|why| LineError::Words(why.to_string()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A settlement that costs one credit.
    pub fn settlement(number: u64) -> Settlement {
        Settlement {
            id: RequestId::stored(&format!("req_{number:032}")),
            account: AccountId::stored("acct_a"),
            key: KeyId::stored("key_a"),
            began: Timestamp(1_775_001_600_000),
            at: Timestamp(1_775_001_601_000),
            surface: "chat".into(),
            asked: "auto".to_owned(),
            streamed: false,
            outcome: Outcome::Complete,
            by: Some(Answerer {
                model: "gpt-5".to_owned(),
                provider: "openai".to_owned(),
                tier: Tier::Premium,
            }),
            tokens: Tokens { input: 10, output: 20, ..Tokens::default() },
            images: 0,
            basis: Basis::Reported,
            credits: Credits(1),
            cost: Nanos(1_234),
            list: None,
            attempts: 1,
            tried: Vec::new(),
            decision: None,
            weighed: None,
            first_byte_ms: 12,
        }
    }

    #[test]
    fn a_line_reads_back() {
        let one = settlement(7);
        let mut line = Vec::new();
        one.write(&mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(Settlement::read(&line).unwrap(), one);
    }

    #[test]
    fn a_record_that_cannot_be_read_costs_no_line() {
        let text = serde_json::to_string(&settlement(7)).unwrap();
        for weighed in [r#""packed":"?!""#, r#""packed":"AAAA""#, r#""weighed":"AAAA""#] {
            let line = text.replacen(r#""attempts""#, &format!("{weighed},\"attempts\""), 1);
            let read: Settlement = serde_json::from_str(&line).unwrap();
            assert!(read.weighed.is_some(), "{line}");
            assert_eq!(Settlement { weighed: None, ..read }, settlement(7));
        }
    }

    #[test]
    fn an_absurd_count_is_not_believed() {
        let usage = Usage { input: u64::MAX, output: 7, ..Usage::default() };
        let tokens = Tokens::from(&usage);
        assert_eq!((tokens.input, tokens.output), (MOST, 7));
    }

    #[test]
    fn a_changed_line_is_found_out() {
        let mut line = Vec::new();
        settlement(7).write(&mut line);
        line.pop();
        let at = line.len() - 3;
        line[at] ^= 1;
        assert_eq!(Settlement::read(&line), Err(LineError::Checksum));
        assert_eq!(Settlement::read(&line[..at]), Err(LineError::Checksum));
        assert_eq!(Settlement::read(b"12"), Err(LineError::Cut));
    }
}
