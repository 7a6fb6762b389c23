//! A request of `auto` as it is kept for replays: what the router read of it, as numbers, and what it
//! needs. No words, no ids; an account is a hash.

use serde::{Deserialize, Serialize};

use super::neural::View;
use super::{DialWish, Needs, PromptDemand};
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::money::Nanos;
use crate::base::secret::fingerprint;

const HOUR_MS: i64 = 3_600_000;
/// Digits of an account's hash.
const HASH_DIGITS: usize = 16;

/// What the recorder keeps of a request of `auto`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestFeatures {
    /// The hour that it came in, in milliseconds since the epoch.
    pub hour_ms: i64,
    /// A hash of the account.
    pub account: String,
    /// The weights that read it: numbers of others mean something else.
    pub router: String,
    pub dial: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Nanos>,
    /// The model that answered.
    #[serde(default)]
    pub model: String,
    pub needs: Needs,
    /// Tokens of a usual answer.
    length: f32,
    /// Ease, how unsure that is, log length, thinking, everyday, novelty, belief, lean.
    prompt: [f32; 8],
    demands: Vec<f32>,
    domains: Vec<(u8, f32)>,
    signs: Vec<f32>,
    words: Vec<f32>,
}

/// What is kept is kept to a hundredth.
fn rounded(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|one| (one * 100.0).round() / 100.0).collect()
}

/// A list of numbers as it was, if it is as long as it has to be.
fn whole<const N: usize>(numbers: &[f32]) -> Option<[f32; N]> {
    numbers.try_into().ok()
}

impl RequestFeatures {
    #[must_use]
    pub fn of(
        demand: &PromptDemand,
        needs: &Needs,
        wish: DialWish,
        router: &str,
        account: &AccountId,
        now: Timestamp,
    ) -> Self {
        let view = demand.view();
        let mut account = fingerprint(&[b"features", account.as_str().as_bytes()]);
        account.truncate(HASH_DIGITS);
        Self {
            hour_ms: now.0 - now.0.rem_euclid(HOUR_MS),
            account,
            router: router.to_owned(),
            dial: wish.dial.quality(),
            max_cost: wish.max_cost,
            model: String::new(),
            needs: needs.clone(),
            length: demand.length(),
            prompt: [
                view.ease,
                view.unsure,
                view.length,
                view.thinking,
                view.everyday,
                view.novelty,
                view.belief,
                view.lean,
            ],
            demands: rounded(&view.demands),
            domains: view.domains.to_vec(),
            signs: rounded(&view.signs),
            words: rounded(&view.embedding),
        }
    }

    /// What the prompt demanded, as the router read it; `None` of a line of another shape.
    #[must_use]
    pub fn demand(&self) -> Option<PromptDemand> {
        let [ease, unsure, length, thinking, everyday, novelty, belief, lean] = self.prompt;
        let view = View {
            ease,
            unsure,
            length,
            thinking,
            demands: whole(&self.demands)?,
            domains: self.domains.as_slice().try_into().ok()?,
            everyday,
            novelty,
            belief,
            lean,
            signs: whole(&self.signs)?,
            embedding: whole(&self.words)?,
        };
        Some(PromptDemand::of(view, self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::router::{Dial, Predictor};
    use crate::wire::vocab::{Part, Request, Role, Turn};

    #[test]
    fn what_is_kept_decides_alike_and_holds_no_words() {
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &Catalogue::default());
        let text = "What does the swordfish clause of our contract say about Zanzibar?";
        let turns = vec![Turn::new(Role::User, vec![Part::text(text)])];
        let request = Request { turns, ..Request::default() };
        let (demand, needs) = (predictor.demand(&request), Needs::of(&request));
        let (account, now) = (AccountId::stored("acct_a"), Timestamp(1_795_564_812_345));
        let features =
            RequestFeatures::of(&demand, &needs, Dial::BEST.into(), predictor.id(), &account, now);
        let line = serde_json::to_string(&features).unwrap();
        for word in ["swordfish", "Zanzibar", "contract", "acct_a", "812345"] {
            assert!(!line.contains(word), "{line}");
        }
        assert!(line.len() < 3_000, "{}", line.len());
        let read: RequestFeatures = serde_json::from_str(&line).unwrap();
        assert_eq!(read, features);
        let again = read.demand().unwrap();
        assert!((again.ease() - demand.ease()).abs() < 1e-6);
        assert!((again.length() - demand.length()).abs() < 1e-3);
        assert_eq!(again.domain(), demand.domain());
    }
}
