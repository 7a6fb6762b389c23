//! What is sent to a deployment: in which dialect, and as which bytes. The caller's own where they
//! will do, else the request fitted to the model and written in the provider's dialect.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::base::{Error, Kind};
use crate::catalogue::{Deployment, Param, apply_quirks};
use crate::router::Step;
use crate::shape::{self, Names};
use crate::wire::frame::json::splice;
use crate::wire::json_mode::JsonForm;
use crate::wire::refusal;
use crate::wire::vocab::{
    Dialect, Format, Losses, Protocol, Reasoning, RiskyMembers, ThinkingStyle,
};
use crate::wire::{
    Encoded, Inbound, Operation, Target, embeddings, images, openai_responses, provider_side,
};

/// What Vertex wants to be told of Claude's dialect, in place of a header.
const VERTEX_ANTHROPIC: &str = "vertex-2023-10-16";

/// What is sent, and how the answer has to be treated on its way back.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of the answer's way")]
pub(super) struct Outgoing {
    pub body: Bytes,
    pub losses: Losses,
    /// What the provider is asked in.
    pub protocol: Protocol,
    /// The answer is the caller's dialect: its bytes pass through.
    pub passes: bool,
    /// The request is in the caller's dialect: headers for its provider go along.
    pub same_dialect: bool,
    /// The dialect itself has no words for something.
    pub dialect_loses: bool,
    /// We asked for usage that the caller did not ask for.
    pub usage_added: bool,
    /// Tools that go by other names there.
    pub names: Rc<Names>,
    /// The answer has to be held to JSON mode, which the provider does not have.
    pub json: Option<JsonForm>,
    /// What the answer's schema says that the model could not be told.
    pub unsaid_schema: Option<Value>,
}

/// A deployment that cannot be asked this.
#[derive(Debug)]
pub(super) struct Unsayable {
    pub error: Error,
    /// It can be, in other words, should nobody else do better.
    pub in_other_words: bool,
}

impl<E: Into<Error>> From<E> for Unsayable {
    fn from(error: E) -> Self {
        Self { error: error.into(), in_other_words: false }
    }
}

/// Members that the deployment is known not to take, and those whose values it has refused of this
/// request.
type Refused<'a> = (&'a [String], &'a [String]);

/// What is sent for one attempt.
pub(super) fn outgoing(
    step: &Step,
    inbound: &Inbound,
    refused: Refused<'_>,
    last_resort: bool,
) -> Result<Outgoing, Unsayable> {
    let provider = &step.deployment.provider;
    let name = step.deployment.name.as_str();
    let own = Protocol::Dialect(inbound.dialect);
    let missing = |what: &str| {
        let text = format!("The provider of '{}' has no {what}.", step.model.id);
        Error::new(Kind::Unsupported, text)
    };
    let whole = |protocol, body, same_dialect| Outgoing {
        body,
        losses: Losses::default(),
        protocol,
        passes: same_dialect,
        same_dialect,
        dialect_loses: false,
        usage_added: false,
        names: Rc::default(),
        json: None,
        unsaid_schema: None,
    };
    let first = step.deployment.protocols.first().copied().unwrap_or(own);
    match &inbound.operation {
        Operation::Generate => generation(step, inbound, refused, last_resort),
        Operation::Count if step.deployment.protocols.contains(&own) => {
            Ok(whole(own, respelled(inbound, &step.deployment).0, true))
        }
        Operation::Count => Err(missing("way to count tokens").into()),
        Operation::Embed(form, request) => {
            let theirs = provider.embeddings.ok_or_else(|| missing("embeddings"))?;
            if *form == theirs && theirs == embeddings::EmbeddingsForm::Openai {
                return Ok(whole(first, respelled(inbound, &step.deployment).0, true));
            }
            let at_home = matches!(
                form,
                embeddings::EmbeddingsForm::Gemini | embeddings::EmbeddingsForm::GeminiOne
            );
            if at_home && theirs == embeddings::EmbeddingsForm::Gemini {
                let body = embeddings::encode_at_home(&inbound.body, *form, name)?;
                return Ok(whole(first, body, false));
            }
            let Encoded { body, losses } = embeddings::encode_request(request, theirs, name)?;
            if let Some(loss) = losses.iter().next().filter(|_| inbound.strict) {
                return Err(untold(step, inbound, &loss.field).into());
            }
            Ok(Outgoing { losses, ..whole(first, body, false) })
        }
        Operation::Images(request, count) => {
            let form = provider.images.ok_or_else(|| missing("images"))?;
            let rules = &step.model.images;
            let Encoded { body, losses } =
                images::encode_request(request, form, rules, name, *count);
            if let Some(loss) = losses.iter().next().filter(|_| inbound.strict) {
                return Err(untold(step, inbound, &loss.field).into());
            }
            Ok(Outgoing { losses, ..whole(first, body, form != images::ImagesForm::Gemini) })
        }
    }
}

/// The dialects in which a deployment can be asked this, best first: the caller's own, then those
/// of the provider in its order.
fn dialects(step: &Step, inbound: &Inbound) -> Result<Vec<Protocol>, Error> {
    let own = Protocol::Dialect(inbound.dialect);
    let deployment = &step.deployment;
    let facts = &deployment.facts;
    let tools = inbound.head.said.has(RiskyMembers::TOOLS);
    let effort = match inbound.head.effort {
        None if tools
            && facts.tools_only_on.is_some()
            && inbound.head.said.has(RiskyMembers::REASONING) =>
        {
            let request = inbound.request()?;
            request.reasoning.as_ref().and_then(|wish| wish.effort)
        }
        effort => effort.or(step.effort),
    };
    let mut all: Vec<Protocol> = deployment
        .protocols
        .iter()
        .copied()
        .filter(|protocol| facts.speaks(*protocol, tools, effort))
        .collect();
    if all.is_empty() {
        all.clone_from(&deployment.protocols);
    }
    // What stands before the own one keeps its order behind it.
    if let Some(place) = all.iter().position(|protocol| *protocol == own)
        && let Some(front) = all.get_mut(..=place)
    {
        front.rotate_right(1);
    }
    Ok(all)
}

/// The model as the caller knows it: by the name that was asked for, where that is one of its names.
fn as_asked<'a>(step: &'a Step, inbound: &'a Inbound) -> &'a str {
    let asked = inbound.head.model.as_str();
    let known = step.model.aliases.iter().any(|alias| **alias == *asked);
    if known { asked } else { &step.model.id }
}

/// The model cannot be told a member.
fn untold(step: &Step, inbound: &Inbound, field: &str) -> Error {
    let text = format!("The model '{}' cannot take '{field}'.", as_asked(step, inbound));
    Error::new(Kind::Unsupported, text).at(field.to_owned()).coded("unsupported_parameter")
}

/// A request to generate, in the dialect in which least of it is lost.
fn generation(
    step: &Step,
    inbound: &Inbound,
    refused: Refused<'_>,
    last_resort: bool,
) -> Result<Outgoing, Unsayable> {
    let (known, now) = refused;
    let refused_form = known.iter().chain(now).any(|path| refusal::is_form(path));
    let mut best: Option<Outgoing> = None;
    let mut unsayable = None;
    for protocol in dialects(step, inbound)? {
        let one = match written(step, inbound, protocol, refused_form, last_resort) {
            Ok(one) => one,
            Err(why) => {
                unsayable = Some(why);
                continue;
            }
        };
        let weight = |one: &Outgoing| (one.losses.grave().is_some(), one.losses.iter().count());
        // What the model itself does not take is lost in every dialect.
        let clean = !one.dialect_loses;
        if best.as_ref().is_none_or(|best| weight(&one) < weight(best)) {
            best = Some(one);
        }
        if clean {
            break;
        }
    }
    let Some(mut best) = best else {
        if let Some(why) = unsayable {
            return Err(why);
        }
        let (model, provider) = (&step.model.id, &step.deployment.provider.id);
        let text = format!(
            "The model '{model}' at '{provider}' has no dialect for this kind of request. Its operator can set 'dialects'."
        );
        return Err(Error::new(Kind::Unsupported, text).into());
    };
    let mut struck = Vec::new();
    best.body = finished(step, &best, refused, &mut struck);
    for name in struck {
        best.losses.dropped(name);
    }
    let grave = best.losses.grave();
    let refused = if inbound.strict { best.losses.iter().next() } else { grave };
    if let Some(loss) = refused {
        let error = untold(step, inbound, &loss.field);
        return Err(Unsayable { error, in_other_words: !inbound.strict && !last_resort });
    }
    Ok(best)
}

/// The request in one dialect.
fn written(
    step: &Step,
    inbound: &Inbound,
    protocol: Protocol,
    refused_form: bool,
    last_resort: bool,
) -> Result<Outgoing, Unsayable> {
    let deployment = &step.deployment;
    let same_dialect = protocol == Protocol::Dialect(inbound.dialect);
    let model = shape::TargetModel {
        facts: &deployment.facts,
        protocol,
        max_tokens_only: deployment.provider.max_tokens_only,
        last_resort,
        refused_form,
    };
    let verbatim = |losses: Losses| {
        let (body, usage_added) = respelled(inbound, deployment);
        Outgoing {
            body,
            losses,
            protocol,
            passes: true,
            same_dialect: true,
            dialect_loses: false,
            usage_added,
            names: Rc::default(),
            json: None,
            unsaid_schema: None,
        }
    };
    let added = added_effort(step, inbound, &model);
    if same_dialect && added.is_none() && !shape::may_need(&inbound.head, &inbound.body, &model) {
        return Ok(verbatim(Losses::default()));
    }
    let mut request = Cow::Borrowed(inbound.request()?);
    if added.is_some() {
        request.to_mut().reasoning = added;
    }
    let fitted = shape::fit(&request, &model);
    let untouched = matches!(request, Cow::Borrowed(_))
        && matches!(fitted.request, Cow::Borrowed(_))
        && fitted.names.is_empty();
    if same_dialect && untouched {
        return Ok(verbatim(fitted.losses));
    }
    let thinking = deployment.facts.thinking_on(protocol);
    let target = Target {
        model: deployment.name.as_str(),
        max_output_tokens: deployment.max_output_tokens,
        thinking: &thinking,
        thoughts: deployment.facts.thoughts,
        max_tokens_only: deployment.provider.max_tokens_only
            || deployment.facts.token_limit == Some(crate::catalogue::TokenLimit::MaxTokens),
    };
    let encoded = provider_side(protocol).encode_request(&fitted.request, &target)?;
    let mut losses = fitted.losses;
    let dialect_loses = !encoded.losses.is_empty();
    losses.extend(encoded.losses);
    let json = fitted.request.format == Some(Format::Json);
    let in_words = json && !provider_side(protocol).has_json_mode();
    let json = fitted.held.or(in_words.then_some(JsonForm::Object));
    // Its answer must be read where names have to be given back, or only the JSON in it counts.
    let passes = same_dialect && fitted.names.is_empty() && fitted.held.is_none();
    let chat = inbound.dialect == Dialect::OpenAiChat;
    Ok(Outgoing {
        body: encoded.body,
        losses,
        protocol,
        passes,
        same_dialect,
        dialect_loses,
        usage_added: passes && chat && inbound.head.stream && !inbound.head.include_usage,
        names: Rc::new(fitted.names),
        json,
        unsaid_schema: fitted.unsaid_schema,
    })
}

/// The wish to think that goes with a step, where its caller has none and the deployment takes it.
fn added_effort(
    step: &Step,
    inbound: &Inbound,
    model: &shape::TargetModel<'_>,
) -> Option<Reasoning> {
    let effort = step.effort.filter(|_| !inbound.head.said.has(RiskyMembers::REASONING))?;
    let wish = Reasoning { effort: Some(effort), ..Reasoning::default() };
    // Another deployment of the model may not be told: it does as it usually does.
    (!model.facts.thinking_on(model.protocol).fit(&wish).lost).then_some(wish)
}

/// The last edits of a body: by what its provider calls things, by what the deployment has refused,
/// and for Vertex, which has the model in the address. `struck` gets what was taken out.
fn finished(
    step: &Step,
    outgoing: &Outgoing,
    (known, now): Refused<'_>,
    struck: &mut Vec<String>,
) -> Bytes {
    let deployment = &step.deployment;
    let body = apply_quirks(&deployment.quirks, outgoing.body.clone());
    let surface = deployment.provider.surface(outgoing.protocol);
    let in_address = outgoing.protocol == Protocol::Dialect(Dialect::Anthropic)
        && surface.is_some_and(|surface| surface.base_url.contains("{model}"));
    // Most bodies hold none of it, and need not be read.
    let mentioned = |path: &&String| {
        let name = path.rsplit('.').next().unwrap_or(path).trim_matches(['[', ']']);
        memchr::memmem::find(&body, format!("\"{name}\"").as_bytes()).is_some()
    };
    let refused: Vec<&String> = known.iter().chain(now).filter(mentioned).collect();
    if !in_address && refused.is_empty() {
        return body;
    }
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(&body) else { return body };
    for path in refused {
        if strike(&mut members, path) {
            struck.push(path.clone());
        }
    }
    if in_address {
        members.shift_remove("model");
        members.insert("anthropic_version".to_owned(), Value::from(VERTEX_ANTHROPIC));
    } else if struck.is_empty() {
        return body;
    }
    Bytes::from(Value::Object(members).to_string())
}

/// Takes out a member, a member of a member (`generationConfig.topK`) or of every item of a list
/// (`messages.*.name`), or the items of a type (`input.[reasoning]`); `false` if there is none.
fn strike(members: &mut Map<String, Value>, path: &str) -> bool {
    let Some((outer, inner)) = path.split_once('.') else {
        return members.shift_remove(path).is_some();
    };
    let kind = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    match (members.get_mut(outer), kind) {
        (Some(Value::Array(items)), None) => {
            let Some(inner) = inner.strip_prefix("*.") else { return false };
            let objects = items.iter_mut().filter_map(Value::as_object_mut);
            objects.filter_map(|object| strike(object, inner).then_some(())).count() > 0
        }
        (Some(Value::Array(items)), Some(kind)) => {
            let before = items.len();
            items.retain(|item| item.get("type").is_none_or(|one| one != kind));
            items.len() < before
        }
        (Some(Value::Object(object)), None) => strike(object, inner),
        _ => false,
    }
}

/// The caller's own bytes, but for the model's name and the wish for usage.
fn respelled(inbound: &Inbound, deployment: &Deployment) -> (Bytes, bool) {
    let head = &inbound.head;
    let mut edits = Vec::new();
    let quoted = Value::from(deployment.name.as_str()).to_string();
    if let Some(span) = &head.model_at
        && inbound.body.get(span.clone()) != Some(quoted.as_bytes())
    {
        edits.push((span.clone(), quoted.as_bytes()));
    }
    let refuses_options = deployment
        .facts
        .refuses
        .iter()
        .any(|one| matches!(&one.param, Param::Other(name) if &**name == "stream_options"));
    let asks_usage = inbound.dialect == Dialect::OpenAiChat
        && head.stream
        && !head.include_usage
        && !refuses_options;
    let options;
    if asks_usage {
        match &head.stream_options_at {
            Some(span) => {
                let raw = inbound.body.get(span.clone()).unwrap_or_default();
                let mut members: Map<String, Value> =
                    serde_json::from_slice(raw).unwrap_or_default();
                members.insert("include_usage".to_owned(), Value::from(true));
                options = Value::Object(members).to_string();
                edits.push((span.clone(), options.as_bytes()));
            }
            None => {
                // After the opening brace, wherever that stands.
                let brace = inbound.body.iter().position(|byte| *byte == b'{').unwrap_or(0) + 1;
                edits.push((brace..brace, br#""stream_options":{"include_usage":true},"#));
            }
        }
    }
    // What a chain of answers goes on with, of a model that thinks.
    let thinks =
        !matches!(deployment.facts.thinking.manner, ThinkingStyle::None | ThinkingStyle::Unknown);
    let kept = inbound.dialect == Dialect::OpenAiResponses
        && thinks
        && matches!(inbound.operation, Operation::Generate);
    let seal = if kept { openai_responses::ask_for_seal(&inbound.body) } else { None };
    if let Some((span, with)) = &seal {
        edits.push((span.clone(), with.as_bytes()));
    }
    if edits.is_empty() {
        return (inbound.body.clone(), asks_usage);
    }
    edits.sort_by_key(|(span, _)| span.start);
    (Bytes::from(splice(&inbound.body, &edits)), asks_usage)
}

/// Whether a step's model thinks about a request before it says anything.
#[must_use]
pub fn thinks(step: &Step, inbound: &Inbound) -> bool {
    let thinking = &step.deployment.facts.thinking;
    let can = !matches!(thinking.manner, ThinkingStyle::None | ThinkingStyle::Unknown);
    can && (thinking.by_default
        || step.effort.is_some()
        || inbound.head.said.has(RiskyMembers::REASONING))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_and_items_of_a_type_are_taken_out_by_their_path() {
        let body = || {
            let body = json!({"a": 1, "b": {"c": 2, "d": 3},
                "input": [{"type": "reasoning", "encrypted_content": "s"}, {"role": "user"}]});
            body.as_object().unwrap().clone()
        };
        for (path, at) in [
            ("a", "/a"),
            ("b.c", "/b/c"),
            ("input.[reasoning]", "/input/1"),
            ("input.*.role", "/input/1/role"),
        ] {
            let mut members = body();
            assert!(strike(&mut members, path), "{path}");
            assert!(!strike(&mut members, path), "{path}");
            assert_eq!(Value::Object(members).pointer(at), None, "{path}");
        }
        for absent in ["x", "b.x", "x.c", "input.[other]", "b.[reasoning]", "input.reasoning"] {
            let mut members = body();
            assert!(!strike(&mut members, absent), "{absent}");
            assert_eq!(members, body(), "{absent}");
        }
    }
}
