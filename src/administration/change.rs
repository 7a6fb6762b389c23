//! A change that an administrator makes to what holds: how it is to be made, and what came of it.

use serde_json::Value;

use crate::catalogue::diff::Changes;
use crate::router::Replay;

/// How an administrator wants a change to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Nothing is changed: what would be different is told.
    pub dry_run: bool,
    pub reason: String,
}

/// What a change has made different, or would if it were made.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeResult {
    /// The revision that holds now; `None` where nothing was changed.
    pub revision: Option<i64>,
    pub changes: Changes,
    /// What would have been different for recent requests of `auto`; `None` where nothing is kept of them.
    pub replay: Option<Replay>,
    /// The changed setting as it is now.
    pub said: Option<Value>,
}
