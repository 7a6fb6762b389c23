//! `/console/connect`: apps whose tools models may use, and whose accounts there.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::call::Call;
use super::figures::{as_json, list, minute, text, whole};
use super::parts::{field, notice};
use super::path::encoded;
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::apps;
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::http::Worker;

fn app_card(visit: &Visit, one: &Value, connected: bool) -> Markup {
    let id = text(one, "id");
    let auth = text(one, "auth");
    html! {
        section class="card" {
            div class="head" {
                h2 { (text(one, "name")) }
                @if connected { span class="tag good" { "connected" } } @else if auth == "none" { span class="tag" { "needs no account" } } @else { span class="tag" { "not connected" } }
            }
            p { (text(one, "description")) }
            @if auth != "none" {
                form method="post" action=(format!("/console/connect/{}", encoded(id))) {
                    (visit.hidden())
                    @if auth != "oauth" && auth != "oauth2" {
                        @let at = format!("token-{id}");
                        (field(&at, "Token", html! { input id=(at) name="password" type="password" autocomplete="off" required maxlength="8000"; }, Some("It is sealed, and never shown again.")))
                    }
                    button class=(if connected { "" } else { "primary" }) { @if connected { "Connect another account" } @else { "Connect" } }
                }
            }
        }
    }
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let app = &visit.app;
    let listed = as_json(&apps::apps(&app.shared.connections, &who.caller)?)?;
    let accounts = as_json(&apps::accounts(&app.shared.connections, &who.caller).await?)?;
    let mut events = apps::events(&app.shared.connections, &who.caller, "").await?;
    events.reverse();
    let connected = |id: &str| list(&accounts, "data").iter().any(|one| text(one, "app") == id);
    let done = match visit.query.text("done") {
        "connected" => Some("The app is connected."),
        "disconnected" => Some("The app is disconnected, and the credential is gone."),
        _ => None,
    };
    let body = html! {
        h1 { "Connect" }
        p class="lede" { "Apps whose tools agents and models may use in your name." }
        (notice(done))
        @if app.shared.connections.vault.is_none() { p class="alert warn" { "This gateway has no vault key, so no credential can be kept. Its administrator sets OPTIMUX_VAULT_KEY." } }
        @if list(&listed, "data").is_empty() {
            p class="card empty" { "No app is configured. The administrator of the gateway adds them, under [connect] in its configuration." }
        }
        div class="two" { @for one in list(&listed, "data") { (app_card(visit, one, connected(text(one, "id")))) } }
        @if !list(&accounts, "data").is_empty() {
            h2 { "Accounts" }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "App" } th scope="col" { "Account" } th scope="col" { "Whose" } th scope="col" { "Since" } th scope="col" { "Disconnect" } } }
                    tbody {
                        @for one in list(&accounts, "data") {
                            tr {
                                th scope="row" { (text(one, "app")) }
                                td data-name="Account" { (text(one, "name")) }
                                td data-name="Whose" { @if text(one, "user_id") == who.session.account.as_str() { "everybody's" } @else if text(one, "user_id") == who.caller.person.id { "yours" } @else { (text(one, "user_id")) } }
                                td data-name="Since" { (minute(Timestamp(whole(one, "created_at").saturating_mul(1000)))) }
                                td data-name="Disconnect" {
                                    form method="post" action=(format!("/console/connect/accounts/{}/disconnect", encoded(text(one, "id")))) { (visit.hidden()) button class="quiet danger" { "Disconnect" } }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if !events.is_empty() {
            h2 { "What happened" }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "How" } } }
                    tbody { @for one in events.iter().take(50) { tr { th scope="row" { (minute(Timestamp(whole(one, "created_at").saturating_mul(1000)))) } td data-name="What" { (text(one, "type")) } td data-name="How" class="mono small" { code { (one.get("data").map(Value::to_string).unwrap_or_default().chars().take(200).collect::<String>()) } } } } }
                }
            }
        }
    };
    let sheet = Sheet::new("Connect", body).by_api(Call::get("/v1/connect/apps"));
    Ok(sheet.by_api(Call::get("/v1/connect/accounts")).into())
}

/// `GET /console/connect`
pub async fn apps(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}

/// `POST /console/connect/{app}`
pub async fn connect(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        use secrecy::ExposeSecret as _;
        let token = form.secret("password");
        let mut new = json!({"app": *id});
        if !token.expose_secret().is_empty() {
            new["credentials"] = json!({"token": token.expose_secret()});
        }
        let new = serde_json::from_value(new)
            .map_err(|why| Error::new(Kind::Malformed, format!("That cannot be read: {why}.")))?;
        let connections = &visit.app.shared.connections;
        let told = as_json(&apps::connect(connections, &who.caller, new, &visit.home).await?)?;
        let leads = ["authorization_url", "url", "redirect_url"].iter().map(|name| text(&told, name));
        let leads = leads.into_iter().find(|url| url.starts_with("https://") || url.starts_with(&visit.home));
        let Some(url) = leads else { return Ok(go("/console/connect?done=connected")) };
        let body = html! {
            h1 { "Go on at the app" }
            p class="lede" { "There you say that this gateway may act for you. You come back here afterwards." }
            p class="buttons" { a class="button primary" href=(url) rel="noreferrer" { "Go on" } a class="button" href="/console/connect" { "Leave it" } }
        };
        Ok::<Answer, Error>(Sheet::new("Go on at the app", body).into())
    })
    .await
}

/// `POST /console/connect/accounts/{id}/disconnect`
pub async fn disconnect(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        apps::disconnect(&visit.app.shared.connections, &who.caller, &id).await?;
        Ok(go("/console/connect?done=disconnected"))
    })
    .await
}
