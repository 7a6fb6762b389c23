//! A conversation for dialects that insist on order: roles that alternate from the user on, and
//! every call answered in the one message after it. Clients misspell ids (seen with Z.AI's, which
//! hold a sign), leave them out (Gemini's have none), and cut conversations short.

use std::borrow::Cow;

use super::vocab::{Body, Outcome, Part, Request, Role, Shape};

/// One side's turn: whether it is the model's, and its blocks.
pub(super) type Side<B> = (bool, Vec<B>);

/// The conversation without its instructions, each part as `encode` writes it. Never empty, and
/// the user begins.
pub(super) fn alternating<B>(
    request: &Request,
    mut encode: impl FnMut(&Part) -> Option<B>,
) -> Vec<Side<B>> {
    let mut sides = sides(request);
    name_calls(&mut sides);
    pair_results(&mut sides);
    let mut written: Vec<Side<B>> = Vec::with_capacity(sides.len() + 1);
    for (assistant, mut parts) in sides {
        if !assistant {
            parts.sort_by_key(|part| !matches!(part.body, Body::Outcome(_)));
        }
        let blocks: Vec<B> = parts.iter().filter_map(|part| encode(part)).collect();
        if blocks.is_empty() {
            continue;
        }
        // What could not be written may have stood between two of one side.
        match written.last_mut() {
            Some((same, known)) if *same == assistant => known.extend(blocks),
            _ => written.push((assistant, blocks)),
        }
    }
    if written.first().is_none_or(|(assistant, _)| *assistant)
        && let Some(block) = encode(&Part::text("Continue."))
    {
        written.insert(0, (false, vec![block]));
    }
    written
}

/// Neighbours of one side become one turn.
fn sides(request: &Request) -> Vec<Side<Cow<'_, Part>>> {
    let mut sides: Vec<Side<Cow<'_, Part>>> = Vec::with_capacity(request.turns.len());
    for turn in &request.turns {
        if matches!(turn.role, Role::System | Role::Developer) {
            continue;
        }
        let assistant = turn.role == Role::Assistant;
        let parts = turn.parts.iter().map(Cow::Borrowed);
        match sides.last_mut() {
            Some((same, known)) if *same == assistant => known.extend(parts),
            _ => sides.push((assistant, parts.collect())),
        }
    }
    sides
}

/// Every call gets an id of letters, digits, `_` and `-`; a result's is spelled the same way.
fn name_calls(sides: &mut [Side<Cow<'_, Part>>]) {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
    for (at, (_, parts)) in sides.iter_mut().enumerate() {
        for (number, part) in parts.iter_mut().enumerate() {
            let known = match &part.body {
                Body::Call(call) => call.id.as_deref(),
                Body::Outcome(outcome) => outcome.call_id.as_deref(),
                _ => continue,
            };
            let is_call = matches!(part.body, Body::Call(_));
            let better = match known {
                None | Some("") if is_call => format!("toolu_{at}_{number}"),
                Some(id) if id.contains(odd) => id.replace(odd, "_"),
                _ => continue,
            };
            match &mut part.to_mut().body {
                Body::Call(call) => call.id = Some(better),
                Body::Outcome(outcome) => outcome.call_id = Some(better),
                _ => {}
            }
        }
    }
}

/// Results that answer no call take the place of those that are missing, or are told as text; what
/// is missing still is made up.
fn pair_results(sides: &mut [Side<Cow<'_, Part>>]) {
    for at in 0..sides.len() {
        let (before, rest) = sides.split_at_mut(at);
        let Some((false, answering)) = rest.first_mut() else { continue };
        let calling = before.last().map(|(_, parts)| parts.as_slice()).unwrap_or_default();
        let mut open: Vec<String> = calling
            .iter()
            .filter_map(|part| match &part.body {
                Body::Call(call) => call.id.clone(),
                _ => None,
            })
            .collect();
        let mut strays = Vec::new();
        for (position, part) in answering.iter().enumerate() {
            let Body::Outcome(outcome) = &part.body else { continue };
            let id = outcome.call_id.as_deref().unwrap_or_default();
            match open.iter().position(|known| known == id) {
                Some(known) => {
                    open.remove(known);
                }
                None => strays.push(position),
            }
        }
        let mut open = open.into_iter();
        for position in strays {
            let Some(part) = answering.get_mut(position) else { continue };
            let Body::Outcome(outcome) = &mut part.to_mut().body else { continue };
            match open.next() {
                Some(id) => outcome.call_id = Some(id),
                None => *part = Cow::Owned(Part::text(outcome.text())),
            }
        }
        answering.extend(open.map(|id| {
            Cow::Owned(Part::new(Body::Outcome(Outcome {
                call_id: Some(id),
                name: None,
                parts: vec![Part::text("No result.")],
                shape: Shape::Text,
                is_error: Some(true),
                json: None,
            })))
        }));
    }
}
