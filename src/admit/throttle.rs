//! Guessing takes time: who fails often, by address or by the name they try, waits.

use std::net::Ipv6Addr;
use std::time::Duration;

use moka::sync::Cache;

use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};

/// Failures are forgotten after this.
const WINDOW: Duration = Duration::from_secs(900);
/// Accounts that were opened, and mail that was asked for, after this.
const HOUR: Duration = Duration::from_secs(3_600);
/// What is let pass in a window: of one name from one address, of one name from anywhere (a guesser
/// with many addresses; one with a few must not keep the name's owner out), from one address.
const PER_PAIR: u32 = 8;
const PER_NAME: u32 = 100;
const PER_ADDRESS: u32 = 40;
/// Codes of a second factor, of whoever knows the password. One in a million is right, and three are at once.
const PER_FACTOR: u32 = 10;
/// Mail in an hour: asked for by one address, and sent to one. Whoever asks for more than the latter is
/// not told, since that would say whether there is somebody to write to.
const MAILS_FROM: u32 = 30;
const MAILS_TO: u32 = 5;
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
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_live(HOUR).build())
    }
}

/// What somebody attempts: what is counted, and how often it may be.
#[derive(Debug, Clone)]
pub struct ThrottledAttempt(Vec<Counted>);

#[derive(Debug, Clone)]
struct Counted {
    key: String,
    most: u32,
    within: Duration,
}

fn counted(key: String, most: u32, within: Duration) -> Counted {
    Counted { key, most, within }
}

impl ThrottledAttempt {
    /// Signing in under a name, from an address.
    #[must_use]
    pub fn sign_in(name: &str, address: &str) -> Self {
        let name: String = name.chars().take(320).collect();
        let address = network(address);
        let mut all = vec![counted(format!("address {address}"), PER_ADDRESS, WINDOW)];
        // Without a name, only the address is counted.
        if !name.is_empty() {
            all.push(counted(format!("pair {address} {name}"), PER_PAIR, WINDOW));
            all.push(counted(format!("name {name}"), PER_NAME, WINDOW));
        }
        Self(all)
    }

    /// Saying a code that was mailed to a name.
    #[must_use]
    pub fn code(name: &str, address: &str) -> Self {
        let name: String = name.chars().take(320).collect();
        let address = network(address);
        Self(vec![
            counted(format!("code address {address}"), PER_ADDRESS, WINDOW),
            counted(format!("code pair {address} {name}"), PER_PAIR, WINDOW),
        ])
    }

    /// Saying the code of somebody's second factor.
    #[must_use]
    pub fn factor(member: &str) -> Self {
        Self(vec![counted(format!("factor {member}"), PER_FACTOR, WINDOW)])
    }

    /// Opening an account from an address, of which there may be so many in an hour.
    #[must_use]
    pub fn register(address: &str, most: u32) -> Self {
        Self(vec![counted(format!("account {}", network(address)), most, HOUR)])
    }

    /// Having mail sent, from an address.
    #[must_use]
    pub fn mail_from(address: &str) -> Self {
        Self(vec![counted(format!("mail from {}", network(address)), MAILS_FROM, HOUR)])
    }

    /// Having mail sent to somebody.
    #[must_use]
    pub fn mail_to(name: &str) -> Self {
        let name: String = name.chars().take(320).collect();
        Self(vec![counted(format!("mail to {name}"), MAILS_TO, HOUR)])
    }
}

/// Who has one address of IPv6 has 2^64 of them (RFC 6177): they count as one.
fn network(address: &str) -> String {
    match address.parse::<Ipv6Addr>() {
        Ok(v6) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        _ => address.to_owned(),
    }
}

impl Throttle {
    fn now(&self, one: &Counted, now: Timestamp) -> Option<Failures> {
        self.0.get(&one.key).filter(|failures| now < failures.since.after(one.within))
    }

    /// Whether an attempt could begin. It is not counted.
    ///
    /// # Errors
    /// [`Kind::RateLimited`], with how long to wait.
    pub fn look(&self, attempt: &ThrottledAttempt, now: Timestamp) -> Result<(), Error> {
        for one in &attempt.0 {
            let Some(failures) = self.now(one, now) else { continue };
            if failures.count >= one.most {
                let left = failures.since.after(one.within).0.saturating_sub(now.0);
                let wait = Duration::from_millis(u64::try_from(left).unwrap_or_default());
                let text = "Too many attempts. Try again later.";
                return Err(Error::new(Kind::RateLimited, text)
                    .coded("too_many_attempts")
                    .after(Some(wait)));
            }
        }
        Ok(())
    }

    /// Counts an attempt, before anybody knows how it goes: those that come at once count too.
    ///
    /// # Errors
    /// [`Kind::RateLimited`], with how long to wait.
    pub fn begin(&self, attempt: &ThrottledAttempt, now: Timestamp) -> Result<(), Error> {
        self.look(attempt, now)?;
        for one in &attempt.0 {
            let before = self.now(one, now).unwrap_or(Failures { count: 0, since: now });
            let count = before.count.saturating_add(1);
            self.0.insert(one.key.clone(), Failures { count, ..before });
        }
        Ok(())
    }

    /// It went well: the name has nothing against it at this address any more, and otherwise this one
    /// less. Many who sign in from one administration are no guessers.
    pub fn succeeded(&self, attempt: &ThrottledAttempt, now: Timestamp) {
        for one in &attempt.0 {
            if one.most == PER_PAIR {
                self.0.invalidate(&one.key);
            } else {
                self.less(one, now);
            }
        }
    }

    /// It came to nothing that counts.
    pub fn undone(&self, attempt: &ThrottledAttempt, now: Timestamp) {
        attempt.0.iter().for_each(|one| self.less(one, now));
    }

    fn less(&self, one: &Counted, now: Timestamp) {
        if let Some(before) = self.now(one, now) {
            let count = before.count.saturating_sub(1);
            self.0.insert(one.key.clone(), Failures { count, ..before });
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
        let ann = |address: &str| ThrottledAttempt::sign_in("a@b", address);
        for _ in 0..PER_PAIR {
            assert!(throttle.begin(&ann("1.1.1.1"), now).is_ok());
        }
        let refused = throttle.begin(&ann("1.1.1.1"), now).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (Kind::RateLimited, Some(WINDOW)));
        assert!(throttle.begin(&ann("1.1.1.1"), now.after(WINDOW)).is_ok());
    }

    #[test]
    fn a_guesser_keeps_nobody_else_out() {
        let throttle = Throttle::default();
        let now = Timestamp(1_000_000);
        for name in ["a@b", ""] {
            while throttle.begin(&ThrottledAttempt::sign_in(name, "1.1.1.1"), now).is_ok() {}
        }
        assert!(throttle.begin(&ThrottledAttempt::sign_in("a@b", "2.2.2.2"), now).is_ok());
        assert!(throttle.begin(&ThrottledAttempt::register("1.1.1.1", 5), now).is_ok());
        // With many addresses it is kept from the name after all.
        let mut tried = PER_PAIR + 1;
        for number in 3..200 {
            let attempt = ThrottledAttempt::sign_in("a@b", &format!("3.3.3.{number}"));
            tried += u32::from(throttle.begin(&attempt, now).is_ok());
        }
        assert_eq!(tried, PER_NAME);
        // Addresses of one network are one.
        for number in 0..PER_ADDRESS {
            let attempt =
                ThrottledAttempt::sign_in(&format!("{number}@b"), &format!("2001:db8::{number:x}"));
            assert!(throttle.begin(&attempt, now).is_ok());
        }
        let refused =
            |address| throttle.begin(&ThrottledAttempt::sign_in("x@b", address), now).is_err();
        assert!(refused("2001:db8::ffff") && !refused("2001:db8:0:1::1"));
    }

    #[test]
    fn many_names_from_one_address_are_guesses_and_many_who_sign_in_are_not() {
        let throttle = Throttle::default();
        let now = Timestamp(1_000_000);
        let one = |number: u32| ThrottledAttempt::sign_in(&format!("{number}@b"), "1.1.1.1");
        for number in 0..10 * PER_ADDRESS {
            assert!(throttle.begin(&one(number), now).is_ok(), "{number}");
            throttle.succeeded(&one(number), now);
        }
        for number in 0..PER_ADDRESS {
            assert!(throttle.begin(&one(number), now).is_ok());
        }
        assert!(throttle.begin(&one(1_000), now).is_err());
        // What came to nothing does not count; what did, does for an hour.
        for number in 0..50 {
            let opening = ThrottledAttempt::register("1.1.1.1", 5);
            assert!(throttle.begin(&opening, now).is_ok(), "{number}");
            throttle.undone(&opening, now);
        }
        for _ in 0..5 {
            assert!(throttle.begin(&ThrottledAttempt::register("1.1.1.1", 5), now).is_ok());
        }
        assert!(
            throttle.begin(&ThrottledAttempt::register("1.1.1.1", 5), now.after(WINDOW)).is_err()
        );
        assert!(throttle.begin(&ThrottledAttempt::register("1.1.1.1", 5), now.after(HOUR)).is_ok());
        assert!(
            throttle.begin(&ThrottledAttempt::register("2.2.2.2", 5), now).is_ok(),
            "elsewhere one may"
        );
    }
}
