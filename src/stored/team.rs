//! The people of an account, as its owners look after them.

use crate::admit::{Caller, Role};
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::store::Member;

fn missing() -> Error {
    Error::new(Kind::NotFound, "There is no such member.").coded("member_not_found")
}

/// # Errors
/// [`Kind::Forbidden`] for who has no business with the account; what the store says.
pub async fn members(app: &App, caller: &Caller) -> Result<Vec<Member>, Error> {
    let all = app.shared.store.members(caller.account.clone()).await;
    all.map_err(Error::internal)
}

/// An account is never left without somebody who runs it.
async fn must_leave_an_owner(app: &App, caller: &Caller, without: &str) -> Result<Member, Error> {
    let all = members(app, caller).await?;
    let runs =
        |one: &&Member| one.password.is_some() && (one.role == "owner" || one.role == "admin");
    let found = all.iter().find(|one| one.id == without).ok_or_else(missing)?;
    if runs(&found) && all.iter().filter(runs).all(|one| one.id == without) {
        let text = "This is the last owner of the account. Make somebody else an owner first.";
        return Err(Error::new(Kind::Conflict, text).coded("last_owner"));
    }
    Ok(found.clone())
}

/// Gives a member another role.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account, [`Kind::Conflict`] for the last owner,
/// [`Kind::Malformed`] for a role that is none.
pub async fn change_role(app: &App, caller: &Caller, id: &str, role: &str) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    let role = Role::parse(role).filter(|role| *role != Role::Admin).ok_or_else(|| {
        let text = "A role is 'owner', 'member' or 'billing'.";
        Error::new(Kind::Malformed, text).at("role")
    })?;
    let all = members(app, caller).await?;
    let found = all.iter().find(|one| one.id == id).ok_or_else(missing)?;
    if found.role == "admin" {
        let text = "An administrator of the gateway keeps their role here.";
        return Err(Error::new(Kind::Forbidden, text).coded("admin_required"));
    }
    if role != Role::Owner {
        must_leave_an_owner(app, caller, id).await?;
    }
    let (account, role) = (caller.account.clone(), role.as_str().to_owned());
    let changed = app.shared.store.change_role(account, id.to_owned(), role).await;
    app.shared.identities.forget(&caller.account);
    if changed.map_err(Error::internal)? { Ok(()) } else { Err(missing()) }
}

/// Takes the second factor of a member away who has lost it.
///
/// # Errors
/// [`Kind::Forbidden`] unless the caller runs the account; [`Kind::NotFound`] for who is no member of
/// it, or is an administrator of the gateway.
pub async fn reset_factor(app: &App, caller: &Caller, id: &str) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    let all = members(app, caller).await?;
    let found = all.iter().find(|one| one.id == id).ok_or_else(missing)?;
    if found.role == "admin" && !caller.admin {
        return Err(missing());
    }
    app.administration(caller.key.clone()).reset_factor(caller.account.as_str(), id).await
}

/// Removes a member, with their keys and all that they keep.
///
/// # Errors
/// As [`change_role`].
pub async fn remove(app: &App, caller: &Caller, id: &str) -> Result<Member, Error> {
    caller.person.must_run_the_account()?;
    let member = must_leave_an_owner(app, caller, id).await?;
    if member.role == "admin" && !caller.admin {
        return Err(missing());
    }
    app.administration(caller.key.clone()).remove_member(caller.account.as_str(), id).await?;
    Ok(member)
}
