//! Browsers and programs that are signed in: the cookie of a session, in which account it is, when its
//! person last proved who they are, and how it ends.

use std::time::Duration;

use secrecy::SecretString;

use super::authentication::{Authentication, LASTS, not_theirs, of_oneself};
use super::signin::{Session, new_signin};
use crate::base::clock::Timestamp;
use crate::base::secret::{KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::store::{Browser, EndedSignIns, Member, SignedIn};

/// What every cookie of a session begins with.
pub const SESSION_PREFIX: &str = "os-";
/// However much it is used, a session ends.
const LASTS_AT_MOST: Duration = Duration::from_secs(90 * 86_400);
/// How often it is written down that a session is used.
const NOTED_EVERY: Duration = Duration::from_secs(3_600);
/// So long after a person has given their password they need not give it again.
pub const PROOF_LASTS: Duration = Duration::from_secs(900);

/// A browser that has just been signed in.
#[derive(Debug)]
pub struct OpenedSession {
    pub cookie: SecretString,
    pub member: Member,
}

/// What signing in by password leads to.
#[derive(Debug)]
pub enum PasswordSignIn {
    In(OpenedSession),
    /// They have a second factor: what their next form has to hold, beside the code.
    AskedForCode(String),
}

/// What it takes to do what cannot be undone.
///
/// # Errors
/// [`Kind::Forbidden`] when the person has not given their password lately.
pub fn must_be_proved(signed_in: &SignedIn, now: Timestamp) -> Result<(), Error> {
    if now < signed_in.proved.after(PROOF_LASTS) {
        return Ok(());
    }
    let text = "Give your password again to go on.";
    Err(Error::new(Kind::Forbidden, text).coded("proof_required"))
}

impl Authentication {
    /// # Errors
    /// As [`Authentication::sign_in`].
    pub async fn enter(
        &self,
        email: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<PasswordSignIn, Error> {
        let person = self.by_password(email, password, &browser.address).await?;
        self.enter_or_ask(person, browser).await
    }

    /// Signs a browser in for whoever proved to be `member`.
    pub(super) async fn admit(
        &self,
        member: Member,
        browser: Browser,
    ) -> Result<OpenedSession, Error> {
        let now = self.clock.now();
        let token = new_token().map_err(Error::internal)?;
        let cookie = format!("{SESSION_PREFIX}{token}");
        let signin = new_signin(&member, now, now);
        let opened = self.store.open_session(signin, KeyHash::of(&cookie), browser).await;
        opened.map_err(Error::internal)?;
        Ok(OpenedSession { cookie: SecretString::from(cookie), member })
    }

    /// The session of a cookie, which is good for longer each time that it is used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_of(&self, cookie: &str) -> Result<Option<SignedIn>, Error> {
        let now = self.clock.now();
        if !cookie.starts_with(SESSION_PREFIX) {
            return Ok(None);
        }
        let found = self.store.session(KeyHash::of(cookie), now).await.map_err(Error::internal)?;
        let Some(session) = found else { return Ok(None) };
        if now >= session.seen.after(NOTED_EVERY) {
            let expires = now.after(LASTS).min(session.created.after(LASTS_AT_MOST));
            let noted = self.store.touch_session(session.id.clone(), now, expires).await;
            noted.map_err(Error::internal)?;
        }
        Ok(Some(session))
    }

    /// Has a browser's session be in another of its person's accounts. Its cookie stays, and what was
    /// asked before goes on in the account where it was asked.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an account that they are not in, [`Kind::Forbidden`] for a suspended one,
    /// [`Kind::Unauthenticated`] when the session has ended meanwhile.
    pub async fn switch(&self, signed_in: &SignedIn, account: &str) -> Result<Member, Error> {
        let member = self.place_of(&signed_in.person, Some(account)).await?;
        let (id, account) = (signed_in.id.clone(), member.account.clone());
        let switched = self.store.switch_session(id, account, member.id.clone()).await;
        if switched.map_err(Error::internal)? {
            return Ok(member);
        }
        Err(Error::new(Kind::Unauthenticated, "Sign in again.").coded("signed_out"))
    }

    /// Signs a program in to another of its person's accounts. Its sign-in here goes on.
    ///
    /// # Errors
    /// As [`Self::switch`].
    pub async fn sign_in_elsewhere(
        &self,
        signed_in: &SignedIn,
        account: &str,
    ) -> Result<Session, Error> {
        let member = self.place_of(&signed_in.person, Some(account)).await?;
        self.must_have_set_up(&member)?;
        self.open_proved(member, signed_in.browser.clone(), signed_in.proved).await
    }

    /// Ends what a person is signed in with, in whichever account. How many sign-ins that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave(&self, signed_in: &SignedIn, which: EndedSignIns) -> Result<usize, Error> {
        let ended = self.store.end_sessions(signed_in.person.clone(), which).await;
        let ended = ended.map_err(Error::internal)?;
        for account in &ended {
            self.identities.forget(account);
        }
        Ok(ended.len())
    }

    /// Everything that a person is signed in with, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions_of(&self, signed_in: &SignedIn) -> Result<Vec<SignedIn>, Error> {
        let all = self.store.sessions(signed_in.person.clone(), self.clock.now()).await;
        all.map_err(Error::internal)
    }

    /// Notes that a person has given their password again, and their code if they have a second factor.
    /// Until when that is good.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for a wrong one, [`Kind::RateLimited`] after too many.
    pub async fn prove(
        &self,
        signed_in: &SignedIn,
        password: SecretString,
        otp: Option<&str>,
        address: &str,
    ) -> Result<Timestamp, Error> {
        let person = self.who(&signed_in.email, password, otp, address).await;
        let person = person.map_err(of_oneself)?;
        if person.id != signed_in.person {
            return Err(not_theirs());
        }
        let now = self.clock.now();
        let proved = self.store.prove_session(signed_in.id.clone(), now).await;
        proved.map_err(Error::internal)?;
        Ok(now.after(PROOF_LASTS))
    }
}
