//! Time-based codes (RFC 6238): six digits, thirty seconds, HMAC with SHA-1, which is what every app
//! that shows such codes understands. Pure.

use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::base::clock::Timestamp;
use crate::base::percent::segment;

/// Seconds that a code is shown.
const STEP: i64 = 30;
/// Codes of so many steps before and after are taken: clocks differ, and people type slowly.
const DRIFT: i64 = 1;
/// Bytes of a secret: as many as SHA-1 gives (RFC 4226, section 4).
const SECRET_BYTES: usize = 20;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new secret, in base32 (RFC 4648) without padding, as apps read it.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn new_secret() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(SecretString::from(written(&bytes)))
}

fn written(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let at = usize::try_from((held >> bits) & 31).unwrap_or_default();
            text.push(char::from(BASE32[at]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        let at = usize::try_from((held << (5 - bits)) & 31).unwrap_or_default();
        text.push(char::from(BASE32[at]));
    }
    text
}

/// `None` for what is no base32.
fn read(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for letter in text.bytes() {
        let value = BASE32.iter().position(|known| *known == letter)?;
        held = (held << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
        held &= (1 << bits) - 1;
    }
    Some(bytes)
}

/// The code of a step (RFC 4226, section 5.3).
fn code(key: &Key, step: i64) -> u32 {
    let tag = sign(key, &step.to_be_bytes());
    let digest = tag.as_ref();
    let at = usize::from(digest.last().copied().unwrap_or_default() & 15);
    let part = digest.get(at..at + 4).and_then(|part| <[u8; 4]>::try_from(part).ok());
    (u32::from_be_bytes(part.unwrap_or_default()) & 0x7fff_ffff) % 1_000_000
}

/// The step whose code was said, if it is one of those around now, and later than the last that was
/// used: a code is good once.
#[must_use]
pub fn step_of(secret: &SecretString, said: &str, now: Timestamp, last: i64) -> Option<i64> {
    let digits: String = said.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let said: u32 = digits.parse().ok()?;
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &read(secret.expose_secret())?);
    let here = now.seconds().div_euclid(STEP);
    // All are compared, however the first goes.
    let mut found = 0_i64;
    for step in here - DRIFT..=here + DRIFT {
        let fresh = Choice::from(u8::from(step > last));
        let right = code(&key, step).ct_eq(&said) & fresh;
        found = i64::conditional_select(&found, &step, right);
    }
    (found != 0).then_some(found)
}

/// What apps read, from a QR code or by a click.
#[must_use]
pub fn uri(secret: &SecretString, email: &str) -> String {
    let name = segment(email);
    format!("otpauth://totp/Optimux:{name}?secret={}&issuer=Optimux", secret.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the vectors of RFC 6238, appendix B: "12345678901234567890".
    const VECTORS: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        let secret = SecretString::from(VECTORS);
        // The last six of the eight digits there.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(step_of(&secret, code, at(seconds), 0), Some(seconds / 30), "{seconds}");
        }
        assert_eq!(written(b"12345678901234567890"), VECTORS);
        assert_eq!(read(VECTORS).unwrap(), b"12345678901234567890");
    }

    #[test]
    fn a_code_is_good_once_and_for_a_step_either_way() {
        let secret = SecretString::from(VECTORS);
        let (code, now) = ("081804", 1_111_111_109);
        let step = step_of(&secret, code, at(now), 0).unwrap();
        assert_eq!(step_of(&secret, code, at(now), step), None, "used");
        assert_eq!(step_of(&secret, "081 804", at(now + 30), 0), Some(step));
        assert_eq!(step_of(&secret, code, at(now - 30), 0), Some(step));
        for wrong in [now + 90, now - 90] {
            assert_eq!(step_of(&secret, code, at(wrong), 0), None);
        }
        for spoiled in ["", "08180", "0818045", "abcdef", "+81804", "０８１８０４"] {
            assert_eq!(step_of(&secret, spoiled, at(now), 0), None, "{spoiled}");
        }
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_eq!(read(one.expose_secret()).unwrap().len(), SECRET_BYTES);
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(uri(&one, "a b@c").starts_with("otpauth://totp/Optimux:a%20b%40c?secret="));
    }
}
