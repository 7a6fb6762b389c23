//! `/console/agents`: instructions and tools under a name.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::figures::{as_json, list, minute, text, whole};
use super::form::Form;
use super::parts::{field, notice, snippet, summary};
use super::path::encoded;
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::admit::Scope;
use crate::agents::Named;
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::platform::agents::Agent;
use crate::stored::agents;

/// `GET /console/agents`
pub async fn agents(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        let after = visit.query.given("after").map(str::to_owned);
        let told = as_json(&agents::list(visit.app.kept(), &who.caller, after.clone(), Some(50)).await?)?;
        let done = match visit.query.text("done") {
            "saved" => Some("The agent was saved."),
            "deleted" => Some("The agent is gone."),
            _ => None,
        };
        let body = html! {
            div class="head" { h1 { "Agents" } a class="button primary" href="/console/agents/new" { "Make one" } }
            (notice(done))
            @if list(&told, "data").is_empty() {
                div class="card empty" {
                    p { "No agent yet. An agent is a model with instructions and tools of yours: programs ask it by " code { "agent:ID" } " in the place of a model." }
                    a class="button primary" href="/console/agents/new" { "Make your first agent" }
                }
            } @else {
                div class="scroll" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Model" } th scope="col" class="n" { "Tools" } th scope="col" class="n" { "Version" } th scope="col" { "Changed" } } }
                        tbody {
                            @for one in list(&told, "data") {
                                tr {
                                    th scope="row" { a href=(format!("/console/agents/{}", encoded(text(one, "id")))) { (text(one, "name")) } }
                                    td data-name="Model" { (text(one, "model")) }
                                    td data-name="Tools" class="n" { (list(one, "tools").len()) }
                                    td data-name="Version" class="n" { (whole(one, "version")) }
                                    td data-name="Changed" { (minute(Timestamp(whole(one, "updated_at").saturating_mul(1000)))) }
                                }
                            }
                        }
                    }
                }
            }
            @if told["has_more"] == json!(true) { p class="buttons" { a class="button" href=(format!("/console/agents?after={}", encoded(text(&told, "last_id")))) { "More" } } }
        };
        Ok(Sheet::new("Agents", body).by_api(Call::get("/v1/agents").with("after", after)).into())
    })
    .await
}

/// The agent that a form describes.
fn described(form: &Form) -> Result<Agent, Error> {
    let wrong = |field: &'static str, text: String| Error::new(Kind::Malformed, text).at(field);
    let mut agent = Map::new();
    for name in ["name", "description", "instructions"] {
        agent.insert(name.to_owned(), json!(form.text(name)));
    }
    agent.insert("model".to_owned(), json!(form.given("model").unwrap_or("auto")));
    if let Some(text) = form.given("temperature") {
        let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
        let number =
            number.ok_or_else(|| wrong("temperature", "This has to be a number.".to_owned()))?;
        agent.insert("temperature".to_owned(), number);
    }
    if let Some(most) = form.whole("max_output_tokens")? {
        agent.insert("max_output_tokens".to_owned(), json!(most));
    }
    let tools: Value = match form.given("tools") {
        Some(text) => serde_json::from_str(text)
            .map_err(|why| wrong("tools", format!("The tools are not valid JSON: {why}.")))?,
        None => json!([]),
    };
    agent.insert("tools".to_owned(), tools);
    let mut limits = Map::new();
    for name in ["max_turns", "max_tokens"] {
        limits.extend(form.whole(name)?.map(|most| (name.to_owned(), json!(most))));
    }
    agent.insert("limits".to_owned(), Value::Object(limits));
    serde_json::from_value(Value::Object(agent))
        .map_err(|why| wrong("tools", format!("That is no agent: {why}.")))
}

/// The fields: what was typed, or else what is kept.
fn fields(form: Option<&Form>, kept: &Value) -> Markup {
    let said = |name: &str, at: &Value| match form {
        Some(form) => form.text(name).to_owned(),
        None => match at.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        },
    };
    let limits = kept.get("limits").cloned().unwrap_or_default();
    let tools = match form {
        Some(form) => form.text("tools").to_owned(),
        None => kept
            .get("tools")
            .filter(|tools| tools.as_array().is_some_and(|all| !all.is_empty()))
            .and_then(|tools| serde_json::to_string_pretty(tools).ok())
            .unwrap_or_default(),
    };
    let model = said("model", kept);
    html! {
        (field("name", "Name", html! { input id="name" name="name" required maxlength="200" value=(said("name", kept)); }, None))
        (field("description", "What it is for", html! { input id="description" name="description" maxlength="1000" value=(said("description", kept)); }, None))
        (field("instructions", "Instructions", html! { textarea id="instructions" name="instructions" maxlength="200000" { (said("instructions", kept)) } }, None))
        div class="row" {
            (field("model", "Model", html! { input id="model" name="model" maxlength="120" value=(if model.is_empty() { "auto" } else { &model }); }, None))
            (field("temperature", "Temperature", html! { input id="temperature" name="temperature" inputmode="decimal" maxlength="6" value=(said("temperature", kept)); }, None))
            (field("max_output_tokens", "Most tokens of a turn", html! { input id="max_output_tokens" name="max_output_tokens" inputmode="numeric" maxlength="8" value=(said("max_output_tokens", kept)); }, None))
        }
        div class="row" {
            (field("max_turns", "Most turns", html! { input id="max_turns" name="max_turns" inputmode="numeric" maxlength="4" value=(said("max_turns", &limits)); }, None))
            (field("max_tokens", "Most tokens of a run", html! { input id="max_tokens" name="max_tokens" inputmode="numeric" maxlength="12" value=(said("max_tokens", &limits)); }, None))
        }
        (field("tools", "Tools, as JSON", html! { textarea id="tools" name="tools" class="mono" maxlength="200000" placeholder="[{\"type\": \"memory\"}]" { (tools) } }, Some("A list: {\"type\": \"memory\"}, {\"type\": \"connect\", \"app\": \"…\"}, or functions as OpenAI writes them.")))
    }
}

fn asking(visit: &Visit, form: Option<&Form>, error: Option<&Error>) -> Sheet {
    let body = html! {
        h1 { "Make an agent" }
        (summary(error))
        form method="post" action="/console/agents/new" class="card" {
            (visit.hidden())
            (fields(form, &Value::Null))
            p class="buttons" { button class="primary" { "Make it" } a class="button" href="/console/agents" { "Leave it" } }
        }
    };
    let call = Call::of("POST", "/v1/agents").saying(json!({"name": "helper", "model": "auto"}));
    let sheet = Sheet::new("Make an agent", body).by_api(call);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /console/agents/new`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        who.caller.must_be_for(Scope::Platform)?;
        Ok(asking(visit, None, None).into())
    })
    .await
}

/// `POST /console/agents/new`
pub async fn create(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let creating =
            async { agents::create(visit.app.kept(), &who.caller, described(form)?).await };
        match creating.await {
            Ok(_) => Ok(go("/console/agents?done=saved")),
            Err(why) if why.kind == Kind::Malformed => {
                Ok::<Answer, Error>(asking(visit, Some(form), Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

fn shown(
    visit: &Visit,
    named: &Named,
    form: Option<&Form>,
    error: Option<&Error>,
) -> Result<Sheet, Error> {
    let kept = as_json(&named.shown())?;
    let stale = error.is_some_and(|error| error.kind == Kind::Stale);
    let id = named.id.as_str();
    let body = html! {
        div class="head" { h1 { (named.agent.name) } p class="dim" { "version " (named.version) } }
        (summary(error))
        div class=[stale.then_some("two")] {
            form method="post" action=(format!("/console/agents/{id}")) class="card" {
                (visit.hidden())
                input type="hidden" name="version" value=(named.etag());
                @if stale { h2 { "What you typed" } }
                (fields(form, &kept))
                p class="buttons" { button class="primary" { "Save" } a class="button" href="/console/agents" { "Leave it" } }
            }
            @if stale {
                section class="card" {
                    h2 { "As it is now" }
                    p { "Somebody saved it since you loaded it. Saving what you typed takes the place of this." }
                    (snippet("now", &serde_json::to_string_pretty(&kept).unwrap_or_default()))
                }
            }
        }
        section class="card" {
            h2 { "Ask it" }
            (snippet("ask", &super::samples::curl(&visit.home, "$KEY", &format!("agent:{id}"))))
        }
        p { a class="button danger" href=(format!("/console/agents/{id}/delete")) { "Delete it" } }
    };
    let sheet =
        Sheet::new(named.agent.name.clone(), body).by_api(Call::get(format!("/v1/agents/{id}")));
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /console/agents/{id}`
pub async fn agent(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who: &Who| {
        let named = agents::get(visit.app.kept(), &who.caller, &id).await?;
        Ok(shown(visit, &named, None, None)?.into())
    })
    .await
}

/// `POST /console/agents/{id}`
pub async fn change(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let seen = form.given("version");
        let changing = async {
            agents::change(visit.app.kept(), &who.caller, &id, described(form)?, seen).await
        };
        match changing.await {
            Ok(_) => Ok(go("/console/agents?done=saved")),
            Err(why) if matches!(why.kind, Kind::Malformed | Kind::Stale) => {
                let named = agents::get(visit.app.kept(), &who.caller, &id).await?;
                Ok::<Answer, Error>(shown(visit, &named, Some(form), Some(&why))?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// Asks for the name before an agent goes.
fn deleting(visit: &Visit, named: &Named, refused: Option<(&str, &Error)>) -> Sheet {
    let (typed, error) = refused.unzip();
    let (id, name) = (named.id.as_str(), named.agent.name.trim());
    let body = html! {
        h1 { "Delete " (name) }
        p class="lede" { "It cannot be undone: whoever asks for " code { "agent:" (id) } " is refused from then on. What it has said stays where it was kept." }
        (summary(error))
        form method="post" action=(visit.path) class="card narrow" {
            (visit.hidden())
            (field("name", &format!("Type the name of the agent, {name}, to go on"), html! {
                input id="name" name="name" required autocomplete="off" maxlength="200" value=(typed.unwrap_or_default());
            }, None))
            p class="buttons" { button class="danger" { "Delete" } a class="button" href=(format!("/console/agents/{id}")) { "Leave it" } }
        }
    };
    let call = Call::of("DELETE", format!("/v1/agents/{id}"));
    let sheet = Sheet::new("Delete an agent", body).by_api(call);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /console/agents/{id}/delete`
pub async fn ask_delete(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who: &Who| {
        let named = agents::get(visit.app.kept(), &who.caller, &id).await?;
        Ok(deleting(visit, &named, None).into())
    })
    .await
}

/// `POST /console/agents/{id}/delete`: for good, by its name
pub async fn delete(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let named = agents::get(visit.app.kept(), &who.caller, &id).await?;
        let (typed, name) = (form.text("name"), named.agent.name.trim());
        if typed != name {
            let text = format!("The name that you typed is not '{name}'.");
            let error = Error::new(Kind::Malformed, text).at("name");
            return Ok(deleting(visit, &named, Some((typed, &error))).into());
        }
        agents::delete(visit.app.kept(), &who.caller, &id).await?;
        Ok(go("/console/agents?done=deleted"))
    })
    .await
}
