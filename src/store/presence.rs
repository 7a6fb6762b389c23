//! Whether a database that is a server answers: asked for all, so that nobody waits for a connection
//! that cannot come. A statement that is asked for while it is away fails at once.

use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};
use tokio::sync::watch;

use super::sql::query;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long an answer may take before the server is taken to be away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks as long as anybody wants to know, over a connection of its own.
pub(super) async fn watch(url: String, told: watch::Sender<bool>) {
    let mut connection = None;
    while !told.is_closed() {
        let asked = tokio::time::timeout(PATIENCE, ask(&mut connection, &url)).await;
        let answers = matches!(asked, Ok(true));
        if !answers {
            // A connection that broke, or whose answer may still come, is not asked again.
            connection = None;
        }
        told.send_if_modified(|present| {
            if *present != answers && answers {
                tracing::info!("the database answers again");
            } else if *present != answers {
                tracing::error!("the database does not answer");
            }
            std::mem::replace(present, answers) != answers
        });
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whether it answers, over `known` or over a new connection.
async fn ask(known: &mut Option<AnyConnection>, url: &str) -> bool {
    if let Some(mut connection) = known.take()
        && query("SELECT 1").execute(&mut connection).await.is_ok()
    {
        *known = Some(connection);
        return true;
    }
    match AnyConnection::connect(url).await {
        Ok(connection) => {
            *known = Some(connection);
            true
        }
        // "Too many connections" is an answer too; "starting up" and "shutting down" (57P…) are
        // what it says before and after it answers.
        Err(sqlx::Error::Database(said)) => said.code().is_none_or(|code| !code.starts_with("57")),
        Err(_) => false,
    }
}
