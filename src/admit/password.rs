//! Passwords: Argon2id, away from the workers, and never many at once.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::base::{Error, Kind};

/// How many are hashed at once: each takes a core and 19 MB for some 20 ms.
const AT_ONCE: usize = 2;
/// How many may wait. Whoever comes after them is asked to come again.
const WAITING: usize = 64;
/// The shortest and the longest password, in characters and in bytes.
const FEWEST: usize = 10;
const LONGEST: usize = 1_024;

/// 19 MiB, two passes, one lane: what OWASP recommends for Argon2id at the least.
fn argon() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// Hashes and compares. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Compared with where nobody has the address, so that this takes as long. Made when it is
    /// first needed.
    nobody: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            nobody: Arc::default(),
        }
    }
}

impl Passwords {
    /// Runs `work` on a thread that may take its time, when it is its turn.
    async fn take_turns<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let busy = || Error::new(Kind::Overloaded, "Too many are signing in. Try again shortly.");
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let _turn = self.working.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }

    /// # Errors
    /// [`Kind::Malformed`] for one that is too short or too long.
    pub async fn hash(&self, password: SecretString) -> Result<String, Error> {
        acceptable(&password)?;
        let hashing = move || hashed(password.expose_secret());
        self.take_turns(hashing).await?.map_err(Error::internal)
    }

    /// Whether it is the password that was hashed. `None` takes as long and is never right.
    ///
    /// # Errors
    /// [`Kind::Overloaded`] when too many wait.
    pub async fn is_right(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, Error> {
        if password.expose_secret().len() > LONGEST {
            return Ok(false);
        }
        let nobody = Arc::clone(&self.nobody);
        let comparing = move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or_else(|| {
                nobody.get_or_init(|| hashed("nobody has this password").unwrap_or_default())
            });
            let right = PasswordHash::new(hash).is_ok_and(|hash| {
                argon().verify_password(password.expose_secret().as_bytes(), &hash).is_ok()
            });
            right && known
        };
        self.take_turns(comparing).await
    }
}

fn hashed(password: &str) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::generate(&mut OsRng);
    argon().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string())
}

/// # Errors
/// [`Kind::Malformed`], saying what is wrong with it.
pub fn acceptable(password: &SecretString) -> Result<(), Error> {
    let password = password.expose_secret();
    if password.chars().count() < FEWEST || password.len() > LONGEST {
        let text = format!("A password has at least {FEWEST} characters, and at most {LONGEST}.");
        return Err(Error::new(Kind::Malformed, text).at("password").coded("weak_password"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_password_is_right() {
        let passwords = Passwords::default();
        let say = |text: &str| SecretString::from(text);
        let hash = passwords.hash(say("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(
            passwords.is_right(say("correct horse battery"), Some(hash.clone())).await.unwrap()
        );
        assert!(!passwords.is_right(say("correct horse batterz"), Some(hash)).await.unwrap());
        assert!(!passwords.is_right(say("nobody has this password"), None).await.unwrap());
        assert!(passwords.hash(say("short")).await.is_err());
    }
}
