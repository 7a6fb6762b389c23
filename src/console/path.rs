//! Paths of ours, and texts as parts of them.

use crate::base::percent;

/// A path of ours, and nobody else's: `//host` and `/\host` are other hosts to a browser.
#[must_use]
pub fn own_path(text: &str) -> Option<&str> {
    let ours = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.len() <= 500
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    ours.then_some(text)
}

/// Text as a part of an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    percent::path(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_led_to() {
        for ours in ["/", "/console/keys?x=1", "/a/b"] {
            assert_eq!(own_path(ours), Some(ours));
        }
        for other in ["", "//evil", "/\\evil", "https://evil", "javascript:alert(1)", "/a b", "/\n"]
        {
            assert_eq!(own_path(other), None, "{other}");
        }
        assert_eq!(encoded("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
