//! An account by oneself: at once, or once the code is known that was mailed to the address.

use std::time::Duration;

use secrecy::SecretString;

use super::authentication::Authentication;
use super::keys::{Issued, KeyError, create_account, issue};
use super::password::acceptable;
use super::person::Role;
use super::session::OpenedSession;
use super::signin::{Registered, new_member, new_person, taken};
use super::throttle::ThrottledAttempt;
use super::{KeyTerms, named};
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;
use crate::base::{Error, Kind};
use crate::notice::Letter;
use crate::store::{Browser, CodeCheck, Member, Pending, PersonRow, StoreError};

/// How long a code is good, and how many wrong ones may be said.
const CODE_LASTS: Duration = Duration::from_secs(900);
const TRIES: i64 = 5;

/// Who wants an account.
#[derive(Debug)]
pub struct Applicant<'a> {
    pub email: &'a str,
    pub password: SecretString,
    /// What the account is called, if not after the address.
    pub organisation: Option<&'a str>,
    /// Where they are.
    pub browser: Browser,
}

/// Six digits that cannot be guessed in five tries.
fn new_code() -> Result<String, Error> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(format!("{:06}", u64::from_le_bytes(bytes) % 1_000_000))
}

/// A code is of one address.
fn hash_of(email: &str, code: &str) -> KeyHash {
    let digits: String = code.chars().filter(char::is_ascii_digit).collect();
    KeyHash::of(&format!("{email} {digits}"))
}

impl Authentication {
    /// Whether an address is proved before there is an account.
    #[must_use]
    pub fn proves_addresses(&self) -> bool {
        self.verify_first && self.mail.is_some()
    }

    fn is_open(&self) -> Result<&str, Error> {
        self.register.as_deref().ok_or_else(|| {
            let text = "Registration is not open here. Ask an administrator for an account.";
            Error::new(Kind::Forbidden, text).coded("registration_closed")
        })
    }

    /// A new account with its owner and a key, for whoever asks, where that is allowed.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] where it is not; [`Kind::Conflict`] for an address that is taken.
    pub async fn register(&self, applicant: Applicant<'_>) -> Result<Registered, Error> {
        let browser = applicant.browser.clone();
        let (member, key) = self.found(applicant).await?;
        Ok(Registered { session: self.open(member, browser).await?, key })
    }

    /// The same, and the owner's browser is signed in.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub async fn join(&self, applicant: Applicant<'_>) -> Result<(OpenedSession, Issued), Error> {
        let browser = applicant.browser.clone();
        let (member, key) = self.found(applicant).await?;
        Ok((self.admit(member, browser).await?, key))
    }

    async fn found(&self, applicant: Applicant<'_>) -> Result<(Member, Issued), Error> {
        self.is_open()?;
        // What cannot open an account is not counted as if it had.
        acceptable(&applicant.password)?;
        let sample =
            new_member(AccountId::fresh(), applicant.email, Role::Owner, self.clock.now())?;
        applicant.organisation.map_or(Ok(()), named)?;
        self.counted(&applicant.browser.address, async {
            // Before there is an account that nobody would own.
            let known = self.store.person_of_email(sample.email.clone()).await;
            if known.map_err(Error::internal)?.is_some() {
                return Err(taken(StoreError::Taken(sample.email.clone())));
            }
            let hash = self.passwords.hash(applicant.password).await?;
            self.open_account(sample, hash, None, applicant.organisation).await
        })
        .await
    }

    /// Opens an account from an address. Only those that come to something count against it.
    async fn counted<T>(
        &self,
        address: &str,
        opening: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let attempt = ThrottledAttempt::register(address, self.accounts_per_address);
        self.throttle.begin(&attempt, self.clock.now())?;
        let opened = opening.await;
        if opened.is_err() {
            self.throttle.undone(&attempt, self.clock.now());
        }
        opened
    }

    /// The account itself: its owner, and their key. It is named as `organisation` says, or else after
    /// the address, which they have proved to be theirs if they are `verified`.
    async fn open_account(
        &self,
        sample: Member,
        password: String,
        verified: Option<Timestamp>,
        organisation: Option<&str>,
    ) -> Result<(Member, Issued), Error> {
        let plan = self.plans.get(self.is_open()?);
        let plan =
            plan.ok_or_else(|| Error::internal("the plan of those who register is missing"))?;
        let now = self.clock.now();
        let name = organisation.unwrap_or(&sample.email);
        let account = create_account(&self.store, name, &plan.name, None, now).await;
        let account = account.map_err(|why| match why {
            KeyError::Store(StoreError::Taken(_)) if organisation.is_some() => {
                Error::new(Kind::Conflict, "An organisation of that name is here already.")
                    .at("organisation")
                    .coded("taken")
            }
            KeyError::Store(why) => taken(why),
            other => Error::internal(other),
        })?;
        let member = Member { account: account.id, ..sample };
        let (member, person) = new_person(member, password);
        let person = PersonRow { verified, ..person };
        self.store.add_member(member.clone(), Some(person)).await.map_err(taken)?;
        let (account, terms) = (member.account.as_str(), KeyTerms::default());
        let key = issue(&self.store, account, Some(&member.id), "default", &terms, now);
        let key = key.await.map_err(Error::internal)?;
        Ok((member, key))
    }

    /// Mails a code to whoever wants an account. Who has one already is told so, by mail: the answer
    /// is the same.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] where registration is closed, [`Kind::RateLimited`] for who asks too often,
    /// [`Kind::Malformed`] for what cannot be an account.
    pub async fn apply(&self, applicant: Applicant<'_>) -> Result<(), Error> {
        self.is_open()?;
        acceptable(&applicant.password)?;
        let now = self.clock.now();
        let sample = new_member(AccountId::fresh(), applicant.email, Role::Owner, now)?;
        applicant.organisation.map_or(Ok(()), named)?;
        let address = applicant.browser.address.as_str();
        // Whoever has opened enough accounts from there is told now, and not with the code.
        self.throttle.look(&ThrottledAttempt::register(address, self.accounts_per_address), now)?;
        self.throttle.begin(&ThrottledAttempt::mail_from(address), now)?;
        let quiet = self.throttle.begin(&ThrottledAttempt::mail_to(&sample.email), now).is_err();
        // As long for those who are known.
        let password = self.passwords.hash(applicant.password).await?;
        let known = self.store.person_of_email(sample.email.clone()).await;
        let known = known.map_err(Error::internal)?.is_some();
        if quiet {
            return Ok(());
        }
        let mail = self.mail()?;
        if known {
            let letter = Letter::known(mail.home());
            let letter = mail.addressed(&letter, &sample.email, "", now)?;
            self.store.post_mail(letter).await.map_err(Error::internal)?;
        } else {
            let code = new_code()?;
            let letter = mail.addressed(&Letter::code(&code), &sample.email, "", now)?;
            let hash = hash_of(&sample.email, &code);
            let pending = Pending {
                email: sample.email,
                password,
                organisation: applicant.organisation.unwrap_or_default().to_owned(),
                expires: now.after(CODE_LASTS),
            };
            self.store.put_pending(pending, hash, letter).await.map_err(Error::internal)?;
        }
        mail.posted();
        Ok(())
    }

    /// Mails another code, if the address waits for one. The answer is the same if it does not.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where no mail is sent, [`Kind::RateLimited`] for who asks too often.
    pub async fn apply_again(&self, email: &str, address: &str) -> Result<(), Error> {
        let (mail, now) = (self.mail()?, self.clock.now());
        let email = email.trim().to_lowercase();
        self.throttle.begin(&ThrottledAttempt::mail_from(address), now)?;
        if self.throttle.begin(&ThrottledAttempt::mail_to(&email), now).is_err() {
            return Ok(());
        }
        let code = new_code()?;
        let letter = mail.addressed(&Letter::code(&code), &email, "", now)?;
        let hash = hash_of(&email, &code);
        let renewed = self.store.renew_pending(email, hash, letter, now).await;
        if renewed.map_err(Error::internal)? {
            mail.posted();
        }
        Ok(())
    }

    async fn proved(
        &self,
        email: &str,
        code: &str,
        address: &str,
    ) -> Result<(Member, Issued), Error> {
        let now = self.clock.now();
        let email = email.trim().to_lowercase();
        let attempt = ThrottledAttempt::code(&email, address);
        self.throttle.begin(&attempt, now)?;
        let hash = hash_of(&email, code);
        let tried = self.store.try_code(email, hash, TRIES, now).await;
        let pending = match tried.map_err(Error::internal)? {
            CodeCheck::Right(pending) => pending,
            CodeCheck::Wrong => {
                let text = "That is not the code. Look at the newest mail.";
                return Err(Error::new(Kind::Malformed, text).at("code").coded("code_wrong"));
            }
            CodeCheck::Gone => {
                let text = "The code has expired, or too many were wrong. Sign up again.";
                return Err(Error::new(Kind::Malformed, text).at("code").coded("code_expired"));
            }
        };
        self.throttle.succeeded(&attempt, now);
        let sample = new_member(AccountId::fresh(), &pending.email, Role::Owner, now)?;
        let organisation = Some(pending.organisation.as_str()).filter(|name| !name.is_empty());
        let opening = self.open_account(sample, pending.password, Some(now), organisation);
        self.counted(address, opening).await
    }

    /// The account of whoever knows the code that was mailed to the address.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for a code that is wrong or not good any more, [`Kind::RateLimited`] for who
    /// guesses or opens too many.
    pub async fn confirm(
        &self,
        email: &str,
        code: &str,
        browser: Browser,
    ) -> Result<Registered, Error> {
        let (member, key) = self.proved(email, code, &browser.address).await?;
        Ok(Registered { session: self.open(member, browser).await?, key })
    }

    /// The same, and the browser is signed in.
    ///
    /// # Errors
    /// As [`Self::confirm`].
    pub async fn confirm_and_enter(
        &self,
        email: &str,
        code: &str,
        browser: Browser,
    ) -> Result<(OpenedSession, Issued), Error> {
        let (member, key) = self.proved(email, code, &browser.address).await?;
        Ok((self.admit(member, browser).await?, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_six_digits_and_is_of_its_address() {
        let code = new_code().unwrap();
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(hash_of("a@b", "123 456"), hash_of("a@b", "123456"), "as people type it");
        assert_ne!(hash_of("a@b", "123456"), hash_of("c@d", "123456"));
    }
}
