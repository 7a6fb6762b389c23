//! Certificates and keys in files (PEM).

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::SecretSlice;

use crate::base::egress::Authorities;
use crate::catalogue::{Identity, OwnTls, ProviderEntry};

/// All certificates of a file, of which there is one at least.
///
/// # Errors
/// What is wrong with it, with its name.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{}: {why}", file.display());
    let all: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|why| wrong(why.to_string()))?;
    if all.is_empty() {
        return Err(wrong("holds no certificate in PEM".to_owned()));
    }
    Ok(all)
}

/// A certificate's key.
///
/// # Errors
/// As [`certificates`].
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|why| format!("{}: {why}", file.display()))
}

/// The two together.
///
/// # Errors
/// Where the key is none of this certificate.
pub(super) fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, String> {
    let key = ring::sign::any_supported_type(key).map_err(|why| why.to_string())?;
    let made = CertifiedKey::new(chain, key);
    match made.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(made)
        }
        Err(_) => Err("is not the key of the certificate".to_owned()),
    }
}

/// The authorities in a file, each of which has to be one.
///
/// # Errors
/// As [`certificates`].
pub(super) fn authorities(file: &Path) -> Result<Authorities, String> {
    let all = certificates(file)?;
    let mut roots = rustls::RootCertStore::empty();
    for one in &all {
        let added = roots.add(one.clone());
        added.map_err(|why| format!("{}: holds no authority: {why}", file.display()))?;
    }
    Ok(Authorities::new(all.into_iter().map(|one| one.to_vec()).collect()))
}

/// A provider's own TLS, where its table names any.
///
/// # Errors
/// What is wrong, and with which setting.
pub(super) fn own_tls(entry: &ProviderEntry) -> Result<Option<Arc<OwnTls>>, String> {
    if entry.tls_files().next().is_none() {
        return Ok(None);
    }
    let at = |setting: &str, why: String| format!("{setting}: {why}");
    let vouching = entry.ca_file.as_deref().map(|file| authorities(Path::new(file)));
    let vouching = vouching.transpose().map_err(|why| at("ca_file", why))?;
    let identity = match (entry.client_cert_file.as_deref(), entry.client_key_file.as_deref()) {
        (None, None) => None,
        (Some(chain), Some(secret)) => {
            let of_key = |why| at("client_key_file", why);
            let chain =
                certificates(Path::new(chain)).map_err(|why| at("client_cert_file", why))?;
            let key = key(Path::new(secret)).map_err(of_key)?;
            pair(chain.clone(), &key).map_err(|why| of_key(format!("{secret}: {why}")))?;
            let chain = chain.into_iter().map(|one| one.to_vec()).collect();
            Some(Identity { chain, key: SecretSlice::from(key.secret_der().to_vec()) })
        }
        (Some(_), None) => {
            return Err(at("client_key_file", "is needed beside client_cert_file".to_owned()));
        }
        (None, Some(_)) => {
            return Err(at("client_cert_file", "is needed beside client_key_file".to_owned()));
        }
    };
    Ok(Some(Arc::new(OwnTls::new(vouching, identity))))
}
