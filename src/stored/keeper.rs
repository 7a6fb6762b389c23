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
