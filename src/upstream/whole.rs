//! An answer that came whole: looked at, passed on or translated.

use bytes::Bytes;

use super::outgoing::Outgoing;
use super::passing::{Rename, count_tokens};
use super::{AnswerBody, Upstream};
use crate::ledger::{Basis, Tokens, count_reply};
use crate::router::Step;
use crate::shape;
use crate::wire::vocab::{Dialect, Fault, FaultKind, Reply, Usage};
use crate::wire::{
    Heading, Inbound, Operation, ProviderSide, codec, cost, embeddings, images, json_mode,
    provider_side,
};

pub(super) fn whole(
    step: &Step,
    inbound: &Inbound,
    outgoing: &Outgoing,
    heading: &dyn Fn() -> Heading,
    body: Bytes,
    upstream: &Upstream,
) -> Result<(AnswerBody, Option<String>), Fault> {
    let theirs = provider_side(outgoing.protocol);
    let same_dialect = outgoing.passes;
    let schema = |reply: &Reply| {
        let schema = outgoing.unsaid_schema.as_ref()?;
        let said: String = reply.choices.first()?.turn.texts().collect();
        shape::violation(schema, &said)
    };
    let named = |reply: &mut Reply| {
        let parts = reply.choices.iter_mut().flat_map(|choice| &mut choice.turn.parts);
        parts.for_each(|part| outgoing.names.restore(part));
        if !outgoing.names.is_empty() {
            // How the provider spelled it has the other names.
            if let Some(output) = reply.extra.spelled_mut("output") {
                outgoing.names.restore_in(output);
            }
        }
    };
    let broken = |body: &[u8]| {
        // An error under status 200 (Azure, OpenRouter), or no answer at all.
        if memchr::memmem::find(body, b"\"error\"").is_some() {
            theirs.decode_error(200, body)
        } else {
            Fault::new(FaultKind::Broken, "the answer cannot be read, or holds none")
        }
    };
    let generated = matches!(inbound.operation, Operation::Generate);
    let (usage, hollow) = if generated && same_dialect && !inbound.head.stream {
        theirs.looked_at(&body)
    } else {
        (None, is_hollow(&inbound.operation, theirs, &body))
    };
    if hollow {
        return Err(broken(&body));
    }
    if inbound.head.stream {
        let mut reply = theirs.decode_reply(&body).map_err(|_| broken(&body))?;
        check(&mut reply, outgoing)?;
        named(&mut reply);
        let heading = heading();
        let counted = counted(&mut reply, heading.prompt_tokens, inbound.hides_cost);
        count_tokens(upstream, step, counted.as_ref());
        let mut events = Vec::new();
        let mut writer = codec(inbound.dialect).writer(heading);
        writer.write(&reply.events(), &mut events);
        writer.finish(&mut events);
        let body = measured(events.into(), counted.as_ref(), || count_reply(&reply));
        return Ok((body, schema(&reply)));
    }
    // Four bytes to a token, which is near enough for what is not told.
    let prompt =
        || Tokens { input: (inbound.head.prompt_bytes as u64).div_ceil(4), ..Tokens::default() };
    match &inbound.operation {
        Operation::Embed(form, request) if !same_dialect => {
            let reply = embeddings::decode_reply(&body)
                .and_then(|reply| reply.to_inputs(request.inputs.len()))
                .map_err(|_| broken(&body))?;
            let usage = reply.usage.clone();
            let tokens = prompt().input;
            let answer = embeddings::encode_reply(reply, request, *form, &step.model.id, tokens)
                .map_err(|_| broken(&body))?;
            count_tokens(upstream, step, usage.as_ref());
            return Ok((measured(answer, usage.as_ref(), prompt), None));
        }
        Operation::Images(..) if !same_dialect => {
            let answer = images::from_gemini(&body, heading().created)
                .map_err(|why| Fault::new(FaultKind::Refused, why.to_string()))?;
            let usage = theirs.usage(&body);
            count_tokens(upstream, step, usage.as_ref());
            return Ok((measured(answer, usage.as_ref(), prompt), None));
        }
        _ => {}
    }
    if same_dialect {
        if generated && let Some(fault) = gave_up(theirs, inbound.dialect, &body) {
            return Err(fault);
        }
        let plausible = match (&inbound.operation, inbound.dialect) {
            (Operation::Embed(..) | Operation::Images(..), _) => &b"\"data\""[..],
            (Operation::Count, _) => b"okens\"",
            (Operation::Generate, Dialect::OpenAiChat) => b"\"choices\"",
            (_, Dialect::OpenAiResponses) => b"\"output\"",
            (_, Dialect::Anthropic) => b"\"content\"",
            (_, Dialect::Gemini) => b"{",
        };
        // A body that told what it used has been read whole. Of another, the last thing that a provider
        // writes is a closing brace; a cut body has none.
        let complete = usage.is_some()
            || (body.trim_ascii_end().ends_with(b"}")
                && memchr::memmem::find(&body, plausible).is_some());
        if !complete {
            return Err(broken(&body));
        }
        let usage = match &inbound.operation {
            Operation::Generate => usage,
            Operation::Images(..) => images::usage_of(&body),
            Operation::Embed(..) | Operation::Count => theirs.usage(&body),
        };
        if generated && usage.is_none() && theirs.decode_reply(&body).is_err() {
            return Err(broken(&body));
        }
        count_tokens(upstream, step, usage.as_ref());
        let count = || {
            let said = theirs.decode_reply(&body).ok().filter(|_| generated);
            said.as_ref().map(count_reply).unwrap_or_default()
        };
        let renamed = Rename::of(step).and_then(|rename| rename.apply(&body)).map(Bytes::from);
        let violated = outgoing
            .unsaid_schema
            .as_ref()
            .and_then(|_| theirs.decode_reply(&body).ok())
            .and_then(|reply| schema(&reply));
        let told = renamed.unwrap_or_else(|| body.clone());
        let without = inbound.hides_cost.then(|| cost::without(&told)).flatten();
        let told = without.map_or(told, Bytes::from);
        return Ok((measured(told, usage.as_ref(), count), violated));
    }
    let mut reply = theirs.decode_reply(&body).map_err(|_| broken(&body))?;
    check(&mut reply, outgoing)?;
    let heading = heading();
    let counted = counted(&mut reply, heading.prompt_tokens, inbound.hides_cost);
    count_tokens(upstream, step, counted.as_ref());
    if reply.model.as_deref() == Some(step.deployment.name.as_str()) {
        reply.model = Some(step.model.id.to_string());
    }
    named(&mut reply);
    let violated = schema(&reply);
    let told = codec(inbound.dialect).encode_reply(&reply, &heading);
    Ok((measured(told, counted.as_ref(), || count_reply(&reply)), violated))
}

/// The provider's own count, if there is one. Where there is none, the answer tells ours, which is what
/// is booked.
fn counted(reply: &mut Reply, prompt_tokens: u64, hides_cost: bool) -> Option<Usage> {
    let counted = reply.usage.take().filter(Usage::says_anything);
    reply.usage.clone_from(&counted);
    if hides_cost && let Some(usage) = &mut reply.usage {
        cost::hide(usage);
    }
    if counted.is_none() {
        let Tokens { output, thought, .. } = count_reply(reply);
        reply.usage = Some(Usage { input: prompt_tokens, output, thought, ..Usage::default() });
    }
    counted
}

/// An answer under 200 that holds nothing that was asked for.
fn is_hollow(operation: &Operation, theirs: &dyn ProviderSide, body: &[u8]) -> bool {
    match operation {
        Operation::Generate => theirs.is_hollow(body),
        // Gemini draws in an answer like any other.
        Operation::Images(..) => lists_nothing(body) || theirs.is_hollow(body),
        Operation::Embed(..) => lists_nothing(body),
        Operation::Count => false,
    }
}

/// What is at fault where an answer under 200 says that the model, or who serves it, gave up. Nearly no
/// answer holds one of the words, and those alone are read.
fn gave_up(theirs: &dyn ProviderSide, dialect: Dialect, body: &[u8]) -> Option<Fault> {
    let words: &[&[u8]] = match dialect {
        Dialect::OpenAiChat => &[b"error\"", b"\"insufficient_system_resource\"", b"\"abort\""],
        Dialect::OpenAiResponses => &[b"\"failed\""],
        Dialect::Gemini => &[
            b"\"OTHER\"",
            b"\"LANGUAGE\"",
            b"\"MALFORMED_",
            b"_TOOL_CALL",
            b"\"MISSING_THOUGHT_SIGNATURE\"",
            b"\"NO_IMAGE\"",
            b"\"IMAGE_OTHER\"",
        ],
        Dialect::Anthropic => &[],
    };
    if !words.iter().any(|word| memchr::memmem::find(body, word).is_some()) {
        return None;
    }
    match theirs.decode_reply(body) {
        Ok(reply) => reply.fault(),
        // A response that failed says why in an error, and can be read as nothing else.
        Err(_) if dialect == Dialect::OpenAiResponses => Some(theirs.decode_error(200, body)),
        Err(_) => None,
    }
}

/// Whether `data` is an empty list. Vectors and pictures are megabytes: only its beginning is looked at.
/// Quotes within a text are escaped, so no text is taken for the member.
fn lists_nothing(body: &[u8]) -> bool {
    let behind = memchr::memmem::find(body, b"\"data\"").and_then(|at| body.get(at + 6..));
    let mut marks = behind.into_iter().flatten().filter(|byte| !byte.is_ascii_whitespace());
    [b':', b'[', b']'].iter().all(|mark| marks.next() == Some(mark))
}

/// Whether it is an answer, and the one that was asked for.
fn check(reply: &mut Reply, outgoing: &Outgoing) -> Result<(), Fault> {
    match reply.fault() {
        Some(fault) => Err(fault),
        None => outgoing.json.map_or(Ok(()), |form| json_mode::hold(reply, form)),
    }
}

/// With the provider's own count, or ours.
fn measured(body: Bytes, usage: Option<&Usage>, count: impl FnOnce() -> Tokens) -> AnswerBody {
    match usage.filter(|usage| usage.says_anything()) {
        Some(usage) => {
            let asides = usage.asides.clone();
            AnswerBody::Whole { body, tokens: usage.into(), asides, basis: Basis::Reported }
        }
        None => {
            let asides = Vec::new();
            AnswerBody::Whole { body, tokens: count(), asides, basis: Basis::Estimated }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{gave_up, lists_nothing};
    use crate::wire::provider_side;
    use crate::wire::vocab::{Dialect, FaultKind, Protocol};

    #[test]
    fn an_answer_that_says_that_nothing_came_of_it_is_none() {
        for (dialect, body, kind) in [
            (
                Dialect::OpenAiChat,
                r#"{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"error","error":{"code":502,"message":"x"}}]}"#,
                Some(FaultKind::GaveUp),
            ),
            (
                Dialect::OpenAiChat,
                r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"an \"error\""},"finish_reason":"stop"}]}"#,
                None,
            ),
            (
                Dialect::Gemini,
                r#"{"candidates":[{"index":0,"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
                Some(FaultKind::GaveUp),
            ),
            (
                Dialect::OpenAiResponses,
                r#"{"id":"resp_1","object":"response","status":"failed","error":{"code":"rate_limit_exceeded","message":"x"},"output":[]}"#,
                Some(FaultKind::RateLimited),
            ),
        ] {
            let theirs = provider_side(Protocol::Dialect(dialect));
            let fault = gave_up(theirs, dialect, body.as_bytes());
            assert_eq!(fault.map(|fault| fault.kind), kind, "{body}");
        }
    }

    #[test]
    fn an_empty_list_is_seen_by_its_beginning() {
        for (body, empty) in [
            (r#"{"data":[]}"#, true),
            ("{\"object\": \"list\", \"data\" : [\n ] }", true),
            (r#"{"created":1,"data":[{"b64_json":"AAAA"}]}"#, false),
            (r#"{"said":"\"data\":[]","data":[1]}"#, false),
            (r#"{"data":{}}"#, false),
            (r#"{"candidates":[]}"#, false),
            (r#"{"data""#, false),
        ] {
            assert_eq!(lists_nothing(body.as_bytes()), empty, "{body}");
        }
    }
}
