//! Realtime: a socket to a model, and what passes over it.

use super::{App, Refused, named};
use crate::admit::Caller;
use crate::base::ids::RequestId;
use crate::catalogue::Mode;
use crate::upstream::{self, Socket};
use crate::wire::realtime;

/// Opens a socket to a model by name.
///
/// # Errors
/// What the caller is to be told, before its own socket opens.
pub async fn converse(
    app: &App,
    caller: &Caller,
    id: &RequestId,
    model: &str,
    forward: &[(&'static str, String)],
) -> Result<Socket, Refused> {
    let decision = named(app, caller, model, Mode::Realtime)?;
    upstream::dial(&app.upstream, &decision, forward, id)
        .await
        .map_err(|(error, attempts)| Refused { error, attempts })
}

/// Looks at an event on its way to the caller.
pub fn overhear(app: &App, step: &crate::router::Step, event: &[u8]) {
    if let Some(usage) = realtime::usage_of(event) {
        upstream::meter(&app.upstream, step, &usage);
    }
}
