//! What administrators change, and the log of it.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AuditId;

/// Something an administrator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    pub id: AuditId,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub target: String,
    /// JSON
    pub detail: String,
}

fn audit(row: &AnyRow) -> Result<Audit, sqlx::Error> {
    Ok(Audit {
        id: AuditId::stored(&row.try_get::<String, _>("id")?),
        at: Timestamp(row.try_get("at_ms")?),
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        detail: row.try_get("detail")?,
    })
}

/// Writes an entry of the log, with what it tells of.
pub(super) async fn write_audit(
    connection: &mut AnyConnection,
    audit: &Audit,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO audit_log (id, at_ms, actor, action, target, detail) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(audit.id.as_str())
    .bind(audit.at.0)
    .bind(&audit.actor)
    .bind(&audit.action)
    .bind(&audit.target)
    .bind(&audit.detail)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Plans that administrators set: their names and their terms (JSON), by name.
pub type PlanSettings = Vec<(String, String)>;

async fn said_plans(connection: &mut AnyConnection) -> Result<PlanSettings, sqlx::Error> {
    query("SELECT name, terms FROM plans ORDER BY name")
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| Ok((row.try_get("name")?, row.try_get("terms")?)))
        .collect()
}

/// Has exactly these said of plans, and every node forget what it knows of callers if that is another.
pub(super) async fn say_plans(
    connection: &mut AnyConnection,
    said: &PlanSettings,
) -> Result<(), sqlx::Error> {
    if said_plans(&mut *connection).await? == *said {
        return Ok(());
    }
    query("DELETE FROM plans").execute(&mut *connection).await?;
    for (name, terms) in said {
        query("INSERT INTO plans (name, terms) VALUES ($1, $2)")
            .bind(name)
            .bind(terms)
            .execute(&mut *connection)
            .await?;
    }
    changed(connection, None).await
}

impl Store {
    /// Gives an account another plan, other limits (JSON), or takes its access. `false` when there
    /// is no such account.
    ///
    /// # Errors
    /// When the store fails, or the name is taken.
    pub async fn change_account(&self, account: super::Account) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query(
                "UPDATE accounts SET name = $2, plan = $3, limits = $4, suspended_ms = $5 \
                 WHERE id = $1",
            )
            .bind(account.id.as_str())
            .bind(&account.name)
            .bind(&account.plan)
            .bind(&account.limits)
            .bind(account.suspended.map(|at| at.0))
            .execute(&mut *transaction)
            .await;
            let done = match done {
                Err(sqlx::Error::Database(why)) if why.is_unique_violation() => {
                    return Err(StoreError::Taken(account.name.clone()));
                }
                other => other?,
            };
            changed(&mut transaction, Some(&account.id)).await?;
            transaction.commit().await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// Plans that an administrator made or changed: their names and their terms (JSON).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn changed_plans(&self) -> Result<PlanSettings, StoreError> {
        self.run(|pool| async move {
            let mut connection = pool.acquire().await?;
            said_plans(&mut connection).await
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn log_audit(&self, audit: Audit) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut connection = pool.acquire().await?;
            write_audit(&mut connection, &audit).await
        })
        .await
    }

    /// The log, newest first, from before an id if one is given.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audits(
        &self,
        before: Option<String>,
        limit: i64,
    ) -> Result<Vec<Audit>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, at_ms, actor, action, target, detail FROM audit_log \
                 WHERE id < $1 ORDER BY id DESC LIMIT $2",
            )
            // After every id that there is.
            .bind(before.unwrap_or_else(|| "audit_~".to_owned()))
            .bind(limit)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(audit)
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}
