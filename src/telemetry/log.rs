//! Logging set up once, from the configuration and `RUST_LOG`. What others say stands in the log, so
//! that nothing of it may look like a line of ours or speak to a terminal.

use std::fmt::{self, Debug, Write};
use std::io::IsTerminal as _;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// What is logged where `RUST_LOG` says nothing.
const USUAL: &str = "info,sqlx=warn,actix_server=warn,rmcp=warn";
/// The server calls it an error when a request cannot be parsed, which is the sender's.
const PARSER: &str = "actix_http::h1";

/// Starts logging to standard error. A second call does nothing.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let filter = match format!("{PARSER}=off").parse() {
        // Who asks for the parser by name gets it.
        Ok(quiet) if !filter.to_string().contains(PARSER) => filter.add_directive(quiet),
        _ => filter,
    };
    // Colours are for eyes (https://no-color.org).
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && !plain)
        .with_writer(std::io::stderr);
    // Only a second call can fail, and then logging runs already. JSON escapes by itself.
    let _already_running = if json {
        builder.json().try_init()
    } else {
        builder.with_target(false).fmt_fields(on_one_line()).try_init()
    };
}

/// Fields as text on one line, whatever they hold.
fn on_one_line() -> impl for<'writer> FormatFields<'writer> + 'static {
    debug_fn(|out: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let name = field.name();
        if name != "message" {
            write!(out, "{name}=")?;
        }
        write!(Escaped(out), "{value:?}")
    })
    .delimited(" ")
}

/// Writes characters that end lines, move a terminal's cursor or turn the direction of text by their
/// numbers.
pub(super) struct Escaped<'a, W>(pub(super) &'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, one) in text.char_indices().filter(|(_, one)| is_unsafe(*one)) {
            self.0.write_str(text.get(plain..at).unwrap_or_default())?;
            write!(self.0, "{}", one.escape_default())?;
            plain = at + one.len_utf8();
        }
        self.0.write_str(text.get(plain..).unwrap_or_default())
    }
}

fn is_unsafe(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_that_is_said_makes_a_line_or_speaks_to_a_terminal() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(on_one_line())
            .finish();
        let hostile =
            "no\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{9b}31m\u{2028}x\u{202e}y é";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(message = %hostile, said = %hostile, debugged = ?hostile, status = 5, "{hostile}");
            tracing::warn!(said = %hostile, status = 5, "fine: {hostile}");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text:?}");
        for bad in ['\r', '\u{1b}', '\u{9b}', '\u{2028}', '\u{202e}'] {
            assert!(!text.contains(bad), "{text:?}");
        }
        assert!(text.contains("said=no\\r\\n2026") && text.contains("status=5"), "{text}");
        assert!(text.contains("fine: no") && text.contains('é'), "{text}");
    }
}
