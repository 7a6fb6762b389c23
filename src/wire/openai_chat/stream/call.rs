//! A call on its way: which fragments are of it, and what each of them adds.

use crate::wire::vocab::{Body, Delta, Event, Part, Slot};

/// A call of which something has come.
#[derive(Debug, Default)]
pub(super) struct OpenCall {
    pub index: u64,
    pub id: Option<String>,
    /// As far as it is known.
    pub name: String,
    /// The number of its part, once it is open.
    pub part: Option<u64>,
    /// What has come before the name.
    pub waiting: Option<Part>,
    /// How far its arguments are.
    arguments: Nesting,
}

/// Whether a JSON object that comes in pieces is whole.
#[derive(Debug, Default, Clone, Copy)]
struct Nesting {
    depth: u32,
    in_text: bool,
    escaped: bool,
    whole: bool,
}

impl Nesting {
    fn take(&mut self, more: &str) {
        for byte in more.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

/// What tells which call a fragment is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks<'a> {
    pub index: Option<u64>,
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    pub more: &'a str,
}

pub(super) fn says_something(part: &Part) -> bool {
    let Body::Call(call) = &part.body else { return false };
    call.arguments.as_ref().is_some_and(|arguments| !arguments.is_empty())
}

/// What a fragment adds to a name. Some servers say the whole of it in every fragment.
fn added<'a>(known: &str, more: &'a str) -> &'a str {
    more.strip_prefix(known).unwrap_or(more)
}

impl OpenCall {
    pub fn new(index: u64, part: Part) -> Self {
        Self { index, waiting: Some(part), ..Self::default() }
    }

    /// Whether a fragment is of this call. Without an index an id tells, or that there is no name:
    /// Mistral and Gemini's endpoint send whole calls so. Some number every call 0, and of those some give
    /// no ids: there another call begins where this one's arguments are whole.
    pub fn goes_on(&self, marks: Marks<'_>) -> bool {
        let Marks { index, id, name, more } = marks;
        let other = id.is_some() && self.id.is_some() && id != self.id.as_deref();
        let begins = id.is_none()
            && self.arguments.whole
            && name.is_some_and(|name| name != self.name || more.trim_start().starts_with('{'));
        match index {
            Some(index) => index == self.index && !(other && name.is_some()) && !begins,
            None if id.is_some() => !other && (self.id.is_some() || name.is_none()),
            None => name.is_none(),
        }
    }

    /// One fragment.
    pub fn take(
        &mut self,
        choice: u64,
        id: Option<String>,
        name: Option<String>,
        more: String,
        out: &mut Vec<Event>,
    ) {
        self.arguments.take(&more);
        let late = self.id.is_none();
        self.id = self.id.take().or(id);
        let name = name.unwrap_or_default();
        let name = if name == self.name { "" } else { added(&self.name, &name) };
        if let Some(part) = self.part {
            let at = Slot { choice, part };
            let id = self.id.clone().filter(|_| late);
            out.extend(id.map(|id| Event::Delta { at, delta: Delta::CallId(id) }));
            if !name.is_empty() {
                out.push(Event::Delta { at, delta: Delta::CallName(name.to_owned()) });
            }
            if !more.is_empty() {
                out.push(Event::Delta { at, delta: Delta::Arguments(more) });
            }
        } else if let Some(Part { body: Body::Call(call), .. }) = &mut self.waiting {
            call.arguments.get_or_insert_default().push_str(&more);
        }
        self.name.push_str(name);
    }
}
