//! How a trained router is kept in a file: a mark, a JSON head, then numbers, little-endian.

use std::borrow::Cow;

use super::everyday::Everyday;
use super::format_error::FormatError;
use super::meta::Meta;
use super::net::{Net, NetShape};
use super::signs::Signs;
use super::text::COUNTS;
use super::trace::{BUCKETS, PAIRS, SIGNS, VECTORS};
use super::view::{Ability, Places, Weights};

const MARK: &[u8; 8] = b"OPTXRTR2";
/// More sources or models than any router is trained on.
const MOST: usize = 10_000;

/// Cuts numbers off the front. Tables are kept as they are where the file lives as long as the
/// program, and copied where it does not.
struct Numbers<'a> {
    rest: &'a [u8],
    keep: fn(&'a [u8]) -> Cow<'static, [u8]>,
}

impl<'a> Numbers<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(FormatError::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn table(&mut self, count: usize) -> Result<Cow<'static, [u8]>, FormatError> {
        Ok((self.keep)(self.bytes(count)?))
    }

    /// As many numbers as a slot of the same kind holds.
    fn few<const N: usize>(&mut self) -> Result<[f32; N], FormatError> {
        self.floats(N)?.try_into().map_err(|_| FormatError::Length)
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, FormatError> {
        let read = |four: &[u8]| {
            let number = four.try_into().map_or(f32::NAN, f32::from_le_bytes);
            if number.is_finite() { Ok(number) } else { Err(FormatError::Number) }
        };
        self.bytes(count * 4)?.chunks_exact(4).map(read).collect()
    }

    /// Numbers that are all there or not at all.
    fn either(&mut self, count: usize) -> Result<Vec<f32>, FormatError> {
        let there = self.bytes(1)?.first().is_some_and(|there| *there == 1);
        self.floats(if there { count } else { 0 })
    }

    fn ability(&mut self) -> Result<Ability, FormatError> {
        let [level, verbosity] = self.few::<2>()?;
        Ok(Ability {
            level,
            verbosity,
            skills: self.floats(NetShape::DEMANDS)?.into(),
            domains: self.either(NetShape::DOMAINS)?.into(),
            signs: self.either(Signs::WIDE)?.into(),
        })
    }

    fn net(&mut self) -> Result<Net, FormatError> {
        Ok(Net {
            first: self.floats(NetShape::HIDDEN * NetShape::INPUT)?,
            first_bias: self.floats(NetShape::HIDDEN)?,
            second: self.floats(NetShape::HEADS * NetShape::HIDDEN)?,
            second_bias: self.floats(NetShape::HEADS)?,
            skip: self.floats(NetShape::HEADS * NetShape::INPUT)?,
            tell: self.floats(NetShape::DOMAINS * NetShape::HIDDEN)?,
            tell_bias: self.floats(NetShape::DOMAINS)?,
        })
    }

    fn everyday(&mut self) -> Result<Everyday, FormatError> {
        let targets = Everyday::TARGETS;
        let [reach, spread] = self.few::<2>()?;
        let prompts = self.bytes(4)?.try_into().map_or(0, u32::from_le_bytes);
        let prompts = usize::try_from(prompts)
            .ok()
            .filter(|prompts| *prompts <= MOST && prompts.is_multiple_of(Everyday::TOGETHER));
        let prompts = prompts.ok_or(FormatError::Shape)?;
        Ok(Everyday {
            near: Everyday::nearness(reach),
            reach,
            spread,
            steps: self.few()?,
            bias: self.few()?,
            mean: self.floats(Everyday::FEW)?,
            spreads: self.floats(Everyday::FEW)?,
            plain: self.floats(Everyday::FEW * targets)?,
            vectors: self.floats(Everyday::VECTOR * targets)?,
            says: self.floats(prompts * targets)?,
            kin: self.table(prompts * Everyday::FEW)?,
            words: self.table(SIGNS * Everyday::SIGNS)?,
        })
    }

    fn signs(&mut self) -> Result<Signs, FormatError> {
        if self.bytes(1)? != [1] {
            return Ok(Signs::default());
        }
        Ok(Signs {
            steps: self.few()?,
            bias: self.floats(Signs::RANK)?,
            beside: self.floats(Signs::BESIDE * Signs::RANK)?,
            table: self.table(SIGNS * Signs::WIDE)?,
        })
    }
}

fn put(out: &mut Vec<u8>, numbers: &[f32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_either(out: &mut Vec<u8>, numbers: &[f32]) {
    out.push(u8::from(!numbers.is_empty()));
    put(out, numbers);
}

fn put_ability(out: &mut Vec<u8>, ability: &Ability) {
    put(out, &[ability.level, ability.verbosity]);
    put(out, &ability.skills);
    put_either(out, &ability.domains);
    put_either(out, &ability.signs);
}

fn put_everyday(out: &mut Vec<u8>, everyday: &Everyday) {
    put(out, &[everyday.reach, everyday.spread]);
    let prompts = u32::try_from(everyday.says.len() / Everyday::TARGETS).unwrap_or(0);
    out.extend_from_slice(&prompts.to_le_bytes());
    put(out, &everyday.steps);
    put(out, &everyday.bias);
    let Everyday { mean, spreads, plain, vectors, says, .. } = everyday;
    for part in [mean, spreads, plain, vectors, says] {
        put(out, part);
    }
    out.extend_from_slice(&everyday.kin);
    out.extend_from_slice(&everyday.words);
}

fn put_signs(out: &mut Vec<u8>, signs: &Signs) {
    out.push(u8::from(!signs.table.is_empty()));
    if !signs.table.is_empty() {
        put(out, &signs.steps);
        put(out, &signs.bias);
        put(out, &signs.beside);
        out.extend_from_slice(&signs.table);
    }
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
            let Net { first, first_bias, second, second_bias, skip, tell, tell_bias } = net;
            for part in [first, first_bias, second, second_bias, skip, tell, tell_bias] {
                put(&mut out, part);
            }
        }
        for ability in self.unknown.iter().chain(&self.abilities) {
            put_ability(&mut out, ability);
        }
        put(&mut out, &self.places.turn);
        put(&mut out, &self.places.centres);
        put(&mut out, &self.places.squares);
        for bits in &self.familiar {
            out.extend_from_slice(&bits.to_le_bytes());
        }
        out.extend_from_slice(&self.table);
        out.extend_from_slice(&self.vectors);
        put_everyday(&mut out, &self.everyday);
        put_signs(&mut out, &self.signs);
        out
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FormatError`] for anything but a whole file of this shape.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        Self::parsed(bytes, |table| Cow::Owned(table.to_vec()))
    }

    /// Reads a file that lives as long as the program: its tables are not copied.
    ///
    /// # Errors
    /// As [`Weights::from_bytes`].
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, FormatError> {
        Self::parsed(bytes, Cow::Borrowed)
    }

    fn parsed<'a>(
        bytes: &'a [u8],
        keep: fn(&'a [u8]) -> Cow<'static, [u8]>,
    ) -> Result<Self, FormatError> {
        let rest = bytes.strip_prefix(MARK).ok_or(FormatError::Mark)?;
        let mut numbers = Numbers { rest, keep };
        let length = numbers.bytes(4)?.try_into().map_or(0, u32::from_le_bytes);
        let head = numbers.bytes(usize::try_from(length).map_err(|_| FormatError::Length)?)?;
        let meta: Meta =
            serde_json::from_slice(head).map_err(|why| FormatError::Head(why.to_string()))?;
        let many = meta.sources.len() > MOST || meta.models.len() > MOST;
        if !meta.fits() || many || meta.domains.len() > NetShape::DOMAINS {
            return Err(FormatError::Shape);
        }
        let steps = numbers.few()?;
        let nets = (0..NetShape::NETS).map(|_| numbers.net()).collect::<Result<_, _>>()?;
        let unknown = [numbers.ability()?, numbers.ability()?];
        let abilities = meta.models.iter().map(|_| numbers.ability()).collect::<Result<_, _>>()?;
        let places = Places {
            turn: numbers.floats(COUNTS * COUNTS)?,
            centres: numbers.floats(COUNTS * NetShape::DOMAINS)?,
            squares: numbers.floats(NetShape::DOMAINS)?,
        };
        let familiar = numbers
            .bytes(PAIRS / 8)?
            .chunks_exact(8)
            .map(|eight| eight.try_into().map_or(0, u64::from_le_bytes))
            .collect();
        let table = numbers.table(BUCKETS * NetShape::WIDE)?;
        let vectors = numbers.table(VECTORS * NetShape::VECTOR)?;
        let everyday = numbers.everyday()?;
        let signs = numbers.signs()?;
        if !numbers.rest.is_empty() {
            return Err(FormatError::Length);
        }
        Ok(Self {
            meta,
            table,
            steps,
            vectors,
            nets,
            abilities,
            unknown,
            familiar,
            places,
            everyday,
            signs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARRIED: &[u8] = include_bytes!("../../../router-models/auto-2/weights.bin");

    #[test]
    fn what_is_written_is_what_was_read() {
        let read = Weights::from_static(CARRIED).unwrap();
        assert_eq!(read.to_bytes(), CARRIED);
        assert_eq!(Weights::from_bytes(CARRIED).unwrap(), read);
        assert!(matches!(read.table, Cow::Borrowed(_)));
    }

    #[test]
    fn a_file_that_is_cut_or_wrong_is_refused() {
        let read = |bytes: &[u8]| Weights::from_bytes(bytes).err();
        assert_eq!(read(b""), Some(FormatError::Mark));
        assert_eq!(read(b"OPTXRTR1 and more"), Some(FormatError::Mark));
        for length in [8, 11, 12, 1_000, 100_000, 1_000_000, CARRIED.len() - 1] {
            let said = read(&CARRIED[..length]);
            assert!(
                matches!(said, Some(FormatError::Length | FormatError::Head(_))),
                "{length}: {said:?}"
            );
        }
        let mut longer = CARRIED.to_vec();
        longer.push(0);
        assert_eq!(read(&longer), Some(FormatError::Length));
        let head = u32::from_le_bytes(CARRIED[8..12].try_into().unwrap()) as usize;
        let mut broken = CARRIED.to_vec();
        broken[12 + head..16 + head].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(read(&broken), Some(FormatError::Number));
        let text = String::from_utf8(CARRIED[12..12 + head].to_vec()).unwrap();
        let other = text.replacen("\"shape\":[32768", "\"shape\":[16384", 1);
        let mut broken = CARRIED.to_vec();
        broken[12..12 + head].copy_from_slice(other.as_bytes());
        assert_eq!(read(&broken), Some(FormatError::Shape));
    }
}
