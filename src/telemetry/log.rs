//! Logging set up once, from the configuration and `RUST_LOG`.

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. A second call does nothing.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,actix_server=warn,rmcp=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only a second call can fail, and then logging runs already.
    let _already_running =
        if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}
