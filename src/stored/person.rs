//! The person who asks, and the accounts that they are in.

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::admit::{Caller, Draft};
use crate::base::calendar;
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::store::SignedIn;

/// The sign-in of whoever asks with an access token. A key, even one of a person's, is no person.
///
/// # Errors
/// [`Kind::Forbidden`] for a key.
pub async fn signed_in(app: &App, credential: Option<&str>) -> Result<SignedIn, Error> {
    let found = match credential {
        Some(token) => app.shared.authentication.signed_in_by(token).await?,
        None => None,
    };
    found.ok_or_else(|| {
        let text = "This needs a person who is signed in: an access token, not an API key.";
        Error::new(Kind::Forbidden, text).coded("person_required")
    })
}

/// `GET /v1/me`
///
/// # Errors
/// When the store fails.
pub async fn me(app: &App, signed_in: &SignedIn) -> Result<Value, Error> {
    let desk = &app.shared.authentication;
    let person =
        app.shared.store.person(signed_in.person.clone()).await.map_err(Error::internal)?;
    let person = person.ok_or_else(|| Error::internal("a person who is signed in is gone"))?;
    let accounts: Vec<Value> = desk
        .memberships(signed_in)
        .await?
        .iter()
        .map(|one| {
            json!({
                "id": one.member.account.as_str(),
                "name": one.account_name,
                "role": one.member.role,
                "member": one.member.id,
                "current": one.member.account == signed_in.account,
                "suspended": one.suspended,
            })
        })
        .collect();
    Ok(json!({
        "object": "person",
        "id": person.id,
        "member": signed_in.member,
        "email": person.email,
        "name": person.name,
        "verified": person.verified.is_some(),
        "totp": person.has_factor,
        "created_at": calendar::written(person.created),
        "accounts": accounts,
    }))
}

/// A sign-in as its person sees it in lists.
#[must_use]
pub fn shown(one: &SignedIn, current: &SignedIn) -> Value {
    json!({
        "id": one.id,
        "object": "session",
        "account": one.account.as_str(),
        "account_name": one.account_name,
        "since": calendar::written(one.created),
        "seen": calendar::written(one.seen.max(one.created)),
        "expires_at": calendar::written(one.expires),
        "address": one.browser.address,
        "agent": one.browser.agent,
        "current": one.id == current.id,
    })
}

/// `PATCH /v1/account`: another name
///
/// # Errors
/// [`Kind::Forbidden`] unless an owner asks; for a name that is none, or is taken.
pub async fn rename_account(app: &App, caller: &Caller, name: &str) -> Result<(), Error> {
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
    signed_in: &SignedIn,
    password: SecretString,
    address: &str,
) -> Result<Draft, Error> {
    let desk = &app.shared.authentication;
    // Whoever finds a token lying about must not lock its owner out.
    desk.must_be(signed_in, password, address).await?;
    desk.draft_factor(signed_in).await
}
