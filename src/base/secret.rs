//! API keys: how they look, how they are made, and how they are kept. A key is random, so one
//! SHA-256 hides it well enough; the hash is what the store and every cache hold.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every key of ours starts with.
pub const KEY_PREFIX: &str = "sk-optimux-";
/// What every key starts with that is lent to a browser, as OpenAI's do.
pub const BROWSER_PREFIX: &str = "ek_";
/// Base62 characters after the prefix: 62^43 is a little over 2^256.
const KEY_BODY: usize = 43;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a key. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    #[must_use]
    pub fn to_hex(self) -> String {
        use fmt::Write;
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a String cannot fail.
            let _infallible = write!(hex, "{byte:02x}");
        }
        hex
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for KeyHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// SHA-256 of several values in a row, in hex; where one ends and the next begins counts too.
#[must_use]
pub fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    KeyHash(hash.finalize().into()).to_hex()
}

/// A new key with 256 bits from the operating system.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn new_key() -> Result<SecretString, getrandom::Error> {
    new_token().map(|token| SecretString::from(format!("{KEY_PREFIX}{token}")))
}

/// As much that cannot be guessed as a key holds, without the prefix.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut token = String::with_capacity(KEY_BODY);
    let mut pool = [0_u8; 64];
    while token.len() < KEY_BODY {
        getrandom::fill(&mut pool)?;
        // 248 = 4 × 62: bytes above it would make the first characters likelier than the rest.
        for byte in pool.iter().filter(|byte| **byte < 248) {
            if token.len() < KEY_BODY {
                token.push(char::from(BASE62[usize::from(byte % 62)]));
            }
        }
    }
    Ok(token)
}

/// The few characters by which a person recognises a key in a list; they do not help a guesser.
#[must_use]
pub fn key_hint(key: &SecretString) -> String {
    let key = key.expose_secret();
    let tail = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
    format!("{KEY_PREFIX}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_promised_shape_and_differ() {
        let (one, two) = (new_key().unwrap(), new_key().unwrap());
        let body = one.expose_secret().strip_prefix(KEY_PREFIX).unwrap();
        assert_eq!(body.len(), 43);
        assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one.expose_secret(), two.expose_secret());
    }

    #[test]
    fn neither_hash_nor_key_shows_in_debug_output() {
        let key = new_key().unwrap();
        assert!(!format!("{key:?}").contains(key.expose_secret()));
        assert_eq!(format!("{:?}", KeyHash::of("a")), "KeyHash(…)");
    }
}
