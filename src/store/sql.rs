//! A statement and its arguments, the same for both engines. PostgreSQL's text cannot hold U+0000,
//! SQLite's can: here, where every argument passes, it becomes U+FFFD, the character for what cannot
//! be shown. What is stored and what is looked for change alike, so that they still find each other.

use std::borrow::Cow;

use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Executor, SqlSafeStr};

/// A statement that is being given its arguments.
#[must_use = "a statement does nothing until it is executed"]
pub(super) struct Statement(Query<'static, Any, AnyArguments>);

/// A statement without arguments yet.
pub(super) fn query(sql: impl SqlSafeStr) -> Statement {
    Statement(sqlx::query(sql))
}

impl Statement {
    pub fn bind(self, value: impl Argument) -> Self {
        Self(value.added_to(self.0))
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
fn storable(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\0', "\u{fffd}"))
}

/// What a statement can be given.
pub(super) trait Argument {
    fn added_to(
        self,
        query: Query<'static, Any, AnyArguments>,
    ) -> Query<'static, Any, AnyArguments>;
}

macro_rules! as_it_is {
    ($($number:ty),*) => {$(
        impl Argument for $number {
            fn added_to(
                self,
                query: Query<'static, Any, AnyArguments>,
            ) -> Query<'static, Any, AnyArguments> {
                query.bind(self)
            }
        }
    )*};
}
as_it_is!(i64, Option<i64>, f64, Option<f64>);

macro_rules! as_text {
    ($($text:ty),*) => {$(
        impl Argument for $text {
            fn added_to(
                self,
                query: Query<'static, Any, AnyArguments>,
            ) -> Query<'static, Any, AnyArguments> {
                query.bind(storable(&self).into_owned())
            }
        }
    )*};
}
as_text!(&str, &String);

impl Argument for String {
    fn added_to(
        self,
        query: Query<'static, Any, AnyArguments>,
    ) -> Query<'static, Any, AnyArguments> {
        match storable(&self) {
            Cow::Borrowed(_) => query.bind(self),
            Cow::Owned(changed) => query.bind(changed),
        }
    }
}

macro_rules! as_text_or_null {
    ($($text:ty),*) => {$(
        impl Argument for $text {
            fn added_to(
                self,
                query: Query<'static, Any, AnyArguments>,
            ) -> Query<'static, Any, AnyArguments> {
                query.bind(self.as_ref().map(|text| storable(text).into_owned()))
            }
        }
    )*};
}
as_text_or_null!(Option<String>, &Option<String>, Option<&str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nul_is_replaced() {
        assert!(matches!(storable("plain ⌘"), Cow::Borrowed("plain ⌘")));
        assert_eq!(storable("a\0b\0"), "a\u{fffd}b\u{fffd}");
    }
}
