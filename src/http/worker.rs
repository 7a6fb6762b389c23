//! What a handler has of the gateway.

use actix_web::web;

use crate::gateway::App;

/// The worker's handles, as handlers receive them.
pub type Worker = web::Data<App>;
