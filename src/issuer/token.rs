//! ID tokens (OpenID Connect Core 1.0, section 3.1.3.7): signed with RS256, ES256 or `EdDSA` by one of the
//! issuer's keys, and said of us. What a token's header says chooses among those keys, and nothing
//! else. Pure.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::base::clock::Timestamp;

/// No ID token is longer.
const LONGEST: usize = 16 << 10;
/// Clocks may differ by this much, in seconds.
const LEEWAY: i64 = 60;

/// An issuer's key (RFC 7517), as far as it is for what we take.
#[derive(Debug, Clone, Deserialize)]
pub struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// In small letters; `None` unless the issuer vouches for it.
    pub email: Option<String>,
}

/// What a token has to say to be good.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client: &'a str,
    pub nonce: &'a str,
    pub now: Timestamp,
}

/// Why an ID token of an issuer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error("the token cannot be read")]
    Unreadable,
    #[error("the token is signed in a way that is not taken")]
    Algorithm,
    /// The issuer may have changed its keys.
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for somebody else")]
    Audience,
    #[error("the token has expired, or is from the future")]
    Time,
    #[error("the token answers another sign-in")]
    Nonce,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    /// Some issuers write it as text.
    #[serde(default)]
    email_verified: serde_json::Value,
}

fn decoded(part: &str) -> Result<Vec<u8>, IdTokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Unreadable)
}

impl Jwk {
    /// Whether it may have signed with `alg` under that name.
    fn may_be(&self, alg: &str, kid: Option<&str>) -> bool {
        let kind = match alg {
            "RS256" => self.kty == "RSA",
            "ES256" => self.kty == "EC" && self.crv.as_deref() == Some("P-256"),
            "EdDSA" => self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519"),
            _ => false,
        };
        let named = kid.is_none() || self.kid.is_none() || self.kid.as_deref() == kid;
        let meant = self.alg.as_deref().is_none_or(|own| own == alg);
        kind && named && meant && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
    }

    fn verifies(&self, alg: &str, said: &[u8], signature: &[u8]) -> bool {
        let part = |value: &Option<String>| {
            value.as_deref().and_then(|value| BASE64_URL_SAFE_NO_PAD.decode(value).ok())
        };
        match alg {
            "RS256" => {
                let (Some(n), Some(e)) = (part(&self.n), part(&self.e)) else { return false };
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, said, signature).is_ok()
            }
            "ES256" => {
                let (Some(x), Some(y)) = (part(&self.x), part(&self.y)) else { return false };
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(said, signature).is_ok()
            }
            _ => {
                let Some(x) = part(&self.x) else { return false };
                UnparsedPublicKey::new(&ED25519, x).verify(said, signature).is_ok()
            }
        }
    }
}

/// Who a token speaks of, if one of `keys` signed it and it is what was expected.
///
/// # Errors
/// [`IdTokenError`].
pub fn verify(token: &str, keys: &[Jwk], expected: Expected<'_>) -> Result<Identity, IdTokenError> {
    if token.len() > LONGEST {
        return Err(IdTokenError::Unreadable);
    }
    let (said, signature) = token.rsplit_once('.').ok_or(IdTokenError::Unreadable)?;
    let (header, claims) = said.split_once('.').ok_or(IdTokenError::Unreadable)?;
    let header: Header =
        serde_json::from_slice(&decoded(header)?).map_err(|_| IdTokenError::Unreadable)?;
    if !["RS256", "ES256", "EdDSA"].contains(&header.alg.as_str()) {
        return Err(IdTokenError::Algorithm);
    }
    let signature = decoded(signature)?;
    let mut known =
        keys.iter().filter(|key| key.may_be(&header.alg, header.kid.as_deref())).peekable();
    if known.peek().is_none() {
        return Err(IdTokenError::UnknownKey);
    }
    if !known.any(|key| key.verifies(&header.alg, said.as_bytes(), &signature)) {
        return Err(IdTokenError::Signature);
    }
    let claims: Claims =
        serde_json::from_slice(&decoded(claims)?).map_err(|_| IdTokenError::Unreadable)?;
    if claims.iss != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    let for_us = match &claims.aud {
        Audience::One(one) => one == expected.client,
        // Of many, the one that it was given to.
        Audience::Many(many) => {
            many.iter().any(|one| one == expected.client)
                && (many.len() == 1 || claims.azp.is_some())
        }
    };
    if !for_us || claims.azp.as_deref().is_some_and(|azp| azp != expected.client) {
        return Err(IdTokenError::Audience);
    }
    let now = expected.now.seconds();
    if claims.exp + LEEWAY <= now || claims.iat.is_some_and(|iat| iat > now + LEEWAY) {
        return Err(IdTokenError::Time);
    }
    let nonce = claims.nonce.unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(IdTokenError::Nonce);
    }
    let vouched = claims.email_verified == true || claims.email_verified == "true";
    let email = claims.email.filter(|_| vouched).map(|email| email.trim().to_lowercase());
    Ok(Identity { issuer: claims.iss, subject: claims.sub, email })
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn part(value: &Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn pair() -> (Ed25519KeyPair, Jwk) {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "x": x});
        (pair, serde_json::from_value(jwk).unwrap())
    }

    fn signed(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
        let said = format!("{}.{}", part(header), part(claims));
        let signature = pair.sign(said.as_bytes());
        format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn claims() -> Value {
        json!({"iss": "https://issuer", "sub": "s1", "aud": "us", "exp": NOW + 300, "iat": NOW,
               "nonce": "n1", "email": "Ann@X.y", "email_verified": true})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut all = claims();
        all[name] = value;
        all
    }

    #[test]
    fn only_what_is_signed_said_of_us_and_in_time_is_believed() {
        let (one, key) = pair();
        let header = json!({"alg": "EdDSA", "kid": "k1"});
        let expected = Expected {
            issuer: "https://issuer",
            client: "us",
            nonce: "n1",
            now: Timestamp(NOW * 1_000),
        };
        let check = |claims: &Value| {
            verify(&signed(&one, &header, claims), std::slice::from_ref(&key), expected)
        };
        let good = check(&claims()).unwrap();
        assert_eq!((good.subject.as_str(), good.email.as_deref()), ("s1", Some("ann@x.y")));
        for (name, value, why) in [
            ("iss", json!("https://other"), IdTokenError::Issuer),
            ("aud", json!("them"), IdTokenError::Audience),
            ("aud", json!(["us", "them"]), IdTokenError::Audience),
            ("azp", json!("them"), IdTokenError::Audience),
            ("exp", json!(NOW - 61), IdTokenError::Time),
            ("iat", json!(NOW + 100), IdTokenError::Time),
            ("nonce", json!("n2"), IdTokenError::Nonce),
            ("nonce", Value::Null, IdTokenError::Nonce),
            ("sub", Value::Null, IdTokenError::Unreadable),
        ] {
            assert_eq!(check(&with(name, value.clone())), Err(why), "{name} {value}");
        }
        for unsaid in [json!(false), Value::Null, json!("false")] {
            assert_eq!(check(&with("email_verified", unsaid)).unwrap().email, None);
        }
        let mut many = with("aud", json!(["us", "them"]));
        many["azp"] = json!("us");
        assert!(check(&many).is_ok());
    }

    #[test]
    fn neither_another_key_nor_another_algorithm_passes() {
        let (one, key) = pair();
        let (other, _) = pair();
        let expected = Expected {
            issuer: "https://issuer",
            client: "us",
            nonce: "n1",
            now: Timestamp(NOW * 1_000),
        };
        let check = |token: &str| verify(token, std::slice::from_ref(&key), expected);
        let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
        let forged = signed(&other, &header("EdDSA", "k1"), &claims());
        assert_eq!(check(&forged), Err(IdTokenError::Signature));
        let unknown = signed(&one, &header("EdDSA", "k2"), &claims());
        assert_eq!(check(&unknown), Err(IdTokenError::UnknownKey));
        for alg in ["none", "HS256", "RS512", ""] {
            let token = signed(&one, &header(alg, "k1"), &claims());
            assert_eq!(check(&token), Err(IdTokenError::Algorithm), "{alg}");
        }
        // A key of one kind is none of another.
        let confused = signed(&one, &header("RS256", "k1"), &claims());
        assert_eq!(check(&confused), Err(IdTokenError::UnknownKey));
        for spoiled in ["", ".", "..", "a.b.c"] {
            assert!(check(spoiled).is_err(), "{spoiled}");
        }
    }

    /// RFC 7515, appendix A.3: a signature with ES256, of claims that say nothing to us.
    #[test]
    fn es256_of_the_rfc_is_verified() {
        let key: Jwk = serde_json::from_value(json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }))
        .unwrap();
        let said = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
                    Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = decoded(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        )
        .unwrap();
        assert!(key.verifies("ES256", said.as_bytes(), &signature));
        assert!(!key.verifies("ES256", b"else", &signature));
    }
}
