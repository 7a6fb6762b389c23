//! What a million tokens of each kind cost.

use serde::{Deserialize, Serialize};

use super::PriceError;
use crate::base::money::{Margin, Nanos};
use crate::wire::vocab::Usage;

/// A kind of token that may have a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Text that is read, neither from a cache nor into one.
    Input,
    /// Text that is written, thinking included where that has no price of its own.
    Output,
    Reasoning,
    CacheRead,
    /// Written to a cache for its usual lifetime (5 minutes at Anthropic, 30 at OpenAI).
    CacheWrite,
    /// Written to a cache for longer (an hour at Anthropic, twelve at OpenAI).
    CacheWriteLong,
    AudioIn,
    AudioOut,
    ImageIn,
    ImageOut,
    VideoIn,
    VideoOut,
    CacheReadAudio,
    CacheReadImage,
}

const KINDS: usize = 14;

/// USD per million tokens, as it is written in files and in the configuration. What is left out
/// costs what the kind it stands for costs: a cache's kinds the input, other media their text.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RatesEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_out: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_30m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_12h: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_in: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_out: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_in: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_out: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_in: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_out: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_audio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_image: Option<f64>,
    /// An explicit cache hit, where it has another price (Alibaba). No answer tells the two apart,
    /// so it is kept for the record and not charged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_explicit: Option<f64>,
}

/// Hands the names of all kinds to another macro.
macro_rules! every_kind {
    ($with:ident) => {
        $with!(
            input,
            output,
            reasoning_out,
            cache_read,
            cache_write,
            cache_write_5m,
            cache_write_30m,
            cache_write_1h,
            cache_write_12h,
            audio_in,
            audio_out,
            image_in,
            image_out,
            video_in,
            video_out,
            cache_read_audio,
            cache_read_image,
            cache_read_explicit
        )
    };
}

impl RatesEntry {
    /// With what `base` says wherever this says nothing: kinds that a threshold does not name keep
    /// their price.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        macro_rules! lay {
            ($($kind:ident),*) => { Self { $($kind: self.$kind.or(base.$kind)),* } };
        }
        every_kind!(lay)
    }

    /// Every kind so many times as dear.
    #[must_use]
    pub fn scaled(self, times: f64) -> Self {
        macro_rules! scale {
            ($($kind:ident),*) => { Self { $($kind: self.$kind.map(|usd| usd * times)),* } };
        }
        every_kind!(scale)
    }

    /// # Errors
    /// [`PriceError`] for a price below nothing, or absurd.
    pub fn read(&self) -> Result<Rates, PriceError> {
        let nanos = |usd: Option<f64>| match usd {
            None => Ok(None),
            Some(usd) => Nanos::per_million_from_usd(usd).map(Some).ok_or(PriceError::Absurd(usd)),
        };
        // The first that is said, else what it stands for.
        let first = |said: &[Option<f64>], otherwise: Nanos| {
            let found = said.iter().copied().flatten().next();
            nanos(found).map(|found| found.unwrap_or(otherwise))
        };
        let input = nanos(self.input)?.unwrap_or_default();
        let output = nanos(self.output)?.unwrap_or_default();
        let mut rates = Rates::default();
        let mut set = |kind: TokenKind, price: Nanos| rates.0[kind as usize] = price;
        set(TokenKind::Input, input);
        set(TokenKind::Output, output);
        set(TokenKind::Reasoning, first(&[self.reasoning_out], output)?);
        let cache_read = first(&[self.cache_read], input)?;
        set(TokenKind::CacheRead, cache_read);
        set(
            TokenKind::CacheWrite,
            first(&[self.cache_write_5m, self.cache_write_30m, self.cache_write], input)?,
        );
        set(
            TokenKind::CacheWriteLong,
            first(&[self.cache_write_1h, self.cache_write_12h, self.cache_write], input)?,
        );
        let audio_in = first(&[self.audio_in], input)?;
        set(TokenKind::AudioIn, audio_in);
        set(TokenKind::AudioOut, first(&[self.audio_out], output)?);
        let image_in = first(&[self.image_in], input)?;
        set(TokenKind::ImageIn, image_in);
        set(TokenKind::ImageOut, first(&[self.image_out], output)?);
        set(TokenKind::VideoIn, first(&[self.video_in], input)?);
        set(TokenKind::VideoOut, first(&[self.video_out], output)?);
        // A cache of sounds or pictures that has no price is charged as those are; where these
        // cost what text does, as text in a cache is.
        let cached = |own: Option<f64>, dear: Option<f64>, fresh: Nanos| {
            first(&[own], if dear.is_some() { fresh } else { cache_read })
        };
        set(TokenKind::CacheReadAudio, cached(self.cache_read_audio, self.audio_in, audio_in)?);
        set(TokenKind::CacheReadImage, cached(self.cache_read_image, self.image_in, image_in)?);
        Ok(rates)
    }
}

/// Nano-USD per million tokens, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates([Nanos; KINDS]);

impl Rates {
    #[must_use]
    pub fn of(&self, kind: TokenKind) -> Nanos {
        self.0[kind as usize]
    }

    /// Text in and text out, and nothing said of the rest.
    #[must_use]
    pub fn text(input: Nanos, output: Nanos) -> Self {
        let mut rates = Self::default();
        for kind in [
            TokenKind::Input,
            TokenKind::CacheRead,
            TokenKind::CacheWrite,
            TokenKind::CacheWriteLong,
            TokenKind::AudioIn,
            TokenKind::ImageIn,
            TokenKind::VideoIn,
            TokenKind::CacheReadAudio,
            TokenKind::CacheReadImage,
        ] {
            rates.0[kind as usize] = input;
        }
        for kind in [
            TokenKind::Output,
            TokenKind::Reasoning,
            TokenKind::AudioOut,
            TokenKind::ImageOut,
            TokenKind::VideoOut,
        ] {
            rates.0[kind as usize] = output;
        }
        rates
    }

    /// What the tokens cost, in millionths of a nano-USD: exact, so that it is rounded once.
    #[must_use]
    pub fn exact(&self, usage: &Usage) -> i128 {
        let more = &usage.more;
        [
            (TokenKind::Input, usage.input),
            (TokenKind::Output, usage.output),
            (TokenKind::Reasoning, usage.thought),
            (TokenKind::CacheRead, usage.cache_read),
            (TokenKind::CacheWrite, usage.cache_write),
            (TokenKind::CacheWriteLong, more.cache_write_long),
            (TokenKind::AudioIn, more.audio_in),
            (TokenKind::AudioOut, more.audio_out),
            (TokenKind::ImageIn, more.image_in),
            (TokenKind::ImageOut, more.image_out),
            (TokenKind::VideoIn, more.video_in),
            (TokenKind::CacheReadAudio, more.cache_read_audio),
            (TokenKind::CacheReadImage, more.cache_read_image),
        ]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
        .map(|(kind, tokens)| i128::from(self.of(kind).0) * i128::from(tokens))
        .fold(0, i128::saturating_add)
    }

    /// What the tokens cost, rounded up once.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Nanos {
        let exact = self.exact(usage);
        let rounded = exact.div_euclid(1_000_000) + i128::from(exact.rem_euclid(1_000_000) != 0);
        Nanos(i64::try_from(rounded).unwrap_or(i64::MAX))
    }

    /// The same with a margin on each.
    #[must_use]
    pub fn sold(&self, margin: Margin) -> Self {
        Self(self.0.map(|price| margin.on(price)))
    }

    /// The smaller of the two for every kind.
    #[must_use]
    pub fn cheaper(&self, other: &Self) -> Self {
        let mut rates = *self;
        for (mine, theirs) in rates.0.iter_mut().zip(&other.0) {
            *mine = (*mine).min(*theirs);
        }
        rates
    }

    /// The larger of the two for every kind.
    #[must_use]
    pub fn dearer(&self, other: &Self) -> Self {
        let mut rates = *self;
        for (mine, theirs) in rates.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
        rates
    }
}
