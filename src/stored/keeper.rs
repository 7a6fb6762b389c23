//! Who looks after an account: a person who is signed in, or a program by a key that is for it.

use crate::admit::{Authentication, Caller, Scope, must_be_proved};
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::store::SignedIn;

/// Who looks after an account.
#[derive(Debug, Clone)]
pub enum Keeper {
    Person(Box<SignedIn>),
    /// A key with scope `account`; the name of its account.
    Key(String),
}

impl Keeper {
    /// Whoever asks, by a key or an access token.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] for a key without scope `account`.
    pub async fn of(
        desk: &Authentication,
        caller: &Caller,
        credential: Option<&str>,
    ) -> Result<Self, Error> {
        if let Some(token) = credential
            && let Some(signed_in) = desk.signed_in_by(token).await?
        {
            return Ok(Self::Person(Box::new(signed_in)));
        }
        caller.must_be_for(Scope::Account)?;
        let account = desk.store.account(caller.account.as_str()).await;
        let name = account.map_err(Error::internal)?.map(|account| account.name);
        Ok(Self::Key(name.unwrap_or_else(|| caller.account.as_str().to_owned())))
    }

    /// In whose name somebody is invited: an address, or the account's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Person(signed_in) => &signed_in.email,
            Self::Key(account) => account,
        }
    }

    /// # Errors
    /// [`Kind::Forbidden`] for a person whose proof is too long ago, and for a key, which cannot prove
    /// who holds it.
    pub fn must_be_proved(&self, now: Timestamp) -> Result<(), Error> {
        match self {
            Self::Person(signed_in) => must_be_proved(signed_in, now),
            Self::Key(_) => {
                let text = "An API key cannot prove who holds it. Sign in for this.";
                Err(Error::new(Kind::Forbidden, text).coded("person_required"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::admit::{KeyTerms, PROOF_LASTS, Role};
    use crate::store::EndedSignIns;

    fn for_the_account() -> KeyTerms {
        KeyTerms { scopes: Some(vec![Scope::Account]), ..KeyTerms::default() }
    }

    #[tokio::test]
    async fn a_key_looks_after_an_account_only_if_it_says_so() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let usual = all.owner(&account).await;
        for credential in [None, Some("sk-op-of-somebody")] {
            let refused = Keeper::of(&all.desk, &usual, credential).await.unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("missing_scope"), "{credential:?}");
        }
        let named = all.by_key(&account, None, &for_the_account()).await;
        let keeper = Keeper::of(&all.desk, &named, None).await.unwrap();
        assert_eq!(keeper.name(), "acme", "it acts in the name of its account");
        let refused = keeper.must_be_proved(NOON).unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("person_required"), "a key proves nothing");
    }

    #[tokio::test]
    async fn a_person_looks_after_an_account_for_as_long_as_they_are_signed_in() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let ann = all.member(&account, "ann@acme.test", Role::Owner).await;
        let caller = all.caller(&ann).await;
        let token = all.session(&ann, NOON).await.access;
        let keeper = Keeper::of(&all.desk, &caller, Some(&token)).await.unwrap();
        assert_eq!(keeper.name(), "ann@acme.test");
        let over = NOON.after(PROOF_LASTS);
        assert!(keeper.must_be_proved(Timestamp(over.0 - 1)).is_ok());
        let refused = keeper.must_be_proved(over).unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("proof_required"));
        let signed_in = all.desk.signed_in_by(&token).await.unwrap().unwrap();
        all.desk.leave(&signed_in, EndedSignIns::All).await.unwrap();
        let refused = Keeper::of(&all.desk, &caller, Some(&token)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Forbidden, "a sign-in that has ended is none");
    }
}
