//! What is known of a request, as spans: one of the request, and one of each attempt inside it. Names
//! are those of OpenTelemetry's conventions for generative AI; what they have no name for is `optimux.*`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::message::{KeyValue, Span, SpanKind, Status, StatusCode};
use crate::telemetry::traceparent::Context;
use crate::telemetry::trail::{Attempt, Bill, Trail};

/// The flag of a trace that is sampled.
const SAMPLED: u32 = 1;

/// The request's span, then its attempts'.
pub fn spans(trail: &Trail) -> Vec<Span> {
    let Some(context) = trail.context else { return Vec::new() };
    let mut all = vec![of_request(trail, context)];
    let last = trail.attempts.iter().rposition(|one| one.fault.is_none());
    for (place, attempt) in trail.attempts.iter().enumerate() {
        all.extend(of_attempt(trail, context, attempt, last == Some(place)));
    }
    all
}

fn of_request(trail: &Trail, context: Context) -> Span {
    let mut attributes = vec![KeyValue::new("optimux.request", trail.id.as_str())];
    let mut put = |key: &str, value: super::message::AttributeValue| {
        attributes.push(KeyValue::new(key, value));
    };
    if let Some(arrived) = trail.arrived {
        put("http.request.method", arrived.method.into());
        put("optimux.surface", arrived.surface.into());
    }
    if let Some((account, key)) = &trail.caller {
        put("optimux.account", account.as_str().into());
        put("optimux.key", key.as_str().into());
    }
    if let Some(met) = &trail.guardrails {
        put("optimux.guardrails", met.split(", ").collect());
    }
    if let Some(found) = &trail.moderation {
        put("optimux.moderation", found.split(", ").collect());
    }
    let mut failed = false;
    if let Some(left) = &trail.left {
        put("http.response.status_code", u64::from(left.status).into());
        if let Some(dropped) = &left.dropped {
            put("optimux.dropped", dropped.split(',').map(str::trim).collect());
        }
        if left.status >= 400 {
            put("error.type", left.status.to_string().as_str().into());
        }
        failed = left.status >= 500;
    }
    if let Some(bill) = &trail.bill {
        bill_of(bill, &mut put);
        failed |= matches!(bill.outcome, "failed" | "withdrawn");
    }
    if let Some(first) = trail.first_byte() {
        put("optimux.first_byte_us", u64::try_from(first.as_micros()).unwrap_or(u64::MAX).into());
    }
    let started = if trail.arrived.is_some() { SpanKind::Server } else { SpanKind::Internal };
    Span {
        trace_id: context.trace.to_vec(),
        span_id: context.span.0.to_vec(),
        parent_span_id: context.parent.map(|span| span.0.to_vec()).unwrap_or_default(),
        name: name(trail),
        kind: started as i32,
        start_time_unix_nano: nanos(trail.wall),
        end_time_unix_nano: nanos(trail.wall_at(trail.ended)),
        attributes,
        status: failed.then_some(Status { code: StatusCode::Error as i32 }),
        flags: SAMPLED,
    }
}

/// What the ledger's line says.
fn bill_of(bill: &Bill, put: &mut impl FnMut(&str, super::message::AttributeValue)) {
    put("gen_ai.operation.name", operation(&bill.surface).into());
    put("gen_ai.request.model", bill.asked.as_str().into());
    if let (Some(model), Some(provider)) = (&bill.model, &bill.provider) {
        put("gen_ai.response.model", model.as_str().into());
        put("gen_ai.provider.name", provider.as_str().into());
        // The name that it had before version 1.37 of the conventions.
        put("gen_ai.system", provider.as_str().into());
    }
    put("gen_ai.usage.input_tokens", bill.tokens.prompt().into());
    put("gen_ai.usage.output_tokens", bill.tokens.completion().into());
    put("gen_ai.usage.cache_read.input_tokens", bill.tokens.cache_read.into());
    put("gen_ai.usage.cache_creation.input_tokens", bill.tokens.cache_write.into());
    put("optimux.cost_nanousd", bill.cost.0.into());
    put("optimux.outcome", bill.outcome.into());
    put("optimux.attempts", u64::from(bill.attempts).into());
    put("optimux.stream", bill.streamed.into());
    if let Some(decision) = &bill.decision {
        put("optimux.decision", decision.as_str().into());
    }
}

fn of_attempt(trail: &Trail, context: Context, attempt: &Attempt, answered: bool) -> Option<Span> {
    // The span of a stream is open to its last chunk.
    let streams = answered && trail.bill.as_ref().is_some_and(|bill| bill.streamed);
    let over = if streams { trail.ended } else { attempt.over };
    let surface = trail.bill.as_ref().map_or("", |bill| &bill.surface);
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", operation(surface)),
        KeyValue::new("gen_ai.provider.name", &*attempt.provider),
        KeyValue::new("gen_ai.system", &*attempt.provider),
        KeyValue::new("gen_ai.request.model", attempt.deployment.as_str()),
        KeyValue::new("optimux.model", attempt.model.as_str()),
    ];
    attributes.extend(attempt.fault.map(|fault| KeyValue::new("error.type", fault)));
    Some(Span {
        trace_id: context.trace.to_vec(),
        span_id: attempt.span?.0.to_vec(),
        parent_span_id: context.span.0.to_vec(),
        name: format!("{} {}", operation(surface), attempt.deployment),
        kind: SpanKind::Client as i32,
        start_time_unix_nano: nanos(trail.wall_at(attempt.began)),
        end_time_unix_nano: nanos(trail.wall_at(over)),
        attributes,
        status: attempt.fault.map(|_| Status { code: StatusCode::Error as i32 }),
        flags: SAMPLED,
    })
}

/// `{operation} {model}`, as the conventions have it; else what was asked.
fn name(trail: &Trail) -> String {
    match (&trail.bill, &trail.arrived) {
        (Some(bill), _) => format!("{} {}", operation(&bill.surface), bill.asked),
        (None, Some(arrived)) => format!("{} {}", arrived.method, arrived.surface),
        (None, None) => "request".to_owned(),
    }
}

/// A surface as the conventions call what is done there.
fn operation(surface: &str) -> &'static str {
    match surface {
        "embeddings" => "embeddings",
        "gemini" => "generate_content",
        "images" => "image_generation",
        _ => "chat",
    }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::message::AttributeValue;
    use super::*;
    use crate::telemetry::traceparent::{Sampling, SpanId};
    use crate::telemetry::trail::tests::answered;

    fn value(span: &Span, key: &str) -> Option<AttributeValue> {
        span.attributes.iter().find(|one| one.key == key)?.value.clone()?.value
    }

    #[test]
    fn a_request_is_a_span_and_so_is_each_attempt() {
        let mut trail = answered();
        assert!(spans(&trail).is_empty(), "it is not traced");
        trail.context = Sampling::new(1.0, 1).context(None);
        trail.attempts[0].span = Some(SpanId([1; 8]));
        trail.attempts[1].span = Some(SpanId([2; 8]));
        let all = spans(&trail);
        assert_eq!(all.len(), 3);
        assert_eq!(value(&all[0], "optimux.cost_nanousd"), Some(AttributeValue::Count(12_345)));
        assert_eq!(value(&all[0], "gen_ai.usage.input_tokens"), Some(AttributeValue::Count(7)));
        assert_eq!(value(&all[1], "error.type"), Some("broken".into()));
        assert_eq!(all[1].parent_span_id, all[0].span_id);
        assert_eq!(all[0].status, None);
        let took = |span: &Span| span.end_time_unix_nano - span.start_time_unix_nano;
        assert_eq!(took(&all[2]), 90_000_000);
    }

    #[test]
    fn a_streams_span_is_open_to_its_last_chunk() {
        let mut trail = answered();
        trail.context = Sampling::new(1.0, 1).context(None);
        trail.attempts[1].span = Some(SpanId([2; 8]));
        if let Some(bill) = &mut trail.bill {
            bill.streamed = true;
        }
        trail.ended = trail.began + Duration::from_secs(9);
        let all = spans(&trail);
        assert_eq!(all[1].end_time_unix_nano, all[0].end_time_unix_nano);
    }
}
