//! Signing in and out. A refresh token is good for one use; used twice, all that came of its sign-in
//! ends.

use std::time::Duration;

use secrecy::SecretString;

use super::authentication::{Authentication, LASTS, wrong};
use super::keys::Issued;
use super::person::Role;
use super::signers::TOKEN_LIFE;
use super::throttle::ThrottledAttempt;
use super::token::{Claims, looks_like_one};

use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, AuditId, KeyId};
use crate::base::secret::{KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::store::{Browser, Member, PersonRow, Refreshed, SignIn, SignedIn, StoreError};

/// What every refresh token begins with.
const REFRESH_PREFIX: &str = "rt-";
/// What a signed-in person gets.
#[derive(Debug)]
pub struct Session {
    pub access: String,
    pub refresh: String,
    pub expires_in: Duration,
    pub member: Member,
}

/// What somebody who registered gets: they are signed in, and have a key for their programs.
#[derive(Debug)]
pub struct Registered {
    pub session: Session,
    /// Shown only now.
    pub key: Issued,
}

fn over() -> Error {
    let text = "The refresh token is not good (any more). Sign in again.";
    Error::new(Kind::Unauthenticated, text).coded("invalid_refresh_token")
}

/// A member as they are written down: nobody who signs in yet.
///
/// # Errors
/// [`Kind::Malformed`] for an address that is none.
pub fn new_member(
    account: AccountId,
    email: &str,
    role: Role,
    now: Timestamp,
) -> Result<Member, Error> {
    let email = email.trim().to_lowercase();
    let parts = email.split_once('@');
    let fits = email.len() <= 320 && !email.chars().any(|c| c.is_control() || c.is_whitespace());
    if !fits || parts.is_none_or(|(name, place)| name.is_empty() || place.is_empty()) {
        return Err(Error::new(
            Kind::Malformed,
            "That is no e-mail address: it has to be like name@example.com.",
        )
        .at("email"));
    }
    Ok(Member {
        id: format!("member_{}", AuditId::fresh().as_str().trim_start_matches("audit_")),
        account,
        email,
        role: role.as_str().to_owned(),
        created: now,
        key: KeyId::fresh(),
        person: None,
        name: String::new(),
        has_factor: false,
    })
}

/// Somebody who is to sign in, with that password's hash; and the member who they are from now on.
#[must_use]
pub fn new_person(member: Member, password: String) -> (Member, PersonRow) {
    let person = PersonRow {
        id: format!("person_{}", AuditId::fresh().as_str().trim_start_matches("audit_")),
        email: member.email.clone(),
        name: String::new(),
        password,
        verified: None,
        has_factor: false,
        created: member.created,
    };
    (Member { person: Some(person.id.clone()), ..member }, person)
}

impl Authentication {
    /// Signs a person in to one of their accounts: the one that is named, or else the one where they were
    /// last.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for a wrong pair, or without the code of a second factor;
    /// [`Kind::RateLimited`] after too many, [`Kind::Forbidden`] for a suspended account or who has to
    /// set a second factor up first, [`Kind::NotFound`] for an account that they are not in.
    pub async fn sign_in(
        &self,
        email: &str,
        password: SecretString,
        otp: Option<&str>,
        account: Option<&str>,
        browser: Browser,
    ) -> Result<Session, Error> {
        let person = self.who(email, password, otp, &browser.address).await?;
        let member = self.place_of(&person.id, account).await?;
        self.must_have_set_up(&member)?;
        self.open(member, browser).await
    }

    /// Who a person is in one of their accounts.
    ///
    /// # Errors
    /// As [`Self::sign_in`].
    pub(super) async fn place_of(
        &self,
        person: &str,
        account: Option<&str>,
    ) -> Result<Member, Error> {
        let all = self.store.memberships(person.to_owned()).await.map_err(Error::internal)?;
        let is_meant = |name: &str| {
            all.iter().find(|one| one.member.account.as_str() == name || one.account_name == name)
        };
        let found = account.map_or_else(|| all.first(), is_meant).ok_or_else(|| {
            let text = "There is no such account that you are in.";
            Error::new(Kind::NotFound, text).at("account").coded("account_not_found")
        })?;
        if found.suspended {
            let text = "API access is disabled for your account.";
            return Err(Error::new(Kind::Forbidden, text).coded("account_suspended"));
        }
        Ok(found.member.clone())
    }

    /// Whoever has the address, the password and, where there is one, the second factor.
    ///
    /// # Errors
    /// As [`Self::sign_in`].
    pub(super) async fn who(
        &self,
        email: &str,
        password: SecretString,
        otp: Option<&str>,
        address: &str,
    ) -> Result<PersonRow, Error> {
        let person = self.by_password(email, password, address).await?;
        if person.has_factor {
            self.must_have_factor(&person.id, otp).await?;
        }
        Ok(person)
    }

    /// Whoever has the address and the password. They may have a second factor yet to be asked for.
    ///
    /// # Errors
    /// As [`Self::sign_in`].
    pub(super) async fn by_password(
        &self,
        email: &str,
        password: SecretString,
        address: &str,
    ) -> Result<PersonRow, Error> {
        let email = email.trim().to_lowercase();
        let now = self.clock.now();
        let attempt = ThrottledAttempt::sign_in(&email, address);
        self.throttle.begin(&attempt, now)?;
        if email.is_empty() {
            return Err(wrong());
        }
        let person = self.store.person_of_email(email).await.map_err(Error::internal)?;
        let hash = person.as_ref().map(|person| person.password.clone());
        let right = self.passwords.is_right(password, hash).await?;
        let person = person.filter(|_| right).ok_or_else(wrong)?;
        self.throttle.succeeded(&attempt, now);
        Ok(person)
    }

    async fn not_suspended(&self, member: &Member) -> Result<(), Error> {
        let account = self.store.account(member.account.as_str()).await.map_err(Error::internal)?;
        if account.is_none_or(|account| account.suspended.is_some()) {
            let text = "API access is disabled for your account.";
            return Err(Error::new(Kind::Forbidden, text).coded("account_suspended"));
        }
        Ok(())
    }

    /// Signs in whoever has just proved to be `member`.
    pub(super) async fn open(&self, member: Member, browser: Browser) -> Result<Session, Error> {
        self.open_proved(member, browser, self.clock.now()).await
    }

    /// Signs in whoever proved then to be `member`.
    pub(super) async fn open_proved(
        &self,
        member: Member,
        browser: Browser,
        proved: Timestamp,
    ) -> Result<Session, Error> {
        let signin = new_signin(&member, self.clock.now(), proved);
        let refresh = fresh()?;
        let opened = self.store.sign_in(signin.clone(), KeyHash::of(&refresh), browser).await;
        opened.map_err(Error::internal)?;
        self.session(member, &signin.id, refresh).await
    }

    /// The sign-in that an access token came of; `None` for what is no token, or a sign-in that has
    /// ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signed_in_by(&self, token: &str) -> Result<Option<SignedIn>, Error> {
        if !looks_like_one(token) {
            return Ok(None);
        }
        let Ok(claims) = self.signers.verify(token).await else { return Ok(None) };
        let found = self.store.signed_in(claims.sid, self.clock.now()).await;
        found.map_err(Error::internal)
    }

    async fn session(
        &self,
        member: Member,
        signin: &str,
        refresh: String,
    ) -> Result<Session, Error> {
        let claims = Claims::new(&member.id, member.account.as_str(), &member.role, signin);
        let access = self.signers.mint(claims).await?;
        Ok(Session { access, refresh, expires_in: TOKEN_LIFE, member })
    }

    /// A new pair for a refresh token.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for one that is not good, or was used before.
    pub async fn refresh(&self, token: &str) -> Result<Session, Error> {
        let (now, next) = (self.clock.now(), fresh()?);
        let refreshed = self
            .store
            .refresh(KeyHash::of(token), KeyHash::of(&next), now, now.after(LASTS))
            .await
            .map_err(Error::internal)?;
        let signin = match refreshed {
            Refreshed::Fresh(signin) => signin,
            Refreshed::Stolen(account) => {
                tracing::warn!("a refresh token came twice: its sign-in has been ended");
                self.identities.forget(&account);
                return Err(over());
            }
            Refreshed::Unknown => return Err(over()),
        };
        let member = self
            .store
            .member(signin.account.clone(), signin.member.clone())
            .await
            .map_err(Error::internal)?
            .ok_or_else(over)?;
        self.not_suspended(&member).await?;
        self.must_have_set_up(&member)?;
        self.session(member, &signin.id, next).await
    }

    /// Ends a sign-in, known by its access token, its refresh token, or both.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] when neither names one.
    pub async fn sign_out(&self, access: Option<&str>, refresh: Option<&str>) -> Result<(), Error> {
        let mut signins = Vec::new();
        if let Some(token) = access.filter(|token| looks_like_one(token)) {
            // One that has expired cannot end anything, but its refresh token can.
            if let Ok(claims) = self.signers.verify(token).await {
                signins.push(claims.sid);
            }
        }
        if let Some(token) = refresh {
            let found = self.store.signin_of(KeyHash::of(token)).await;
            signins.extend(found.map_err(Error::internal)?);
        }
        if signins.is_empty() {
            return Err(over());
        }
        for signin in signins {
            let ended = self.store.sign_out(signin).await.map_err(Error::internal)?;
            if let Some(account) = ended {
                self.identities.forget(&account);
            }
        }
        Ok(())
    }
}

pub(super) fn new_signin(member: &Member, now: Timestamp, proved: Timestamp) -> SignIn {
    SignIn {
        id: format!("signin_{}", AuditId::fresh().as_str().trim_start_matches("audit_")),
        account: member.account.clone(),
        member: member.id.clone(),
        created: now,
        expires: now.after(LASTS),
        proved,
    }
}

fn fresh() -> Result<String, Error> {
    new_token().map(|token| format!("{REFRESH_PREFIX}{token}")).map_err(Error::internal)
}

pub(super) fn taken(why: StoreError) -> Error {
    match why {
        StoreError::Taken(_) => {
            Error::new(Kind::Conflict, "That e-mail address is taken.").at("email").coded("taken")
        }
        other => Error::internal(other),
    }
}
