//! Switches, as a caller sees and sets them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Kept;
use crate::admit::features::{Source, checked};
use crate::admit::{Caller, Feature, Features, Identities, Scope, users};
use crate::base::ids::AuditId;
use crate::base::{Error, Kind};
use crate::store::{Audit, FeatureRow};

/// How a switch is to stand.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FeatureWish")]
pub struct Wish {
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
    kept: Kept<'_>,
    identities: &Identities,
    caller: &Caller,
    user: &str,
    name: &str,
    wish: Wish,
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
