//! Back in without the password, and whose an address is: links that were mailed, or that an
//! administrator made.

use std::time::Duration;

use secrecy::SecretString;

use super::password::acceptable;
use super::second::Entered;
use super::session::{Linked, spent};
use super::signin::Authentication;
use super::throttle::Attempt;
use crate::base::ids::AccountId;
use crate::base::{Error, Kind};
use crate::notice::{Letter, Mail};
use crate::store::{Browser, BrowserSession, Member, Purpose};

/// How long a link is good that was mailed to somebody who forgot their password.
const RESET_LASTS: Duration = Duration::from_secs(3_600);
/// How long one is good that an administrator made, and one that confirms an address.
const DAY: Duration = Duration::from_secs(86_400);

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
        self.throttle.begin(&Attempt::mail_from(address), now)?;
        if self.throttle.begin(&Attempt::mail_to(&email), now).is_err() {
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
        let known = self.store.member_of_email(email).await.map_err(Error::internal)?;
        let Some(member) = known else { return Ok(()) };
        let linked = Linked {
            purpose: Purpose::Reset,
            account: member.account,
            subject: &member.id,
            payload: r#"{"mailed":true}"#.to_owned(),
            lasts: RESET_LASTS,
        };
        let write =
            |mail: &Mail, secret: &str| Letter::reset(&format!("{}/reset/{secret}", mail.home()));
        self.link(linked, Some((&member.email, &write))).await.map(|_| ())
    }

    /// What a link ends in that lets a member set a new password.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a member that there is not.
    pub async fn reset_link(&self, account: &AccountId, member: &str) -> Result<String, Error> {
        let found = self.store.member(account.clone(), member.to_owned()).await;
        let found = found.map_err(Error::internal)?.ok_or_else(|| {
            Error::new(Kind::NotFound, "There is no such member.").coded("member_not_found")
        })?;
        let linked = Linked {
            purpose: Purpose::Reset,
            account: account.clone(),
            subject: &found.id,
            payload: "{}".to_owned(),
            lasts: DAY,
        };
        self.link(linked, None).await
    }

    /// Whose password a link sets.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good.
    pub async fn resetting(&self, secret: &str) -> Result<Member, Error> {
        let token = self.good(Purpose::Reset, secret).await?;
        let member = self.store.member(token.account, token.subject).await;
        member.map_err(Error::internal)?.ok_or_else(spent)
    }

    /// Sets the password of a link's member. All that they were signed in with ends, and so do their
    /// other links.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, [`Kind::Malformed`] for a password that is none.
    pub async fn reset(&self, secret: &str, password: SecretString) -> Result<Member, Error> {
        acceptable(&password)?;
        let member = self.resetting(secret).await?;
        let token = self.use_up(Purpose::Reset, secret).await?;
        let member = self.set_password(member, password).await?;
        let dropped = self.store.drop_tokens_of(Purpose::Reset, member.id.clone()).await;
        dropped.map_err(Error::internal)?;
        // It came by mail: the address is theirs.
        if token.payload.contains("mailed") {
            self.is_theirs(&member).await?;
        }
        Ok(member)
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
    ) -> Result<Entered, Error> {
        let member = self.reset(secret, password).await?;
        self.enter_or_ask(member, browser).await
    }

    async fn is_theirs(&self, member: &Member) -> Result<bool, Error> {
        let (account, id, email) =
            (member.account.clone(), member.id.clone(), member.email.clone());
        let verified = self.store.verify_member(account, id, email, self.clock.now()).await;
        verified.map_err(Error::internal)
    }

    /// Mails a person a link that confirms their address.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where no mail is sent; [`Kind::RateLimited`] for who asks too often.
    pub async fn mail_verification(&self, session: &BrowserSession) -> Result<(), Error> {
        self.mail()?;
        self.throttle.begin(&Attempt::mail_to(&session.email), self.clock.now())?;
        let linked = Linked {
            purpose: Purpose::Verify,
            account: session.account.clone(),
            subject: &session.member,
            payload: session.email.clone(),
            lasts: DAY,
        };
        let write =
            |mail: &Mail, secret: &str| Letter::verify(&format!("{}/verify/{secret}", mail.home()));
        self.link(linked, Some((&session.email, &write))).await.map(|_| ())
    }

    /// The address that a link confirms.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good.
    pub async fn verifying(&self, secret: &str) -> Result<String, Error> {
        Ok(self.good(Purpose::Verify, secret).await?.payload)
    }

    /// Confirms the address of a link.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, or an address that its member has left.
    pub async fn verify(&self, secret: &str) -> Result<(), Error> {
        let token = self.use_up(Purpose::Verify, secret).await?;
        let now = self.clock.now();
        let verified =
            self.store.verify_member(token.account, token.subject, token.payload, now).await;
        if verified.map_err(Error::internal)? { Ok(()) } else { Err(spent()) }
    }
}
