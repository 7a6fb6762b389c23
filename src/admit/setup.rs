//! The first administrator, by a code that the gateway prints while there is none.

use secrecy::SecretString;

use super::KeyTerms;
use super::authentication::Authentication;
use super::keys::{Issued, KeyError, create_account, issue};
use super::link::{LINK_LASTS, LinkTarget, spent};
use super::password::acceptable;
use super::person::Role;
use super::session::OpenedSession;
use super::signin::{new_member, new_person, taken};
use crate::base::Error;
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;
use crate::store::{Browser, Member, Purpose, StoreError};

/// The account of administrators.
const OPERATORS: &str = "operators";

impl Authentication {
    /// A code that makes the first administrator, while there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn setup_code(&self) -> Result<Option<String>, Error> {
        if self.has_administrator().await? {
            return Ok(None);
        }
        let account = AccountId::stored("acct_admin");
        let linked = LinkTarget {
            purpose: Purpose::Setup,
            account,
            subject: "",
            payload: "{}".to_owned(),
            lasts: LINK_LASTS,
        };
        Ok(Some(self.link(linked, None).await?))
    }

    async fn has_administrator(&self) -> Result<bool, Error> {
        self.store.has_member_of_role("admin").await.map_err(Error::internal)
    }

    /// Whether a code makes an administrator.
    ///
    /// # Errors
    /// [`crate::base::Kind::NotFound`] for one that does not.
    pub async fn setup_is_open(&self, code: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let good = self.store.token(Purpose::Setup, KeyHash::of(code), now).await;
        if good.map_err(Error::internal)?.is_none() || self.has_administrator().await? {
            return Err(spent());
        }
        Ok(())
    }

    /// The first administrator, with an account and a key of that account.
    ///
    /// # Errors
    /// [`crate::base::Kind::NotFound`] for a code that is not good; as [`Authentication::register`].
    pub async fn setup(
        &self,
        code: &str,
        email: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<(OpenedSession, Issued), Error> {
        let now = self.clock.now();
        acceptable(&password)?;
        let sample = new_member(AccountId::fresh(), email, Role::Admin, now)?;
        let known = self.store.person_of_email(sample.email.clone()).await;
        if known.map_err(Error::internal)?.is_some() {
            return Err(taken(StoreError::Taken(sample.email)));
        }
        self.setup_is_open(code).await?;
        let hash = self.passwords.hash(password).await?;
        let used = self.store.use_token(Purpose::Setup, KeyHash::of(code), now).await;
        used.map_err(Error::internal)?.ok_or_else(spent)?;
        let account = match create_account(&self.store, OPERATORS, "enterprise", None, now).await {
            Ok(account) => account.id,
            Err(KeyError::Store(StoreError::Taken(_))) => {
                let known = self.store.account(OPERATORS).await.map_err(Error::internal)?;
                known.ok_or_else(|| Error::internal("the operators' account is gone"))?.id
            }
            Err(why) => return Err(Error::internal(why)),
        };
        let (member, person) = new_person(Member { account, ..sample }, hash);
        self.store.add_member(member.clone(), Some(person)).await.map_err(taken)?;
        // Of the account, not of its administrator: what programs have must not run the gateway.
        let terms = KeyTerms::default();
        let key = issue(&self.store, member.account.as_str(), None, "first", &terms, now).await;
        let key = key.map_err(Error::internal)?;
        Ok((self.admit(member, browser).await?, key))
    }
}
