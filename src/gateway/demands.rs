//! A decision is held to what the caller's plan and key demand of whoever is sent what they say: named
//! models and `auto`, fallbacks and everything else that a decision may come to.

use std::sync::Arc;

use crate::admit::{Caller, Demanded};
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Model};
use crate::live::Live;
use crate::router::{Decision, LeftOut};

/// Leaves out whoever does not meet them. Most callers demand nothing.
///
/// # Errors
/// [`Kind::Forbidden`] where nobody is left, with the member that left out the first.
pub(super) fn hold(caller: &Caller, model: &str, decision: &mut Decision) -> Result<(), Error> {
    let Some(demanded) = caller.demanded() else { return Ok(()) };
    let mut missing = None;
    let Decision { steps, left_out, .. } = decision;
    steps.retain(|step| match demanded.met_by(&step.deployment.data) {
        Ok(()) => true,
        Err(member) => {
            missing.get_or_insert(member);
            left_out.push(LeftOut {
                model: step.model.id.to_string(),
                provider: Some(step.deployment.provider.id.to_string()),
                member,
            });
            false
        }
    });
    match missing {
        Some(member) if steps.is_empty() => Err(unmet(model, member)),
        _ => Ok(()),
    }
}

/// Why `auto` has found nobody, where it is for what is demanded.
pub(super) fn keep_all_out(live: &Live, caller: &Caller, demanded: &Demanded) -> Option<Error> {
    let chat = |model: &&Arc<Model>| model.mode == Mode::Chat && caller.may_use(model);
    let all = live.catalogue.models().iter().filter(chat);
    let mut met = all.flat_map(|model| &model.deployments).map(|one| demanded.met_by(&one.data));
    let first = met.next()?.err()?;
    met.all(|one| one.is_err()).then(|| unmet("auto", first))
}

fn unmet(model: &str, member: &'static str) -> Error {
    let (whose, demand) = member.split_once('.').unwrap_or(("", member));
    let whose = if whose == "key" { "This API key" } else { "The plan of this account" };
    let of = match demand {
        "data_collection" => "nobody may use what is sent for purposes of their own",
        "zdr" => "nothing of what is sent may be kept",
        _ => "what is sent has to stay in its regions",
    };
    let text = format!(
        "{whose} demands '{demand}' ({of}), and no provider of '{model}' is known to meet that. Ask for \
         another model, or have the operator say in `data` what the provider does."
    );
    Error::new(Kind::Forbidden, text).at(member).coded("data_policy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_that_nobody_meets_is_told_with_whose_it_is() {
        for (member, words) in [
            ("key.zdr", "This API key demands 'zdr'"),
            ("plan.data_collection", "The plan of this account demands 'data_collection'"),
            ("plan.regions", "its regions"),
        ] {
            let error = unmet("auto", member);
            assert_eq!((error.kind, error.field.as_deref()), (Kind::Forbidden, Some(member)));
            assert!(error.public.contains(words), "{}", error.public);
        }
    }
}
