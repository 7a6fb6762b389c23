//! Connections to providers: straight or through a proxy, plain or with TLS, opened within a time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::base::egress::Authorities;
use crate::base::proxy::Proxies;
use crate::catalogue::OwnTls;

/// Between two probes of a connection that says nothing.
const KEEPALIVE: Duration = Duration::from_secs(30);

type Cause = Box<dyn std::error::Error + Send + Sync>;
type Opening<T> = Pin<Box<dyn Future<Output = Result<T, Cause>> + Send>>;

/// Whose certificates providers may have, and what is shown to them: one value for all workers. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// The authorities that the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others); where
    /// it knows none, as in an empty image, Mozilla's. And those `beside` them.
    ///
    /// # Errors
    /// When TLS cannot be set up, or one of the certificates is none of an authority.
    pub fn new(beside: &Authorities) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        add(&mut roots, beside)?;
        let roots = Arc::new(roots);
        let config = builder()?.with_root_certificates(Arc::clone(&roots)).with_no_client_auth();
        Ok(Self { roots, config: Arc::new(config) })
    }

    /// The same for a provider that has TLS of its own.
    ///
    /// # Errors
    /// When what it has cannot be used.
    pub fn with(&self, own: &OwnTls) -> Result<Self, rustls::Error> {
        let roots = match &own.authorities {
            None => Arc::clone(&self.roots),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                add(&mut roots, authorities)?;
                Arc::new(roots)
            }
        };
        let config = builder()?.with_root_certificates(Arc::clone(&roots));
        let config = match &own.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = identity.chain.iter().map(|one| CertificateDer::from(one.clone()));
                let key = PrivateKeyDer::try_from(identity.key.expose_secret().to_vec())
                    .map_err(|why| rustls::Error::General(why.to_owned()))?;
                config.with_client_auth_cert(chain.collect(), key)?
            }
        };
        Ok(Self { roots, config: Arc::new(config) })
    }

    /// The same for sockets, which are asked for by HTTP/1.1.
    #[must_use]
    pub fn for_sockets(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn add(roots: &mut RootCertStore, authorities: &Authorities) -> Result<(), rustls::Error> {
    authorities.iter().try_for_each(|one| roots.add(CertificateDer::from(one.to_vec())))
}

/// Opens connections for the HTTP client, each within the time to connect.
#[derive(Debug, Clone)]
pub struct Connector {
    secured: HttpsConnector<Dialer>,
    patience: Duration,
}

impl Connector {
    #[must_use]
    pub fn new(proxies: Proxies, trust: &Trust, patience: Duration) -> Self {
        let secured = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(&trust.config))
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Dialer { proxies });
        Self { secured, patience }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<ProviderLink>;
    type Error = Cause;
    type Future = Opening<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.secured.poll_ready(cx)
    }

    fn call(&mut self, there: Uri) -> Self::Future {
        let opening = self.secured.call(there);
        let patience = self.patience;
        Box::pin(async move {
            tokio::time::timeout(patience, opening)
                .await
                .map_err(|_| format!("no connection within {} ms", patience.as_millis()))?
        })
    }
}

/// Opens what lies under TLS.
#[derive(Debug, Clone)]
struct Dialer {
    proxies: Proxies,
}

impl Service<Uri> for Dialer {
    type Response = ProviderLink;
    type Error = Cause;
    type Future = Opening<ProviderLink>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, there: Uri) -> Self::Future {
        let proxies = self.proxies.clone();
        Box::pin(async move {
            // Plain requests are told to an HTTP proxy as a whole; it opens a tunnel for all others.
            let proxy = proxies.of(&there).filter(|proxy| {
                there.scheme_str() == Some("http") && proxy.uri().scheme_str() == Some("http")
            });
            Ok(match proxy {
                Some(proxy) => ProviderLink {
                    io: straight().call(proxy.uri().clone()).await?,
                    asks_proxy: true,
                },
                None => ProviderLink {
                    io: TokioIo::new(connected(&there, &proxies).await?),
                    asks_proxy: false,
                },
            })
        })
    }
}

/// A connection, and who is at its other end.
#[derive(Debug)]
pub struct ProviderLink {
    io: TokioIo<TcpStream>,
    /// A proxy, which reads the whole address in every request.
    asks_proxy: bool,
}

impl Connection for ProviderLink {
    fn connected(&self) -> Connected {
        self.io.inner().connected().proxy(self.asks_proxy)
    }
}

impl Read for ProviderLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl Write for ProviderLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }
}

fn straight() -> HttpConnector {
    let mut straight = HttpConnector::new();
    straight.enforce_http(false);
    straight.set_nodelay(true);
    straight.set_keepalive(Some(KEEPALIVE));
    straight
}

/// A connection to where an address is, through a proxy where one is set for it.
pub(super) async fn connected(home: &Uri, proxies: &Proxies) -> Result<TcpStream, Cause> {
    let mut straight = straight();
    let port = home.port_u16().unwrap_or(if home.scheme_str() == Some("http") { 80 } else { 443 });
    // Those that speak to proxies take 443 for the port where none is given.
    let there = Uri::builder()
        .scheme(home.scheme_str().unwrap_or("https"))
        .authority(format!("{}:{port}", home.host().unwrap_or_default()))
        .path_and_query("/")
        .build()?;
    let Some(proxy) = proxies.of(home) else { return Ok(straight.call(there).await?.into_inner()) };
    let (address, names) = (proxy.uri().clone(), proxy.raw_auth());
    Ok(match address.scheme_str() {
        Some("http") => {
            let mut tunnel = Tunnel::new(address, straight);
            if let Some(auth) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(auth.clone());
            }
            tunnel.call(there).await?.into_inner()
        }
        Some("socks5" | "socks5h") => {
            let mut socks = SocksV5::new(address, straight);
            if let Some((user, word)) = names {
                socks = socks.with_auth(user.to_owned(), word.to_owned());
            }
            socks.call(there).await?.into_inner()
        }
        Some("socks4" | "socks4a") => {
            SocksV4::new(address, straight).call(there).await?.into_inner()
        }
        other => {
            let scheme = other.unwrap_or_default();
            return Err(
                format!("a proxy of the scheme '{scheme}' is none that can be asked").into()
            );
        }
    })
}
