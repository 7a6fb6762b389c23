//! Back in without the password: links that were mailed, or that an administrator made.

use std::time::Duration;

use secrecy::SecretString;

use super::authentication::Authentication;
use super::link::{LinkTarget, of_nobody, spent};
use super::password::acceptable;
use super::session::PasswordSignIn;
use super::signin::{new_person, taken};
use super::throttle::ThrottledAttempt;
use crate::base::ids::AccountId;
use crate::base::{Error, Kind};
use crate::notice::{Letter, Mail};
use crate::store::{Browser, Member, PersonRow, Purpose, Token};

/// How long a link is good that was mailed to somebody who forgot their password.
const RESET_LASTS: Duration = Duration::from_secs(3_600);
/// How long one is good that an administrator made.
const DAY: Duration = Duration::from_secs(86_400);

/// Whose password a link sets.
enum Resetting {
    Person(PersonRow),
    /// Of somebody who cannot sign in yet.
    Member(Member),
}

pub(super) fn no_mail() -> Error {
    let text = "This gateway sends no mail. Ask an administrator for a link.";
    Error::new(Kind::Conflict, text).coded("mail_not_configured")
}

impl Authentication {
    pub(super) fn mail(&self) -> Result<&Mail, Error> {
        self.mail.as_ref().ok_or_else(no_mail)
    }

    /// Mails whoever has the address a link that sets a new password. What becomes of it is not told,
    /// not even by how long it takes.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where no mail is sent; [`Kind::RateLimited`] for who asks too often.
    pub fn forgot(&self, email: &str, address: &str) -> Result<(), Error> {
        self.mail()?;
        let now = self.clock.now();
        let email = email.trim().to_lowercase();
        self.throttle.begin(&ThrottledAttempt::mail_from(address), now)?;
        if self.throttle.begin(&ThrottledAttempt::mail_to(&email), now).is_err() {
            // Nobody's box is filled by others; to say so would tell who has one.
            return Ok(());
        }
        let desk = self.clone();
        tokio::spawn(async move {
            if let Err(why) = desk.mail_reset(email).await {
                tracing::error!(%why, "a link that sets a password cannot be mailed");
            }
        });
        Ok(())
    }

    async fn mail_reset(&self, email: String) -> Result<(), Error> {
        let known = self.store.person_of_email(email).await.map_err(Error::internal)?;
        let Some(person) = known else { return Ok(()) };
        let linked = LinkTarget {
            purpose: Purpose::Reset,
            account: of_nobody(),
            subject: &person.id,
            payload: r#"{"mailed":true}"#.to_owned(),
            lasts: RESET_LASTS,
        };
        let write =
            |mail: &Mail, secret: &str| Letter::reset(&format!("{}/reset/{secret}", mail.home()));
        self.link(linked, Some((&person.email, &write))).await.map(|_| ())
    }

    /// What a link ends in that sets the password of whoever a member is; a member who could not sign in
    /// can from then on.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a member that there is not.
    pub async fn reset_link(&self, account: &AccountId, member: &str) -> Result<String, Error> {
        let found = self.store.member(account.clone(), member.to_owned()).await;
        let found = found.map_err(Error::internal)?.ok_or_else(|| {
            Error::new(Kind::NotFound, "There is no such member.").coded("member_not_found")
        })?;
        let linked = LinkTarget {
            purpose: Purpose::Reset,
            account: account.clone(),
            subject: found.person.as_deref().unwrap_or(&found.id),
            payload: "{}".to_owned(),
            lasts: DAY,
        };
        self.link(linked, None).await
    }

    async fn of_reset(&self, token: Token) -> Result<Resetting, Error> {
        let person = self.store.person(token.subject.clone()).await.map_err(Error::internal)?;
        if let Some(person) = person {
            return Ok(Resetting::Person(person));
        }
        let member = self.store.member(token.account, token.subject).await;
        let member = member.map_err(Error::internal)?.filter(|member| member.person.is_none());
        member.map(Resetting::Member).ok_or_else(spent)
    }

    /// Whose password a link sets: their address.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good.
    pub async fn resetting(&self, secret: &str) -> Result<String, Error> {
        let token = self.good(Purpose::Reset, secret).await?;
        Ok(match self.of_reset(token).await? {
            Resetting::Person(person) => person.email,
            Resetting::Member(member) => member.email,
        })
    }

    /// Sets the password of a link's person. All that they were signed in with ends, and so do their
    /// other links.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, [`Kind::Malformed`] for a password that is none,
    /// [`Kind::Conflict`] where somebody else signs in with the address by now.
    pub async fn reset(&self, secret: &str, password: SecretString) -> Result<PersonRow, Error> {
        acceptable(&password)?;
        let token = self.use_up(Purpose::Reset, secret).await?;
        let mailed = token.payload.contains("mailed");
        let subject = token.subject.clone();
        let person = match self.of_reset(token).await? {
            Resetting::Person(person) => {
                self.set_password(&person.id, password).await?;
                person
            }
            Resetting::Member(member) => {
                let hash = self.passwords.hash(password).await?;
                let (member, person) = new_person(member, hash);
                self.identities.forget(&member.account);
                self.store.let_sign_in(member, person.clone()).await.map_err(taken)?;
                person
            }
        };
        self.store.drop_tokens_of(Purpose::Reset, subject).await.map_err(Error::internal)?;
        // It came by mail: the address is theirs.
        if mailed {
            let (id, email) = (person.id.clone(), person.email.clone());
            let verified = self.store.verify_person(id, email, self.clock.now()).await;
            verified.map_err(Error::internal)?;
        }
        Ok(person)
    }

    /// The same, and the browser is signed in, or asked for the code of a second factor.
    ///
    /// # Errors
    /// As [`Self::reset`].
    pub async fn reset_and_enter(
        &self,
        secret: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<PasswordSignIn, Error> {
        let person = self.reset(secret, password).await?;
        self.enter_or_ask(person, browser).await
    }
}
