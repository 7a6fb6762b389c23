//! The content of a conversation: roles, a last turn to be gone on with, media.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use super::draft::{Draft, TargetModel};
use crate::wire::openai_responses::is_our_own;
use crate::wire::vocab::{
    Body, ContentShape, Dialect, Effort, Format, Media, MediaKind, MediaSource, Part, Protocol,
    Request, Role, ThoughtsBack, Turn,
};

/// What stands before pictures that the model drew.
const DRAWN: &str = "What you drew:";

/// What asks a model to go on where a last turn of its own cannot be gone on with.
const GO_ON: &str = "Continue exactly where your last message ends.";

/// Servers that know only `system` are told the same under that name.
pub(super) fn roles(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let developer = |turn: &Turn| turn.role == Role::Developer;
    if model.facts.developer || !draft.request.turns.iter().any(developer) {
        return;
    }
    for turn in draft.edit().turns.iter_mut().filter(|turn| developer(turn)) {
        turn.role = Role::System;
    }
}

/// A last turn of the assistant, which newer Claudes refuse, and older ones beside thinking and structured
/// outputs.
pub(super) fn prefill(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let request = &draft.request;
    let thinks = request.reasoning.as_ref().is_some_and(|wish| {
        let off = wish.enabled == Some(false)
            || wish.budget == Some(0)
            || wish.effort == Some(Effort::None);
        !off
    });
    let formed = matches!(request.format, Some(Format::Schema { .. }));
    let taken = model.facts.prefill && (model.at_home(request) || !(thinks || formed));
    if taken || !model.is_anthropic() {
        return;
    }
    let calls = |turn: &Turn| turn.parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let last = draft.request.turns.last();
    if last.is_some_and(|turn| turn.role == Role::Assistant && !calls(turn)) {
        draft.edit().turns.push(Turn::new(Role::User, vec![Part::text(GO_ON)]));
        draft.losses.dropped("prefill");
    }
}

/// Where chat spells earlier reasoning, and what of it each kind of server takes back.
const THOUGHTS: [(&str, ThoughtsBack); 5] = [
    ("reasoning_content", ThoughtsBack::Content),
    ("reasoning", ThoughtsBack::Content),
    ("reasoning_details", ThoughtsBack::Details),
    ("thinking_blocks", ThoughtsBack::Details),
    ("extra_content", ThoughtsBack::Google),
];

/// The members of a message in which a server would get earlier reasoning that it does not take.
pub(super) fn unwanted_thoughts(taken: ThoughtsBack) -> impl Iterator<Item = &'static str> {
    let all = THOUGHTS.iter().filter(move |_| taken != ThoughtsBack::All);
    all.filter(move |(_, kind)| *kind != taken).map(|(name, _)| *name)
}

/// Earlier reasoning, which many servers of chat completions refuse to be told.
pub(super) fn thoughts(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let taken = model.facts.thoughts;
    let chat = model.protocol == Protocol::Dialect(Dialect::OpenAiChat);
    if !chat || !model.at_home(&draft.request) || taken == ThoughtsBack::All {
        return;
    }
    let plain =
        |part: &Part| matches!(part.body, Body::Thought(_)) && taken != ThoughtsBack::Content;
    let proven = |part: &Part| part.signature.is_some() && taken != ThoughtsBack::Google;
    let says = |turn: &Turn| {
        unwanted_thoughts(taken).any(|name| turn.extra.says(name))
            || turn.parts.iter().any(|part| {
                let foreign = taken != ThoughtsBack::Google && part.extra.says("extra_content");
                plain(part) || proven(part) || foreign
            })
    };
    let said = |turn: &Turn| turn.role == Role::Assistant && says(turn);
    if !draft.request.turns.iter().any(said) {
        return;
    }
    for turn in draft.edit().turns.iter_mut().filter(|turn| said(turn)) {
        turn.parts.retain(|part| !plain(part));
        for name in unwanted_thoughts(taken) {
            turn.extra.strike(name);
        }
        if taken != ThoughtsBack::Google {
            for part in &mut turn.parts {
                part.signature = None;
                part.extra.strike("extra_content");
            }
        }
    }
    draft.losses.dropped("messages.reasoning");
}

/// What a model drew, where only Gemini takes back its own pictures as such: the user shows them.
pub(super) fn drawn(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let gemini = model.protocol == Protocol::Dialect(Dialect::Gemini);
    let is_drawn = |part: &Part| matches!(part.body, Body::Media(_));
    let draws = |turn: &Turn| turn.role == Role::Assistant && turn.parts.iter().any(is_drawn);
    if gemini || model.at_home(&draft.request) || !draft.request.turns.iter().any(draws) {
        return;
    }
    let mut shown: Vec<Part> = Vec::new();
    let mut turns = Vec::with_capacity(draft.request.turns.len() + 1);
    for mut turn in std::mem::take(&mut draft.edit().turns) {
        if turn.role == Role::Assistant {
            shown.extend(turn.parts.extract_if(.., |part| is_drawn(part)));
            if turn.parts.is_empty() {
                continue;
            }
        } else if !shown.is_empty() {
            // Results of calls stand first.
            let results = |part: &Part| matches!(part.body, Body::Outcome(_));
            if turn.parts.iter().any(results) {
                turns.push(turn);
                continue;
            }
            let mut parts = vec![Part::text(DRAWN)];
            parts.append(&mut shown);
            turns.push(Turn { shape: ContentShape::List, ..Turn::new(Role::User, parts) });
        }
        turns.push(turn);
    }
    if !shown.is_empty() {
        draft.losses.dropped("content.image");
    }
    draft.edit().turns = turns;
}

/// Earlier reasoning that its dialect's maker has not signed or sealed: another maker's, as our own
/// answers show it. It would be refused.
pub(super) fn unproven(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let signed =
        matches!(model.protocol, Protocol::Dialect(Dialect::Anthropic | Dialect::OpenAiResponses));
    let claude = model.protocol == Protocol::Dialect(Dialect::Anthropic);
    // What OpenAI keeps for the caller may go by its id alone.
    let ours = |part: &Part| {
        let id = part.extra.get(Dialect::OpenAiResponses, "id");
        id.and_then(|id| id.as_str()).is_some_and(is_our_own)
    };
    let bare = |part: &Part| {
        matches!(part.body, Body::Thought(_)) && part.signature.is_none() && (claude || ours(part))
    };
    let holds = |turn: &Turn| turn.parts.iter().any(bare);
    if !signed || !model.at_home(&draft.request) || !draft.request.turns.iter().any(holds) {
        return;
    }
    let turns = &draft.request.turns;
    let thought = |turn: &Turn| {
        turn.parts.iter().any(|part| matches!(part.body, Body::Thought(_)) && !bare(part))
    };
    let last = turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let answers = |turn: &Turn| turn.parts.iter().any(|part| matches!(part.body, Body::Outcome(_)));
    // A loop of calls that began without a signed thought cannot go on with one.
    let loops = turns.last().is_some_and(answers) && last.is_some_and(|turn| !thought(turn));
    let budget = draft.request.reasoning.as_ref().is_some_and(|wish| wish.budget.is_some());
    let request = draft.edit();
    request.turns.retain_mut(|turn| {
        let before = turn.parts.len();
        turn.parts.retain(|part| !bare(part));
        before == turn.parts.len() || !turn.parts.is_empty()
    });
    request.forget_spelling();
    if claude && loops && budget {
        request.reasoning = None;
        request.extra.strike("thinking");
    }
    draft.losses.dropped("messages.reasoning");
}

/// Sources of earlier texts that Claude itself has not given: of another maker's answer, as our own
/// answers show it, with an empty index or a document that nobody sent. They would be refused.
pub(super) fn sources(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    if model.protocol != Protocol::Dialect(Dialect::Anthropic) || !model.at_home(&draft.request) {
        return;
    }
    let turns = draft.request.instructions.iter().chain(&draft.request.turns);
    let documents = turns.flat_map(|turn| &turn.parts).any(is_document);
    let foreign = |part: &Part| {
        let cited = part.extra.get(Dialect::Anthropic, "citations");
        let text =
            |one: &Value, name: &str| one.get(name).and_then(Value::as_str).map(str::to_owned);
        cited.and_then(Value::as_array).into_iter().flatten().any(|one| {
            let unproven = text(one, "encrypted_index").is_some_and(|index| index.is_empty());
            let within = text(one, "type").is_some_and(|kind| kind == "char_location");
            unproven || (within && !documents)
        })
    };
    if !draft.request.turns.iter().any(|turn| turn.parts.iter().any(foreign)) {
        return;
    }
    for part in draft.edit().turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if foreign(part) {
            part.citations.clear();
            part.extra.strike("citations");
        }
    }
    draft.losses.dropped("content.citations");
}

/// Something that a text can cite by its characters, itself or in the result of a call.
fn is_document(part: &Part) -> bool {
    match &part.body {
        Body::Media(media) => media.kind == MediaKind::File,
        Body::Opaque(_, value) => value.get("type").is_some_and(|kind| kind == "document"),
        Body::Outcome(outcome) => outcome.parts.iter().any(is_document),
        _ => false,
    }
}

/// The one spelling of a media type: lower case, without parameters, by its registered name.
pub(super) fn canonical(mime: &str) -> String {
    let bare = mime.split(';').next().unwrap_or(mime).trim().to_ascii_lowercase();
    match bare.as_str() {
        "image/jpg" | "image/pjpeg" | "image/x-jpeg" => "image/jpeg".to_owned(),
        "image/x-png" | "image/apng" => "image/png".to_owned(),
        "image/x-webp" => "image/webp".to_owned(),
        "application/x-pdf" | "text/pdf" => "application/pdf".to_owned(),
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav".to_owned(),
        "audio/x-mpeg" | "audio/mpeg3" | "audio/x-mp3" => "audio/mpeg".to_owned(),
        "text/x-markdown" => "text/markdown".to_owned(),
        "application/csv" | "text/x-csv" => "text/csv".to_owned(),
        _ => bare,
    }
}

/// A file whose bytes are text that anybody can read.
pub(super) fn is_text(mime: &str) -> bool {
    mime.starts_with("text/")
        || matches!(
            mime,
            "application/json"
                | "application/xml"
                | "application/x-yaml"
                | "application/yaml"
                | "application/javascript"
                | "application/x-ndjson"
                | "application/sql"
                | "application/toml"
        )
}

/// What a data URI holds that its own decoder did not take apart.
fn inline(url: &str) -> Option<(MediaSource, String)> {
    let head = url.get(..5)?;
    if !head.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (meta, data) = url.get(5..)?.split_once(',')?;
    let (mime, encoding) = meta.rsplit_once(';')?;
    if !encoding.eq_ignore_ascii_case("base64") {
        return None;
    }
    Some((MediaSource::Inline(standard(data).into_owned()), canonical(mime)))
}

/// Base64 in the standard alphabet, padded, on one line: the one spelling that every provider takes.
/// Google's SDKs write the alphabet for addresses, others leave the padding out or break lines.
pub(super) fn standard(data: &str) -> Cow<'_, str> {
    let odd = |byte: u8| matches!(byte, b'-' | b'_') || byte.is_ascii_whitespace();
    if !data.bytes().any(odd) && data.len().is_multiple_of(4) {
        return Cow::Borrowed(data);
    }
    let letter = |c: char| match c {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let kept = data.chars().filter(|c| !c.is_ascii_whitespace() && *c != '=');
    let mut all: String = kept.map(letter).collect();
    while !all.len().is_multiple_of(4) {
        all.push('=');
    }
    Cow::Owned(all)
}

/// What has to change in a media, if anything.
fn changed(media: &Media, as_text: bool) -> Option<Media> {
    let mut new = match &media.source {
        MediaSource::Url(url) => {
            let (source, mime) = inline(url)?;
            Media { source, mime: Some(mime), ..media.clone() }
        }
        MediaSource::Inline(data) => {
            let data = standard(data);
            let bare = media.mime.as_deref().map(canonical);
            let text =
                as_text && media.kind == MediaKind::File && bare.as_deref().is_some_and(is_text);
            if matches!(data, Cow::Borrowed(_)) && bare == media.mime && !text {
                return None;
            }
            Media { mime: bare, source: MediaSource::Inline(data.into_owned()), ..media.clone() }
        }
        MediaSource::Id(_) | MediaSource::Text(_) => return None,
    };
    if as_text
        && new.kind == MediaKind::File
        && new.mime.as_deref().is_some_and(is_text)
        && let MediaSource::Inline(data) = &new.source
        && let Some(text) = read_text(data)
    {
        new.source = MediaSource::Text(text);
        new.mime = Some("text/plain".to_owned());
    }
    Some(new)
}

fn read_text(data: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(&*standard(data)).ok()?).ok()
}

/// Every media of the conversation, those that tools came back with included.
fn each_media(request: &mut Request, change: &dyn Fn(&mut Part)) {
    let turns = request.instructions.iter_mut().chain(&mut request.turns);
    for part in turns.flat_map(|turn| &mut turn.parts) {
        match &mut part.body {
            Body::Media(_) => change(part),
            Body::Outcome(outcome) => {
                for inner in &mut outcome.parts {
                    if matches!(inner.body, Body::Media(_)) {
                        change(inner);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Media types in their one spelling; files of text as text where documents are PDF alone.
pub(super) fn media(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let as_text =
        matches!(model.protocol, Protocol::Dialect(Dialect::Anthropic | Dialect::OpenAiChat));
    let needs = |part: &Part| match &part.body {
        Body::Media(media) => changed(media, as_text).is_some(),
        Body::Outcome(outcome) => outcome.parts.iter().any(
            |inner| matches!(&inner.body, Body::Media(media) if changed(media, as_text).is_some()),
        ),
        _ => false,
    };
    let turns = draft.request.instructions.iter().chain(&draft.request.turns);
    if !turns.flat_map(|turn| &turn.parts).any(needs) {
        return;
    }
    each_media(draft.edit(), &|part| {
        if let Body::Media(media) = &part.body
            && let Some(new) = changed(media, as_text)
        {
            part.body = Body::Media(new);
            // How it was spelled says what it is no longer.
            for name in ["image_url", "url", "file_data", "media_type", "type", "data"] {
                part.inner.strike(name);
            }
            part.extra.strike("image_url");
            part.extra.strike("images");
        }
    });
}
