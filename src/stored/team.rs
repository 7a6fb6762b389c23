//! The people of an account, as its owners look after them: who is in it, who is invited, and its end.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::keeper::Keeper;
use crate::administration::Administration;
use crate::admit::{Authentication, Caller, InvitationDetails, Role, last_owner, must_be_proved};
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::base::secret::fingerprint;
use crate::base::{Error, Kind};
use crate::store::{FormState, Key, LeaveResult, LeaveRule, Member, SignedIn, Store, Token};

/// How long a name is known under which somebody was invited.
const KNOWN_FOR: Duration = Duration::from_secs(86_400);

fn missing() -> Error {
    Error::new(Kind::NotFound, "There is no such member.").coded("member_not_found")
}

fn parted(parting: LeaveResult) -> Result<(), Error> {
    match parting {
        LeaveResult::Done => Ok(()),
        LeaveResult::Nobody => Err(missing()),
        LeaveResult::LastOwner => Err(last_owner(
            "This is the last owner of the account. Make somebody else an owner first.",
        )),
    }
}

/// A member, and what is known of them beside.
#[derive(Debug)]
pub struct KnownMember {
    pub member: Member,
    /// When they were last seen, if they are signed in anywhere.
    pub seen: Option<Timestamp>,
    /// How many keys of theirs are good.
    pub keys: usize,
}

/// # Errors
/// When the store fails.
pub async fn members(desk: &Authentication, caller: &Caller) -> Result<Vec<KnownMember>, Error> {
    let (store, account) = (&desk.store, &caller.account);
    let all = store.members(account.clone()).await.map_err(Error::internal)?;
    let seen = store.last_seen(account.clone()).await.map_err(Error::internal)?;
    let keys = store.keys(Some(account.clone())).await.map_err(Error::internal)?;
    let now = desk.clock.now();
    let good = |key: &&Key| key.revoked.is_none_or(|at| now < at);
    let of = |member: &Member| {
        let own = keys.iter().filter(|key| key.member.as_deref() == Some(&member.id));
        own.filter(good).count()
    };
    let known = all.into_iter().map(|member| {
        let seen = seen.get(&member.id).copied();
        KnownMember { seen, keys: of(&member), member }
    });
    Ok(known.collect())
}

/// # Errors
/// [`Kind::NotFound`] for who is not in the account.
pub async fn member(store: &Store, caller: &Caller, id: &str) -> Result<Member, Error> {
    let found = store.member(caller.account.clone(), id.to_owned()).await;
    found.map_err(Error::internal)?.ok_or_else(missing)
}

/// A member as lists show them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub struct ShownMember {
    id: String,
    object: &'static str,
    email: String,
    name: String,
    role: String,
    /// Whether they have a password or an issuer here.
    signs_in: bool,
    totp: bool,
    /// How many keys of theirs are good.
    keys: usize,
    created_at: String,
    last_seen_at: Option<String>,
}

/// An invitation as lists show it: without its link.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
pub struct ShownInvitation {
    id: String,
    object: &'static str,
    email: String,
    role: String,
    by: String,
    expires_at: String,
}

/// A member as lists show them.
#[must_use]
pub fn shown(known: &KnownMember) -> ShownMember {
    let member = &known.member;
    ShownMember {
        id: member.id.clone(),
        object: "member",
        email: member.email.clone(),
        name: member.name.clone(),
        role: member.role.clone(),
        signs_in: member.person.is_some(),
        totp: member.has_factor,
        keys: known.keys,
        created_at: calendar::written(member.created),
        last_seen_at: known.seen.map(calendar::written),
    }
}

/// An invitation as lists show it: without its link.
///
/// # Errors
/// For what no invitation of ours says.
pub fn shown_invitation(invitation: &Token) -> Result<ShownInvitation, Error> {
    let InvitationDetails { role, by } = InvitationDetails::of(invitation)?;
    Ok(ShownInvitation {
        id: invitation.id.clone(),
        object: "invitation",
        email: invitation.subject.clone(),
        role,
        by,
        expires_at: calendar::written(invitation.expires),
    })
}

/// Who runs an account gives what is theirs to nobody by accident.
fn must_may_make(desk: &Authentication, keeper: &Keeper, role: &str) -> Result<(), Error> {
    if role == Role::Owner.as_str() {
        return keeper.must_be_proved(desk.clock.now());
    }
    Ok(())
}

/// Gives a member another role.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account, or without a proof for an owner;
/// [`Kind::Conflict`] for the last owner, [`Kind::Malformed`] for a role that is none.
pub async fn change_role(
    desk: &Authentication,
    caller: &Caller,
    keeper: &Keeper,
    id: &str,
    role: &str,
) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    let role = Role::parse(role).filter(|role| *role != Role::Admin).ok_or_else(|| {
        let text = "A role is 'owner', 'member' or 'billing'.";
        Error::new(Kind::Malformed, text).at("role")
    })?;
    let before = member(&desk.store, caller, id).await?.role;
    if before == "admin" {
        let text = "An administrator of the gateway keeps their role here.";
        return Err(Error::new(Kind::Forbidden, text).coded("admin_required"));
    }
    // Who may not make an owner must not unmake one.
    must_may_make(desk, keeper, &before)?;
    must_may_make(desk, keeper, role.as_str())?;
    let (account, role) = (caller.account.clone(), role.as_str().to_owned());
    let changed = desk.store.change_role(account, id.to_owned(), role).await;
    desk.identities.forget(&caller.account);
    parted(changed.map_err(Error::internal)?)
}

/// Takes the second factor of a member away who has lost it. It is gone in whichever account.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account, or without a proof; [`Kind::NotFound`] for
/// who is no member of it, or is an administrator of the gateway; [`Kind::Conflict`] for who is in
/// another account, too.
pub async fn reset_factor(
    work: &Administration<'_>,
    caller: &Caller,
    signed_in: &SignedIn,
    id: &str,
) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    must_be_proved(signed_in, work.clock.now())?;
    let found = member(work.store, caller, id).await?;
    if found.role == "admin" && !caller.admin {
        return Err(missing());
    }
    // Who runs one account must not weaken what guards another.
    if let Some(person) = &found.person {
        let all = work.store.memberships(person.clone()).await.map_err(Error::internal)?;
        if all.len() > 1 && !caller.admin {
            let text = "They are in another account, too. Ask an administrator of the gateway to \
                        take it away.";
            return Err(Error::new(Kind::Conflict, text).coded("in_other_accounts"));
        }
    }
    work.reset_factor(caller.account.as_str(), id).await
}

/// Removes a member, with their keys and all that they keep in the account.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account, or without a proof; [`Kind::NotFound`] for
/// who is no member of it, [`Kind::Conflict`] for the last owner.
pub async fn remove(
    work: &Administration<'_>,
    caller: &Caller,
    signed_in: &SignedIn,
    id: &str,
) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    let found = member(work.store, caller, id).await?;
    if found.role == "admin" && !caller.admin {
        return Err(missing());
    }
    must_be_proved(signed_in, work.clock.now())?;
    parted(work.part_with_member(&found, LeaveRule::Run).await?)
}

/// The invitations that wait for an answer.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account.
pub async fn invitations(desk: &Authentication, caller: &Caller) -> Result<Vec<Token>, Error> {
    caller.person.must_run_the_account()?;
    desk.invitations(&caller.account).await
}

/// Invites an address to the account: the invitation, and what its link ends in.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account, or without a proof for an owner;
/// [`Kind::Malformed`] for an address or a role that is none, [`Kind::Conflict`] for who is here.
pub async fn invite(
    desk: &Authentication,
    caller: &Caller,
    keeper: &Keeper,
    email: &str,
    role: &str,
) -> Result<(Token, String), Error> {
    caller.person.must_run_the_account()?;
    must_may_make(desk, keeper, role)?;
    desk.invite(&caller.account, email, role, keeper.name()).await
}

/// The same, once under a name that the caller gave, if they gave any: again it tells of the invitation
/// that was made then, without its link.
///
/// # Errors
/// As [`invite`]; [`Kind::Conflict`] while the first is under way, [`Kind::NotFound`] when the invitation
/// that was made is not there any more.
pub async fn invite_once(
    desk: &Authentication,
    caller: &Caller,
    keeper: &Keeper,
    (email, role): (&str, &str),
    name: Option<&str>,
) -> Result<(Token, Option<String>), Error> {
    let Some(name) = name else {
        let (invitation, secret) = invite(desk, caller, keeper, email, role).await?;
        return Ok((invitation, Some(secret)));
    };
    let account = caller.account.as_str();
    let id = fingerprint(&[b"invitation", account.as_bytes(), name.as_bytes()]);
    let (store, expires) = (&desk.store, desk.clock.now().after(KNOWN_FOR));
    let sent = store.take_form(id.clone(), account.to_owned(), expires).await;
    match sent.map_err(Error::internal)? {
        FormState::First => {}
        FormState::UnderWay => {
            let text = "A request under this Idempotency-Key is being carried out.";
            return Err(Error::new(Kind::Conflict, text).coded("under_way"));
        }
        FormState::Before(made) => {
            let all = invitations(desk, caller).await?;
            let found = all.into_iter().find(|one| one.id == made).ok_or_else(|| {
                let text = "The invitation that this Idempotency-Key made is not there any more.";
                Error::new(Kind::NotFound, text).coded("token_invalid")
            })?;
            return Ok((found, None));
        }
    }
    let made = invite(desk, caller, keeper, email, role).await;
    let result = made.as_ref().ok().map(|(invitation, _)| invitation.id.clone());
    store.settle_form(id, result).await.map_err(Error::internal)?;
    made.map(|(invitation, secret)| (invitation, Some(secret)))
}

/// Another link for whoever is invited; the one that they have ends.
///
/// # Errors
/// As [`invite`]; [`Kind::NotFound`] for an invitation that there is not.
pub async fn invite_again(
    desk: &Authentication,
    caller: &Caller,
    keeper: &Keeper,
    id: &str,
) -> Result<(Token, String), Error> {
    let all = invitations(desk, caller).await?;
    if let Some(found) = all.iter().find(|one| one.id == id) {
        must_may_make(desk, keeper, &InvitationDetails::of(found)?.role)?;
    }
    desk.invite_again(&caller.account, id, keeper.name()).await
}

/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account; [`Kind::NotFound`] for an invitation that
/// there is not.
pub async fn withdraw(desk: &Authentication, caller: &Caller, id: &str) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    desk.withdraw(&caller.account, id).await
}

/// Deletes the account that somebody is in, with all that its members keep. Its books stay.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account, or without a proof; [`Kind::Malformed`]
/// unless its name was typed, [`Kind::Conflict`] while an administrator of the gateway is in it.
pub async fn delete_account(
    work: &Administration<'_>,
    caller: &Caller,
    signed_in: &SignedIn,
    name: &str,
) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    let members = work.store.members(caller.account.clone()).await;
    if members.map_err(Error::internal)?.iter().any(|one| one.role == "admin") {
        let text = "An administrator of the gateway is in this account. It can be erased from \
                    another one, under Accounts.";
        return Err(Error::new(Kind::Conflict, text).coded("has_administrator"));
    }
    must_be_proved(signed_in, work.clock.now())?;
    if name.trim() != signed_in.account_name.trim() {
        let text = format!("The name that you typed is not '{}'.", signed_in.account_name);
        return Err(Error::new(Kind::Malformed, text).at("name"));
    }
    work.erase_account(caller.account.as_str()).await.map(|_| ())
}

#[cfg(test)]
mod tests;
