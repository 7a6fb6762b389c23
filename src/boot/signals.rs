//! How the process is told to stop, and to read its keys again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::http::Http2Seen;
use crate::upstream::StreamsEnd;

/// What the last words of streams have of the grace.
const FAREWELL: Duration = Duration::from_secs(1);
/// For so long nothing has to be under way before the last bytes are taken to have left.
const QUIET: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(100);

/// What there is to do when the process is told to stop.
pub(super) struct Stopping {
    pub server: ServerHandle,
    /// Set when it begins.
    pub draining: Arc<AtomicBool>,
    /// So long everything is served as before.
    pub delay: Duration,
    pub streams: StreamsEnd,
    /// So long after it what is under way may go on.
    pub grace: Duration,
    /// Told once no new connection is let in.
    pub closed: Arc<Notify>,
}

/// The signals that the process listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    /// # Errors
    /// When the operating system does not let the process listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Stops the server once the process is told to.
    ///
    /// `SIGTERM` comes from a supervisor, with balancers in front that still send requests here:
    /// `draining` is set, by which readiness says no and connections end after their next answer,
    /// and everything is served for `delay` more; then what is under way may finish. A second signal
    /// ends the delay. `SIGINT` and `SIGQUIT` come from whoever sits before it, and stop at once.
    ///
    /// Shortly before the grace is over, streams that still go on are ended, so that their callers
    /// read why.
    pub fn stop(mut self, stopping: Stopping) {
        let Stopping { server, draining, delay, streams, grace, closed } = stopping;
        // It ends with the process.
        tokio::spawn(async move {
            let gracefully = tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => false,
                _ = self.quit.recv() => false,
            };
            draining.store(true, Ordering::Relaxed);
            if gracefully && !delay.is_zero() {
                let seconds = delay.as_secs_f32();
                tracing::info!(seconds, "stopping: still serving, so that balancers can tell");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = self.terminate.recv() => {}
                    _ = self.interrupt.recv() => {}
                    _ = self.quit.recv() => {}
                }
            }
            tracing::info!("stopping: no new connections");
            if gracefully {
                tokio::spawn(async move {
                    tokio::time::sleep(grace.saturating_sub(FAREWELL.min(grace / 4))).await;
                    streams.now();
                });
            }
            closed.notify_one();
            server.stop(gracefully).await;
        });
    }
}

/// Waits until no new connection is let in and nothing has been under way for a while; for ever where all
/// spoke HTTP/1.1. Connections of HTTP/2 are kept open by their clients, whom nobody tells that they are of
/// no more use: the process does not wait for them.
pub(super) async fn nothing_left(closed: &Notify, http2: &Http2Seen, in_flight: impl Fn() -> i64) {
    closed.notified().await;
    let mut quiet = Duration::ZERO;
    while quiet < QUIET {
        tokio::time::sleep(GLANCE).await;
        let idle = http2.ever() && in_flight() == 0;
        quiet = if idle { quiet + GLANCE } else { Duration::ZERO };
    }
}

/// `SIGHUP`: keys in files may have changed.
///
/// # Errors
/// When the operating system does not let the process listen.
pub(super) fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
