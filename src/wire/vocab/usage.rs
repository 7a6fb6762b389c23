//! Token counts, disjoint, so that they can be added up and priced.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Dialect;

/// What a request took. Every token is counted in exactly one field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// Fresh text that was read: neither from nor to a cache.
    pub input: u64,
    /// Read from a cache, but for sounds and pictures.
    pub cache_read: u64,
    /// Written to a cache for its usual lifetime.
    pub cache_write: u64,
    /// Visible text that was written.
    pub output: u64,
    /// Reasoning.
    pub thought: u64,
    pub more: RareUsage,
    /// What other models did for it, which is in none of the counts above.
    pub asides: Vec<AuxiliaryUsage>,
    /// The provider's own object: written back whole to the dialect it came from.
    pub raw: Option<(Dialect, Value)>,
}

/// What another model of the provider's did for an answer (a tool that draws, an adviser): charged for
/// at that model's prices.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuxiliaryUsage {
    /// Where it was said.
    pub model: Option<String>,
    pub usage: Usage,
}

/// Counts that few answers report. Each is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RareUsage {
    /// Written to a cache for longer than usual (an hour at Anthropic, twelve at OpenAI).
    #[serde(skip_serializing_if = "is_nothing")]
    pub cache_write_long: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub audio_in: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub audio_out: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub image_in: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub image_out: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub video_in: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub cache_read_audio: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    pub cache_read_image: u64,
    /// Searches of the web; not tokens.
    #[serde(skip_serializing_if = "is_nothing")]
    pub searches: u64,
    /// The class of service as it was answered, which may not be the one that was asked for.
    #[serde(skip_serializing_if = "Class::is_standard")]
    pub class: Class,
    /// It was answered within a region that costs more (Anthropic's `inference_geo`).
    #[serde(skip_serializing_if = "is_not")]
    pub regional: bool,
}

/// Lines are short: what is nothing is not said.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_nothing(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_not(flag: &bool) -> bool {
    !*flag
}

/// How urgently a request was served, which has a price.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    #[default]
    Standard,
    Flex,
    /// OpenAI calls it `priority` or `fast`, Google `priority`.
    Priority,
    Batch,
    /// Anthropic's `speed: fast`.
    Fast,
    Ultrafast,
}

impl Class {
    /// A class by the word that an answer has for it; whatever is not known is standard.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "flex" | "on_demand_flex" => Self::Flex,
            "priority" | "on_demand_priority" => Self::Priority,
            "batch" => Self::Batch,
            "fast" => Self::Fast,
            "ultrafast" => Self::Ultrafast,
            _ => Self::Standard,
        }
    }

    #[must_use]
    pub fn is_standard(&self) -> bool {
        *self == Self::Standard
    }

    /// This one, unless it is the one that goes without saying.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.is_standard() { other } else { self }
    }
}

impl RareUsage {
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Tokens of the prompt among it.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        [
            self.cache_write_long,
            self.audio_in,
            self.image_in,
            self.video_in,
            self.cache_read_audio,
            self.cache_read_image,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Tokens of the answer among it.
    #[must_use]
    pub fn completion(&self) -> u64 {
        self.audio_out.saturating_add(self.image_out)
    }

    /// Of two calls together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cache_write_long: self.cache_write_long.saturating_add(other.cache_write_long),
            audio_in: self.audio_in.saturating_add(other.audio_in),
            audio_out: self.audio_out.saturating_add(other.audio_out),
            image_in: self.image_in.saturating_add(other.image_in),
            image_out: self.image_out.saturating_add(other.image_out),
            video_in: self.video_in.saturating_add(other.video_in),
            cache_read_audio: self.cache_read_audio.saturating_add(other.cache_read_audio),
            cache_read_image: self.cache_read_image.saturating_add(other.cache_read_image),
            searches: self.searches.saturating_add(other.searches),
            class: self.class.or(other.class),
            regional: self.regional || other.regional,
        }
    }

    /// With no count beyond `most`.
    #[must_use]
    pub fn at_most(self, most: u64) -> Self {
        Self {
            cache_write_long: self.cache_write_long.min(most),
            audio_in: self.audio_in.min(most),
            audio_out: self.audio_out.min(most),
            image_in: self.image_in.min(most),
            image_out: self.image_out.min(most),
            video_in: self.video_in.min(most),
            cache_read_audio: self.cache_read_audio.min(most),
            cache_read_image: self.cache_read_image.min(most),
            searches: self.searches.min(most),
            ..self
        }
    }
}

impl Usage {
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.more.prompt())
    }

    #[must_use]
    pub fn completion(&self) -> u64 {
        self.output.saturating_add(self.thought).saturating_add(self.more.completion())
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.completion())
    }

    /// Whether it counts anything at all. Servers that do not count send an empty object, or zeros.
    #[must_use]
    pub fn says_anything(&self) -> bool {
        self.total() > 0 || self.more.searches > 0 || !self.asides.is_empty()
    }

    /// All that was read from a cache.
    #[must_use]
    pub fn cached(&self) -> u64 {
        self.cache_read
            .saturating_add(self.more.cache_read_audio)
            .saturating_add(self.more.cache_read_image)
    }

    /// All that was written to one.
    #[must_use]
    pub fn cache_writes(&self) -> u64 {
        self.cache_write.saturating_add(self.more.cache_write_long)
    }

    #[must_use]
    pub fn raw_in(&self, dialect: Dialect) -> Option<&Value> {
        self.raw.as_ref().filter(|(from, _)| *from == dialect).map(|(_, raw)| raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_report_keeps_what_only_an_earlier_one_told_apart() {
        let more = RareUsage { cache_write_long: 100, regional: true, ..RareUsage::default() };
        let start = Usage { input: 10, output: 1, more, ..Usage::default() };
        // The same 100 tokens, without their lifetime.
        let end = Usage { input: 10, cache_write: 100, output: 25, ..Usage::default() };
        let both = start.clone().updated(end);
        assert_eq!((both.input, both.cache_write, both.more.cache_write_long), (10, 0, 100));
        assert!(both.more.regional);
        assert_eq!(both.output, 25);
        // Or without the prompt.
        let end = Usage { output: 25, thought: 5, ..Usage::default() };
        let both = start.updated(end);
        assert_eq!((both.prompt(), both.output, both.thought), (110, 25, 5));
    }

    #[test]
    fn what_turns_out_to_be_cached_is_not_counted_twice() {
        let first = Usage { input: 100, ..Usage::default() };
        let last = Usage { input: 40, cache_read: 60, ..Usage::default() };
        assert_eq!(first.updated(last.clone()), last);
    }
}
