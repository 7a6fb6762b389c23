//! The prices of a deployment: which one holds, and what a request comes to.

use super::hours::Hours;
use super::rates::Rates;
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::wire::vocab::{Class, Usage};

/// One price, and when it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// Requests completed from this moment on.
    pub from: Option<Timestamp>,
    /// … and before this one.
    pub until: Option<Timestamp>,
    pub class: Class,
    /// Only for requests that thought.
    pub thinking: bool,
    /// Only in these hours; at all hours, if not given.
    pub hours: Option<Hours>,
    pub amount: Amount,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    Rates(Box<Steps>),
    /// So many millionths of the standard price.
    Times(i64),
}

/// Rates by the length of the prompt: the whole request is billed at those of the highest step that
/// its prompt is beyond.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    pub base: Rates,
    /// Prompt tokens, and the rates above them; ascending.
    pub above: Vec<(u64, Rates)>,
    pub each: Each,
}

/// What is charged by the piece, beside tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Each {
    pub search: Option<Nanos>,
    /// A request, and a picture that is read: not metered, for those who choose by price.
    pub request: Option<Nanos>,
    pub picture_in: Option<Nanos>,
    /// A picture that was made, of any size.
    pub picture: Option<Nanos>,
    /// A picture by its size and quality.
    pub pictures: Vec<PicturePrice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PicturePrice {
    pub size: String,
    /// Any, if not given.
    pub quality: Option<String>,
    pub price: Nanos,
}

/// Pictures that an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pictures<'a> {
    pub count: u64,
    pub size: Option<&'a str>,
    pub quality: Option<&'a str>,
}

/// All prices of a deployment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices {
    list: Vec<Price>,
    /// Nobody said what it costs: these are the dearest of its tier.
    pub guessed: bool,
    /// Millionths by which requests of a region cost more than elsewhere.
    pub regional: i64,
}

/// One, in millionths.
pub const WHOLE: i64 = 1_000_000;

impl Steps {
    /// The rates for a prompt of this length.
    #[must_use]
    pub fn rates(&self, prompt_tokens: u64) -> &Rates {
        let passed = self.above.iter().rev().find(|(above, _)| prompt_tokens > *above);
        passed.map_or(&self.base, |(_, rates)| rates)
    }
}

impl Each {
    /// The most that a picture costs by the piece, whether it is read or made.
    #[must_use]
    pub fn dearest_picture(&self) -> Option<Nanos> {
        let by_size = self.pictures.iter().map(|one| one.price);
        by_size.chain(self.picture).chain(self.picture_in).max()
    }

    /// What one picture costs, if pictures are charged by the piece. A size or quality that no
    /// line names costs what the dearest line does.
    fn picture(&self, pictures: Pictures<'_>) -> Option<Nanos> {
        let fits = |one: &&PicturePrice| {
            pictures.size == Some(one.size.as_str())
                && (one.quality.is_none() || one.quality.as_deref() == pictures.quality)
        };
        let dearest = || self.pictures.iter().map(|one| one.price).max();
        // A line for the quality goes before one for all of them.
        let named = self.pictures.iter().filter(fits).min_by_key(|one| one.quality.is_none());
        named.map(|one| one.price).or(self.picture).or_else(dearest)
    }
}

impl Prices {
    #[must_use]
    pub fn new(list: Vec<Price>, regional: i64) -> Self {
        Self { list, guessed: false, regional }
    }

    /// Prices that nobody stated.
    #[must_use]
    pub fn guess(rates: Rates) -> Self {
        let amount = Amount::Rates(Box::new(Steps {
            base: rates,
            above: Vec::new(),
            each: Each::default(),
        }));
        let price = Price {
            from: None,
            until: None,
            class: Class::Standard,
            thinking: false,
            hours: None,
            amount,
        };
        Self { list: vec![price], guessed: true, regional: WHOLE }
    }

    /// Whether nobody has said what a request completed now costs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The price of a class at a moment: one for thinking before others, busy hours before the rest.
    fn holding(&self, at: Timestamp, class: Class, thought: bool) -> Option<&Price> {
        let holds = |price: &&Price| {
            price.class == class
                && price.from.is_none_or(|from| at >= from)
                && price.until.is_none_or(|until| at < until)
                && (thought || !price.thinking)
                && price.hours.as_ref().is_none_or(|hours| hours.holds(at))
        };
        let found = self.list.iter().filter(holds);
        // The later of two that overlap.
        found.max_by_key(|price| (price.thinking, price.hours.is_some(), price.from))
    }

    /// The price of a class, and how many millionths of it are charged. A class that has no price
    /// costs what the standard one does.
    fn steps(&self, at: Timestamp, class: Class, thought: bool) -> Option<(&Steps, i64)> {
        let price = self
            .holding(at, class, thought)
            .or_else(|| self.holding(at, Class::Standard, thought))
            .or_else(|| self.nearest(at))?;
        match &price.amount {
            Amount::Rates(steps) => Some((steps, WHOLE)),
            Amount::Times(times) => {
                let standard = self
                    .holding(at, Class::Standard, thought)
                    .or_else(|| self.nearest(at))
                    .map(|price| &price.amount);
                match standard {
                    Some(Amount::Rates(steps)) => Some((steps, *times)),
                    _ => None,
                }
            }
        }
    }

    /// What a search costs: a price for a class or for thinking that says nothing of searches
    /// leaves them at the standard price.
    fn search(&self, at: Timestamp, steps: &Steps) -> Nanos {
        let standard = || match &self.holding(at, Class::Standard, false)?.amount {
            Amount::Rates(steps) => steps.each.search,
            Amount::Times(_) => None,
        };
        steps.each.search.or_else(standard).unwrap_or_default()
    }

    /// Where no price holds (a list that has run out), the last one that did, else the first that
    /// will: unknown is not free.
    fn nearest(&self, at: Timestamp) -> Option<&Price> {
        let mut rates = self.list.iter().filter(|price| matches!(price.amount, Amount::Rates(_)));
        let before = rates.clone().filter(|price| price.until.is_some_and(|until| until <= at));
        before.max_by_key(|price| price.until).or_else(|| rates.next())
    }

    /// The standard rates now for a prompt of this length, for those who choose by price.
    #[must_use]
    pub fn rates(&self, at: Timestamp, prompt_tokens: u64) -> Option<&Rates> {
        // Most lists have one price that always holds.
        if let [Price { from: None, until: None, hours: None, amount: Amount::Rates(steps), .. }] =
            self.list.as_slice()
        {
            return Some(steps.rates(prompt_tokens));
        }
        self.steps(at, Class::Standard, false).map(|(steps, _)| steps.rates(prompt_tokens))
    }

    /// Rates that no standard price goes below, at any hour and length: a bound that is quick to
    /// work with.
    #[must_use]
    pub fn least(&self) -> Option<Rates> {
        let standard = self.list.iter().filter(|price| price.class.is_standard());
        let all = standard.filter_map(|price| match &price.amount {
            Amount::Rates(steps) => Some(steps),
            Amount::Times(_) => None,
        });
        let each = all.flat_map(|steps| {
            std::iter::once(steps.base).chain(steps.above.iter().map(|(_, rates)| *rates))
        });
        each.reduce(|one, other| one.cheaper(&other))
    }

    /// What is charged by the piece now, for those who choose by price.
    #[must_use]
    pub fn each(&self, at: Timestamp) -> Option<&Each> {
        self.steps(at, Class::Standard, false).map(|(steps, _)| &steps.each)
    }

    /// What a picture costs by the piece, for those who have to take it beforehand.
    #[must_use]
    pub fn picture(&self, at: Timestamp, pictures: Pictures<'_>) -> Option<Nanos> {
        self.steps(at, Class::Standard, false)?.0.each.picture(pictures)
    }

    /// What a request costs that was completed at a moment: every token at the price of its kind,
    /// of the length of the prompt and of the class as answered; rounded up once, to a nano-USD.
    #[must_use]
    pub fn bill(&self, usage: &Usage, pictures: Pictures<'_>, at: Timestamp) -> Nanos {
        let thought = usage.thought > 0;
        let Some((steps, times)) = self.steps(at, usage.more.class, thought) else {
            return Nanos(0);
        };
        let mut usage = usage.clone();
        let mut pieces = 0;
        if usage.more.searches > 0 {
            pieces = i128::from(self.search(at, steps).0) * i128::from(usage.more.searches);
        }
        if pictures.count > 0
            && let Some(price) = steps.each.picture(pictures)
        {
            // What a picture says in tokens is in its price.
            pieces += i128::from(price.0) * i128::from(pictures.count);
            (usage.output, usage.more.image_out) = (0, 0);
        }
        let regional = if usage.more.regional { self.regional.max(WHOLE) } else { WHOLE };
        let tokens = steps.rates(usage.prompt()).exact(&usage);
        let factor = i128::from(times) * i128::from(regional);
        let unit = i128::from(WHOLE) * i128::from(WHOLE);
        // Nano-USD times a million (tokens), times a million (class), times a million (region).
        let exact = tokens
            .saturating_mul(factor)
            .saturating_add(pieces.saturating_mul(i128::from(WHOLE)).saturating_mul(unit));
        let divisor = i128::from(WHOLE) * unit;
        let rounded = exact.div_euclid(divisor) + i128::from(exact.rem_euclid(divisor) != 0);
        Nanos(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}
