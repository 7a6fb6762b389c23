//! `/console/features`: switches, and who last said how they stand.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::figures::{as_json, text};
use super::parts::{field, notice};
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::stored::features::{self, FeatureChange};

const SETTINGS: [(&str, &str, &str); 4] = [
    ("response_cache", "ttl_seconds", "Seconds that an answer is given again"),
    ("semantic_cache", "ttl_seconds", "Seconds that an answer is given again"),
    ("semantic_cache", "threshold", "How alike, from 0.5 to 1"),
    ("memory", "token_budget", "Tokens that memories may add"),
];

fn said_by(source: &str) -> &'static str {
    match source {
        "plan" => "as your plan says",
        "account" => "as your account says",
        "user" => "as you say",
        _ => "as usual",
    }
}

/// A setting as people write it: what is kept as a float has more digits than anybody gave it.
fn written(value: &Value) -> String {
    match (value.as_i64(), value.as_f64()) {
        (None, Some(number)) => {
            let text = format!("{number:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => value.to_string(),
    }
}

fn card(visit: &Visit, who: &Who, one: &Value) -> Markup {
    let id = text(one, "id");
    let on = one["enabled"] == json!(true);
    let runs = who.caller.person.must_run_the_account().is_ok();
    html! {
        section class="card" {
            div class="head" {
                h2 { (text(one, "name")) }
                span class=(if on { "tag good" } else { "tag" }) { @if on { "on" } @else { "off" } }
            }
            p { (text(one, "description")) }
            p class="dim small" { (said_by(text(one, "source"))) }
            form method="post" action=(format!("/console/features/{id}")) {
                (visit.hidden())
                input type="hidden" name="enabled" value=(if on { "no" } else { "yes" });
                @for (_, name, label) in SETTINGS.iter().filter(|(feature, _, _)| *feature == id) {
                    @let at = format!("{id}-{name}");
                    (field(&at, label, html! {
                        input id=(at) name=(name) inputmode="decimal" maxlength="10" value=(written(&one["settings"][*name]));
                    }, None))
                }
                p class="buttons" {
                    button name="for" value="me" { @if on { "Turn off for me" } @else { "Turn on for me" } }
                    @if runs { button name="for" value="account" class="quiet" { @if on { "Off for everybody" } @else { "On for everybody" } } }
                }
            }
        }
    }
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let all = as_json(&features::list(&who.caller)?)?;
    let done = visit
        .query
        .has("done", "set")
        .then_some("The switch was set. It holds within a second, everywhere.");
    let body = html! {
        h1 { "Features" }
        p class="lede" { "What you say comes before what your account says, and that before what your plan says." }
        (notice(done))
        div class="two" { @for one in all.as_array().into_iter().flatten() { (card(visit, who, one)) } }
    };
    Ok(Sheet::new("Features", body).by_api(Call::get("/v1/features")).into())
}

/// `GET /console/features`
pub async fn features(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}

/// `POST /console/features/{feature}`
pub async fn set(
    app: Worker,
    request: HttpRequest,
    name: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let user = if form.has("for", "account") {
            who.session.account.as_str()
        } else {
            who.caller.person.id.as_str()
        };
        let mut settings = Map::new();
        for (_, setting, _) in SETTINGS.iter().filter(|(feature, _, _)| *feature == name.as_str()) {
            let Some(text) = form.given(setting) else { continue };
            let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
            let number = number.ok_or_else(|| {
                Error::new(Kind::Malformed, format!("'{setting}' has to be a number."))
            })?;
            settings.insert((*setting).to_owned(), number);
        }
        let wish = FeatureChange { enabled: Some(form.has("enabled", "yes")), settings };
        features::set(
            visit.app.kept(),
            &visit.app.shared.identities,
            &who.caller,
            user,
            &name,
            wish,
        )
        .await?;
        Ok(go("/console/features?done=set"))
    })
    .await
}
