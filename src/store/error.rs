//! What can go wrong with the store, and which of it passes by itself.

use sqlx::error::DatabaseError;

use crate::base::Unavailable;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store cannot be opened at {url}: {why}")]
    Open { url: String, why: sqlx::Error },
    #[error("the store's migrations failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the store failed: {0}")]
    Query(sqlx::Error),
    /// It does not answer or does not take what it is given, and may do so again at any time.
    #[error("the store is not available: {why}")]
    Unavailable { why: String, source: Unavailable },
    #[error("there is already an account named '{0}'")]
    Taken(String),
    #[error("the store cannot be locked to bring its tables up to date: {0}")]
    Lock(std::io::Error),
    #[error("the store's runtime has stopped")]
    Stopped,
}

impl StoreError {
    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { why: why.into(), source: Unavailable }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(why: sqlx::Error) -> Self {
        if passes(&why) { Self::unavailable(why.to_string()) } else { Self::Query(why) }
    }
}

/// Whether the same statement may succeed later with nothing changed but the engine's state.
fn passes(why: &sqlx::Error) -> bool {
    match why {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(said) => is_of_the_engine(&**said),
        _ => false,
    }
}

/// What the engine says of itself, not of the statement: the disk is full or fails, the file is
/// locked, the server starts or stops, a statement took too long.
fn is_of_the_engine(said: &dyn DatabaseError) -> bool {
    let Some(code) = said.code() else { return false };
    // SQLite: https://sqlite.org/rescode.html, the low byte is the primary code: BUSY, LOCKED,
    // READONLY, IOERR, FULL, CANTOPEN, PROTOCOL.
    if let Ok(number) = code.parse::<u32>()
        && code.len() < 5
    {
        return matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14 | 15);
    }
    // PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html: connections, lack
    // of resources (a full disk), intervention by the operator (also statement_timeout), failures
    // of the system, transactions that met another, read-only ones on a standby.
    ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class)) || code == "25006"
}
