//! What commands print.

use std::io::Write as _;

/// Prints for people. A closed pipe (`| head`) is their choice and no failure.
pub fn say(text: &str) {
    let mut out = std::io::stdout();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}
