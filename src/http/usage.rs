//! What was used: our own reports, and OpenAI's for organizations.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Worker, arrival, respond, visit};
use crate::base::calendar::{self, MINUTE_MS};
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::ledger::head::Head;
use crate::ledger::report::GroupBy;
use crate::reports::request as told_request;
use crate::reports::requests::{self, Search};
use crate::reports::usage::{self, Buckets, Kinds, Query, Waits};
use crate::wire::vocab::Dialect;

const SURFACE: Dialect = Dialect::OpenAiChat;

/// The query, taken apart once: a name may come several times.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(request: &HttpRequest) -> Result<Self, Error> {
        let wrong = |why| Error::new(Kind::Malformed, format!("The query cannot be read: {why}."));
        web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map(|query| Self(query.into_inner()))
            .map_err(wrong)
    }

    fn one(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `name=a&name=b`, `name[]=a`, or `name=a,b`.
    fn all(&self, name: &str) -> Vec<String> {
        let named = |known: &str| known.strip_suffix("[]").unwrap_or(known) == name;
        let values = self.0.iter().filter(|(known, _)| named(known));
        values.flat_map(|(_, value)| value.split(',').map(str::to_owned)).collect()
    }

    fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        let wrong = || {
            let text = format!("'{name}' must be a date, a time or seconds since the epoch.");
            Error::new(Kind::Malformed, text).at(name)
        };
        self.one(name).map(|text| calendar::read(text).ok_or_else(wrong)).transpose()
    }
}

fn refuse(error: &Error) -> HttpResponse {
    respond::refused(&RequestId::fresh(), SURFACE, error, 0)
}

/// `GET /v1/usage`
pub async fn report(app: Worker, request: HttpRequest) -> HttpResponse {
    let reporting = async {
        let caller = arrival::identified(&app, &request).await?;
        let parameters = Parameters::of(&request)?;
        let group = parameters
            .one("group_by")
            .map(|name| {
                GroupBy::named(name).ok_or_else(|| {
                    let text = "'group_by' is model, key, provider, tier, day or hour.";
                    Error::new(Kind::Malformed, text).at("group_by")
                })
            })
            .transpose()?;
        let query = Query {
            start: parameters.time("start")?,
            end: parameters.time("end")?,
            group,
            baseline: parameters.one("baseline").map(str::to_owned),
            account: parameters.one("account").map(str::to_owned),
            bare: parameters.0.is_empty(),
            waits: Waits::ForAll,
        };
        let report = usage::usage(&app, &caller, query).await?;
        Ok::<_, Error>((report, parameters.one("format") == Some("csv")))
    };
    match reporting.await {
        Ok((report, true)) => {
            let lines = report.rows.iter().map(|row| {
                let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
                cells.join(",") + "\r\n"
            });
            let text: String = lines.collect();
            HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(text)
        }
        Ok((report, false)) => respond::told(&visit::id(&request), SURFACE, &report.told),
        Err(error) => refuse(&error),
    }
}

/// A cell of a CSV file (RFC 4180). What a spreadsheet would take for a formula is text.
#[must_use]
pub fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '@', '\t']);
    if formula || cell.contains([',', '"', '\n', '\r']) {
        let guard = if formula { "'" } else { "" };
        return format!("\"{guard}{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

/// Requests, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Requests")]
pub(in crate::http) struct FoundRequests {
    object: &'static str,
    data: Vec<Head>,
    /// Where to go on, if there may be more.
    next: Option<String>,
    looked_back_to: String,
}

/// `GET /v1/requests`, newest first
pub async fn requests(app: Worker, request: HttpRequest) -> HttpResponse {
    let looking = async {
        let caller = app.shared.identities.identify(arrival::credential(&request)).await?;
        let parameters = Parameters::of(&request)?;
        let text = |name: &str| parameters.one(name).map(str::to_owned);
        let search = Search {
            start: parameters.time("start")?,
            end: parameters.time("end")?,
            key: text("key"),
            model: text("model"),
            provider: text("provider"),
            status: text("status"),
            after: text("after"),
            limit: parameters.one("limit").and_then(|limit| limit.parse().ok()),
        };
        let found = requests::list(&app, &caller, &search).await?;
        Ok(FoundRequests {
            object: "list",
            data: found.heads,
            next: found.next,
            looked_back_to: calendar::written(found.looked_back_to),
        })
    };
    answer(looking.await)
}

/// `GET /v1/requests/{id}`
pub async fn request(app: Worker, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    let looking = async {
        let caller = arrival::identified(&app, &request).await?;
        told_request::request(&app, &caller, &id).await
    };
    answer(looking.await)
}

fn answer<A: Serialize>(outcome: Result<A, Error>) -> HttpResponse {
    match outcome {
        Ok(told) => respond::told(&RequestId::fresh(), SURFACE, &told),
        Err(error) => refuse(&error),
    }
}

/// `GET /v1/organization/usage/completions`
pub async fn completions(app: Worker, request: HttpRequest) -> HttpResponse {
    buckets(&app, &request, Kinds::Completions).await
}

/// `GET /v1/organization/usage/embeddings`
pub async fn embeddings(app: Worker, request: HttpRequest) -> HttpResponse {
    buckets(&app, &request, Kinds::Embeddings).await
}

/// `GET /v1/organization/usage/images`
pub async fn images(app: Worker, request: HttpRequest) -> HttpResponse {
    buckets(&app, &request, Kinds::Images).await
}

/// `GET /v1/organization/costs`
pub async fn costs(app: Worker, request: HttpRequest) -> HttpResponse {
    buckets(&app, &request, Kinds::Costs).await
}

async fn buckets(app: &Worker, request: &HttpRequest, kind: Kinds) -> HttpResponse {
    let counting = async {
        let caller = arrival::identified(app, request).await?;
        let parameters = Parameters::of(request)?;
        let (width, usual, most) = match parameters.one("bucket_width") {
            Some("1m") if kind != Kinds::Costs => (MINUTE_MS, 60, 1_440),
            Some("1h") if kind != Kinds::Costs => (60 * MINUTE_MS, 24, 168),
            Some("1d") | None => {
                (1_440 * MINUTE_MS, 7, if kind == Kinds::Costs { 180 } else { 31 })
            }
            Some(_) => {
                let text = "'bucket_width' is 1m, 1h or 1d; costs come by the day.";
                return Err(Error::new(Kind::Malformed, text).at("bucket_width"));
            }
        };
        let start = parameters.time("start_time")?.ok_or_else(|| {
            Error::new(Kind::Malformed, "Missing required parameter: 'start_time'.")
                .at("start_time")
                .coded("missing_required_parameter")
        })?;
        let limit = parameters.one("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usual);
        let groups = parameters.all("group_by");
        let by = |name: &str| groups.iter().any(|group| group == name);
        let page = parameters.one("page").and_then(|page| page.strip_prefix("page_"));
        let query = Buckets {
            kind,
            start,
            end: parameters.time("end_time")?,
            width,
            limit: limit.clamp(1, most),
            page: page
                .and_then(|page| page.parse().ok())
                .map(Timestamp)
                .filter(|at| calendar::is_in_range(*at)),
            by_model: by("model") || by("line_item"),
            by_key: by("api_key_id"),
            by_account: by("project_id"),
            models: parameters.all("models"),
            keys: parameters.all("api_key_ids"),
            accounts: parameters.all("project_ids"),
        };
        usage::buckets(app, &caller, query).await
    };
    answer(counting.await)
}
