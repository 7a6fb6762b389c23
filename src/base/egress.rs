//! How other servers are reached: through which proxies, and whose certificates they may show.

use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy};

use super::proxy::Proxies;

/// Certificates of authorities, each in DER. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Authorities(Arc<[Vec<u8>]>);

impl Authorities {
    #[must_use]
    pub fn new(certificates: Vec<Vec<u8>>) -> Self {
        Self(certificates.into())
    }

    /// Each certificate, in DER.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

/// How other servers are reached. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    pub proxies: Proxies,
    /// Trusted beside those that the system trusts.
    pub authorities: Authorities,
}

impl Egress {
    /// What every client of HTTP starts from that does not ask providers. It follows no redirection: what
    /// is said must not go to somebody else.
    ///
    /// # Errors
    /// When a proxy or a certificate cannot be used.
    pub fn client(&self) -> Result<ClientBuilder, reqwest::Error> {
        let mut builder = Client::builder().redirect(Policy::none());
        for one in self.authorities.iter() {
            builder = builder.tls_certs_merge([Certificate::from_der(one)?]);
        }
        Ok(match &self.proxies {
            // The builder reads the environment by itself.
            Proxies::Environment => builder,
            Proxies::Never => builder.no_proxy(),
            Proxies::Only(proxy) => {
                builder.proxy(Proxy::all(proxy.as_str())?.no_proxy(NoProxy::from_env()))
            }
        })
    }
}
