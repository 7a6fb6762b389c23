//! Revisions of the catalogue: documents, each laid over the built-in files while it holds.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::admin::{Audit, write_audit};
use super::db::{Store, StoreError, begin};
use super::pack;
use super::sql::query;
use crate::base::clock::Timestamp;

/// A document that changed the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Counted from 1; 0 is the built-in files.
    pub id: i64,
    pub created: Timestamp,
    /// Of the document, in hexadecimal.
    pub sha256: String,
    pub actor: String,
    pub reason: String,
    pub active: bool,
}

/// One that is to be.
#[derive(Debug, Clone)]
pub struct NewRevision {
    pub sha256: String,
    pub reason: String,
    pub document: String,
}

fn revision(row: &AnyRow) -> Result<Revision, sqlx::Error> {
    let id: i64 = row.try_get("id")?;
    Ok(Revision {
        id,
        created: Timestamp(row.try_get("created_ms")?),
        sha256: row.try_get("sha256")?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        active: row.try_get::<i64, _>("revision_id")? == id,
    })
}

impl Store {
    /// The revision that holds; 0 for the built-in files. One row of two numbers: cheap enough to
    /// be asked every second.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn active_catalogue(&self) -> Result<i64, StoreError> {
        self.run(|pool| async move {
            query("SELECT revision_id FROM catalogue_active WHERE place = 1")
                .fetch_one(&pool)
                .await?
                .try_get("revision_id")
        })
        .await
    }

    /// A revision's document; `None` where there is no such revision.
    ///
    /// # Errors
    /// When the store fails, or the document is damaged.
    pub async fn catalogue_document(&self, id: i64) -> Result<Option<String>, StoreError> {
        self.run(move |pool| async move {
            let row = query("SELECT body FROM catalogue_revisions WHERE id = $1")
                .bind(id)
                .fetch_optional(&pool)
                .await?;
            row.map(|row| pack::unpacked(row.try_get("body")?)).transpose()
        })
        .await
    }

    /// All revisions, newest first, without their documents.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn catalogue_revisions(&self) -> Result<Vec<Revision>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, created_ms, sha256, actor, reason, revision_id \
                 FROM catalogue_revisions, catalogue_active WHERE place = 1 ORDER BY id DESC",
            )
            .fetch_all(&pool)
            .await?
            .iter()
            .map(revision)
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Keeps a document and lets it hold; its number. The audit entry is written with it, for the
    /// number in place of its target.
    ///
    /// # Errors
    /// When the store fails, or somebody else adds one at the same time.
    pub async fn add_catalogue(&self, new: NewRevision, audit: Audit) -> Result<i64, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let id: i64 = query("SELECT COALESCE(MAX(id), 0) + 1 AS id FROM catalogue_revisions")
                .fetch_one(&mut *transaction)
                .await?
                .try_get("id")?;
            query(
                "INSERT INTO catalogue_revisions (id, created_ms, sha256, actor, reason, body) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id)
            .bind(audit.at.0)
            .bind(&new.sha256)
            .bind(&audit.actor)
            .bind(&new.reason)
            .bind(pack::packed(&new.document))
            .execute(&mut *transaction)
            .await?;
            query("UPDATE catalogue_active SET revision_id = $1 WHERE place = 1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            let audit = Audit { target: id.to_string(), ..audit.clone() };
            write_audit(&mut transaction, &audit).await?;
            transaction.commit().await.map(|()| id)
        })
        .await
    }

    /// Lets a revision hold again, 0 for the built-in files. `false` when there is none of the number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn activate_catalogue(&self, id: i64, audit: Audit) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let known = query("SELECT id FROM catalogue_revisions WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
            if known.is_none() && id != 0 {
                return Ok(false);
            }
            query("UPDATE catalogue_active SET revision_id = $1 WHERE place = 1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            write_audit(&mut transaction, &audit).await?;
            transaction.commit().await.map(|()| true)
        })
        .await
    }
}
