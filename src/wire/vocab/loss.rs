//! What an encoding could not say: the names that go into `x-optimux-dropped`.

use std::borrow::Cow;
use std::fmt;

/// One thing that was left out, by the caller's own name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub field: Cow<'static, str>,
    /// Leaving it out changes what the caller gets, so that a model which cannot do it is no
    /// candidate, and strict mode refuses.
    pub grave: bool,
}

/// Members of a request without which the answer is not what was asked for: what stands for the
/// prompt or a part of it, and what has the answer made elsewhere or in another form.
const GRAVE: [&str; 8] = [
    "prompt",
    "cachedContent",
    "audio",
    "web_search_options",
    "container",
    "mcp_servers",
    "generationConfig.responseModalities",
    "generationConfig.speechConfig",
];

/// Losses of one encoding, each field once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    pub fn dropped(&mut self, field: impl Into<Cow<'static, str>>) {
        self.add(field.into(), false);
    }

    pub fn dropped_at(&mut self, at: &str, name: &str) {
        let name = name_only(name);
        let grave = at.is_empty() && GRAVE.contains(&name.as_str());
        let field = if at.is_empty() { name } else { format!("{at}.{name}") };
        self.add(field.into(), grave);
    }

    /// Something without which the answer is not what was asked for.
    pub fn lost(&mut self, field: impl Into<Cow<'static, str>>) {
        self.add(field.into(), true);
    }

    /// The same, of a name that the caller chose.
    pub fn lost_at(&mut self, at: &str, name: &str) {
        self.lost(format!("{at}.{}", name_only(name)));
    }

    /// A tool that only another dialect's servers can run.
    pub fn lost_tool(&mut self, tool: &serde_json::Value) {
        // Gemini's have no type, but one member that names them.
        let only = || tool.as_object().and_then(|members| members.keys().next());
        let kind = tool
            .get("type")
            .and_then(serde_json::Value::as_str)
            .or_else(|| only().map(String::as_str))
            .unwrap_or("hosted");
        self.lost(format!("tools.{}", name_only(kind)));
    }

    /// With those of another encoding.
    pub fn extend(&mut self, others: Self) {
        for loss in others.0 {
            self.add(loss.field, loss.grave);
        }
    }

    /// What was named as dropped has been said in another way.
    pub fn carried(&mut self, field: &str) {
        self.0.retain(|loss| loss.field != field);
    }

    fn add(&mut self, field: Cow<'static, str>, grave: bool) {
        // A hostile request may hold thousands of unknown names; the header need not.
        if self.0.len() < 32 && !self.0.iter().any(|loss| loss.field == field) {
            self.0.push(Loss { field, grave });
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn grave(&self) -> Option<&Loss> {
        self.0.iter().find(|loss| loss.grave)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }
}

/// A client chooses these names, and they go into a header: only a name's characters pass.
fn name_only(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "_.-[]".contains(*c)).take(60).collect()
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, loss) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&loss.field)?;
        }
        Ok(())
    }
}
