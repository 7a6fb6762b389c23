//! The ridge regression of scores on single words and pairs: what [`Signs`] holds.

use super::data::Data;
use super::sample::Sample;
use crate::router::neural::{NetShape, SIGNS, Signs};

/// How strongly weights are held to nothing: where many rows were tried, and where fewer.
const RIDGE: [f64; 2] = [10.0, 30.0];
const MANY: usize = 3_500;
/// Signs of fewer prompts say nothing.
const FEWEST: u32 = 2;
/// How much counts and vectors count beside words.
const COUNT: f64 = 0.06;
const VECTOR: f64 = 1.0 / 2.4;
/// Steps towards the solution. By then it no longer gets better on prompts that were left out.
const STEPS: usize = 12;
/// Rounds of finding the directions.
const ROUNDS: usize = 12;

/// Numbers of a prompt: its signs and their weights, and what stands beside the words.
struct Seen<'a> {
    signs: &'a [usize],
    scale: f64,
    beside: Vec<f64>,
}

/// What signs speak for, and each model's side of it: its directions, then its mean score.
pub struct Evidence {
    pub signs: Signs,
    /// By model; empty for those that were tried on nothing.
    pub models: Vec<Vec<f32>>,
}

const WIDTH: usize = SIGNS + Signs::BESIDE;

/// What a weight is multiplied by for a sign: the logarithm of how rare it is.
fn rarities(samples: &[Sample]) -> Vec<f64> {
    let mut met = vec![0_u32; SIGNS];
    for sign in samples.iter().flat_map(|sample| &sample.signs) {
        met[*sign] += 1;
    }
    let count = samples.len() as f64;
    let of = |met: u32| if met < FEWEST { 0.0 } else { (count / f64::from(met)).ln() };
    met.into_iter().map(of).collect()
}

fn seen<'a>(sample: &'a Sample, rarity: &[f64]) -> Seen<'a> {
    let square: f64 = sample.signs.iter().map(|sign| rarity[*sign].powi(2)).sum();
    let counts = sample.counts.iter().map(|one| f64::from(*one) * COUNT);
    let vector = sample.vector.iter().map(|one| f64::from(*one) * VECTOR);
    Seen {
        signs: &sample.signs,
        scale: 1.0 / (square + 1e-6).sqrt(),
        beside: counts.chain(vector).collect(),
    }
}

impl Seen<'_> {
    fn of(&self, weights: &[f64], rarity: &[f64]) -> f64 {
        let words: f64 = self.signs.iter().map(|sign| weights[*sign] * rarity[*sign]).sum();
        let beside = self.beside.iter().zip(&weights[SIGNS..]);
        words * self.scale + beside.map(|(one, weight)| one * weight).sum::<f64>()
    }

    fn add(&self, by: f64, weights: &mut [f64], rarity: &[f64]) {
        for sign in self.signs {
            weights[*sign] += by * self.scale * rarity[*sign];
        }
        for (weight, one) in weights[SIGNS..].iter_mut().zip(&self.beside) {
            *weight += by * one;
        }
    }
}

/// Weights by conjugate gradients: of `rows` and what each is off its mean.
fn solve(rows: &[(&Seen<'_>, f64)], rarity: &[f64]) -> Vec<f64> {
    let ridge = if rows.len() < MANY { RIDGE[1] } else { RIDGE[0] };
    let mut weights = vec![0.0; WIDTH];
    let mut left = vec![0.0; WIDTH];
    for (seen, off) in rows {
        seen.add(*off, &mut left, rarity);
    }
    let mut towards = left.clone();
    let mut square: f64 = left.iter().map(|one| one * one).sum();
    for _ in 0..STEPS {
        if square < 1e-9 {
            break;
        }
        let mut pull: Vec<f64> = towards.iter().map(|one| one * ridge).collect();
        for (seen, _) in rows {
            seen.add(seen.of(&towards, rarity), &mut pull, rarity);
        }
        let along: f64 = towards.iter().zip(&pull).map(|(one, other)| one * other).sum();
        let step = square / along.max(1e-12);
        for ((weight, one), (left, pull)) in
            weights.iter_mut().zip(&towards).zip(left.iter_mut().zip(&pull))
        {
            *weight += step * one;
            *left -= step * pull;
        }
        let next: f64 = left.iter().map(|one| one * one).sum();
        for (one, left) in towards.iter_mut().zip(&left) {
            *one = left + next / square * *one;
        }
        square = next;
    }
    weights
}

/// The directions of most of the variance, by turning `RANK` of them towards it: rows of models.
fn directions(products: &[f64], count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut found: Vec<Vec<f64>> = (0..Signs::RANK.min(count))
        .map(|_| (0..count).map(|_| dice.f64() - 0.5).collect())
        .collect();
    for _ in 0..ROUNDS {
        for place in 0..found.len() {
            let old = &found[place];
            let mut turned: Vec<f64> = products
                .chunks_exact(count)
                .map(|row| row.iter().zip(old).map(|(one, other)| one * other).sum())
                .collect();
            // At right angles to those before it.
            for before in &found[..place] {
                let along: f64 = turned.iter().zip(before).map(|(one, other)| one * other).sum();
                for (one, other) in turned.iter_mut().zip(before) {
                    *one -= along * other;
                }
            }
            let far = turned.iter().map(|one| one * one).sum::<f64>().sqrt().max(1e-12);
            found[place] = turned.into_iter().map(|one| one / far).collect();
        }
    }
    found
}

/// Fits the regression, a model at a time, and cuts it to the main directions.
#[must_use]
pub fn evidence(data: &Data, samples: &[Sample], seed: u64) -> Evidence {
    let samples = &samples[..data.rows.len()];
    let rarity = rarities(samples);
    let all: Vec<Seen<'_>> = samples.iter().map(|sample| seen(sample, &rarity)).collect();
    let count = data.models.len();
    let mut sums = vec![(0.0, 0.0); count];
    for cell in data.rows.iter().flat_map(|row| &row.cells) {
        let (sum, tried) = sums[cell.model];
        sums[cell.model] = (sum + f64::from(cell.score), tried + 1.0);
    }
    let mean = |model: usize| sums[model].0 / f64::max(sums[model].1, 1.0);
    let mut rows: Vec<Vec<(&Seen<'_>, f64)>> = vec![Vec::new(); count];
    for (row, seen) in data.rows.iter().zip(&all) {
        for cell in &row.cells {
            rows[cell.model].push((seen, f64::from(cell.score) - mean(cell.model)));
        }
    }
    // A half of the models on each of two threads: none sees another's numbers.
    let solved: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let halves: Vec<_> = rows
            .chunks(count.div_ceil(2).max(1))
            .map(|half| {
                let rarity = &rarity;
                scope.spawn(move || half.iter().map(|rows| solve(rows, rarity)).collect::<Vec<_>>())
            })
            .collect();
        let whole = |panic| std::panic::resume_unwind(panic);
        halves.into_iter().flat_map(|half| half.join().unwrap_or_else(whole)).collect()
    });
    let mut products = vec![0.0; count * count];
    for row in 0..count {
        for column in 0..=row {
            let product: f64 =
                solved[row].iter().zip(&solved[column]).map(|(one, other)| one * other).sum();
            products[row * count + column] = product;
            products[column * count + row] = product;
        }
    }
    let found = directions(&products, count, seed);
    let models = (0..count).map(|model| {
        let mut side: Vec<f32> = found.iter().map(|one| one[model] as f32).collect();
        side.resize(Signs::RANK, 0.0);
        side.push(mean(model) as f32);
        side
    });
    Evidence { models: models.collect(), signs: cut(&solved, &found, &rarity) }
}

/// The tables of the main directions.
fn cut(solved: &[Vec<f64>], found: &[Vec<f64>], rarity: &[f64]) -> Signs {
    let mut wide = vec![0.0_f64; WIDTH * Signs::RANK];
    for (place, direction) in found.iter().enumerate() {
        for (weights, share) in solved.iter().zip(direction) {
            for (at, weight) in weights.iter().enumerate() {
                wide[at * Signs::RANK + place] += weight * share;
            }
        }
    }
    for (sign, rarity) in rarity.iter().enumerate() {
        for one in &mut wide[sign * Signs::RANK..][..Signs::RANK] {
            *one *= rarity;
        }
    }
    let words = &wide[..SIGNS * Signs::RANK];
    let square = words.iter().map(|one| one * one).sum::<f64>();
    let used = words.iter().filter(|one| **one != 0.0).count().max(1) as f64;
    // The few words farther out than this are pulled in.
    let step = (square / used).sqrt().max(1e-9) * 8.0 / 127.0;
    let most = rarity.iter().copied().fold(1e-9, f64::max).powi(2);
    let square_step = most / 127.0;
    let byte = |one: f64| (one.round().clamp(-127.0, 127.0) as i8).cast_unsigned();
    let mut table = Vec::with_capacity(SIGNS * Signs::WIDE);
    for (row, rarity) in words.chunks_exact(Signs::RANK).zip(rarity) {
        table.extend(row.iter().map(|one| byte(one / step)));
        table.push(byte(rarity * rarity / square_step));
    }
    let by = |place: usize| if place < Signs::BESIDE - NetShape::VECTOR { COUNT } else { VECTOR };
    let beside = wide[SIGNS * Signs::RANK..].chunks_exact(Signs::RANK).enumerate();
    let beside =
        beside.flat_map(|(place, row)| row.iter().map(move |one| (one * by(place)) as f32));
    Signs {
        table: table.into(),
        steps: [step as f32, square_step as f32],
        beside: beside.collect(),
        bias: vec![0.0; Signs::RANK],
    }
}
