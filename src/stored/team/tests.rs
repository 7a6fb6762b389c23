//! What who runs an account may do with its people, and with nobody else's.

use super::*;
use crate::administration::fixture::AdministrationFixture;
use crate::admit::fixture::{Accounts, NOON};
use crate::admit::{KeyTerms, PROOF_LASTS, keys};
use crate::base::ids::AccountId;
use crate::store::Purpose;

/// Long enough ago that it proves nothing any more.
fn long_ago() -> Timestamp {
    Timestamp(NOON.0 - i64::try_from(PROOF_LASTS.as_millis()).unwrap() - 1)
}

async fn keeper(all: &Accounts, member: &Member, proved: Timestamp) -> Keeper {
    Keeper::Person(Box::new(all.signed_in_since(member, proved).await))
}

fn code<T>(outcome: Result<T, Error>) -> String {
    let Err(refused) = outcome else { return "done".to_owned() };
    let kind = format!("{:?}", refused.kind);
    refused.code.map_or(kind, std::borrow::Cow::into_owned)
}

#[tokio::test]
async fn members_are_those_of_the_account_each_with_the_keys_that_are_good() {
    let all = Accounts::new().await;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    all.member(&other, "bob@bolt.test", Role::Owner).await;
    let good = all.by_key(&account, Some(&ann), &KeyTerms::default()).await;
    let gone = all.by_key(&account, Some(&ann), &KeyTerms::default()).await;
    keys::revoke(&all.store, gone.key.as_str(), NOON).await.unwrap();
    // A key of the account as a whole is nobody's.
    all.owner(&account).await;
    let told = members(&all.desk, &good).await.unwrap();
    let told: Vec<_> = told.iter().map(|one| (one.member.id.clone(), one.keys)).collect();
    assert_eq!(told, [(ann.id, 1)]);
}

#[tokio::test]
async fn a_role_is_given_by_who_runs_the_account_to_its_own_members() {
    let all = Accounts::new().await;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    let bob = all.member(&account, "bob@acme.test", Role::Member).await;
    let root = all.member(&account, "root@acme.test", Role::Admin).await;
    let eve = all.member(&other, "eve@bolt.test", Role::Member).await;
    let (owner, by_ann) = (all.caller(&ann).await, keeper(&all, &ann, NOON).await);
    let change =
        async |id: &str, role: &str| code(change_role(&all.desk, &owner, &by_ann, id, role).await);
    assert_eq!(change(&bob.id, "admin").await, "Malformed", "nobody makes an administrator here");
    assert_eq!(change(&bob.id, "king").await, "Malformed");
    assert_eq!(change(&eve.id, "billing").await, "member_not_found", "of another account");
    assert_eq!(change(&root.id, "member").await, "admin_required");
    assert_eq!(change(&bob.id, "billing").await, "done");
    let caller = all.caller(&bob).await;
    assert_eq!(caller.person.role, Role::Billing, "from the next request on");
    let by_bob = keeper(&all, &bob, NOON).await;
    let outcome = change_role(&all.desk, &caller, &by_bob, &bob.id, "owner").await;
    assert_eq!(code(outcome), "owner_required");
}

#[tokio::test]
async fn an_owner_is_made_and_unmade_by_who_has_just_proved_who_they_are() {
    let all = Accounts::new().await;
    let account = all.open("acme").await;
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    let bob = all.member(&account, "bob@acme.test", Role::Owner).await;
    let cid = all.member(&account, "cid@acme.test", Role::Member).await;
    let owner = all.caller(&ann).await;
    let program = Keeper::Key("acme".to_owned());
    let stale = keeper(&all, &ann, long_ago()).await;
    for (keeper, refused) in [(&program, "person_required"), (&stale, "proof_required")] {
        for (id, role) in [(&cid.id, "owner"), (&bob.id, "member")] {
            let outcome = change_role(&all.desk, &owner, keeper, id, role).await;
            assert_eq!(code(outcome), refused, "{role}");
        }
        change_role(&all.desk, &owner, keeper, &cid.id, "billing").await.unwrap();
    }
    let proved = keeper(&all, &ann, NOON).await;
    change_role(&all.desk, &owner, &proved, &bob.id, "member").await.unwrap();
    let last = change_role(&all.desk, &owner, &proved, &ann.id, "member").await;
    assert_eq!(code(last), "last_owner");
}

#[tokio::test]
async fn under_one_name_somebody_is_invited_once_and_the_link_is_told_once() {
    let all = Accounts::new().await;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let (owner, stranger) = (all.owner(&account).await, all.owner(&other).await);
    let program = Keeper::Key("acme".to_owned());
    let once = async |caller: &Caller, email: &str, name: Option<&str>| {
        invite_once(&all.desk, caller, &program, (email, "member"), name).await
    };
    // What was refused is no invitation: the name is free for another try.
    assert_eq!(code(once(&owner, "nobody", Some("k")).await), "Malformed");
    let (first, link) = once(&owner, "ann@acme.test", Some("k")).await.unwrap();
    assert!(link.is_some());
    let (again, link) = once(&owner, "ann@acme.test", Some("k")).await.unwrap();
    assert_eq!((again.id, link), (first.id.clone(), None));
    let (theirs, link) = once(&stranger, "ann@acme.test", Some("k")).await.unwrap();
    assert!(theirs.id != first.id && link.is_some(), "names are an account's own");
    let (nameless, link) = once(&owner, "bob@acme.test", None).await.unwrap();
    assert!(nameless.id != first.id && link.is_some());
    withdraw(&all.desk, &owner, &first.id).await.unwrap();
    assert_eq!(code(once(&owner, "ann@acme.test", Some("k")).await), "token_invalid");
}

#[tokio::test]
async fn an_invitation_under_way_is_not_made_a_second_time() {
    let all = Accounts::new().await;
    let account = all.open("acme").await;
    let id = fingerprint(&[b"invitation", account.as_str().as_bytes(), b"k"]);
    let taken = all.store.take_form(id, account.as_str().to_owned(), NOON.after(KNOWN_FOR)).await;
    assert!(matches!(taken.unwrap(), FormState::First));
    let program = Keeper::Key("acme".to_owned());
    let owner = all.owner(&account).await;
    let whom = ("ann@acme.test", "member");
    assert_eq!(code(invite_once(&all.desk, &owner, &program, whom, Some("k")).await), "under_way");
    assert!(invitations(&all.desk, &owner).await.unwrap().is_empty());
}

#[tokio::test]
async fn invitations_are_the_accounts_own_and_an_owners_needs_a_proof_each_time() {
    let all = Accounts::new().await;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    let bob = all.member(&account, "bob@acme.test", Role::Member).await;
    let (owner, member, stranger) =
        (all.caller(&ann).await, all.caller(&bob).await, all.owner(&other).await);
    let proved = keeper(&all, &ann, NOON).await;
    let program = Keeper::Key("acme".to_owned());
    let outcome = invite(&all.desk, &owner, &program, "cid@acme.test", "owner").await;
    assert_eq!(code(outcome), "person_required");
    let (made, first) = invite(&all.desk, &owner, &proved, "cid@acme.test", "owner").await.unwrap();
    let shown = serde_json::to_value(shown_invitation(&made).unwrap()).unwrap();
    assert_eq!((&shown["role"], &shown["by"]), (&"owner".into(), &"ann@acme.test".into()));
    assert!(!shown.to_string().contains(&first), "an invitation is shown without its link");
    for (caller, refused) in [(&member, "owner_required"), (&stranger, "token_invalid")] {
        let again = invite_again(&all.desk, caller, &proved, &made.id).await;
        assert_eq!(code(again), refused);
        assert_eq!(code(withdraw(&all.desk, caller, &made.id).await), refused);
    }
    assert_eq!(code(invitations(&all.desk, &member).await), "owner_required");
    assert!(invitations(&all.desk, &stranger).await.unwrap().is_empty());
    let again = invite_again(&all.desk, &owner, &program, &made.id).await;
    assert_eq!(code(again), "person_required", "a new link makes an owner as the first did");
    let (_, second) = invite_again(&all.desk, &owner, &proved, &made.id).await.unwrap();
    assert!(all.desk.invited(&first).await.is_err(), "one link is good at a time");
    assert!(all.desk.invited(&second).await.is_ok());
}

#[tokio::test]
async fn a_second_factor_is_not_taken_away_that_guards_another_account_too() {
    let office = AdministrationFixture::new().await;
    let all = &office.accounts;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    let bob = all.member(&account, "bob@acme.test", Role::Member).await;
    let cid = all.member(&account, "cid@acme.test", Role::Member).await;
    let root = all.member(&account, "root@acme.test", Role::Admin).await;
    all.joins(&cid, &other, Role::Member).await;
    let has = async |member: &Member| {
        let person = member.person.clone().unwrap();
        all.store.factor(person).await.unwrap().secret.is_some()
    };
    for member in [&bob, &cid, &root] {
        let person = member.person.clone().unwrap();
        all.store.draft_factor(person.clone(), "sealed".to_owned()).await.unwrap();
        all.store.confirm_factor(person, "sealed".to_owned(), 1, Vec::new()).await.unwrap();
        assert!(has(member).await);
    }
    let (owner, proved) = (all.caller(&ann).await, all.signed_in(&ann).await);
    let stale = all.signed_in_since(&ann, long_ago()).await;
    let reset = async |caller: &Caller, signed_in: &SignedIn, member: &Member| {
        code(reset_factor(&office.work(), caller, signed_in, &member.id).await)
    };
    assert_eq!(reset(&owner, &stale, &bob).await, "proof_required");
    assert_eq!(reset(&*all.caller(&bob).await, &proved, &cid).await, "owner_required");
    assert_eq!(reset(&owner, &proved, &cid).await, "in_other_accounts");
    assert_eq!(reset(&owner, &proved, &root).await, "member_not_found");
    let stranger = all.owner(&other).await;
    assert_eq!(reset(&stranger, &proved, &bob).await, "member_not_found");
    assert!(has(&bob).await && has(&cid).await && has(&root).await);
    assert_eq!(reset(&owner, &proved, &bob).await, "done");
    assert!(!has(&bob).await);
    // Who runs the gateway may: it is their word that keeps accounts apart.
    assert_eq!(reset(&*all.caller(&root).await, &proved, &cid).await, "done");
}

#[tokio::test]
async fn a_member_is_removed_from_the_account_with_their_keys_and_stays_in_others() {
    let office = AdministrationFixture::new().await;
    let all = &office.accounts;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    let bob = all.member(&account, "bob@acme.test", Role::Member).await;
    let root = all.member(&account, "root@acme.test", Role::Admin).await;
    let also = all.joins(&bob, &other, Role::Member).await;
    all.by_key(&account, Some(&bob), &KeyTerms::default()).await;
    let (owner, proved) = (all.caller(&ann).await, all.signed_in(&ann).await);
    let stale = all.signed_in_since(&ann, long_ago()).await;
    let gone = async |caller: &Caller, signed_in: &SignedIn, member: &Member| {
        code(remove(&office.work(), caller, signed_in, &member.id).await)
    };
    assert_eq!(gone(&*all.caller(&bob).await, &proved, &bob).await, "owner_required");
    assert_eq!(gone(&owner, &proved, &also).await, "member_not_found", "of another account");
    assert_eq!(gone(&owner, &proved, &root).await, "member_not_found");
    assert_eq!(gone(&owner, &stale, &bob).await, "proof_required");
    assert_eq!(gone(&owner, &proved, &bob).await, "done");
    assert_eq!(gone(&owner, &proved, &bob).await, "member_not_found");
    let keys = all.store.keys(Some(account.clone())).await.unwrap();
    assert!(keys.iter().all(|key| key.member.as_deref() != Some(&bob.id)));
    assert!(all.store.member(other, also.id).await.unwrap().is_some());
    let alone = all.member(&all.open("core").await, "cid@core.test", Role::Owner).await;
    let caller = all.caller(&alone).await;
    assert_eq!(gone(&caller, &all.signed_in(&alone).await, &alone).await, "last_owner");
}

#[tokio::test]
async fn an_account_is_deleted_by_its_name_for_who_runs_it_and_no_other_goes_with_it() {
    let office = AdministrationFixture::new().await;
    let all = &office.accounts;
    let (account, other) = (all.open("acme").await, all.open("bolt").await);
    let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
    let bob = all.member(&account, "bob@acme.test", Role::Member).await;
    let eve = all.member(&other, "eve@bolt.test", Role::Owner).await;
    let root = all.member(&other, "root@bolt.test", Role::Admin).await;
    let signed = async |member: &Member| all.signed_in(member).await;
    let delete = async |member: &Member, signed_in: &SignedIn, name: &str| {
        let caller = all.caller(member).await;
        code(delete_account(&office.work(), &caller, signed_in, name).await)
    };
    let there =
        async |account: &AccountId| all.store.account(account.as_str()).await.unwrap().is_some();
    assert_eq!(delete(&bob, &signed(&bob).await, "acme").await, "owner_required");
    let stale = all.signed_in_since(&ann, long_ago()).await;
    assert_eq!(delete(&ann, &stale, "acme").await, "proof_required");
    for wrong in ["", "Acme", "bolt"] {
        assert_eq!(delete(&ann, &signed(&ann).await, wrong).await, "Malformed", "{wrong}");
    }
    assert_eq!(delete(&eve, &signed(&eve).await, "bolt").await, "has_administrator");
    assert!(there(&account).await && there(&other).await);
    assert_eq!(delete(&ann, &signed(&ann).await, " acme ").await, "done");
    assert!(!there(&account).await && there(&other).await);
    let waiting = all.store.tokens(Purpose::Invitation, account.clone(), NOON).await.unwrap();
    assert!(waiting.is_empty() && all.store.members(account).await.unwrap().is_empty());
    assert_eq!(all.store.members(other).await.unwrap().len(), 2);
    assert_eq!(root.role, "admin");
}
