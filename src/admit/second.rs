//! The second factor: codes of an app, and codes that stand in for it. Secrets are sealed, each for its
//! person; a code is good once, on whichever node.

use secrecy::{ExposeSecret as _, SecretString};

use super::authentication::{Authentication, not_theirs, of_oneself};
use super::link::{LinkTarget, of_nobody, spent};
use super::session::{OpenedSession, PasswordSignIn};
use super::throttle::ThrottledAttempt;
use super::totp;
use crate::base::seal::Vault;
use crate::base::secret::{KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::store::{Browser, Factor, Member, PersonRow, Purpose, SignedIn};

/// How many recovery codes there are, and how long each is: about 2^51 codes, as case does not count.
const CODES: usize = 10;
const CODE_LENGTH: usize = 10;
/// How long somebody whose password was right has for the code.
const TICKET_LASTS: std::time::Duration = std::time::Duration::from_secs(600);

/// For who has to have a second factor and has none.
#[must_use]
pub fn factor_required() -> Error {
    let text = "This gateway wants you to have a second factor. Set it up in the console, under \
                Settings.";
    Error::new(Kind::Forbidden, text).coded("factor_required")
}

/// A second factor that is being set up.
#[derive(Debug)]
pub struct FactorSetup {
    pub secret: SecretString,
    /// The same as apps read it.
    pub uri: String,
}

fn wanted() -> Error {
    let text = "This account has a second factor: say its code as 'otp'.";
    Error::new(Kind::Unauthenticated, text).at("otp").coded("otp_required")
}

fn wrong_code() -> Error {
    let text = "That code is wrong, or was used already. Wait for the next one.";
    Error::new(Kind::Unauthenticated, text).at("otp").coded("otp_wrong")
}

/// What a person's secret is sealed for.
fn place(person: &str) -> String {
    format!("totp/{person}")
}

/// A recovery code as people type it: dashes and spaces do not count, nor does its case.
fn recovery(code: &str) -> KeyHash {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    KeyHash::of(&plain.to_ascii_lowercase())
}

fn new_recovery_code() -> Result<String, Error> {
    let token = new_token().map_err(Error::internal)?.to_ascii_lowercase();
    let (one, other) = token.split_at(CODE_LENGTH / 2);
    let other: String = other.chars().take(CODE_LENGTH / 2).collect();
    Ok(format!("{one}-{other}"))
}

impl Authentication {
    /// Whether whoever is signed in has to set a second factor up before anything else.
    #[must_use]
    pub fn wants_factor_of(&self, signed_in: &SignedIn) -> bool {
        !signed_in.has_factor && self.factor_duty.holds_for(&signed_in.role)
    }

    /// Programs are let in once there is the second factor that has to be.
    pub(super) fn must_have_set_up(&self, member: &Member) -> Result<(), Error> {
        if !member.has_factor && self.factor_duty.holds_for(&member.role) {
            return Err(factor_required());
        }
        Ok(())
    }

    fn sealing(&self) -> Result<&Vault, Error> {
        self.vault.as_ref().ok_or_else(|| {
            let text =
                "A second factor cannot be kept: there is no vault key. Ask an administrator.";
            Error::new(Kind::Conflict, text).coded("vault_missing")
        })
    }

    fn opened(&self, person: &str, sealed: &str) -> Result<SecretString, Error> {
        self.sealing()?.open(sealed, &place(person)).map_err(Error::internal)
    }

    /// # Errors
    /// When the store fails.
    pub async fn factor_of(&self, person: &str) -> Result<Factor, Error> {
        self.store.factor(person.to_owned()).await.map_err(Error::internal)
    }

    /// Whoever has a second factor says its code, too.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for none or a wrong one, [`Kind::RateLimited`] after too many.
    pub(super) async fn must_have_factor(
        &self,
        person: &str,
        otp: Option<&str>,
    ) -> Result<(), Error> {
        let factor = self.factor_of(person).await?;
        let Some(sealed) = &factor.secret else { return Ok(()) };
        let said = otp.map(str::trim).filter(|said| !said.is_empty()).ok_or_else(wanted)?;
        let now = self.clock.now();
        // By the person alone: whoever is here knows the password already.
        let attempt = ThrottledAttempt::factor(person);
        self.throttle.begin(&attempt, now)?;
        let secret = self.opened(person, sealed)?;
        let right = match totp::step_of(&secret, said, now, factor.step) {
            Some(step) => self.store.use_step(person.to_owned(), step).await,
            None => self.store.use_recovery_code(person.to_owned(), recovery(said), now).await,
        };
        if !right.map_err(Error::internal)? {
            return Err(wrong_code());
        }
        self.throttle.undone(&attempt, now);
        Ok(())
    }

    /// Lets a browser in whose person has given their password, or asks for the code.
    pub(super) async fn enter_or_ask(
        &self,
        person: PersonRow,
        browser: Browser,
    ) -> Result<PasswordSignIn, Error> {
        let member = self.place_of(&person.id, None).await?;
        if !person.has_factor {
            return Ok(PasswordSignIn::In(self.admit(member, browser).await?));
        }
        let linked = LinkTarget {
            purpose: Purpose::Factor,
            account: of_nobody(),
            subject: &person.id,
            payload: String::new(),
            lasts: TICKET_LASTS,
        };
        Ok(PasswordSignIn::AskedForCode(self.link(linked, None).await?))
    }

    /// Lets a browser in by the code, after the password.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a form that was open for too long, [`Kind::Unauthenticated`] for a wrong
    /// code, [`Kind::RateLimited`] after too many.
    pub async fn enter_by_code(
        &self,
        ticket: &str,
        otp: &str,
        browser: Browser,
    ) -> Result<OpenedSession, Error> {
        let token = self.good(Purpose::Factor, ticket).await?;
        let person = self.store.person(token.subject).await.map_err(Error::internal)?;
        let person = person.ok_or_else(spent)?;
        self.must_have_factor(&person.id, Some(otp)).await?;
        self.use_up(Purpose::Factor, ticket).await?;
        self.admit(self.place_of(&person.id, None).await?, browser).await
    }

    /// # Errors
    /// [`Kind::Unauthenticated`] unless it is the password of whoever is signed in,
    /// [`Kind::RateLimited`] after too many that were not.
    pub async fn must_be(
        &self,
        signed_in: &SignedIn,
        password: SecretString,
        address: &str,
    ) -> Result<(), Error> {
        let found = self.by_password(&signed_in.email, password, address).await;
        let found = found.map_err(of_oneself)?;
        if found.id == signed_in.person { Ok(()) } else { Err(not_theirs()) }
    }

    /// A secret for an app. Nothing asks for its codes until one of them is said.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where there is one already, or nothing to seal it with.
    pub async fn draft_factor(&self, signed_in: &SignedIn) -> Result<FactorSetup, Error> {
        let person = signed_in.person.as_str();
        let factor = self.factor_of(person).await?;
        if factor.secret.is_some() {
            let text = "There is a second factor already. Switch it off first.";
            return Err(Error::new(Kind::Conflict, text).coded("factor_exists"));
        }
        let secret = match &factor.draft {
            // Loaded again, it is the same one.
            Some(sealed) => self.opened(person, sealed)?,
            None => {
                let secret = totp::new_secret().map_err(Error::internal)?;
                let sealed = self.sealing()?.seal(secret.expose_secret(), &place(person));
                let sealed = sealed.map_err(Error::internal)?;
                let drafted = self.store.draft_factor(person.to_owned(), sealed).await;
                drafted.map_err(Error::internal)?;
                secret
            }
        };
        let uri = totp::uri(&secret, &signed_in.email);
        Ok(FactorSetup { secret, uri })
    }

    /// Switches the second factor on, by a code of its app: the recovery codes, which are shown once.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for a wrong code, [`Kind::Conflict`] where nothing was drafted.
    pub async fn confirm_factor(&self, person: &str, code: &str) -> Result<Vec<String>, Error> {
        let nothing = || {
            let text = "There is no secret to confirm. Begin again.";
            Error::new(Kind::Conflict, text).coded("no_draft")
        };
        let factor = self.factor_of(person).await?;
        let sealed = factor.draft.ok_or_else(nothing)?;
        let now = self.clock.now();
        let attempt = ThrottledAttempt::factor(person);
        self.throttle.begin(&attempt, now)?;
        let secret = self.opened(person, &sealed)?;
        let step = totp::step_of(&secret, code, now, 0).ok_or_else(|| {
            let text = "That is not the code that the app shows now.";
            Error::new(Kind::Malformed, text).at("code").coded("otp_wrong")
        })?;
        self.throttle.undone(&attempt, now);
        let codes: Vec<String> =
            (0..CODES).map(|_| new_recovery_code()).collect::<Result<_, _>>()?;
        let hashes = codes.iter().map(|code| recovery(code)).collect();
        let confirmed = self.store.confirm_factor(person.to_owned(), sealed, step, hashes).await;
        if confirmed.map_err(Error::internal)? { Ok(codes) } else { Err(nothing()) }
    }

    /// Switches the second factor off, by password and code.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for a wrong one of either, [`Kind::RateLimited`] after too many.
    pub async fn drop_factor(
        &self,
        signed_in: &SignedIn,
        password: SecretString,
        otp: &str,
        address: &str,
    ) -> Result<(), Error> {
        self.prove(signed_in, password, Some(otp), address).await?;
        let dropped = self.store.drop_factor(signed_in.person.clone()).await;
        dropped.map(|_| ()).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_are_taken_as_people_type_them() {
        let code = new_recovery_code().unwrap();
        assert_eq!(code.len(), CODE_LENGTH + 1);
        assert_ne!(code, new_recovery_code().unwrap());
        let typed = code.to_uppercase().replace('-', " ");
        assert_eq!(recovery(&code), recovery(&typed));
        assert_ne!(recovery(&code), recovery(&code[1..]));
    }
}
