//! Guessing takes time: who fails often, by address or by the name they try, waits.

use std::time::Duration;

use moka::sync::Cache;

use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};

/// Failures are forgotten after this.
const WINDOW: Duration = Duration::from_secs(900);
/// What is let pass in a window.
const PER_NAME: u32 = 8;
const PER_ADDRESS: u32 = 40;
const ACCOUNTS_PER_ADDRESS: u32 = 20;
/// Bounds the memory that a guesser can take.
const REMEMBERED: u64 = 100_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Timestamp,
}

/// Per process: with several nodes a guesser has as many windows.
#[derive(Debug, Clone)]
pub struct Throttle(Cache<String, Failures>);

impl Default for Throttle {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_live(WINDOW).build())
    }
}

/// What somebody attempts: what is counted, and how often it may be.
#[derive(Debug, Clone)]
pub struct Attempt(Vec<(String, u32)>);

impl Attempt {
    /// Signing in under a name, from an address.
    #[must_use]
    pub fn sign_in(name: &str, address: &str) -> Self {
        let name: String = name.chars().take(320).collect();
        let counted =
            [(format!("name {name}"), PER_NAME), (format!("address {address}"), PER_ADDRESS)];
        Self(counted.into())
    }

    /// Opening an account from an address.
    #[must_use]
    pub fn register(address: &str) -> Self {
        Self(vec![(format!("account {address}"), ACCOUNTS_PER_ADDRESS)])
    }
}

impl Throttle {
    fn now(&self, key: &str, now: Timestamp) -> Option<Failures> {
        self.0.get(key).filter(|failures| now < failures.since.after(WINDOW))
    }

    /// Counts an attempt, before anybody knows how it goes: those that come at once count too.
    ///
    /// # Errors
    /// [`Kind::RateLimited`], with how long to wait.
    pub fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Error> {
        for (key, most) in &attempt.0 {
            let Some(failures) = self.now(key, now) else { continue };
            if failures.count >= *most {
                let left = failures.since.after(WINDOW).0.saturating_sub(now.0);
                let wait = Duration::from_millis(u64::try_from(left).unwrap_or_default());
                let text = "Too many attempts. Try again later.";
                return Err(Error::new(Kind::RateLimited, text)
                    .coded("too_many_attempts")
                    .after(Some(wait)));
            }
        }
        for (key, _) in &attempt.0 {
            let before = self.now(key, now).unwrap_or(Failures { count: 0, since: now });
            let count = before.count.saturating_add(1);
            self.0.insert(key.clone(), Failures { count, ..before });
        }
        Ok(())
    }

    /// It went well: the name has nothing against it any more, and the address this one less. Many
    /// who sign in from one office are no guessers.
    pub fn succeeded(&self, attempt: &Attempt, now: Timestamp) {
        for (key, most) in &attempt.0 {
            if *most == PER_NAME {
                self.0.invalidate(key);
            } else if let Some(before) = self.now(key, now) {
                let count = before.count.saturating_sub(1);
                self.0.insert(key.clone(), Failures { count, ..before });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_waits_and_is_forgiven() {
        let throttle = Throttle::default();
        let now = Timestamp(1_000_000);
        let ann = |address: &str| Attempt::sign_in("a@b", address);
        for _ in 0..PER_NAME {
            assert!(throttle.begin(&ann("1.1.1.1"), now).is_ok());
        }
        let refused = throttle.begin(&ann("2.2.2.2"), now).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (Kind::RateLimited, Some(WINDOW)));
        assert!(throttle.begin(&ann("2.2.2.2"), now.after(WINDOW)).is_ok());
    }

    #[test]
    fn many_names_from_one_address_are_guesses_and_many_who_sign_in_are_not() {
        let throttle = Throttle::default();
        let now = Timestamp(1_000_000);
        let one = |number: u32| Attempt::sign_in(&format!("{number}@b"), "1.1.1.1");
        for number in 0..10 * PER_ADDRESS {
            assert!(throttle.begin(&one(number), now).is_ok(), "{number}");
            throttle.succeeded(&one(number), now);
        }
        for number in 0..PER_ADDRESS {
            assert!(throttle.begin(&one(number), now).is_ok());
        }
        assert!(throttle.begin(&one(1_000), now).is_err());
        for _ in 0..ACCOUNTS_PER_ADDRESS {
            assert!(throttle.begin(&Attempt::register("1.1.1.1"), now).is_ok());
        }
        assert!(throttle.begin(&Attempt::register("1.1.1.1"), now).is_err());
        assert!(throttle.begin(&Attempt::register("2.2.2.2"), now).is_ok(), "elsewhere one may");
    }
}
