//! What answers of our own interface have in common: lists, and that something is gone.

use schemars::JsonSchema;
use serde::Serialize;

/// A list as OpenAI's interface writes one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct List<T> {
    object: &'static str,
    pub data: Vec<T>,
}

impl<T> List<T> {
    #[must_use]
    pub fn of(data: Vec<T>) -> Self {
        Self { object: "list", data }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    object: &'static str,
    pub data: Vec<T>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// All that there is.
    #[must_use]
    pub fn whole(data: Vec<T>) -> Self {
        Self { object: "list", data, next: None }
    }
}

/// A part of a list, which the ids of its first and last lead on from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "StretchOf{T}")]
pub struct Stretch<T> {
    object: &'static str,
    pub has_more: bool,
    pub first_id: Option<String>,
    pub last_id: Option<String>,
    pub data: Vec<T>,
}

impl<T> Stretch<T> {
    #[must_use]
    pub fn of(data: Vec<T>, has_more: bool, id: impl Fn(&T) -> String) -> Self {
        let (first_id, last_id) = (data.first().map(&id), data.last().map(&id));
        Self { object: "list", has_more, first_id, last_id, data }
    }
}

/// A list of what is of one user.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "{T}OfUser")]
pub struct OfUser<T> {
    object: &'static str,
    pub user_id: String,
    pub data: Vec<T>,
}

impl<T> OfUser<T> {
    #[must_use]
    pub fn new(user: impl Into<String>, data: Vec<T>) -> Self {
        Self { object: "list", user_id: user.into(), data }
    }
}

/// That one thing is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Deleted {
    pub id: String,
    pub object: &'static str,
    pub deleted: bool,
}

impl Deleted {
    #[must_use]
    pub fn new(object: &'static str, id: impl Into<String>) -> Self {
        Self { id: id.into(), object, deleted: true }
    }
}

/// That so many are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeletedSome {
    pub object: &'static str,
    /// Whose they were, where they were a user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    pub deleted: u64,
}
