//! Whom a credential speaks for within an account, and what that lets them do.

use serde::Deserialize;

use crate::base::{Error, Kind};

/// What a member of an account is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the account: its members, its keys, its switches, all that its users keep.
    Owner,
    /// Uses it, and has what is theirs.
    Member,
    /// Reads what was used and what it cost.
    Billing,
    /// Runs the gateway.
    Admin,
}

impl Role {
    /// `None` for a word that is no role.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "owner" => Self::Owner,
            "member" => Self::Member,
            "billing" => Self::Billing,
            "admin" => Self::Admin,
            _ => return None,
        })
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
            Self::Billing => "billing",
            Self::Admin => "admin",
        }
    }
}

/// Who has to have a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactorDuty {
    #[default]
    Optional,
    /// Administrators of the gateway.
    Admins,
    Everyone,
}

impl FactorDuty {
    /// Whether whoever has a role has to have one.
    #[must_use]
    pub fn holds_for(self, role: &str) -> bool {
        match self {
            Self::Optional => false,
            Self::Admins => role == Role::Admin.as_str(),
            Self::Everyone => true,
        }
    }
}

/// Who acts. A key of the account as a whole acts as its owner, in nobody's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The member's id, or the account's.
    pub id: String,
    pub role: Role,
}

/// The longest name of a user.
const USER_CHARACTERS: usize = 200;

/// The name that an account gives one of its users, which is anything that fits.
///
/// # Errors
/// [`Kind::Malformed`] for one that is empty, too long, or holds control characters.
pub fn user_name(name: &str) -> Result<&str, Error> {
    let fits = !name.is_empty()
        && name.chars().count() <= USER_CHARACTERS
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(name);
    }
    let text = format!("A user's id has 1 to {USER_CHARACTERS} characters.");
    Err(Error::new(Kind::Malformed, text).at("user_id").coded("invalid_user_id"))
}

impl Person {
    /// Whether they may read and change what `user` keeps. Another account's users are not in reach
    /// at all: every statement names the account.
    ///
    /// # Errors
    /// [`Kind::Forbidden`].
    pub fn may_act_for(&self, user: &str) -> Result<(), Error> {
        let allowed = match self.role {
            Role::Owner | Role::Admin => true,
            Role::Member => self.id == user,
            Role::Billing => false,
        };
        if allowed {
            return Ok(());
        }
        Err(Error::new(Kind::Forbidden, "This belongs to another user.").coded("other_user"))
    }

    /// # Errors
    /// [`Kind::Forbidden`] unless they run the account.
    pub fn must_run_the_account(&self) -> Result<(), Error> {
        match self.role {
            Role::Owner | Role::Admin => Ok(()),
            Role::Member | Role::Billing => {
                let text = "This needs an owner of the account.";
                Err(Error::new(Kind::Forbidden, text).coded("owner_required"))
            }
        }
    }
}

/// # Errors
/// [`Kind::Malformed`] for what cannot be shown as a name.
pub fn named(name: &str) -> Result<(), Error> {
    let fits = !name.trim().is_empty()
        && name.chars().count() <= 200
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    let text = "A name has 1 to 200 characters, none of them a control character.";
    Err(Error::new(Kind::Malformed, text).at("name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duty_holds_for_whom_it_says() {
        for (duty, admin, owner) in [
            (FactorDuty::Optional, false, false),
            (FactorDuty::Admins, true, false),
            (FactorDuty::Everyone, true, true),
        ] {
            assert_eq!((duty.holds_for("admin"), duty.holds_for("owner")), (admin, owner));
        }
    }

    #[test]
    fn members_keep_to_themselves() {
        let person = |role| Person { id: "member_1".to_owned(), role };
        for (role, own, other, runs) in [
            (Role::Owner, true, true, true),
            (Role::Admin, true, true, true),
            (Role::Member, true, false, false),
            (Role::Billing, false, false, false),
        ] {
            let person = person(role);
            assert_eq!(person.may_act_for("member_1").is_ok(), own, "{role:?}");
            assert_eq!(person.may_act_for("member_2").is_ok(), other, "{role:?}");
            assert_eq!(person.must_run_the_account().is_ok(), runs, "{role:?}");
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert!(user_name("alice@example.com").is_ok());
        assert!(user_name("").is_err() && user_name("a\nb").is_err());
        assert!(user_name(&"a".repeat(201)).is_err());
    }
}
