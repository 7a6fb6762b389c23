//! What of a conversation no model can be told in another dialect than its caller's. What the answer needs
//! makes the model no candidate; what only records how an earlier answer came about is left out.

use serde_json::Value;

use super::draft::{Draft, TargetModel};
use crate::wire::vocab::{Body, Dialect, Losses, Media, MediaSource, Part, Protocol, Role, Turn};

/// Names what would be answered as if nobody had said it: parts that only their own dialect has and that
/// hold no words, files that lie with their maker, results of tools that the caller ran for OpenAI's models,
/// a history that was sealed into one item. Turns of the model's of which nothing can be told go.
pub(super) fn untold(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let Some(from) = draft.request.from.filter(|_| !model.at_home(&draft.request)) else { return };
    let openai = |one: Dialect| matches!(one, Dialect::OpenAiChat | Dialect::OpenAiResponses);
    let files = openai(from) && matches!(model.protocol, Protocol::Dialect(to) if openai(to));
    let mut lost = Losses::default();
    let turns = draft.request.instructions.iter().chain(&draft.request.turns);
    for turn in turns {
        let said = turn.role == Role::Assistant;
        turn.parts.iter().for_each(|part| look(part, said, files, &mut lost));
    }
    draft.losses.extend(lost);
    let unsaid = |part: &Part| matches!(part.body, Body::Opaque(..)) && part.words.is_none();
    let silent = |turn: &Turn| {
        turn.role == Role::Assistant && !turn.parts.is_empty() && turn.parts.iter().all(unsaid)
    };
    if draft.request.turns.iter().any(silent) {
        draft.edit().turns.retain(|turn| !silent(turn));
        draft.losses.dropped("messages.content");
    }
}

/// `said`: by the model; `files`: those of the caller's dialect are known where it is asked.
fn look(part: &Part, said: bool, files: bool, lost: &mut Losses) {
    match &part.body {
        Body::Opaque(_, value) if part.words.is_none() => {
            let members = value.as_object();
            let only = || members.and_then(|members| members.keys().next()).map(String::as_str);
            let Some(kind) = value.get("type").and_then(Value::as_str).or_else(only) else {
                return;
            };
            if !said || kind.ends_with("_call_output") || kind == "compaction" {
                lost.lost_at("content", kind);
            }
        }
        Body::Media(Media { source: MediaSource::Id(_), .. }) if !files => {
            lost.lost("content.file_id");
        }
        Body::Outcome(outcome) => {
            outcome.parts.iter().for_each(|inner| look(inner, false, files, lost));
        }
        _ => {}
    }
}
