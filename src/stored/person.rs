//! The person who asks, and the accounts that they are in.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Serialize;

use crate::admit::{Authentication, Caller, FactorSetup};
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
) -> Result<FactorSetup, Error> {
    // Whoever finds a token lying about must not lock its owner out.
    desk.must_be(signed_in, password, address).await?;
    desk.draft_factor(signed_in).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::Role;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::base::clock::Timestamp;
    use serde_json::{Value, json};

    const PASSWORD: &str = "correct horse battery";

    #[tokio::test]
    async fn a_key_is_no_person_and_a_token_is_one() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        for credential in [None, Some(""), Some("sk-op-of-somebody"), Some("a.b.c")] {
            let refused = signed_in(&all.desk, credential).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Forbidden);
            assert_eq!(refused.code.as_deref(), Some("person_required"), "{credential:?}");
        }
        let token = all.session(&ann, NOON).await.access;
        let found = signed_in(&all.desk, Some(&token)).await.unwrap();
        assert_eq!((found.member, found.email), (ann.id, ann.email));
    }

    #[tokio::test]
    async fn a_person_is_shown_their_own_accounts_and_which_one_they_are_in() {
        let all = Accounts::new().await;
        let (here, there, other) =
            (all.open("acme").await, all.open("bolt").await, all.open("core").await);
        let ann = all.member(&here, "ann@acme.test", Role::Owner).await;
        let also = all.joins(&ann, &there, Role::Billing).await;
        all.member(&other, "bob@core.test", Role::Owner).await;
        let mut suspended = all.store.account("bolt").await.unwrap().unwrap();
        suspended.suspended = Some(NOON);
        all.store.change_account(suspended).await.unwrap();
        let told = me(&all.desk, &all.signed_in(&ann).await).await.unwrap();
        let told: Value = serde_json::to_value(told).unwrap();
        let account = |id: &str, name: &str, role: &str, member: &str, current: bool| {
            json!({"id": id, "name": name, "role": role, "member": member,
                "current": current, "suspended": !current})
        };
        let mut accounts = told["accounts"].as_array().unwrap().clone();
        accounts.sort_by_key(|one| one["name"].to_string());
        assert_eq!(
            accounts,
            [
                account(here.as_str(), "acme", "owner", &ann.id, true),
                account(there.as_str(), "bolt", "billing", &also.id, false),
            ]
        );
        assert_eq!(told["member"], json!(ann.id), "who they are in the account they are in");
        assert_eq!((&told["verified"], &told["totp"]), (&json!(false), &json!(false)));
    }

    #[tokio::test]
    async fn a_sign_in_says_whether_it_is_the_one_that_asks() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        let (one, other) = (all.signed_in(&ann).await, all.signed_in(&ann).await);
        assert!(shown(&one, &one).current && !shown(&other, &one).current);
        // One that was never used since was seen when it began.
        let never = SignedIn { seen: Timestamp(0), ..one.clone() };
        assert_eq!(shown(&never, &one).seen, shown(&never, &one).since);
    }

    #[tokio::test]
    async fn only_who_runs_an_account_gives_it_another_name_and_none_that_is_taken() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        for role in [Role::Member, Role::Billing] {
            let email = format!("{}@acme.test", role.as_str());
            let caller = all.caller(&all.member(&account, &email, role).await).await;
            let refused = rename_account(&all.desk, &caller, "mine").await.unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("owner_required"), "{role:?}");
        }
        let owner = all.owner(&account).await;
        let refused = rename_account(&all.desk, &owner, "bolt").await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_deref()), (Kind::Conflict, Some("name")));
        assert_eq!(rename_account(&all.desk, &owner, " ").await.unwrap_err().kind, Kind::Malformed);
        rename_account(&all.desk, &owner, "apex").await.unwrap();
        let name = async |id: &str| all.store.account(id).await.unwrap().unwrap().name;
        assert_eq!(name(account.as_str()).await, "apex");
        assert_eq!(name(other.as_str()).await, "bolt");
    }

    #[tokio::test]
    async fn a_second_factor_is_drafted_for_who_knows_the_password_and_not_by_a_token_alone() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        let person = ann.person.clone().unwrap();
        let hash = all.desk.passwords.hash(PASSWORD.into()).await.unwrap();
        all.store.set_password(person.clone(), hash).await.unwrap();
        let signed_in = all.signed_in(&ann).await;
        let draft = async |password: &str| {
            draft_factor(&all.desk, &signed_in, password.into(), "192.0.2.1").await
        };
        let refused = draft("a wrong password").await.unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("wrong_password"));
        assert!(all.desk.factor_of(&person).await.unwrap().draft.is_none(), "nothing was drafted");
        assert!(draft(PASSWORD).await.unwrap().uri.contains("ann%40acme.test"));
        assert!(all.desk.factor_of(&person).await.unwrap().draft.is_some());
    }
}
