//! One network and the models' abilities, fitted by gradient descent. Single-threaded and seeded:
//! the same data and seed give the same numbers.

use crate::router::neural::{BUCKETS, COUNTS, NetShape, dot, softmax};

use super::sample::Sample;

/// How a router is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    pub epochs: usize,
    /// Step sizes, of the networks and of the words.
    pub rate: f32,
    pub rate_words: f32,
    /// The share of words that are left out at each look.
    pub drop: f32,
    /// How far words are apart at the start.
    pub words: f32,
    /// The weight of telling the domains apart, and how many times as much an everyday prompt
    /// weighs there as another: there are fewer of them here than there will be.
    pub tell: f32,
    pub tell_everyday: f32,
    /// Pulls towards nothing: of the networks, words, levels, families, models, and models in one
    /// domain.
    pub decay: f32,
    pub decay_words: f32,
    pub decay_level: f32,
    pub decay_family: f32,
    pub decay_own: f32,
    pub decay_bias: f32,
}

impl Default for Recipe {
    /// What did best when prompts, and whole sources, were left out.
    fn default() -> Self {
        Self {
            epochs: 6,
            rate: 2e-3,
            rate_words: 0.05,
            drop: 0.6,
            words: 0.05,
            tell: 0.3,
            tell_everyday: 40.0,
            decay: 1e-2,
            decay_words: 1e-5,
            decay_level: 1e-3,
            decay_family: 0.4,
            decay_own: 0.8,
            decay_bias: 1e-4,
        }
    }
}

const EMBED: usize = NetShape::EMBED;
const INPUT: usize = NetShape::INPUT;
const HIDDEN: usize = NetShape::HIDDEN;
const RANK: usize = NetShape::RANK;
/// Rows whose gradients are added up before a step.
const BATCH: usize = 32;

/// Where each part of the parameters begins.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub domains: usize,
    pub models: usize,
    pub families: usize,
}

impl Layout {
    pub const FIRST_BIAS: usize = HIDDEN * INPUT;
    pub const SECOND: usize = Self::FIRST_BIAS + HIDDEN;

    /// Outputs: what a prompt takes, then which domain it is of. Those have no way past the hidden
    /// layer.
    pub fn heads(self) -> usize {
        NetShape::HEADS + self.domains
    }
    pub fn second_bias(self) -> usize {
        Self::SECOND + self.heads() * HIDDEN
    }
    pub fn skip(self) -> usize {
        self.second_bias() + self.heads()
    }
    /// A level and the skills of each family.
    pub fn family(self) -> usize {
        self.skip() + NetShape::HEADS * INPUT
    }
    /// What a model differs in from its family.
    pub fn own(self) -> usize {
        self.family() + self.families * (1 + RANK)
    }
    /// What a model differs in on the prompts of one domain.
    pub fn bias(self) -> usize {
        self.own() + self.models * (1 + RANK)
    }
    pub fn verbosity(self) -> usize {
        self.bias() + self.models * self.domains
    }
    pub fn end(self) -> usize {
        self.verbosity() + self.models
    }
}

/// A fitted network with its models.
#[derive(Debug, Clone)]
pub struct TrainedNetwork {
    pub layout: Layout,
    pub table: Vec<f32>,
    pub numbers: Vec<f32>,
}

struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Adam {
    fn step(&mut self, numbers: &mut [f32], slopes: &mut [f32], rate: f32, decay: &[f32]) {
        self.steps += 1;
        let (fade, fade2) = (0.9_f32, 0.995_f32);
        let lift = (1.0 - fade2.powi(self.steps)).sqrt() / (1.0 - fade.powi(self.steps));
        let each = numbers.iter_mut().zip(slopes).zip(&mut self.mean).zip(&mut self.square);
        for ((((number, slope), mean), square), decay) in each.zip(decay) {
            *mean = fade * *mean + (1.0 - fade) * *slope;
            *square = fade2 * *square + (1.0 - fade2) * *slope * *slope;
            *number -= rate * (lift * *mean / (square.sqrt() + 1e-6) + decay * *number);
            *slope = 0.0;
        }
    }
}

/// What a row's pass leaves behind for the way back.
struct Pass {
    input: [f32; INPUT],
    hidden: [f32; HIDDEN],
    out: Vec<f32>,
}

pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

struct Fitting<'a> {
    layout: Layout,
    family_of: &'a [usize],
    table: Vec<f32>,
    /// Sums of squared slopes, a row each.
    worn: Vec<f32>,
    numbers: Vec<f32>,
    slopes: Vec<f32>,
    dice: fastrand::Rng,
    kept: Vec<usize>,
}

fn normal(dice: &mut fastrand::Rng) -> f32 {
    // The sum of uniform draws is near enough.
    (0..6).map(|_| dice.f32() - 0.5).sum::<f32>() * 1.41
}

impl Fitting<'_> {
    fn forward(&self, sample: &Sample, kept: &[usize]) -> Pass {
        let at = self.layout;
        let heads = at.heads();
        let mut pass =
            Pass { input: [0.0; INPUT], hidden: [0.0; HIDDEN], out: Vec::with_capacity(heads) };
        for bucket in kept {
            let row = &self.table[bucket * EMBED..(bucket + 1) * EMBED];
            for (sum, one) in pass.input.iter_mut().zip(row) {
                *sum += one;
            }
        }
        let scale = 1.0 / (kept.len() as f32 + 1.0).sqrt();
        for sum in &mut pass.input[..EMBED] {
            *sum *= scale;
        }
        pass.input[EMBED..EMBED + COUNTS].copy_from_slice(&sample.counts);
        pass.input[EMBED + COUNTS..].copy_from_slice(&sample.vector);
        for (unit, one) in pass.hidden.iter_mut().enumerate() {
            let row = &self.numbers[unit * INPUT..][..INPUT];
            *one = (dot(row, &pass.input) + self.numbers[Layout::FIRST_BIAS + unit]).max(0.0);
        }
        for head in 0..heads {
            let row = &self.numbers[Layout::SECOND + head * HIDDEN..][..HIDDEN];
            let mut out = dot(row, &pass.hidden) + self.numbers[at.second_bias() + head];
            if head < NetShape::HEADS {
                out += dot(&self.numbers[at.skip() + head * INPUT..][..INPUT], &pass.input);
            }
            pass.out.push(out);
        }
        pass
    }

    /// Adds a row's slopes; the sum of its losses.
    fn learn(&mut self, sample: &Sample, recipe: &Recipe) -> (f32, [f32; EMBED]) {
        let at = self.layout;
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let drop = recipe.drop;
        kept.extend(sample.buckets.iter().copied().filter(|_| self.dice.f32() >= drop));
        let mut pass = self.forward(sample, &kept);
        let mut back = vec![0.0_f32; at.heads()];
        let mut loss = 0.0;
        // Of a prompt that many models answered, every further answer says less.
        let weight = 1.0 / (sample.cells.len().max(1) as f32).sqrt();
        for cell in &sample.cells {
            let family = at.family() + self.family_of[cell.model] * (1 + RANK);
            let own = at.own() + cell.model * (1 + RANK);
            let bias = at.bias() + cell.model * at.domains + sample.domain;
            let mut logit =
                pass.out[0] + self.numbers[family] + self.numbers[own] + self.numbers[bias];
            for skill in 0..RANK {
                logit += pass.out[2 + skill]
                    * (self.numbers[family + 1 + skill] + self.numbers[own + 1 + skill]);
            }
            let slope = (sigmoid(logit) - cell.score) * weight;
            loss += (logit.max(0.0) - logit * cell.score + (-logit.abs()).exp().ln_1p()) * weight;
            back[0] += slope;
            self.slopes[family] += slope;
            self.slopes[own] += slope;
            self.slopes[bias] += slope;
            for skill in 0..RANK {
                let both = self.numbers[family + 1 + skill] + self.numbers[own + 1 + skill];
                back[2 + skill] += slope * both;
                self.slopes[family + 1 + skill] += slope * pass.out[2 + skill];
                self.slopes[own + 1 + skill] += slope * pass.out[2 + skill];
            }
            if let Some(tokens) = cell.log_tokens {
                let spot = at.verbosity() + cell.model;
                let off = (pass.out[1] + self.numbers[spot] - tokens) * weight * 0.1;
                back[1] += off;
                self.slopes[spot] += off;
            }
        }
        let logits = &mut pass.out[NetShape::HEADS..];
        softmax(logits);
        for (domain, share) in logits.iter().enumerate() {
            let truth = f32::from(u8::from(domain == sample.domain));
            back[NetShape::HEADS + domain] = (share - truth) * recipe.tell * sample.tell;
        }
        let mut below = [0.0_f32; HIDDEN];
        let mut input = [0.0_f32; INPUT];
        for (head, slope) in back.iter().enumerate() {
            self.slopes[at.second_bias() + head] += slope;
            let row = Layout::SECOND + head * HIDDEN;
            for unit in 0..HIDDEN {
                below[unit] += slope * self.numbers[row + unit];
                self.slopes[row + unit] += slope * pass.hidden[unit];
            }
            if head >= NetShape::HEADS {
                continue;
            }
            let past = at.skip() + head * INPUT;
            for place in 0..INPUT {
                input[place] += slope * self.numbers[past + place];
                self.slopes[past + place] += slope * pass.input[place];
            }
        }
        for (unit, slope) in below.iter().enumerate() {
            if pass.hidden[unit] <= 0.0 {
                continue;
            }
            self.slopes[Layout::FIRST_BIAS + unit] += slope;
            let row = unit * INPUT;
            for place in 0..INPUT {
                input[place] += slope * self.numbers[row + place];
                self.slopes[row + place] += slope * pass.input[place];
            }
        }
        let scale = 1.0 / (kept.len() as f32 + 1.0).sqrt();
        let mut words = [0.0_f32; EMBED];
        for (word, slope) in words.iter_mut().zip(input) {
            *word = slope * scale;
        }
        self.kept = kept;
        (loss, words)
    }

    /// Moves what every prompt demands, and what a model is biased by wherever it was tried, into the
    /// levels: they then say what a model is worth on a prompt like none of these.
    fn centre(&mut self, samples: &[Sample]) {
        let at = self.layout;
        let mut middle = [0.0_f64; RANK];
        let mut tried = vec![0.0_f64; at.models * at.domains];
        let mut all = 0.0_f64;
        for sample in samples.iter().filter(|sample| !sample.cells.is_empty()) {
            let pass = self.forward(sample, &sample.buckets);
            for (sum, one) in middle.iter_mut().zip(&pass.out[2..]) {
                *sum += f64::from(*one);
            }
            for cell in &sample.cells {
                tried[cell.model * at.domains + sample.domain] += 1.0;
            }
            all += 1.0;
        }
        for (skill, sum) in middle.iter().enumerate() {
            let middle = (sum / all.max(1e-9)) as f32;
            self.numbers[at.second_bias() + 2 + skill] -= middle;
            let families = (0..at.families).map(|family| at.family() + family * (1 + RANK));
            let models = (0..at.models).map(|model| at.own() + model * (1 + RANK));
            for place in families.chain(models) {
                self.numbers[place] += middle * self.numbers[place + 1 + skill];
            }
        }
        for model in 0..at.models {
            let biases = at.bias() + model * at.domains;
            let weights = &tried[model * at.domains..][..at.domains];
            let sum: f64 = weights.iter().sum();
            let with = weights.iter().zip(&self.numbers[biases..]);
            let mean = with.map(|(weight, bias)| weight * f64::from(*bias)).sum::<f64>();
            let mean = (mean / sum.max(1e-9)) as f32;
            self.numbers[at.own() + model * (1 + RANK)] += mean;
            for (domain, weight) in weights.iter().enumerate() {
                // Where it was not tried, its bias was nothing and stays so.
                if *weight > 0.0 {
                    self.numbers[biases + domain] -= mean;
                }
            }
        }
    }

    fn move_words(&mut self, words: &[f32; EMBED], rate: f32, decay: f32) {
        let square = words.iter().map(|one| one * one).sum::<f32>() / EMBED as f32;
        if square == 0.0 {
            return;
        }
        for bucket in &self.kept {
            self.worn[*bucket] += square;
            let step = rate / (self.worn[*bucket].sqrt() + 1e-4);
            let row = &mut self.table[bucket * EMBED..(bucket + 1) * EMBED];
            for (one, slope) in row.iter_mut().zip(words) {
                *one -= step * slope + decay * *one;
            }
        }
    }
}

/// Fits one network to the samples.
pub fn fit(
    samples: &[Sample],
    layout: Layout,
    family_of: &[usize],
    recipe: &Recipe,
    seed: u64,
) -> TrainedNetwork {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut numbers = vec![0.0_f32; layout.end()];
    let spread =
        |range: std::ops::Range<usize>, by: f32, dice: &mut fastrand::Rng, numbers: &mut [f32]| {
            for number in &mut numbers[range] {
                *number = normal(dice) * by;
            }
        };
    spread(0..Layout::FIRST_BIAS, (2.0 / INPUT as f32).sqrt(), &mut dice, &mut numbers);
    spread(
        Layout::SECOND..layout.second_bias(),
        (1.0 / HIDDEN as f32).sqrt(),
        &mut dice,
        &mut numbers,
    );
    spread(layout.family()..layout.own(), 0.2, &mut dice, &mut numbers);
    let table = (0..BUCKETS * EMBED).map(|_| normal(&mut dice) * recipe.words).collect();
    let mut decay = vec![recipe.decay; layout.end()];
    decay[layout.family()..layout.own()].fill(recipe.decay_family);
    decay[layout.own()..layout.bias()].fill(recipe.decay_own);
    for level in (layout.family()..layout.bias()).step_by(1 + RANK) {
        decay[level] = recipe.decay_level;
    }
    decay[layout.bias()..layout.verbosity()].fill(recipe.decay_bias);
    let mut fitting = Fitting {
        layout,
        family_of,
        table,
        worn: vec![0.0; BUCKETS],
        slopes: vec![0.0; numbers.len()],
        numbers,
        dice,
        kept: Vec::new(),
    };
    let count = fitting.numbers.len();
    let mut adam = Adam { mean: vec![0.0; count], square: vec![0.0; count], steps: 0 };
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let steps = (recipe.epochs * samples.len()).div_ceil(BATCH) as f32;
    let mut step = 0.0_f32;
    for _ in 0..recipe.epochs {
        fitting.dice.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            // Down a cosine to nothing.
            let left = 0.5 + 0.5 * (std::f32::consts::PI * step / steps).cos();
            step += 1.0;
            for place in batch {
                let (_, words) = fitting.learn(&samples[*place], recipe);
                fitting.move_words(&words, recipe.rate_words * left, recipe.decay_words);
            }
            for slope in &mut fitting.slopes {
                *slope /= BATCH as f32;
            }
            adam.step(&mut fitting.numbers, &mut fitting.slopes, recipe.rate * left, &decay);
        }
    }
    fitting.centre(samples);
    TrainedNetwork { layout, table: fitting.table, numbers: fitting.numbers }
}

const _: () = assert!(COUNTS < INPUT);
