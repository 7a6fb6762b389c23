//! Everyday prompts that people have rated: what each takes, not which model did well.

use std::path::PathBuf;

use serde::Deserialize;

use super::data::{DataError, group, read_lines};
use crate::router::neural::Prompt;
use crate::router::{form, question};
use crate::wire::vocab::{Extra, Format, Part, Request, Role, Tool, ToolKind, Turn};

/// A prompt and its rating.
#[derive(Debug, Clone)]
pub struct Daily {
    pub id: String,
    pub request: Request,
    /// The class of models it takes, from 1 to 5.
    pub need: f32,
    /// What thinking first adds, from 0 to 2.
    pub think: f32,
    /// Tokens of a good answer.
    pub tokens: f32,
    /// Prompts of one group are alike.
    pub group: u64,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    prompt: String,
    #[serde(default)]
    system: String,
    #[serde(default)]
    history: Vec<Said>,
    #[serde(default)]
    tools: usize,
    #[serde(default)]
    json: bool,
    need: f32,
    #[serde(default)]
    think: f32,
    tokens_out: f32,
}

fn turn(role: Role, text: &str) -> Turn {
    Turn::new(role, vec![Part::text(text)])
}

impl Daily {
    fn of(line: Line) -> Self {
        let mut request = Request::default();
        if !line.system.is_empty() {
            request.turns.push(turn(Role::System, &line.system));
        }
        for said in &line.history {
            let role = match said.role.as_str() {
                "assistant" => Role::Assistant,
                "system" => Role::System,
                "tool" => Role::Tool,
                _ => Role::User,
            };
            request.turns.push(turn(role, &said.content));
        }
        request.turns.push(turn(Role::User, &line.prompt));
        request.tools = (0..line.tools).map(tool).collect();
        request.format = line.json.then_some(Format::Json);
        Self {
            group: group(&line.prompt),
            id: line.id,
            request,
            need: line.need.clamp(1.0, 5.0),
            think: line.think.clamp(0.0, 2.0),
            tokens: line.tokens_out.max(1.0),
        }
    }

    /// Looks at it as the router does.
    pub fn seen<T>(&self, look: impl FnOnce(Prompt<'_>) -> T) -> T {
        let text = question(&self.request);
        look(Prompt { text: &text, tools: self.request.tools.len(), form: form(&self.request) })
    }
}

/// How many tools there are counts, and not which.
fn tool(number: usize) -> Tool {
    let kind = ToolKind::Function {
        name: format!("tool_{number}"),
        description: None,
        parameters: None,
        strict: None,
    };
    Tool { kind, cache: None, extra: Extra::default(), inner: Extra::default() }
}

/// Reads files of rated prompts.
///
/// # Errors
/// [`DataError`] for a file that cannot be read, and for a line that is no rated prompt.
pub fn dailies(paths: &[PathBuf]) -> Result<Vec<Daily>, DataError> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read_lines::<Line>(path)?.into_iter().map(Daily::of));
    }
    Ok(all)
}
