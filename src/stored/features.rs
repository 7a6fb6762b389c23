//! Switches, as a caller sees and sets them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admit::features::checked;
use crate::admit::{Caller, Feature, Features, Scope, users};
use crate::base::ids::AuditId;
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::store::{Audit, FeatureRow};

/// How a switch is to stand.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The other way round, if not given.
    pub enabled: Option<bool>,
    #[serde(default)]
    pub settings: Map<String, Value>,
}

fn shown(feature: Feature, features: &Features) -> Value {
    let at = &features.settings;
    let settings = match feature {
        Feature::ResponseCache => json!({"ttl_seconds": at.cache_seconds}),
        Feature::SemanticCache => {
            json!({"ttl_seconds": at.semantic_seconds, "threshold": at.semantic_threshold})
        }
        Feature::Memory => json!({"token_budget": at.memory_tokens}),
        _ => json!({}),
    };
    json!({
        "id": feature.as_str(),
        "object": "feature",
        "name": feature.name(),
        "scope": "user",
        "description": feature.description(),
        "default": feature.default_on(),
        "enabled": features.has(feature),
        "source": features.source(feature),
        "settings": settings,
    })
}

/// How all of them stand for the caller.
///
/// # Errors
/// [`Kind::Forbidden`] for a key that is not for the platform.
pub fn list(caller: &Caller) -> Result<Vec<Value>, Error> {
    caller.must_be_for(Scope::Platform)?;
    Ok(Feature::ALL.into_iter().map(|feature| shown(feature, &caller.features)).collect())
}

/// How all of them stand for a user, and who that is.
///
/// # Errors
/// As [`list`], and for a user for whom the caller may not act.
pub async fn of_user(
    app: &App,
    caller: &Caller,
    user: &str,
) -> Result<(String, Vec<Value>), Error> {
    caller.must_be_for(Scope::Platform)?;
    let user = users::named(&app.shared.identities, caller, Some(user)).await?;
    let features = app.shared.identities.features_of(caller, user).await?;
    let all = Feature::ALL.into_iter().map(|feature| shown(feature, &features)).collect();
    Ok((user.to_owned(), all))
}

/// Sets a switch of a user, or of the account where its own id is named.
///
/// # Errors
/// [`Kind::NotFound`] for a feature that there is not, [`Kind::Malformed`] for settings that it does not
/// have; as [`of_user`].
pub async fn set(
    app: &App,
    caller: &Caller,
    user: &str,
    name: &str,
    wish: Wish,
) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let user = users::named(&app.shared.identities, caller, Some(user)).await?;
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
    let before = app.shared.identities.features_of(caller, user).await?;
    let enabled = wish.enabled.unwrap_or(!before.has(feature));
    let row = FeatureRow {
        user: if of_account { String::new() } else { user.to_owned() },
        feature: feature.as_str().to_owned(),
        enabled,
        settings: Value::Object(wish.settings).to_string(),
    };
    let (shared, now) = (&app.shared, app.shared.clock.now());
    let set = shared.store.set_feature(caller.account.clone(), row, now).await;
    set.map_err(Error::internal)?;
    shared.identities.forget(&caller.account);
    let audit = Audit {
        id: AuditId::fresh(),
        at: now,
        actor: caller.key.as_str().to_owned(),
        action: "feature.set".to_owned(),
        target: caller.account.as_str().to_owned(),
        detail: json!({"feature": feature.as_str(), "enabled": enabled}).to_string(),
    };
    shared.store.log_audit(audit).await.map_err(Error::internal)?;
    let rows = shared.store.features(caller.account.clone(), user.to_owned()).await;
    let rows = rows.map_err(Error::internal)?;
    let features = Features::of(caller.plan.entry.features.as_ref(), &rows);
    let mut told = shown(feature, &features);
    told["user_id"] = Value::from(user);
    Ok(told)
}
