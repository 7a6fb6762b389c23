//! Brings the tables up to date. Several nodes may start at once: on PostgreSQL an advisory lock
//! lets one of them work, on SQLite a lock on a file beside the database.

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;

use sqlx::AnyPool;
use sqlx::SqlStr;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::StoreError;
use super::db::is_sqlite;

/// Forward only, never edited once released.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../../migrations/0001_accounts.sql")),
    (2, "responses", include_str!("../../migrations/0002_responses.sql")),
    (3, "pictures", include_str!("../../migrations/0003_pictures.sql")),
    (4, "ledger", include_str!("../../migrations/0004_ledger.sql")),
    (5, "feedback", include_str!("../../migrations/0005_feedback.sql")),
    (6, "platform", include_str!("../../migrations/0006_platform.sql")),
    (7, "owners", include_str!("../../migrations/0007_owners.sql")),
    (8, "catalogue", include_str!("../../migrations/0008_catalogue.sql")),
    (9, "families", include_str!("../../migrations/0009_families.sql")),
    (10, "console", include_str!("../../migrations/0010_console.sql")),
    (11, "mail", include_str!("../../migrations/0011_mail.sql")),
    (12, "second factor", include_str!("../../migrations/0012_second_factor.sql")),
    (13, "settings", include_str!("../../migrations/0013_settings.sql")),
    (14, "browser keys", include_str!("../../migrations/0014_browser_keys.sql")),
    (16, "outcomes", include_str!("../../migrations/0016_outcomes.sql")),
    (17, "people", include_str!("../../migrations/0017_people.sql")),
];

/// `file` is the database's, if it is in one.
pub(super) async fn run(pool: &AnyPool, file: Option<PathBuf>) -> Result<(), StoreError> {
    // Held until the end of it.
    let _alone = match file {
        Some(file) => Some(locked(file).await?),
        None => None,
    };
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            let sql = SqlStr::from_static(sql);
            Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
        })
        .collect();
    let migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
    if is_sqlite(pool) {
        migrator.run(pool).await?;
        return Ok(());
    }
    // Over a connection of its own, without a timeout: waiting for another node may take as long as
    // that node needs.
    let options = AnyConnectOptions::clone(&pool.connect_options());
    let alone = AnyPoolOptions::new().max_connections(1).connect_with(options).await?;
    let migrated = migrator.run(&alone).await;
    alone.close().await;
    Ok(migrated?)
}

/// Waits for whoever else is at it.
async fn locked(mut file: PathBuf) -> Result<File, StoreError> {
    file.as_mut_os_string().push(".lock");
    let locking = move || {
        let lock = File::options().create(true).append(true).open(file)?;
        lock.lock()?;
        Ok(lock)
    };
    let locked = tokio::task::spawn_blocking(locking).await.map_err(|_| StoreError::Stopped)?;
    locked.map_err(StoreError::Lock)
}
