//! The person who asks, and the accounts that they are in.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Serialize;

use crate::admit::{Authentication, Caller, Draft};
use crate::base::calendar;
use crate::base::{Error, Kind};
use crate::store::SignedIn;

/// The sign-in of whoever asks with an access token. A key, even one of a person's, is no person.
///
/// # Errors
/// [`Kind::Forbidden`] for a key.
pub async fn signed_in(desk: &Authentication, credential: Option<&str>) -> Result<SignedIn, Error> {
    let found = match credential {
        Some(token) => desk.signed_in_by(token).await?,
        None => None,
    };
    found.ok_or_else(|| {
        let text = "This needs a person who is signed in: an access token, not an API key.";
        Error::new(Kind::Forbidden, text).coded("person_required")
    })
}

/// The person who is signed in.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Person")]
pub struct Me {
    object: &'static str,
    id: String,
    /// Who they are in the account that they are signed in to.
    member: String,
    email: String,
    name: String,
    /// The address was shown to be theirs.
    verified: bool,
    totp: bool,
    created_at: String,
    accounts: Vec<OwnAccount>,
}

/// An account that a person is in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnAccount {
    id: String,
    name: String,
    role: String,
    member: String,
    current: bool,
    suspended: bool,
}

/// A sign-in as its person sees it in lists.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SignIn")]
pub struct ShownSignIn {
    id: String,
    object: &'static str,
    account: String,
    account_name: String,
    since: String,
    seen: String,
    expires_at: String,
    address: String,
    agent: String,
    current: bool,
}

/// `GET /v1/me`
///
/// # Errors
/// When the store fails.
pub async fn me(desk: &Authentication, signed_in: &SignedIn) -> Result<Me, Error> {
    let person = desk.store.person(signed_in.person.clone()).await.map_err(Error::internal)?;
    let person = person.ok_or_else(|| Error::internal("a person who is signed in is gone"))?;
    let accounts = desk
        .memberships(signed_in)
        .await?
        .iter()
        .map(|one| OwnAccount {
            id: one.member.account.as_str().to_owned(),
            name: one.account_name.clone(),
            role: one.member.role.clone(),
            member: one.member.id.clone(),
            current: one.member.account == signed_in.account,
            suspended: one.suspended,
        })
        .collect();
    Ok(Me {
        object: "person",
        id: person.id,
        member: signed_in.member.clone(),
        email: person.email,
        name: person.name,
        verified: person.verified.is_some(),
        totp: person.has_factor,
        created_at: calendar::written(person.created),
        accounts,
    })
}

/// A sign-in as its person sees it in lists.
#[must_use]
pub fn shown(one: &SignedIn, current: &SignedIn) -> ShownSignIn {
    ShownSignIn {
        id: one.id.clone(),
        object: "session",
        account: one.account.as_str().to_owned(),
        account_name: one.account_name.clone(),
        since: calendar::written(one.created),
        seen: calendar::written(one.seen.max(one.created)),
        expires_at: calendar::written(one.expires),
        address: one.browser.address.clone(),
        agent: one.browser.agent.clone(),
        current: one.id == current.id,
    }
}

/// `PATCH /v1/account`: another name
///
/// # Errors
/// [`Kind::Forbidden`] unless an owner asks; for a name that is none, or is taken.
pub async fn rename_account(
    desk: &Authentication,
    caller: &Caller,
    name: &str,
) -> Result<(), Error> {
    caller.person.must_run_the_account()?;
    desk.rename_account(&caller.account, name).await
}

/// `POST /v1/me/totp`: a secret for an app that shows codes
///
/// # Errors
/// [`Kind::Unauthenticated`] for a wrong password, [`Kind::Conflict`] where there is a second factor, or
/// nothing to seal it with.
pub async fn draft_factor(
    desk: &Authentication,
    signed_in: &SignedIn,
    password: SecretString,
    address: &str,
) -> Result<Draft, Error> {
    // Whoever finds a token lying about must not lock its owner out.
    desk.must_be(signed_in, password, address).await?;
    desk.draft_factor(signed_in).await
}
