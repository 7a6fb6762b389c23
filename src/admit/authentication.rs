//! Where people sign in: what it takes.

use std::time::Duration;

use super::password::Passwords;
use super::person::FactorDuty;
use super::signers::Signers;
use super::throttle::Throttle;
use super::{Identities, Plans};
use crate::base::clock::Clock;
use crate::base::seal::Vault;
use crate::base::{Error, Kind};
use crate::issuer::Issuers;
use crate::notice::Mail;
use crate::store::Store;

/// How long a sign-in lasts after its last use.
pub(super) const LASTS: Duration = Duration::from_secs(30 * 86_400);

/// Where people sign in.
#[derive(Debug, Clone)]
pub struct Authentication {
    pub store: Store,
    pub signers: Signers,
    pub passwords: Passwords,
    pub throttle: Throttle,
    pub identities: Identities,
    pub plans: Plans,
    pub clock: Clock,
    /// The plan of those who register by themselves; `None` = nobody does.
    pub register: Option<String>,
    /// Where mail is sent, they prove their address before there is an account.
    pub verify_first: bool,
    /// How many accounts one address opens in an hour.
    pub accounts_per_address: u32,
    /// Who has to have a second factor.
    pub factor_duty: FactorDuty,
    /// Who else lets people in.
    pub issuers: Issuers,
    /// What second factors are sealed with; without it there can be none.
    pub vault: Option<Vault>,
    /// What sends mail, if anything does.
    pub mail: Option<Mail>,
}

/// Whoever is signed in gave another password than theirs.
pub(super) fn not_theirs() -> Error {
    let text = "The current password is not right.";
    Error::new(Kind::Unauthenticated, text).coded("wrong_password")
}

/// The same of what came of a password, where one that was wrong is that of whoever is signed in.
pub(super) fn of_oneself(why: Error) -> Error {
    if why.code.as_deref() == Some("wrong_password") { not_theirs() } else { why }
}

pub(super) fn wrong() -> Error {
    Error::new(Kind::Unauthenticated, "Wrong e-mail address or password.").coded("wrong_password")
}
