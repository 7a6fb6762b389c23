//! Conversations: lists of items that answers are added to. Every statement names the account.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError, begin};
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub account: AccountId,
    pub id: String,
    pub created: Timestamp,
    /// A JSON object.
    pub metadata: String,
}

/// An item, with the id it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationItem {
    pub id: String,
    /// A JSON object, whose own `id` may be an older one.
    pub body: String,
}

fn conversation(row: &AnyRow) -> Result<Conversation, sqlx::Error> {
    Ok(Conversation {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        id: row.try_get("id")?,
        created: Timestamp(row.try_get("created_ms")?),
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
    let last: i64 = sqlx::query(
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
            let done = sqlx::query(
                "INSERT INTO conversation_items (account_id, conversation_id, id, position, body) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(account.as_str())
            .bind(id)
            .bind(name)
            .bind(position)
            .bind(&item.body)
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
    /// # Errors
    /// When the store fails.
    pub async fn create_conversation(
        &self,
        new: Conversation,
        items: Vec<ConversationItem>,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            sqlx::query(
                "INSERT INTO conversations (account_id, id, created_ms, metadata) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(new.account.as_str())
            .bind(&new.id)
            .bind(new.created.0)
            .bind(&new.metadata)
            .execute(&mut *transaction)
            .await?;
            append(&mut transaction, &new.account, &new.id, &items).await?;
            transaction.commit().await
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn conversation(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<Option<Conversation>, StoreError> {
        self.run(|pool| async move {
            let row = sqlx::query(
                "SELECT account_id, id, created_ms, metadata FROM conversations \
                 WHERE account_id = $1 AND id = $2",
            )
            .bind(account.as_str())
            .bind(id)
            .fetch_optional(&pool)
            .await?;
            row.as_ref().map(conversation).transpose()
        })
        .await
    }

    /// `false` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn describe_conversation(
        &self,
        account: AccountId,
        id: String,
        metadata: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let done = sqlx::query(
                "UPDATE conversations SET metadata = $1 WHERE account_id = $2 AND id = $3",
            )
            .bind(metadata)
            .bind(account.as_str())
            .bind(id)
            .execute(&pool)
            .await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }

    /// Deletes a conversation and all its items for good. `false` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_conversation(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            sqlx::query(
                "DELETE FROM conversation_items WHERE account_id = $1 AND conversation_id = $2",
            )
            .bind(account.as_str())
            .bind(&id)
            .execute(&mut *transaction)
            .await?;
            let done = sqlx::query("DELETE FROM conversations WHERE account_id = $1 AND id = $2")
                .bind(account.as_str())
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
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
            sqlx::query(
                "SELECT id, body FROM conversation_items \
                 WHERE account_id = $1 AND conversation_id = $2 ORDER BY position, id",
            )
            .bind(account.as_str())
            .bind(id)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| Ok(ConversationItem { id: row.try_get("id")?, body: row.try_get("body")? }))
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
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            append(&mut transaction, &account, &id, &items).await?;
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
            let done = sqlx::query(
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
