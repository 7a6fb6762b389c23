//! The way out: through which proxies, and whom a server that is asked may be vouched for by.

use super::pem;
use crate::base::egress::{Authorities, Egress};
use crate::base::proxy::Proxies;
use crate::config::Config;

/// How other servers are reached; what of it cannot be read is a fault of its own.
#[must_use]
pub fn egress(config: &Config) -> Egress {
    let set = config.upstream.proxy.as_deref().filter(|proxy| !proxy.is_empty());
    let proxies = set.and_then(|proxy| proxy.parse().ok());
    Egress {
        proxies: proxies.unwrap_or_else(Proxies::of_environment),
        authorities: authorities(config).unwrap_or_default(),
    }
}

/// The authorities that are trusted beside the system's.
pub(super) fn authorities(config: &Config) -> Result<Authorities, String> {
    let file = config.upstream.ca_file.as_deref().filter(|file| !file.as_os_str().is_empty());
    file.map_or_else(|| Ok(Authorities::default()), pem::authorities)
}
