//! `optimux router replay`: what other policies would have cost.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;

use serde::Serialize;

use super::house::house;
use super::print::say;
use crate::base::clock::Clock;
use crate::base::money::Nanos;
use crate::boot::Failure;
use crate::catalogue::Model;
use crate::ledger::report::likely_between;
use crate::router::replay::{Chosen, chosen};
use crate::router::{CandidatePool, Dial, DialWish, Needs, RequestFeatures};
use crate::wire::Inbound;
use crate::wire::vocab::{Dialect, Request};

/// A request that is decided again.
pub(super) enum Replayed {
    /// As it was sent, to what it names.
    Sent { asked: String, request: Box<Request> },
    /// What was kept of it.
    Kept(Box<RequestFeatures>),
}

/// The lines of a file, each read.
fn lines(
    path: &Path,
    read: impl Fn(String) -> Result<Replayed, String>,
) -> Result<Vec<Replayed>, Failure> {
    let mut all = Vec::new();
    let file = std::fs::File::open(path).map_err(|why| format!("{}: {why}", path.display()))?;
    for (number, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: String| format!("{}:{}: {why}", path.display(), number + 1);
        all.push(read(line).map_err(wrong)?);
    }
    Ok(all)
}

/// Chat requests, as they were sent.
pub(super) fn sent(path: &Path) -> Result<Vec<Replayed>, Failure> {
    lines(path, |line| {
        let inbound = Inbound::arrive(Dialect::OpenAiChat, line.into(), None);
        let inbound = inbound.map_err(|why| why.to_string())?;
        let request = Box::new(inbound.request().map_err(|why| why.to_string())?.clone());
        Ok(Replayed::Sent { asked: inbound.head.model.clone(), request })
    })
}

/// What a gateway has kept.
pub(super) fn kept(path: &Path) -> Result<Vec<Replayed>, Failure> {
    lines(path, |line| {
        let features: RequestFeatures =
            serde_json::from_str(&line).map_err(|why| why.to_string())?;
        Ok(Replayed::Kept(Box::new(features)))
    })
}

/// What a policy came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    policy: String,
    requests: u64,
    /// No model could answer: too long, or none can do what is asked; or kept of other weights.
    unanswered: u64,
    cost_nano_usd: i64,
    /// Within which it lies in nine of ten cases: nobody knows how long answers would have been.
    cost_low_nano_usd: i64,
    cost_high_nano_usd: i64,
    quality: f64,
    models: BTreeMap<String, u64>,
}

/// A policy: a dial, or a model.
enum Policy<'a> {
    Dial(DialWish),
    Model(&'a str),
}

impl<'a> Policy<'a> {
    fn of(name: &'a str) -> Self {
        match Dial::of(name).or_else(|| name.parse().ok().and_then(Dial::new)) {
            Some(dial) => Self::Dial(dial.into()),
            None => Self::Model(name),
        }
    }
}

/// Decides as a policy says; the model, its predicted quality and its cost.
fn decided(policy: &Policy<'_>, replayed: &Replayed, choice: &CandidatePool<'_>) -> Option<Chosen> {
    let (needs, demand) = match replayed {
        Replayed::Sent { request, .. } => (Needs::of(request), choice.predictor.demand(request)),
        Replayed::Kept(features) if features.router != choice.predictor.id() => return None,
        Replayed::Kept(features) => (features.needs.clone(), features.demand()?),
    };
    let named = |model: &Model| match policy {
        Policy::Dial(_) => true,
        Policy::Model(name) => choice.catalogue.model(name).is_some_and(|one| one.id == model.id),
    };
    let choice = CandidatePool { allows: &named, ..*choice };
    // A single model is chosen whatever the dial says.
    let wish = match policy {
        Policy::Dial(wish) => *wish,
        Policy::Model(_) => Dial::BALANCED.into(),
    };
    chosen(wish, &needs, &demand, &choice)
}

pub(super) fn replay(
    config: Option<&Path>,
    requests: Vec<Replayed>,
    policies: &[String],
    json: bool,
) -> Result<(), Failure> {
    let (catalogue, predictor) = house(config)?;
    let choice = CandidatePool::of_all(&catalogue, &predictor, Clock::System.now());
    for policy in policies {
        if matches!(Policy::of(policy), Policy::Model(name) if catalogue.model(name).is_none()) {
            return Err(format!("there is no policy and no model '{policy}'").into());
        }
    }
    let policy_of = |policy: &String| Outcome { policy: policy.clone(), ..Outcome::default() };
    let asked = Outcome { policy: "as asked".to_owned(), ..Outcome::default() };
    let mut outcomes: Vec<Outcome> =
        std::iter::once(asked).chain(policies.iter().map(policy_of)).collect();
    for replayed in &requests {
        for (place, outcome) in outcomes.iter_mut().enumerate() {
            let policy = match place.checked_sub(1).and_then(|place| policies.get(place)) {
                Some(policy) => Policy::of(policy),
                None => match replayed {
                    Replayed::Sent { asked, .. } => Policy::of(asked),
                    Replayed::Kept(features) => Policy::Dial(DialWish {
                        dial: Dial::new(features.dial).unwrap_or(Dial::BALANCED),
                        max_cost: features.max_cost,
                        sold: None,
                    }),
                },
            };
            outcome.requests += 1;
            match decided(&policy, replayed, &choice) {
                Some(Chosen { model, quality, cost }) => {
                    outcome.cost_nano_usd = outcome.cost_nano_usd.saturating_add(cost.0);
                    outcome.quality += quality;
                    *outcome.models.entry(model).or_default() += 1;
                }
                None => outcome.unanswered += 1,
            }
        }
    }
    for outcome in &mut outcomes {
        let answered = outcome.requests - outcome.unanswered;
        (outcome.cost_low_nano_usd, outcome.cost_high_nano_usd) =
            likely_between(outcome.cost_nano_usd, answered);
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let answered = answered.max(1) as f64;
        outcome.quality /= answered;
    }
    if json {
        say(&serde_json::to_string(&outcomes)?);
        return Ok(());
    }
    let before = outcomes.first().map_or(0, |asked| asked.cost_nano_usd);
    for one in &outcomes {
        say(&format!(
            "{:20} {} requests, {} unanswered: {} expected ({} to {}), quality {:.3}, {} saved",
            one.policy,
            one.requests,
            one.unanswered,
            Nanos(one.cost_nano_usd),
            Nanos(one.cost_low_nano_usd),
            Nanos(one.cost_high_nano_usd),
            one.quality,
            Nanos(before.saturating_sub(one.cost_nano_usd)),
        ));
    }
    Ok(())
}
