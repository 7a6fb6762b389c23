//! Sealing what the store must keep and nobody may read there: AES-256-GCM under a key that is not in
//! the store. What a text is sealed for is part of the seal, so that one cannot stand in for another.

use std::fmt;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What every sealed text begins with.
const MARK: &str = "sealed.1.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the operating system gave no randomness")]
    Randomness,
    #[error("what was sealed cannot be opened with this key")]
    Shut,
}

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<LessSafeKey>);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// Its key is the SHA-256 of a secret, which has to be long and random: 32 characters or more.
    #[must_use]
    pub fn new(secret: &SecretString) -> Option<Self> {
        let secret = secret.expose_secret().trim();
        if secret.len() < 32 {
            return None;
        }
        let key = UnboundKey::new(&AES_256_GCM, &Sha256::digest(secret.as_bytes())).ok()?;
        Some(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// # Errors
    /// [`SealError::Randomness`].
    pub fn seal(&self, text: &str, purpose: &str) -> Result<String, SealError> {
        let mut bytes = [0_u8; NONCE_LEN];
        getrandom::fill(&mut bytes).map_err(|_| SealError::Randomness)?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(bytes);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| SealError::Shut)?;
        let whole = [&bytes, sealed.as_slice(), tag.as_ref()].concat();
        Ok(format!("{MARK}{}", BASE64_STANDARD_NO_PAD.encode(whole)))
    }

    /// # Errors
    /// [`SealError::Shut`] for what was sealed with another key, for another purpose, or not at all.
    pub fn open(&self, sealed: &str, purpose: &str) -> Result<SecretString, SealError> {
        let body = sealed.strip_prefix(MARK).ok_or(SealError::Shut)?;
        let whole = BASE64_STANDARD_NO_PAD.decode(body).map_err(|_| SealError::Shut)?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or(SealError::Shut)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Shut)?;
        let mut sealed = sealed.to_vec();
        let text = self
            .0
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| SealError::Shut)?;
        let text = std::str::from_utf8(text).map_err(|_| SealError::Shut)?;
        Ok(SecretString::from(text))
    }
}

/// Whether a text is sealed at all.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(secret: &str) -> Vault {
        Vault::new(&SecretString::from(secret)).unwrap()
    }

    #[test]
    fn only_the_same_key_and_purpose_open() {
        let one = vault("0123456789abcdef0123456789abcdef");
        let sealed = one.seal("token", "acct_1/conn_1").unwrap();
        assert!(is_sealed(&sealed) && !sealed.contains("token"));
        assert_ne!(sealed, one.seal("token", "acct_1/conn_1").unwrap(), "no nonce twice");
        assert_eq!(one.open(&sealed, "acct_1/conn_1").unwrap().expose_secret(), "token");
        assert!(one.open(&sealed, "acct_2/conn_1").is_err());
        assert!(
            vault("another secret of thirty-two chars").open(&sealed, "acct_1/conn_1").is_err()
        );
        for spoiled in ["", "sealed.1.", "sealed.1.AAAA", "token", &sealed[..sealed.len() - 2]] {
            assert!(one.open(spoiled, "acct_1/conn_1").is_err(), "{spoiled}");
        }
        assert!(Vault::new(&SecretString::from("short")).is_none());
    }
}
