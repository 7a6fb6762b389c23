//! One try at one deployment: encode, send, and wait for proof that an answer is coming.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Map;
use tokio::time::Instant;

use super::failover::{kind_label, patience_of};
use super::health::Permit;
use super::keys::NextKey;
use super::outgoing::{Outgoing, Unsayable, outgoing, thinks};
use super::passing::Withheld;
use super::pulse::share_left;
use super::reading::read_whole;
use super::relay::{Relay, Setup};
use super::scrub::scrubbed;
use super::transport::EndpointKind;
use super::whole::whole;
use super::{AnswerBody, AttemptLimits, Upstream};
use crate::base::ids::RequestId;
use crate::router::Step;
use crate::wire::vocab::{Dialect, Fault, FaultKind, Losses};
use crate::wire::{Heading, Inbound, Operation, blame, codec, provider_side, refusal, wait};

/// Bytes of a prompt that a slow deployment reads in a millisecond: some 5,000 tokens in a second.
const READ_PER_MS: u64 = 20;

/// The binary frames of AWS.
const AWS_EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// What one attempt at a deployment came to.
pub enum AttemptResult {
    Answered {
        body: AnswerBody,
        losses: Losses,
        /// Where the answer breaks a schema that its model could not be told.
        schema: Option<String>,
    },
    Failed {
        fault: Fault,
        /// A member that it does not take, and that it was sent: it may do without.
        unwanted: Option<String>,
        /// It was the key's fault, and the provider has another one that is up.
        another_key: bool,
    },
    /// This deployment cannot be told what the request says.
    Unsayable(Unsayable),
}

/// One try of a request.
#[derive(Debug, Clone, Copy)]
pub struct Try<'a> {
    pub step: &'a Step,
    pub inbound: &'a Inbound,
    pub request: &'a RequestId,
    /// Deployments that could still be asked instead.
    pub others: usize,
    /// What the deployment cannot be told as such is put into words.
    pub last_resort: bool,
    /// Members whose values it has refused of this request.
    pub without: &'a [String],
    /// Those of this step.
    pub limits: AttemptLimits,
    /// What is left of the request's time.
    pub until: Instant,
}

pub async fn send(upstream: &Upstream, this: &Try<'_>, permit: Permit) -> AttemptResult {
    let Try { step, inbound, last_resort, without, .. } = *this;
    let id = step.deployment.id;
    let refused = upstream.refusals.of(&step.deployment);
    let outgoing = match outgoing(step, inbound, (&refused, without), last_resort) {
        Ok(outgoing) => outgoing,
        Err(unsayable) => {
            return AttemptResult::Unsayable(unsayable);
        }
    };
    let sent = outgoing.body.clone();
    let started = Instant::now();
    let key = upstream.health.keys().pick(&step.deployment, started);
    let beginning = upstream.trails.attempt(this.request);
    let outcome = exchange(upstream, (this, key), outgoing, beginning.traceparent()).await;
    let over = |fault| {
        let (provider, name) = (&step.deployment.provider.id, &step.deployment.name);
        let names = (&*step.model.id, name.as_str());
        upstream.trails.attempted(this.request, beginning, provider, names, fault);
    };
    match outcome {
        Ok(Got { mut body, losses, schema }) => {
            over(None);
            upstream.health.keys().answered(&step.deployment.provider, key, Instant::now());
            let took = started.elapsed();
            upstream.health.begun(id, inbound.head.stream, took);
            if inbound.head.stream {
                upstream.health.first_token(id, thinks(step, inbound), took);
            }
            match &mut body {
                AnswerBody::Relay(relay) => relay.report_with(permit),
                AnswerBody::Whole { .. } => upstream.health.succeeded(permit),
            }
            let meters = upstream.meters.of(step, &upstream.metrics);
            meters.answered.inc();
            meters.first_byte_seconds.observe(took.as_secs_f64());
            AttemptResult::Answered { body, losses, schema }
        }
        Err(fault) => {
            let asked = blame::FaultContext { model: &step.deployment.name, sent: &sent };
            let fault = scrubbed(blame::told_apart(fault, asked), &step.deployment.provider);
            over(Some(kind_label(fault.kind)));
            let generates = matches!(inbound.operation, Operation::Generate);
            let named = refusal::unwanted(&fault, &sent).filter(|_| generates && !inbound.strict);
            let unwanted = named.map(|one| {
                if !one.this_value {
                    upstream.refusals.learn(step, &one.path);
                }
                one.path
            });
            let left = upstream.health.keys().failed(&step.deployment, key, &fault, Instant::now());
            let fault = match left {
                Some(NextKey::None { back: Some(back) }) => fault.after(Some(back)),
                _ => fault,
            };
            let another_key = left == Some(NextKey::Another);
            if another_key {
                // The deployment is as well as it was.
                tracing::warn!(
                    provider = %step.deployment.provider.id, key, kind = ?fault.kind,
                    "a key rests, and another one is asked with"
                );
                drop(permit);
            } else {
                // A shorter wait is waited for, if nobody else can be asked.
                let rest = fault.wait.filter(|wait| {
                    fault.counts_against_health() && *wait > upstream.limits.longest_wait
                });
                upstream.health.failed(permit, &fault, rest);
            }
            upstream
                .metrics
                .attempts
                .with_label_values(&[
                    &*step.deployment.provider.id,
                    &*step.model.label,
                    kind_label(fault.kind),
                ])
                .inc();
            AttemptResult::Failed { fault, unwanted, another_key }
        }
    }
}

/// An answer that has begun, or come.
struct Got {
    body: AnswerBody,
    losses: Losses,
    schema: Option<String>,
}

async fn exchange(
    upstream: &Upstream,
    (this, key): (&Try<'_>, usize),
    outgoing: Outgoing,
    traceparent: Option<String>,
) -> Result<Got, Fault> {
    let Try { step, inbound, request, others, limits, until, .. } = *this;
    let left = || until.saturating_duration_since(Instant::now());
    let sent_at = Instant::now();
    let stream = inbound.head.stream;
    let first_token = if stream { first_token(upstream, this) } else { Duration::MAX };
    let patience = if stream {
        limits.first_byte.min(first_token).min(left())
    } else {
        limits.answer.min(patience_of(left(), others))
    };
    let forward: &[_] = if outgoing.same_dialect { &inbound.forward } else { &[] };
    let forward = forward.iter().map(|(name, value)| (*name, value.as_str()));
    let traceparent = traceparent.as_deref().map(|value| ("traceparent", value));
    let incoming = upstream
        .transport
        .send(
            (&step.deployment, key),
            outgoing.protocol,
            match &inbound.operation {
                Operation::Embed(..) => EndpointKind::Embed,
                Operation::Images(..) => EndpointKind::Images,
                Operation::Count => EndpointKind::Count,
                Operation::Generate if stream => EndpointKind::Stream,
                Operation::Generate => EndpointKind::Whole,
            },
            outgoing.body.clone(),
            forward.chain(traceparent),
            patience,
        )
        .await?;
    if let Some(share) = share_left(&incoming.headers) {
        upstream.health.left(step.deployment.id, share);
    }
    // What the client understands has been decoded, and its name is gone.
    if let Some(coding) = incoming.headers.get(CONTENT_ENCODING)
        && coding != "identity"
    {
        let text = format!("the answer is in a coding that is not understood: {coding:?}");
        return Err(Fault::new(FaultKind::Broken, text));
    }
    let theirs = provider_side(outgoing.protocol);
    if !(200..300).contains(&incoming.status) {
        let status = incoming.status;
        let wait = wait::in_headers(&incoming.headers, SystemTime::now());
        // An error's body is read as far as it comes, but not for ever.
        let body = read_whole(incoming, limits.idle.min(Duration::from_secs(10)), 1 << 20)
            .await
            .unwrap_or_default();
        let mut fault = theirs.decode_error(status, &body);
        fault.wait = wait.or(fault.wait);
        if (300..400).contains(&status) {
            fault.kind = FaultKind::Broken;
        }
        return Err(fault);
    }
    // An answer that passes through as it came needs none.
    let heading = || Heading {
        id: heading_id(inbound.dialect, request),
        model: step.model.id.to_string(),
        created: crate::base::clock::Clock::System.now().seconds(),
        include_usage: inbound.head.include_usage,
        functions: !outgoing.passes && inbound.asks_by_functions(),
        echo: if outgoing.passes { Map::new() } else { codec(inbound.dialect).echo(&inbound.body) },
        clock: crate::base::clock::Clock::System,
        prompt_tokens: (inbound.head.prompt_bytes as u64).div_ceil(4),
    };
    let kind = incoming.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let event_stream = kind.is_none_or(streams);
    if stream && event_stream {
        let setup = Setup {
            upstream: upstream.clone(),
            step: step.clone(),
            front: inbound.dialect,
            protocol: outgoing.protocol,
            passes: outgoing.passes,
            withheld: Withheld { usage: outgoing.usage_added, cost: inbound.hides_cost },
            json: outgoing.json,
            names: Rc::clone(&outgoing.names),
            heading: heading(),
            request: request.clone(),
            limits,
            keeps: limits.rescue
                && others > 0
                && outgoing.json.is_none()
                && outgoing.names.is_empty(),
        };
        // The head has taken its part of the time.
        let left = |patience: Duration| patience.saturating_sub(sent_at.elapsed());
        let relay = Relay::open(incoming.body, setup, left(patience), left(first_token)).await?;
        let body = AnswerBody::Relay(Box::new(relay));
        return Ok(Got { body, losses: outgoing.losses, schema: None });
    }
    // Either a whole answer was asked for, or a provider answers a wish for a stream with one.
    let unread = limits.answer.saturating_sub(sent_at.elapsed());
    let patience = unread.min(patience_of(left(), others));
    let body = read_whole(incoming, patience, limits.reply_bytes).await?;
    let (body, schema) = whole(step, inbound, &outgoing, &heading, body, upstream)?;
    Ok(Got { body, losses: outgoing.losses, schema })
}

/// How long the first of the answer itself may take, where another could be asked instead: a long
/// prompt takes time to read, and a deployment that usually takes longer is not cut off for it.
fn first_token(upstream: &Upstream, this: &Try<'_>) -> Duration {
    let Try { step, inbound, others, limits, .. } = *this;
    if others == 0 || limits.first_token == Duration::MAX {
        return Duration::MAX;
    }
    let reading = Duration::from_millis(inbound.head.prompt_bytes as u64 / READ_PER_MS);
    let late = upstream.health.late(step.deployment.id, thinks(step, inbound)).unwrap_or_default();
    limits.first_token.saturating_add(reading).max(late)
}

/// Whether an answer of this type, to a request for a stream, is one. Self-hosted servers and proxies lose
/// the right type, and none of the SDKs looks at it; JSON is an answer in one piece, and a page is none.
fn streams(kind: &str) -> bool {
    let bare = kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase();
    matches!(bare.as_str(), "text/event-stream" | "text/plain" | "application/octet-stream" | "")
        || bare == AWS_EVENT_STREAM
}

/// Ids as each dialect spells them, for providers that give none.
fn heading_id(dialect: Dialect, request: &RequestId) -> String {
    let bare = request.as_str().trim_start_matches("req_");
    match dialect {
        Dialect::OpenAiChat => format!("chatcmpl-{bare}"),
        Dialect::OpenAiResponses => format!("resp_{bare}"),
        Dialect::Anthropic => format!("msg_{bare}"),
        Dialect::Gemini => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::streams;

    #[test]
    fn a_stream_is_one_under_any_type_that_is_not_another_s() {
        for (kind, is_one) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=UTF-8", true),
            ("application/vnd.amazon.eventstream", true),
            ("application/octet-stream", true),
            ("text/plain", true),
            ("", true),
            ("application/json", false),
            ("text/html; charset=utf-8", false),
        ] {
            assert_eq!(streams(kind), is_one, "{kind}");
        }
    }
}
