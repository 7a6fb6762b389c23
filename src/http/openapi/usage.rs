//! Operations: decisions, and what was used.

use super::operation::{Operation, get, of, post};
use super::schemas::ChatRequest;
use crate::gateway::Route;
use crate::http::usage;
use crate::reports::feedback::{FeedbackReceipt, FeedbackRequest};
use crate::reports::request::RequestView;
use crate::reports::usage::UsageReport;

pub(super) const OPERATIONS: &[Operation] = &[
    post("/v1/route", "Routing", "The decision without the call")
        .told(of::<ChatRequest>)
        .answering(of::<Route<'static>>),
    post("/v1/feedback", "Routing", "Say what an answer was worth")
        .told(of::<FeedbackRequest>)
        .answering(of::<FeedbackReceipt>),
    get("/v1/usage", "Usage", "What was used, and what it cost")
        .asking(&[
            ("start", "string"),
            ("end", "string"),
            ("group_by", "string"),
            ("baseline", "string"),
            ("account", "string"),
        ])
        .answering(of::<UsageReport>),
    get("/v1/requests", "Usage", "Requests, newest first")
        .asking(&[
            ("start", "string"),
            ("end", "string"),
            ("key", "string"),
            ("model", "string"),
            ("provider", "string"),
            ("status", "string"),
            ("after", "string"),
            ("limit", "integer"),
        ])
        .answering(of::<usage::FoundRequests>),
    get("/v1/requests/{id}", "Usage", "What was decided, tried and charged")
        .answering(of::<RequestView>),
];
