//! Pictures that came as bytes and were asked for as addresses.

use sqlx::Row;

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::clock::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Cannot be guessed: whoever knows it may see the picture.
    pub id: String,
    pub mime: String,
    /// Base64.
    pub data: String,
    pub expires: Timestamp,
}

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn keep_picture(&self, picture: Picture) -> Result<(), StoreError> {
        self.run(|pool| async move {
            query("INSERT INTO pictures (id, mime, data, expires_ms) VALUES ($1, $2, $3, $4)")
                .bind(&picture.id)
                .bind(&picture.mime)
                .bind(&picture.data)
                .bind(picture.expires.0)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn picture(&self, id: String, now: Timestamp) -> Result<Option<Picture>, StoreError> {
        self.run(|pool| async move {
            let row = query(
                "SELECT id, mime, data, expires_ms FROM pictures WHERE id = $1 AND expires_ms > $2",
            )
            .bind(id)
            .bind(now.0)
            .fetch_optional(&pool)
            .await?;
            row.map(|row| {
                Ok::<_, sqlx::Error>(Picture {
                    id: row.try_get("id")?,
                    mime: row.try_get("mime")?,
                    data: row.try_get("data")?,
                    expires: Timestamp(row.try_get("expires_ms")?),
                })
            })
            .transpose()
        })
        .await
    }

    /// Deletes what is past its time; how many pictures that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_pictures(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            query("DELETE FROM pictures WHERE expires_ms <= $1")
                .bind(now.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected())
        })
        .await
    }
}
