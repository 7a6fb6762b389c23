//! One try at one deployment: encode, send, and wait for proof that an answer is coming.

use std::time::Duration;

use ::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use bytes::Bytes;
use secrecy::ExposeSecret;
use serde_json::Map;
use tokio::time::Instant;

use super::breaker::Permit;
use super::failover::Budget;
use super::pulse::share_left;
use super::relay::{Relay, Setup};
use super::transport::Call;
use super::whole::{read_whole, whole};
use super::{AnswerBody, Upstream};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::apply_quirks;
use crate::router::Step;
use crate::wire::frame::json::splice;
use crate::wire::vocab::{Dialect, Fault, FaultKind, Losses, Protocol, ThoughtsBack};
use crate::wire::{Heading, Inbound, Operation, Target, codec, embeddings, images, provider_side};

/// The binary frames of AWS.
const AWS_EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

pub enum Tried {
    Answered {
        body: AnswerBody,
        losses: Losses,
    },
    Failed {
        fault: Fault,
        retry_after: Option<Duration>,
    },
    /// This deployment's dialect cannot say what the request says.
    Unsayable(Error),
}

/// How the answer has to be treated on its way back.
struct Outgoing {
    body: Bytes,
    losses: Losses,
    /// What the provider is asked in.
    protocol: Protocol,
    /// The provider speaks the caller's dialect: bytes pass through.
    same_dialect: bool,
    /// We asked for usage that the caller did not ask for.
    usage_added: bool,
}

pub async fn send(
    upstream: &Upstream,
    step: &Step,
    inbound: &Inbound,
    request: &RequestId,
    budget: &Budget,
    permit: Permit,
    others: usize,
) -> Tried {
    let id = step.deployment.id;
    let outgoing = match outgoing(step, inbound) {
        Ok(outgoing) => outgoing,
        Err(error) => {
            upstream.health.neither(id, permit);
            return Tried::Unsayable(error);
        }
    };
    let started = Instant::now();
    let outcome = exchange(upstream, step, inbound, request, budget, others, outgoing).await;
    match outcome {
        Ok((body, losses)) => {
            let took = started.elapsed();
            upstream.health.answered(id, inbound.head.stream, took);
            let meters = upstream.meters.of(step, &upstream.metrics);
            meters.answered.inc();
            meters.first_byte_seconds.observe(took.as_secs_f64());
            Tried::Answered { body, losses }
        }
        Err((fault, retry_after)) => {
            let rest = retry_after.filter(|_| {
                matches!(
                    fault.kind,
                    FaultKind::RateLimited | FaultKind::Overloaded | FaultKind::Quota
                )
            });
            upstream.health.failed(
                id,
                permit,
                &fault,
                rest.filter(|rest| *rest > upstream.limits.longest_wait),
            );
            upstream
                .metrics
                .attempts
                .with_label_values(&[
                    &*step.deployment.provider.id,
                    &*step.model.id,
                    kind_label(fault.kind),
                ])
                .inc();
            Tried::Failed { fault, retry_after }
        }
    }
}

/// A fault as the metrics and the journal call it.
pub(super) fn kind_label(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Refused => "refused",
        FaultKind::ContextLength => "context_length",
        FaultKind::Credential => "credential",
        FaultKind::ModelGone => "model_gone",
        FaultKind::RateLimited => "rate_limited",
        FaultKind::Quota => "quota",
        FaultKind::Overloaded => "overloaded",
        FaultKind::Timeout => "timeout",
        FaultKind::Broken => "broken",
        FaultKind::Unreachable => "unreachable",
    }
}

/// What a deployment is asked in: the caller's dialect where it can be, else the first that it can.
fn protocol_of(step: &Step, inbound: &Inbound) -> Protocol {
    let own = Protocol::Dialect(inbound.dialect);
    let spoken = &step.deployment.protocols;
    if spoken.contains(&own) { own } else { spoken.first().copied().unwrap_or(own) }
}

fn outgoing(step: &Step, inbound: &Inbound) -> Result<Outgoing, Error> {
    let provider = &step.deployment.provider;
    let name = step.deployment.name.as_str();
    let protocol = protocol_of(step, inbound);
    let same_dialect = protocol == Protocol::Dialect(inbound.dialect);
    let missing = |what: &str| {
        let text = format!("The provider of '{}' has no {what}.", step.model.id);
        Error::new(Kind::Unsupported, text)
    };
    let whole = |body, same_dialect| Outgoing {
        body,
        losses: Losses::default(),
        protocol,
        same_dialect,
        usage_added: false,
    };
    match &inbound.operation {
        Operation::Generate => {}
        Operation::Count if same_dialect => {
            return Ok(whole(respelled(inbound, name).0, true));
        }
        Operation::Count => return Err(missing("way to count tokens")),
        Operation::Embed(form, request) => {
            let theirs = provider.embeddings.ok_or_else(|| missing("embeddings"))?;
            if *form == theirs && theirs == embeddings::Form::Openai {
                return Ok(whole(respelled(inbound, name).0, true));
            }
            return Ok(whole(embeddings::encode_request(request, theirs, name)?, false));
        }
        Operation::Draw(request, count) => {
            let form = provider.images.ok_or_else(|| missing("images"))?;
            let body = images::encode_request(request, form, &step.model.images, name, *count);
            return Ok(whole(body, form != images::Form::Gemini));
        }
    }
    let (body, losses, same_dialect, usage_added) = if same_dialect {
        let (body, usage_added) = respelled(inbound, name);
        (body, Losses::default(), true, usage_added)
    } else {
        let thinking = step.deployment.facts.thinking_on(protocol);
        let target = Target {
            model: name,
            max_output_tokens: step.deployment.max_output_tokens,
            thinking: &thinking,
            thoughts: ThoughtsBack::All,
            max_tokens_only: provider.max_tokens_only,
        };
        let encoded = provider_side(protocol).encode_request(inbound.request()?, &target)?;
        let refused =
            if inbound.strict { encoded.losses.iter().next() } else { encoded.losses.grave() };
        if let Some(loss) = refused {
            return Err(Error::new(
                Kind::Unsupported,
                format!("The model '{}' cannot take '{}'.", step.model.id, loss.field),
            )
            .at(loss.field.clone())
            .coded("unsupported_parameter"));
        }
        (encoded.body, encoded.losses, false, false)
    };
    Ok(Outgoing {
        body: apply_quirks(&step.deployment.quirks, body),
        losses,
        protocol,
        same_dialect,
        usage_added,
    })
}

/// The caller's own bytes, but for the model's name and the wish for usage.
fn respelled(inbound: &Inbound, name: &str) -> (Bytes, bool) {
    let head = &inbound.head;
    let mut edits = Vec::new();
    let quoted = serde_json::Value::from(name).to_string();
    if let Some(span) = &head.model_at
        && inbound.body.get(span.clone()) != Some(quoted.as_bytes())
    {
        edits.push((span.clone(), quoted.as_bytes()));
    }
    let asks_usage = inbound.dialect == Dialect::OpenAiChat && head.stream && !head.include_usage;
    let options;
    if asks_usage {
        match &head.stream_options_at {
            Some(span) => {
                let raw = inbound.body.get(span.clone()).unwrap_or_default();
                let mut members: Map<String, serde_json::Value> =
                    serde_json::from_slice(raw).unwrap_or_default();
                members.insert("include_usage".to_owned(), serde_json::Value::from(true));
                options = serde_json::Value::Object(members).to_string();
                edits.push((span.clone(), options.as_bytes()));
            }
            None => {
                // After the opening brace, wherever that stands.
                let brace = inbound.body.iter().position(|byte| *byte == b'{').unwrap_or(0) + 1;
                edits.push((brace..brace, br#""stream_options":{"include_usage":true},"#));
            }
        }
    }
    if edits.is_empty() {
        return (inbound.body.clone(), asks_usage);
    }
    edits.sort_by_key(|(span, _)| span.start);
    (Bytes::from(splice(&inbound.body, &edits)), asks_usage)
}

type Failure = (Fault, Option<Duration>);

async fn exchange(
    upstream: &Upstream,
    step: &Step,
    inbound: &Inbound,
    request: &RequestId,
    budget: &Budget,
    others: usize,
    outgoing: Outgoing,
) -> Result<(AnswerBody, Losses), Failure> {
    let limits = &upstream.limits;
    let stream = inbound.head.stream;
    let patience = if stream {
        limits.first_byte.min(budget.left(Instant::now()))
    } else {
        budget.patience(others, Instant::now())
    };
    let incoming = upstream
        .transport
        .send(
            &step.deployment,
            outgoing.protocol,
            match &inbound.operation {
                Operation::Embed(..) => Call::Embed,
                Operation::Draw(..) => Call::Draw,
                Operation::Count => Call::Count,
                Operation::Generate if stream => Call::Stream,
                Operation::Generate => Call::Whole,
            },
            outgoing.body.clone(),
            if outgoing.same_dialect { &inbound.forward } else { &[] },
            patience,
        )
        .await
        .map_err(|fault| (fault, None))?;
    if let Some(share) = share_left(&incoming.headers) {
        upstream.health.left(step.deployment.id, share);
    }
    let theirs = provider_side(outgoing.protocol);
    if !(200..300).contains(&incoming.status) {
        let status = incoming.status;
        let retry_after = retry_after(&incoming.headers);
        // An error's body is read as far as it comes, but not for ever.
        let body = read_whole(incoming, limits.idle.min(Duration::from_secs(10)), 1 << 20)
            .await
            .unwrap_or_default();
        let mut fault = theirs.decode_error(status, &body);
        if (300..400).contains(&status) {
            fault.kind = FaultKind::Broken;
        }
        fault.message = without_key(fault.message, step);
        return Err((fault, retry_after));
    }
    // An answer that passes through as it came needs none.
    let heading = || Heading {
        id: heading_id(inbound.dialect, request),
        model: step.model.id.to_string(),
        created: crate::base::clock::Clock::System.now().seconds(),
        include_usage: inbound.head.include_usage,
        echo: if outgoing.same_dialect {
            Map::new()
        } else {
            codec(inbound.dialect).echo(&inbound.body)
        },
    };
    let event_stream =
        incoming.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
            |kind| kind.starts_with("text/event-stream") || kind.starts_with(AWS_EVENT_STREAM),
        );
    if stream && event_stream {
        let setup = Setup {
            upstream: upstream.clone(),
            step: step.clone(),
            front: inbound.dialect,
            protocol: outgoing.protocol,
            same_dialect: outgoing.same_dialect,
            usage_added: outgoing.usage_added,
            heading: heading(),
            request: request.clone(),
        };
        let relay =
            Relay::open(incoming.body, setup, patience).await.map_err(|fault| (fault, None))?;
        return Ok((AnswerBody::Relay(Box::new(relay)), outgoing.losses));
    }
    // Either a whole answer was asked for, or a provider answers a wish for a stream with one.
    let body = read_whole(incoming, budget.patience(others, Instant::now()), limits.reply_bytes)
        .await
        .map_err(|fault| (fault, None))?;
    let body =
        whole(step, inbound, outgoing.protocol, outgoing.same_dialect, &heading, body, upstream)
            .map_err(|fault| (fault, None))?;
    Ok((body, outgoing.losses))
}

/// Some providers quote the key that they refuse. It is ours, and goes to no log and no caller.
fn without_key(message: String, step: &Step) -> String {
    match &step.deployment.provider.api_key {
        Some(key) if message.contains(key.expose_secret()) => {
            message.replace(key.expose_secret(), "…")
        }
        _ => message,
    }
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

/// Seconds, or milliseconds in OpenAI's own header. Dates are rare here and not worth a parser.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| {
        headers
            .get(name)?
            .to_str()
            .ok()?
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|n| (0.0..=86_400_000.0).contains(n))
    };
    if let Some(ms) = number("retry-after-ms") {
        return Some(Duration::from_secs_f64(ms / 1000.0));
    }
    number(RETRY_AFTER.as_str()).map(Duration::from_secs_f64)
}
