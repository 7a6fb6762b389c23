//! What a dialect said beyond the vocabulary, kept on the node where it stood.

use serde_json::{Map, Value};

use super::{Dialect, Losses};

/// Members of a JSON object that the vocabulary has no word for, or that were spelled in an
/// unusual way. Most nodes have none, so an empty one is a null pointer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extra(Option<Box<Members>>);

#[derive(Debug, Clone, PartialEq)]
struct Members {
    from: Dialect,
    /// No word for these: lost when another dialect is written.
    unknown: Map<String, Value>,
    /// Understood, but written as an encoder would not (`null`, a string where a list is usual).
    /// They win over the encoder's own spelling and are no loss elsewhere.
    spelled: Map<String, Value>,
    /// What inside the spelled there is no word for, as paths: lost when another dialect is written.
    unsaid: Vec<String>,
}

impl Extra {
    pub const NONE: Self = Self(None);

    /// Leftover members of a decoded object. A `null` says nothing, so it is only a spelling.
    #[must_use]
    pub fn of(from: Dialect, left: Map<String, Value>, spelled: Map<String, Value>) -> Self {
        if left.is_empty() && spelled.is_empty() {
            return Self::NONE;
        }
        let mut members = Members { from, unknown: left, spelled, unsaid: Vec::new() };
        if members.unknown.values().any(Value::is_null) {
            let (nulls, unknown) =
                std::mem::take(&mut members.unknown).into_iter().partition(|(_, v)| v.is_null());
            members.unknown = unknown;
            let nulls: Map<String, Value> = nulls;
            members.spelled.extend(nulls);
        }
        Self(Some(Box::new(members)))
    }

    /// With the paths of what was spelled and not understood.
    #[must_use]
    pub fn with_unsaid(mut self, unsaid: Vec<String>) -> Self {
        if let Some(members) = &mut self.0 {
            members.unsaid = unsaid;
        }
        self
    }

    /// Forgets these members, where it has them.
    pub fn forget(&mut self, names: &[&str]) {
        let Some(members) = &mut self.0 else { return };
        members.unknown.retain(|name, _| !names.contains(&name.as_str()));
        members.spelled.retain(|name, _| !names.contains(&name.as_str()));
        if members.unknown.is_empty() && members.spelled.is_empty() {
            self.0 = None;
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What the dialect it came from said, whether understood or not.
    #[must_use]
    pub fn get(&self, dialect: Dialect, name: &str) -> Option<&Value> {
        let members = self.0.as_deref().filter(|members| members.from == dialect)?;
        members.spelled.get(name).or_else(|| members.unknown.get(name))
    }

    /// Writes the members back into an object of the dialect they came from; names the unknown
    /// ones as lost in any other.
    pub fn write(
        &self,
        into: &mut Map<String, Value>,
        dialect: Dialect,
        at: &str,
        lost: &mut Losses,
    ) {
        let Some(members) = &self.0 else { return };
        if members.from == dialect {
            for (name, value) in members.unknown.iter().chain(&members.spelled) {
                into.insert(name.clone(), value.clone());
            }
        } else {
            self.name_lost(at, lost);
        }
    }

    /// Names what is lost where there is no place to write anything.
    pub fn name_lost(&self, at: &str, lost: &mut Losses) {
        let Some(members) = &self.0 else { return };
        for name in members.unknown.keys().chain(&members.unsaid) {
            lost.dropped_at(at, name);
        }
    }

    /// Writes those members that another dialect says in the same words, and takes them off the
    /// list of what was lost.
    pub fn share(
        &self,
        from: Dialect,
        names: &[&'static str],
        into: &mut Map<String, Value>,
        lost: &mut Losses,
    ) {
        for name in names {
            if let Some(value) = self.get(from, name) {
                into.insert((*name).to_owned(), value.clone());
                lost.carried(name);
            }
        }
    }

    /// As [`Extra::write`], where there is nobody to tell of a loss (replies and streams).
    pub fn write_quietly(&self, into: &mut Map<String, Value>, dialect: Dialect) {
        if let Some(members) = &self.0
            && members.from == dialect
        {
            for (name, value) in members.unknown.iter().chain(&members.spelled) {
                into.insert(name.clone(), value.clone());
            }
        }
    }

    /// A later chunk of the same stream adds to, or replaces, what an earlier one said.
    pub fn absorb(&mut self, later: &Self) {
        let Some(theirs) = &later.0 else { return };
        match &mut self.0 {
            Some(ours) if ours.from == theirs.from => {
                ours.unknown.extend(theirs.unknown.clone());
                ours.spelled.extend(theirs.spelled.clone());
            }
            ours => *ours = Some(theirs.clone()),
        }
    }

    /// Takes a member out, whether it was understood or not; `outer.inner` is a member of a member.
    /// Says whether there was one.
    pub fn strike(&mut self, path: &str) -> bool {
        let Some(members) = &mut self.0 else { return false };
        let (name, inner) = match path.split_once('.') {
            Some((name, inner)) => (name, Some(inner)),
            None => (path, None),
        };
        let mut found = false;
        for map in [&mut members.unknown, &mut members.spelled] {
            match inner {
                None => found |= map.shift_remove(name).is_some(),
                Some(inner) => {
                    if let Some(Value::Object(object)) = map.get_mut(name) {
                        found |= object.shift_remove(inner).is_some();
                        if object.is_empty() {
                            map.shift_remove(name);
                        }
                    }
                }
            }
        }
        members.unsaid.retain(|unsaid| unsaid != path);
        found
    }

    /// How a member was spelled, to be changed.
    pub fn spelled_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.as_deref_mut()?.spelled.get_mut(name)
    }

    /// Whether a member of that name is there, in whichever dialect it was said.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        self.0.as_deref().is_some_and(|members| {
            members.unknown.contains_key(name)
                || members.spelled.get(name).is_some_and(|value| !value.is_null())
        })
    }

    /// Forgets how members were spelled that are not what they were any more.
    pub fn forget_spelling(&mut self, names: &[&str]) {
        if let Some(members) = &mut self.0 {
            members.spelled.retain(|name, _| !names.contains(&name.as_str()));
        }
    }

    #[must_use]
    pub fn came_from(&self, dialect: Dialect) -> bool {
        self.0.as_deref().is_some_and(|members| members.from == dialect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn written_back_at_home_and_named_as_lost_abroad() {
        let extra = Extra::of(
            Dialect::OpenAiChat,
            map(json!({"logit_bias": {"1": 2}, "user": null})),
            map(json!({"stop": "x"})),
        );
        let mut home = map(json!({"stop": ["x"]}));
        let mut lost = Losses::default();
        extra.write(&mut home, Dialect::OpenAiChat, "", &mut lost);
        assert_eq!(Value::Object(home), json!({"stop": "x", "logit_bias": {"1": 2}, "user": null}));
        assert!(lost.is_empty());

        let mut abroad = Map::new();
        extra.write(&mut abroad, Dialect::Gemini, "", &mut lost);
        assert!(abroad.is_empty());
        assert_eq!(lost.to_string(), "logit_bias");
    }
}
