//! What letters say: plain text, subjects without a word of anybody's, links with a page behind them
//! that asks first. Pure.

use serde::{Deserialize, Serialize};

/// A letter, without whom it is to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// What it is about, in a word, for lists.
    #[serde(skip)]
    pub kind: &'static str,
    pub subject: String,
    pub text: String,
}

impl std::fmt::Debug for Letter {
    /// What it says holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.kind)
    }
}

/// Text of others as one line without control characters, so that it cannot look like ours.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn letter(kind: &'static str, subject: &str, text: String) -> Letter {
    Letter { kind, subject: subject.to_owned(), text: format!("{text}\n") }
}

impl Letter {
    /// A link that sets a new password.
    #[must_use]
    pub fn reset(link: &str) -> Self {
        let text = format!(
            "Somebody, most likely you, asked for a new password.\n\nSet it here, within an hour; \
             the link is good once:\n\n{link}\n\nIf it was not you, do nothing: your password \
             stays as it is."
        );
        letter("reset", "Set a new password", text)
    }

    /// A link that says that an address is its owner's.
    #[must_use]
    pub fn verify(link: &str) -> Self {
        let text = format!(
            "Confirm that this address is yours, within a day:\n\n{link}\n\nIf you have no account \
             with us, do nothing."
        );
        letter("verify", "Confirm your address", text)
    }

    /// The code that finishes a sign-up.
    #[must_use]
    pub fn code(code: &str) -> Self {
        let text = format!(
            "Your code is {code}\n\nType it where you signed up, within 15 minutes. If you did not \
             sign up, do nothing: there is no account."
        );
        letter("code", "Your code", text)
    }

    /// For somebody who signed up with an address that has an account.
    #[must_use]
    pub fn known(home: &str) -> Self {
        let text = format!(
            "Somebody, most likely you, signed up with this address. You have an account \
             already:\n\n{home}/signin\n\nIf you do not know the password any more:\n\n\
             {home}/forgot\n\nIf it was not you, do nothing: nothing has changed."
        );
        letter("known", "You have an account", text)
    }

    /// A link that joins an account.
    #[must_use]
    pub fn invitation(link: &str, account: &str, by: &str) -> Self {
        let text = format!(
            "{} invites you to the account \"{}\".\n\nAccept here, within seven days; the link is \
             good once:\n\n{link}\n\nIf you do not know them, do nothing.",
            quoted(by),
            quoted(account)
        );
        letter("invitation", "You are invited", text)
    }

    /// Whether mail arrives at all.
    #[must_use]
    pub fn test(home: &str) -> Self {
        let text = format!("The gateway at {home} can send mail.");
        letter("test", "A test", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_in_its_line_and_out_of_subjects() {
        let hostile = "Ann\r\nBcc: all@example.com\r\n\r\nhttps://evil.example";
        let letter = Letter::invitation("https://ours/invite/x", hostile, hostile);
        assert_eq!(letter.subject, "You are invited");
        assert!(letter.text.lines().all(|line| !line.starts_with("Bcc")), "{}", letter.text);
        assert!(letter.text.lines().any(|line| line == "https://ours/invite/x"));
        assert!(Letter::code("123456").text.contains("123456"));
        assert_eq!(format!("{:?}", Letter::code("123456")), "Letter(code)");
    }
}
