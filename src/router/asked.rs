//! What of a request is read: the last question, and what came with it.

use std::borrow::Cow;

use super::neural::PromptForm;
use crate::wire::vocab::{Body, Format, Request, Role, Turn};

/// A last message shorter than this, in bytes, is read with the one before: "and in French?".
const SHORT_BYTES: usize = 40;

/// The text of a turn: borrowed if it is one piece, as it mostly is.
fn text(turn: &Turn) -> Cow<'_, str> {
    let mut pieces = turn.parts.iter().filter_map(|part| match &part.body {
        Body::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let first = pieces.next().unwrap_or_default();
    match pieces.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let mut all = format!("{first}\n{second}");
            for piece in pieces {
                all.push('\n');
                all.push_str(piece);
            }
            Cow::Owned(all)
        }
    }
}

/// What is asked: the last thing its user said, with the one before where that says little.
#[must_use]
pub fn question(request: &Request) -> Cow<'_, str> {
    let mut said = request.turns.iter().rev().filter(|turn| turn.role == Role::User).map(text);
    // Turns that only hand in what a tool said are no question.
    let Some(last) = said.by_ref().find(|text| !text.is_empty()) else { return Cow::Borrowed("") };
    if last.len() >= SHORT_BYTES {
        return last;
    }
    match said.find(|text| !text.is_empty()) {
        Some(before) => Cow::Owned(format!("{before}\n{last}")),
        None => last,
    }
}

/// Bytes of the text of a turn.
fn size(turn: &Turn) -> usize {
    let of = |body: &Body| if let Body::Text(text) = body { text.len() } else { 0 };
    turn.parts.iter().map(|part| of(&part.body)).sum()
}

/// What came with what is asked.
#[must_use]
pub fn form(request: &Request) -> PromptForm {
    let mut form = PromptForm {
        system: request.instructions.as_ref().map_or(0, size),
        json: request.format.as_ref().is_some_and(Format::is_json),
        ..PromptForm::default()
    };
    for turn in &request.turns {
        match turn.role {
            Role::System | Role::Developer => form.system += size(turn),
            Role::User | Role::Assistant | Role::Tool => {
                form.turns += 1;
                form.said += size(turn);
            }
        }
        form.files += turn.parts.iter().filter(|one| matches!(one.body, Body::Media(_))).count();
    }
    // The last thing that was said is what is asked.
    if let Some(last) = request.turns.iter().rev().find(|turn| turn.role == Role::User) {
        form.turns -= 1;
        form.said -= size(last);
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::Part;

    fn said(texts: &[&str]) -> Request {
        let turn = |text: &&str| Turn::new(Role::User, vec![Part::text(*text)]);
        Request { turns: texts.iter().map(turn).collect(), ..Request::default() }
    }

    #[test]
    fn a_short_question_is_read_with_the_one_before() {
        let asked = said(&["Prove that there are infinitely many primes.", "and now?", ""]);
        assert_eq!(question(&asked), "Prove that there are infinitely many primes.\nand now?");
        let asked = said(&["Hello", "Explain how a gateway routes requests, in detail."]);
        assert_eq!(question(&asked), "Explain how a gateway routes requests, in detail.");
        assert_eq!(question(&Request::default()), "");
    }

    #[test]
    fn what_came_with_a_question_is_measured() {
        let mut asked = said(&["Hello there", "What is due?"]);
        asked.instructions = Some(Turn::new(Role::System, vec![Part::text("Be brief.")]));
        asked.format = Some(Format::Json);
        let form = form(&asked);
        assert_eq!((form.system, form.turns, form.said, form.json), (9, 1, 11, true));
        assert_eq!(super::form(&Request::default()), PromptForm::default());
    }
}
