//! JSON skimmed for its texts: read once, without a tree, and nothing copied but texts with escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

/// A member that is a text, or anything else, which is passed over.
#[derive(Debug, Default)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text, or nothing.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneText).map(Self)
    }
}

struct OneText;

impl<'de> Visitor<'de> for OneText {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Hands every text of a value that is not empty to `each`, with the mark that its key gave it.
/// `mark` makes the mark of a member of its key and of the mark of what it is in; a list's items have
/// the list's. `false` when the value cannot be read.
pub fn texts<M: Copy>(
    raw: &str,
    outside: M,
    mark: &dyn Fn(M, &str) -> M,
    each: &mut dyn FnMut(M, &str),
) -> bool {
    let mut json = serde_json::Deserializer::from_str(raw);
    Skim { here: outside, mark, each }.deserialize(&mut json).is_ok()
}

struct Skim<'s, M> {
    here: M,
    mark: &'s dyn Fn(M, &str) -> M,
    each: &'s mut dyn FnMut(M, &str),
}

impl<'de, M: Copy> DeserializeSeed<'de> for Skim<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, M: Copy> Visitor<'de> for Skim<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if !text.is_empty() {
            (self.each)(self.here, text);
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { here, mark, each } = self;
        while list.next_element_seed(Skim { here, mark, each: &mut *each })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { here, mark, each } = self;
        while let Some(key) = members.next_key::<Text<'_>>()? {
            let key = key.0.ok_or_else(|| A::Error::custom("a key that is no text"))?;
            let here = mark(here, &key);
            members.next_value_seed(Skim { here, mark, each: &mut *each })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_with_the_marks_of_their_keys() {
        let raw =
            r#"{"a":"x","b":[{"c":"y\n"},""],"d":{"a":"z","e":{"f":"w"}},"n":[1,true,null,2.5]}"#;
        let mut found = Vec::new();
        let whole = texts(
            raw,
            0,
            &|outside, key| if key == "d" { 10 } else { outside + 1 },
            &mut |mark, text| found.push((mark, text.to_owned())),
        );
        assert!(whole);
        let expected = [(1, "x"), (2, "y\n"), (11, "z"), (12, "w")];
        assert_eq!(found, expected.map(|(mark, text)| (mark, text.to_owned())));
        assert!(!texts("{\"a\":", 0, &|outside, _| outside, &mut |_, _| {}));
    }

    #[test]
    fn what_is_no_text_is_passed_over() {
        for (raw, text) in [
            (r#""a""#, "a"),
            (r#""\u00e9""#, "é"),
            ("[1,[2]]", ""),
            ("{\"a\":{}}", ""),
            ("null", ""),
        ] {
            assert_eq!(serde_json::from_str::<Text<'_>>(raw).unwrap().as_str(), text, "{raw}");
        }
    }
}
