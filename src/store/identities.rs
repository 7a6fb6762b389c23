//! Whom issuers know members as.

use sqlx::Row;

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::ids::AccountId;

impl Store {
    /// The member whom an issuer knows by a subject: their account and id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn identity(
        &self,
        issuer: String,
        subject: String,
    ) -> Result<Option<(AccountId, String)>, StoreError> {
        self.run(move |pool| async move {
            let row = query(
                "SELECT account_id, member_id FROM identities WHERE issuer = $1 AND subject = $2",
            )
            .bind(issuer)
            .bind(subject)
            .fetch_optional(&pool)
            .await?;
            row.map(|row| {
                let account = AccountId::stored(&row.try_get::<String, _>("account_id")?);
                Ok::<_, sqlx::Error>((account, row.try_get("member_id")?))
            })
            .transpose()
        })
        .await
    }

    /// Notes whom an issuer means by a subject. Of several that come at once the first stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_identity(
        &self,
        issuer: String,
        subject: String,
        account: AccountId,
        member: String,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "INSERT INTO identities (issuer, subject, account_id, member_id) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(issuer)
            .bind(subject)
            .bind(account.as_str())
            .bind(member)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }
}
