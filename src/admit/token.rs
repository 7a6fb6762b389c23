//! Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037). One algorithm, one kind
//! of token: what a token's header says of either decides nothing. Pure.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::clock::Timestamp;

const ISSUER: &str = "optimux";
/// No token of ours is longer.
const LONGEST: usize = 2_048;
/// Clocks of nodes may differ by this much, in seconds.
const LEEWAY: i64 = 5;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The member.
    pub sub: String,
    /// The account.
    pub acct: String,
    pub role: String,
    /// The sign-in that it came of.
    pub sid: String,
    /// Seconds since the epoch.
    pub iat: i64,
    pub exp: i64,
    /// No two tokens are the same.
    pub jti: String,
}

impl Claims {
    #[must_use]
    pub fn new(member: &str, account: &str, role: &str, signin: &str) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: member.to_owned(),
            acct: account.to_owned(),
            role: role.to_owned(),
            sid: signin.to_owned(),
            iat: 0,
            exp: 0,
            jti: String::new(),
        }
    }
}

/// Why an access token of this gateway is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    #[error("this is no token of ours")]
    Invalid,
    /// Another node may know the key.
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token has expired")]
    Expired,
}

/// A key that signs, by its name.
pub struct Signer {
    pub id: String,
    pub created: Timestamp,
    pub pair: Ed25519KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.id)
    }
}

#[derive(Deserialize)]
struct Header {
    kid: String,
}

impl Signer {
    #[must_use]
    pub fn mint(&self, claims: &Claims) -> String {
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.id});
        let said = format!("{}.{}", part(header), part(json!(claims)));
        let signature = self.pair.sign(said.as_bytes());
        format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// What others check signatures with (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            kid: self.id.clone(),
            x: BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref()),
        }
    }
}

/// A key that tokens are checked with (RFC 7517).
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    kid: String,
    x: String,
}

/// Whether a credential has the looks of a token: three parts, the first of them a JSON object.
#[must_use]
pub fn looks_like_one(credential: &str) -> bool {
    credential.starts_with("eyJ") && credential.split('.').count() == 3
}

/// What a token says, if one of `signers` signed it and it is good at `now`.
///
/// # Errors
/// [`AccessTokenError`].
pub fn verify<'a>(
    token: &str,
    signers: impl IntoIterator<Item = &'a Signer>,
    now: Timestamp,
) -> Result<Claims, AccessTokenError> {
    if token.len() > LONGEST {
        return Err(AccessTokenError::Invalid);
    }
    let (said, signature) = token.rsplit_once('.').ok_or(AccessTokenError::Invalid)?;
    let (header, claims) = said.split_once('.').ok_or(AccessTokenError::Invalid)?;
    let decoded =
        |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| AccessTokenError::Invalid);
    let header: Header =
        serde_json::from_slice(&decoded(header)?).map_err(|_| AccessTokenError::Invalid)?;
    let signer = signers
        .into_iter()
        .find(|signer| signer.id == header.kid)
        .ok_or(AccessTokenError::UnknownKey)?;
    UnparsedPublicKey::new(&ED25519, signer.pair.public_key().as_ref())
        .verify(said.as_bytes(), &decoded(signature)?)
        .map_err(|_| AccessTokenError::Invalid)?;
    let claims: Claims =
        serde_json::from_slice(&decoded(claims)?).map_err(|_| AccessTokenError::Invalid)?;
    if claims.iss != ISSUER || claims.aud != ISSUER || claims.iat > now.seconds() + LEEWAY {
        return Err(AccessTokenError::Invalid);
    }
    if claims.exp <= now.seconds() {
        return Err(AccessTokenError::Expired);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;

    fn signer(id: &str) -> Signer {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Signer { id: id.to_owned(), created: Timestamp(0), pair }
    }

    #[test]
    fn only_what_was_signed_and_is_in_time_is_believed() {
        let (one, other) = (signer("k1"), signer("k1"));
        let claims = Claims { iat: 100, exp: 1_000, ..Claims::new("m", "a", "owner", "s") };
        let token = one.mint(&claims);
        let now = Timestamp(500_000);
        assert!(looks_like_one(&token));
        assert_eq!(verify(&token, [&one], now), Ok(claims.clone()));
        assert_eq!(
            verify(&token, [&other], now),
            Err(AccessTokenError::Invalid),
            "another's signature"
        );
        assert_eq!(verify(&token, [&signer("k2")], now), Err(AccessTokenError::UnknownKey));
        assert_eq!(verify(&token, [&one], Timestamp(1_000_000)), Err(AccessTokenError::Expired));
        assert_eq!(
            verify(&token, [&one], Timestamp(0)),
            Err(AccessTokenError::Invalid),
            "from the future"
        );
        let foreign = one.mint(&Claims { aud: "somebody".to_owned(), ..claims });
        assert_eq!(verify(&foreign, [&one], now), Err(AccessTokenError::Invalid));
    }

    #[test]
    fn neither_an_empty_signature_nor_another_algorithm_passes() {
        let one = signer("k1");
        let claims = Claims { iat: 100, exp: 1_000, ..Claims::new("m", "a", "owner", "s") };
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let none =
            format!("{}.{}.", part(json!({"alg": "none", "kid": "k1"})), part(json!(claims)));
        assert_eq!(verify(&none, [&one], Timestamp(500_000)), Err(AccessTokenError::Invalid));
        for spoiled in ["", ".", "..", "eyJ.eyJ.x", "a.b.c.d"] {
            assert!(verify(spoiled, [&one], Timestamp(500_000)).is_err(), "{spoiled}");
        }
    }
}
