//! The regression of ratings of everyday prompts: what [`Everyday`] holds.

use std::borrow::Cow;

use super::algebra::Cholesky;
use super::daily::Daily;
use crate::router::neural::{Everyday, MOST_SPREADS, SIGNS, Vectors, apart};

const FEW: usize = Everyday::FEW;
const TARGETS: usize = Everyday::TARGETS;

/// How much each kind of evidence counts, and how strongly each target is held to its mean. By
/// cross-validation.
const WORDS: f64 = 4.0;
const VECTOR: f64 = 0.5 / 5.76;
const PLAIN: f64 = 1.0 / 28.0;
const KIN: f64 = 3.0;
const RIDGE: [f64; TARGETS] = [0.2, 0.3, 0.3];
/// How fast nearness falls: at the median distance between prompts, to this power of 1/e.
const FALL: f64 = 2.0;
/// Pairs of prompts whose distances are looked at for the median.
const MEASURED: usize = 4_000;
/// Signs of fewer prompts say nothing.
const FEWEST: u32 = 2;
/// Spreads of a count below this are those of one that is always the same.
const LEAST_SPREAD: f64 = 0.05;
pub const FOLDS: u64 = 5;

/// A rated prompt as the regression sees it.
struct Sight {
    signs: Vec<usize>,
    few: [f32; FEW],
    vector: Vec<f64>,
    targets: [f64; TARGETS],
}

fn sight(daily: &Daily, vectors: &Vectors) -> Sight {
    daily.seen(|prompt| {
        let (reading, signs, words) = Everyday::read(prompt);
        let vector = vectors.of(&words).into_iter().take(Everyday::VECTOR);
        Sight {
            signs,
            few: Everyday::few(&reading, &prompt.form.counts(prompt.tools)),
            vector: vector.map(f64::from).collect(),
            targets: [daily.need, daily.tokens.ln(), daily.think].map(f64::from),
        }
    })
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Products of two sorted lists where their places agree.
fn meeting(one: &[(usize, f64)], other: &[(usize, f64)]) -> f64 {
    let (mut left, mut right, mut sum) = (0, 0, 0.0);
    while let (Some((place, value)), Some((at, weight))) = (one.get(left), other.get(right)) {
        match place.cmp(at) {
            std::cmp::Ordering::Less => left += 1,
            std::cmp::Ordering::Greater => right += 1,
            std::cmp::Ordering::Equal => {
                sum += value * weight;
                (left, right) = (left + 1, right + 1);
            }
        }
    }
    sum
}

/// Mean and spread of every count.
fn measure(sights: &[Sight]) -> ([f64; FEW], [f64; FEW]) {
    let count = sights.len() as f64;
    let (mut mean, mut spread) = ([0.0; FEW], [0.0; FEW]);
    for sight in sights {
        for (sum, one) in mean.iter_mut().zip(sight.few) {
            *sum += f64::from(one) / count;
        }
    }
    for sight in sights {
        for ((sum, one), mean) in spread.iter_mut().zip(sight.few).zip(mean) {
            *sum += (f64::from(one) - mean).powi(2) / count;
        }
    }
    let spread =
        spread.map(|square| if square.sqrt() < LEAST_SPREAD { 1e3 } else { square.sqrt() });
    (mean, spread)
}

fn to_bytes(values: &[f64]) -> (Vec<u8>, f32) {
    let most = values.iter().copied().map(f64::abs).fold(1e-9, f64::max);
    let step = most / 127.0;
    let byte = |one: &f64| ((one / step).round().clamp(-127.0, 127.0) as i8).cast_unsigned();
    (values.iter().map(byte).collect(), step as f32)
}

/// Fits the regression.
#[must_use]
pub fn rate(dailies: &[&Daily], vectors: &Vectors, seed: u64) -> Everyday {
    let sights: Vec<Sight> = dailies.iter().map(|daily| sight(daily, vectors)).collect();
    let count = sights.len();
    if count < FOLDS as usize {
        return nothing();
    }
    let mut met = vec![0_u32; SIGNS];
    for sign in sights.iter().flat_map(|sight| &sight.signs) {
        met[*sign] += 1;
    }
    let rarity = |sign: usize| {
        if met[sign] < FEWEST { 0.0 } else { (count as f64 / f64::from(met[sign])).ln() }
    };
    let words: Vec<Vec<(usize, f64)>> = sights
        .iter()
        .map(|sight| {
            let known = sight.signs.iter().map(|sign| (*sign, rarity(*sign)));
            let mut known: Vec<_> = known.filter(|(_, weight)| *weight > 0.0).collect();
            let far = known.iter().map(|(_, weight)| weight * weight).sum::<f64>() + 1e-6;
            for (_, weight) in &mut known {
                *weight /= far.sqrt();
            }
            known
        })
        .collect();
    let (mean, spread) = measure(&sights);
    let most = f64::from(MOST_SPREADS);
    let points: Vec<Vec<f64>> = sights
        .iter()
        .map(|sight| {
            let each = sight.few.iter().zip(mean).zip(spread);
            each.map(|((one, mean), spread)| ((f64::from(*one) - mean) / spread).clamp(-most, most))
                .collect()
        })
        .collect();
    let mut dice = fastrand::Rng::with_seed(seed);
    let kin: Vec<[u8; FEW]> = points.iter().map(|point| row(point)).collect();
    let mut far: Vec<usize> = (0..MEASURED)
        .map(|_| apart(&kin[dice.usize(..count)], &kin[dice.usize(..count)]))
        .collect();
    far.sort_unstable();
    let reach = (far[far.len() / 2].max(1) as f64 / FALL) as f32;
    let near = |one: usize, other: usize| {
        (-(apart(&kin[one], &kin[other]) as f64) / f64::from(reach)).exp()
    };
    let mut kernel = vec![0.0; count * count];
    for row in 0..count {
        for column in 0..=row {
            let alike = WORDS * meeting(&words[row], &words[column])
                + VECTOR * dot(&sights[row].vector, &sights[column].vector)
                + PLAIN * dot(&points[row], &points[column])
                + KIN * near(row, column);
            kernel[row * count + column] = alike;
            kernel[column * count + row] = alike;
        }
    }
    let mut fitted = Columns::new();
    for target in 0..TARGETS {
        let middle = sights.iter().map(|sight| sight.targets[target]).sum::<f64>() / count as f64;
        let mut ridged = kernel.clone();
        for place in 0..count {
            ridged[place * count + place] += RIDGE[target];
        }
        let off = sights.iter().map(|sight| sight.targets[target] - middle).collect();
        let shares = Cholesky::of(ridged, count).solve(off);
        fitted.bias[target] = middle;
        for (row, share) in shares.iter().enumerate() {
            for (sign, weight) in &words[row] {
                fitted.words[sign * TARGETS + target] += WORDS * share * weight * rarity(*sign);
            }
            let add = |into: &mut Vec<f64>, from: &[f64], by: f64| {
                for (place, one) in from.iter().enumerate() {
                    into[place * TARGETS + target] += by * share * one;
                }
            };
            add(&mut fitted.vectors, &sights[row].vector, VECTOR);
            add(&mut fitted.plain, &points[row], PLAIN);
            fitted.says.push(KIN * share);
        }
        fitted.says.resize((target + 1) * count.next_multiple_of(Everyday::TOGETHER), 0.0);
    }
    let squares: Vec<f64> = (0..SIGNS).map(|sign| rarity(sign).powi(2)).collect();
    let mut everyday = fitted.finish(&squares);
    everyday.mean = narrowed(&mean);
    everyday.spreads = narrowed(&spread);
    // Filled up with prompts that say nothing.
    let room = count.next_multiple_of(Everyday::TOGETHER);
    let column = |place: usize| {
        let known = kin.iter().map(move |row| row[place]);
        known.chain(std::iter::repeat(0)).take(room)
    };
    everyday.kin = (0..FEW).flat_map(column).collect();
    everyday.near = Everyday::nearness(reach);
    everyday.reach = reach;
    everyday
}

/// A point as a row of bytes.
fn row(point: &[f64]) -> [u8; FEW] {
    let mut few = [0.0; FEW];
    for (one, wide) in few.iter_mut().zip(point) {
        *one = *wide as f32;
    }
    Everyday::row(&few)
}

fn narrowed(wide: &[f64]) -> Vec<f32> {
    wide.iter().map(|one| *one as f32).collect()
}

/// Weights by target, of each kind of evidence.
struct Columns {
    words: Vec<f64>,
    vectors: Vec<f64>,
    plain: Vec<f64>,
    /// Target by target.
    says: Vec<f64>,
    bias: [f64; TARGETS],
}

impl Columns {
    fn new() -> Self {
        Self {
            words: vec![0.0; SIGNS * TARGETS],
            vectors: vec![0.0; Everyday::VECTOR * TARGETS],
            plain: vec![0.0; FEW * TARGETS],
            says: Vec::new(),
            bias: [0.0; TARGETS],
        }
    }

    fn finish(&self, squares: &[f64]) -> Everyday {
        let column = |target: usize| -> Vec<f64> {
            self.words.iter().skip(target).step_by(TARGETS).copied().collect()
        };
        let mut steps = [0.0; Everyday::SIGNS];
        let mut words = vec![0_u8; SIGNS * Everyday::SIGNS];
        let columns = (0..TARGETS).map(column).chain(std::iter::once(squares.to_vec()));
        for (place, column) in columns.enumerate() {
            let (bytes, step) = to_bytes(&column);
            steps[place] = step;
            for (sign, byte) in bytes.into_iter().enumerate() {
                words[sign * Everyday::SIGNS + place] = byte;
            }
        }
        Everyday {
            words: Cow::Owned(words),
            steps,
            mean: Vec::new(),
            spreads: Vec::new(),
            plain: narrowed(&self.plain),
            vectors: narrowed(&self.vectors),
            kin: Cow::Owned(Vec::new()),
            says: narrowed(&self.says),
            near: Vec::new(),
            bias: self.bias.map(|one| one as f32),
            reach: 1.0,
            spread: 0.9,
        }
    }
}

/// How far predicted need is off on prompts that were left out: a standard deviation.
#[must_use]
pub fn miss(dailies: &[&Daily], vectors: &Vectors, seed: u64) -> f32 {
    let (mut sum, mut count) = (0.0_f32, 0.0_f32);
    for fold in 0..FOLDS {
        let (rest, judged): (Vec<&Daily>, Vec<&Daily>) =
            dailies.iter().partition(|daily| daily.group % FOLDS != fold);
        let fitted = rate(&rest, vectors, seed);
        for daily in judged {
            let taken = daily.seen(|prompt| fitted.taken(prompt, vectors));
            sum += (taken.need - daily.need).powi(2);
            count += 1.0;
        }
    }
    (sum / count.max(1.0)).sqrt()
}

/// What is held of every prompt where none was rated.
fn nothing() -> Everyday {
    let mut everyday = Columns::new().finish(&vec![0.0; SIGNS]);
    everyday.mean = vec![0.0; FEW];
    everyday.spreads = vec![1.0; FEW];
    everyday.near = Everyday::nearness(1.0);
    everyday.bias = [2.5, 5.4, 0.5];
    everyday
}
