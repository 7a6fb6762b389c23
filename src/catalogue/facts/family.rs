//! Families of models: facts for a pattern over names, so that a model which no file lists has
//! those of its kin.

use serde::{Deserialize, Serialize};

use super::FactsEntry;
use crate::wire::images;

/// A `[[families]]` entry of a provider's file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Names of models, where `*` stands for anything: `claude-opus-*`.
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
    #[serde(default)]
    pub facts: FactsEntry,
    /// What those that draw take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<images::ImagesRules>,
}

/// All families, wider before narrower: each is laid over those before it.
#[derive(Debug, Clone, Default)]
pub struct Families(Vec<Family>);

/// Whether a name is as a pattern says; case does not matter.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for piece in pieces {
        if let Some(piece) = last.replace(piece) {
            let piece: &str = piece;
            match rest.find(piece) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

/// A provider's name for a model without what it puts before it: `us.anthropic.claude-opus-5` and
/// `anthropic/claude-opus-5` are `claude-opus-5`.
fn bare(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    for maker in ["anthropic.", "openai.", "meta.", "amazon.", "mistral.", "deepseek.", "qwen."] {
        if let Some((_, rest)) = name.split_once(maker) {
            return rest.to_owned();
        }
    }
    name
}

impl Families {
    #[must_use]
    pub fn new(all: Vec<Family>) -> Self {
        Self(all)
    }

    /// What the families of a name say of it, together.
    #[must_use]
    pub fn of(&self, name: &str) -> FactsEntry {
        let name = bare(name);
        let mut facts = FactsEntry::default();
        for family in &self.0 {
            if family.patterns.iter().any(|pattern| matches(pattern, &name)) {
                facts.lay(&family.facts);
            }
        }
        facts
    }

    /// What models of this name take, if they draw: the narrowest word of it.
    #[must_use]
    pub fn images(&self, name: &str) -> Option<&images::ImagesRules> {
        let name = bare(name);
        let fits = |family: &&Family| family.patterns.iter().any(|one| matches(one, &name));
        self.0.iter().rev().filter(fits).find_map(|family| family.images.as_ref())
    }

    /// Whether anything is known of a name's kin.
    #[must_use]
    pub fn know(&self, name: &str) -> bool {
        let name = bare(name);
        self.0.iter().any(|family| family.patterns.iter().any(|one| matches(one, &name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_written() {
        for (pattern, name, fits) in [
            ("claude-opus-*", "claude-opus-5-6", true),
            ("claude-*-4-7", "claude-opus-4-7", true),
            ("claude-*-4-7", "claude-opus-4-75", false),
            ("*", "", true),
            ("gpt-5", "gpt-5.1", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abab", false),
            ("*-pro", "-pro", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert_eq!(bare("us.anthropic.claude-opus-5"), "claude-opus-5");
        assert_eq!(bare("accounts/fireworks/models/GLM-5"), "glm-5");
    }
}
