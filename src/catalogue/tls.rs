//! What connections to one provider are secured with, where that is not what all others are.

use std::hash::{DefaultHasher, Hash, Hasher};

use secrecy::{ExposeSecret, SecretSlice};

use crate::base::egress::Authorities;

/// A provider's own TLS.
#[derive(Debug)]
pub struct OwnTls {
    /// Who may vouch for its certificate, in place of all who may for others'; `None` = as for others.
    pub authorities: Option<Authorities>,
    /// What it knows this gateway by.
    pub identity: Option<Identity>,
    mark: u64,
}

/// A client's certificate and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then those that vouch for it, each in DER.
    pub chain: Vec<Vec<u8>>,
    /// In DER (PKCS #8, PKCS #1 or SEC 1).
    pub key: SecretSlice<u8>,
}

impl OwnTls {
    #[must_use]
    pub fn new(authorities: Option<Authorities>, identity: Option<Identity>) -> Self {
        let mut hasher = DefaultHasher::new();
        authorities.hash(&mut hasher);
        if let Some(identity) = &identity {
            identity.chain.hash(&mut hasher);
            identity.key.expose_secret().hash(&mut hasher);
        }
        Self { authorities, identity, mark: hasher.finish() }
    }

    /// Differs between any two that are not the same, and is the same for one that a reload brings again.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.mark
    }
}
