//! The user that a request is about: the caller, or one for whom the caller may act.

use std::sync::Arc;

use super::caller::Caller;
use super::identity::Identities;
use super::person::user_name;
use crate::base::{Error, Kind};

fn nobody() -> Error {
    Error::new(Kind::NotFound, "There is no such user.").coded("user_not_found")
}

/// The user whom a request names, or else the caller.
///
/// An account calls its users what it likes; ids of ours are its own members', or nobody's here.
///
/// # Errors
/// [`Kind::Malformed`] for what is no name, [`Kind::Forbidden`] for another user, [`Kind::NotFound`]
/// for an id of another account's.
pub async fn named<'a>(
    identities: &Identities,
    caller: &'a Caller,
    user: Option<&'a str>,
) -> Result<&'a str, Error> {
    let Some(user) = user else { return Ok(&caller.person.id) };
    let user = user_name(user)?;
    caller.person.may_act_for(user)?;
    if user == caller.person.id {
        return Ok(user);
    }
    if user.starts_with("acct_") && user != caller.account.as_str() {
        return Err(nobody());
    }
    if user.starts_with("member_") {
        let found = identities.store.member(caller.account.clone(), user.to_owned()).await;
        found.map_err(Error::internal)?.ok_or_else(nobody)?;
    }
    Ok(user)
}

/// The caller in the name of the user whom a request names, if it names one.
///
/// # Errors
/// As [`named`].
pub async fn acting(
    identities: &Identities,
    caller: Arc<Caller>,
    user: Option<&str>,
) -> Result<Arc<Caller>, Error> {
    let Some(user) = user else { return Ok(caller) };
    let user = named(identities, &caller, Some(user)).await?;
    if user == caller.person.id {
        return Ok(Arc::clone(&caller));
    }
    let features = identities.features_of(&caller, user).await?;
    Ok(Arc::new(caller.in_name_of(user, features)))
}
