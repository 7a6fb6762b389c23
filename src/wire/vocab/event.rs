//! A stream: what happens, in order, and what it adds up to.

use super::{
    Body, Choice, Citation, ContentShape, Extra, Fault, Finish, Part, Reply, Role, Signature, Turn,
    Usage,
};
use serde_json::Value;

/// A part of one choice, numbered as its dialect numbers them; parts may interleave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    pub choice: u64,
    pub part: u64,
}

/// Where an [`Event::Extra`] belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraScope {
    Reply,
    Choice(u64),
    /// The message of a choice.
    Turn(u64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Open {
        id: Option<String>,
        model: Option<String>,
        created: Option<i64>,
    },
    /// A part begins; what it already holds counts.
    PartOpen {
        at: Slot,
        part: Part,
    },
    Delta {
        at: Slot,
        delta: Delta,
    },
    PartClose {
        at: Slot,
        extra: Extra,
    },
    /// What the vocabulary has no word for.
    Extra {
        scope: ExtraScope,
        extra: Extra,
    },
    Usage(Usage),
    Finish {
        choice: u64,
        finish: Finish,
    },
    Fault(Fault),
    /// Nothing happened, on purpose.
    Ping,
}

impl Event {
    /// A choice ends: well, or by the model's giving up, which is a fault. `told` is what the provider
    /// says of it, or nothing.
    #[must_use]
    pub fn ending(choice: u64, finish: Finish, told: &str) -> Self {
        match finish.fault(told) {
            Some(fault) => Self::Fault(fault),
            None => Self::Finish { choice, finish },
        }
    }
}

impl Reply {
    /// The stream that would have said the same: for a caller who asked for one when the provider
    /// answered at once.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Open {
            id: self.id.clone(),
            model: self.model.clone(),
            created: self.created,
        }];
        for choice in &self.choices {
            for (number, part) in choice.turn.parts.iter().enumerate() {
                let at = Slot { choice: choice.index, part: number as u64 };
                events.push(Event::PartOpen { at, part: part.clone() });
                events.push(Event::PartClose { at, extra: Extra::NONE });
            }
            if let Some(finish) = &choice.finish {
                events.push(Event::Finish { choice: choice.index, finish: finish.clone() });
            }
        }
        events.extend(self.usage.clone().map(Event::Usage));
        events
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// More of a text, a thought or a refusal, whichever the part is.
    Text(String),
    /// More of a call's arguments.
    Arguments(String),
    /// A call's name or id that came after its first fragment.
    CallName(String),
    CallId(String),
    Signature(Signature),
    /// A source of the text.
    Citation(Citation),
    /// Only its own dialect knows.
    Opaque(Value),
}

/// Adds a stream up to the reply it means: the single definition of what events say.
#[derive(Debug, Default)]
pub struct Fold {
    reply: Reply,
    parts: Vec<(Slot, Part)>,
    extras: Vec<(ExtraScope, Extra)>,
    finishes: Vec<(u64, Finish)>,
    fault: Option<Fault>,
}

impl Fold {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, event: &Event) {
        match event {
            Event::Open { id, model, created } => {
                let head = &mut self.reply;
                head.id = head.id.take().or_else(|| id.clone());
                head.model = head.model.take().or_else(|| model.clone());
                head.created = head.created.or(*created);
            }
            Event::PartOpen { at, part } => self.parts.push((*at, part.clone())),
            Event::Delta { at, delta } => {
                // The newest part of that slot: a dialect may number a later part alike.
                if let Some((_, part)) = self.parts.iter_mut().rev().find(|(slot, _)| slot == at) {
                    extend(part, delta);
                }
            }
            Event::PartClose { at, extra } => {
                if let Some((_, part)) = self.parts.iter_mut().rev().find(|(slot, _)| slot == at) {
                    part.extra.absorb(extra);
                }
            }
            Event::Extra { scope, extra } => {
                match self.extras.iter_mut().find(|(known, _)| known == scope) {
                    Some((_, known)) => known.absorb(extra),
                    None => self.extras.push((*scope, extra.clone())),
                }
            }
            Event::Usage(usage) => self.reply.usage = Some(usage.clone()),
            Event::Finish { choice, finish } => {
                self.finishes.retain(|(known, _)| known != choice);
                self.finishes.push((*choice, finish.clone()));
            }
            Event::Fault(fault) => self.fault = Some(fault.clone()),
            Event::Ping => {}
        }
    }

    /// The reply, and the fault that cut it short, if one did.
    #[must_use]
    pub fn finish(self) -> (Reply, Option<Fault>) {
        let mut reply = self.reply;
        let mut choices: Vec<u64> = self
            .parts
            .iter()
            .map(|(slot, _)| slot.choice)
            .chain(self.finishes.iter().map(|(choice, _)| *choice))
            .chain(self.extras.iter().filter_map(|(scope, _)| match scope {
                ExtraScope::Reply => None,
                ExtraScope::Choice(choice) | ExtraScope::Turn(choice) => Some(*choice),
            }))
            .collect();
        choices.sort_unstable();
        choices.dedup();
        let mut parts = self.parts;
        for index in choices {
            let extra_of = |scope: ExtraScope| {
                self.extras
                    .iter()
                    .find(|(known, _)| *known == scope)
                    .map_or(Extra::NONE, |(_, extra)| extra.clone())
            };
            let mine: Vec<Part> = parts
                .extract_if(.., |(slot, _)| slot.choice == index)
                .map(|(_, part)| part)
                .collect();
            let shape = if mine.iter().any(|part| matches!(part.body, Body::Text(_))) {
                ContentShape::Text
            } else {
                ContentShape::Null
            };
            reply.choices.push(Choice {
                index,
                turn: Turn {
                    role: Role::Assistant,
                    parts: mine,
                    shape,
                    extra: extra_of(ExtraScope::Turn(index)),
                },
                finish: self
                    .finishes
                    .iter()
                    .find(|(choice, _)| *choice == index)
                    .map(|(_, finish)| finish.clone()),
                extra: extra_of(ExtraScope::Choice(index)),
            });
        }
        if let Some((_, extra)) = self.extras.iter().find(|(scope, _)| *scope == ExtraScope::Reply)
        {
            reply.extra = extra.clone();
        }
        (reply, self.fault)
    }
}

fn extend(part: &mut Part, delta: &Delta) {
    match (delta, &mut part.body) {
        (Delta::Text(more), Body::Text(text) | Body::Refusal(text)) => text.push_str(more),
        (Delta::Text(more), Body::Thought(thought)) => thought.text.push_str(more),
        (Delta::Arguments(more), Body::Call(call)) => {
            call.arguments.get_or_insert_default().push_str(more);
        }
        (Delta::CallName(name), Body::Call(call)) => call.name.push_str(name),
        (Delta::CallId(id), Body::Call(call)) => call.id = Some(id.clone()),
        (Delta::Citation(citation), _) => part.citations.push(citation.clone()),
        (Delta::Signature(more), _) => match &mut part.signature {
            Some(signature) => signature.value.push_str(&more.value),
            none => *none = Some(more.clone()),
        },
        // A delta that does not fit its part says nothing that a reply could hold.
        _ => {}
    }
}
