//! Custom tools of OpenAI take free text. For models that know functions alone, each is a function of
//! one text: respelled on the way there, in every turn alike, and a custom tool again in the answer.

use serde_json::{Map, Value, json};

use super::draft::{Draft, TargetModel};
use super::free_text::{INPUT, free_text};
use super::names::Names;
use crate::wire::vocab::{
    Body, CallKind, Delta, Dialect, Event, Extra, Part, Protocol, Request, Slot, Tool, ToolChoice,
    ToolKind, custom,
};

fn is_custom(part: &Part) -> bool {
    matches!(&part.body, Body::Call(call) if call.kind == CallKind::Custom)
}

fn takes(model: &TargetModel<'_>) -> bool {
    match model.protocol {
        Protocol::Dialect(Dialect::OpenAiResponses) => true,
        Protocol::Dialect(Dialect::OpenAiChat) => model.facts.custom_tools,
        Protocol::Dialect(Dialect::Anthropic | Dialect::Gemini) | Protocol::Bedrock => false,
    }
}

/// Makes functions of custom tools where the model knows none.
pub(super) fn as_functions(draft: &mut Draft<'_>, model: &TargetModel<'_>, names: &mut Names) {
    let parts = || draft.request.turns.iter().flat_map(|turn| &turn.parts);
    let any =
        draft.request.tools.iter().any(|tool| tool.custom().is_some()) || parts().any(is_custom);
    if !any || takes(model) {
        return;
    }
    let mut untold = false;
    let request: &mut Request = draft.edit();
    for tool in &mut request.tools {
        let Some((function, name, grammar)) = tool.custom().and_then(function) else { continue };
        *tool = function;
        names.custom(name);
        untold |= grammar;
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Body::Call(call) = &mut part.body
            && call.kind == CallKind::Custom
        {
            call.kind = CallKind::Function;
            let text = call.arguments.take().unwrap_or_default();
            call.arguments = Some(json!({ INPUT: text }).to_string());
        }
    }
    if let Some(ToolChoice::Opaque(_, value)) = &request.tool_choice
        && let Some(name) = custom(value).and_then(|members| members.get("name")?.as_str())
    {
        request.tool_choice = Some(ToolChoice::Named(name.to_owned()));
    }
    if untold {
        // The model is told the grammar and may depart from it.
        draft.losses.dropped("tools.format");
    }
}

/// The function that stands for a custom tool, its name, and whether it has a grammar.
fn function(members: &Map<String, Value>) -> Option<(Tool, String, bool)> {
    let name = members.get("name")?.as_str()?.to_owned();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut description = members.get("description").and_then(Value::as_str).map(str::to_owned);
    let format = members.get("format");
    // Chat nests it once more.
    let format = format.map(|format| format.get("grammar").unwrap_or(format));
    let grammar = format.and_then(|format| text(format, "definition"));
    if let Some(definition) = &grammar {
        let syntax = format.and_then(|format| text(format, "syntax")).unwrap_or_default();
        let said = description.get_or_insert_default();
        if !said.is_empty() {
            said.push_str("\n\n");
        }
        said.push_str("The input follows this grammar (");
        said.push_str(&syntax);
        said.push_str("):\n");
        said.push_str(definition);
    }
    let parameters = json!({
        "type": "object",
        "properties": { INPUT: { "type": "string" } },
        "required": [INPUT],
        "additionalProperties": false,
    });
    let kind = ToolKind::Function {
        name: name.clone(),
        description,
        parameters: Some(parameters),
        strict: None,
    };
    let tool = Tool { kind, cache: None, extra: Extra::NONE, inner: Extra::NONE };
    Some((tool, name, grammar.is_some()))
}

/// Free texts of a stream's calls, while they come as pieces of JSON: each is given as one piece, at
/// the end of its call. As much as the arguments of the calls that are open is kept.
#[derive(Debug, Default)]
pub struct Texts(Vec<(Slot, String)>);

impl Texts {
    /// Gives the calls of a stream back what their caller calls them.
    pub fn restore(&mut self, names: &Names, events: &mut Vec<Event>) {
        if !names.any_custom() {
            for event in events {
                if let Event::PartOpen { part, .. } = event {
                    names.restore(part);
                }
            }
            return;
        }
        for mut event in std::mem::take(events) {
            match &mut event {
                Event::PartOpen { at, part } => {
                    if let Body::Call(call) = &mut part.body
                        && names.is_custom(&call.name)
                    {
                        self.0.push((*at, call.arguments.take().unwrap_or_default()));
                    }
                    names.restore(part);
                }
                Event::Delta { at, delta: Delta::Arguments(piece) } => {
                    if let Some((_, text)) = self.0.iter_mut().find(|(slot, _)| slot == at) {
                        text.push_str(piece);
                        continue;
                    }
                }
                Event::PartClose { at, .. } => self.give(|slot| slot == *at, events),
                Event::Finish { choice, .. } => self.give(|slot| slot.choice == *choice, events),
                _ => {}
            }
            events.push(event);
        }
    }

    fn give(&mut self, ended: impl Fn(Slot) -> bool, events: &mut Vec<Event>) {
        for (at, arguments) in self.0.extract_if(.., |(slot, _)| ended(*slot)) {
            let delta = Delta::Arguments(free_text(&arguments));
            events.push(Event::Delta { at, delta });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::vocab::ToolCall;

    const AT: Slot = Slot { choice: 0, part: 1 };

    fn call(arguments: Option<&str>) -> Part {
        Part::new(Body::Call(ToolCall {
            id: Some("c".to_owned()),
            name: "patch".to_owned(),
            arguments: arguments.map(str::to_owned),
            kind: CallKind::Function,
        }))
    }

    fn names() -> Names {
        let mut names = Names::default();
        names.custom("patch".to_owned());
        names
    }

    /// What the caller hears of a call whose arguments come in these pieces.
    fn heard(pieces: &[String]) -> (CallKind, String) {
        let mut texts = Texts::default();
        let mut kinds = Vec::new();
        let mut said = String::new();
        let delta =
            |piece: &String| Event::Delta { at: AT, delta: Delta::Arguments(piece.clone()) };
        let open = Event::PartOpen { at: AT, part: call(None) };
        let close = Event::PartClose { at: AT, extra: Extra::NONE };
        for event in std::iter::once(open).chain(pieces.iter().map(delta)).chain([close]) {
            let mut events = vec![event];
            texts.restore(&names(), &mut events);
            for event in events {
                match event {
                    Event::PartOpen { part: Part { body: Body::Call(call), .. }, .. } => {
                        kinds.push(call.kind);
                        said.push_str(&call.arguments.unwrap_or_default());
                    }
                    Event::Delta { delta: Delta::Arguments(text), .. } => said.push_str(&text),
                    _ => {}
                }
            }
        }
        (kinds[0], said)
    }

    proptest! {
        #[test]
        fn free_text_comes_back_however_it_is_cut(text in "(?s).{0,60}", cuts in prop::collection::vec(any::<usize>(), 0..5)) {
            let arguments = json!({ INPUT: text }).to_string();
            let mut ends: Vec<usize> = cuts
                .iter()
                .map(|cut| arguments.floor_char_boundary(cut % (arguments.len() + 1)))
                .chain([0, arguments.len()])
                .collect();
            ends.sort_unstable();
            let pieces: Vec<String> =
                ends.windows(2).map(|pair| arguments[pair[0]..pair[1]].to_owned()).collect();
            prop_assert_eq!(heard(&pieces), (CallKind::Custom, text.clone()));
            let mut whole = call(Some(&arguments));
            names().restore(&mut whole);
            let Body::Call(whole) = whole.body else { unreachable!() };
            prop_assert_eq!((whole.kind, whole.arguments.unwrap()), (CallKind::Custom, text));
        }
    }
}
