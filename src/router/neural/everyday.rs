//! What everyday prompts take: judged by their words, by how they are written and by what came with
//! them. A ridge regression on the ratings of people, a few hundred prompts: less than the networks
//! would need.

use std::borrow::Cow;

use super::form::{FORMS, MANNERS};
use super::net::{NetShape, bring, sum};
use super::text::{COUNTS, Prompt, TextCounts, read};
use super::trace::TraceKind;
use super::vectors::Vectors;

/// Levels of the classes of models that ratings count in: any of 3 to 8 billion parameters; a good
/// small one; a middle one; a frontier model of 2026; such a one with long thinking.
const ANCHORS: [f32; 5] = [0.2, 1.2, 1.8, 2.7, 3.5];
/// Log-odds of a good answer, 0.8, that a model of the class a prompt needs is taken to have.
const ENOUGH: f32 = 1.386;

/// Turns ratings of everyday prompts into levels of models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatingScale {
    anchors: [f32; 5],
}

impl Default for RatingScale {
    fn default() -> Self {
        Self { anchors: ANCHORS }
    }
}

impl RatingScale {
    /// The anchor below a rating and the one above, and how far it is between them. Beyond the
    /// ends it goes on as straight as between the last two.
    fn between(self, need: f32) -> (f32, f32, f32) {
        let mut found = (0.0, 1.0, need - 1.0);
        let mut from = 1.0;
        for pair in self.anchors.windows(2) {
            if let [low, high] = pair
                && (need >= from || from < 1.5)
            {
                found = (*low, *high, need - from);
            }
            from += 1.0;
        }
        found
    }

    /// The log-odds that a model of level 0 answers such a prompt well.
    #[must_use]
    pub fn ease(self, need: f32) -> f32 {
        let (low, high, share) = self.between(need);
        ENOUGH - (low + (high - low) * share)
    }

    /// What a step of need is in ease.
    #[must_use]
    pub fn slope(self, need: f32) -> f32 {
        let (low, high, _) = self.between(need);
        high - low
    }

    /// The class whose models have just enough of a level for a prompt of this ease: 1 to 5.
    #[must_use]
    pub fn need(self, ease: f32) -> f32 {
        let level = ENOUGH - ease;
        let steps = self.anchors.windows(2).map(|pair| match pair {
            [low, high] => ((level - low) / (high - low)).clamp(0.0, 1.0),
            _ => 0.0,
        });
        1.0 + steps.sum::<f32>()
    }
}

/// How hard an everyday prompt is, as people rate such prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EverydayEstimate {
    /// The class of models, from 1 to 5, and some way beyond.
    pub need: f32,
    /// Log of the tokens of a good answer.
    pub length: f32,
    /// What thinking first adds: from 0, nothing, to 2, it takes it.
    pub thinking: f32,
}

/// The regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Everyday {
    /// A row for each sign: what it adds to the three targets, and its weight squared.
    pub words: Cow<'static, [u8]>,
    pub steps: [f32; Self::SIGNS],
    /// What counts are made of mean 0 and spread 1 by.
    pub mean: Vec<f32>,
    pub spreads: Vec<f32>,
    /// `FEW` rows of targets.
    pub plain: Vec<f32>,
    /// `VECTOR` rows of targets.
    pub vectors: Vec<f32>,
    /// The first count of each prompt of training, then the next; and what nearness to each prompt
    /// adds to the first target, then to the next. `TOGETHER` prompts or a multiple.
    pub kin: Cow<'static, [u8]>,
    pub says: Vec<f32>,
    /// Nearness by distance, in steps of `FAR`.
    pub near: Vec<f32>,
    pub bias: [f32; Self::TARGETS],
    /// The distance at which nearness is down to 1/e.
    pub reach: f32,
    /// How far predicted need was off on prompts that were left out: a standard deviation.
    pub spread: f32,
}

impl Everyday {
    pub const TARGETS: usize = 3;
    /// Numbers of a sign's row.
    pub const SIGNS: usize = Self::TARGETS + 1;
    /// Counts that are looked at.
    pub const FEW: usize = COUNTS + MANNERS + FORMS;
    /// Of a vector of words, so much is looked at.
    pub const VECTOR: usize = 32;
    /// Prompts of training that are looked at together.
    pub const TOGETHER: usize = 64;

    /// The counts of a prompt, as they were read.
    #[must_use]
    pub fn few(reading: &TextCounts, form: &[f32; FORMS]) -> [f32; Self::FEW] {
        let mut few = [0.0; Self::FEW];
        let all = reading.counts.iter().chain(&reading.manner).chain(form);
        for (one, count) in few.iter_mut().zip(all) {
            *one = *count;
        }
        few
    }

    /// What the regression reads of a prompt, in training as afterwards: its counts, the places of its
    /// signs, each once and in order, and those of its words' vectors.
    #[must_use]
    pub fn read(prompt: Prompt<'_>) -> (TextCounts, Vec<usize>, Vec<usize>) {
        let (mut signs, mut words) = (Vec::new(), Vec::new());
        let reading = read(prompt, &mut |trace| {
            signs.push(trace.sign());
            if trace.kind == TraceKind::Word {
                words.push(trace.vector());
            }
        });
        signs.sort_unstable();
        signs.dedup();
        (reading, signs, words)
    }

    /// What a prompt takes, by this alone.
    #[must_use]
    pub fn taken(&self, prompt: Prompt<'_>, vectors: &Vectors) -> EverydayEstimate {
        let (reading, signs, words) = Self::read(prompt);
        let form = prompt.form.counts(prompt.tools);
        self.judge(&sum(&self.words, &signs), &reading, &form, &vectors.of(&words))
    }

    #[inline(always)]
    pub(super) fn judge(
        &self,
        signs: &[i32; Self::SIGNS],
        reading: &TextCounts,
        form: &[f32; FORMS],
        vector: &[f32; NetShape::VECTOR],
    ) -> EverydayEstimate {
        let mut sums = self.bias;
        let mut few = Self::few(reading, form);
        for ((one, mean), spread) in few.iter_mut().zip(&self.mean).zip(&self.spreads) {
            *one = ((*one - mean) / spread).clamp(-MOST_SPREADS, MOST_SPREADS);
        }
        bring(&mut sums, &few, &self.plain);
        bring(&mut sums, vector, &self.vectors);
        let own = Self::row(&few);
        let near: &[f32; NEAR] = self.near.first_chunk().unwrap_or(&NOTHING);
        let prompts = (self.says.len() / Self::TARGETS).max(1);
        // Eight sums of each target, side by side: added up once, at the end.
        let mut kin = [[0.0_f32; 8]; Self::TARGETS];
        for from in (0..prompts).step_by(Self::TOGETHER) {
            let part = from..from + Self::TOGETHER;
            let mut far = [0_u16; Self::TOGETHER];
            for (own, column) in own.iter().zip(self.kin.chunks_exact(prompts)) {
                let column = column.get(from..).and_then(<[u8]>::first_chunk);
                let off = column.map_or([0; Self::TOGETHER], |column| off(*own, column));
                for (far, one) in far.iter_mut().zip(off) {
                    *far += u16::from(one);
                }
            }
            // Beyond the table nothing is near: its last step is nothing.
            let near = far.map(|far| near[(usize::from(far) / FAR).min(NEAR - 1)]);
            for (sums, column) in kin.iter_mut().zip(self.says.chunks_exact(prompts)) {
                let (near, _) = near.as_chunks::<8>();
                let (says, _) = column.get(part.clone()).unwrap_or_default().as_chunks::<8>();
                let mut all = *sums;
                for (near, says) in near.iter().zip(says) {
                    for ((sum, near), says) in all.iter_mut().zip(near).zip(says) {
                        *sum += near * says;
                    }
                }
                *sums = all;
            }
        }
        for (sum, kin) in sums.iter_mut().zip(kin) {
            *sum += kin.iter().sum::<f32>();
        }
        let [targets @ .., square] = signs;
        let [steps @ .., step] = &self.steps;
        #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
        let scale = 1.0 / (*square as f32 * step + 1e-6).sqrt();
        for ((sum, target), step) in sums.iter_mut().zip(targets).zip(steps) {
            #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
            let target = *target as f32;
            *sum += target * step * scale;
        }
        let [need, length, thinking] = sums;
        EverydayEstimate { need: need.clamp(0.5, 5.5), length, thinking }
    }
}

/// A count farther out than so many spreads is held to be at that.
pub const MOST_SPREADS: f32 = 4.0;
/// Steps of a byte in a spread.
const STEPS: f32 = 31.0;
/// Distances are told apart by so much.
const FAR: usize = 4;
/// Prompts farther apart have nothing in common.
const FARTHEST: usize = 4_096;
const NEAR: usize = FARTHEST / FAR;
const NOTHING: [f32; NEAR] = [0.0; NEAR];

/// How far a count is from each of others. Written so that sixteen are worked out at a time.
#[inline(always)]
fn off(own: u8, others: &[u8; Everyday::TOGETHER]) -> [u8; Everyday::TOGETHER] {
    others.map(|other| own.max(other).wrapping_sub(own.min(other)))
}

/// How far two rows of counts are apart: the sum over all of them.
#[must_use]
pub fn apart(one: &[u8; Everyday::FEW], other: &[u8; Everyday::FEW]) -> usize {
    let each = one.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(*other)));
    usize::try_from(each.sum::<u32>()).unwrap_or(FARTHEST)
}

impl Everyday {
    /// Counts in spreads as a row of bytes.
    #[must_use]
    pub fn row(few: &[f32; Self::FEW]) -> [u8; Self::FEW] {
        let mut row = [0; Self::FEW];
        for (byte, one) in row.iter_mut().zip(few) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 4 and 252"
            )]
            let place = (one.clamp(-MOST_SPREADS, MOST_SPREADS) * STEPS).round() as i32 as u8;
            *byte = place.wrapping_add(128);
        }
        row
    }

    /// Nearness by distance.
    #[must_use]
    pub fn nearness(reach: f32) -> Vec<f32> {
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let near = |far: usize| (-(far as f32 + FAR as f32 / 2.0) / reach).exp();
        let mut all: Vec<f32> = (0..FARTHEST).step_by(FAR).map(near).collect();
        if let Some(last) = all.last_mut() {
            *last = 0.0;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_goes_both_ways() {
        let scale = RatingScale::default();
        for need in [1.0, 1.3, 2.0, 2.7, 3.5, 4.0, 4.8, 5.0] {
            assert!((scale.need(scale.ease(need)) - need).abs() < 1e-4, "{need}");
        }
        assert!(scale.ease(0.7) > scale.ease(1.0) && scale.ease(5.4) < scale.ease(5.0));
        assert!((scale.slope(4.5) - 0.8).abs() < 1e-6);
    }
}
