//! Whom issuers know people as.

use sqlx::Row;

use super::db::{Store, StoreError};
use super::sql::query;

impl Store {
    /// The person whom an issuer knows by a subject: their id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn identity(
        &self,
        issuer: String,
        subject: String,
    ) -> Result<Option<String>, StoreError> {
        self.run(move |pool| async move {
            query("SELECT person_id FROM identities WHERE issuer = $1 AND subject = $2")
                .bind(issuer)
                .bind(subject)
                .fetch_optional(&pool)
                .await?
                .map(|row| row.try_get("person_id"))
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
        person: String,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "INSERT INTO identities (issuer, subject, person_id) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(issuer)
            .bind(subject)
            .bind(person)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }
}
