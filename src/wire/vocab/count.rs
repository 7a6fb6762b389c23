//! Counts as answers have them, a total and parts of it that overlap, made disjoint. A part that
//! is larger than what is left of its whole is cut: the sum is the total, whatever was said.

use serde_json::Value;

use super::{Dialect, RareUsage, Usage};

/// A count as answers write it: a number, one with an empty fraction (`12.0`), or either as a text.
/// Nothing else is a count.
#[must_use]
pub fn tokens_in(told: &Value) -> Option<u64> {
    match told {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

/// Rounded up, as all that is charged for is.
fn whole(count: f64) -> Option<u64> {
    (count.is_finite() && count >= 0.0)
        .then(|| format!("{:.0}", count.ceil() + 0.0).parse().ok())?
}

/// What an answer says of its prompt. All parts are of the total, and a medium's count holds what
/// of it came from a cache, too.
#[derive(Debug, Clone, Copy, Default)]
pub struct PromptCount {
    pub total: u64,
    pub cached: u64,
    pub cached_audio: u64,
    pub cached_image: u64,
    /// Has no price of its own: it stays with the rest of what was cached.
    pub cached_video: u64,
    pub written: u64,
    /// Of what was written to a cache, for longer than usual.
    pub written_long: u64,
    pub audio: u64,
    pub image: u64,
    pub video: u64,
}

/// What an answer says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerCount {
    pub total: u64,
    pub thought: u64,
    pub audio: u64,
    pub image: u64,
}

/// As much as is wanted and there.
fn take(left: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*left);
    *left -= taken;
    taken
}

impl PromptCount {
    pub fn add_to(&self, usage: &mut Usage) {
        let mut fresh = self.total;
        let mut cached = take(&mut fresh, self.cached);
        let mut written = take(&mut fresh, self.written);
        let cached_video = self.cached_video.min(cached);
        let cached_audio = take(&mut cached, self.cached_audio);
        let cached_image = take(&mut cached, self.cached_image);
        let long = take(&mut written, self.written_long);
        let audio = take(&mut fresh, self.audio.saturating_sub(cached_audio));
        let image = take(&mut fresh, self.image.saturating_sub(cached_image));
        let video = take(&mut fresh, self.video.saturating_sub(cached_video));
        let more = &mut usage.more;
        for (count, part) in [
            (&mut usage.input, fresh),
            (&mut usage.cache_read, cached),
            (&mut usage.cache_write, written),
            (&mut more.cache_write_long, long),
            (&mut more.cache_read_audio, cached_audio),
            (&mut more.cache_read_image, cached_image),
            (&mut more.audio_in, audio),
            (&mut more.image_in, image),
            (&mut more.video_in, video),
        ] {
            *count = count.saturating_add(part);
        }
    }
}

impl AnswerCount {
    pub fn add_to(&self, usage: &mut Usage) {
        let mut text = self.total;
        let thought = take(&mut text, self.thought);
        let audio = take(&mut text, self.audio);
        let image = take(&mut text, self.image);
        for (count, part) in [
            (&mut usage.output, text),
            (&mut usage.thought, thought),
            (&mut usage.more.audio_out, audio),
            (&mut usage.more.image_out, image),
        ] {
            *count = count.saturating_add(part);
        }
    }
}

impl Usage {
    /// Counts in a stream are cumulative, but a later report may leave out what an earlier one
    /// said: all of the prompt, or how much of it was of which kind (Anthropic's last message says
    /// neither what was written for an hour nor in which region). Of prompt and answer the larger
    /// report holds, with what only the other tells apart.
    #[must_use]
    pub fn updated(self, later: Self) -> Self {
        let mut usage = Self::default();
        // Others say all of it every time, and may have guessed at first (Gemini's prompt).
        let all = later.raw.as_ref().is_some_and(|(from, _)| *from != Dialect::Anthropic);
        let holds = |later: u64, earlier: u64| later >= earlier || all && later > 0;
        let (base, other) =
            if holds(later.prompt(), self.prompt()) { (&later, &self) } else { (&self, &later) };
        let of = |count: fn(&RareUsage) -> u64| match count(&base.more) {
            0 => count(&other.more),
            said => said,
        };
        PromptCount {
            total: base.prompt(),
            cached: base.cached(),
            cached_audio: of(|more| more.cache_read_audio),
            cached_image: of(|more| more.cache_read_image),
            cached_video: 0,
            written: base.cache_writes(),
            written_long: of(|more| more.cache_write_long),
            audio: of(|more| more.audio_in.saturating_add(more.cache_read_audio)),
            image: of(|more| more.image_in.saturating_add(more.cache_read_image)),
            video: of(|more| more.video_in),
        }
        .add_to(&mut usage);
        let (base, other) = if holds(later.completion(), self.completion()) {
            (&later, &self)
        } else {
            (&self, &later)
        };
        let of = |count: fn(&Self) -> u64| match count(base) {
            0 => count(other),
            said => said,
        };
        AnswerCount {
            total: base.completion(),
            thought: of(|usage| usage.thought),
            audio: of(|usage| usage.more.audio_out),
            image: of(|usage| usage.more.image_out),
        }
        .add_to(&mut usage);
        usage.more.searches = self.more.searches.max(later.more.searches);
        usage.more.class = later.more.class.or(self.more.class);
        usage.more.regional = self.more.regional || later.more.regional;
        usage.asides = if later.asides.is_empty() { self.asides } else { later.asides };
        usage.raw = later.raw.or(self.raw);
        usage
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_is_understood_however_it_is_spelled() {
        let none = [json!(null), json!(-1), json!("many"), json!([7]), json!(""), json!("NaN")];
        for (told, count) in [
            (json!(7), Some(7)),
            (json!(7.0), Some(7)),
            (json!(6.5), Some(7)),
            (json!("7"), Some(7)),
            (json!(" 7.0 "), Some(7)),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!(-0.0), Some(0)),
        ]
        .into_iter()
        .chain(none.map(|told| (told, None)))
        {
            assert_eq!(tokens_in(&told), count, "{told}");
        }
    }

    /// Small and huge alike, so that parts are often larger than their whole.
    fn any_count() -> impl Strategy<Value = u64> {
        prop_oneof![0..200_u64, Just(0), any::<u64>()]
    }

    proptest! {
        #[test]
        fn whatever_is_said_of_parts_the_total_holds(
            counts in proptest::collection::vec(any_count(), 14),
        ) {
            let [total, cached, cached_audio, cached_image, cached_video, written, written_long,
                audio, image, video, answer, thought, audio_out, image_out] = counts[..] else {
                return Err(TestCaseError::fail("fourteen counts"));
            };
            let mut usage = Usage::default();
            PromptCount {
                total, cached, cached_audio, cached_image, cached_video, written, written_long,
                audio, image, video,
            }
            .add_to(&mut usage);
            AnswerCount { total: answer, thought, audio: audio_out, image: image_out }
                .add_to(&mut usage);
            prop_assert_eq!(usage.prompt(), total);
            prop_assert_eq!(usage.completion(), answer);
            prop_assert!(usage.cached() <= cached);
            prop_assert!(usage.cache_writes() <= written);
            prop_assert!(usage.thought <= thought);
        }

        #[test]
        fn a_later_report_never_adds_to_what_the_larger_one_says(
            counts in proptest::collection::vec(any_count(), 12),
        ) {
            let one = |counts: &[u64]| {
                let mut usage = Usage::default();
                let [total, cached, written, audio, answer, thought] = counts else {
                    return usage;
                };
                PromptCount {
                    total: *total, cached: *cached, cached_audio: *audio / 2, written: *written,
                    written_long: *written / 3, audio: *audio, ..PromptCount::default()
                }
                .add_to(&mut usage);
                AnswerCount { total: *answer, thought: *thought, ..AnswerCount::default() }
                    .add_to(&mut usage);
                usage
            };
            let (earlier, later) = (one(&counts[..6]), one(&counts[6..]));
            let both = earlier.clone().updated(later.clone());
            prop_assert_eq!(both.prompt(), earlier.prompt().max(later.prompt()));
            prop_assert_eq!(both.completion(), earlier.completion().max(later.completion()));
            prop_assert_eq!(later.clone().updated(later.clone()), later);
        }
    }
}
