//! How the process is told to stop, and to read its keys again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    pub fn stop(mut self, server: ServerHandle, draining: Arc<AtomicBool>, delay: Duration) {
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
            server.stop(gracefully).await;
        });
    }
}

/// `SIGHUP`: keys in files may have changed.
///
/// # Errors
/// When the operating system does not let the process listen.
pub(super) fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
