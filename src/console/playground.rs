//! `/console/playground`: asking, from the browser, as the person who is signed in.

use std::convert::Infallible;

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::figures::{lasting, list, text};
use super::form::Form;
use super::parts::{choice, field, snippet, summary};
use super::samples;
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet};
use super::visit::{Visit, Who};
use crate::base::ids::RequestId;
use crate::base::{Blame, Error, Kind};
use crate::catalogue::Mode;
use crate::exchange::{Answered, Arrival, Refused, RequestOptions, ResponseBody};
use crate::gateway;
use crate::http::Worker;
use crate::reports::{models::list_models, request as told_request};
use crate::router::Dial;
use crate::wire::codec;
use crate::wire::vocab::Dialect;

const SURFACE: Dialect = Dialect::OpenAiChat;

/// The names that may be asked here, `auto` first.
fn names(visit: &Visit, who: &Who) -> Vec<String> {
    let live = visit.app.live();
    let all = list_models(&visit.app, &live, &who.caller);
    let chat = all.iter().filter(|model| model.mode() == Mode::Chat);
    let mut names: Vec<String> = chat.map(|model| model.id().to_owned()).collect();
    if let Some(real) = names.get_mut(3..) {
        real.sort_unstable();
    }
    names
}

/// What the form asks for, as the interface takes it.
fn request_of(form: &Form) -> Result<Value, Error> {
    let mut messages = Vec::new();
    if let Some(system) = form.given("system") {
        messages.push(json!({"role": "system", "content": system}));
    }
    let said = form.given("message");
    let said = said.ok_or_else(|| Error::new(Kind::Malformed, "Type a message.").at("message"))?;
    messages.push(json!({"role": "user", "content": said}));
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(form.given("model").unwrap_or("auto")));
    body.insert("messages".to_owned(), json!(messages));
    if let Some(most) = form.whole("max_tokens")? {
        body.insert("max_tokens".to_owned(), json!(most));
    }
    if let Some(text) = form.given("temperature") {
        let wrong = || Error::new(Kind::Malformed, "This has to be a number.").at("temperature");
        body.insert("temperature".to_owned(), json!(text.parse::<f64>().map_err(|_| wrong())?));
    }
    Ok(Value::Object(body))
}

fn asked(form: &Form) -> RequestOptions {
    let number = |name: &str| form.given(name).and_then(|text| text.parse::<f64>().ok());
    RequestOptions {
        dial: number("quality").and_then(Dial::new),
        max_cost: number("max_cost").and_then(crate::base::money::Nanos::from_usd),
        ..RequestOptions::default()
    }
}

async fn answer(
    visit: &Visit,
    who: &Who,
    body: &Value,
    asked: RequestOptions,
) -> (RequestId, Result<Answered, Refused>) {
    let id = RequestId::fresh();
    let bytes = Bytes::from(body.to_string());
    let arrival = Arrival { asked, ..Arrival::of(id.clone(), SURFACE, bytes) };
    let answered = gateway::answer(&visit.app, &who.caller, arrival).await;
    (id, answered)
}

/// What came of a message, shown on the page.
fn answered(id: &RequestId, answered: &Answered, whole: &Value, took_ms: i64) -> Markup {
    let choices = list(whole, "choices");
    let said = choices.first().and_then(|one| one.get("message"));
    html! {
        section class="card" {
            h2 { (answered.step.model.id) " at " (answered.step.deployment.provider.id) }
            p class="answer" { (said.map_or("", |said| text(said, "content"))) }
            p class="dim small" {
                (lasting(took_ms)) ", " (answered.attempts) " attempts. "
                @if let Some(decision) = &answered.decision { (decision) " " }
                a href=(format!("/console/requests/{id}")) { "The whole request" } " (in the books a second later)"
            }
        }
    }
}

fn page(visit: &Visit, who: &Who, form: &Form, error: Option<&Error>, came: &Markup) -> Sheet {
    let names = names(visit, who);
    let names: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let body = html! {
        h1 { "Playground" }
        (summary(error))
        form method="post" action="/console/playground" class="card" data-playground data-token=(visit.token()) {
            (visit.hidden())
            div class="row" {
                (field("model", "Model", choice("model", &names, form.given("model").unwrap_or("auto")), None))
                (field("max_tokens", "Most tokens", html! { input id="max_tokens" name="max_tokens" inputmode="numeric" maxlength="8" value=(form.given("max_tokens").unwrap_or("1024")); }, None))
                (field("temperature", "Temperature", html! { input id="temperature" name="temperature" inputmode="decimal" maxlength="6" value=(form.text("temperature")) placeholder="the model's"; }, None))
                (field("max_cost", "Most cost, USD", html! { input id="max_cost" name="max_cost" inputmode="decimal" maxlength="12" value=(form.text("max_cost")) placeholder="any"; }, None))
            }
            (field("quality", "auto: cheap to best", html! { input id="quality" name="quality" type="range" min="0" max="1" step="0.05" value=(form.given("quality").unwrap_or("0.5")); }, None))
            details open[form.given("system").is_some()] {
                summary { "System message" }
                textarea id="system" name="system" maxlength="100000" aria-label="System message" { (form.text("system")) }
            }
            (field("message", "Message", html! { textarea id="message" name="message" required maxlength="100000" { (form.text("message")) } }, None))
            p class="buttons" {
                button class="primary" name="do" value="send" { "Send" }
                button name="do" value="route" { "What would auto do?" }
                button type="button" data-compare hidden { "+ Compare" }
                button type="button" data-stop hidden { "Stop" }
            }
        }
        div class="columns" data-answers aria-live="polite" {}
        (came)
        details class="call" {
            summary { "As code" }
            (samples::tabs("code", &visit.home, "$KEY", form.given("model").unwrap_or("auto")))
        }
    };
    let said = request_of(form).unwrap_or_else(
        |_| json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}),
    );
    let sheet = Sheet::new("Playground", body)
        .with_script("playground.js")
        .by_api(Call::of("POST", "/v1/chat/completions").saying(said.clone()))
        .by_api(Call::of("POST", "/v1/route").saying(said));
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /console/playground`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        Ok(page(visit, who, &visit.query, None, &html! {}).into())
    })
    .await
}

async fn carried_out(visit: &Visit, who: &Who, form: &Form) -> Result<Markup, Error> {
    let body = request_of(form)?;
    if form.has("do", "route") {
        let live = visit.app.live();
        let bytes = Bytes::from(body.to_string());
        let route = gateway::explain(&visit.app, &live, &who.caller, bytes, &asked(form)).await?;
        let told = serde_json::to_value(route).map_err(Error::internal)?;
        let plan = list(&told, "plan");
        return Ok(html! {
            section class="card" {
                h2 { "auto would ask " (text(&told, "model")) " at " (text(&told, "provider")) }
                p { "Nothing was asked, and nothing is charged. After it, in this order:" }
                ol { @for step in plan.iter().skip(1) { li { (text(step, "model")) " at " (text(step, "provider")) } } }
                @if let Some(why) = told.get("explanation") {
                    details { summary { "Every model, and why" } (snippet("why", &serde_json::to_string_pretty(why).unwrap_or_default())) }
                }
            }
        });
    }
    let began = tokio::time::Instant::now();
    let (id, outcome) = answer(visit, who, &body, asked(form)).await;
    let came = outcome.map_err(|refused| refused.error)?;
    let ResponseBody::Whole(bytes) = &came.body else {
        return Err(Error::internal("a stream that nobody asked for"));
    };
    let whole: Value = serde_json::from_slice(bytes).map_err(Error::internal)?;
    let took_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(0);
    Ok(answered(&id, &came, &whole, took_ms))
}

/// `POST /console/playground`: the whole answer on the page, without a script
pub async fn send(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    Box::pin(take_member(app, request, &body, async |visit, who, form| {
        match carried_out(visit, who, form).await {
            Ok(came) => Ok::<Answer, Error>(page(visit, who, form, None, &came).into()),
            Err(why) if why.blame != Blame::Us => {
                Ok(page(visit, who, form, Some(&why), &html! {}).into())
            }
            Err(why) => Err(why),
        }
    }))
    .await
}

/// An error as scripts read it.
fn refused(error: &Error) -> HttpResponse {
    let (status, body) = codec(SURFACE).encode_error(error);
    let status = actix_web::http::StatusCode::from_u16(status)
        .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .content_type("application/json")
        .insert_header(("cache-control", "no-store"))
        .body(body)
}

/// What headers of a script's request ask for.
fn asked_by(request: &HttpRequest) -> RequestOptions {
    let number = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.trim().parse::<f64>().ok())
    };
    RequestOptions {
        dial: number("x-optimux-quality").and_then(Dial::new),
        max_cost: number("x-optimux-max-cost-usd").and_then(crate::base::money::Nanos::from_usd),
        ..RequestOptions::default()
    }
}

/// `POST /console/playground/run`: as `/v1/chat/completions`, by the cookie; a stream ends with an
/// event `optimux` that names the request
pub async fn run(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    let visit = match Visit::of(&app, &request).await {
        Ok(visit) => visit,
        Err((_, why)) => return refused(&why),
    };
    let token = request.headers().get("x-csrf").and_then(|value| value.to_str().ok());
    if let Err(why) = visit.must_be_ours(&request, token.unwrap_or_default()) {
        return refused(&why);
    }
    let who = match visit.who() {
        Ok(who) => who,
        Err(why) => return refused(&why),
    };
    let id = RequestId::fresh();
    let arrival = Arrival { asked: asked_by(&request), ..Arrival::of(id.clone(), SURFACE, body) };
    let answered = match gateway::answer(&app, &who.caller, arrival).await {
        Ok(answered) => answered,
        Err(why) => return refused(&why.error),
    };
    let told = json!({
        "id": id.as_str(),
        "model": &*answered.step.model.id,
        "provider": &*answered.step.deployment.provider.id,
        "attempts": answered.attempts,
        "decision": answered.decision,
    });
    let mut response = HttpResponse::Ok();
    response
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-request-id", id.as_str()))
        .insert_header(("x-content-type-options", "nosniff"));
    match answered.body {
        ResponseBody::Whole(bytes) => {
            let mut whole: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            whole["optimux"] = told;
            response.json(whole)
        }
        ResponseBody::Stream(pieces) => {
            let last = Bytes::from(format!("event: optimux\ndata: {told}\n\n"));
            let pieces = pieces.chain(futures_util::stream::iter([last]));
            response
                .content_type("text/event-stream")
                .insert_header(("x-accel-buffering", "no"))
                .streaming(pieces.map(Ok::<_, Infallible>))
        }
    }
}

/// `GET /console/playground/requests/{id}`: what a request came to, once it is in the books
pub async fn came_to(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let visit = match Visit::of(&app, &request).await {
        Ok(visit) => visit,
        Err((_, why)) => return refused(&why),
    };
    let looking = async { told_request::request(&app, visit.caller()?, &id).await };
    match looking.await {
        Ok(told) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(told),
        Err(why) => refused(&why),
    }
}
