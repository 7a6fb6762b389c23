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

impl Throttle {
    fn keys(name: &str, address: &str) -> [(String, u32); 2] {
        let name: String = name.chars().take(320).collect();
        [(format!("name {name}"), PER_NAME), (format!("address {address}"), PER_ADDRESS)]
    }

    fn now(&self, key: &str, now: Timestamp) -> Option<Failures> {
        self.0.get(key).filter(|failures| now < failures.since.after(WINDOW))
    }

    /// # Errors
    /// [`Kind::RateLimited`], with how long to wait.
    pub fn pass(&self, name: &str, address: &str, now: Timestamp) -> Result<(), Error> {
        for (key, most) in Self::keys(name, address) {
            let Some(failures) = self.now(&key, now) else { continue };
            if failures.count >= most {
                let left = failures.since.after(WINDOW).0.saturating_sub(now.0);
                let wait = Duration::from_millis(u64::try_from(left).unwrap_or_default());
                let text = "Too many failed attempts. Try again later.";
                return Err(Error::new(Kind::RateLimited, text)
                    .coded("too_many_attempts")
                    .after(Some(wait)));
            }
        }
        Ok(())
    }

    pub fn failed(&self, name: &str, address: &str, now: Timestamp) {
        for (key, _) in Self::keys(name, address) {
            let before = self.now(&key, now).unwrap_or(Failures { count: 0, since: now });
            self.0.insert(key, Failures { count: before.count.saturating_add(1), ..before });
        }
    }

    /// Whoever knows the password need not wait for what others tried.
    pub fn succeeded(&self, name: &str) {
        let [(name, _), _] = Self::keys(name, "");
        self.0.invalidate(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_waits_and_is_forgiven() {
        let throttle = Throttle::default();
        let now = Timestamp(1_000_000);
        for _ in 0..PER_NAME {
            assert!(throttle.pass("a@b", "1.1.1.1", now).is_ok());
            throttle.failed("a@b", "1.1.1.1", now);
        }
        let refused = throttle.pass("a@b", "2.2.2.2", now).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (Kind::RateLimited, Some(WINDOW)));
        assert!(throttle.pass("c@d", "1.1.1.1", now).is_ok());
        for number in 0..PER_ADDRESS {
            throttle.failed(&format!("{number}@b"), "1.1.1.1", now);
        }
        assert!(throttle.pass("c@d", "1.1.1.1", now).is_err(), "many names from one address");
        assert!(throttle.pass("a@b", "2.2.2.2", now.after(WINDOW)).is_ok());
        throttle.succeeded("a@b");
        assert!(throttle.pass("a@b", "2.2.2.2", now).is_ok());
    }
}
