//! Invitations: a link that makes somebody a member of an account, whether they are here already or not.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::authentication::Authentication;
use super::link::{LINK_LASTS, LinkTarget, spent};
use super::named;
use super::password::acceptable;
use super::person::Role;
use super::session::OpenedSession;
use super::signin::{Session, new_member, new_person, taken};
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;
use crate::base::{Error, Kind};
use crate::notice::{Letter, Mail};
use crate::store::{Browser, Member, PersonRow, Purpose, SignedIn, StoreError, Token};

/// To what somebody is invited, and by whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InvitationDetails {
    pub role: String,
    /// An address.
    pub by: String,
}

/// An address as somebody is shown it who may not be its owner: `b…@example.com`.
#[must_use]
pub fn masked(address: &str) -> String {
    let (name, house) = address.rsplit_once('@').unwrap_or((address, ""));
    let first = name.chars().next().map(String::from).unwrap_or_default();
    format!("{first}…@{house}")
}

impl InvitationDetails {
    /// # Errors
    /// For what no invitation of ours says.
    pub fn of(invitation: &Token) -> Result<Self, Error> {
        serde_json::from_str(&invitation.payload).map_err(Error::internal)
    }
}

/// An invitation that is not good any more, and whom to ask for another.
fn over(by: &str, used: bool) -> Error {
    let text = if used {
        format!(
            "This invitation was taken or declined already, and is good once. If you have joined by \
             it, sign in. If not, ask {by} for another."
        )
    } else {
        format!("This invitation has expired or was withdrawn. Ask {by} for another.")
    };
    Error::new(Kind::NotFound, text).coded("token_invalid")
}

/// Somebody who accepts and is not signed in.
#[derive(Debug)]
pub struct Stranger<'a> {
    /// What they are called, if they say; only of those who are new here.
    pub name: Option<&'a str>,
    /// Theirs, if somebody signs in with the address already; else what it is to be.
    pub password: SecretString,
    pub otp: Option<&'a str>,
    pub browser: Browser,
}

impl Authentication {
    /// Invites an address to an account: what its link ends in. Where mail is sent, they get it too. An
    /// earlier invitation of the address to the account ends.
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
    ) -> Result<(Token, String), Error> {
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
        let invited = InvitationDetails { role: role.as_str().to_owned(), by: by.to_owned() };
        let found = self.store.account(account.as_str()).await.map_err(Error::internal)?;
        let name = found.map(|account| account.name).unwrap_or_default();
        let write = |mail: &Mail, secret: &str| {
            Letter::invitation(&format!("{}/invite/{secret}", mail.home()), &name, by)
        };
        let linked = LinkTarget {
            purpose: Purpose::Invitation,
            account: account.clone(),
            subject: &member.email,
            payload: serde_json::to_string(&invited).map_err(Error::internal)?,
            lasts: LINK_LASTS,
        };
        let letter = self
            .mail
            .is_some()
            .then_some((member.email.as_str(), &write as &(dyn Fn(&Mail, &str) -> Letter + Sync)));
        let secret = self.link(linked, letter).await?;
        Ok((self.invited(&secret).await?, secret))
    }

    /// # Errors
    /// When the store fails.
    pub async fn invitations(&self, account: &AccountId) -> Result<Vec<Token>, Error> {
        let now = self.clock.now();
        let all = self.store.tokens(Purpose::Invitation, account.clone(), now).await;
        all.map_err(Error::internal)
    }

    /// Another link for whoever is invited; the one that they have ends.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for an invitation that there is not; as [`Self::invite`].
    pub async fn invite_again(
        &self,
        account: &AccountId,
        id: &str,
        by: &str,
    ) -> Result<(Token, String), Error> {
        let all = self.invitations(account).await?;
        let old = all.iter().find(|one| one.id == id).ok_or_else(spent)?;
        self.invite(account, &old.subject, &InvitationDetails::of(old)?.role, by).await
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
        let hash = KeyHash::of(secret);
        let known = self.store.invitation(hash).await.map_err(Error::internal)?;
        match known {
            Some((token, false)) if token.expires > self.clock.now() => Ok(token),
            Some((token, used)) => Err(over(&InvitationDetails::of(&token)?.by, used)),
            None => Err(over("whoever invited you", false)),
        }
    }

    /// Says that an invitation is not wanted. Whoever has its link may.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good.
    pub async fn decline(&self, secret: &str) -> Result<(), Error> {
        self.use_up(Purpose::Invitation, secret).await.map(|_| ())
    }

    /// Whoever is signed in joins the account of an invitation. They stay where they are.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, [`Kind::Conflict`] for one that is for another
    /// address.
    pub async fn accept(&self, secret: &str, signed_in: &SignedIn) -> Result<Member, Error> {
        let token = self.invited(secret).await?;
        if token.subject != signed_in.email {
            let text = "This invitation is for another address than the one that you are signed in \
                        with. Sign out first, or ask to be invited at your address.";
            return Err(Error::new(Kind::Conflict, text).coded("other_address"));
        }
        let member = self.invitee(&token)?;
        let member = Member { person: Some(signed_in.person.clone()), ..member };
        self.join_by(secret, member, None).await
    }

    /// Somebody who is not signed in joins the account of an invitation: as who they are here, by their
    /// password, or as somebody new.
    async fn accept_as(&self, secret: &str, stranger: Stranger<'_>) -> Result<Member, Error> {
        let token = self.invited(secret).await?;
        let member = self.invitee(&token)?;
        let known = self.store.person_of_email(token.subject.clone()).await;
        if known.map_err(Error::internal)?.is_some() {
            let address = &stranger.browser.address;
            let person = self.who(&token.subject, stranger.password, stranger.otp, address).await?;
            let member = Member { person: Some(person.id), ..member };
            return self.join_by(secret, member, None).await;
        }
        acceptable(&stranger.password)?;
        stranger.name.map_or(Ok(()), named)?;
        let hash = self.passwords.hash(stranger.password).await?;
        let (member, person) = new_person(member, hash);
        let name = stranger.name.unwrap_or_default().trim().to_owned();
        self.join_by(secret, member, Some(PersonRow { name, ..person })).await
    }

    /// The member whom an invitation makes.
    fn invitee(&self, token: &Token) -> Result<Member, Error> {
        let role = Role::parse(&InvitationDetails::of(token)?.role);
        let role = role.ok_or_else(|| Error::internal("an invitation without a role"))?;
        new_member(token.account.clone(), &token.subject, role, self.clock.now())
    }

    async fn join_by(
        &self,
        secret: &str,
        member: Member,
        person: Option<PersonRow>,
    ) -> Result<Member, Error> {
        self.use_up(Purpose::Invitation, secret).await?;
        if let Err(why) = self.store.add_member(member.clone(), person).await {
            self.store.restore_token(KeyHash::of(secret)).await.map_err(Error::internal)?;
            return Err(taken(why));
        }
        Ok(member)
    }

    /// Somebody who is not signed in joins the account of an invitation, and their browser is signed in
    /// to it. Whoever signs in with the address already joins by their password.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a link that is not good, [`Kind::Unauthenticated`] for a wrong password of
    /// somebody who is here, [`Kind::Malformed`] for a new one that is none.
    pub async fn accept_and_enter(
        &self,
        secret: &str,
        stranger: Stranger<'_>,
    ) -> Result<OpenedSession, Error> {
        let browser = stranger.browser.clone();
        let member = self.accept_as(secret, stranger).await?;
        self.admit(member, browser).await
    }

    /// The same, for a program.
    ///
    /// # Errors
    /// As [`Self::accept_and_enter`].
    pub async fn accept_and_sign_in(
        &self,
        secret: &str,
        stranger: Stranger<'_>,
    ) -> Result<Session, Error> {
        let browser = stranger.browser.clone();
        let member = self.accept_as(secret, stranger).await?;
        self.open(member, browser).await
    }
}
