//! TLS on the listener: a certificate and its key, taken up again when their files change. Connections that
//! are open keep what they began with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem;
use crate::config::{ConfigFault, Server};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// When a file was last written to, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// The files that a certificate is in.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn stamps(&self) -> [Stamp; 2] {
        let stamp = |file: &Path| {
            let known = std::fs::metadata(file).ok()?;
            Some((known.modified().ok()?, known.len()))
        };
        [stamp(&self.certificate), stamp(&self.key)]
    }

    /// # Errors
    /// What is wrong, and with which setting.
    fn read(&self) -> Result<CertifiedKey, ConfigFault> {
        let of_certificate = |why: String| {
            ConfigFault::new("server.tls_cert_file", why)
                .remedied("write the server's certificate first, then those that vouch for it")
        };
        let of_key = |why: String| ConfigFault::new("server.tls_key_file", why);
        let chain = pem::certificates(&self.certificate).map_err(of_certificate)?;
        let key = pem::key(&self.key).map_err(of_key)?;
        pem::pair(chain, &key).map_err(|why| of_key(format!("{}: {why}", self.key.display())))
    }
}

/// The certificate that is shown to clients.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A listener's TLS, and what keeps its certificate new.
pub struct Tls {
    pub config: ServerConfig,
    files: Files,
    shown: Arc<Shown>,
    taken: [Stamp; 2],
}

/// TLS as it is configured, if it is.
///
/// # Errors
/// What keeps it from being used.
pub(super) fn configured(server: &Server) -> Result<Option<Tls>, ConfigFault> {
    let files = match (&server.tls_cert_file, &server.tls_key_file) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => {
            Files { certificate: certificate.clone(), key: key.clone() }
        }
        (Some(_), None) => {
            return Err(ConfigFault::new(
                "server.tls_key_file",
                "is needed beside server.tls_cert_file",
            ));
        }
        (None, Some(_)) => {
            return Err(ConfigFault::new(
                "server.tls_cert_file",
                "is needed beside server.tls_key_file",
            ));
        }
    };
    let taken = files.stamps();
    let shown = Arc::new(Shown(RwLock::new(Arc::new(files.read()?))));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| ConfigFault::new("server.tls_cert_file", why.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Shown>::clone(&shown));
    Ok(Some(Tls { config, files, shown, taken }))
}

impl Tls {
    /// Takes up what the files hold whenever they have changed and are whole.
    pub fn watch(self) -> ServerConfig {
        let Self { config, files, shown, mut taken } = self;
        // Nothing waits for it at shutdown: it only reads.
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(INTERVAL);
            let mut seen = taken;
            loop {
                tick.tick().await;
                let now = files.stamps();
                // Whoever writes them is done: they were the same a moment ago.
                let settled = now == seen;
                seen = now;
                if !settled || now == taken || now.iter().any(Option::is_none) {
                    continue;
                }
                // Told of once, whatever comes of it.
                taken = now;
                match files.read() {
                    Ok(made) => {
                        *shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                        tracing::info!("another certificate is shown to clients");
                    }
                    Err(why) => tracing::error!(%why, "the certificate stays as it is"),
                }
            }
        });
        config
    }
}
