//! A rule that can be applied: what it finds in texts, and what becomes of them.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use tokio::runtime::Handle;

use super::entry::{DetectorKind, GuardrailEntry, RuleAction, TextSide};
use super::moderation::Moderation;
use super::webhook::Webhook;
use super::{Finding, Stage};
use crate::base::egress::Egress;

/// Bounds of what a rule may be made of: compiled, it is at most some megabytes.
const MOST_PATTERNS: usize = 100;
const PATTERN_BYTES: usize = 2_000;
const MOST_WORDS: usize = 2_000;
const WORD_BYTES: usize = 200;
const COMPILED_BYTES: usize = 8 << 20;
const NAME_BYTES: usize = 40;
/// What is held back of a stream for a pattern without a longest match, and at most.
const WINDOW: usize = 256;
const MOST_WINDOW: usize = 4_096;

/// How a rule finds something, ready to be run.
#[derive(Debug)]
pub enum Detector {
    Pattern(Regex),
    Webhook(Webhook),
    Moderation(Moderation),
}

impl Detector {
    /// Whether somebody else is asked.
    #[must_use]
    pub fn asks(&self) -> bool {
        !matches!(self, Self::Pattern(_))
    }
}

/// A rule that holds for some requests.
#[derive(Debug)]
pub struct Rule {
    pub name: Arc<str>,
    pub action: RuleAction,
    pub always: bool,
    pub by: Detector,
    /// What stands in the place of what was found: `[NAME]`.
    pub label: String,
    /// No match is longer, in bytes; one that has no longest is found as far as it is in this.
    pub window: usize,
    on: TextSide,
    /// All that it says, for telling sets of rules apart.
    pub(super) mark: String,
}

/// Texts that a model reads as one: the parts of a message.
pub type Texts<'a> = Vec<&'a mut String>;

impl Rule {
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of(
        entry: &GuardrailEntry,
        egress: &Egress,
        runtime: Option<&Handle>,
    ) -> Result<Self, String> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if entry.name.is_empty() || entry.name.len() > NAME_BYTES || !entry.name.bytes().all(plain)
        {
            return Err(format!(
                "a rule has a name of at most {NAME_BYTES} small letters, digits, '-' and '_'"
            ));
        }
        let only = |kind: DetectorKind, is_set: bool, what: &str| {
            if entry.kind == kind || !is_set {
                return Ok(());
            }
            Err(format!("{what} says nothing of a rule of this kind"))
        };
        only(DetectorKind::Patterns, !entry.patterns.is_empty(), "'patterns'")?;
        only(DetectorKind::Words, !entry.words.is_empty(), "'words'")?;
        only(DetectorKind::Webhook, entry.url.is_some(), "'url'")?;
        for (what, is_set) in [
            ("'provider'", entry.provider.is_some()),
            ("'model'", entry.model.is_some()),
            ("'categories'", !entry.categories.is_empty()),
            ("'threshold'", entry.threshold.is_some()),
        ] {
            only(DetectorKind::Moderation, is_set, what)?;
        }
        let (by, window) = match entry.kind {
            DetectorKind::Patterns => pattern(&alternatives(&entry.patterns)?, entry.window)?,
            DetectorKind::Words => pattern(&words(&entry.words)?, entry.window)?,
            DetectorKind::Webhook => (Detector::Webhook(Webhook::of(entry, egress, runtime)?), 0),
            DetectorKind::Moderation => (Detector::Moderation(Moderation::of(entry)?), 0),
        };
        // An entry is words and numbers, which can always be written.
        let mark = serde_json::to_string(entry).unwrap_or_default();
        Ok(Self {
            name: entry.name.as_str().into(),
            action: entry.action,
            always: entry.always.unwrap_or(true),
            by,
            label: label(&entry.name),
            window,
            on: entry.on,
            mark,
        })
    }

    /// The strings that a webhook wants masked, as a rule of its own name.
    ///
    /// # Errors
    /// Where there are too many of them.
    pub fn masking(&self, strings: &[String]) -> Result<Self, String> {
        let all: Vec<String> =
            strings.iter().filter(|one| !one.is_empty()).map(|one| regex::escape(one)).collect();
        if all.is_empty() {
            return Err("it names nothing to be masked".to_owned());
        }
        let longest = strings.iter().map(String::len).max().unwrap_or(0);
        Ok(Self {
            name: Arc::clone(&self.name),
            action: RuleAction::Mask,
            always: self.always,
            by: Detector::Pattern(compiled(&all.join("|"))?),
            label: self.label.clone(),
            window: longest,
            on: self.on,
            mark: String::new(),
        })
    }

    #[must_use]
    pub fn holds_at(&self, stage: Stage) -> bool {
        match self.on {
            TextSide::Both => true,
            TextSide::Input => stage == Stage::Input,
            TextSide::Output => stage == Stage::Output,
        }
    }

    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding { rule: Arc::clone(&self.name), verdict: self.action.into() }
    }

    /// Looks through texts, and masks what it finds where it is to be masked; whether there was
    /// anything.
    pub fn apply(&self, texts: &mut Texts<'_>) -> bool {
        let Detector::Pattern(pattern) = &self.by else { return false };
        // Of one text, nothing has to be put together.
        if let [text] = texts.as_mut_slice() {
            if !pattern.is_match(text) {
                return false;
            }
            if self.action == RuleAction::Mask {
                **text = pattern.replace_all(text, regex::NoExpand(&self.label)).into_owned();
            }
            return true;
        }
        let joined: String = texts.iter().map(|text| text.as_str()).collect();
        if !pattern.is_match(&joined) {
            return false;
        }
        if self.action == RuleAction::Mask {
            mask_across(texts, &joined, pattern, &self.label);
        }
        true
    }
}

/// Replaces each match of the joined texts; what stands for one is in the text in which it begins.
fn mask_across(texts: &mut Texts<'_>, joined: &str, pattern: &Regex, label: &str) {
    let found: Vec<(usize, usize)> =
        pattern.find_iter(joined).map(|one| (one.start(), one.end())).collect();
    let mut begin = 0;
    for text in texts.iter_mut() {
        let end = begin + text.len();
        let mut clean = String::with_capacity(text.len());
        let mut at = begin;
        for (from, to) in found.iter().filter(|(from, to)| *from < end && *to > begin) {
            clean.push_str(joined.get(at..*from).unwrap_or_default());
            if *from >= begin {
                clean.push_str(label);
            }
            at = (*to).clamp(at, end);
        }
        clean.push_str(joined.get(at..end).unwrap_or_default());
        **text = clean;
        begin = end;
    }
}

fn label(name: &str) -> String {
    format!("[{}]", name.to_ascii_uppercase().replace('-', "_"))
}

fn alternatives(patterns: &[String]) -> Result<String, String> {
    if patterns.is_empty() {
        return Err("'patterns' holds none".to_owned());
    }
    if patterns.len() > MOST_PATTERNS || patterns.iter().any(|one| one.len() > PATTERN_BYTES) {
        return Err(format!(
            "a rule has at most {MOST_PATTERNS} patterns of at most {PATTERN_BYTES} bytes"
        ));
    }
    for one in patterns {
        compiled(one).map_err(|why| format!("the pattern '{one}' cannot be used: {why}"))?;
    }
    let all: Vec<String> = patterns.iter().map(|one| format!("(?:{one})")).collect();
    Ok(all.join("|"))
}

fn words(words: &[String]) -> Result<String, String> {
    let all: Vec<&str> = words.iter().map(|one| one.trim()).filter(|one| !one.is_empty()).collect();
    if all.is_empty() {
        return Err("'words' holds none".to_owned());
    }
    if all.len() > MOST_WORDS || all.iter().any(|one| one.len() > WORD_BYTES) {
        return Err(format!("a rule has at most {MOST_WORDS} words of at most {WORD_BYTES} bytes"));
    }
    let is_word = |one: Option<char>| one.is_some_and(|one| one.is_alphanumeric() || one == '_');
    let each = all.iter().map(|word| {
        // A boundary is one only where a word ends at it.
        let before = if is_word(word.chars().next()) { r"\b" } else { "" };
        let behind = if is_word(word.chars().next_back()) { r"\b" } else { "" };
        let inner: Vec<String> = word.split_whitespace().map(regex::escape).collect();
        format!("{before}{}{behind}", inner.join(r"\s{1,4}"))
    });
    Ok(format!("(?i:{})", each.collect::<Vec<_>>().join("|")))
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|why| why.to_string().replace('\n', " "))
}

/// A pattern, and the most bytes that a match of it may have.
fn pattern(text: &str, window: Option<usize>) -> Result<(Detector, usize), String> {
    let wanted = window.unwrap_or(WINDOW);
    if !(1..=MOST_WINDOW).contains(&wanted) {
        return Err(format!("'window' is a number of bytes from 1 to {MOST_WINDOW}"));
    }
    let regex = compiled(text)?;
    let parsed = regex_syntax::parse(text).map_err(|why| why.to_string())?;
    let properties = parsed.properties();
    if properties.minimum_len().unwrap_or(0) == 0 {
        return Err("a pattern that matches nothing at all is found everywhere".to_owned());
    }
    let window = properties.maximum_len().filter(|most| *most <= MOST_WINDOW).unwrap_or(wanted);
    Ok((Detector::Pattern(regex), window))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn rule(name: &str, action: RuleAction, patterns: &[&str]) -> Rule {
        let patterns = patterns.iter().map(|one| (*one).to_owned()).collect();
        let entry =
            GuardrailEntry { name: name.to_owned(), action, patterns, ..GuardrailEntry::default() };
        Rule::of(&entry, &Egress::default(), None).unwrap()
    }

    pub fn of_words(name: &str, action: RuleAction, words: &[&str]) -> Rule {
        let words = words.iter().map(|one| (*one).to_owned()).collect();
        let kind = DetectorKind::Words;
        let entry = GuardrailEntry {
            name: name.to_owned(),
            kind,
            action,
            words,
            ..GuardrailEntry::default()
        };
        Rule::of(&entry, &Egress::default(), None).unwrap()
    }

    fn masked(rule: &Rule, texts: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = texts.iter().map(|one| (*one).to_owned()).collect();
        let mut group: Texts<'_> = all.iter_mut().collect();
        rule.apply(&mut group);
        all
    }

    #[test]
    fn words_are_found_whole_in_any_case_and_over_a_line_end() {
        let rule = of_words("deny", RuleAction::Mask, &["Blue  Harvest", "c++", "año"]);
        assert_eq!(masked(&rule, &["of blue\nHARVEST."]), ["of [DENY]."]);
        assert_eq!(
            masked(&rule, &["C++ AÑO años blueharvest"]),
            ["[DENY] [DENY] años blueharvest"]
        );
    }

    #[test]
    fn what_is_split_over_parts_of_a_message_is_found() {
        let rule = rule("card-no", RuleAction::Mask, &[r"\d{4}-\d{4}"]);
        assert_eq!(masked(&rule, &["a 12", "34-56", "78 b"]), ["a [CARD_NO]", "", " b"]);
        assert_eq!(masked(&rule, &["1234-5678", " 1234-5678"]), ["[CARD_NO]", " [CARD_NO]"]);
        assert_eq!(masked(&rule, &["1234", "5678"]), ["1234", "5678"]);
    }

    #[test]
    fn a_slip_is_told_of_with_what_is_allowed() {
        let fault = |entry: GuardrailEntry| {
            let entry = GuardrailEntry { name: "a".to_owned(), ..entry };
            Rule::of(&entry, &Egress::default(), None).unwrap_err()
        };
        let patterns = |one: &str| GuardrailEntry {
            patterns: vec![one.to_owned()],
            ..GuardrailEntry::default()
        };
        for (entry, wanted) in [
            (GuardrailEntry::default(), "holds none"),
            (patterns("(a"), "cannot be used"),
            (patterns("a*"), "found everywhere"),
            (patterns(r"\b"), "found everywhere"),
            (patterns(r"(\w{1000}){1000}"), "cannot be used"),
            (GuardrailEntry { window: Some(0), ..patterns("a+") }, "from 1 to"),
            (GuardrailEntry { kind: DetectorKind::Words, ..patterns("a") }, "says nothing"),
            (GuardrailEntry { kind: DetectorKind::Webhook, ..GuardrailEntry::default() }, "'url'"),
        ] {
            let why = fault(entry.clone());
            assert!(why.contains(wanted), "{entry:?}: {why}");
        }
        let unnamed = GuardrailEntry { name: "Über".to_owned(), ..patterns("a") };
        assert!(Rule::of(&unnamed, &Egress::default(), None).is_err());
    }

    #[test]
    fn a_window_is_as_long_as_the_longest_match() {
        assert_eq!(rule("a", RuleAction::Block, &[r"\b[0-9]{4}-[a-z]{2}\b"]).window, 7);
        assert_eq!(rule("a", RuleAction::Block, &[r"\d+"]).window, WINDOW);
    }
}
