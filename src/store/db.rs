//! The pool. A connection belongs to the runtime it was opened on, so every query runs there and
//! only its result crosses to the worker that asked.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Row, Transaction};
use tokio::sync::{oneshot, watch};

pub use super::error::StoreError;
use super::presence;
use super::sql::{is_sqlite, query};

/// What every connection to SQLite is set to.
const SQLITE: [&str; 5] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA busy_timeout = 5000",
    // 16 MB of pages before they are copied back: under load the same ones are written again and
    // again.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA foreign_keys = ON",
];
/// What every connection to PostgreSQL is set to. No statement of a request takes as long, and one
/// that hangs (on a lock, on a disk) must not keep its connection.
const POSTGRESQL: [&str; 2] =
    ["SET statement_timeout = '30s'", "SET idle_in_transaction_session_timeout = '60s'"];
/// For what may take long: bringing tables up to date, reading all books.
const WITHOUT_TIMEOUT: &str = "SET LOCAL statement_timeout = 0";
/// How long a statement waits for a connection.
const ACQUIRING: Duration = Duration::from_secs(5);

/// How long a database may take to let the first connection in.
const OPENING: Duration = Duration::from_secs(10);

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    runtime: tokio::runtime::Handle,
    /// Whether the database answers, as far as is known.
    present: watch::Receiver<bool>,
}

impl Store {
    /// Opens the database at `url` (`sqlite://FILE` or `postgres://…`) on `runtime`, and brings
    /// its tables up to date.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be reached or migrated. A password in `url` is not shown.
    pub async fn open(url: &str, runtime: tokio::runtime::Handle) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        let full = if sqlite && !url.contains("mode=") && !url.contains(":memory:") {
            format!("{url}{}mode=rwc", if url.contains('?') { '&' } else { '?' })
        } else {
            url.to_owned()
        };
        let shown = shown(url);
        let opening = async move {
            if !sqlite {
                // A pool that finds nobody says only that it waited; one connection says why.
                let one = AnyConnection::connect(&full);
                let one = tokio::time::timeout(OPENING, one).await;
                one.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
            }
            AnyPoolOptions::new()
                // SQLite has one writer; more connections only wait for each other.
                .max_connections(if sqlite { 4 } else { 16 })
                .acquire_timeout(ACQUIRING)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        let settings: &[&str] = if sqlite { &SQLITE } else { &POSTGRESQL };
                        for setting in settings {
                            query(*setting).execute(&mut *connection).await?;
                        }
                        Ok(())
                    })
                })
                .before_acquire(|connection, _| {
                    let clean = is_clean(connection);
                    Box::pin(async move { Ok(clean) })
                })
                .connect(&full)
                .await
        };
        let pool = runtime
            .spawn(opening)
            .await
            .map_err(|_| StoreError::Stopped)?
            .map_err(|why| StoreError::Open { url: shown, why })?;
        let present = if sqlite {
            // It is a file: each statement finds out by itself.
            watch::Sender::new(true).subscribe()
        } else {
            let (told, present) = watch::channel(true);
            runtime.spawn(presence::watch(url.to_owned(), told));
            present
        };
        let store = Self { pool, runtime, present };
        let file = file_of(url).map(PathBuf::from);
        store.run(|pool| async move { super::migrate::run(&pool, file).await }).await?;
        Ok(store)
    }

    /// Runs `work` where the connections live.
    pub(super) async fn run<T, E, F>(
        &self,
        work: impl FnOnce(AnyPool) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<StoreError> + Send + 'static,
    {
        let away = || StoreError::unavailable("it does not answer");
        if !*self.present.borrow() {
            return Err(away());
        }
        let (told, mut outcome) = oneshot::channel();
        let work = work(self.pool.clone());
        self.carried_out(Box::pin(async move {
            // Whoever asked may have stopped waiting.
            let _gone = told.send(work.await.map_err(Into::into));
        }))
        .await?;
        outcome.try_recv().map_err(|_| StoreError::Stopped)?
    }

    /// Waits until `work` is done where the connections live. For work of every kind, so that this is
    /// compiled once and not for each of hundreds of statements.
    async fn carried_out(&self, work: BoxFuture<'static, ()>) -> Result<(), StoreError> {
        let mut present = self.present.clone();
        let mut working = self.runtime.spawn(work);
        let gone = async {
            if present.wait_for(|present| !present).await.is_err() {
                // Nobody watches: each statement finds out by itself.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            done = &mut working => done.map_err(|_| StoreError::Stopped),
            // Whether it was done is unknown, as with any connection that breaks.
            () = gone => Err(StoreError::unavailable("it does not answer")),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(|pool| async move { query("SELECT 1").execute(&pool).await.map(|_| ()) }).await
    }
}

/// Whether a connection that lay idle can be used: nothing is left open on it. SQLite ends a
/// transaction by itself when the disk is full or fails; the driver then cannot roll it back, and
/// would refuse every further transaction on that connection.
fn is_clean(connection: &AnyConnection) -> bool {
    !connection.is_in_transaction()
}

/// A transaction that is going to write. SQLite is told so at once: one that read first and then
/// wanted to write could not wait for another writer, and would fail.
pub(super) async fn begin(pool: &AnyPool) -> Result<Transaction<'static, Any>, sqlx::Error> {
    if is_sqlite(pool) { pool.begin_with("BEGIN IMMEDIATE").await } else { pool.begin().await }
}

/// A transaction that only reads, and sees everything as it was when it first did.
pub(super) async fn snapshot(pool: &AnyPool) -> Result<Transaction<'static, Any>, sqlx::Error> {
    if is_sqlite(pool) {
        pool.begin().await
    } else {
        let mut reading =
            pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        query(WITHOUT_TIMEOUT).execute(&mut *reading).await?;
        Ok(reading)
    }
}

/// A column that may be NULL.
pub(super) fn optional_ms(row: &AnyRow, name: &str) -> Result<Option<i64>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(name)
}

/// The file of an SQLite database, if it is in one.
#[must_use]
pub fn file_of(url: &str) -> Option<&str> {
    let path = url.strip_prefix("sqlite:")?.trim_start_matches("//");
    let path = path.split('?').next()?;
    (!path.is_empty() && !path.contains(":memory:")).then_some(path)
}

/// The URL without its credentials.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(shown("postgres://u:p@h/db"), "postgres://…@h/db");
        assert_eq!(shown("sqlite://a.db"), "sqlite://a.db");
    }

    #[test]
    fn a_database_in_a_file_has_a_name() {
        assert_eq!(file_of("sqlite://a/b.db?mode=rwc"), Some("a/b.db"));
        assert_eq!(file_of("sqlite:///tmp/b.db"), Some("/tmp/b.db"));
        assert_eq!(file_of("sqlite::memory:"), None);
        assert_eq!(file_of("postgres://h/db"), None);
    }
}
