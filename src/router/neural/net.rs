//! The networks, as they are asked.

use super::format::Meta;
use super::text::{COUNTS, Prompt, read};

/// The sizes of a trained router. One of several networks each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape;

impl Shape {
    /// Networks whose answers are averaged. They share what is read of the prompt.
    pub const NETS: usize = 3;
    /// A network's part of a bucket's vector.
    pub const EMBED: usize = 32;
    pub const INPUT: usize = Self::EMBED + COUNTS;
    pub const HIDDEN: usize = 64;
    /// Directions of skill.
    pub const RANK: usize = 16;
    /// A bucket's vector.
    pub const WIDE: usize = Self::NETS * Self::EMBED;
    /// Outputs: ease, length, and the directions.
    pub const HEADS: usize = 2 + Self::RANK;
    /// What a prompt demands: the directions of every network.
    pub const DEMANDS: usize = Self::NETS * Self::RANK;
}

/// One network's matrices. A row is what one input adds to everything above it: such rows are added
/// up without a sum across, and those of silent units not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    /// `INPUT` rows of `HIDDEN`.
    pub first: Vec<f32>,
    pub first_bias: Vec<f32>,
    /// `HIDDEN` rows of `HEADS`.
    pub second: Vec<f32>,
    pub second_bias: Vec<f32>,
    /// `INPUT` rows of `HEADS`, past the hidden layer.
    pub skip: Vec<f32>,
}

/// Adds to `sums` what each input brings.
fn bring<const N: usize>(sums: &mut [f32; N], inputs: &[f32], rows: &[f32]) {
    let (rows, _) = rows.as_chunks::<N>();
    for (input, row) in inputs.iter().zip(rows) {
        if *input != 0.0 {
            for (sum, one) in sums.iter_mut().zip(row) {
                *sum += input * one;
            }
        }
    }
}

/// A copy of numbers that are `N` unless a file was misread, which [`super::format`] rules out.
fn array<const N: usize>(numbers: &[f32]) -> [f32; N] {
    numbers.try_into().unwrap_or([0.0; N])
}

/// Sums of bytes. Narrow ones first, since there are more of them to a vector.
struct Sums {
    narrow: [i16; Shape::WIDE],
    wide: [i32; Shape::WIDE],
    added: u32,
}

impl Sums {
    /// So many bytes fit into a narrow sum, whatever they are.
    const FIT: u32 = 256;

    fn add(&mut self, row: &[i8; Shape::WIDE]) {
        for (sum, one) in self.narrow.iter_mut().zip(row) {
            *sum += i16::from(*one);
        }
        self.added += 1;
        if self.added.is_multiple_of(Self::FIT) {
            self.widen();
        }
    }

    fn widen(&mut self) {
        for (wide, narrow) in self.wide.iter_mut().zip(&mut self.narrow) {
            *wide += i32::from(std::mem::take(narrow));
        }
    }
}

/// A model's side: what it brings to the demands of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Ability {
    /// Log-odds of a good answer to the average prompt.
    pub level: f32,
    /// What it adds on each demand of each network's view.
    pub skills: Box<[f32]>,
    /// Its answers are longer than others' by this, in log tokens.
    pub verbosity: f32,
}

/// A trained router.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    pub meta: Meta,
    /// A row of `WIDE` for each bucket, in steps of `step`.
    pub table: Vec<i8>,
    pub steps: [f32; Shape::NETS],
    pub nets: Vec<Net>,
    /// As many as the meta names, in its order.
    pub abilities: Vec<Ability>,
    /// Abilities of a model that nobody has data for: of level 0, and what a step of level changes.
    pub unknown: [Ability; 2],
    /// Pairs of words that training saw more than once, as bits.
    pub familiar: Vec<u64>,
}

/// What a prompt demands.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Log-odds that the average model answers well.
    pub ease: f32,
    /// Log of the tokens of an average answer.
    pub length: f32,
    /// How much of each skill it takes. Next to nothing for a prompt like none that training saw:
    /// what was learned of skills does not hold there, and what models are worth in general does.
    pub demands: [f32; Shape::DEMANDS],
    /// The share of word pairs that training had not seen.
    pub novelty: f32,
    /// The sum of the words, as the networks got it: a static embedding of the text.
    pub embedding: [f32; Shape::WIDE],
}

pub(crate) fn dot(one: &[f32], other: &[f32]) -> f32 {
    // Four sums side by side, so that it becomes vector instructions.
    let mut sums = [0.0_f32; 8];
    let (left, right) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest: f32 =
        left.remainder().iter().zip(right.remainder()).map(|(left, right)| left * right).sum();
    for (left, right) in left.zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum::<f32>() + rest
}

pub(crate) fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for one in logits.iter_mut() {
        *one = (*one - most).exp();
        sum += *one;
    }
    for one in logits.iter_mut() {
        *one /= sum;
    }
}

/// The place of a pair's bit.
pub(crate) fn spot(bit: usize) -> (usize, u64) {
    (bit / 64, 1 << (bit % 64))
}

/// How far skills are believed, by the share of pairs that are new. Measured by leaving sources out:
/// of prompts like those of training a fifth of the pairs are new, of others twice as many.
fn belief(novelty: f32) -> f32 {
    (1.2 - 2.5 * novelty).clamp(0.2, 1.0)
}

impl Weights {
    /// Reads a prompt.
    #[must_use]
    pub fn view(&self, prompt: Prompt<'_>) -> View {
        let mut sums = Sums { narrow: [0; Shape::WIDE], wide: [0; Shape::WIDE], added: 0 };
        let (mut pairs, mut new) = (0_u32, 0_u32);
        let (rows, _) = self.table.as_chunks::<{ Shape::WIDE }>();
        let counts = read(prompt, &mut |trace| {
            if trace.pair {
                let (word, bit) = spot(trace.bit());
                pairs += 1;
                new += u32::from(self.familiar.get(word).is_some_and(|bits| bits & bit == 0));
            }
            if let Some(row) = rows.get(trace.bucket()) {
                sums.add(row);
            }
        });
        sums.widen();
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let (seen, pairs, new) = (sums.added as f32, pairs as f32, new as f32);
        let scale = 1.0 / (seen + 1.0).sqrt();
        // A prompt of a word or two says nothing for or against.
        let novelty = (new + 0.8) / (pairs + 4.0);
        let belief = belief(novelty);
        let mut view = View {
            ease: 0.0,
            length: 0.0,
            demands: [0.0; Shape::DEMANDS],
            novelty,
            embedding: [0.0; Shape::WIDE],
        };
        #[expect(clippy::cast_precision_loss, reason = "one network of three")]
        let part = 1.0 / Shape::NETS as f32;
        let mut input = [0.0_f32; Shape::INPUT];
        let demands = view.demands.chunks_exact_mut(Shape::RANK);
        let embedding = view.embedding.chunks_exact_mut(Shape::EMBED);
        let sums = sums.wide.chunks_exact(Shape::EMBED);
        let nets = self.nets.iter().zip(&self.steps).zip(&self.meta.usual.reach);
        let each = nets.zip(sums).zip(demands).zip(embedding);
        for (((((net, step), reach), sums), demands), embedding) in each {
            for ((one, kept), sum) in input.iter_mut().zip(embedding).zip(sums) {
                #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
                let sum = *sum as f32;
                *one = sum * step * scale;
                *kept = *one;
            }
            let words = input.get_mut(..Shape::EMBED).unwrap_or_default();
            let far = dot(words, words).sqrt();
            if far > *reach {
                for one in words {
                    *one *= reach / far;
                }
            }
            for (one, count) in input.iter_mut().skip(Shape::EMBED).zip(counts) {
                *one = count;
            }
            let mut hidden = array::<{ Shape::HIDDEN }>(&net.first_bias);
            bring(&mut hidden, &input, &net.first);
            for unit in &mut hidden {
                *unit = unit.max(0.0);
            }
            let mut outs = array::<{ Shape::HEADS }>(&net.second_bias);
            bring(&mut outs, &hidden, &net.second);
            bring(&mut outs, &input, &net.skip);
            let [ease, length, outs @ ..] = outs;
            view.ease += ease * part;
            view.length += length * part;
            for (demand, out) in demands.iter_mut().zip(outs) {
                *demand = out * belief;
            }
        }
        // Of the unfamiliar, what is usual is held.
        let usual = &self.meta.usual;
        view.ease = usual.ease + (view.ease - usual.ease) * belief;
        view.length = usual.length + (view.length - usual.length) * belief;
        view
    }

    /// Log-odds of a good answer.
    #[must_use]
    pub fn logit(&self, view: &View, ability: &Ability) -> f32 {
        view.ease + ability.level + dot(&view.demands, &ability.skills)
    }
}
