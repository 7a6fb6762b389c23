//! Proxies on the way out: which addresses are reached through which.

use std::str::FromStr;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The schemes of proxies that are spoken to.
const SCHEMES: [&str; 4] = ["http", "socks4", "socks5", "socks5h"];

/// Through what other servers are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxies {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in either case of letters.
    #[default]
    Environment,
    /// All through this one, but for what `NO_PROXY` names.
    Only(String),
    /// Directly, whatever the environment says.
    Never,
}

impl FromStr for Proxies {
    type Err = String;

    /// `none`, or the address of a proxy.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Never);
        }
        let address = text.parse::<http::Uri>().ok();
        let good = address.as_ref().is_some_and(|address| {
            address.host().is_some()
                && address.scheme_str().is_some_and(|scheme| SCHEMES.contains(&scheme))
        });
        if good { Ok(Self::Only(text.to_owned())) } else { Err(why_not(text)) }
    }
}

fn why_not(text: &str) -> String {
    // There may be a password in it.
    let shown = text.rsplit_once('@').map_or(text, |(_, place)| place);
    format!(
        "'{shown}' is no address of a proxy: write it as http://proxy.example.com:3128, with one \
         of the schemes {}, or as none",
        SCHEMES.join(", ")
    )
}

/// The variables that name a proxy, in capitals.
const VARIABLES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

impl Proxies {
    /// As the environment of the process says, which is looked at now: where it names no proxy, no
    /// request has to be held against it.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of_variables(&|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    fn of_variables(is_set: &dyn Fn(&str) -> bool) -> Self {
        let any = VARIABLES.iter().any(|name| is_set(name) || is_set(&name.to_lowercase()));
        if any { Self::Environment } else { Self::Never }
    }

    /// What says which proxy an address is reached through; `None` where all are reached directly.
    #[must_use]
    pub fn matcher(&self) -> Option<Matcher> {
        match self {
            Self::Environment => Some(Matcher::from_env()),
            Self::Only(proxy) => {
                let spared =
                    ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
                let matcher = Matcher::builder().all(proxy.as_str()).no(spared.unwrap_or_default());
                Some(matcher.build())
            }
            Self::Never => None,
        }
    }

    /// The proxy through which an address is reached, if it is not reached directly.
    #[must_use]
    pub fn of(&self, address: &http::Uri) -> Option<Intercept> {
        self.matcher()?.intercept(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_none() {
        assert_eq!("none".parse(), Ok(Proxies::Never));
        for good in ["http://p:3128", "http://user:word@10.0.0.1:80", "socks5h://p:1080"] {
            assert_eq!(good.parse(), Ok(Proxies::Only(good.to_owned())));
        }
        for wrong in ["p:3128", "ftp://p", "", "https//p", "http://"] {
            assert!(wrong.parse::<Proxies>().is_err(), "{wrong}");
        }
        let told = "ftp://user:word@p:21".parse::<Proxies>().unwrap_err();
        assert!(!told.contains("word"), "{told}");
    }

    #[test]
    fn an_environment_without_proxies_is_never_asked_again() {
        assert_eq!(Proxies::of_variables(&|name| name == "NO_PROXY"), Proxies::Never);
        for set in ["HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
            assert_eq!(Proxies::of_variables(&|name| name == set), Proxies::Environment, "{set}");
        }
    }

    #[test]
    fn an_address_goes_through_the_proxy_that_is_set() {
        let only = Proxies::Only("http://user:word@p.example:3128".to_owned());
        for address in ["http://a.example/", "https://a.example/v1"] {
            let found = only.of(&address.parse().unwrap()).unwrap();
            assert_eq!(found.uri().host(), Some("p.example"));
            assert!(found.basic_auth().is_some());
        }
        assert!(Proxies::Never.of(&"http://a.example/".parse().unwrap()).is_none());
    }
}
