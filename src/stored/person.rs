//! The person who asks, and the account that they are in.

use serde_json::{Value, json};

use crate::admit::{Caller, Draft};
use crate::base::calendar;
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::store::Member;

/// The member who signed in. A key, even one of theirs, is no person.
///
/// # Errors
/// [`Kind::Forbidden`] for a key.
pub async fn member(app: &App, caller: &Caller) -> Result<Member, Error> {
    let (account, id) = (caller.account.clone(), caller.person.id.clone());
    let found = app.shared.store.member(account, id).await.map_err(Error::internal)?;
    found.filter(|member| member.key == caller.key).ok_or_else(|| {
        let text = "This needs a person who is signed in: an access token, not an API key.";
        Error::new(Kind::Forbidden, text).coded("person_required")
    })
}

/// `GET /v1/me`
///
/// # Errors
/// As [`member`].
pub async fn me(app: &App, caller: &Caller) -> Result<Value, Error> {
    let member = member(app, caller).await?;
    let account = app.shared.store.account(caller.account.as_str()).await;
    let gone = || Error::internal("the account of a member is gone");
    let account = account.map_err(Error::internal)?.ok_or_else(gone)?;
    Ok(json!({
        "object": "person",
        "id": member.id,
        "email": member.email,
        "verified": member.verified.is_some(),
        "totp": member.has_factor,
        "created_at": calendar::written(member.created),
        "accounts": [{"id": account.id.as_str(), "name": account.name, "role": member.role}],
    }))
}

/// `PATCH /v1/account`: another name
///
/// # Errors
/// [`Kind::Forbidden`] unless an owner who is signed in asks; for a name that is none, or is taken.
pub async fn rename(app: &App, caller: &Caller, name: &str) -> Result<(), Error> {
    member(app, caller).await?;
    caller.person.must_run_the_account()?;
    app.shared.authentication.rename_account(&caller.account, name).await
}

/// `POST /v1/me/totp`: a secret for an app that shows codes
///
/// # Errors
/// [`Kind::Unauthenticated`] for a wrong password, [`Kind::Conflict`] where there is a second factor, or
/// nothing to seal it with.
pub async fn draft_factor(
    app: &App,
    caller: &Caller,
    password: secrecy::SecretString,
    address: &str,
) -> Result<Draft, Error> {
    let member = member(app, caller).await?;
    let desk = &app.shared.authentication;
    // Whoever finds a token lying about must not lock its owner out.
    desk.must_be(&member, password, address).await?;
    desk.draft_factor(&member.id, &member.email).await
}
