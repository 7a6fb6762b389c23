//! A conversation for dialects that insist on order: roles that alternate from the user on, and
//! every call answered in the one message after it.

use std::borrow::Cow;

use super::pairing::paired;
use super::vocab::{Body, Part, Request, Role, Turn};

/// One side's turn: whether it is the model's, and its blocks.
pub(super) type MergedTurn<B> = (bool, Vec<B>);

/// The conversation without its instructions, each part as `encode` writes it. Never empty, and
/// the user begins.
pub(super) fn alternating<B>(
    request: &Request,
    mut encode: impl FnMut(&Part) -> Option<B>,
) -> Vec<MergedTurn<B>> {
    let turns = paired(&request.turns);
    let mut sides = sides(&turns);
    spell_ids(&mut sides);
    let mut written: Vec<MergedTurn<B>> = Vec::with_capacity(sides.len() + 1);
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
fn sides(turns: &[Turn]) -> Vec<MergedTurn<Cow<'_, Part>>> {
    let mut sides: Vec<MergedTurn<Cow<'_, Part>>> = Vec::with_capacity(turns.len());
    for turn in turns {
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

/// Ids of letters, digits, `_` and `-`; a result's is spelled as its call's.
fn spell_ids(sides: &mut [MergedTurn<Cow<'_, Part>>]) {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
    for part in sides.iter_mut().flat_map(|(_, parts)| parts) {
        let known = match &part.body {
            Body::Call(call) => call.id.as_deref(),
            Body::Outcome(outcome) => outcome.call_id.as_deref(),
            _ => continue,
        };
        let Some(id) = known.filter(|id| id.contains(odd)) else { continue };
        let better = Some(id.replace(odd, "_"));
        match &mut part.to_mut().body {
            Body::Call(call) => call.id = better,
            Body::Outcome(outcome) => outcome.call_id = better,
            _ => {}
        }
    }
}
