//! What is said of providers, models, routes, prices and plans at run time, and the revisions that it is in.

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::act::{act, act_on};
use crate::administration::change::{ChangeOptions, ChangeResult};
use crate::administration::revisions::shown;
use crate::base::told::List;
use crate::base::{Error, Kind};
use crate::catalogue::SettingKind;
use crate::catalogue::diff::Changes;
use crate::http::Worker;
use crate::router::Replay;

/// The same, as the query of a request says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct ChangeQuery {
    dry_run: Option<String>,
    reason: String,
}

impl ChangeQuery {
    pub(super) fn manner(&self) -> Result<ChangeOptions, Error> {
        let dry_run = match self.dry_run.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                let text = "'dry_run' is 'true' or 'false'.";
                return Err(Error::new(Kind::Malformed, text).at("dry_run"));
            }
        };
        Ok(ChangeOptions { dry_run, reason: self.reason.clone() })
    }
}

/// What is said of one thing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
pub(in crate::http) struct ShownSetting {
    name: String,
    object: &'static str,
    /// As a table of the configuration has it.
    said: Value,
}

/// All that is said of a sort, and the revision in which it is.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Settings {
    object: &'static str,
    data: Vec<ShownSetting>,
    revision: i64,
}

/// What came of saying something, or of taking it back.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SettingCame")]
pub(in crate::http) struct SettingChanged {
    name: String,
    object: &'static str,
    said: Option<Value>,
    /// The revision that holds now; none where nothing was changed.
    revision: Option<i64>,
    dry_run: bool,
    changes: Changes,
    /// What would have been different for recent requests of `auto`.
    replay: Option<Replay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
}

/// What came of letting an earlier revision hold again.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Restored {
    object: &'static str,
    revision: Option<i64>,
    dry_run: bool,
    changes: Changes,
    replay: Option<Replay>,
}

fn told(sort: SettingKind, name: &str, came: ChangeResult) -> SettingChanged {
    SettingChanged {
        name: name.to_owned(),
        object: sort.as_str(),
        said: came.said,
        revision: came.revision,
        dry_run: came.revision.is_none(),
        changes: came.changes,
        replay: came.replay,
        deleted: None,
    }
}

async fn all(app: &Worker, request: &HttpRequest, sort: SettingKind) -> HttpResponse {
    act(app, request, async |administration| {
        let (revision, all) = administration.settings(sort).await?;
        let one = |(name, said)| ShownSetting { name, object: sort.as_str(), said };
        Ok(Settings { object: "list", data: all.into_iter().map(one).collect(), revision })
    })
    .await
}

async fn one(app: &Worker, request: &HttpRequest, sort: SettingKind, name: &str) -> HttpResponse {
    act(app, request, async |administration| {
        let said = administration.setting(sort, name).await?;
        Ok(ShownSetting { name: name.to_owned(), object: sort.as_str(), said })
    })
    .await
}

async fn put(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    (sort, name): (SettingKind, &str),
    asked: &ChangeQuery,
) -> HttpResponse {
    act_on(app, request, payload, async |administration, said: Value| {
        let came = administration.set(sort, name, Some(said), &asked.manner()?).await?;
        Ok(told(sort, name, came))
    })
    .await
}

async fn take_back(
    app: &Worker,
    request: &HttpRequest,
    (sort, name): (SettingKind, &str),
    asked: &ChangeQuery,
) -> HttpResponse {
    act(app, request, async |administration| {
        let came = administration.set(sort, name, None, &asked.manner()?).await?;
        let deleted = Some(asked.dry_run.as_deref() != Some("true"));
        Ok(SettingChanged { deleted, ..told(sort, name, came) })
    })
    .await
}

/// The four handlers of a sort.
macro_rules! handlers {
    ($room:ident, $sort:expr) => {
        pub(super) mod $room {
            use super::*;

            pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
                all(&app, &request, $sort).await
            }

            pub async fn get(
                app: Worker,
                request: HttpRequest,
                name: Path<String>,
            ) -> HttpResponse {
                one(&app, &request, $sort, &name).await
            }

            pub async fn put(
                app: Worker,
                request: HttpRequest,
                name: Path<String>,
                asked: Query<ChangeQuery>,
                payload: Payload,
            ) -> HttpResponse {
                super::put(&app, &request, payload, ($sort, &name), &asked).await
            }

            pub async fn drop(
                app: Worker,
                request: HttpRequest,
                name: Path<String>,
                asked: Query<ChangeQuery>,
            ) -> HttpResponse {
                take_back(&app, &request, ($sort, &name), &asked).await
            }
        }
    };
}

handlers!(providers, SettingKind::Provider);
handlers!(models, SettingKind::Model);
handlers!(routes, SettingKind::Route);
handlers!(prices, SettingKind::Price);

/// `GET /v1/admin/revisions`, newest first
pub async fn revisions(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |administration| {
        Ok(List::of(administration.revisions().await?.iter().map(shown).collect()))
    })
    .await
}

/// `POST /v1/admin/revisions/{id}/restore`
pub async fn restore(
    app: Worker,
    request: HttpRequest,
    id: Path<i64>,
    asked: Query<ChangeQuery>,
) -> HttpResponse {
    act(&app, &request, async |administration| {
        let came = administration.restore(*id, &asked.manner()?).await?;
        Ok(Restored {
            object: "revision",
            revision: came.revision,
            dry_run: came.revision.is_none(),
            changes: came.changes,
            replay: came.replay,
        })
    })
    .await
}
