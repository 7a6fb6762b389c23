//! Links and codes that are good once: only their hashes are kept, and looking at one does not use it up.

use std::time::Duration;

use super::authentication::Authentication;
use crate::base::ids::AccountId;
use crate::base::secret::{KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::notice::{Letter, Mail};
use crate::store::{Purpose, Token};

/// How long an invitation or a link that sets a password is good.
pub const LINK_LASTS: Duration = Duration::from_secs(7 * 86_400);

/// Whom a letter is to, and what it says of a link's secret.
pub(super) type Addressed<'a> = (&'a str, &'a (dyn Fn(&Mail, &str) -> Letter + Sync));

/// What a link of a mail is for, and for whom.
pub(super) struct LinkTarget<'a> {
    pub purpose: Purpose,
    /// [`of_nobody`] for what is a person's, in whichever account.
    pub account: AccountId,
    pub subject: &'a str,
    pub payload: String,
    pub lasts: Duration,
}

/// In the place of an account, where there is none.
pub(super) fn of_nobody() -> AccountId {
    AccountId::stored("")
}

/// A link or a code that is not good (any more).
pub(super) fn spent() -> Error {
    let text = "This link was used, has expired or was withdrawn. Ask for another.";
    Error::new(Kind::NotFound, text).coded("token_invalid")
}

impl Authentication {
    /// Makes what a link ends in: good once, until it has lasted long enough. A letter that holds it, if
    /// one is to be sent, is written down with it.
    pub(super) async fn link(
        &self,
        linked: LinkTarget<'_>,
        letter: Option<Addressed<'_>>,
    ) -> Result<String, Error> {
        let now = self.clock.now();
        let secret = new_token().map_err(Error::internal)?;
        let letter = letter.map(|(to, write)| {
            let mail = self.mail()?;
            mail.addressed(&write(mail, &secret), to, linked.account.as_str(), now)
        });
        let letter = letter.transpose()?;
        let mailed = letter.is_some();
        let token = Token {
            id: KeyHash::of(&secret).to_hex(),
            account: linked.account,
            subject: linked.subject.to_owned(),
            payload: linked.payload,
            expires: now.after(linked.lasts),
        };
        let put = self.store.put_token(linked.purpose, token, letter).await;
        put.map_err(Error::internal)?;
        if mailed && let Some(mail) = &self.mail {
            mail.posted();
        }
        Ok(secret)
    }

    /// What a link is for, while it is good.
    pub(super) async fn good(&self, purpose: Purpose, secret: &str) -> Result<Token, Error> {
        let now = self.clock.now();
        let token = self.store.token(purpose, KeyHash::of(secret), now).await;
        token.map_err(Error::internal)?.ok_or_else(spent)
    }

    pub(super) async fn use_up(&self, purpose: Purpose, secret: &str) -> Result<Token, Error> {
        let now = self.clock.now();
        let used = self.store.use_token(purpose, KeyHash::of(secret), now).await;
        used.map_err(Error::internal)?.ok_or_else(spent)
    }
}
