//! Names of tools and ids of calls that a maker does not take: respelled on the way there, in every
//! turn alike, and given back their own in the answer.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::draft::{Draft, TargetModel};
use super::free_text;
use crate::catalogue::NameRule;
use crate::wire::paired;
use crate::wire::vocab::{
    Body, Dialect, Extra, Part, Protocol, Request, Tool, ToolChoice, ToolKind,
};

/// Tools by the name that was sent, and the caller's own for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(HashMap<String, Own>);

/// What the caller calls a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    name: String,
    /// The group that it stands in (Responses).
    group: Option<String>,
    /// It takes free text, and is sent as a function.
    custom: bool,
}

impl Names {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The caller's own name of a tool.
    #[must_use]
    pub fn own(&self, sent: &str) -> Option<&str> {
        self.0.get(sent).map(|own| own.name.as_str())
    }

    /// A tool that is sent under a name of its own, and that the caller has in a group.
    pub(super) fn group(&mut self, sent: String, own: String, group: &str) {
        self.0.insert(sent, Own { name: own, group: Some(group.to_owned()), custom: false });
    }

    /// A tool that takes free text, and is sent as a function.
    pub(super) fn custom(&mut self, name: String) {
        self.0.insert(name.clone(), Own { name, group: None, custom: true });
    }

    pub(super) fn any_custom(&self) -> bool {
        self.0.values().any(|own| own.custom)
    }

    pub(super) fn is_custom(&self, sent: &str) -> bool {
        self.0.get(sent).is_some_and(|own| own.custom)
    }

    /// What is sent under a name is sent under another one.
    fn respell(&mut self, sent: &str, new: String) {
        let own = self.0.remove(sent);
        let own = own.unwrap_or_else(|| Own { name: sent.to_owned(), group: None, custom: false });
        self.0.insert(new, own);
    }

    /// The same in an answer's own JSON: every member called `name` that is one of them.
    pub fn restore_in(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, member) in members.iter_mut() {
                    match member {
                        Value::String(name) if key == "name" => {
                            if let Some(own) = self.own(name) {
                                own.clone_into(name);
                            }
                        }
                        inner => self.restore_in(inner),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.restore_in(item)),
            _ => {}
        }
    }

    /// Gives the calls of an answer back the names that the caller knows.
    pub fn restore(&self, part: &mut Part) {
        if let Body::Call(call) = &mut part.body
            && let Some(own) = self.0.get(&call.name)
        {
            call.name.clone_from(&own.name);
            if own.custom {
                free_text::restore(call);
            }
            if let Some(group) = &own.group {
                let mut members = Map::new();
                members.insert("namespace".to_owned(), Value::from(group.as_str()));
                let said = Extra::of(Dialect::OpenAiResponses, members, Map::new());
                part.extra.absorb(&said);
            }
        }
    }
}

/// So many hexadecimal digits of a name's hash keep apart what a respelling would make alike.
const DIGITS: usize = 8;

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A name that the rule takes: the same for the same name, in this turn and the next.
fn respelled<'a>(name: &'a str, rule: &NameRule) -> Cow<'a, str> {
    if rule.takes(name) {
        return Cow::Borrowed(name);
    }
    let room = rule.max.saturating_sub(DIGITS + 1);
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || rule.also.contains(c);
    let mut new: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(room).collect();
    if !new.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        new.insert(0, '_');
        new.truncate(room);
    }
    new.push('_');
    for byte in hash(name).iter().take(DIGITS / 2) {
        // Writing to a String cannot fail.
        let _infallible = write!(new, "{byte:02x}");
    }
    Cow::Owned(new)
}

fn function_name(tool: &Tool) -> Option<&str> {
    tool.name()
}

/// Every name of a tool that the request says.
fn each_name<'a>(request: &'a Request) -> impl Iterator<Item = &'a str> {
    let chosen: Vec<&'a str> = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => vec![name],
        Some(ToolChoice::Among { names, .. }) => names.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let said =
        request.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.body {
            Body::Call(call) => Some(call.name.as_str()),
            Body::Outcome(outcome) => outcome.name.as_deref(),
            _ => None,
        });
    request.tools.iter().filter_map(function_name).chain(chosen).chain(said)
}

fn each_name_mut(request: &mut Request, change: &mut dyn FnMut(&mut String)) {
    for tool in &mut request.tools {
        if let ToolKind::Function { name, .. } = &mut tool.kind {
            change(name);
        }
    }
    match &mut request.tool_choice {
        Some(ToolChoice::Named(name)) => change(name),
        Some(ToolChoice::Among { names, .. }) => names.iter_mut().for_each(&mut *change),
        _ => {}
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.body {
            Body::Call(call) => change(&mut call.name),
            Body::Outcome(outcome) => {
                if let Some(name) = &mut outcome.name {
                    change(name);
                }
            }
            _ => {}
        }
    }
}

/// What every model of a dialect's maker takes, where nobody said more.
fn usual_rule(protocol: Protocol) -> Option<NameRule> {
    let rule =
        |max, also: &str, letter_first| NameRule { max, also: also.to_owned(), letter_first };
    match protocol {
        Protocol::Dialect(Dialect::Gemini) => Some(rule(64, ".:", true)),
        Protocol::Dialect(Dialect::Anthropic) => Some(rule(128, "", false)),
        Protocol::Bedrock => Some(rule(64, "", false)),
        Protocol::Dialect(Dialect::OpenAiChat | Dialect::OpenAiResponses) => None,
    }
}

/// Names as the maker takes them.
pub(super) fn respell(draft: &mut Draft<'_>, model: &TargetModel<'_>, names: &mut Names) {
    let usual = usual_rule(model.protocol);
    let Some(rule) = model.facts.tool_name.as_ref().or(usual.as_ref()) else { return };
    if each_name(&draft.request).all(|name| rule.takes(name)) {
        return;
    }
    each_name_mut(draft.edit(), &mut |name| {
        if let Cow::Owned(new) = respelled(name, rule) {
            let sent = std::mem::replace(name, new.clone());
            if !names.0.contains_key(&new) {
                names.respell(&sent, new);
            }
        }
    });
    draft.respell(&["tool_choice", "toolConfig", "tool_config", "functions", "function_call"]);
}

/// Ids of calls where a maker takes letters and digits alone, so many of them (Mistral: nine), or no
/// long ones (`OpenAI`: up to 40 characters).
pub(super) fn call_ids(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let exact = model.facts.call_id_length;
    let (length, most) = match (exact, model.facts.call_id_max) {
        (Some(length), _) => (length, length),
        (None, Some(most)) => (most.min(24), most),
        (None, None) => return,
    };
    let fits = |id: &str| match exact {
        Some(length) => id.len() == length && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        None => id.len() <= most,
    };
    let short = |id: &str| -> String {
        let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
        hash(id).iter().take(length).map(letter).collect()
    };
    // A dialect without ids (Gemini's) is given some here, where they have to be of a form.
    let needed = |id: &Option<String>| match id {
        Some(id) => !fits(id),
        None => exact.is_some(),
    };
    let changes = |part: &Part| match &part.body {
        Body::Call(call) => needed(&call.id),
        Body::Outcome(outcome) => needed(&outcome.call_id),
        _ => false,
    };
    if !draft.request.turns.iter().flat_map(|turn| &turn.parts).any(changes) {
        return;
    }
    if exact.is_some()
        && let Cow::Owned(turns) = paired(&draft.request.turns)
    {
        draft.edit().turns = turns;
    }
    for part in draft.edit().turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        let id = match &mut part.body {
            Body::Call(call) => &mut call.id,
            Body::Outcome(outcome) => &mut outcome.call_id,
            _ => continue,
        };
        if let Some(long) = id.as_deref().filter(|id| !fits(id)) {
            *id = Some(short(long));
        }
    }
}
