//! Tools that OpenAI's Responses alone groups under a name, or brings along in the conversation
//! (Codex sends its MCP servers so), laid flat for everybody else.

use serde_json::Value;

use super::draft::{Draft, TargetModel};
use super::names::Names;
use crate::wire::openai_responses::tools_within;
use crate::wire::vocab::{Body, Dialect, Part, Protocol, Tool, ToolKind};

const FROM: Dialect = Dialect::OpenAiResponses;

/// Items of a conversation that hold tools, and those that only speak of looking for some.
const BRINGING: [&str; 2] = ["additional_tools", "tool_search_output"];
const LOOKING: &str = "tool_search_call";

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The group and the search are only ways to offer tools.
fn is_grouped(tool: &Tool) -> bool {
    let ToolKind::Opaque(FROM, value) = &tool.kind else { return false };
    ["namespace", "tool_search"].contains(&kind(value))
}

fn speaks_of_tools(part: &Part) -> bool {
    let Body::Opaque(FROM, value) = &part.body else { return false };
    BRINGING.contains(&kind(value)) || kind(value) == LOOKING
}

/// The name that a tool of a group goes by where there are no groups.
fn flat(group: &str, name: &str) -> String {
    if name.starts_with(group) { name.to_owned() } else { format!("{group}__{name}") }
}

/// The group of a call in the history.
fn group(part: &Part) -> Option<&str> {
    part.extra.get(FROM, "namespace").and_then(Value::as_str)
}

pub(super) fn lay_flat(draft: &mut Draft<'_>, model: &TargetModel<'_>, names: &mut Names) {
    if model.protocol == Protocol::Dialect(FROM) || draft.request.from != Some(FROM) {
        return;
    }
    let parts = || draft.request.turns.iter().flat_map(|turn| &turn.parts);
    let grouped = draft.request.tools.iter().any(is_grouped);
    if !grouped && !parts().any(|part| speaks_of_tools(part) || group(part).is_some()) {
        return;
    }
    let request = draft.edit();
    let mut offered = std::mem::take(&mut request.tools);
    for turn in &mut request.turns {
        let brought = turn.parts.extract_if(.., |part| speaks_of_tools(part));
        for part in brought {
            if let Body::Opaque(_, value) = &part.body {
                offered.extend(tools_within(value));
            }
        }
        for part in &mut turn.parts {
            let Some(group) = group(part).map(str::to_owned) else { continue };
            if let Body::Call(call) = &mut part.body {
                call.name = flat(&group, &call.name);
            }
            part.extra.strike("namespace");
        }
    }
    request.turns.retain(|turn| !turn.parts.is_empty());
    let mut all: Vec<Tool> = Vec::with_capacity(offered.len());
    let mut searched = false;
    for tool in offered {
        let ToolKind::Opaque(FROM, value) = &tool.kind else {
            add(&mut all, tool);
            continue;
        };
        match kind(value) {
            "namespace" => {
                let group = value.get("name").and_then(Value::as_str).unwrap_or_default();
                for mut inner in tools_within(value) {
                    if let ToolKind::Function { name, .. } = &mut inner.kind {
                        let own = std::mem::take(name);
                        *name = flat(group, &own);
                        names.group(name.clone(), own, group);
                    }
                    add(&mut all, inner);
                }
            }
            // All tools are there, so nobody has to look for one.
            "tool_search" => searched = true,
            _ => all.push(tool),
        }
    }
    request.tools = all;
    if searched {
        draft.losses.dropped("tools.tool_search");
    }
}

/// Each name once: what a search has found may be offered as well.
fn add(all: &mut Vec<Tool>, tool: Tool) {
    let known = |one: &Tool| tool.name().is_some() && one.name() == tool.name();
    if !all.iter().any(known) {
        all.push(tool);
    }
}
