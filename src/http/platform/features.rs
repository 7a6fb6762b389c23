//! `/v1/features`: how switches stand, and setting them.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::act::{act, act_on};
use crate::base::told::{List, OfUser};
use crate::http::Worker;
use crate::stored::features::{self, FeatureChange};

/// `GET /v1/features`
pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |caller| Ok(List::of(features::list(&caller)?))).await
}

/// `GET /v1/features/{user}`
pub async fn of_user(app: Worker, request: HttpRequest, user: Path<String>) -> HttpResponse {
    act(&app, &request, async |caller| {
        let (user, all) = features::of_user(&app.shared.identities, &caller, &user).await?;
        Ok(OfUser::new(user, all))
    })
    .await
}

/// `POST /v1/features/{user}/{feature}`: `{"enabled": true, "settings": {…}}`, or nothing, which
/// turns it the other way
pub async fn set(
    app: Worker,
    request: HttpRequest,
    at: Path<(String, String)>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |caller, wish: FeatureChange| {
        features::set(app.kept(), &app.shared.identities, &caller, &at.0, &at.1, wish).await
    })
    .await
}
