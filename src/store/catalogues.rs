//! Revisions of the catalogue: each a document that is laid over the built-in files while it holds, and
//! what administrators have said beside it.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::admin::{Audit, PlanSettings, say_plans, write_audit};
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

/// What a revision holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revised {
    /// Laid over the built-in files, if there is one.
    pub document: Option<String>,
    /// What administrators have said, as JSON.
    pub settings: Option<String>,
}

/// What is another in a revision; the rest is as in the one that holds.
#[derive(Debug, Clone)]
pub enum Change {
    Document(String),
    /// Settings that were made from those of this revision: nothing is kept where another holds by now.
    Settings {
        text: String,
        over: i64,
        /// What they say of plans.
        plans: PlanSettings,
    },
}

/// One that is to be.
#[derive(Debug, Clone)]
pub struct NewRevision {
    pub sha256: String,
    pub reason: String,
    pub change: Change,
}

/// Text as it is kept, which nothing but a text that is packed begins.
fn kept(text: Option<String>) -> Result<Option<String>, sqlx::Error> {
    text.filter(|text| !text.is_empty()).map(pack::unpacked).transpose()
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

    /// What a revision holds; `None` where there is no such revision. 0 holds nothing.
    ///
    /// # Errors
    /// When the store fails, or what it holds is damaged.
    pub async fn catalogue_revision(&self, id: i64) -> Result<Option<Revised>, StoreError> {
        if id == 0 {
            return Ok(Some(Revised::default()));
        }
        self.run(move |pool| async move {
            let row = query("SELECT body, settings FROM catalogue_revisions WHERE id = $1")
                .bind(id)
                .fetch_optional(&pool)
                .await?;
            row.map(|row| {
                let document = kept(Some(row.try_get("body")?))?;
                Ok::<_, sqlx::Error>(Revised {
                    document,
                    settings: kept(row.try_get("settings")?)?,
                })
            })
            .transpose()
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

    /// Keeps a revision and lets it hold; its number, or `None` where another holds by now than the one
    /// it was made from. The audit entry is written with it, for the number
    /// where it has no target.
    ///
    /// # Errors
    /// When the store fails, or somebody else adds one at the same time.
    pub async fn add_catalogue(
        &self,
        new: NewRevision,
        audit: Audit,
    ) -> Result<Option<i64>, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            // Whoever else changes it waits here.
            query("UPDATE catalogue_active SET revision_id = revision_id WHERE place = 1")
                .execute(&mut *transaction)
                .await?;
            let active: i64 = query("SELECT revision_id FROM catalogue_active WHERE place = 1")
                .fetch_one(&mut *transaction)
                .await?
                .try_get("revision_id")?;
            let before = query("SELECT body, settings FROM catalogue_revisions WHERE id = $1")
                .bind(active)
                .fetch_optional(&mut *transaction)
                .await?;
            let (mut body, mut settings): (String, Option<String>) = match before {
                Some(row) => (row.try_get("body")?, row.try_get("settings")?),
                None => (String::new(), None),
            };
            match &new.change {
                Change::Document(document) => body = pack::packed(document),
                Change::Settings { over, .. } if *over != active => return Ok(None),
                Change::Settings { text, plans, .. } => {
                    settings = Some(pack::packed(text));
                    say_plans(&mut transaction, plans).await?;
                }
            }
            let id: i64 = query("SELECT COALESCE(MAX(id), 0) + 1 AS id FROM catalogue_revisions")
                .fetch_one(&mut *transaction)
                .await?
                .try_get("id")?;
            query(
                "INSERT INTO catalogue_revisions \
                 (id, created_ms, sha256, actor, reason, body, settings) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(id)
            .bind(audit.at.0)
            .bind(&new.sha256)
            .bind(&audit.actor)
            .bind(&new.reason)
            .bind(body)
            .bind(settings)
            .execute(&mut *transaction)
            .await?;
            query("UPDATE catalogue_active SET revision_id = $1 WHERE place = 1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            let target =
                if audit.target.is_empty() { id.to_string() } else { audit.target.clone() };
            let audit = Audit { target, ..audit.clone() };
            write_audit(&mut transaction, &audit).await?;
            transaction.commit().await.map(|()| Some(id))
        })
        .await
    }

    /// Lets a revision hold again, 0 for the built-in files, with what it says of plans; `None` where it says
    /// nothing of them. `false` when there is none of the number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn activate_catalogue(
        &self,
        id: i64,
        plans: Option<PlanSettings>,
        audit: Audit,
    ) -> Result<bool, StoreError> {
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
            if let Some(plans) = &plans {
                say_plans(&mut transaction, plans).await?;
            }
            write_audit(&mut transaction, &audit).await?;
            transaction.commit().await.map(|()| true)
        })
        .await
    }
}
