//! What a trained router makes of a prompt.

use std::borrow::Cow;

use super::everyday::{Everyday, EverydayEstimate, RatingScale};
use super::form::FORMS;
use super::meta::Meta;
use super::net::{Arithmetic, Net, NetShape, bring, dot, softmax, spot, sum, widely};
use super::signs::Signs;
use super::text::{COUNTS, Prompt, TextCounts, read};
use super::trace::{SIGNS, TraceKind};
use super::vectors::direction;

/// Domains that a prompt may be of, at most, likeliest first.
const LIKELY: usize = 6;
/// A domain that is less likely says nothing.
const UNLIKELY: f32 = 0.03;
/// Room for so much of what is read is made at once.
const ROOM: usize = 1_024;

/// A model's side: what it brings to the demands of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Ability {
    /// Log-odds of a good answer to the average prompt.
    pub level: f32,
    /// What it adds on each demand of each network's view.
    pub skills: Box<[f32]>,
    /// Its answers are longer than others' by this, in log tokens.
    pub verbosity: f32,
    /// What it does better in each domain, in log-odds; empty for a model that was never tried.
    pub domains: Box<[f32]>,
    /// What single words say of it; empty likewise.
    pub signs: Box<[f32]>,
}

/// A trained router. Tables are bytes of signed numbers, borrowed from the program where they are
/// those that it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    pub meta: Meta,
    /// A row of `WIDE` for each bucket, in steps of `step`.
    pub table: Cow<'static, [u8]>,
    pub steps: [f32; NetShape::NETS],
    /// A row of `VECTOR` for each word; lengths do not matter, directions do.
    pub vectors: Cow<'static, [u8]>,
    pub nets: Vec<Net>,
    /// As many as the meta names, in its order.
    pub abilities: Vec<Ability>,
    /// Abilities of a model that nobody has data for: of level 0, and what a step of level changes.
    pub unknown: [Ability; 2],
    /// Pairs of words that training saw more than once, as bits.
    pub familiar: Vec<u64>,
    pub places: Places,
    pub everyday: Everyday,
    pub signs: Signs,
}

/// Where the domains lie, by the counts of their prompts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Places {
    /// `COUNTS` rows of `COUNTS`: counts times this are of the spread that they have within a domain.
    pub turn: Vec<f32>,
    /// `COUNTS` rows of `DOMAINS`: their centres, turned.
    pub centres: Vec<f32>,
    /// The squares of the lengths of the centres; as good as infinite where there is no domain.
    pub squares: Vec<f32>,
}

/// What all networks of the router give for a prompt, before it is held back for what they do not know.
#[derive(Debug, Clone)]
pub struct EnsembleOutput {
    pub ease: f32,
    pub length: f32,
    demands: [f32; NetShape::DEMANDS],
    /// The sum of the words, as the networks got it.
    pub embedding: [f32; NetShape::WIDE],
    /// The chance that it is of each domain.
    domains: [f32; NetShape::DOMAINS],
}

/// What a prompt demands.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Log-odds that a model of level 0 answers well.
    pub ease: f32,
    /// How far the ease may be off: a standard deviation.
    pub unsure: f32,
    /// Log of the tokens of an average answer.
    pub length: f32,
    /// What thinking first adds, from 0 to 2.
    pub thinking: f32,
    /// How much of each skill it takes. Next to nothing for a prompt like none that training saw:
    /// what was learned of skills does not hold there, and what models are worth in general does.
    pub demands: [f32; NetShape::DEMANDS],
    /// The likeliest domains, and how much what models do in them is believed.
    pub domains: [(u8, f32); LIKELY],
    /// How much it is like everyday prompts, against questions of benchmarks: from 0 to 1.
    pub everyday: f32,
    /// The share of word pairs that training had not seen.
    pub novelty: f32,
    /// How much what was learned of prompts like it is believed, from 0 to 1.
    pub belief: f32,
    /// By how much the networks hold the prompt to be easier than usual, as far as they are believed.
    pub lean: f32,
    /// What single words say, by directions in which models differ.
    pub signs: [f32; Signs::RANK],
    /// The sum of the words, as the networks got it: a static embedding of the text.
    pub embedding: [f32; NetShape::WIDE],
}

/// Words that were read, summed up.
struct Read {
    words: [i32; NetShape::WIDE],
    seen: usize,
    vector: [f32; NetShape::VECTOR],
    everyday: [i32; Everyday::SIGNS],
    signs: [i32; Signs::WIDE],
    novelty: f32,
    reading: TextCounts,
}

/// Sums of rows: those of a prompt's words, pairs, stems and marks.
struct Summing<'a> {
    weights: &'a Weights,
    buckets: &'a [usize],
    vectors: &'a [usize],
    signs: &'a [usize],
}

struct Sums {
    words: [i32; NetShape::WIDE],
    vector: [f32; NetShape::VECTOR],
    everyday: [i32; Everyday::SIGNS],
    signs: [i32; Signs::WIDE],
}

impl Arithmetic for Summing<'_> {
    type Result = Sums;

    #[inline(always)]
    fn done(self) -> Sums {
        let weights = self.weights;
        Sums {
            words: sum(&weights.table, self.buckets),
            vector: direction(&sum(&weights.vectors, self.vectors)),
            everyday: sum(&weights.everyday.words, self.signs),
            signs: if weights.signs.table.is_empty() {
                [0; Signs::WIDE]
            } else {
                sum(&weights.signs.table, self.signs)
            },
        }
    }
}

/// What the networks and the regression say of what was read.
struct Hearing<'a> {
    weights: &'a Weights,
    read: &'a Read,
    form: &'a [f32; FORMS],
}

struct Said {
    heard: EnsembleOutput,
    /// How far the prompt's form is from those of training.
    distance: f32,
    daily: EverydayEstimate,
}

impl Arithmetic for Hearing<'_> {
    type Result = Said;

    #[inline(always)]
    fn done(self) -> Said {
        let Self { weights, read, form } = self;
        Said {
            heard: weights.hear(read),
            distance: weights.places.distance(&read.reading.counts),
            daily: weights.everyday.judge(&read.everyday, &read.reading, form, &read.vector),
        }
    }
}

/// What of a prompt is like what training saw, by its form: measured by leaving sources out.
fn believed(distance: f32, novelty: f32) -> f32 {
    let form = (0.9 - 0.75 * (distance.ln_1p() - 1.5).max(0.0)).clamp(0.1, 0.9);
    form * (1.1 - novelty).clamp(0.4, 1.0)
}

impl Places {
    /// How far counts are from those of the nearest domain, in spreads.
    #[inline(always)]
    fn distance(&self, counts: &[f32; COUNTS]) -> f32 {
        let mut turned = [0.0; COUNTS];
        bring(&mut turned, counts, &self.turn);
        // The square of a difference: both squares, without twice the product.
        let mut least = f32::INFINITY;
        let mut products = [0.0; NetShape::DOMAINS];
        bring(&mut products, &turned, &self.centres);
        for (product, square) in products.iter().zip(&self.squares) {
            least = least.min(square - 2.0 * product);
        }
        if least.is_finite() { (least + dot(&turned, &turned)).max(0.0).sqrt() } else { 0.0 }
    }
}

impl Weights {
    fn read(&self, prompt: Prompt<'_>) -> Read {
        let room = prompt.text.len().min(ROOM);
        let (mut buckets, mut vectors) = (Vec::with_capacity(room), Vec::with_capacity(room / 2));
        let mut signs = Vec::with_capacity(room);
        let (mut pairs, mut new) = (0_u32, 0_u32);
        // Whether a sign is there counts, not how often.
        let mut met = [0_u64; SIGNS / 64];
        let reading = read(prompt, &mut |trace| {
            if trace.kind == TraceKind::Pair {
                let (word, bit) = spot(trace.bit());
                pairs += 1;
                new += u32::from(self.familiar.get(word).is_some_and(|bits| bits & bit == 0));
            }
            buckets.push(trace.bucket());
            if trace.kind == TraceKind::Word {
                vectors.push(trace.vector());
            }
            let (word, bit) = spot(trace.sign());
            if let Some(bits) = met.get_mut(word)
                && *bits & bit == 0
            {
                *bits |= bit;
                signs.push(trace.sign());
            }
        });
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let (pairs, new) = (pairs as f32, new as f32);
        let Sums { words, vector, everyday, signs } =
            widely(Summing { weights: self, buckets: &buckets, vectors: &vectors, signs: &signs });
        Read {
            words,
            seen: buckets.len(),
            vector,
            everyday,
            signs,
            // A prompt of a word or two says nothing for or against.
            novelty: (new + 0.8) / (pairs + 4.0),
            reading,
        }
    }

    #[inline(always)]
    fn hear(&self, read: &Read) -> EnsembleOutput {
        let mut heard = EnsembleOutput {
            ease: 0.0,
            length: 0.0,
            demands: [0.0; NetShape::DEMANDS],
            embedding: [0.0; NetShape::WIDE],
            domains: [0.0; NetShape::DOMAINS],
        };
        #[expect(clippy::cast_precision_loss, reason = "one network of three, and thousands")]
        let (part, seen) = (1.0 / NetShape::NETS as f32, read.seen as f32);
        let scale = 1.0 / (seen + 1.0).sqrt();
        let mut input = [0.0_f32; NetShape::INPUT];
        let beside = read.reading.counts.iter().chain(&read.vector);
        for (one, other) in input.iter_mut().skip(NetShape::EMBED).zip(beside) {
            *one = *other;
        }
        let demands = heard.demands.chunks_exact_mut(NetShape::RANK);
        let embedding = heard.embedding.chunks_exact_mut(NetShape::EMBED);
        let sums = read.words.chunks_exact(NetShape::EMBED);
        let nets = self.nets.iter().zip(&self.steps).zip(&self.meta.usual.reach);
        for (((((net, step), reach), sums), demands), embedding) in
            nets.zip(sums).zip(demands).zip(embedding)
        {
            for ((one, kept), sum) in input.iter_mut().zip(embedding).zip(sums) {
                #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
                let sum = *sum as f32;
                *one = sum * step * scale;
                *kept = *one;
            }
            let words = input.get_mut(..NetShape::EMBED).unwrap_or_default();
            let far = dot(words, words).sqrt();
            if far > *reach {
                for one in words {
                    *one *= reach / far;
                }
            }
            let said = net.ask(&input);
            let [ease, length, outs @ ..] = said.heads;
            heard.ease += ease * part;
            heard.length += length * part;
            demands.copy_from_slice(&outs);
            for (sum, one) in heard.domains.iter_mut().zip(said.domains) {
                *sum += one * part;
            }
        }
        let known = self.meta.domains.len().min(NetShape::DOMAINS);
        softmax(heard.domains.get_mut(..known).unwrap_or_default());
        heard
    }

    /// What the networks say of a prompt.
    #[must_use]
    pub fn heard(&self, prompt: Prompt<'_>) -> EnsembleOutput {
        let read = self.read(prompt);
        widely(Hearing { weights: self, read: &read, form: &[0.0; FORMS] }).heard
    }

    /// Reads a prompt.
    #[must_use]
    pub fn view(&self, prompt: Prompt<'_>) -> View {
        let read = self.read(prompt);
        let form = prompt.form.counts(prompt.tools);
        let Said { heard, distance, daily } =
            widely(Hearing { weights: self, read: &read, form: &form });
        let belief = believed(distance, read.novelty);
        let usual = &self.meta.usual;
        let everyday = self.meta.everyday_domain();
        let like = everyday.and_then(|place| heard.domains.get(place)).copied().unwrap_or(0.0);
        let scale = RatingScale::default();
        // Of the unfamiliar, what is usual is held.
        let towards = |usual: f32, one: f32| usual + (one - usual) * belief;
        let mix = |bench: f32, daily: f32| bench + (daily - bench) * like;
        let ease = mix(towards(usual.ease, heard.ease), scale.ease(daily.need));
        let spread = self.everyday.spread * scale.slope(daily.need);
        let mut length = mix(towards(usual.length, heard.length), daily.length);
        if let Some(asked) = read.reading.asked {
            length += (asked.ln() - length) * ASKED;
        }
        let held = belief * (1.0 - like);
        View {
            ease,
            unsure: mix(UNSURE + UNSURE * read.novelty, spread),
            length,
            thinking: daily.thinking.clamp(0.0, 2.0),
            demands: heard.demands.map(|one| one * held),
            domains: likely(&heard.domains, everyday, belief),
            everyday: like,
            novelty: read.novelty,
            belief: held,
            lean: (heard.ease - usual.ease) * held,
            signs: self.signs.sum(&read.signs, &read.reading.counts, &read.vector),
            embedding: heard.embedding,
        }
    }

    /// Log-odds of a good answer.
    #[must_use]
    pub fn logit(&self, view: &View, ability: &Ability) -> f32 {
        let mut beyond = dot(&view.demands, &ability.skills);
        if !ability.domains.is_empty() {
            for (domain, share) in view.domains {
                beyond += share * ability.domains.get(usize::from(domain)).unwrap_or(&0.0);
            }
        }
        let logit = view.ease + ability.level + beyond;
        let [sides @ .., mean] = ability.signs.as_ref() else { return logit };
        // What single words say stands for a part of what the networks say.
        let chance = (mean + dot(&view.signs, sides)).clamp(0.02, 0.98);
        let odds = (chance * (1.0 - mean)) / ((1.0 - chance) * mean.max(0.02));
        let signs = odds.max(1e-3).ln() * view.belief;
        logit + SIGNS_SHARE * (signs - view.lean - beyond)
    }
}

/// The share of what is said of a prompt that single words have, for models that were tried.
const SIGNS_SHARE: f32 = 0.35;
/// How much a length that is asked for counts, against what is usual for such prompts.
const ASKED: f32 = 0.85;
/// How far the ease of a benchmark's question may be off, and as much again where all is new.
const UNSURE: f32 = 0.5;

/// The domains that a prompt is likely of.
fn likely(
    domains: &[f32; NetShape::DOMAINS],
    everyday: Option<usize>,
    belief: f32,
) -> [(u8, f32); LIKELY] {
    let mut best = [(0_u8, 0.0_f32); LIKELY];
    for (place, share) in (0_u8..).zip(domains) {
        if *share <= UNLIKELY || everyday == Some(usize::from(place)) {
            continue;
        }
        let at = best.iter().position(|(_, known)| share > known);
        if let Some(rest) = at.and_then(|at| best.get_mut(at..)) {
            rest.rotate_right(1);
            if let Some(first) = rest.first_mut() {
                *first = (place, *share);
            }
        }
    }
    best.map(|(place, share)| (place, share * belief))
}
