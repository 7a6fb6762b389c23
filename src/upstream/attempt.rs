//! One try at one deployment: encode, send, and wait for proof that an answer is coming.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use secrecy::ExposeSecret;
use serde_json::Map;
use tokio::time::Instant;

use super::breaker::Permit;
use super::failover::Budget;
use super::relay::{Relay, Setup};
use super::transport::{Call, Incoming};
use super::{AnswerBody, Upstream};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::apply_quirks;
use crate::router::Step;
use crate::wire::frame::json::splice;
use crate::wire::vocab::{Dialect, Fault, FaultKind, Losses, Request, Usage};
use crate::wire::{Heading, Inbound, Operation, Target, codec, embeddings};

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
    let labels = [&*step.deployment.provider.id, &*step.model.id];
    match outcome {
        Ok((body, losses)) => {
            upstream.health.succeeded(id);
            upstream.metrics.attempts.with_label_values(&[labels[0], labels[1], "ok"]).inc();
            upstream
                .metrics
                .first_byte_seconds
                .with_label_values(&labels)
                .observe(started.elapsed().as_secs_f64());
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
                .with_label_values(&[labels[0], labels[1], kind_label(fault.kind)])
                .inc();
            Tried::Failed { fault, retry_after }
        }
    }
}

fn kind_label(kind: FaultKind) -> &'static str {
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

fn outgoing(step: &Step, inbound: &Inbound) -> Result<Outgoing, Error> {
    let provider = &step.deployment.provider;
    let name = step.deployment.name.as_str();
    let (body, losses, same_dialect, usage_added) = if provider.dialect == inbound.dialect {
        let (body, usage_added) = respelled(inbound, name);
        (body, Losses::default(), true, usage_added)
    } else if inbound.operation == Operation::Embed {
        if provider.dialect != Dialect::Gemini {
            return Err(Error::new(
                Kind::Unsupported,
                format!("The provider of '{}' has no embeddings.", step.model.id),
            ));
        }
        (embeddings::to_gemini(&inbound.body, name)?, Losses::default(), false, false)
    } else {
        let mut target = Target {
            model: name,
            max_output_tokens: step.model.max_output_tokens,
            reasons: step.model.capabilities.has(crate::catalogue::Capability::Reasoning),
            max_tokens_only: provider.max_tokens_only,
        };
        target.max_output_tokens = target.max_output_tokens.max(1);
        if let Some(state) = kept_elsewhere(inbound.request()?) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("'{state}' is not supported with the model '{}'.", step.model.id),
            )
            .at(state)
            .coded("unsupported_parameter"));
        }
        let encoded = codec(provider.dialect).encode_request(inbound.request()?, &target)?;
        if let Some(loss) = encoded.losses.grave() {
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
        same_dialect,
        usage_added,
    })
}

/// What a request builds on that only the provider which made it has.
fn kept_elsewhere(request: &Request) -> Option<&'static str> {
    let asks = |name: &str| {
        let value = request.extra.get(Dialect::OpenAiResponses, name);
        value.is_some_and(|value| !(value.is_null() || value == &serde_json::Value::Bool(false)))
    };
    ["previous_response_id", "conversation", "prompt", "background"]
        .into_iter()
        .find(|name| asks(name))
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
            match inbound.operation {
                Operation::Embed => Call::Embed,
                Operation::Generate if stream => Call::Stream,
                Operation::Generate => Call::Whole,
            },
            outgoing.body.clone(),
            if outgoing.same_dialect { &inbound.forward } else { &[] },
            patience,
        )
        .await
        .map_err(|fault| (fault, None))?;
    let theirs = codec(step.deployment.provider.dialect);
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
    let heading = Heading {
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
    let event_stream = incoming
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    if stream && event_stream {
        let setup = Setup {
            upstream: upstream.clone(),
            step: step.clone(),
            front: inbound.dialect,
            same_dialect: outgoing.same_dialect,
            usage_added: outgoing.usage_added,
            heading,
            request: request.clone(),
        };
        let relay =
            Relay::open(incoming.body, setup, patience).await.map_err(|fault| (fault, None))?;
        return Ok((AnswerBody::Stream(Box::new(relay)), outgoing.losses));
    }
    // Either a whole answer was asked for, or a provider answers a wish for a stream with one.
    let body = read_whole(incoming, budget.patience(others, Instant::now()), limits.reply_bytes)
        .await
        .map_err(|fault| (fault, None))?;
    let body = whole(step, inbound, &outgoing, &heading, body, upstream)?;
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

fn whole(
    step: &Step,
    inbound: &Inbound,
    outgoing: &Outgoing,
    heading: &Heading,
    body: Bytes,
    upstream: &Upstream,
) -> Result<AnswerBody, Failure> {
    let theirs = codec(step.deployment.provider.dialect);
    let broken = |body: &[u8]| {
        // An error under status 200 (Azure, OpenRouter), or no answer at all.
        let mut fault = theirs.decode_error(200, body);
        if !body.windows(7).any(|window| window == b"\"error\"") {
            fault = Fault::new(FaultKind::Broken, "the answer cannot be read");
        }
        (fault, None)
    };
    if inbound.head.stream {
        let reply = theirs.decode_reply(&body).map_err(|_| broken(&body))?;
        count_tokens(upstream, step, reply.usage.as_ref());
        return Ok(AnswerBody::Stream(Box::new(Relay::told_at_once(
            &reply,
            codec(inbound.dialect).writer(heading.clone()),
        ))));
    }
    if inbound.operation == Operation::Embed && !outgoing.same_dialect {
        // Four bytes to a token, which is near enough for what is not told.
        let tokens = (inbound.head.prompt_bytes as u64).div_ceil(4);
        let answer = embeddings::from_gemini(&body, &inbound.body, &step.model.id, tokens)
            .map_err(|_| broken(&body))?;
        return Ok(AnswerBody::Whole(answer));
    }
    if outgoing.same_dialect {
        let plausible = match inbound.dialect {
            _ if inbound.operation == Operation::Embed => &b"\"data\""[..],
            Dialect::OpenAiChat => &b"\"choices\""[..],
            Dialect::OpenAiResponses => b"\"output\"",
            Dialect::Anthropic => b"\"content\"",
            Dialect::Gemini => b"{",
        };
        // The last thing a provider writes is a closing brace; a cut body has none.
        let complete = body.trim_ascii_end().ends_with(b"}")
            && memchr::memmem::find(&body, plausible).is_some();
        if !complete {
            return Err(broken(&body));
        }
        let usage = theirs.usage(&body);
        if usage.is_none() && theirs.decode_reply(&body).is_err() {
            return Err(broken(&body));
        }
        count_tokens(upstream, step, usage.as_ref());
        return Ok(AnswerBody::Whole(renamed(body, step)));
    }
    let mut reply = theirs.decode_reply(&body).map_err(|_| broken(&body))?;
    count_tokens(upstream, step, reply.usage.as_ref());
    if reply.model.as_deref() == Some(step.deployment.name.as_str()) {
        reply.model = Some(step.model.id.to_string());
    }
    Ok(AnswerBody::Whole(codec(inbound.dialect).encode_reply(&reply, heading)))
}

/// The provider's own name for the deployment becomes the catalogue's. A name that says more (a
/// dated snapshot) stays, and so does everything else.
fn renamed(body: Bytes, step: &Step) -> Bytes {
    if step.deployment.name == *step.model.id {
        return body;
    }
    match rename_span(&body, &step.deployment.name) {
        Some(span) => {
            let name = serde_json::Value::from(&*step.model.id).to_string();
            Bytes::from(splice(&body, &[(span, name.as_bytes())]))
        }
        None => body,
    }
}

/// Where `"model": "NAME"` stands. The key cannot occur inside a string, whose quotes are escaped.
pub(super) fn rename_span(body: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
    let quoted = serde_json::Value::from(name).to_string();
    memchr::memmem::find_iter(body, b"\"model\"").find_map(|at| {
        let after = at + 7;
        let rest = body.get(after..)?;
        let skipped =
            rest.iter().take_while(|byte| matches!(byte, b' ' | b':' | b'\n' | b'\t')).count();
        let start = after + skipped;
        body.get(start..)?.starts_with(quoted.as_bytes()).then(|| start..start + quoted.len())
    })
}

pub(super) fn count_tokens(upstream: &Upstream, step: &Step, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    for (kind, tokens) in [
        ("input", usage.input),
        ("cache_read", usage.cache_read),
        ("cache_write", usage.cache_write),
        ("output", usage.output),
        ("thought", usage.thought),
    ] {
        if tokens > 0 {
            upstream
                .metrics
                .tokens
                .with_label_values(&[&*step.deployment.provider.id, &*step.model.id, kind])
                .inc_by(tokens);
        }
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

async fn read_whole(incoming: Incoming, patience: Duration, limit: usize) -> Result<Bytes, Fault> {
    let reading = async move {
        let mut body = incoming.body;
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        loop {
            let frame =
                std::future::poll_fn(|cx: &mut Context<'_>| Pin::new(&mut body).poll_frame(cx));
            match frame.await {
                None => break,
                Some(Err(why)) => {
                    return Err(Fault::new(
                        FaultKind::Broken,
                        format!("the answer broke off: {why}"),
                    ));
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if all.len() + data.len() > limit {
                        return Err(Fault::new(FaultKind::Broken, "the answer is too large"));
                    }
                    // Most answers come in one piece, which then need not be copied.
                    match (&first, all.is_empty()) {
                        (None, true) => first = Some(data),
                        _ => {
                            if let Some(first) = first.take() {
                                all.extend_from_slice(&first);
                            }
                            all.extend_from_slice(&data);
                        }
                    }
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    };
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| {
        Err(Fault::new(FaultKind::Timeout, "the answer did not come to its end"))
    })
}
