//! Text as a part of an address (RFC 3986): whatever could mean something there is escaped.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the characters that no part of an address can mean.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// A name as it stands in one segment of an address, or in one value of its query.
#[must_use]
pub fn segment(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, SEGMENT).into()
}

/// The same, where slashes stay what they are.
#[must_use]
pub fn path(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, PATH).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_something_is_escaped() {
        assert_eq!(segment("a-b._~9"), "a-b._~9");
        assert_eq!(segment("us.meta/x:1 é?&=%"), "us.meta%2Fx%3A1%20%C3%A9%3F%26%3D%25");
        assert_eq!(path("vendor/model a"), "vendor/model%20a");
    }
}
