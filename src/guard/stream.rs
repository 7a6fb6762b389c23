//! A stream under rules: its text goes on as soon as no rule can match it any more, so that what is
//! split over chunks is found all the same. What is found is what would be found in the whole text.

use std::collections::VecDeque;
use std::sync::Arc;

use super::body::inside;
use super::entry::RuleAction;
use super::rule::{Detector, Rule};
use super::{Blocked, Finding};
use crate::wire::vocab::{Body, Delta, Event, Part, Slot};

/// What a boundary of words needs to be seen beside a match, in bytes: the longest character.
const BESIDE: usize = 4;

/// Members of a stream that spell its text once more, in pieces that cannot be held back alike.
const SPELT_AGAIN: [&str; 7] = [
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "logprobs",
    "logprobsResult",
    "avgLogprobs",
];

/// The text of one part, as far as one rule has not let it go.
#[derive(Debug, Default)]
struct Window {
    /// What is held, behind a little of what has gone: a boundary is seen from both sides.
    text: String,
    /// Where what is held begins.
    held: usize,
}

impl Window {
    /// Takes in more; what can go is added to `out`. Whether something was found.
    fn push(
        &mut self,
        rule: &Rule,
        more: &str,
        last: bool,
        out: &mut String,
    ) -> Result<bool, Blocked> {
        let Detector::Pattern(pattern) = &rule.by else {
            out.push_str(more);
            return Ok(false);
        };
        self.text.push_str(more);
        let all = self.text.len();
        // A match that begins before here is seen whole, with what is beside it.
        let sure =
            if last { all } else { floor(&self.text, all.saturating_sub(rule.window + BESIDE)) };
        let mut found = false;
        while self.held < sure {
            let next = pattern.find_at(&self.text, self.held).filter(|one| one.start() < sure);
            let (start, end) = next.map_or((sure, sure), |one| (one.start(), one.end()));
            out.push_str(self.text.get(self.held..start).unwrap_or_default());
            self.held = end;
            if next.is_some() {
                found = true;
                match rule.action {
                    RuleAction::Block => return Err(Blocked { rule: Arc::clone(&rule.name) }),
                    RuleAction::Mask => out.push_str(&rule.label),
                    RuleAction::Flag => {
                        out.push_str(self.text.get(start..end).unwrap_or_default());
                    }
                }
            }
        }
        let keep = floor(&self.text, self.held.saturating_sub(2 * BESIDE));
        self.text.drain(..keep);
        self.held -= keep;
        Ok(found)
    }
}

/// The nearest beginning of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A part on its way: a window per rule, each fed by the one before.
#[derive(Debug)]
struct Lane {
    at: Slot,
    arguments: bool,
    thinks: bool,
    /// Its text is not what the model said.
    masked: bool,
    windows: Vec<Window>,
}

/// The rules that a stream is under, and what they hold back of it.
#[derive(Debug)]
pub struct Filter {
    rules: Vec<Arc<Rule>>,
    lanes: VecDeque<Lane>,
    findings: Vec<Finding>,
}

impl Filter {
    /// Rules that ask somebody else find nothing here.
    #[must_use]
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        Self { rules, lanes: VecDeque::new(), findings: Vec::new() }
    }

    /// What was found since this was last asked, each rule once.
    pub fn found(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The events that a frame stands for; those that can go are added to `out`.
    ///
    /// # Errors
    /// The rule that keeps the stream from going on.
    pub fn take(&mut self, events: Vec<Event>, out: &mut Vec<Event>) -> Result<(), Blocked> {
        for event in events {
            self.event(event, out)?;
        }
        Ok(())
    }

    /// Nothing more comes: what is held can go.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Blocked> {
        while let Some(at) = self.lanes.front().map(|lane| lane.at) {
            self.close(at, out)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Blocked> {
        match event {
            Event::PartOpen { at, part } => return self.open(at, part, out),
            Event::Delta { at, delta: Delta::Text(more) } => {
                self.lane(at, false);
                return self.push(at, &more, false, out);
            }
            Event::Delta { at, delta: Delta::Arguments(more) } => {
                self.lane(at, true);
                return self.push(at, &more, false, out);
            }
            Event::Delta { at, delta: Delta::Signature(signature) } => {
                let thought = self.lanes.iter().find(|lane| lane.at == at && lane.thinks);
                if thought.is_some() {
                    self.push(at, "", true, out)?;
                    // It proves what the model said, which is no longer there.
                    if self.lanes.iter().any(|lane| lane.at == at && lane.masked) {
                        return Ok(());
                    }
                }
                out.push(Event::Delta { at, delta: Delta::Signature(signature) });
            }
            Event::Delta { at, delta: Delta::Opaque(mut value) } => {
                self.whole(&mut value)?;
                out.push(Event::Delta { at, delta: Delta::Opaque(value) });
            }
            Event::PartClose { at, extra } => {
                self.close(at, out)?;
                out.push(Event::PartClose { at, extra });
            }
            Event::Extra { scope, mut extra } => {
                extra.forget(&SPELT_AGAIN);
                if !extra.is_empty() {
                    out.push(Event::Extra { scope, extra });
                }
            }
            Event::Finish { choice, finish } => {
                let of_it = |lane: &&Lane| lane.at.choice == choice;
                while let Some(at) = self.lanes.iter().find(of_it).map(|lane| lane.at) {
                    self.close(at, out)?;
                }
                out.push(Event::Finish { choice, finish });
            }
            other => out.push(other),
        }
        Ok(())
    }

    /// What comes for a part that is not open is held like the rest.
    fn lane(&mut self, at: Slot, arguments: bool) {
        if !self.lanes.iter().any(|lane| lane.at == at) {
            self.lanes.push_back(self.fresh(at, arguments, false));
        }
    }

    fn fresh(&self, at: Slot, arguments: bool, thinks: bool) -> Lane {
        let windows = self.rules.iter().map(|_| Window::default()).collect();
        Lane { at, arguments, thinks, masked: false, windows }
    }

    fn open(&mut self, at: Slot, mut part: Part, out: &mut Vec<Event>) -> Result<(), Blocked> {
        self.close(at, out)?;
        let (mut arguments, mut thinks) = (false, false);
        let first = match &mut part.body {
            Body::Text(text) | Body::Refusal(text) => std::mem::take(text),
            Body::Thought(thought) => {
                // What spells it once more is left out: it is written from its text alone.
                (thought.spelled, thinks) = (false, true);
                std::mem::take(&mut thought.text)
            }
            Body::Call(call) => {
                arguments = true;
                call.arguments.as_mut().map(std::mem::take).unwrap_or_default()
            }
            Body::Opaque(_, value) => {
                self.whole(value)?;
                String::new()
            }
            Body::Media(_) | Body::Outcome(_) => String::new(),
        };
        self.lanes.push_back(self.fresh(at, arguments, thinks));
        let signature = if thinks && !first.is_empty() { part.signature.take() } else { None };
        out.push(Event::PartOpen { at, part });
        if first.is_empty() {
            return Ok(());
        }
        self.push(at, &first, signature.is_some(), out)?;
        let masked = self.lanes.iter().any(|lane| lane.at == at && lane.masked);
        if let Some(signature) = signature.filter(|_| !masked) {
            out.push(Event::Delta { at, delta: Delta::Signature(signature) });
        }
        Ok(())
    }

    /// More of a part's text, through every rule.
    fn push(
        &mut self,
        at: Slot,
        more: &str,
        last: bool,
        out: &mut Vec<Event>,
    ) -> Result<(), Blocked> {
        let Self { rules, lanes, findings } = self;
        // The newest part of that slot: a dialect may number a later part alike.
        let Some(lane) = lanes.iter_mut().rev().find(|lane| lane.at == at) else { return Ok(()) };
        let mut text = more.to_owned();
        for (rule, window) in rules.iter().zip(&mut lane.windows) {
            let mut through = String::new();
            let found = window.push(rule, &text, last, &mut through);
            if found.as_ref().map_or(true, |found| *found) {
                note(findings, rule);
            }
            lane.masked |= found? && rule.action == RuleAction::Mask;
            text = through;
        }
        if !text.is_empty() {
            let delta = if lane.arguments { Delta::Arguments(text) } else { Delta::Text(text) };
            out.push(Event::Delta { at, delta });
        }
        Ok(())
    }

    fn close(&mut self, at: Slot, out: &mut Vec<Event>) -> Result<(), Blocked> {
        if let Some(index) = self.lanes.iter().rposition(|lane| lane.at == at) {
            self.push(at, "", true, out)?;
            self.lanes.remove(index);
        }
        Ok(())
    }

    /// What comes in one piece, and only its own dialect knows.
    fn whole(&mut self, value: &mut serde_json::Value) -> Result<(), Blocked> {
        for texts in &mut inside(value) {
            for rule in &self.rules {
                if rule.apply(texts) {
                    note(&mut self.findings, rule);
                    if rule.action == RuleAction::Block {
                        return Err(Blocked { rule: Arc::clone(&rule.name) });
                    }
                }
            }
        }
        Ok(())
    }
}

fn note(findings: &mut Vec<Finding>, rule: &Rule) {
    let finding = rule.finding();
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::tests::{of_words, rule};
    use super::*;
    use crate::wire::vocab::{Extra, Fold, Stop};

    /// A whole text as a stream under these rules leaves it.
    fn masked(rules: &[Arc<Rule>], text: &str) -> String {
        rules.iter().fold(text.to_owned(), |text, rule| match (&rule.by, rule.action) {
            (Detector::Pattern(pattern), RuleAction::Mask) => {
                pattern.replace_all(&text, regex::NoExpand(&rule.label)).into_owned()
            }
            _ => text,
        })
    }

    const AT: Slot = Slot { choice: 0, part: 0 };

    /// What is left of a text that comes in these pieces.
    fn through(rules: &[Arc<Rule>], pieces: &[&str]) -> Result<(String, Vec<Finding>), String> {
        let (mut filter, mut out) = (Filter::new(rules.to_vec()), Vec::new());
        let mut told = String::new();
        let open = Event::PartOpen { at: AT, part: Part::text("") };
        let deltas =
            pieces.iter().map(|one| Event::Delta { at: AT, delta: Delta::Text((*one).to_owned()) });
        let close = Event::PartClose { at: AT, extra: Extra::NONE };
        for event in std::iter::once(open).chain(deltas).chain([close]) {
            let went = filter.take(vec![event], &mut out);
            for event in out.drain(..) {
                if let Event::Delta { delta: Delta::Text(text), .. } = event {
                    told.push_str(&text);
                }
            }
            if went.is_err() {
                return Err(told);
            }
        }
        Ok((told, filter.found()))
    }

    fn rules(action: RuleAction) -> Vec<Arc<Rule>> {
        vec![
            Arc::new(rule("card", action, &[r"\b\d{4}[ -]?\d{4}\b", "é{2}"])),
            Arc::new(of_words("deny", action, &["blue harvest", "zz"])),
        ]
    }

    #[test]
    fn every_cut_of_a_text_is_masked_alike() {
        let rules = rules(RuleAction::Mask);
        let text = "My 1234-5678, éé, Blue\nHarvest; x1234 56789 zz 1234 5678";
        let wanted = masked(&rules, text);
        assert_eq!(wanted, "My [CARD], [CARD], [DENY]; x1234 56789 [DENY] [CARD]");
        let cuts: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        for (index, one) in cuts.iter().enumerate() {
            for other in &cuts[index..] {
                let pieces = [&text[..*one], &text[*one..*other], &text[*other..]];
                assert_eq!(through(&rules, &pieces).unwrap().0, wanted, "{pieces:?}");
            }
        }
    }

    #[test]
    fn one_character_at_a_time_is_flagged_and_goes_on_whole() {
        let rules = rules(RuleAction::Flag);
        let text = "a 1234-5678 b blue harvest c";
        let pieces: Vec<String> = text.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (told, found) = through(&rules, &pieces).unwrap();
        assert_eq!(told, text);
        assert_eq!(found.len(), 2);
    }

    proptest! {
        #[test]
        fn streams_are_masked_as_whole_texts_are(
            pieces in proptest::collection::vec("[ 1234é z\\-bluehrvst]{0,12}", 0..12),
        ) {
            let rules = rules(RuleAction::Mask);
            let all: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(through(&rules, &all).unwrap().0, masked(&rules, &pieces.concat()));
        }

        #[test]
        fn nothing_of_what_blocks_is_told(
            before in "[a-y ]{0,40}",
            behind in "[a-y ]{0,40}",
            cut in 0_usize..80,
        ) {
            let rules = vec![Arc::new(rule("secret", RuleAction::Block, &["Z[0-9]{6}Z"]))];
            let text = format!("{before}Z123456Z{behind}");
            let (one, other) = text.split_at(cut.min(text.len()));
            let told = through(&rules, &[one, other]).unwrap_err();
            prop_assert!(before.starts_with(&told), "{}", told);
        }
    }

    #[test]
    fn thoughts_calls_and_finishes_let_go_of_what_is_held() {
        let rules = vec![Arc::new(rule("pin", RuleAction::Mask, &[r"\d{4}"]))];
        let (mut filter, mut out) = (Filter::new(rules), Vec::new());
        let slot = |part| Slot { choice: 0, part };
        let call = crate::wire::vocab::ToolCall {
            id: None,
            name: "f".to_owned(),
            arguments: None,
            kind: crate::wire::vocab::CallKind::Function,
        };
        let thought = Part::new(Body::Thought(crate::wire::vocab::Thought::default()));
        let signature = crate::wire::vocab::Signature {
            by: crate::wire::vocab::Dialect::Anthropic,
            value: "proof".to_owned(),
        };
        let text = |at, text: &str| Event::Delta { at, delta: Delta::Text(text.to_owned()) };
        let more = |at, text: &str| Event::Delta { at, delta: Delta::Arguments(text.to_owned()) };
        let events = vec![
            Event::PartOpen { at: slot(0), part: thought },
            text(slot(0), "12"),
            text(slot(0), "34"),
            Event::Delta { at: slot(0), delta: Delta::Signature(signature) },
            Event::PartOpen { at: slot(1), part: Part::new(Body::Call(call)) },
            more(slot(1), "{\"a\":\"98"),
            more(slot(1), "76\"}"),
            Event::Finish { choice: 0, finish: crate::wire::vocab::Finish::of(Stop::ToolCalls) },
        ];
        filter.take(events, &mut out).unwrap();
        let mut fold = Fold::new();
        for event in &out {
            fold.push(event);
        }
        let (reply, _) = fold.finish();
        let parts = &reply.choices[0].turn.parts;
        let Body::Thought(thought) = &parts[0].body else { panic!("{parts:?}") };
        assert_eq!(thought.text, "[PIN]");
        assert_eq!(parts[0].signature, None, "it proves nothing that is said");
        let Body::Call(call) = &parts[1].body else { panic!("{parts:?}") };
        assert_eq!(call.arguments.as_deref(), Some("{\"a\":\"[PIN]\"}"));
        assert!(matches!(out.last(), Some(Event::Finish { .. })));
    }
}
