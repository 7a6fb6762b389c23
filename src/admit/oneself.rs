//! What people change of themselves: their name, password and address; and leaving for good.

use std::time::Duration;

use secrecy::SecretString;

use super::authentication::{Authentication, not_theirs};
use super::link::{LinkTarget, of_nobody, spent};
use super::named;
use super::password::acceptable;
use super::person::Role;
use super::session::{OpenedSession, must_be_proved};
use super::signin::{Session, new_member, taken};
use super::throttle::ThrottledAttempt;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::{Error, Kind};
use crate::notice::{Letter, Mail};
use crate::store::{LeaveResult, Member, Membership, Purpose, SignedIn, StoreError};

/// How long a link is good that confirms an address.
const DAY: Duration = Duration::from_secs(86_400);

/// What became of a request to change one's mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChange {
    /// It holds once its owner has followed the link that was mailed to it.
    Asked,
    /// At once: no mail is sent here.
    Done,
}

/// Somebody cannot go before somebody else runs what they run.
#[must_use]
pub fn last_owner(text: &'static str) -> Error {
    Error::new(Kind::Conflict, text).coded("last_owner")
}

impl Authentication {
    /// The accounts that whoever is signed in is in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memberships(&self, signed_in: &SignedIn) -> Result<Vec<Membership>, Error> {
        let all = self.store.memberships(signed_in.person.clone()).await;
        all.map_err(Error::internal)
    }

    /// Gives a person another name; an empty one is none.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for what cannot be shown as a name.
    pub async fn rename(&self, signed_in: &SignedIn, name: &str) -> Result<(), Error> {
        let name = name.trim();
        if !name.is_empty() {
            named(name)?;
        }
        let renamed = self.store.rename_person(signed_in.person.clone(), name.to_owned()).await;
        renamed.map_err(Error::internal)
    }

    /// Gives a person another password: all that they were signed in with ends, this sign-in too.
    async fn change_password(
        &self,
        signed_in: &SignedIn,
        old: SecretString,
        new: SecretString,
        otp: Option<&str>,
        address: &str,
    ) -> Result<Member, Error> {
        acceptable(&new).map_err(|why| why.at("new"))?;
        let proved = self.who(&signed_in.email, old, otp, address).await;
        let person = proved.map_err(|why| match why.code.as_deref() {
            Some("wrong_password") => not_theirs().at("old"),
            _ => why,
        })?;
        if person.id != signed_in.person {
            return Err(not_theirs().at("old"));
        }
        self.set_password(&person.id, new).await?;
        self.place_of(&person.id, Some(signed_in.account.as_str())).await
    }

    /// Gives a person another password: all else that they are signed in with ends, and the browser's
    /// session is another.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] for a wrong old one, [`Kind::Malformed`] for a new one that is none.
    pub async fn change_password_and_enter(
        &self,
        signed_in: &SignedIn,
        old: SecretString,
        new: SecretString,
        otp: Option<&str>,
    ) -> Result<OpenedSession, Error> {
        let browser = signed_in.browser.clone();
        let member = self.change_password(signed_in, old, new, otp, &browser.address).await?;
        self.admit(member, browser).await
    }

    /// The same, for a program: its tokens are others.
    ///
    /// # Errors
    /// As [`Self::change_password_and_enter`].
    pub async fn change_password_and_sign_in(
        &self,
        signed_in: &SignedIn,
        old: SecretString,
        new: SecretString,
        otp: Option<&str>,
        address: &str,
    ) -> Result<Session, Error> {
        let member = self.change_password(signed_in, old, new, otp, address).await?;
        self.open(member, signed_in.browser.clone()).await
    }

    pub(super) async fn set_password(
        &self,
        person: &str,
        password: SecretString,
    ) -> Result<(), Error> {
        let hash = self.passwords.hash(password).await?;
        let ended = self.store.set_password(person.to_owned(), hash).await;
        for account in ended.map_err(Error::internal)? {
            self.identities.forget(&account);
        }
        Ok(())
    }

    /// Gives a person another address. Where mail is sent, it holds once its owner has followed a link;
    /// the answer is the same whether somebody has it. The address that they have is confirmed.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] without a proof, but for the address that they have; [`Kind::Malformed`] for
    /// what is no address, [`Kind::RateLimited`] for who asks too often; without mail,
    /// [`Kind::Conflict`] for an address that is taken, or was not to change.
    pub async fn change_email(
        &self,
        signed_in: &SignedIn,
        email: &str,
    ) -> Result<AddressChange, Error> {
        let now = self.clock.now();
        let email = new_member(of_nobody(), email, Role::Member, now)?.email;
        if email == signed_in.email {
            self.mail_verification(signed_in).await?;
            return Ok(AddressChange::Asked);
        }
        must_be_proved(signed_in, now)?;
        if self.mail.is_none() {
            self.move_to(&signed_in.person, &email, None).await?;
            return Ok(AddressChange::Done);
        }
        self.throttle.begin(&ThrottledAttempt::mail_from(&signed_in.browser.address), now)?;
        if self.throttle.begin(&ThrottledAttempt::mail_to(&email), now).is_err() {
            // To say so would tell who is written to.
            return Ok(AddressChange::Asked);
        }
        let known = self.store.person_of_email(email.clone()).await.map_err(Error::internal)?;
        if known.is_some() {
            let mail = self.mail()?;
            let letter = mail.addressed(&Letter::known_move(mail.home()), &email, "", now)?;
            self.store.post_mail(letter).await.map_err(Error::internal)?;
            mail.posted();
            return Ok(AddressChange::Asked);
        }
        let linked = LinkTarget {
            purpose: Purpose::Email,
            account: of_nobody(),
            subject: &signed_in.person,
            payload: email.clone(),
            lasts: DAY,
        };
        let write =
            |mail: &Mail, secret: &str| Letter::moving(&format!("{}/verify/{secret}", mail.home()));
        self.link(linked, Some((&email, &write))).await?;
        Ok(AddressChange::Asked)
    }

    async fn move_to(
        &self,
        person: &str,
        email: &str,
        verified: Option<Timestamp>,
    ) -> Result<(), Error> {
        let moved = self.store.change_email(person.to_owned(), email.to_owned(), verified).await;
        moved.map_err(taken)?;
        for purpose in [Purpose::Email, Purpose::Verify, Purpose::Reset] {
            let dropped = self.store.drop_tokens_of(purpose, person.to_owned()).await;
            dropped.map_err(Error::internal)?;
        }
        Ok(())
    }

    /// Mails a person a link that confirms the address that they have.
    async fn mail_verification(&self, signed_in: &SignedIn) -> Result<(), Error> {
        self.mail()?;
        self.throttle.begin(&ThrottledAttempt::mail_to(&signed_in.email), self.clock.now())?;
        let linked = LinkTarget {
            purpose: Purpose::Verify,
            account: of_nobody(),
            subject: &signed_in.person,
            payload: signed_in.email.clone(),
            lasts: DAY,
        };
        let write =
            |mail: &Mail, secret: &str| Letter::verify(&format!("{}/verify/{secret}", mail.home()));
        self.link(linked, Some((&signed_in.email, &write))).await.map(|_| ())
    }

    /// Whose address a link confirms: the person's id, the address, and whether it is another than theirs
    /// so far.
    async fn of_address(&self, secret: &str) -> Result<(String, String, bool), Error> {
        match self.good(Purpose::Verify, secret).await {
            Ok(token) => Ok((token.subject, token.payload, false)),
            Err(why) if why.kind == Kind::NotFound => {
                let token = self.good(Purpose::Email, secret).await?;
                Ok((token.subject, token.payload, true))
            }
            Err(why) => Err(why),
        }
    }

    /// The address that a link confirms.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good.
    pub async fn verifying(&self, secret: &str) -> Result<String, Error> {
        Ok(self.of_address(secret).await?.1)
    }

    /// Confirms the address of a link; another one is theirs from now on, and the one before is told. If
    /// somebody is named, it has to be theirs.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, of somebody else, or for an address that its
    /// person has left; [`Kind::Conflict`] for one that somebody else has by now.
    pub async fn verify(&self, secret: &str, person: Option<&str>) -> Result<(), Error> {
        let (subject, email, is_new) = self.of_address(secret).await?;
        if person.is_some_and(|person| person != subject) {
            return Err(spent());
        }
        let now = self.clock.now();
        if !is_new {
            self.use_up(Purpose::Verify, secret).await?;
            let verified = self.store.verify_person(subject, email, now).await;
            return if verified.map_err(Error::internal)? { Ok(()) } else { Err(spent()) };
        }
        let before = self.store.person(subject.clone()).await.map_err(Error::internal)?;
        let before = before.ok_or_else(spent)?;
        self.use_up(Purpose::Email, secret).await?;
        self.move_to(&subject, &email, Some(now)).await?;
        if let Some(mail) = &self.mail {
            let letter = mail.addressed(&Letter::moved(mail.home()), &before.email, "", now)?;
            self.store.post_mail(letter).await.map_err(Error::internal)?;
            mail.posted();
        }
        Ok(())
    }

    /// Forgets a person for good, with all that they keep in each of their accounts.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] without a proof, [`Kind::Conflict`] for the last owner of an account.
    pub async fn leave_for_good(&self, signed_in: &SignedIn) -> Result<(), Error> {
        must_be_proved(signed_in, self.clock.now())?;
        let all = self.memberships(signed_in).await?;
        let parting = self.store.erase_person(signed_in.person.clone()).await;
        match parting.map_err(Error::internal)? {
            LeaveResult::LastOwner => Err(last_owner(
                "You are the last owner of an account. Make somebody else an owner, or delete the \
                 account first.",
            )),
            LeaveResult::Done | LeaveResult::Nobody => {
                for one in &all {
                    self.identities.forget(&one.member.account);
                }
                Ok(())
            }
        }
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
