//! Signing in by an issuer of OpenID Connect: out with a state that is good once and of one browser, and
//! back with a code. Somebody who is known by their address joins their issuer's identity to it only if
//! both sides vouch for it.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::authentication::Authentication;
use super::link::{LinkTarget, of_nobody, spent};
use super::person::Role;
use super::session::PasswordSignIn;
use super::signin::{new_member, new_person};
use crate::base::secret::{KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::issuer::{Identity, Issuer, IssuerError};
use crate::store::{Browser, PersonRow, Purpose, StoreError};

/// How long somebody has to sign in at the issuer.
const OUT_FOR: Duration = Duration::from_secs(600);

/// What is kept of a sign-in that is under way.
#[derive(Serialize, Deserialize)]
struct Way {
    nonce: String,
    verifier: String,
    /// The hash of the cookie of the browser that set out.
    browser: String,
    next: String,
}

fn of_issuer(why: IssuerError) -> Error {
    match why {
        IssuerError::Down(_) | IssuerError::Wrong(_) => {
            tracing::error!(%why, "an issuer of signin.oidc cannot be used: check its address and that this node reaches it");
            let text = "The sign-in service cannot be asked. Try again later.";
            Error::new(Kind::UpstreamDown, text).coded("issuer_down")
        }
        IssuerError::Refused(_) | IssuerError::Token(_) => {
            tracing::warn!(%why, "a sign-in by an issuer was refused");
            let text = "The sign-in was not believed. Begin again.";
            Error::new(Kind::Unauthenticated, text).coded("issuer_refused")
        }
    }
}

fn nobody() -> Error {
    let text = "There is no account here for you. Ask your administrator for an invitation; or, if you \
                have an account, sign in with its password and confirm its address first.";
    Error::new(Kind::Forbidden, text).coded("no_account_for_you")
}

impl Authentication {
    fn issuer(&self, id: &str) -> Result<&Issuer, Error> {
        let missing = || Error::new(Kind::NotFound, "There is no such way to sign in.");
        self.issuers.get(id).ok_or_else(missing)
    }

    /// Where to send a browser, which is known by its cookie.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an issuer that is not configured, [`Kind::UpstreamDown`] for one that does
    /// not answer.
    pub async fn set_out(
        &self,
        id: &str,
        cookie: &str,
        next: &str,
        home: &str,
    ) -> Result<String, Error> {
        let issuer = self.issuer(id)?;
        let fresh = || new_token().map_err(Error::internal);
        let way = Way {
            nonce: fresh()?,
            verifier: fresh()?,
            browser: KeyHash::of(cookie).to_hex(),
            next: next.to_owned(),
        };
        let payload = serde_json::to_string(&way).map_err(Error::internal)?;
        let linked = LinkTarget {
            purpose: Purpose::Oidc,
            account: of_nobody(),
            subject: id,
            payload,
            lasts: OUT_FOR,
        };
        let state = self.link(linked, None).await?;
        let redirect = format!("{home}/oidc/{id}/callback");
        let url = issuer.authorize(&redirect, &state, &way.nonce, &way.verifier).await;
        url.map_err(of_issuer)
    }

    /// Lets in whoever came back with a code, and says where they wanted to go.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a state that is not good, or of another browser; [`Kind::Unauthenticated`]
    /// for a token that is not believed; [`Kind::Forbidden`] for somebody who has no account.
    pub async fn come_back(
        &self,
        id: &str,
        (state, code): (&str, &str),
        cookie: &str,
        home: &str,
        browser: Browser,
    ) -> Result<(PasswordSignIn, String), Error> {
        let issuer = self.issuer(id)?;
        let token = self.use_up(Purpose::Oidc, state).await?;
        let way: Way = serde_json::from_str(&token.payload).map_err(Error::internal)?;
        if token.subject != id || way.browser != KeyHash::of(cookie).to_hex() {
            return Err(spent());
        }
        let redirect = format!("{home}/oidc/{id}/callback");
        let identity = issuer.identify(code, &redirect, &way.nonce, &way.verifier).await;
        let person = self.person_of(issuer, identity.map_err(of_issuer)?).await?;
        Ok((self.enter_or_ask(person, browser).await?, way.next))
    }

    async fn person_of(&self, issuer: &Issuer, identity: Identity) -> Result<PersonRow, Error> {
        let Identity { issuer: name, subject, email } = identity;
        let known = self.store.identity(name.clone(), subject.clone()).await;
        if let Some(person) = known.map_err(Error::internal)? {
            let person = self.store.person(person).await.map_err(Error::internal)?;
            return person.ok_or_else(nobody);
        }
        let email = email.ok_or_else(nobody)?;
        let person = match self.store.person_of_email(email.clone()).await {
            // Whoever registered with an address that is not theirs must not get its owner's sign-in.
            Ok(Some(person)) if person.verified.is_none() => return Err(nobody()),
            Ok(Some(person)) => person,
            Ok(None) => self.admitted(issuer, &email).await?,
            Err(why) => return Err(Error::internal(why)),
        };
        let added = self.store.add_identity(name, subject, person.id.clone()).await;
        added.map_err(Error::internal)?;
        Ok(person)
    }

    /// A new member, where the issuer's domains let them in.
    async fn admitted(&self, issuer: &Issuer, email: &str) -> Result<PersonRow, Error> {
        let entry = &issuer.entry;
        let (_, domain) = email.rsplit_once('@').ok_or_else(nobody)?;
        let lets_in = entry.domains.iter().any(|own| own.eq_ignore_ascii_case(domain));
        let account = entry.account.as_deref().filter(|_| lets_in).ok_or_else(nobody)?;
        let found = self.store.account(account).await.map_err(Error::internal)?;
        let account = found.ok_or_else(|| {
            Error::internal(format!("the account '{account}' of an issuer is not there"))
        })?;
        let role = entry.role.as_deref().and_then(Role::parse).unwrap_or(Role::Member);
        let now = self.clock.now();
        // A password that nobody has: they may set one by mail.
        let password = SecretString::from(new_token().map_err(Error::internal)?);
        let password = self.passwords.hash(password).await?;
        let (member, person) = new_person(new_member(account.id, email, role, now)?, password);
        let person = PersonRow { verified: Some(now), ..person };
        match self.store.add_member(member, Some(person.clone())).await {
            Ok(()) => Ok(person),
            Err(StoreError::Taken(_)) => Err(nobody()),
            Err(why) => Err(Error::internal(why)),
        }
    }
}
