//! Switches, as a caller sees and sets them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::CallerStore;
use crate::admit::features::{Source, checked};
use crate::admit::{Caller, Feature, Features, Identities, Scope, users};
use crate::base::ids::AuditId;
use crate::base::{Error, Kind};
use crate::store::{Audit, FeatureRow};

/// How a switch is to stand.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FeatureWish")]
pub struct FeatureChange {
    /// The other way round, if not given.
    pub enabled: Option<bool>,
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// How a switch stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Feature")]
pub struct ShownFeature {
    pub id: &'static str,
    object: &'static str,
    pub name: &'static str,
    scope: &'static str,
    pub description: &'static str,
    pub default: bool,
    pub enabled: bool,
    /// Who said so last.
    pub source: Source,
    pub settings: FeatureSettings,
    /// The user of whom it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
}

/// What of a switch can be set beside its place; a switch has those that mean something to it.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct FeatureSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u64>,
    /// Cosine, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_budget: Option<u64>,
}

fn shown(feature: Feature, features: &Features) -> ShownFeature {
    let (at, none) = (&features.settings, FeatureSettings::default());
    let settings = match feature {
        Feature::ResponseCache => FeatureSettings { ttl_seconds: Some(at.cache_seconds), ..none },
        Feature::SemanticCache => FeatureSettings {
            ttl_seconds: Some(at.semantic_seconds),
            threshold: Some(at.semantic_threshold),
            ..none
        },
        Feature::Memory => FeatureSettings { token_budget: Some(at.memory_tokens), ..none },
        _ => none,
    };
    ShownFeature {
        id: feature.as_str(),
        object: "feature",
        name: feature.name(),
        scope: "user",
        description: feature.description(),
        default: feature.default_on(),
        enabled: features.has(feature),
        source: features.source(feature),
        settings,
        user_id: None,
    }
}

/// How all of them stand for the caller.
///
/// # Errors
/// [`Kind::Forbidden`] for a key that is not for the platform.
pub fn list(caller: &Caller) -> Result<Vec<ShownFeature>, Error> {
    caller.must_be_for(Scope::Platform)?;
    Ok(Feature::ALL.into_iter().map(|feature| shown(feature, &caller.features)).collect())
}

/// How all of them stand for a user, and who that is.
///
/// # Errors
/// As [`list`], and for a user for whom the caller may not act.
pub async fn of_user(
    identities: &Identities,
    caller: &Caller,
    user: &str,
) -> Result<(String, Vec<ShownFeature>), Error> {
    caller.must_be_for(Scope::Platform)?;
    let user = users::named(identities, caller, Some(user)).await?;
    let features = identities.features_of(caller, user).await?;
    let all = Feature::ALL.into_iter().map(|feature| shown(feature, &features)).collect();
    Ok((user.to_owned(), all))
}

/// Sets a switch of a user, or of the account where its own id is named.
///
/// # Errors
/// [`Kind::NotFound`] for a feature that there is not, [`Kind::Malformed`] for settings that it does not
/// have; as [`of_user`].
pub async fn set(
    kept: CallerStore<'_>,
    identities: &Identities,
    caller: &Caller,
    user: &str,
    name: &str,
    wish: FeatureChange,
) -> Result<ShownFeature, Error> {
    caller.must_be_for(Scope::Platform)?;
    let user = users::named(identities, caller, Some(user)).await?;
    let feature = Feature::parse(name).ok_or_else(|| {
        let name: String = name.chars().take(80).collect();
        Error::new(Kind::NotFound, format!("There is no feature '{name}'."))
            .coded("feature_not_found")
    })?;
    checked(feature, &wish.settings)?;
    let of_account = user == caller.account.as_str();
    if of_account {
        caller.person.must_run_the_account()?;
    }
    let before = identities.features_of(caller, user).await?;
    let enabled = wish.enabled.unwrap_or(!before.has(feature));
    let row = FeatureRow {
        user: if of_account { String::new() } else { user.to_owned() },
        feature: feature.as_str().to_owned(),
        enabled,
        settings: Value::Object(wish.settings).to_string(),
    };
    let now = kept.clock.now();
    let set = kept.store.set_feature(caller.account.clone(), row, now).await;
    set.map_err(Error::internal)?;
    identities.forget(&caller.account);
    let audit = Audit {
        id: AuditId::fresh(),
        at: now,
        actor: caller.key.as_str().to_owned(),
        action: "feature.set".to_owned(),
        target: caller.account.as_str().to_owned(),
        detail: json!({"feature": feature.as_str(), "enabled": enabled}).to_string(),
    };
    kept.store.log_audit(audit).await.map_err(Error::internal)?;
    let rows = kept.store.features(caller.account.clone(), user.to_owned()).await;
    let rows = rows.map_err(Error::internal)?;
    let features = Features::of(caller.plan.entry.features.as_ref(), &rows);
    Ok(ShownFeature { user_id: Some(user.to_owned()), ..shown(feature, &features) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::Role;
    use crate::admit::fixture::Accounts;

    async fn wish(
        all: &Accounts,
        caller: &Caller,
        user: &str,
        name: &str,
        wish: Value,
    ) -> Result<ShownFeature, Error> {
        let kept = CallerStore { store: &all.store, clock: all.clock };
        set(kept, &all.identities, caller, user, name, serde_json::from_value(wish).unwrap()).await
    }

    /// How a switch stands for a user.
    async fn stands(all: &Accounts, caller: &Caller, user: &str, feature: Feature) -> bool {
        let (_, told) = of_user(&all.identities, caller, user).await.unwrap();
        told.iter().find(|one| one.id == feature.as_str()).unwrap().enabled
    }

    #[tokio::test]
    async fn a_switch_of_the_account_holds_for_its_users_and_a_users_own_comes_first() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let (owner, stranger) = (all.owner(&account).await, all.owner(&other).await);
        let memory = Feature::Memory;
        // What is known of them is forgotten where it changes.
        for user in ["u1", "u2"] {
            assert!(!stands(&all, &owner, user, memory).await);
        }
        let told = wish(&all, &owner, account.as_str(), "memory", json!({})).await.unwrap();
        assert!(told.enabled, "the other way round, where nothing is said");
        assert!(stands(&all, &owner, "u1", memory).await);
        let told = wish(&all, &owner, "u1", "memory", json!({"enabled": false})).await.unwrap();
        assert_eq!((told.enabled, told.user_id.as_deref()), (false, Some("u1")));
        assert!(!stands(&all, &owner, "u1", memory).await);
        assert!(stands(&all, &owner, "u2", memory).await, "another user is as the account has it");
        assert!(!stands(&all, &stranger, "u2", memory).await, "another account has its own users");
        let logged = all.store.audits(None, 10).await.unwrap();
        assert!(logged.iter().all(|one| one.action == "feature.set"
            && one.target == account.as_str()
            && one.actor == owner.key.as_str()));
        assert_eq!(logged.len(), 2);
    }

    #[tokio::test]
    async fn a_member_sets_their_own_switches_and_nobody_elses() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        let caller = all.caller(&ann).await;
        for other in [account.as_str(), "somebody"] {
            let refused = wish(&all, &caller, other, "memory", json!({})).await.unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("other_user"), "{other}");
            let refused = of_user(&all.identities, &caller, other).await.map(|_| ()).unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("other_user"), "{other}");
        }
        assert!(wish(&all, &caller, &ann.id, "memory", json!({})).await.unwrap().enabled);
        assert!(all.caller(&ann).await.features.has(Feature::Memory), "from the next request on");
    }

    #[tokio::test]
    async fn what_is_no_switch_or_no_setting_of_it_changes_nothing() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let owner = all.owner(&account).await;
        let refused = wish(&all, &owner, "u1", "telepathy", json!({})).await.unwrap_err();
        assert_eq!(refused.kind, Kind::NotFound);
        assert_eq!(refused.code.as_deref(), Some("feature_not_found"));
        for settings in [json!({"threshold": 0.9}), json!({"ttl_seconds": "long"})] {
            let body = json!({"enabled": true, "settings": settings});
            let refused = wish(&all, &owner, "u1", "response_cache", body).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Malformed, "{settings}");
        }
        assert!(all.store.features(account, "u1".to_owned()).await.unwrap().is_empty());
        assert!(all.store.audits(None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_switch_tells_the_settings_that_mean_something_to_it() {
        let all = Accounts::new().await;
        let owner = all.owner(&all.open("acme").await).await;
        let body = json!({"settings": {"ttl_seconds": 90}});
        let told = wish(&all, &owner, "u1", "response_cache", body).await.unwrap();
        assert_eq!(serde_json::to_value(&told.settings).unwrap(), json!({"ttl_seconds": 90}));
        let settings = |told: &[ShownFeature], feature: Feature| {
            let one = told.iter().find(|one| one.id == feature.as_str()).unwrap();
            let Value::Object(settings) = serde_json::to_value(&one.settings).unwrap() else {
                panic!("settings are an object")
            };
            settings.keys().cloned().collect::<Vec<_>>()
        };
        let told = list(&owner).unwrap();
        assert_eq!(told.len(), Feature::ALL.len());
        assert_eq!(settings(&told, Feature::SemanticCache), ["ttl_seconds", "threshold"]);
        assert_eq!(settings(&told, Feature::Memory), ["token_budget"]);
        assert!(settings(&told, Feature::Connect).is_empty());
    }
}
