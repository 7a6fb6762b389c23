//! What is told of one request: what was decided, tried and charged.

use schemars::JsonSchema;
use serde::Serialize;

use super::usage::{FLUSH, is_visible};
use crate::admit::{Caller, Scope};
use crate::base::calendar;
use crate::base::money::{Credits, Nanos};
use crate::base::{Error, Kind};
use crate::catalogue::Tier;
use crate::gateway::App;
use crate::ledger::report;
use crate::ledger::{Basis, FailedAttempt, Outcome, Record, Settlement, of_hundredths};
use crate::router::{in_words, without_cost};
use crate::wire::cost;

/// `GET /v1/requests/{id}`: what was decided, tried and charged.
///
/// # Errors
/// [`Kind::NotFound`] for what is not the caller's.
pub async fn request(app: &App, caller: &Caller, id: &str) -> Result<RequestView, Error> {
    caller.must_be_for(Scope::Usage)?;
    app.shared.books.journal.flush(FLUSH).await;
    let found = report::find(&app.shared.store, id).await.map_err(Error::internal)?;
    let own = found.filter(|one| caller.admin || one.account == caller.account);
    let missing = || {
        let id: String = id.chars().take(80).collect();
        Error::new(Kind::NotFound, format!("There is no request '{id}'."))
    };
    let one = own.ok_or_else(missing)?;
    // Of a member's account others ask too: their requests are theirs.
    if !is_visible(app, caller, &one).await? {
        return Err(missing());
    }
    let costs = caller.sees_cost();
    let mut told = told(&one, costs);
    let record = one.weighed.as_deref().and_then(|all| all.read(&app.live().catalogue));
    told.weighed = record.map(|all| weighed(app, &all, costs));
    // What was said is for whoever said it, and for those who run the account.
    let content = app.shared.store.content(one.account.clone(), id.to_owned()).await;
    if let Some(content) = content.map_err(Error::internal)?
        && caller.person.may_act_for(&content.user).is_ok()
    {
        let answer =
            if caller.sees_cost() { None } else { cost::without(content.answer.as_bytes()) };
        let answer = answer.and_then(|bytes| String::from_utf8(bytes).ok());
        let answer = answer.unwrap_or(content.answer);
        told.content = Some(ContentView { request: content.request, answer });
    }
    Ok(told)
}

/// What was decided, tried and charged of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub struct RequestView {
    id: String,
    object: &'static str,
    status: &'static str,
    created_at: String,
    completed_at: String,
    account: String,
    api_key_id: String,
    surface: String,
    stream: bool,
    model_requested: String,
    model: Option<String>,
    provider: Option<String>,
    tier: Option<Tier>,
    /// How `auto` chose, in one line.
    decision: Option<String>,
    attempts: Vec<AttemptView>,
    attempt_count: u8,
    usage: RequestUsage,
    credits: Credits,
    /// What providers charge; not told to customers who are not to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_nano_usd: Option<Nanos>,
    /// What it is sold for: nothing, where nothing was delivered.
    list_usd: f64,
    list_nano_usd: Nanos,
    latency_ms: u64,
    time_to_first_byte_ms: u64,
    weighed: Option<WeighedView>,
    /// What was said, where that is kept and for whoever may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<ContentView>,
}

/// One try at one deployment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
pub struct AttemptView {
    provider: String,
    model: String,
    /// `ok`, `broke_off`, or what went wrong.
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_nano_usd: Option<i64>,
    /// Since the request came.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// Tokens of a request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestUsage {
    input_tokens: u64,
    cached_tokens: u64,
    cache_write_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    total_tokens: u64,
    images: u64,
    basis: Basis,
}

/// What was asked and answered, as it came.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RequestContent")]
pub struct ContentView {
    request: String,
    answer: String,
}

/// What `auto` weighed: the prompt, and the best candidates.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Weighed")]
pub struct WeighedView {
    in_words: String,
    ease: f64,
    unsure: f64,
    need: f64,
    thinking: f64,
    novelty: f64,
    belief: f64,
    everyday: f64,
    considered: u32,
    /// How many candidates were weighed beside these.
    more: u32,
    candidates: Vec<CandidateView>,
}

/// A model that could have answered, and what is known of it in words.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Candidate")]
pub struct CandidateView {
    /// `null` for one that the catalogue does not have any more.
    model: Option<String>,
    provider: Option<String>,
    effort: Option<String>,
    quality: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_cost_nano_usd: Option<Nanos>,
    expected_output_tokens: u32,
    level: f64,
    level_sd: f64,
    /// As it is now: of a model that has gone, nothing.
    rests_on: Option<String>,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_out: Option<f64>,
}

fn told(one: &Settlement, costs: bool) -> RequestView {
    let by = one.by.as_ref();
    let tried = one.tried.iter().map(|tried| {
        let span = tried.started_ms.zip(tried.took_ms);
        AttemptView {
            provider: tried.provider.clone(),
            model: tried.model.clone(),
            outcome: tried.fault.to_string(),
            cost_nano_usd: tried.cost.filter(|_| costs).map(|cost| cost.0),
            started_ms: span.map(|(started, _)| started),
            first_byte_ms: None,
            took_ms: span.map(|(_, took)| took),
            status: tried.status,
        }
    });
    let answer = by.map(|by| {
        let outcome = match one.outcome {
            Outcome::Failed => "broke_off",
            Outcome::Complete | Outcome::Left | Outcome::Withdrawn => "ok",
        };
        let started = answer_began(&one.tried);
        let since = |ms: u64| started.map(|started| ms.saturating_sub(started));
        AttemptView {
            provider: by.provider.clone(),
            model: by.model.clone(),
            outcome: outcome.to_owned(),
            cost_nano_usd: None,
            started_ms: started,
            first_byte_ms: since(one.first_byte_ms),
            took_ms: since(one.latency_ms()),
            status: None,
        }
    });
    let tokens = &one.tokens;
    RequestView {
        id: one.id.as_str().to_owned(),
        object: "request",
        status: one.outcome.as_str(),
        created_at: calendar::written(one.began),
        completed_at: calendar::written(one.at),
        account: one.account.as_str().to_owned(),
        api_key_id: one.key.as_str().to_owned(),
        surface: one.surface.to_string(),
        stream: one.streamed,
        model_requested: one.asked.clone(),
        model: by.map(|by| by.model.clone()),
        provider: by.map(|by| by.provider.clone()),
        tier: by.map(|by| by.tier),
        decision: match &one.decision {
            Some(line) if !costs => Some(without_cost(line)),
            line => line.clone(),
        },
        attempts: tried.chain(answer).collect(),
        attempt_count: one.attempts,
        usage: RequestUsage {
            input_tokens: tokens.fresh() + tokens.cached() + tokens.cache_writes(),
            cached_tokens: tokens.cached(),
            cache_write_tokens: tokens.cache_writes(),
            output_tokens: tokens.written() + tokens.thought,
            reasoning_tokens: tokens.thought,
            total_tokens: tokens.total(),
            images: one.images,
            basis: one.basis,
        },
        credits: one.credits,
        cost_usd: costs.then(|| one.cost.as_usd()),
        cost_nano_usd: costs.then_some(one.cost),
        list_usd: one.listed().as_usd(),
        list_nano_usd: one.listed(),
        latency_ms: one.latency_ms(),
        time_to_first_byte_ms: one.first_byte_ms,
        weighed: None,
        content: None,
    }
}

fn weighed(app: &App, all: &Record, costs: bool) -> WeighedView {
    let live = app.live();
    let taken = &all.taken;
    let candidates = all.candidates.iter().map(|one| CandidateView {
        model: one.model.clone(),
        provider: one.provider.as_deref().map(str::to_owned),
        effort: one.effort.as_deref().map(str::to_owned),
        quality: f64::from(one.quality) / 1e3,
        expected_cost_nano_usd: costs.then_some(one.cost),
        expected_output_tokens: one.tokens,
        level: of_hundredths(one.level),
        level_sd: of_hundredths(one.sd),
        rests_on: one
            .model
            .as_deref()
            .and_then(|model| live.predictor.rests_on(&live.catalogue, model)),
        verdict: one.verdict.to_string(),
        found_out: (one.moved != 0).then(|| of_hundredths(one.moved)),
    });
    WeighedView {
        in_words: in_words(taken),
        ease: of_hundredths(taken.ease),
        unsure: of_hundredths(taken.unsure),
        need: of_hundredths(taken.need),
        thinking: of_hundredths(taken.thinking),
        novelty: of_hundredths(taken.novelty),
        belief: of_hundredths(taken.belief),
        everyday: of_hundredths(taken.everyday),
        considered: all.considered,
        more: all.more,
        candidates: candidates.collect(),
    }
}

/// When the attempt that answered began, in milliseconds: as the one before it ended, waits included.
/// `None` where that is not known: of some that ran side by side.
fn answer_began(tried: &[FailedAttempt]) -> Option<u64> {
    tried.iter().try_fold(0, |latest: u64, one| {
        Some(latest.max(one.started_ms?.saturating_add(one.took_ms?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(span: Option<(u64, u64)>) -> FailedAttempt {
        FailedAttempt {
            provider: String::new(),
            model: String::new(),
            fault: "".into(),
            cost: None,
            started_ms: span.map(|(from, _)| from),
            took_ms: span.map(|(_, took)| took),
            status: None,
        }
    }

    #[test]
    fn an_answer_began_when_the_attempts_before_it_had_ended() {
        assert_eq!(answer_began(&[]), Some(0));
        assert_eq!(answer_began(&[tried(Some((0, 30))), tried(Some((300, 20)))]), Some(320));
        // One that ended last need not have begun last.
        assert_eq!(answer_began(&[tried(Some((0, 500))), tried(Some((100, 20)))]), Some(500));
        assert_eq!(answer_began(&[tried(Some((0, 30))), tried(None)]), None);
    }
}
