//! What letters say, as plain text and as simple HTML of the same: subjects without a word of anybody's, no
//! picture, and links with a page behind them that asks first. Pure.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A letter, without whom it is to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// What it is about, in a word, for lists.
    #[serde(skip)]
    pub kind: &'static str,
    pub subject: String,
    pub text: String,
    /// Empty in what was written down before letters had any.
    #[serde(default)]
    pub html: String,
}

impl std::fmt::Debug for Letter {
    /// What it says holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.kind)
    }
}

/// What a letter is made of, one below the other.
enum Part<'a> {
    Words(&'a str),
    /// An address of ours.
    Link(&'a str),
    /// What is to be typed.
    Code(&'a str),
}

use Part::{Code, Link, Words};

/// Text of others as one line without control characters, so that it cannot look like ours.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn letter(kind: &'static str, subject: &str, parts: &[Part<'_>]) -> Letter {
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Words(words) | Link(words) => (*words).to_owned(),
            Code(code) => format!("Your code is {code}"),
        })
        .collect();
    let mut html = String::from("<!doctype html>\n<html lang=\"en\"><body>\n");
    for part in parts {
        // Writing to a String cannot fail.
        let _infallible = match part {
            Words(words) => writeln!(html, "<p>{}</p>", escaped(words)),
            Link(link) => {
                let link = escaped(link);
                writeln!(html, "<p><a href=\"{link}\">{link}</a></p>")
            }
            Code(code) => writeln!(html, "<p>Your code is <strong>{}</strong></p>", escaped(code)),
        };
    }
    html.push_str("</body></html>\n");
    Letter { kind, subject: subject.to_owned(), text: format!("{}\n", texts.join("\n\n")), html }
}

impl Letter {
    /// A link that sets a new password.
    #[must_use]
    pub fn reset(link: &str) -> Self {
        let parts = [
            Words("Somebody, most likely you, asked for a new password."),
            Words("Set it here, within an hour; the link is good once:"),
            Link(link),
            Words("If it was not you, do nothing: your password stays as it is."),
        ];
        letter("reset", "Set a new password", &parts)
    }

    /// A link that says that an address is its owner's.
    #[must_use]
    pub fn verify(link: &str) -> Self {
        let parts = [
            Words("Confirm that this address is yours, within a day:"),
            Link(link),
            Words("If you have no account with us, do nothing."),
        ];
        letter("verify", "Confirm your address", &parts)
    }

    /// A link that makes an address the one that somebody signs in with.
    #[must_use]
    pub fn moving(link: &str) -> Self {
        let parts = [
            Words("Somebody, most likely you, wants to sign in with this address from now on."),
            Words("Confirm it here, within a day; the link is good once:"),
            Link(link),
            Words("If it was not you, do nothing: nothing has changed."),
        ];
        letter("email", "Confirm your new address", &parts)
    }

    /// For the address that somebody signed in with so far.
    #[must_use]
    pub fn moved(home: &str) -> Self {
        let link = format!("{home}/forgot");
        let parts = [
            Words(
                "Your account has another e-mail address from now on: this one signs in no more.",
            ),
            Words("If it was not you, ask the administrator of this gateway for help at once:"),
            Link(&link),
        ];
        letter("moved", "Your address was changed", &parts)
    }

    /// The code that finishes a sign-up.
    #[must_use]
    pub fn code(code: &str) -> Self {
        let parts = [
            Code(code),
            Words(
                "Type it where you signed up, within 15 minutes. If you did not sign up, do nothing: \
                 there is no account.",
            ),
        ];
        letter("code", "Your code", &parts)
    }

    /// For somebody who signed up with an address that has an account.
    #[must_use]
    pub fn known(home: &str) -> Self {
        let (signin, forgot) = (format!("{home}/signin"), format!("{home}/forgot"));
        let parts = [
            Words(
                "Somebody, most likely you, signed up with this address. You have an account already:",
            ),
            Link(&signin),
            Words("If you do not know the password any more:"),
            Link(&forgot),
            Words("If it was not you, do nothing: nothing has changed."),
        ];
        letter("known", "You have an account", &parts)
    }

    /// For somebody whose address another account was to move to.
    #[must_use]
    pub fn known_move(home: &str) -> Self {
        let signin = format!("{home}/signin");
        let parts = [
            Words(
                "Somebody, most likely you, wanted to sign in with this address in the place of \
                 another. It has an account of its own already:",
            ),
            Link(&signin),
            Words("Nothing has changed. If it was not you, do nothing."),
        ];
        letter("known", "You have an account", &parts)
    }

    /// A link that joins an account.
    #[must_use]
    pub fn invitation(link: &str, account: &str, by: &str) -> Self {
        let invites = format!("{} invites you to the account \"{}\".", quoted(by), quoted(account));
        let parts = [
            Words(&invites),
            Words("Accept here, within seven days; the link is good once:"),
            Link(link),
            Words("If you do not know them, do nothing."),
        ];
        letter("invitation", "You are invited", &parts)
    }

    /// Whether mail arrives at all.
    #[must_use]
    pub fn test(home: &str) -> Self {
        let text = format!("The gateway at {home} can send mail.");
        letter("test", "A test", &[Words(&text)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_in_its_line_and_out_of_subjects() {
        let hostile = "Ann\r\nBcc: all@example.com\r\n\r\nhttps://evil.example<img src=x>\"'";
        let letter = Letter::invitation("https://ours/invite/x", hostile, hostile);
        assert_eq!(letter.subject, "You are invited");
        assert!(letter.text.lines().all(|line| !line.starts_with("Bcc")), "{}", letter.text);
        assert!(letter.text.lines().any(|line| line == "https://ours/invite/x"));
        assert!(!letter.html.contains("<img"), "{}", letter.html);
        assert!(letter.html.contains("&lt;img src=x&gt;&quot;&#39;"), "{}", letter.html);
        assert_eq!(letter.html.matches("<a href=\"https://ours/invite/x\">").count(), 1);
        assert_eq!(letter.html.matches("href").count(), 1, "{}", letter.html);
        assert!(Letter::code("123456").text.contains("123456"));
        assert_eq!(format!("{:?}", Letter::code("123456")), "Letter(code)");
    }

    #[test]
    fn both_forms_say_the_same_and_fetch_nothing() {
        for letter in [
            Letter::reset("https://ours/reset/x"),
            Letter::verify("https://ours/verify/x"),
            Letter::moving("https://ours/verify/x"),
            Letter::moved("https://ours"),
            Letter::code("123456"),
            Letter::known("https://ours"),
            Letter::known_move("https://ours"),
            Letter::test("https://ours"),
        ] {
            let plain: Vec<&str> = letter.text.split("\n\n").map(str::trim).collect();
            let marked = letter.html.replace("<strong>", "").replace("</strong>", "");
            for part in plain {
                assert!(marked.contains(&escaped(part)), "{part}: {marked}");
            }
            for foreign in ["<img", "src=", "<style", "<link", "url("] {
                assert!(!letter.html.contains(foreign), "{foreign}: {}", letter.html);
            }
        }
        let old: Letter = serde_json::from_str(r#"{"subject":"s","text":"t"}"#).unwrap();
        assert_eq!((old.text.as_str(), old.html.as_str()), ("t", ""));
    }
}
