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
use super::sql::is_sqlite;

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
    (18, "list prices", include_str!("../../migrations/0018_list.sql")),
    (19, "seen", include_str!("../../migrations/0019_seen.sql")),
    (20, "replayed", include_str!("../../migrations/0020_replayed.sql")),
];

/// The migrations whose number is wanted.
fn migrator(is_wanted: impl Fn(i64) -> bool) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .filter(|(version, _, _)| is_wanted(*version))
        .map(|(version, name, sql)| {
            let sql = SqlStr::from_static(sql);
            Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
        })
        .collect();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}

/// `file` is the database's, if it is in one.
pub(super) async fn run(pool: &AnyPool, file: Option<PathBuf>) -> Result<(), StoreError> {
    // Held until the end of it.
    let _alone = match file {
        Some(file) => Some(locked(file).await?),
        None => None,
    };
    let migrator = migrator(|_| true);
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

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;

    async fn all(pool: &AnyPool, text: &'static str) -> Vec<Vec<Option<String>>> {
        let rows = sqlx::query(text).fetch_all(pool).await.unwrap();
        let columns = |row: &sqlx::any::AnyRow| {
            (0..row.len()).map(|at| row.try_get::<Option<String>, _>(at).unwrap()).collect()
        };
        rows.iter().map(columns).collect()
    }

    #[tokio::test]
    async fn whoever_signed_in_before_there_were_people_is_one() {
        sqlx::any::install_default_drivers();
        let pool =
            AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        migrator(|version| version < 17).run(&pool).await.unwrap();
        for text in [
            "PRAGMA foreign_keys = ON",
            "INSERT INTO accounts (id, name, plan, created_ms) VALUES ('a1', 'one', 'free', 1), \
             ('a2', 'two', 'free', 1)",
            "INSERT INTO members (id, account_id, email, role, created_ms, key_id, password, totp, \
             totp_step, verified_ms) VALUES ('m1', 'a1', 'ann@x', 'owner', 5, 'k1', 'hash', 'sealed', \
             7, 6), ('m2', 'a1', 'bob@x', 'member', 5, 'k2', NULL, NULL, 0, NULL), \
             ('m3', 'a2', 'ann@x', 'member', 5, 'k3', NULL, NULL, 0, NULL)",
            "INSERT INTO recovery_codes (member_id, hash) VALUES ('m1', 'h')",
            "INSERT INTO identities (issuer, subject, account_id, member_id) \
             VALUES ('i', 's', 'a1', 'm1')",
        ] {
            sqlx::query(text).execute(&pool).await.unwrap();
        }
        migrator(|_| true).run(&pool).await.unwrap();
        let text =
            |words: &[&str]| words.iter().map(|one| Some((*one).to_owned())).collect::<Vec<_>>();
        let people = "SELECT id, email, name, password, totp, CAST(totp_step AS TEXT), \
                      CAST(verified_ms AS TEXT), CAST(created_ms AS TEXT) FROM people";
        let ann = text(&["m1", "ann@x", "", "hash", "sealed", "7", "6", "5"]);
        assert_eq!(all(&pool, people).await, [ann]);
        let members = all(&pool, "SELECT id, key_id, person_id FROM members ORDER BY id").await;
        let nobody = |id: &str, key: &str| [text(&[id, key]), vec![None]].concat();
        assert_eq!(members, [text(&["m1", "k1", "m1"]), nobody("m2", "k2"), nobody("m3", "k3")]);
        let codes = all(&pool, "SELECT person_id, hash FROM recovery_codes").await;
        assert_eq!(codes, [text(&["m1", "h"])]);
        let known = all(&pool, "SELECT issuer, subject, person_id FROM identities").await;
        assert_eq!(known, [text(&["i", "s", "m1"])]);
    }
}
