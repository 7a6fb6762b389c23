//! A statement and its arguments, the same for both engines. PostgreSQL's text cannot hold U+0000,
//! SQLite's can: here, where every argument passes, it becomes U+FFFD, the character for what cannot
//! be shown. What is stored and what is looked for change alike, so that they still find each other.

use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Encode, Executor, SqlSafeStr, Type};

/// Whether the engine is SQLite; PostgreSQL otherwise.
pub(super) fn is_sqlite(pool: &AnyPool) -> bool {
    pool.connect_options().database_url.scheme() == "sqlite"
}

/// A statement that is being given its arguments.
#[must_use = "a statement does nothing until it is executed"]
pub(super) struct Statement(Query<'static, Any, AnyArguments>);

/// A statement without arguments yet.
pub(super) fn query(sql: impl SqlSafeStr) -> Statement {
    Statement(sqlx::query(sql))
}

impl Statement {
    pub fn bind(self, value: impl Argument) -> Self {
        Self(self.0.bind(value.storable()))
    }

    pub async fn execute<'c, E>(self, executor: E) -> Result<AnyQueryResult, sqlx::Error>
    where
        E: Executor<'c, Database = Any>,
    {
        self.0.execute(executor).await
    }

    pub async fn fetch_one<'c, E>(self, executor: E) -> Result<AnyRow, sqlx::Error>
    where
        E: Executor<'c, Database = Any>,
    {
        self.0.fetch_one(executor).await
    }

    pub async fn fetch_optional<'c, E>(self, executor: E) -> Result<Option<AnyRow>, sqlx::Error>
    where
        E: Executor<'c, Database = Any>,
    {
        self.0.fetch_optional(executor).await
    }

    pub async fn fetch_all<'c, E>(self, executor: E) -> Result<Vec<AnyRow>, sqlx::Error>
    where
        E: Executor<'c, Database = Any>,
    {
        self.0.fetch_all(executor).await
    }
}

/// Text as both engines can hold it.
fn storable(text: String) -> String {
    if memchr::memchr(0, text.as_bytes()).is_none() { text } else { text.replace('\0', "\u{fffd}") }
}

/// What a statement can be given.
pub(super) trait Argument {
    /// As the engines get it.
    type Bound: Encode<'static, Any> + Type<Any> + 'static;

    fn storable(self) -> Self::Bound;
}

macro_rules! arguments {
    ($($kind:ty => $bound:ty, |$one:ident| $form:expr;)*) => {$(
        impl Argument for $kind {
            type Bound = $bound;

            fn storable(self) -> $bound {
                let $one = self;
                $form
            }
        }
    )*};
}
arguments! {
    i64 => i64, |number| number;
    Option<i64> => Option<i64>, |number| number;
    f64 => f64, |number| number;
    Option<f64> => Option<f64>, |number| number;
    String => String, |text| storable(text);
    &str => String, |text| storable(text.to_owned());
    &String => String, |text| storable(text.clone());
    Option<String> => Option<String>, |text| text.map(storable);
    &Option<String> => Option<String>, |text| text.clone().map(storable);
    Option<&str> => Option<String>, |text| text.map(|text| storable(text.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nul_is_replaced() {
        for (text, kept) in [("plain ⌘", "plain ⌘"), ("a\0b\0", "a\u{fffd}b\u{fffd}")] {
            assert_eq!(text.storable(), kept);
            assert_eq!(Some(text).storable().as_deref(), Some(kept));
        }
    }
}
