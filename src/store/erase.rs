//! Forgetting people for good: every table that knows of a user is named here. The books stay, under
//! ids that stand for nobody any more.

use sqlx::{AnyConnection, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::ids::AccountId;

/// Tables with rows of a user.
const OF_USERS: [&str; 8] = [
    "features",
    "memories",
    "memory_users",
    "memory_relations",
    "connections",
    "connect_events",
    "contents",
    "agents",
];

/// Tables with rows of an account, beside those.
const OF_ACCOUNTS: [&str; 12] = [
    "conversation_items",
    "conversations",
    "response_items",
    "responses",
    "feedback",
    "outcomes",
    "replays",
    "form_once",
    "tokens",
    "request_heads",
    "outbox",
    "identities",
];

async fn run(connection: &mut AnyConnection, text: String, by: &[&str]) -> Result<(), sqlx::Error> {
    let mut query = query(sqlx::AssertSqlSafe(text));
    for value in by {
        query = query.bind((*value).to_owned());
    }
    query.execute(connection).await.map(|_| ())
}

/// What a user keeps, in every room but the sign-in's.
async fn erase_user(
    connection: &mut AnyConnection,
    account: &str,
    user: &str,
) -> Result<(), sqlx::Error> {
    for table in OF_USERS {
        let text = format!("DELETE FROM {table} WHERE account_id = $1 AND user_id = $2");
        run(&mut *connection, text, &[account, user]).await?;
    }
    let text = "DELETE FROM conversation_items WHERE account_id = $1 AND conversation_id IN \
                (SELECT id FROM conversations WHERE account_id = $1 AND user_id = $2)";
    run(&mut *connection, text.to_owned(), &[account, user]).await?;
    let text = "DELETE FROM conversations WHERE account_id = $1 AND user_id = $2";
    run(&mut *connection, text.to_owned(), &[account, user]).await?;
    let text = "DELETE FROM response_items WHERE account_id = $1 AND response_id IN \
                (SELECT id FROM responses WHERE account_id = $1 AND user_id = $2)";
    run(&mut *connection, text.to_owned(), &[account, user]).await?;
    let text = "DELETE FROM responses WHERE account_id = $1 AND user_id = $2";
    run(&mut *connection, text.to_owned(), &[account, user]).await
}

impl Store {
    /// Forgets a member, their sign-ins, their keys and all that they keep. `false` when the account
    /// has no such member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_member(&self, account: AccountId, id: String) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            // While it is known which address is theirs.
            run(
                &mut transaction,
                "DELETE FROM outbox WHERE account_id = $1 AND target IN \
                 (SELECT email FROM members WHERE account_id = $1 AND id = $2)"
                    .to_owned(),
                &[account.as_str(), &id],
            )
            .await?;
            let done = query("DELETE FROM members WHERE account_id = $1 AND id = $2")
                .bind(account.as_str())
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            erase_user(&mut transaction, account.as_str(), &id).await?;
            for text in [
                "DELETE FROM refresh_tokens WHERE signin_id IN \
                 (SELECT id FROM signins WHERE member_id = $1)",
                "DELETE FROM signins WHERE member_id = $1",
                "DELETE FROM tokens WHERE subject = $1",
                "DELETE FROM recovery_codes WHERE member_id = $1",
                "DELETE FROM identities WHERE member_id = $1",
                "DELETE FROM api_keys WHERE member_id = $1",
                // What was done stays on record, and to whom does not.
                "UPDATE audit_log SET detail = REPLACE(detail, $1, 'erased') \
                 WHERE detail LIKE '%' || $1 || '%'",
            ] {
                run(&mut transaction, text.to_owned(), &[&id]).await?;
            }
            changed(&mut transaction, Some(&account)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }

    /// Forgets an account with its members, keys and all that they keep. Its books stay. `false`
    /// when there is no such account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_account(&self, account: AccountId) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let id = account.as_str();
            let found = query("SELECT name FROM accounts WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(found) = found else { return Ok(false) };
            let name: String = found.try_get("name")?;
            for table in OF_USERS.iter().chain(&OF_ACCOUNTS) {
                let text = format!("DELETE FROM {table} WHERE account_id = $1");
                run(&mut transaction, text, &[id]).await?;
            }
            for text in [
                "DELETE FROM refresh_tokens WHERE signin_id IN \
                 (SELECT id FROM signins WHERE account_id = $1)",
                "DELETE FROM signins WHERE account_id = $1",
                "DELETE FROM audit_log WHERE target IN \
                 (SELECT id FROM api_keys WHERE account_id = $1)",
                "DELETE FROM api_keys WHERE account_id = $1",
                "DELETE FROM recovery_codes WHERE member_id IN \
                 (SELECT id FROM members WHERE account_id = $1)",
                "DELETE FROM members WHERE account_id = $1",
                "DELETE FROM audit_log WHERE target = $1",
                "DELETE FROM identity_changes WHERE account_id = $1",
                "DELETE FROM accounts WHERE id = $1",
            ] {
                run(&mut transaction, text.to_owned(), &[id]).await?;
            }
            run(&mut transaction, "DELETE FROM audit_log WHERE target = $1".to_owned(), &[&name])
                .await?;
            // Not by its name, which is gone with it: everybody is looked up again.
            changed(&mut transaction, None).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }
}
