//! What every model is expected to make of a prompt at every effort: how good an answer, of how many
//! tokens, at what cost at least. A decision looks at a thousand of these, so they lie side by side
//! and are worked out eight at a time.

mod weigh;

use super::levels::{Clues, Leaning, Level, Levels, default_effort, depth, efforts};
use super::neural::{Ability, Arithmetic, Weights, widely};
use super::{Corrections, Needs, PromptDemand, Subjects};
use crate::catalogue::{Capabilities, Capability, Catalogue, Facts, Mode, Model, Tier, TokenKind};
use crate::wire::vocab::{Effort, ThinkingStyle};

pub use weigh::SeatBounds;

/// Side by side.
const WIDE: usize = 8;
/// Log-odds that a model which cannot think first loses when it is asked to.
const WITHOUT_THOUGHT: f32 = 1.0;
/// Log-odds that an answer loses which takes twice as many tokens as it may.
const CUT: f32 = 2.0;
/// What of the effort's gain a prompt gets: the least, and what each step of
/// [`PromptDemand::thinking`] adds.
const GAIN: [f32; 2] = [0.1, 0.5];
/// Tokens of thought at the effort `high`, where thought adds nothing, and what each step of
/// [`PromptDemand::thinking`] and its square add.
const THOUGHT: [f32; 3] = [120.0, 700.0, 900.0];
/// The variance of a logistic against that of a normal, for the mean of one over the other.
const SPREAD: f32 = std::f32::consts::PI / 8.0;
/// A prompt is not taken to be less sure than this, in log-odds.
const MOST_UNSURE: f32 = 1.5;
/// An estimate of cost must not be above the real one, whatever is rounded on the way.
const BELOW: f32 = 1.0 - 1e-5;

/// A model at an effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The model's place in the catalogue.
    pub place: usize,
    /// The effort that is asked for; `None` where the model does it anyway.
    pub said: Option<Effort>,
    /// The effort that it comes to; `None` for a model that cannot be told.
    pub at: Option<Effort>,
}

/// Eight seats: what each brings to a prompt.
#[derive(Debug, Clone, Default)]
struct Block {
    level: [f32; WIDE],
    variance: [f32; WIDE],
    /// What is lost at the effort, on a prompt that takes thought.
    loses: [f32; WIDE],
    /// Where the model is better than its level, in the order of [`Leaning::ALL`].
    leanings: [[f32; WIDE]; Leaning::ALL.len()],
    /// How many times the usual length it writes, and of thought.
    spoken: [f32; WIDE],
    thinks: [f32; WIDE],
    /// USD for a token, at least.
    reads: [f32; WIDE],
    writes: [f32; WIDE],
    tier: [usize; WIDE],
}

/// Models with skills of their own, by their places among the seats.
#[derive(Debug)]
struct Skilled {
    seats: std::ops::Range<usize>,
    ability: Ability,
}

/// What is known of a catalogue's models.
#[derive(Debug)]
pub struct Table {
    seats: Vec<Seat>,
    blocks: Vec<Block>,
    /// By the model's place in the catalogue.
    models: Vec<Known>,
    skilled: Vec<Skilled>,
    /// What a level of 0 and one of 1 come to, where there are no skills of one's own.
    plain: [Ability; 2],
    subjects: Subjects,
}

/// A model's part of the table.
#[derive(Debug)]
struct Known {
    seats: std::ops::Range<usize>,
    /// The seat that an effort asked for comes to.
    asked: [usize; Effort::ALL.len()],
    level: Level,
    /// It can be made to think.
    thinks: bool,
    /// USD for a token of the prompt that the provider has kept, at least.
    rereads: f32,
}

/// What a request is, beside its words.
#[derive(Debug, Clone, Copy)]
pub struct Weighing<'a> {
    pub needs: &'a Needs,
    /// How far an unsure prompt is taken to be harder, in deviations of its ease.
    pub caution: f32,
    /// What the caller pays for a request, by tier, in USD.
    pub pays: [f32; Tier::ALL.len()],
}

/// Quality and cost that are expected of every seat (a model at an effort).
#[derive(Debug)]
pub struct Expectations {
    /// Log-odds of a good answer: those of the mean over what is not known.
    pub logits: Vec<f32>,
    /// In USD, at least, of what the provider takes and the caller pays the larger.
    pub costs: Vec<f32>,
    common: Common,
}

/// Log-odds and costs at every seat, by what all models have: levels, leanings and prices.
struct Plainly<'a> {
    table: &'a Table,
    common: &'a Common,
}

impl Arithmetic for Plainly<'_> {
    type Result = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn done(self) -> Self::Result {
        let Self { table, common } = self;
        let room = table.blocks.len() * WIDE;
        let (mut logits, mut costs) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let free = common.pays.iter().all(|pays| *pays == 0.0);
        for block in &table.blocks {
            let leans = common.leans(block);
            let (mut logit, mut cost) = ([0.0; WIDE], [0.0; WIDE]);
            for at in 0..WIDE {
                logit[at] = common.logit(block, at, leans[at]);
                // The part of a token that is not counted makes it no dearer.
                let written = (common.tokens(block, at) - 1.0).max(0.0);
                cost[at] = common.input * block.reads[at] + written * block.writes[at];
            }
            if !free {
                for (cost, tier) in cost.iter_mut().zip(block.tier) {
                    *cost = cost.max(common.pays.get(tier).copied().unwrap_or(0.0));
                }
            }
            logits.extend_from_slice(&logit);
            costs.extend_from_slice(&cost);
        }
        (logits, costs)
    }
}

/// What is the same for every seat.
#[derive(Debug, Clone, Copy)]
struct Common {
    /// The logit of a plain model: of level 0, and what a level of 1 adds.
    base: f32,
    slope: f32,
    variance: f32,
    caution: f32,
    gain: f32,
    /// The subjects that the prompt is of, and how much each weighs.
    subjects: [(usize, f32); Leaning::ALL.len()],
    length: f32,
    thought: f32,
    most_tokens: f32,
    /// A token's share of the limit.
    fewest: f32,
    input: f32,
    pays: [f32; Tier::ALL.len()],
}

impl Common {
    /// Tokens, without a limit: said and thought.
    #[inline(always)]
    fn unlimited(&self, block: &Block, at: usize) -> f32 {
        let said = (self.length * block.spoken[at]).clamp(16.0, 4_096.0);
        said + self.thought * block.thinks[at]
    }

    /// What models are better by for what the prompt is about.
    #[inline(always)]
    fn leans(&self, block: &Block) -> [f32; WIDE] {
        let mut sums = [0.0; WIDE];
        for (subject, weight) in self.subjects {
            // The likely ones come first.
            if weight == 0.0 {
                break;
            }
            if let Some(row) = block.leanings.get(subject) {
                for (sum, one) in sums.iter_mut().zip(row) {
                    *sum += weight * one;
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn logit(&self, block: &Block, at: usize, more: f32) -> f32 {
        // What does not fit into the answer is cut off.
        let over = (self.unlimited(block, at) * self.fewest - 1.0).clamp(0.0, 1.0);
        let logit = self.base
            + self.slope * block.level[at]
            + self.gain * block.loses[at]
            + (more - CUT * over);
        let spread = 1.0 + SPREAD * (self.variance + block.variance[at]);
        logit / spread.sqrt()
    }

    #[inline(always)]
    fn tokens(&self, block: &Block, at: usize) -> f32 {
        self.unlimited(block, at).min(self.most_tokens)
    }
}

impl Table {
    #[must_use]
    pub fn new(weights: &Weights, levels: &Levels, catalogue: &Catalogue) -> Self {
        let plain = [weights.of_level(0.0), weights.of_level(1.0)];
        let mut table = Self {
            seats: Vec::new(),
            blocks: Vec::new(),
            models: Vec::with_capacity(catalogue.models().len()),
            skilled: Vec::new(),
            plain,
            subjects: Subjects::builtin(&weights.meta.id),
        };
        let unknown = Facts::default();
        for (place, model) in catalogue.models().iter().enumerate() {
            let level = levels.of(&Clues::of(model));
            let facts = model.deployments.first().map_or(&unknown, |one| &one.facts);
            let first = table.seats.len();
            if model.mode == Mode::Chat {
                for seat in seats(place, model, facts) {
                    table.add(seat, model, &level);
                }
            }
            let seats = first..table.seats.len();
            let own = level.skills_of.as_ref().and_then(|name| weights.ability_of(name));
            let spoken = own.map_or(table.plain[0].verbosity, |own| own.verbosity).exp();
            if let Some(own) = own {
                let ability = Ability { level: level.level, signs: Box::default(), ..own.clone() };
                table.skilled.push(Skilled { seats: seats.clone(), ability });
            }
            for seat in seats.clone() {
                if let Some(block) = table.blocks.get_mut(seat / WIDE) {
                    block.spoken[seat % WIDE] = spoken;
                }
            }
            let thinks = table
                .seats
                .get(seats.clone())
                .unwrap_or_default()
                .iter()
                .any(|seat| seat.at.is_some_and(|at| at != Effort::None));
            let asked = Effort::ALL.map(|wish| table.nearest(&seats, wish));
            #[expect(clippy::cast_possible_truncation, reason = "a price")]
            let rereads = (model.least.of(TokenKind::CacheRead).as_usd() * 1e-6) as f32;
            table.models.push(Known { seats, asked, level, thinks, rereads });
        }
        table
    }

    fn add(&mut self, seat: Seat, model: &Model, level: &Level) {
        let at = self.seats.len();
        if at.is_multiple_of(WIDE) {
            self.blocks.push(Block::default());
        }
        self.seats.push(seat);
        let Some(block) = self.blocks.last_mut() else { return };
        let at = at % WIDE;
        #[expect(clippy::cast_possible_truncation, reason = "a price")]
        let usd = |kind| (model.least.of(kind).as_usd() * 1e-6) as f32;
        block.level[at] = level.level;
        block.variance[at] = level.sd * level.sd;
        block.loses[at] = seat.at.map_or(0.0, |effort| {
            level.efforts.get(&effort).copied().unwrap_or(-level.thought * depth(effort).loses)
        });
        for (row, leaning) in block.leanings.iter_mut().zip(Leaning::ALL) {
            row[at] = level.leaning(leaning);
        }
        block.thinks[at] = seat.at.map_or(0.0, |effort| depth(effort).tokens * level.thinks);
        block.reads[at] = usd(TokenKind::Input) * BELOW;
        block.writes[at] = usd(TokenKind::Output) * BELOW;
        block.tier[at] = model.tier as usize;
    }

    /// The seat of a model that a wish comes to: never one without thought for a wish to think.
    fn nearest(&self, seats: &std::ops::Range<usize>, wish: Effort) -> usize {
        let distance = |seat: &usize| {
            let at = self.seats.get(*seat).and_then(|seat| seat.at).unwrap_or(Effort::Medium);
            let apart = (at as u8).abs_diff(wish as u8);
            let other_kind = (at == Effort::None) != (wish == Effort::None);
            (u8::from(other_kind), apart, u8::from((at as u8) < wish as u8))
        };
        seats.clone().min_by_key(distance).unwrap_or(seats.start)
    }

    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The seats of a model that a request may be asked at: all, or the one that its caller's effort
    /// comes to.
    #[must_use]
    pub fn of(&self, place: usize, wish: Option<Effort>) -> std::ops::Range<usize> {
        match (self.models.get(place), wish) {
            (None, _) => 0..0,
            (Some(known), None) => known.seats.clone(),
            (Some(known), Some(_)) if known.seats.is_empty() => 0..0,
            (Some(known), Some(wish)) => {
                let seat = known.asked.get(wish as usize).copied().unwrap_or(known.seats.start);
                seat..seat + 1
            }
        }
    }

    /// What a model's level is and rests on.
    #[must_use]
    pub fn level(&self, place: usize) -> Option<&Level> {
        self.models.get(place).map(|known| &known.level)
    }

    /// What is expected at every seat, with what an account has found out.
    #[must_use]
    pub fn expect(
        &self,
        weights: &Weights,
        demand: &PromptDemand,
        asked: &Weighing<'_>,
        corrections: Corrections<'_>,
    ) -> Expectations {
        let common = self.common(weights, demand, asked);
        let (mut logits, costs) = widely(Plainly { table: self, common: &common });
        let mut again = |seats: std::ops::Range<usize>, more: f32| {
            for seat in seats {
                if let Some(block) = self.blocks.get(seat / WIDE)
                    && let Some(logit) = logits.get_mut(seat)
                {
                    let more = more + common.leans(block)[seat % WIDE];
                    *logit = common.logit(block, seat % WIDE, more);
                }
            }
        };
        let plain = |level: f32| common.base + common.slope * level;
        for one in &self.skilled {
            let more = weights.logit(demand.view(), &one.ability) - plain(one.ability.level);
            again(one.seats.clone(), more);
        }
        let asked_to_think = asked.needs.effort.is_some_and(|effort| effort != Effort::None);
        let corrections = corrections.filter(|all| !all.is_empty());
        if !asked_to_think && corrections.is_none() {
            return Expectations { logits, costs, common };
        }
        for (place, known) in self.models.iter().enumerate() {
            let mut more = corrections.and_then(|all| all.get(&place)).copied().unwrap_or(0.0);
            if asked_to_think && !known.thinks {
                more -= WITHOUT_THOUGHT;
            }
            if more != 0.0 {
                let skilled = self.skilled.iter().find(|one| one.seats == known.seats);
                more += skilled.map_or(0.0, |one| {
                    weights.logit(demand.view(), &one.ability) - plain(one.ability.level)
                });
                again(known.seats.clone(), more);
            }
        }
        Expectations { logits, costs, common }
    }

    /// Tokens that are said and thought at a seat.
    #[must_use]
    pub fn tokens(&self, expected: &Expectations, seat: usize) -> f32 {
        let block = self.blocks.get(seat / WIDE);
        block.map_or(0.0, |block| expected.common.tokens(block, seat % WIDE))
    }

    fn common(&self, weights: &Weights, demand: &PromptDemand, asked: &Weighing<'_>) -> Common {
        let needs = asked.needs;
        let [zero, one] = &self.plain;
        let base = weights.logit(demand.view(), zero);
        let thinking = demand.thinking();
        // More would let caution outweigh the dial.
        let unsure = demand.unsure().min(MOST_UNSURE);
        let mut subjects = [(0, 0.0); Leaning::ALL.len()];
        let weights_of = self.subjects.of(demand.view(), needs);
        let likely = weights_of.iter().copied().enumerate().filter(|(_, weight)| *weight > 0.0);
        for (place, one) in subjects.iter_mut().zip(likely) {
            *place = one;
        }
        let [least, each] = GAIN;
        let [some, more, most] = THOUGHT;
        #[expect(clippy::cast_precision_loss, reason = "an estimate of tokens")]
        let count = |tokens: u64| tokens as f32;
        Common {
            base,
            slope: weights.logit(demand.view(), one) - base,
            variance: unsure * unsure,
            caution: asked.caution * unsure,
            gain: least + each * thinking,
            subjects,
            length: demand.length(),
            thought: some + more * thinking + most * thinking * thinking,
            most_tokens: needs.max_output_tokens.map_or(f32::MAX, count),
            fewest: needs.max_output_tokens.map_or(0.0, |most| count(most.max(1)).recip()),
            input: count(needs.input_tokens),
            pays: asked.pays,
        }
    }

    /// What a conversation saves that a model's provider has kept the beginning of, in USD at least
    /// expected: taken off its seats.
    pub fn save(&self, expected: &mut Expectations, place: usize, cached_tokens: u64) {
        let Some(known) = self.models.get(place) else { return };
        #[expect(clippy::cast_precision_loss, reason = "an estimate of tokens")]
        let cached = cached_tokens as f32;
        for seat in known.seats.clone() {
            let Some(block) = self.blocks.get(seat / WIDE) else { continue };
            let saved = (block.reads[seat % WIDE] - known.rereads).max(0.0) * cached;
            if let Some(cost) = expected.costs.get_mut(seat) {
                *cost = (*cost - saved).max(0.0) * BELOW;
            }
        }
    }
}

/// The efforts at which a model can be asked.
fn seats(place: usize, model: &Model, facts: &Facts) -> Vec<Seat> {
    let usual = match default_effort(facts) {
        None if facts.thinking.manner == ThinkingStyle::Unknown && thinks(model.capabilities) => {
            Some(Effort::Medium)
        }
        usual => usual,
    };
    let silent = Seat { place, said: None, at: usual };
    let mut all = vec![silent];
    let others = efforts(facts).iter().filter(|effort| Some(*effort) != usual);
    all.extend(others.map(|effort| Seat { place, said: Some(effort), at: Some(effort) }));
    all
}

fn thinks(capabilities: Capabilities) -> bool {
    capabilities.has(Capability::Reasoning)
}
