//! Conversations: lists of items that answers are added to. Every statement names the account.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub account: AccountId,
    /// Whose it is.
    pub user: String,
    pub id: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub title: String,
    /// The model that it is with, as its user noted it.
    pub model: String,
    /// A JSON object.
    pub metadata: String,
}

/// An item, with the id it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationItem {
    pub id: String,
    /// A JSON object, whose own `id` may be an older one.
    pub body: String,
    /// What it says, in lower case.
    pub words: String,
}

const COLUMNS: &str = "account_id, user_id, id, created_ms, updated_ms, title, model, metadata";

/// Whose conversations a user sees: their own.
const OWN: &str = "account_id = $1 AND user_id = $2";

fn conversation(row: &AnyRow) -> Result<Conversation, sqlx::Error> {
    Ok(Conversation {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        user: row.try_get("user_id")?,
        id: row.try_get("id")?,
        created: Timestamp(row.try_get("created_ms")?),
        updated: Timestamp(row.try_get("updated_ms")?),
        title: row.try_get("title")?,
        model: row.try_get("model")?,
        metadata: row.try_get("metadata")?,
    })
}

/// Adds after the last one. Two that add at once may share a position; their ids then decide.
async fn append(
    connection: &mut AnyConnection,
    account: &AccountId,
    id: &str,
    items: &[ConversationItem],
) -> Result<(), sqlx::Error> {
    let last: i64 = query(
        "SELECT COALESCE(MAX(position), 0) AS last FROM conversation_items \
         WHERE account_id = $1 AND conversation_id = $2",
    )
    .bind(account.as_str())
    .bind(id)
    .fetch_one(&mut *connection)
    .await?
    .try_get("last")?;
    for (position, item) in (last + 1..).zip(items) {
        // An id that is taken already is told apart by its position.
        for name in [item.id.clone(), format!("{}_{position}", item.id)] {
            let done = query(
                "INSERT INTO conversation_items (account_id, conversation_id, id, position, body, \
                 words) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(account.as_str())
            .bind(id)
            .bind(name)
            .bind(position)
            .bind(&item.body)
            .bind(&item.words)
            .execute(&mut *connection)
            .await?;
            if done.rows_affected() > 0 {
                break;
            }
        }
    }
    Ok(())
}

impl Store {
    /// Makes a conversation, or changes what is said of it; its items are replaced, if any are given.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save_conversation(
        &self,
        one: Conversation,
        items: Option<Vec<ConversationItem>>,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "INSERT INTO conversations (account_id, user_id, id, created_ms, updated_ms, \
                 title, model, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (account_id, id) DO UPDATE SET updated_ms = excluded.updated_ms, \
                 title = excluded.title, model = excluded.model, metadata = excluded.metadata",
            )
            .bind(one.account.as_str())
            .bind(&one.user)
            .bind(&one.id)
            .bind(one.created.0)
            .bind(one.updated.0)
            .bind(&one.title)
            .bind(&one.model)
            .bind(&one.metadata)
            .execute(&mut *transaction)
            .await?;
            if let Some(items) = items {
                query(
                    "DELETE FROM conversation_items WHERE account_id = $1 AND conversation_id = $2",
                )
                .bind(one.account.as_str())
                .bind(&one.id)
                .execute(&mut *transaction)
                .await?;
                append(&mut transaction, &one.account, &one.id, &items).await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn conversation(
        &self,
        account: AccountId,
        user: String,
        id: String,
    ) -> Result<Option<Conversation>, StoreError> {
        self.run(|pool| async move {
            let text = format!("SELECT {COLUMNS} FROM conversations WHERE {OWN} AND id = $3");
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(user)
                .bind(id)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(conversation).transpose()
        })
        .await
    }

    /// A page of a user's conversations, newest first, from before one; those that have the words
    /// of `search` in their title or in what was said.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn conversations(
        &self,
        account: AccountId,
        user: String,
        search: Option<String>,
        before: Option<(Timestamp, String)>,
        limit: i64,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.run(|pool| async move {
            let (at, id) = before.unwrap_or((Timestamp(i64::MAX), String::new()));
            let escaped = search.map(|text| {
                let text = text.to_lowercase();
                let text = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                format!("%{text}%")
            });
            let text = format!(
                "SELECT {COLUMNS} FROM conversations c WHERE {OWN} \
                 AND (updated_ms < $3 OR (updated_ms = $3 AND id < $4)) \
                 AND ($5 = '' OR LOWER(title) LIKE $5 ESCAPE '\\' OR EXISTS ( \
                 SELECT 1 FROM conversation_items i WHERE i.account_id = c.account_id \
                 AND i.conversation_id = c.id AND i.words LIKE $5 ESCAPE '\\')) \
                 ORDER BY updated_ms DESC, id DESC LIMIT $6"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(user)
                .bind(at.0)
                .bind(id)
                .bind(escaped.unwrap_or_default())
                .bind(limit)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(conversation)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Deletes a conversation and all its items for good. `false` when the user has none such.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_conversation(
        &self,
        account: AccountId,
        user: String,
        id: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let text = format!("DELETE FROM conversations WHERE {OWN} AND id = $3");
            let done = query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(user)
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() > 0 {
                query(
                    "DELETE FROM conversation_items WHERE account_id = $1 AND conversation_id = $2",
                )
                .bind(account.as_str())
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }

    /// Deletes all conversations of a user for good; how many they were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_conversations(
        &self,
        account: AccountId,
        user: String,
    ) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let text = format!(
                "DELETE FROM conversation_items WHERE account_id = $1 AND conversation_id IN \
                 (SELECT id FROM conversations WHERE {OWN})"
            );
            let mut gone = 0;
            for text in [text, format!("DELETE FROM conversations WHERE {OWN}")] {
                let done = query(sqlx::AssertSqlSafe(text))
                    .bind(account.as_str())
                    .bind(&user)
                    .execute(&mut *transaction)
                    .await?;
                gone = done.rows_affected();
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(gone)
        })
        .await
    }

    /// All items, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn conversation_items(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<Vec<ConversationItem>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, body, words FROM conversation_items \
                 WHERE account_id = $1 AND conversation_id = $2 ORDER BY position, id",
            )
            .bind(account.as_str())
            .bind(id)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(ConversationItem {
                    id: row.try_get("id")?,
                    body: row.try_get("body")?,
                    words: row.try_get("words")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn add_to_conversation(
        &self,
        account: AccountId,
        id: String,
        items: Vec<ConversationItem>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let there =
                query("UPDATE conversations SET updated_ms = $1 WHERE account_id = $2 AND id = $3")
                    .bind(now.0)
                    .bind(account.as_str())
                    .bind(&id)
                    .execute(&mut *transaction)
                    .await?;
            // Deleted meanwhile: what was said last goes the same way.
            if there.rows_affected() > 0 {
                append(&mut transaction, &account, &id, &items).await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// `false` when there is no such item.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_conversation_item(
        &self,
        account: AccountId,
        conversation: String,
        item: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let done = query(
                "DELETE FROM conversation_items \
                 WHERE account_id = $1 AND conversation_id = $2 AND id = $3",
            )
            .bind(account.as_str())
            .bind(conversation)
            .bind(item)
            .execute(&pool)
            .await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }
}
