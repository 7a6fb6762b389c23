//! Mail that is to be sent: written with what it is about, taken by one node at a time.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::MailId;

/// A mail that is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    pub id: MailId,
    pub kind: &'static str,
    /// Empty for somebody who has no account yet.
    pub account: String,
    pub target: String,
    /// What it says, sealed where there is a key to seal with.
    pub body: String,
    pub created: Timestamp,
}

/// A mail that a node has taken, to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenMail {
    pub id: MailId,
    pub target: String,
    pub body: String,
    /// This one counted.
    pub tries: i64,
}

/// A mail as lists show it: not what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailed {
    pub id: MailId,
    pub kind: String,
    pub account: String,
    pub target: String,
    pub created: Timestamp,
    pub due: Timestamp,
    pub tries: i64,
    /// `waiting`, `sent` or `dead`.
    pub state: String,
    pub last_error: String,
}

fn mailed(row: &AnyRow) -> Result<Mailed, sqlx::Error> {
    Ok(Mailed {
        id: MailId::stored(&row.try_get::<String, _>("id")?),
        kind: row.try_get("kind")?,
        account: row.try_get("account_id")?,
        target: row.try_get("target")?,
        created: Timestamp(row.try_get("created_ms")?),
        due: Timestamp(row.try_get("due_ms")?),
        tries: row.try_get("tries")?,
        state: row.try_get("state")?,
        last_error: row.try_get("last_error")?,
    })
}

/// Writes a mail down, in the transaction of what it is about.
pub(super) async fn post(
    connection: &mut AnyConnection,
    mail: &NewMail,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO outbox (id, kind, account_id, target, body, created_ms, due_ms, lease_ms, \
         tries, state, last_error) VALUES ($1, $2, $3, $4, $5, $6, $6, 0, 0, 'waiting', '')",
    )
    .bind(mail.id.as_str())
    .bind(mail.kind)
    .bind(&mail.account)
    .bind(&mail.target)
    .bind(&mail.body)
    .bind(mail.created.0)
    .execute(connection)
    .await
    .map(|_| ())
}

impl Store {
    /// Writes a mail down that is about nothing else in the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn post_mail(&self, mail: NewMail) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut connection = pool.acquire().await?;
            post(&mut connection, &mail).await
        })
        .await
    }

    /// How many letters wait to be sent, of all nodes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting_mail(&self) -> Result<i64, StoreError> {
        self.run(|pool| async move {
            query("SELECT COUNT(*) AS waiting FROM outbox WHERE state = 'waiting'")
                .fetch_one(&pool)
                .await?
                .try_get("waiting")
        })
        .await
    }

    /// Takes the mail that is due the longest, for as long as the lease says. Of several nodes one
    /// gets it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_mail(
        &self,
        now: Timestamp,
        lease: Timestamp,
    ) -> Result<Option<TakenMail>, StoreError> {
        self.run(move |pool| async move {
            // The condition stands twice: whoever waited for the row finds it taken.
            let row = query(
                "UPDATE outbox SET lease_ms = $2, tries = tries + 1 WHERE id = \
                 (SELECT id FROM outbox WHERE state = 'waiting' AND due_ms <= $1 \
                 AND lease_ms <= $1 ORDER BY due_ms, id LIMIT 1) \
                 AND state = 'waiting' AND lease_ms <= $1 \
                 RETURNING id, target, body, tries",
            )
            .bind(now.0)
            .bind(lease.0)
            .fetch_optional(&pool)
            .await?;
            row.map(|row| {
                Ok::<_, sqlx::Error>(TakenMail {
                    id: MailId::stored(&row.try_get::<String, _>("id")?),
                    target: row.try_get("target")?,
                    body: row.try_get("body")?,
                    tries: row.try_get("tries")?,
                })
            })
            .transpose()
        })
        .await
    }

    /// Notes that a mail was sent. What it said is not kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mail_was_sent(&self, id: MailId) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "UPDATE outbox SET state = 'sent', body = '', lease_ms = 0, last_error = '' \
                 WHERE id = $1",
            )
            .bind(id.as_str())
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Notes why a mail was not sent, and when it is tried again; `None` = it is not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mail_failed(
        &self,
        id: MailId,
        error: String,
        again: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let state = if again.is_some() { "waiting" } else { "dead" };
            query(
                "UPDATE outbox SET state = $2, last_error = $3, lease_ms = 0, \
                 due_ms = COALESCE($4, due_ms) WHERE id = $1 AND state = 'waiting'",
            )
            .bind(id.as_str())
            .bind(state)
            .bind(error)
            .bind(again.map(|again| again.0))
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Has a mail that was not sent tried again at once, from the first try on. `false` when there is
    /// none such.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry_mail(&self, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            query(
                "UPDATE outbox SET state = 'waiting', due_ms = $2, lease_ms = 0, tries = 0 \
                 WHERE id = $1 AND state <> 'sent' AND lease_ms <= $2",
            )
            .bind(id.as_str())
            .bind(now.0)
            .execute(&pool)
            .await
            .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// Mail, newest first, from before an id if one is given; in one state, or in any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mail(
        &self,
        state: Option<String>,
        before: Option<String>,
        limit: i64,
    ) -> Result<Vec<Mailed>, StoreError> {
        self.run(move |pool| async move {
            query(
                "SELECT id, kind, account_id, target, created_ms, due_ms, tries, state, last_error \
                 FROM outbox WHERE id < $1 AND ($2 = '' OR state = $2) ORDER BY id DESC LIMIT $3",
            )
            // After every id that there is.
            .bind(before.unwrap_or_else(|| "mail_~".to_owned()))
            .bind(state.unwrap_or_default())
            .bind(limit)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(mailed)
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Forgets mail from before `oldest` that is not to be sent any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_mail(&self, oldest: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            query("DELETE FROM outbox WHERE state <> 'waiting' AND created_ms < $1")
                .bind(oldest.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected())
        })
        .await
    }
}
