//! Where each dial sends prompts of everyday use, and how far that is from the best there is.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::house::house;
use super::print::say;
use crate::base::clock::Clock;
use crate::boot::Failure;
use crate::learn::dailies;
use crate::router::{CandidatePool, Dial, Needs, RankedSeat, decide_auto};
use crate::wire::vocab::Request;

/// What a dial did.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    dial: &'static str,
    prompts: u64,
    unanswered: u64,
    mean_cost_usd: f64,
    mean_quality: f64,
    /// The share of prompts whose model has at least nine tenths of the best expected quality.
    near_the_best: f64,
    /// The share of prompts whose model and effort are in the best tenth of all by expected quality.
    in_best_tenth: f64,
    /// Another would have been expected to do better at no higher cost.
    dominated: u64,
    models: BTreeMap<String, u64>,
    /// Models at efforts.
    efforts: BTreeMap<String, u64>,
}

/// Another is expected to do better and costs no more.
fn dominated(chosen: &RankedSeat, all: &[RankedSeat]) -> bool {
    all.iter().any(|other| other.quality > chosen.quality && other.cost <= chosen.cost)
}

impl Outcome {
    fn add(&mut self, request: &Request, dial: Dial, choice: &CandidatePool<'_>) {
        let demand = choice.predictor.demand(request);
        self.prompts += 1;
        let decision = decide_auto(dial.into(), &Needs::of(request), &demand, choice);
        let kept = decision.ok().and_then(|decision| decision.explanation).map(|all| all.kept);
        let Some((chosen, all)) = kept.as_deref().and_then(|all| Some((all.first()?, all))) else {
            self.unanswered += 1;
            return;
        };
        let best = all.iter().map(|one| one.quality).fold(0.0, f32::max);
        let better = all.iter().filter(|one| one.quality > chosen.quality).count();
        self.mean_cost_usd += chosen.cost.as_usd();
        self.mean_quality += f64::from(chosen.quality);
        self.near_the_best += f64::from(u8::from(chosen.quality >= 0.9 * best));
        self.in_best_tenth += f64::from(u8::from(better * 10 < all.len()));
        self.dominated += u64::from(dominated(chosen, all));
        let model = choice.catalogue.models().get(chosen.place);
        let name = model.map_or_else(String::new, |model| model.id.to_string());
        let at = chosen.at.map_or("-", |at| at.as_str());
        *self.efforts.entry(format!("{name} {at}")).or_default() += 1;
        *self.models.entry(name).or_default() += 1;
    }

    fn end(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "a count of prompts")]
        let count = (self.prompts - self.unanswered).max(1) as f64;
        for sum in [
            &mut self.mean_cost_usd,
            &mut self.mean_quality,
            &mut self.near_the_best,
            &mut self.in_best_tenth,
        ] {
            *sum /= count;
        }
    }
}

/// Decides for every prompt at every dial.
pub fn everyday(config: Option<&Path>, path: &Path, as_json: bool) -> Result<(), Failure> {
    let (catalogue, predictor) = house(config)?;
    let choice = CandidatePool::of_all(&catalogue, &predictor, Clock::System.now());
    let prompts = dailies(&[path.to_owned()])?;
    let mut outcomes = Vec::new();
    for dial in [Dial::CHEAP, Dial::BALANCED, Dial::BEST] {
        let mut outcome = Outcome { dial: dial.name(), ..Outcome::default() };
        for prompt in &prompts {
            outcome.add(&prompt.request, dial, &choice);
        }
        outcome.end();
        outcomes.push(outcome);
    }
    if as_json {
        say(&serde_json::to_string(&outcomes)?);
        return Ok(());
    }
    for one in &outcomes {
        say(&format!(
            "{:14} {} prompts, {} unanswered: ${:.6} each, quality {:.3}, {:.1}% near the best, \
             {:.1}% in the best tenth, {} dominated, {} models",
            one.dial,
            one.prompts,
            one.unanswered,
            one.mean_cost_usd,
            one.mean_quality,
            one.near_the_best * 100.0,
            one.in_best_tenth * 100.0,
            one.dominated,
            one.models.len()
        ));
        let mut efforts: Vec<(&String, &u64)> = one.efforts.iter().collect();
        efforts.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
        for (name, count) in efforts.iter().take(14) {
            say(&format!("  {count:4} {name}"));
        }
    }
    Ok(())
}
