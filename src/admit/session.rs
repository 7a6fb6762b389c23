//! Browsers: signing in by a cookie, the first administrator, passwords that change, invitations.

use std::time::Duration;

use secrecy::SecretString;

use super::keys::{Issued, KeyError, create_account, issue};
use super::password::acceptable;
use super::person::Role;
use super::second::Entered;
use super::signin::{Authentication, LASTS, Session, new_member, taken, wrong};
use super::{KeyTerms, named};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, AuditId};
use crate::base::secret::{KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::notice::{Letter, Mail};
use crate::store::{Browser, BrowserSession, Ending, Member, Purpose, SignIn, StoreError, Token};

/// What every cookie of a session begins with.
pub const SESSION_PREFIX: &str = "os-";
/// However much it is used, a session ends.
const LASTS_AT_MOST: Duration = Duration::from_secs(90 * 86_400);
/// How often it is written down that a session is used.
const NOTED_EVERY: Duration = Duration::from_secs(3_600);
/// So long after a person has given their password they need not give it again.
pub const PROOF_LASTS: Duration = Duration::from_secs(900);
/// How long an invitation or a link that sets a password is good.
pub const LINK_LASTS: Duration = Duration::from_secs(7 * 86_400);
/// The account of administrators.
const OPERATORS: &str = "operators";

/// A browser that has just been signed in.
#[derive(Debug)]
pub struct Opened {
    pub cookie: SecretString,
    pub member: Member,
}

/// Whom a letter is to, and what it says of a link's secret.
pub(super) type Addressed<'a> = (&'a str, &'a (dyn Fn(&Mail, &str) -> Letter + Sync));

/// What a link is for, and whom.
pub(super) struct Linked<'a> {
    pub purpose: Purpose,
    pub account: AccountId,
    pub subject: &'a str,
    pub payload: String,
    pub lasts: Duration,
}

/// A link or a code that is not good (any more).
pub(super) fn spent() -> Error {
    let text = "This link was used, has expired or was withdrawn. Ask for another.";
    Error::new(Kind::NotFound, text).coded("token_invalid")
}

impl Authentication {
    /// # Errors
    /// As [`Authentication::sign_in`].
    pub async fn enter(
        &self,
        email: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<Entered, Error> {
        let member = self.by_password(email, password, &browser.address).await?;
        self.enter_or_ask(member, browser).await
    }

    /// Signs a browser in for whoever proved to be `member`.
    pub(super) async fn admit(&self, member: Member, browser: Browser) -> Result<Opened, Error> {
        let now = self.clock.now();
        let token = new_token().map_err(Error::internal)?;
        let cookie = format!("{SESSION_PREFIX}{token}");
        let signin = SignIn {
            id: format!("signin_{}", AuditId::fresh().as_str().trim_start_matches("audit_")),
            account: member.account.clone(),
            member: member.id.clone(),
            created: now,
            expires: now.after(LASTS),
        };
        let opened = self.store.open_session(signin, KeyHash::of(&cookie), browser).await;
        opened.map_err(Error::internal)?;
        Ok(Opened { cookie: SecretString::from(cookie), member })
    }

    /// The session of a cookie, which is good for longer each time that it is used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_of(&self, cookie: &str) -> Result<Option<BrowserSession>, Error> {
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

    /// Ends a session, and every other of its person if `others`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave(&self, session: &BrowserSession, which: Ending) -> Result<u64, Error> {
        let (account, member) = (session.account.clone(), session.member.clone());
        let ended = self.store.end_sessions(account, member, which).await;
        self.identities.forget(&session.account);
        ended.map_err(Error::internal)
    }

    /// Notes that a session's person has given their password again.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for a wrong one.
    pub async fn prove(
        &self,
        session: &BrowserSession,
        password: SecretString,
        otp: Option<&str>,
    ) -> Result<(), Error> {
        let address = &session.browser.address;
        let member = self.who(&session.email, password, otp, address).await?;
        if member.id != session.member {
            return Err(wrong());
        }
        let proved = self.store.prove_session(session.id.clone(), self.clock.now()).await;
        proved.map_err(Error::internal)
    }

    /// Gives a person another password: every other session of theirs ends, and this one is another.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for a wrong old one, [`Kind::Malformed`] for a new one that is none.
    pub async fn change_password(
        &self,
        session: &BrowserSession,
        old: SecretString,
        new: SecretString,
        otp: Option<&str>,
    ) -> Result<Opened, Error> {
        acceptable(&new)?;
        let proved = self.who(&session.email, old, otp, &session.browser.address).await;
        let member = proved.map_err(|why| match why.code.as_deref() {
            Some("wrong_password") => wrong().at("old"),
            _ => why,
        })?;
        if member.id != session.member {
            return Err(wrong().at("old"));
        }
        let member = self.set_password(member, new).await?;
        self.admit(member, session.browser.clone()).await
    }

    pub(super) async fn set_password(
        &self,
        member: Member,
        password: SecretString,
    ) -> Result<Member, Error> {
        let hash = self.passwords.hash(password).await?;
        self.store.set_password(member.clone(), hash).await.map_err(taken)?;
        self.identities.forget(&member.account);
        Ok(member)
    }

    /// Makes what a link ends in: good once, until it has lasted long enough. Only its hash is kept. A
    /// letter that holds it, if one is to be sent, is written down with it.
    pub(super) async fn link(
        &self,
        linked: Linked<'_>,
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

    /// A code that makes the first administrator, while there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn setup_code(&self) -> Result<Option<String>, Error> {
        if self.has_administrator().await? {
            return Ok(None);
        }
        let account = AccountId::stored("acct_admin");
        let linked = Linked {
            purpose: Purpose::Setup,
            account,
            subject: "",
            payload: "{}".to_owned(),
            lasts: LINK_LASTS,
        };
        Ok(Some(self.link(linked, None).await?))
    }

    async fn has_administrator(&self) -> Result<bool, Error> {
        self.store.has_member_of_role("admin").await.map_err(Error::internal)
    }

    /// Whether a code makes an administrator.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for one that does not.
    pub async fn setup_is_open(&self, code: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let good = self.store.token(Purpose::Setup, KeyHash::of(code), now).await;
        if good.map_err(Error::internal)?.is_none() || self.has_administrator().await? {
            return Err(spent());
        }
        Ok(())
    }

    /// The first administrator, with an account and a key of that account.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a code that is not good; as [`Authentication::register`].
    pub async fn setup(
        &self,
        code: &str,
        email: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<(Opened, Issued), Error> {
        let now = self.clock.now();
        acceptable(&password)?;
        let sample = new_member(AccountId::fresh(), email, Role::Admin, now)?;
        let known = self.store.member_of_email(sample.email.clone()).await;
        if known.map_err(Error::internal)?.is_some() {
            return Err(taken(StoreError::Taken(sample.email)));
        }
        self.setup_is_open(code).await?;
        let hash = self.passwords.hash(password).await?;
        let used = self.store.use_token(Purpose::Setup, KeyHash::of(code), now).await;
        used.map_err(Error::internal)?.ok_or_else(spent)?;
        let account = match create_account(&self.store, OPERATORS, "enterprise", None, now).await {
            Ok(account) => account.id,
            Err(KeyError::Store(StoreError::Taken(_))) => {
                let known = self.store.account(OPERATORS).await.map_err(Error::internal)?;
                known.ok_or_else(|| Error::internal("the operators' account is gone"))?.id
            }
            Err(why) => return Err(Error::internal(why)),
        };
        let member = Member { account, password: Some(hash), ..sample };
        self.store.add_member(member.clone()).await.map_err(taken)?;
        // Of the account, not of its administrator: what programs have must not run the gateway.
        let terms = KeyTerms::default();
        let key = issue(&self.store, member.account.as_str(), None, "first", &terms, now).await;
        let key = key.map_err(Error::internal)?;
        Ok((self.admit(member, browser).await?, key))
    }

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

    /// Invites an address to an account: what its link ends in. Where mail is sent, they get it too.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for an address or a role that is none, [`Kind::Conflict`] for somebody who
    /// is there already.
    pub async fn invite(
        &self,
        account: &AccountId,
        email: &str,
        role: &str,
        by: &str,
    ) -> Result<String, Error> {
        let role = Role::parse(role).filter(|role| *role != Role::Admin).ok_or_else(|| {
            let text = "A role is 'owner', 'member' or 'billing'.";
            Error::new(Kind::Malformed, text).at("role")
        })?;
        let member = new_member(account.clone(), email, role, self.clock.now())?;
        let here = self.store.members(account.clone()).await.map_err(Error::internal)?;
        if here.iter().any(|one| one.email == member.email) {
            return Err(taken(StoreError::Taken(member.email)));
        }
        for old in self.invitations(account).await? {
            if old.subject == member.email {
                self.withdraw(account, &old.id).await?;
            }
        }
        let payload = serde_json::json!({"role": role.as_str(), "by": by}).to_string();
        let found = self.store.account(account.as_str()).await.map_err(Error::internal)?;
        let name = found.map(|account| account.name).unwrap_or_default();
        let write = |mail: &Mail, secret: &str| {
            Letter::invitation(&format!("{}/invite/{secret}", mail.home()), &name, by)
        };
        let linked = Linked {
            purpose: Purpose::Invitation,
            account: account.clone(),
            subject: &member.email,
            payload,
            lasts: LINK_LASTS,
        };
        let letter = self
            .mail
            .is_some()
            .then_some((member.email.as_str(), &write as &(dyn Fn(&Mail, &str) -> Letter + Sync)));
        self.link(linked, letter).await
    }

    /// # Errors
    /// When the store fails.
    pub async fn invitations(&self, account: &AccountId) -> Result<Vec<Token>, Error> {
        let now = self.clock.now();
        let all = self.store.tokens(Purpose::Invitation, account.clone(), now).await;
        all.map_err(Error::internal)
    }

    /// # Errors
    /// [`Kind::NotFound`] for one that there is not.
    pub async fn withdraw(&self, account: &AccountId, id: &str) -> Result<(), Error> {
        let dropped = self.store.drop_token(account.clone(), id.to_owned()).await;
        if dropped.map_err(Error::internal)? { Ok(()) } else { Err(spent()) }
    }

    /// An invitation, by its link.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good.
    pub async fn invited(&self, secret: &str) -> Result<Token, Error> {
        self.good(Purpose::Invitation, secret).await
    }

    /// Joins the account of an invitation.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, [`Kind::Conflict`] where the address signs in
    /// to another account.
    pub async fn accept(&self, secret: &str, password: SecretString) -> Result<Member, Error> {
        acceptable(&password)?;
        let now = self.clock.now();
        let token = self.invited(secret).await?;
        let known = self.store.member_of_email(token.subject.clone()).await;
        if known.map_err(Error::internal)?.is_some() {
            let text = "This address signs in to another account here. Ask to be invited at \
                        another address.";
            return Err(Error::new(Kind::Conflict, text).coded("other_address"));
        }
        let payload: serde_json::Value =
            serde_json::from_str(&token.payload).map_err(Error::internal)?;
        let role = payload["role"].as_str().and_then(Role::parse);
        let role = role.ok_or_else(|| Error::internal("an invitation without a role"))?;
        let hash = self.passwords.hash(password).await?;
        self.use_up(Purpose::Invitation, secret).await?;
        let member = Member {
            password: Some(hash),
            ..new_member(token.account.clone(), &token.subject, role, now)?
        };
        if let Err(why) = self.store.add_member(member.clone()).await {
            self.store.restore_token(KeyHash::of(secret)).await.map_err(Error::internal)?;
            return Err(taken(why));
        }
        Ok(member)
    }

    /// The same, and the browser is signed in.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_and_enter(
        &self,
        secret: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<Opened, Error> {
        let member = self.accept(secret, password).await?;
        self.admit(member, browser).await
    }

    /// The same, for a program.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_and_sign_in(
        &self,
        secret: &str,
        password: SecretString,
    ) -> Result<Session, Error> {
        let member = self.accept(secret, password).await?;
        self.open(member).await
    }

    /// Gives an account another name.
    ///
    /// # Errors
    /// For a name that is none, or is taken.
    pub async fn rename_account(&self, account: &AccountId, name: &str) -> Result<(), Error> {
        named(name)?;
        let found = self.store.account(account.as_str()).await.map_err(Error::internal)?;
        let mut found = found.ok_or_else(|| Error::internal("the account is gone"))?;
        name.clone_into(&mut found.name);
        self.store.change_account(found).await.map_err(|why| match why {
            StoreError::Taken(_) => {
                Error::new(Kind::Conflict, "That name is taken.").at("name").coded("taken")
            }
            other => Error::internal(other),
        })?;
        Ok(())
    }
}

/// Whether a person has proved lately who they are.
#[must_use]
pub fn is_proved(session: &BrowserSession, now: Timestamp) -> bool {
    now < session.proved.after(PROOF_LASTS)
}
