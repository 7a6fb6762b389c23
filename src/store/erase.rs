//! Forgetting people for good: every table that knows of a user is named here. The books stay, under
//! ids that stand for nobody any more.

use sqlx::{AnyConnection, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin};
use super::members::{LeaveResult, is_run};
use super::sql::query;
use crate::base::ids::AccountId;

/// Tables with rows of a user.
const OF_USERS: [&str; 9] = [
    "features",
    "memories",
    "memory_users",
    "memory_relations",
    "connections",
    "connect_events",
    "contents",
    "agents",
    "replays",
];

/// Tables with rows of an account, beside those.
const OF_ACCOUNTS: [&str; 10] = [
    "conversation_items",
    "conversations",
    "response_items",
    "responses",
    "feedback",
    "outcomes",
    "form_once",
    "tokens",
    "request_heads",
    "outbox",
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

/// A member of an account, and who they are.
struct Gone {
    account: AccountId,
    id: String,
    person: Option<String>,
}

async fn members_where(
    connection: &mut AnyConnection,
    condition: &'static str,
    by: &[&str],
) -> Result<Vec<Gone>, sqlx::Error> {
    let text =
        format!("SELECT account_id, id, person_id FROM members WHERE {condition} ORDER BY id");
    let mut query = query(sqlx::AssertSqlSafe(text));
    for value in by {
        query = query.bind((*value).to_owned());
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Gone {
                account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
                id: row.try_get("id")?,
                person: row.try_get("person_id")?,
            })
        })
        .collect()
}

/// A member, with what they are signed in to the account with, their keys and all that they keep there.
async fn erase_one(connection: &mut AnyConnection, gone: &Gone) -> Result<(), sqlx::Error> {
    let (account, id) = (gone.account.as_str(), gone.id.as_str());
    // While it is known which address is theirs.
    for text in [
        "DELETE FROM outbox WHERE account_id = $1 AND target IN \
         (SELECT email FROM members WHERE account_id = $1 AND id = $2)",
        // The invitation that they followed, and what else is for them here.
        "DELETE FROM tokens WHERE account_id = $1 AND subject IN \
         (SELECT email FROM members WHERE account_id = $1 AND id = $2 \
         UNION SELECT person_id FROM members WHERE account_id = $1 AND id = $2 \
         UNION SELECT $2)",
        // Forms that led to their page.
        "DELETE FROM form_once WHERE account_id = $1 AND result LIKE '%' || $2 || '%'",
        // Whom they invited is still invited, and not by them.
        "UPDATE tokens SET payload = REPLACE(payload, \
         (SELECT email FROM members WHERE account_id = $1 AND id = $2), 'somebody') \
         WHERE account_id = $1 AND kind = 'invitation'",
    ] {
        run(&mut *connection, text.to_owned(), &[account, id]).await?;
    }
    erase_user(&mut *connection, account, id).await?;
    for text in [
        "DELETE FROM refresh_tokens WHERE signin_id IN \
         (SELECT id FROM signins WHERE member_id = $1)",
        "DELETE FROM signins WHERE member_id = $1",
        "DELETE FROM browser_keys WHERE key_id IN \
         (SELECT id FROM api_keys WHERE member_id = $1)",
        // What their keys were called, and may do.
        "UPDATE audit_log SET detail = '{}' WHERE target IN \
         (SELECT id FROM api_keys WHERE member_id = $1)",
        "DELETE FROM api_keys WHERE member_id = $1",
        // What was done stays on record, and to whom does not.
        "UPDATE audit_log SET detail = REPLACE(detail, $1, 'erased') \
         WHERE detail LIKE '%' || $1 || '%'",
    ] {
        run(&mut *connection, text.to_owned(), &[id]).await?;
    }
    // After their sign-ins, as whoever uses one takes the two: neither waits for the other for ever.
    let text = "DELETE FROM members WHERE account_id = $1 AND id = $2";
    run(&mut *connection, text.to_owned(), &[account, id]).await?;
    if gone.person.is_none() {
        let text = "DELETE FROM tokens WHERE subject = $1";
        run(&mut *connection, text.to_owned(), &[id]).await?;
    }
    Ok(())
}

/// A person who is in no account any more; nothing of anybody else.
async fn erase_stranded(
    connection: &mut AnyConnection,
    person: Option<&str>,
) -> Result<(), sqlx::Error> {
    let Some(person) = person else { return Ok(()) };
    let found = query(
        "SELECT email FROM people WHERE id = $1 \
         AND NOT EXISTS (SELECT 1 FROM members WHERE person_id = $1)",
    )
    .bind(person)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(found) = found else { return Ok(()) };
    let email: String = found.try_get("email")?;
    for text in [
        "DELETE FROM tokens WHERE subject = $1",
        "DELETE FROM recovery_codes WHERE person_id = $1",
        "DELETE FROM identities WHERE person_id = $1",
        "DELETE FROM people WHERE id = $1",
    ] {
        run(&mut *connection, text.to_owned(), &[person]).await?;
    }
    for text in [
        "DELETE FROM tokens WHERE subject = $1",
        "DELETE FROM outbox WHERE target = $1",
        "DELETE FROM pending_signups WHERE email = $1",
    ] {
        run(&mut *connection, text.to_owned(), &[&email]).await?;
    }
    Ok(())
}

/// Whether an account must still have an owner when a member has left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveRule {
    /// It has to have somebody who runs it.
    Run,
    ToItself,
}

impl Store {
    /// Forgets a member, their sign-ins, their keys and all that they keep; and the person, if they are
    /// in no other account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_member(
        &self,
        account: AccountId,
        id: String,
        left: LeaveRule,
    ) -> Result<LeaveResult, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            changed(&mut transaction, Some(&account)).await?;
            let condition = "account_id = $1 AND id = $2";
            let by = [account.as_str(), id.as_str()];
            let all = members_where(&mut transaction, condition, &by).await?;
            let Some(gone) = all.first() else { return Ok(LeaveResult::Nobody) };
            erase_one(&mut transaction, gone).await?;
            if left == LeaveRule::Run && !is_run(&mut transaction, &account).await? {
                return Ok(LeaveResult::LastOwner);
            }
            erase_stranded(&mut transaction, gone.person.as_deref()).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(LeaveResult::Done)
        })
        .await
    }

    /// Forgets a person in all of their accounts, each of which has to have somebody left who runs it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_person(&self, person: String) -> Result<LeaveResult, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let all = members_where(&mut transaction, "person_id = $1", &[&person]).await?;
            if all.is_empty() {
                return Ok(LeaveResult::Nobody);
            }
            for gone in &all {
                changed(&mut transaction, Some(&gone.account)).await?;
                erase_one(&mut transaction, gone).await?;
                if !is_run(&mut transaction, &gone.account).await? {
                    return Ok(LeaveResult::LastOwner);
                }
            }
            erase_stranded(&mut transaction, Some(&person)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(LeaveResult::Done)
        })
        .await
    }

    /// Forgets an account with its members, keys and all that they keep, and the people who are in no
    /// other. Its books stay. `false` when there is no such account.
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
            let members = members_where(&mut transaction, "account_id = $1", &[id]).await?;
            for table in OF_USERS.iter().chain(&OF_ACCOUNTS) {
                let text = format!("DELETE FROM {table} WHERE account_id = $1");
                run(&mut transaction, text, &[id]).await?;
            }
            for text in [
                "DELETE FROM refresh_tokens WHERE signin_id IN \
                 (SELECT id FROM signins WHERE account_id = $1)",
                "DELETE FROM signins WHERE account_id = $1",
                "DELETE FROM browser_keys WHERE key_id IN \
                 (SELECT id FROM api_keys WHERE account_id = $1)",
                "DELETE FROM audit_log WHERE target IN \
                 (SELECT id FROM api_keys WHERE account_id = $1)",
                "DELETE FROM api_keys WHERE account_id = $1",
                "DELETE FROM members WHERE account_id = $1",
                "DELETE FROM audit_log WHERE target = $1",
                "DELETE FROM identity_changes WHERE account_id = $1",
                "DELETE FROM accounts WHERE id = $1",
            ] {
                run(&mut transaction, text.to_owned(), &[id]).await?;
            }
            run(&mut transaction, "DELETE FROM audit_log WHERE target = $1".to_owned(), &[&name])
                .await?;
            for gone in &members {
                erase_stranded(&mut transaction, gone.person.as_deref()).await?;
            }
            // Not by its name, which is gone with it: everybody is looked up again.
            changed(&mut transaction, None).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }
}
