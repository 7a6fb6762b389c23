//! How a trained router is kept in a file: a mark, a JSON head, then numbers, little-endian.

use serde::{Deserialize, Serialize};

use super::net::{Ability, Net, Shape, Weights};
use super::text::{BUCKETS, COUNTS, PAIRS};

const MARK: &[u8; 8] = b"OPTXRTR1";
/// More sources or models than any router is trained on.
const MOST: usize = 10_000;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormatError {
    #[error("it is no trained router")]
    Mark,
    #[error("its head cannot be read: {0}")]
    Head(String),
    #[error("it is of another shape than this build reads")]
    Shape,
    #[error("it is cut off, or too long")]
    Length,
    #[error("it holds a number that is none")]
    Number,
}

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// What decisions are labelled with.
    pub id: String,
    pub seed: u64,
    shape: [usize; 7],
    pub sources: Vec<String>,
    pub models: Vec<ModelMeta>,
    /// The level of a model that nobody has data for: of its log prices and its size.
    pub level_by: Vec<f32>,
    /// The same where a tier is all that is known, from the cheapest tier to the dearest.
    pub level_by_tier: Vec<f32>,
    /// What the prompts of training were like.
    pub usual: Usual,
}

/// What is held of a prompt that is like none of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// The mean ease.
    pub ease: f32,
    /// The mean log length of answers.
    pub length: f32,
    /// How far the sums of words reach in each network, but for one prompt in a hundred. Repeating
    /// a word would carry them anywhere.
    pub reach: [f32; Shape::NETS],
}

impl Default for Usual {
    fn default() -> Self {
        Self { ease: 0.0, length: 0.0, reach: [f32::MAX; Shape::NETS] }
    }
}

/// A model that there is data for, or a family of such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelMeta {
    pub name: String,
    pub rows: u64,
}

impl Meta {
    #[must_use]
    pub fn new(id: String, seed: u64, sources: Vec<String>, models: Vec<ModelMeta>) -> Self {
        Self {
            id,
            seed,
            shape: shape(),
            sources,
            models,
            level_by: Vec::new(),
            level_by_tier: Vec::new(),
            usual: Usual::default(),
        }
    }
}

fn shape() -> [usize; 7] {
    [BUCKETS, PAIRS, COUNTS, Shape::NETS, Shape::EMBED, Shape::HIDDEN, Shape::RANK]
}

/// Cuts numbers off the front.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FormatError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, FormatError> {
        let read = |four: &[u8]| {
            let number = four.try_into().map_or(f32::NAN, f32::from_le_bytes);
            if number.is_finite() { Ok(number) } else { Err(FormatError::Number) }
        };
        self.bytes(count * 4)?.chunks_exact(4).map(read).collect()
    }

    fn ability(&mut self) -> Result<Ability, FormatError> {
        let numbers = self.floats(2)?;
        let (level, verbosity) = match numbers.as_slice() {
            [level, verbosity] => (*level, *verbosity),
            _ => return Err(FormatError::Length),
        };
        Ok(Ability { level, verbosity, skills: self.floats(Shape::DEMANDS)?.into() })
    }
}

fn put(out: &mut Vec<u8>, numbers: &[f32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_ability(out: &mut Vec<u8>, ability: &Ability) {
    put(out, &[ability.level, ability.verbosity]);
    put(out, &ability.skills);
}

impl Weights {
    /// As a file. The same weights give the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A struct of text and numbers can always be written.
        let head = serde_json::to_vec(&self.meta).unwrap_or_default();
        let mut out = MARK.to_vec();
        out.extend_from_slice(&u32::try_from(head.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&head);
        put(&mut out, &self.steps);
        for net in &self.nets {
            for part in [&net.first, &net.first_bias, &net.second, &net.second_bias, &net.skip] {
                put(&mut out, part);
            }
        }
        for ability in self.unknown.iter().chain(&self.abilities) {
            put_ability(&mut out, ability);
        }
        for bits in &self.familiar {
            out.extend_from_slice(&bits.to_le_bytes());
        }
        out.extend(self.table.iter().map(|one| one.to_le_bytes()[0]));
        out
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FormatError`] for anything but a whole file of this shape.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut numbers = Numbers(bytes.strip_prefix(MARK).ok_or(FormatError::Mark)?);
        let length = numbers.bytes(4)?.try_into().map_or(0, u32::from_le_bytes);
        let head = numbers.bytes(usize::try_from(length).map_err(|_| FormatError::Length)?)?;
        let meta: Meta =
            serde_json::from_slice(head).map_err(|why| FormatError::Head(why.to_string()))?;
        if meta.shape != shape() || meta.sources.len() > MOST || meta.models.len() > MOST {
            return Err(FormatError::Shape);
        }
        let steps = numbers.floats(Shape::NETS)?.try_into().map_err(|_| FormatError::Length)?;
        let nets = (0..Shape::NETS)
            .map(|_| {
                Ok(Net {
                    first: numbers.floats(Shape::HIDDEN * Shape::INPUT)?,
                    first_bias: numbers.floats(Shape::HIDDEN)?,
                    second: numbers.floats(Shape::HEADS * Shape::HIDDEN)?,
                    second_bias: numbers.floats(Shape::HEADS)?,
                    skip: numbers.floats(Shape::HEADS * Shape::INPUT)?,
                })
            })
            .collect::<Result<_, FormatError>>()?;
        let unknown = [numbers.ability()?, numbers.ability()?];
        let abilities = meta.models.iter().map(|_| numbers.ability()).collect::<Result<_, _>>()?;
        let familiar = numbers
            .bytes(PAIRS / 8)?
            .chunks_exact(8)
            .map(|eight| eight.try_into().map_or(0, u64::from_le_bytes))
            .collect();
        let table = numbers.bytes(BUCKETS * Shape::WIDE)?;
        if !numbers.0.is_empty() {
            return Err(FormatError::Length);
        }
        let table = table.iter().map(|one| i8::from_le_bytes([*one])).collect();
        Ok(Self { meta, table, steps, nets, abilities, unknown, familiar })
    }
}
