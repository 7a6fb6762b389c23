//! Accounts for tests, in a store of their own: callers by real keys, people who are really signed in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Authentication, Caller, FactorDuty, Identities, KeyTerms, Passwords, Plans, Role, Session,
    Signers, Throttle, keys, new_member, new_person,
};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::AccountId;
use crate::base::seal::Vault;
use crate::issuer::Issuers;
use crate::ledger::Selling;
use crate::store::{Browser, Member, SignedIn, Store};

/// When all tests begin.
pub const NOON: Timestamp = Timestamp(1_800_000_000_000);

/// A clock that began at `wall` just now.
pub fn clock_at(wall: Timestamp) -> Clock {
    Clock::Anchored { wall, since: tokio::time::Instant::now() }
}

/// A store that is gone with its test.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", ".lock"] {
            let _gone = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

/// A store, and what says who is in it.
pub struct Accounts {
    pub store: Store,
    pub clock: Clock,
    pub plans: Plans,
    pub identities: Identities,
    pub desk: Authentication,
    _file: File,
}

impl Accounts {
    pub async fn new() -> Self {
        let name = format!("optimux-accounts-{}.db", uuid::Uuid::now_v7());
        let file = File(std::env::temp_dir().join(name));
        let url = format!("sqlite://{}", file.0.display());
        let store = Store::open(&url, tokio::runtime::Handle::current()).await.unwrap();
        let (clock, plans) = (clock_at(NOON), Plans::new(&BTreeMap::new(), Selling::default()));
        let vault = Vault::new(&SecretString::from("0123456789abcdef0123456789abcdef"));
        let signers = Signers::new(store.clone(), vault.clone(), clock);
        let identities =
            Identities::new(store.clone(), plans.clone(), signers.clone(), clock, None);
        let desk = Authentication {
            store: store.clone(),
            signers,
            passwords: Passwords::default(),
            throttle: Throttle::default(),
            identities: identities.clone(),
            plans: plans.clone(),
            clock,
            register: None,
            verify_first: false,
            accounts_per_address: 10,
            factor_duty: FactorDuty::Optional,
            issuers: Issuers::default(),
            vault,
            mail: None,
        };
        Self { store, clock, plans, identities, desk, _file: file }
    }

    /// Opens an account on the plan `pro`.
    pub async fn open(&self, name: &str) -> AccountId {
        keys::create_account(&self.store, name, "pro", None, NOON).await.unwrap().id
    }

    /// Somebody new in an account, who signs in with nothing but what a test opens for them.
    pub async fn member(&self, account: &AccountId, email: &str, role: Role) -> Member {
        let member = new_member(account.clone(), email, role, NOON).unwrap();
        let (member, person) = new_person(member, String::new());
        self.store.add_member(member.clone(), Some(person)).await.unwrap();
        member
    }

    /// The same person in another account.
    pub async fn joins(&self, member: &Member, account: &AccountId, role: Role) -> Member {
        let joined = new_member(account.clone(), &member.email, role, NOON).unwrap();
        let joined = Member { person: member.person.clone(), ..joined };
        self.store.add_member(joined.clone(), None).await.unwrap();
        joined
    }

    /// Whoever has a new key of an account, or of one of its members, with these terms.
    pub async fn by_key(
        &self,
        account: &AccountId,
        member: Option<&Member>,
        terms: &KeyTerms,
    ) -> Arc<Caller> {
        let member = member.map(|member| member.id.as_str());
        let issued = keys::issue(&self.store, account.as_str(), member, "a key", terms, NOON);
        let issued = issued.await.unwrap();
        self.identities.identify(Some(issued.secret.expose_secret())).await.unwrap()
    }

    /// Whoever has a key of an account as a whole: its owner, in nobody's name.
    pub async fn owner(&self, account: &AccountId) -> Arc<Caller> {
        self.by_key(account, None, &KeyTerms::default()).await
    }

    /// A member as their browser asks.
    pub async fn caller(&self, member: &Member) -> Arc<Caller> {
        self.identities.in_session(&member.id).await.unwrap()
    }

    /// Signs a member in, who proved at `proved` who they are.
    pub async fn session(&self, member: &Member, proved: Timestamp) -> Session {
        self.desk.open_proved(member.clone(), Browser::default(), proved).await.unwrap()
    }

    /// A member who is signed in, and proved who they are just now.
    pub async fn signed_in(&self, member: &Member) -> SignedIn {
        self.signed_in_since(member, NOON).await
    }

    /// A member who is signed in, and proved at `proved` who they are.
    pub async fn signed_in_since(&self, member: &Member, proved: Timestamp) -> SignedIn {
        let session = self.session(member, proved).await;
        self.desk.signed_in_by(&session.access).await.unwrap().unwrap()
    }
}
