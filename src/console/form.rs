//! Forms: what was sent, and the tokens by which our own pages are known.

use std::fmt::Write as _;

use actix_web::HttpRequest;
use actix_web::web::Query;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::base::{Error, Kind};

/// Bytes of a token, before it is masked.
const TOKEN: usize = 16;

/// The fields of a form, each of which may come several times.
#[derive(Debug, Default, Clone)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// # Errors
    /// [`Kind::Malformed`] for what is no form.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let unreadable = || Error::new(Kind::Malformed, "The form cannot be read. Send it again.");
        let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
        let fields = Query::<Vec<(String, String)>>::from_query(text).map_err(|_| unreadable())?;
        Ok(Self(fields.into_inner()))
    }

    /// What an address says after its question mark; nothing where that cannot be read.
    #[must_use]
    pub fn of_query(request: &HttpRequest) -> Self {
        Self::read(request.query_string().as_bytes()).unwrap_or_default()
    }

    /// A field, without spaces around it; empty where it was not sent.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_default()
    }

    /// A field that says something.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// A password, as it was typed.
    #[must_use]
    pub fn secret(&self, name: &str) -> SecretString {
        let found = self.0.iter().find(|(known, _)| known == name);
        SecretString::from(found.map(|(_, value)| value.clone()).unwrap_or_default())
    }

    /// Every value of a field that says something.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty()).collect()
    }

    #[must_use]
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(known, said)| known == name && said == value)
    }

    /// All fields but those that every form has, and passwords.
    pub fn rest(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = |name: &str| {
            matches!(name, "csrf" | "once" | "proof" | "otp" | "password" | "old" | "new")
        };
        let fields = self.0.iter().filter(move |(name, _)| !own(name));
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A field that is a whole number, if it says something.
    ///
    /// # Errors
    /// [`Kind::Malformed`], at the field.
    pub fn whole(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let digits: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
        let refused = || Error::new(Kind::Malformed, "This has to be a whole number.").at(name);
        digits.parse().map(Some).map_err(|_| refused())
    }
}

/// What a token hides: it is of one cookie and, where somebody is signed in, of one account.
fn secret(cookie: &str, account: &str) -> [u8; TOKEN] {
    let mut hash = Sha256::new();
    for part in ["optimux-csrf", cookie, account] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut secret = [0; TOKEN];
    secret.copy_from_slice(&digest[..TOKEN]);
    secret
}

fn hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
}

/// A token for a form: masked anew each time, so that no two pages hold the same bytes.
#[must_use]
pub fn token(cookie: &str, account: &str) -> String {
    let mut mask = [0_u8; TOKEN];
    if getrandom::fill(&mut mask).is_err() {
        // A page without a token: its form will be refused, and nothing is given away.
        return String::new();
    }
    let mut masked = secret(cookie, account);
    masked.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    let mut text = String::with_capacity(4 * TOKEN);
    hex(&mask, &mut text);
    hex(&masked, &mut text);
    text
}

pub(super) fn is_right(token: &str, cookie: &str, account: &str) -> bool {
    if token.len() != 4 * TOKEN || !token.is_ascii() {
        return false;
    }
    let byte = |at: usize| u8::from_str_radix(token.get(2 * at..2 * at + 2).unwrap_or("?"), 16);
    let mut said = [0_u8; TOKEN];
    for (at, place) in said.iter_mut().enumerate() {
        let (Ok(mask), Ok(masked)) = (byte(at), byte(TOKEN + at)) else { return false };
        *place = mask ^ masked;
    }
    said.ct_eq(&secret(cookie, account)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_cookie_and_one_account() {
        let one = token("os-a", "acct_1");
        assert!(is_right(&one, "os-a", "acct_1"));
        assert!(!is_right(&one, "os-b", "acct_1") && !is_right(&one, "os-a", "acct_2"));
        assert_ne!(one, token("os-a", "acct_1"), "masked anew");
        for wrong in ["", "0", &one[1..], &"z".repeat(64), &"é".repeat(32)] {
            assert!(!is_right(wrong, "os-a", "acct_1"), "{wrong}");
        }
    }

    #[test]
    fn fields_are_read_as_they_were_typed() {
        let form = Form::read(b"name=+a+b+&scope=chat&scope=usage&n=1%2C000&empty=").unwrap();
        assert_eq!(form.text("name"), "a b");
        assert_eq!(form.all("scope"), ["chat", "usage"]);
        assert_eq!(form.whole("n").unwrap(), Some(1_000));
        assert_eq!(form.given("empty"), None);
        assert!(form.whole("name").is_err());
    }
}
