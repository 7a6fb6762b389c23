//! Calls that go to where an operator or a document points: never to an address inside the house,
//! whatever a name resolves to, unless that is allowed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use super::{AppEntry, ConnectError};

const CONNECT: Duration = Duration::from_secs(10);

/// Whether an address is of the world outside: neither loopback, private, link-local, shared,
/// multicast, documentation, nor nothing at all (RFC 6890; the registries that it began are at
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified()
                || v4.is_multicast()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                // Relays to IPv6, long out of use (RFC 7526).
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19))
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped().or_else(|| v6.to_ipv4()) {
                return is_public(IpAddr::V4(v4));
            }
            let [first, second, ..] = v6.segments();
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                // Of a site: deprecated (RFC 3879), and still routed within some.
                || (first & 0xffc0) == 0xfec0
                || (first == 0x2001 && second == 0xdb8)
                || (first == 0x3fff && second < 0x1000)
                // Thrown away (RFC 6666), and of segments (RFC 9602).
                || first == 0x100
                || first == 0x5f00
                // Protocols' own (RFC 2928); Teredo among them, which carries an IPv4 address.
                || (first == 0x2001 && second < 0x200)
                // What carries an IPv4 address inside may carry a private one.
                || first == 0x2002
                || (first == 0x64 && second == 0xff9b))
        }
    }
}

/// Resolves names, and forgets what is inside, but for proxies, which are the operator's own.
struct Outside {
    proxies: Vec<String>,
}

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        let ours = self.proxies.iter().any(|proxy| proxy == name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let outside: Vec<SocketAddr> =
                found.filter(|one| ours || is_public(one.ip())).collect();
            if outside.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(outside.into_iter()) as Addrs)
        })
    }
}

/// A client for an app, which follows nobody anywhere.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(entry: &AppEntry) -> Result<Client, ConnectError> {
    let down = |why: reqwest::Error| ConnectError::Down(why.to_string());
    let builder = entry.egress.client().map_err(down)?;
    let builder = builder.connect_timeout(CONNECT).pool_max_idle_per_host(4);
    if entry.allow_private {
        return builder.build().map_err(down);
    }
    let proxies = ["http", "https"].into_iter().filter_map(|scheme| {
        let anywhere = format!("{scheme}://optimux.invalid/").parse().ok()?;
        entry.egress.proxies.of(&anywhere)?.uri().host().map(str::to_owned)
    });
    let outside = Outside { proxies: proxies.collect() };
    builder.dns_resolver(std::sync::Arc::new(outside)).build().map_err(down)
}

/// The same as [`checked`], and where a proxy resolves the name, what can be known of it here: one
/// that leads inside is not passed to a proxy either. A name that only the proxy knows is left to it.
///
/// # Errors
/// [`ConnectError::Down`] for one that must not be called.
pub async fn vetted(url: &str, entry: &AppEntry) -> Result<Url, ConnectError> {
    let url = checked(url, entry.allow_private)?;
    let through = url.as_str().parse().ok().and_then(|address| entry.egress.proxies.of(&address));
    if entry.allow_private || through.is_none() {
        return Ok(url);
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let Ok(found) = tokio::net::lookup_host((host.as_str(), 0)).await else { return Ok(url) };
    if found.into_iter().any(|one| !is_public(one.ip())) {
        return Err(ConnectError::Down("the name leads to no public address".to_owned()));
    }
    Ok(url)
}

/// Checks what no name has to be resolved for: the scheme, and addresses in numbers.
///
/// # Errors
/// [`ConnectError::Down`] for one that must not be called.
pub fn checked(url: &str, allow_private: bool) -> Result<Url, ConnectError> {
    let url = Url::parse(url).map_err(|why| ConnectError::Down(format!("not a URL: {why}")))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(ConnectError::Down("only http and https are spoken".to_owned()));
    }
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let inside = host.parse::<IpAddr>().is_ok_and(|address| !is_public(address));
    if inside && !allow_private {
        return Err(ConnectError::Down("the address is not a public one".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_not_reached() {
        for inside in [
            "http://127.0.0.1/",
            "http://10.0.0.1/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[fd00::1]/",
            "http://[fec0::1]/",
            "http://[feff::1]/",
            "http://[2001::7f00:1]/",
            "http://[2001:1ff::1]/",
            "http://[2001:db8::1]/",
            "http://[2002:7f00:1::]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b:1::1]/",
            "http://[100::1]/",
            "http://[3fff::1]/",
            "http://[5f00::1]/",
            "http://192.88.99.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://[2001:0:53aa:64c::1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "ftp://example.com/",
            "file:///etc/passwd",
        ] {
            assert!(checked(inside, false).is_err(), "{inside}");
        }
        assert!(checked("https://example.com/", false).is_ok());
        assert!(checked("http://8.8.8.8/", false).is_ok());
        assert!(checked("http://[2001:4860:4860::8888]/", false).is_ok());
        assert!(checked("http://[2606:4700::1111]/", false).is_ok());
        assert!(checked("http://127.0.0.1/", true).is_ok());
        assert!(checked("file:///etc/passwd", true).is_err());
    }

    #[tokio::test]
    async fn names_of_inside_lead_nowhere() {
        let name = "localhost".parse().unwrap();
        assert!(Outside { proxies: Vec::new() }.resolve(name).await.is_err());
    }
}
