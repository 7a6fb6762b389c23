//! Our credentials out of what a provider says: some quote the key that they refuse, and it goes to
//! no log and to no caller.

use bytes::Bytes;
use secrecy::ExposeSecret;

use crate::catalogue::Provider;
use crate::wire::vocab::Fault;

/// In the place of a credential.
const HIDDEN: &str = "…";

/// Shorter values are no secrets, and occur by chance.
const SHORTEST: usize = 8;

/// Headers of the configuration whose values are credentials, by a part of their names.
const SECRET_HEADERS: [&str; 5] = ["auth", "key", "token", "secret", "cookie"];

/// What a provider knows of us that nobody else may.
fn secrets(provider: &Provider) -> impl Iterator<Item = &str> {
    let aws = provider.aws.as_ref();
    let headers = provider.headers.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        SECRET_HEADERS.iter().any(|part| name.contains(part))
    });
    let signing = [aws.map(|aws| &aws.secret_key), aws.and_then(|aws| aws.session_token.as_ref())];
    let keys = provider.keys.iter().map(|key| &key.secret);
    keys.chain(signing.into_iter().flatten())
        .map(|secret| secret.expose_secret().trim())
        .chain(headers.map(|(_, value)| value.trim_start_matches("Bearer ").trim()))
        .filter(|secret| secret.len() >= SHORTEST)
}

/// A fault without our credentials in any of its words.
pub(super) fn scrubbed(mut fault: Fault, provider: &Provider) -> Fault {
    for secret in secrets(provider) {
        let words = [Some(&mut fault.message), fault.code.as_mut(), fault.field.as_mut()];
        for word in words.into_iter().flatten() {
            if word.contains(secret) {
                *word = word.replace(secret, HIDDEN);
            }
        }
    }
    fault
}

/// A message without our credentials: most hold none, and are passed on as they are.
pub(super) fn without_secrets(message: Bytes, provider: &Provider) -> Bytes {
    let quoted = |secret: &&str| memchr::memmem::find(&message, secret.as_bytes()).is_some();
    if !secrets(provider).any(|secret| quoted(&secret)) {
        return message;
    }
    let mut text = String::from_utf8_lossy(&message).into_owned();
    for secret in secrets(provider) {
        text = text.replace(secret, HIDDEN);
    }
    Bytes::from(text)
}

/// As much of a provider's words as goes into a log.
pub(super) fn shortened(words: &str) -> String {
    words.chars().take(300).collect()
}
