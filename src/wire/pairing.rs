//! Calls of tools and the results that answer them. Most dialects insist that every call has an id
//! of its own, that its result follows at once and bears that id, and that no result is missing.
//! Gemini's calls have no ids, other clients misspell them (seen with Z.AI's, which hold a sign) or
//! repeat them in every turn, and conversations are cut short.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::vocab::{Body, ContentShape, Part, Role, ToolCall, ToolResult, Turn};

/// What takes the place of a result that is missing.
const NO_RESULT: &str = "No result.";

/// A call that waits for its result.
struct Waiting {
    id: String,
    name: String,
}

fn is_model(turn: &Turn) -> bool {
    turn.role == Role::Assistant
}

fn holds_outcome(turn: &Turn) -> bool {
    turn.parts.iter().any(|part| matches!(part.body, Body::Outcome(_)))
}

fn calls(turns: &[Turn]) -> impl Iterator<Item = &ToolCall> {
    turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.body {
        Body::Call(call) => Some(call),
        _ => None,
    })
}

fn outcomes(turns: &[Turn]) -> impl Iterator<Item = &ToolResult> {
    turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.body {
        Body::Outcome(outcome) => Some(outcome),
        _ => None,
    })
}

/// Where the turns of the model that begin at the start end, and where those of the other side that
/// follow them do.
fn exchange(turns: &[Turn]) -> (usize, usize) {
    let said = turns.iter().take_while(|turn| is_model(turn)).count();
    let answered = turns.iter().skip(said).take_while(|turn| !is_model(turn)).count();
    (said, said + answered)
}

/// The turns with every call and result matched: by id, else by the tool's name, else by order.
/// Results that answer no call are told as text, and those that are missing are made up. Borrowed
/// where nothing had to be done.
pub(crate) fn paired(turns: &[Turn]) -> Cow<'_, [Turn]> {
    if is_paired(turns) {
        return Cow::Borrowed(turns);
    }
    let known = calls(turns).filter_map(|call| call.id.clone()).collect();
    let mut ids = Ids { known, used: HashSet::new(), made: 0 };
    let mut exchanges = exchanges(turns);
    bring_forward(&mut exchanges);
    let mut all = Vec::with_capacity(turns.len() + 1);
    for Exchange { mut said, mut answered } in exchanges {
        let mut waiting = ids.give(&mut said);
        all.append(&mut said);
        if !answered.is_empty() {
            answer(&mut answered, &mut waiting);
        }
        all.append(&mut answered);
    }
    Cow::Owned(all)
}

/// What the model said, and what the other side said to it.
struct Exchange {
    said: Vec<Turn>,
    answered: Vec<Turn>,
}

fn exchanges(turns: &[Turn]) -> Vec<Exchange> {
    let mut all = Vec::new();
    let mut rest = turns;
    while !rest.is_empty() {
        let (said, end) = exchange(rest);
        let (this, after) = rest.split_at(end);
        let (asking, answering) = this.split_at(said);
        all.push(Exchange { said: asking.to_vec(), answered: answering.to_vec() });
        rest = after;
    }
    all
}

/// Results that come only after the model has said more stand where they are due.
fn bring_forward(exchanges: &mut [Exchange]) {
    let mut open: HashMap<String, usize> = HashMap::new();
    for number in 0..exchanges.len() {
        let Some(Exchange { said, answered }) = exchanges.get_mut(number) else { return };
        for id in calls(said).filter_map(|call| call.id.as_ref()).filter(|id| !id.is_empty()) {
            open.insert(id.clone(), number);
        }
        let mut late: Vec<(usize, Part)> = Vec::new();
        for turn in answered.iter_mut() {
            let places = turn.parts.extract_if(.., |part| {
                let Body::Outcome(outcome) = &part.body else { return false };
                let due = outcome.call_id.as_ref().and_then(|id| open.get(id));
                due.is_some_and(|due| *due < number)
            });
            late.extend(places.filter_map(|part| {
                let Body::Outcome(outcome) = &part.body else { return None };
                Some((*open.get(outcome.call_id.as_deref()?)?, part))
            }));
        }
        // What came in time is no longer due.
        for id in outcomes(answered).filter_map(|outcome| outcome.call_id.as_deref()) {
            open.remove(id);
        }
        if !late.is_empty() {
            answered.retain(|turn| !turn.parts.is_empty());
        }
        for (due, part) in late {
            if let Some(exchange) = exchanges.get_mut(due) {
                exchange.answered.push(Turn::new(Role::Tool, vec![part]));
            }
        }
    }
}

fn is_paired(turns: &[Turn]) -> bool {
    let mut used = HashSet::new();
    let mut rest = turns;
    while !rest.is_empty() {
        let (said, end) = exchange(rest);
        let (this, after) = rest.split_at(end);
        let (asking, answering) = this.split_at(said);
        let mut open: Vec<&str> = Vec::new();
        for call in calls(asking) {
            match call.id.as_deref().filter(|id| !id.is_empty()) {
                Some(id) if used.insert(id) => open.push(id),
                _ => return false,
            }
        }
        for outcome in outcomes(answering) {
            let id = outcome.call_id.as_deref();
            let Some(place) = open.iter().position(|open| Some(*open) == id) else { return false };
            open.swap_remove(place);
        }
        let first = answering.iter().position(|turn| !holds_outcome(turn));
        let late = answering.iter().rposition(holds_outcome);
        let in_order = first.is_none_or(|first| late.is_none_or(|late| late < first));
        // The last turn's calls may still be answered.
        if !in_order || (!answering.is_empty() && !open.is_empty()) {
            return false;
        }
        rest = after;
    }
    true
}

/// The ids of a conversation's calls.
struct Ids {
    /// As the conversation has them.
    known: HashSet<String>,
    /// Given to a call already.
    used: HashSet<String>,
    made: usize,
}

impl Ids {
    /// One that nobody has. It follows from the place of the call in the conversation, so that the
    /// next request says the same, and what a provider has cached stays good.
    fn fresh(&mut self) -> String {
        loop {
            let id = format!("call_{}", self.made);
            self.made += 1;
            if !self.known.contains(&id) && !self.used.contains(&id) {
                return id;
            }
        }
    }

    /// Gives every call an id of its own. The calls, in order.
    fn give(&mut self, turns: &mut [Turn]) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            let Body::Call(call) = &mut part.body else { continue };
            let own = call.id.take().filter(|id| !id.is_empty() && !self.used.contains(id));
            let id = own.unwrap_or_else(|| self.fresh());
            self.used.insert(id.clone());
            waiting.push(Waiting { id: id.clone(), name: call.name.clone() });
            call.id = Some(id);
        }
        waiting
    }
}

/// Matches the results of one side's turns with the calls that wait for them.
fn answer(turns: &mut Vec<Turn>, waiting: &mut Vec<Waiting>) {
    let rules: [fn(&ToolResult, &Waiting) -> bool; 3] = [
        |outcome, call| outcome.call_id.as_deref() == Some(&call.id),
        |outcome, call| outcome.name.as_deref() == Some(&call.name),
        // The result of another tool answers no call of this one.
        |outcome, _| outcome.name.is_none(),
    ];
    let count = outcomes(turns).count();
    let mut matched: Vec<Option<String>> = vec![None; count];
    for rule in rules {
        for (outcome, found) in outcomes(turns).zip(&mut matched) {
            if found.is_none()
                && let Some(place) = waiting.iter().position(|call| rule(outcome, call))
            {
                *found = Some(waiting.remove(place).id);
            }
        }
    }
    let mut matched = matched.into_iter();
    for turn in turns.iter_mut().filter(|turn| holds_outcome(turn)) {
        let mut parts = Vec::with_capacity(turn.parts.len());
        for mut part in std::mem::take(&mut turn.parts) {
            let Body::Outcome(outcome) = &mut part.body else {
                parts.push(part);
                continue;
            };
            match matched.next().flatten() {
                Some(id) => {
                    outcome.call_id = Some(id);
                    parts.push(part);
                }
                None => {
                    turn.role = Role::User;
                    parts.extend(told(outcome));
                }
            }
        }
        turn.parts = parts;
    }
    // Results stand before whatever else is said.
    turns.sort_by_key(|turn| !holds_outcome(turn));
    if !waiting.is_empty() {
        let missing = waiting.drain(..).map(|call| {
            Part::new(Body::Outcome(ToolResult {
                call_id: Some(call.id),
                name: Some(call.name),
                parts: vec![Part::text(NO_RESULT)],
                shape: ContentShape::Text,
                is_error: Some(true),
                json: None,
            }))
        });
        let missing = Turn::new(Role::Tool, missing.collect());
        let after = turns.iter().take_while(|turn| holds_outcome(turn)).count();
        turns.insert(after, missing);
    }
}

/// A result that answers no call, as something that the user says.
fn told(outcome: &mut ToolResult) -> Vec<Part> {
    let text = outcome.text();
    let mut parts: Vec<Part> =
        Some(text).filter(|text| !text.is_empty()).map(Part::text).into_iter().collect();
    let media = outcome.parts.drain(..).filter(|part| !part.is_words());
    parts.extend(media);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::{CallKind, Dialect, Protocol};
    use crate::wire::{Target, codec, provider_side};
    use serde_json::{Value, json};

    fn call(id: Option<&str>, name: &str) -> Part {
        Part::new(Body::Call(ToolCall {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            arguments: Some("{}".to_owned()),
            kind: CallKind::Function,
        }))
    }

    fn result(id: Option<&str>, name: Option<&str>, text: &str) -> Turn {
        let outcome = ToolResult {
            call_id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            parts: vec![Part::text(text)],
            shape: ContentShape::Text,
            is_error: None,
            json: None,
        };
        Turn::new(Role::Tool, vec![Part::new(Body::Outcome(outcome))])
    }

    fn model(parts: Vec<Part>) -> Turn {
        Turn::new(Role::Assistant, parts)
    }

    fn user(text: &str) -> Turn {
        Turn::new(Role::User, vec![Part::text(text)])
    }

    /// What each call was answered, by the name of its tool.
    fn answers(turns: &[Turn]) -> Vec<(String, String)> {
        let all: Vec<&ToolResult> = outcomes(turns).collect();
        calls(turns)
            .map(|call| {
                let mine: Vec<_> = all.iter().filter(|one| one.call_id == call.id).collect();
                assert_eq!(mine.len(), 1, "{turns:?}");
                (call.name.clone(), mine[0].text())
            })
            .collect()
    }

    #[test]
    fn results_find_their_calls_by_id_then_name_then_order() {
        let pair = |one: &str, other: &str| {
            vec![("a".to_owned(), one.to_owned()), ("b".to_owned(), other.to_owned())]
        };
        for (turns, said) in [
            // Without ids, in another order.
            (
                vec![
                    model(vec![call(None, "a"), call(None, "b")]),
                    result(None, Some("b"), "of b"),
                    result(None, Some("a"), "of a"),
                ],
                pair("of a", "of b"),
            ),
            // With ids that nobody gave, in order.
            (
                vec![
                    model(vec![call(Some("1"), "a"), call(Some("2"), "b")]),
                    result(Some("x"), None, "of a"),
                    result(Some("y"), None, "of b"),
                ],
                pair("of a", "of b"),
            ),
            // One id for both, and empty ones.
            (
                vec![
                    model(vec![call(Some("1"), "a"), call(Some("1"), "b")]),
                    result(Some("1"), None, "of a"),
                    result(Some("1"), None, "of b"),
                ],
                pair("of a", "of b"),
            ),
            (
                vec![
                    model(vec![call(Some(""), "a"), call(Some(""), "b")]),
                    result(Some(""), None, "of a"),
                    result(Some(""), None, "of b"),
                ],
                pair("of a", "of b"),
            ),
            // One that is missing, one of a tool that was not called, one behind what the user says.
            (
                vec![
                    model(vec![call(Some("1"), "a"), call(None, "b")]),
                    user("well?"),
                    result(None, Some("c"), "of c"),
                    result(Some("1"), Some("a"), "of a"),
                ],
                pair("of a", NO_RESULT),
            ),
            // One that comes after the model has said more.
            (
                vec![
                    model(vec![call(Some("1"), "a"), call(Some("2"), "b")]),
                    result(Some("1"), None, "of a"),
                    model(vec![Part::text("one more")]),
                    result(Some("2"), None, "of b"),
                    user("well?"),
                ],
                pair("of a", "of b"),
            ),
            // The same id in two turns.
            (
                vec![
                    model(vec![call(Some("1"), "a")]),
                    result(Some("1"), None, "of a"),
                    model(vec![call(Some("1"), "b")]),
                    result(Some("1"), None, "of b"),
                ],
                pair("of a", "of b"),
            ),
        ] {
            let turns = [vec![user("go")], turns].concat();
            let all = paired(&turns);
            assert_eq!(answers(&all), said, "{all:?}");
            assert!(is_paired(&all), "{all:?}");
            let stray = |turns: &[Turn]| format!("{turns:?}").contains("of c");
            assert_eq!(stray(&all), stray(&turns), "a result was lost");
        }
    }

    #[test]
    fn what_is_in_order_is_left_alone() {
        let turns = [
            user("go"),
            model(vec![call(Some("1"), "a"), call(Some("2"), "b")]),
            result(Some("2"), None, "x"),
            result(Some("1"), None, "y"),
            user("and?"),
            model(vec![call(Some("3"), "a")]),
        ];
        assert!(matches!(paired(&turns), Cow::Borrowed(_)));
    }

    /// What each call is answered in a body of any dialect: pairs of a tool's name and a text.
    fn sent(body: &Value) -> Vec<(String, String)> {
        fn walk<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
            match value {
                Value::Array(all) => all.iter().for_each(|one| walk(one, out)),
                Value::Object(members) => {
                    out.push(value);
                    members.values().for_each(|one| walk(one, out));
                }
                _ => {}
            }
        }
        let mut all = Vec::new();
        walk(body, &mut all);
        let text = |value: &Value, path: &str| {
            value.pointer(path).and_then(Value::as_str).map(str::to_owned)
        };
        let first = |value: &Value, paths: &[&str]| paths.iter().find_map(|path| text(value, path));
        let id = ["/id", "/call_id", "/toolUse/toolUseId"];
        let name = ["/function/name", "/name", "/toolUse/name"];
        let of = ["/tool_call_id", "/tool_use_id", "/call_id", "/toolUseId"];
        let called = all.iter().filter(|one| {
            let kind = one["type"].as_str().unwrap_or_default();
            ["tool_use", "function_call"].contains(&kind)
                || (kind == "function" && one["id"].is_string())
                || one["toolUse"].is_object()
        });
        called
            .map(|call| {
                let id = first(call, &id).filter(|id| !id.is_empty()).expect("an id");
                let answer = all.iter().find(|one| {
                    first(one, &of).as_deref() == Some(&id)
                        && (one.get("content").is_some() || one.get("output").is_some())
                });
                let answer = answer.expect("a result").to_string();
                let said = ["noon", "sunny"].into_iter().find(|word| answer.contains(word));
                (first(call, &name).unwrap(), said.unwrap_or_default().to_owned())
            })
            .collect()
    }

    #[test]
    fn calls_without_ids_reach_every_provider_with_the_results_that_are_theirs() {
        let call = |name: &str| json!({"functionCall": {"name": name, "args": {}}});
        let result = |name: &str, said: &str| json!({"functionResponse": {"name": name, "response": {"result": said}}});
        let body = json!({"contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [call("weather"), call("clock")]},
            {"role": "user", "parts": [result("clock", "noon"), result("weather", "sunny")]},
            {"role": "model", "parts": [call("clock")]},
            {"role": "user", "parts": [{"text": "never mind"}]},
        ]});
        let request = codec(Dialect::Gemini).decode_request(body.to_string().as_bytes()).unwrap();
        for protocol in [
            Protocol::Dialect(Dialect::OpenAiChat),
            Protocol::Dialect(Dialect::OpenAiResponses),
            Protocol::Dialect(Dialect::Anthropic),
            Protocol::Bedrock,
        ] {
            let target = Target { max_output_tokens: 99, ..Target::SELF };
            let encoded = provider_side(protocol).encode_request(&request, &target).unwrap();
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            let said = [("weather", "sunny"), ("clock", "noon"), ("clock", "")];
            let said = said.map(|(name, said)| (name.to_owned(), said.to_owned()));
            assert_eq!(sent(&body), said, "{protocol:?}: {body}");
        }
    }
}
