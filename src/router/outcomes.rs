//! What answers show by themselves, and what that is worth: how far the levels of models move by it,
//! for one account and, where that is wanted, for all. Pure; every step is small and bounded.
//!
//! It goes by rates, not by numbers: an account that asks a thousand times a day moves a model no
//! further than one that asks thirty times and sees the same share of bad answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;

/// Log-odds that answers are worth which are all as bad as can be, before there are many.
const STEP: f64 = 3.0;
/// Answers that it takes until they weigh as much as what was predicted.
const INERTIA: f64 = 60.0;
/// The answers of one hour weigh no more than so many, whatever their number.
const MOST_AN_HOUR: f64 = 4.0;
/// Hours after which an answer weighs half.
const HALF_LIFE_HOURS: f64 = 7.0 * 24.0;
/// Log-odds: an account's outcomes move a model no further.
pub const OUTCOMES_BOUND: f32 = 0.4;
/// Log-odds: all accounts together move a model no further for those who have found out nothing.
pub const GLOBAL_BOUND: f32 = 0.3;
/// What one account says for all counts no more than this, in log-odds, before it is shared out.
const ONE_ACCOUNT: f32 = 0.4;
/// Accounts that it takes until they weigh as much as what was predicted.
const ACCOUNTS_INERTIA: f32 = 4.0;

const HOUR_MS: i64 = 3_600_000;

/// What an answer has shown.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Nothing speaks against it.
    AnswerSound,
    /// JSON was asked for, or a schema, and it is that.
    JsonSound,
    /// It calls tools as they were offered.
    ToolsSound,
    AnswerEmpty,
    /// It was cut off, and not by a limit of the caller's.
    AnswerCut,
    AnswerRefused,
    /// The same request came again within a short time.
    AskedAgain,
    /// Asked once more, the model says something else.
    AnswersDiffer,
    /// The judge of a cascade takes it to be wrong.
    AnswerJudgedBad,
    AnswerNotJson,
    AnswerBreaksSchema,
    ToolUnknown,
    ToolArgumentsInvalid,
    ToolCallMissing,
}

/// What signs are about. What is sound of one makes up for nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Answers,
    Json,
    Tools,
}

const ABOUT: usize = 3;

impl Sign {
    pub const ALL: [Self; 14] = [
        Self::AnswerSound,
        Self::JsonSound,
        Self::ToolsSound,
        Self::AnswerEmpty,
        Self::AnswerCut,
        Self::AnswerRefused,
        Self::AskedAgain,
        Self::AnswersDiffer,
        Self::AnswerJudgedBad,
        Self::AnswerNotJson,
        Self::AnswerBreaksSchema,
        Self::ToolUnknown,
        Self::ToolArgumentsInvalid,
        Self::ToolCallMissing,
    ];

    /// As metrics and records call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnswerSound => "answer_sound",
            Self::JsonSound => "json_sound",
            Self::ToolsSound => "tools_sound",
            Self::AnswerEmpty => "answer_empty",
            Self::AnswerCut => "answer_cut",
            Self::AnswerRefused => "answer_refused",
            Self::AskedAgain => "asked_again",
            Self::AnswersDiffer => "answers_differ",
            Self::AnswerJudgedBad => "answer_judged_bad",
            Self::AnswerNotJson => "answer_not_json",
            Self::AnswerBreaksSchema => "answer_breaks_schema",
            Self::ToolUnknown => "tool_unknown",
            Self::ToolArgumentsInvalid => "tool_arguments_invalid",
            Self::ToolCallMissing => "tool_call_missing",
        }
    }

    fn about(self) -> About {
        match self {
            Self::AnswerSound
            | Self::AnswerEmpty
            | Self::AnswerCut
            | Self::AnswerRefused
            | Self::AskedAgain
            | Self::AnswersDiffer
            | Self::AnswerJudgedBad => About::Answers,
            Self::JsonSound | Self::AnswerNotJson | Self::AnswerBreaksSchema => About::Json,
            Self::ToolsSound
            | Self::ToolUnknown
            | Self::ToolArgumentsInvalid
            | Self::ToolCallMissing => About::Tools,
        }
    }

    /// How much better the answer was than an answer usually is, from -1 to 1. One in some thirty is
    /// bad with any model: a sound answer says little, a bad one much. What may have other reasons (a
    /// refusal that is right, a caller that only repeats itself) says half.
    #[must_use]
    pub fn residual(self) -> f64 {
        match self {
            Self::AnswerSound => 0.02,
            Self::JsonSound | Self::ToolsSound => 0.03,
            Self::AnswerCut
            | Self::AnswerRefused
            | Self::AskedAgain
            | Self::AnswersDiffer
            | Self::AnswerJudgedBad => -0.5,
            Self::AnswerBreaksSchema | Self::ToolCallMissing => -0.7,
            Self::AnswerEmpty
            | Self::AnswerNotJson
            | Self::ToolUnknown
            | Self::ToolArgumentsInvalid => -1.0,
        }
    }
}

/// Residuals, and how many answers they are of.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Sums {
    sum: f64,
    count: f64,
}

impl Sums {
    fn times(self, share: f64) -> Self {
        Self { sum: self.sum * share, count: self.count * share }
    }

    fn plus(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, count: self.count + other.count }
    }

    /// What the answers of one hour may weigh.
    fn of_an_hour(self) -> Self {
        self.times((MOST_AN_HOUR / self.count.max(MOST_AN_HOUR)).min(1.0))
    }
}

/// What one account's answers of one model have shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcomes {
    /// Hours since the epoch.
    hour: i64,
    /// Of that hour, whole.
    now: [Sums; ABOUT],
    /// Of the hours before, as much as they weigh in it.
    before: [Sums; ABOUT],
    /// How often each sign was seen, ever.
    pub seen: BTreeMap<Sign, u64>,
}

fn hour(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

#[expect(clippy::cast_precision_loss, reason = "hours and answers, both counted")]
impl Outcomes {
    /// A sign was seen so many times. Nodes whose clocks differ write in turn: what is late counts as
    /// of the latest hour.
    pub fn note(&mut self, sign: Sign, times: u64, at: Timestamp) {
        let hour = hour(at);
        if hour > self.hour {
            self.before = self.weighed(hour);
            self.now = [Sums::default(); ABOUT];
            self.hour = hour;
        }
        let times_as_number = times as f64;
        let one = Sums { sum: sign.residual() * times_as_number, count: times_as_number };
        if let Some(sums) = self.now.get_mut(sign.about() as usize) {
            *sums = sums.plus(one);
        }
        let seen = self.seen.entry(sign).or_default();
        *seen = seen.saturating_add(times);
    }

    /// What all of it weighs in an hour.
    fn weighed(&self, hour: i64) -> [Sums; ABOUT] {
        let passed = hour.saturating_sub(self.hour).max(0) as f64;
        let share = (-passed / HALF_LIFE_HOURS).exp2();
        let mut all = self.before;
        for (sums, now) in all.iter_mut().zip(self.now) {
            *sums = sums.plus(now.of_an_hour()).times(share);
        }
        all
    }

    /// How far the model's level moves for the account, in log-odds.
    #[must_use]
    pub fn shift(&self, at: Timestamp) -> f32 {
        let of = |sums: &Sums| STEP * sums.sum / (sums.count + INERTIA);
        let moved: f64 = self.weighed(hour(at)).iter().map(of).sum();
        #[expect(clippy::cast_possible_truncation, reason = "log-odds")]
        let moved = moved as f32;
        // What was stored may have been anything.
        if moved.is_finite() { moved.clamp(-OUTCOMES_BOUND, OUTCOMES_BOUND) } else { 0.0 }
    }
}

/// How far a model's level moves for all, by how far it has moved for each account that has found
/// something out: each counts once, and as much as any other.
#[must_use]
pub fn for_all(accounts: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = accounts.fold((0.0, 0.0), |(sum, count), one| {
        (sum + one.clamp(-ONE_ACCOUNT, ONE_ACCOUNT), count + 1.0)
    });
    let moved: f32 = sum / (count + ACCOUNTS_INERTIA);
    moved.clamp(-GLOBAL_BOUND, GLOBAL_BOUND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_775_000_000_000;

    fn at(hours: i64) -> Timestamp {
        Timestamp(START + hours * HOUR_MS)
    }

    fn signs() -> impl Strategy<Value = Vec<(usize, i64)>> {
        proptest::collection::vec((0..Sign::ALL.len(), 0..500_i64), 0..200)
    }

    fn noted(all: &[(usize, i64)]) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for (sign, hours) in all {
            outcomes.note(Sign::ALL[*sign], 1, at(*hours));
        }
        outcomes
    }

    proptest! {
        #[test]
        fn nothing_moves_a_model_far(all in signs(), later in 0..5_000_i64, times in 1..u64::MAX) {
            let mut outcomes = noted(&all);
            prop_assert!(outcomes.shift(at(500 + later)).abs() <= OUTCOMES_BOUND);
            outcomes.note(Sign::AnswerNotJson, times, at(500));
            prop_assert!(outcomes.shift(at(500)).abs() <= OUTCOMES_BOUND);
        }

        #[test]
        fn one_answer_moves_it_by_little_and_an_hour_of_them_not_by_much(
            all in signs(),
            sign in 0..Sign::ALL.len(),
            times in 1..1_000_000_u64,
        ) {
            // They come in their order, and then all that an hour may bring.
            let mut all = all;
            all.sort_by_key(|(_, hours)| *hours);
            let mut outcomes = noted(&all);
            let before = outcomes.shift(at(500));
            outcomes.note(Sign::ALL[sign], 1, at(500));
            prop_assert!((outcomes.shift(at(500)) - before).abs() <= 0.05);
            outcomes.note(Sign::ALL[sign], times, at(500));
            prop_assert!((outcomes.shift(at(500)) - before).abs() <= 0.2);
        }

        #[test]
        fn the_order_within_an_hour_does_not_matter(
            all in proptest::collection::vec(0..Sign::ALL.len(), 1..100),
            turn in 0..100_usize,
        ) {
            let mut other = all.clone();
            other.reverse();
            let turn = turn % other.len();
            other.rotate_left(turn);
            let of = |all: &[usize]| {
                let all: Vec<(usize, i64)> = all.iter().map(|sign| (*sign, 7)).collect();
                noted(&all).shift(at(7))
            };
            prop_assert!((of(&all) - of(&other)).abs() < 1e-5);
        }

        #[test]
        fn what_comes_an_hour_late_makes_little_of_a_difference(
            all in proptest::collection::vec((0..Sign::ALL.len(), 0..300_i64), 2..100),
            place in 0..100_usize,
        ) {
            let mut all = all;
            all.sort_by_key(|(_, hours)| *hours);
            let mut other = all.clone();
            let place = place % (all.len() - 1);
            other.swap(place, place + 1);
            prop_assert!((noted(&all).shift(at(300)) - noted(&other).shift(at(300))).abs() < 0.1);
        }

        #[test]
        fn it_is_forgotten(all in signs()) {
            let outcomes = noted(&all);
            let (soon, later) = (outcomes.shift(at(500)), outcomes.shift(at(500 + 60 * 24)));
            // As many half-lives as it takes: whatever it was.
            prop_assert!(later.abs() <= soon.abs().max(0.05));
            prop_assert!(outcomes.shift(at(500 + 365 * 24)).abs() < 1e-3);
        }

        #[test]
        fn no_account_moves_all_by_much_however_often_it_speaks(
            others in proptest::collection::vec(-0.8..0.8_f32, 0..50),
            one in -1e9..1e9_f32,
        ) {
            let count: f32 = others.iter().map(|_| 1.0).sum();
            let without = for_all(others.iter().copied());
            let with = for_all(others.iter().copied().chain([one]));
            prop_assert!(with.abs() <= GLOBAL_BOUND);
            let most = 2.0 * ONE_ACCOUNT / (count + 1.0 + ACCOUNTS_INERTIA);
            prop_assert!((with - without).abs() <= most + 1e-6, "{with} {without}");
        }
    }

    #[test]
    fn it_goes_by_rates() {
        let often = |good: u64, bad: u64| {
            let mut outcomes = Outcomes::default();
            for hours in 0..24 * 14 {
                outcomes.note(Sign::JsonSound, good, at(hours));
                outcomes.note(Sign::AnswerNotJson, bad, at(hours));
            }
            outcomes.shift(at(24 * 14))
        };
        assert!((often(97, 3)).abs() < 0.01, "as any model: {}", often(97, 3));
        assert!((often(9_700, 300) - often(97, 3)).abs() < 0.01);
        assert!(often(80, 20) < -0.3, "{}", often(80, 20));
        assert!((0.0..0.1).contains(&often(100, 0)), "{}", often(100, 0));
    }

    #[test]
    fn one_account_alone_moves_all_by_a_tenth_at_most() {
        assert!((for_all([0.8].into_iter()) - 0.08).abs() < 1e-6);
        assert!((for_all([-0.4; 1_000].into_iter()) + GLOBAL_BOUND).abs() < 1e-6);
        assert!(for_all([].into_iter()).abs() < f32::EPSILON);
    }

    #[test]
    fn what_is_written_reads_back() {
        let outcomes = noted(&[(0, 1), (9, 2), (9, 2)]);
        let text = serde_json::to_string(&outcomes).unwrap();
        assert_eq!(serde_json::from_str::<Outcomes>(&text).unwrap(), outcomes);
        for sign in Sign::ALL {
            let word = serde_json::to_string(&sign).unwrap();
            assert_eq!(word, format!("\"{}\"", sign.as_str()));
        }
    }
}
