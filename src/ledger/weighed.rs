//! What `auto` weighed for a request, as its line keeps it: what the prompt was taken for, and the best of
//! the candidates, packed into a few hundred bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::money::Nanos;
use crate::catalogue::Catalogue;
use crate::wire::vocab::Effort;

/// So many candidates are looked at for the record, at most. One takes 12 to 18 bytes, or 6 where its model
/// stands before it at another effort; what does not fit in `MOST_BYTES` is counted.
pub const MOST_CANDIDATES: usize = 16;
/// Bytes of a record. As text four for every three, which with its name is at most 400 of the line.
const MOST_BYTES: usize = 288;
/// How the bytes are to be read.
const FORM: u8 = 1;

/// What a prompt was taken for. All but what is said otherwise in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptEstimate {
    /// Log-odds that a model of level 0 answers well, and how far that may be off.
    pub ease: i16,
    pub unsure: i16,
    /// Which class of models it takes, from 1 to 5, and whether thought helps, from 0 to 2.
    pub need: i16,
    pub thinking: i16,
    /// The share of word pairs that were new, how far what was learned of such prompts is believed, and
    /// how much it is like everyday prompts.
    pub novelty: i16,
    pub belief: i16,
    pub everyday: i16,
}

/// Why a candidate was chosen or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Chosen,
    Drawn,
    Dearer,
    BelowFloor,
    Loses,
    AnotherEffort,
}

impl Verdict {
    /// In the order of the records.
    const ALL: [Self; 6] = [
        Self::Chosen,
        Self::Drawn,
        Self::Dearer,
        Self::BelowFloor,
        Self::Loses,
        Self::AnotherEffort,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Drawn => "drawn to find out",
            Self::Dearer => "dearer for its quality",
            Self::BelowFloor => "below the floor of quality",
            Self::Loses => "cannot keep every setting that was asked for",
            Self::AnotherEffort => "at another effort",
        }
    }
}

/// A candidate that is written down.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    pub model: &'a str,
    pub provider: &'a str,
    pub effort: Option<Effort>,
    /// The predicted chance of a good answer, in thousandths.
    pub quality: u16,
    /// What it was expected to cost, and to write.
    pub cost: Nanos,
    pub tokens: u32,
    /// The model's level and how far that may be off, in hundredths.
    pub level: i16,
    pub sd: i16,
    /// By how much what the account has found out moved it, in hundredths.
    pub moved: i16,
    pub verdict: Verdict,
}

/// A candidate as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `None` for one that the catalogue does not have any more.
    pub model: Option<String>,
    pub provider: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Cow<'static, str>>,
    pub quality: u16,
    pub cost: Nanos,
    pub tokens: u32,
    pub level: i16,
    pub sd: i16,
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub moved: i16,
    pub verdict: Cow<'static, str>,
}

fn is_nothing<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// What was weighed, as it is read back. Lines had it in this form before they had it packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub taken: PromptEstimate,
    /// How many models there were to choose from.
    pub considered: u32,
    /// How many candidates were weighed beside these.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more: u32,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// What was weighed, as it stands in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weighed {
    Packed(Vec<u8>),
    Plain(Record),
}

impl Weighed {
    /// Packs as many of the candidates, best first, as there is room for. `weighed` is how many there were,
    /// those that are not written down among them.
    pub fn pack<'a>(
        taken: &PromptEstimate,
        considered: u32,
        weighed: u32,
        candidates: impl Iterator<Item = Scored<'a>>,
    ) -> Self {
        let mut bytes = Vec::with_capacity(MOST_BYTES + 32);
        bytes.push(FORM);
        let PromptEstimate { ease, unsure, need, thinking, novelty, belief, everyday } = *taken;
        for number in [ease, unsure, need, thinking, novelty, belief, everyday] {
            put_signed(&mut bytes, number);
        }
        put(&mut bytes, considered.into());
        put(&mut bytes, weighed.into());
        let mut seen = [0; MOST_CANDIDATES];
        for (at, one) in candidates.take(MOST_CANDIDATES).enumerate() {
            let before = bytes.len();
            let name = code(one.model, one.provider);
            let same = seen.iter().take(at).position(|known| *known == name);
            one.pack(&mut bytes, name, same);
            if bytes.len() > MOST_BYTES {
                bytes.truncate(before);
                break;
            }
            if let Some(place) = seen.get_mut(at) {
                *place = name;
            }
        }
        Self::Packed(bytes)
    }

    /// What it says, with the names of this catalogue. `None` for what no version of ours has written.
    #[must_use]
    pub fn read(&self, catalogue: &Catalogue) -> Option<Record> {
        match self {
            Self::Plain(record) => Some(record.clone()),
            Self::Packed(bytes) => unpacked(bytes, &names(catalogue)),
        }
    }
}

/// An effort takes three bits, a verdict three, and two say what follows.
const MOVED: u8 = 1 << 6;
const SAME: u8 = 1 << 7;

impl Scored<'_> {
    /// One of the same model at the same provider as an earlier one says so, in place of its names and of
    /// what is known of the model.
    fn pack(&self, bytes: &mut Vec<u8>, name: u32, same: Option<usize>) {
        let effort = self.effort.map_or(0, |effort| effort as u8 + 1);
        let verdict = self.verdict as u8;
        let moved = self.moved != 0 && same.is_none();
        let flags = effort | (verdict << 3);
        let flags = if moved { flags | MOVED } else { flags };
        let same = same.and_then(|at| u8::try_from(at).ok());
        match same {
            Some(at) => bytes.extend_from_slice(&[flags | SAME, at]),
            None => {
                bytes.push(flags);
                bytes.extend_from_slice(&name.to_le_bytes());
                put_signed(bytes, self.level);
                put_signed(bytes, self.sd);
            }
        }
        if moved {
            put_signed(bytes, self.moved);
        }
        put(bytes, self.quality.into());
        put(bytes, u64::try_from(self.cost.0).unwrap_or(0));
        put(bytes, self.tokens.into());
    }
}

/// What a model at a provider is called in a record: 32 bits for its names.
fn code(model: &str, provider: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [model.as_bytes(), &[0], provider.as_bytes()] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// The names of all models at all their providers, but those that two go by.
fn names(catalogue: &Catalogue) -> HashMap<u32, (&str, &Arc<str>)> {
    let mut names: HashMap<u32, (&str, &Arc<str>)> = HashMap::new();
    let mut ambiguous = Vec::new();
    for model in catalogue.models() {
        for provider in model.deployments.iter().map(|one| &one.provider.id) {
            let (code, named) = (code(&model.id, provider), (&*model.id, provider));
            if names.insert(code, named).is_some_and(|other| other != named) {
                ambiguous.push(code);
            }
        }
    }
    for code in ambiguous {
        names.remove(&code);
    }
    names
}

/// A number in groups of seven bits, lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// The same of a number that may be below nothing: its sign is the lowest bit.
fn put_signed(bytes: &mut Vec<u8>, number: i16) {
    let number = i64::from(number);
    put(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return T::try_from(number).ok();
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i16> {
        let number: u64 = self.number()?;
        let number = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        i16::try_from(number).ok()
    }
}

fn unpacked(bytes: &[u8], names: &HashMap<u32, (&str, &Arc<str>)>) -> Option<Record> {
    let mut bytes = Bytes(bytes);
    if bytes.byte()? != FORM {
        return None;
    }
    let taken = PromptEstimate {
        ease: bytes.signed()?,
        unsure: bytes.signed()?,
        need: bytes.signed()?,
        thinking: bytes.signed()?,
        novelty: bytes.signed()?,
        belief: bytes.signed()?,
        everyday: bytes.signed()?,
    };
    let considered = bytes.number()?;
    let weighed: u32 = bytes.number()?;
    let mut candidates = Vec::with_capacity(MOST_CANDIDATES);
    while !bytes.0.is_empty() {
        candidates.push(next(&mut bytes, &candidates, names)?);
    }
    let more = weighed.saturating_sub(u32::try_from(candidates.len()).unwrap_or(u32::MAX));
    Some(Record { taken, considered, more, candidates })
}

fn next(
    bytes: &mut Bytes<'_>,
    before: &[Candidate],
    names: &HashMap<u32, (&str, &Arc<str>)>,
) -> Option<Candidate> {
    let flags = bytes.byte()?;
    let effort = usize::from(flags & 7).checked_sub(1);
    let effort = effort.and_then(|at| Effort::ALL.get(at)).map(|effort| effort.as_str().into());
    let verdict = Verdict::ALL.get(usize::from(flags >> 3 & 7))?.as_str().into();
    let (model, provider, level, sd, mut moved) = if flags & SAME == 0 {
        let name = u32::from_le_bytes([bytes.byte()?, bytes.byte()?, bytes.byte()?, bytes.byte()?]);
        let (model, provider) = names.get(&name).copied().unzip();
        let (level, sd) = (bytes.signed()?, bytes.signed()?);
        (model.map(str::to_owned), provider.map(Arc::clone), level, sd, 0)
    } else {
        let one = before.get(usize::from(bytes.byte()?))?;
        (one.model.clone(), one.provider.clone(), one.level, one.sd, one.moved)
    };
    if flags & MOVED != 0 {
        moved = bytes.signed()?;
    }
    Some(Candidate {
        model,
        provider,
        effort,
        quality: bytes.number()?,
        cost: Nanos(bytes.number()?),
        tokens: bytes.number()?,
        level,
        sd,
        moved,
        verdict,
    })
}

impl Serialize for Weighed {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Packed(bytes) => out.collect_str(&Base64Display::new(bytes, &STANDARD_NO_PAD)),
            Self::Plain(record) => record.serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for Weighed {
    fn deserialize<D: Deserializer<'de>>(read: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Weighed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("what was weighed, packed or in words")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Weighed, E> {
                // It only informs: a charge is booked whatever becomes of it.
                Ok(Weighed::Packed(STANDARD_NO_PAD.decode(text).unwrap_or_default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Weighed, A::Error> {
                let record = Record::deserialize(MapAccessDeserializer::new(map));
                record.map(Weighed::Plain).map_err(A::Error::custom)
            }
        }

        read.deserialize_any(Either)
    }
}

/// A number in hundredths.
#[must_use]
pub fn hundredths(number: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let hundredths = (number * 100.0).round().clamp(-32_000.0, 32_000.0) as i16;
    hundredths
}

/// And back.
#[must_use]
pub fn of_hundredths(number: i16) -> f64 {
    f64::from(number) / 100.0
}

#[cfg(test)]
mod tests;
