//! Brings the tables up to date. Several nodes may start at once: on PostgreSQL an advisory lock
//! lets one of them work, on SQLite the file does.

use std::borrow::Cow;

use sqlx::AnyPool;
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::StoreError;

/// Forward only, never edited once released.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../../migrations/0001_accounts.sql")),
    (2, "responses", include_str!("../../migrations/0002_responses.sql")),
    (3, "pictures", include_str!("../../migrations/0003_pictures.sql")),
    (4, "ledger", include_str!("../../migrations/0004_ledger.sql")),
];

pub(super) async fn run(pool: &AnyPool) -> Result<(), StoreError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            let sql = SqlStr::from_static(sql);
            Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
        })
        .collect();
    let migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
    migrator.run(pool).await?;
    Ok(())
}
