//! `/console/requests/{id}`: one request, from what was asked to what it came to.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::call::Call;
use super::figures::{as_json, count, credits, lasting, list, money, nanos, text, usd, whole};
use super::parts::notice;
use super::path::encoded;
use super::requests::{key_names, outcome};
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::reports::feedback::{self, FeedbackRequest};
use crate::reports::request as told_request;

fn attempts(told: &Value) -> Markup {
    html! {
        div class="scroll" {
            table class="cards" {
                caption { "Attempts, in their order" }
                thead { tr { th scope="col" { "Provider" } th scope="col" { "Model" } th scope="col" { "What came of it" } th scope="col" class="n" { "After" } th scope="col" class="n" { "First byte" } th scope="col" class="n" { "Took" } } }
                tbody {
                    @for attempt in list(told, "attempts") {
                        tr {
                            th scope="row" { (text(attempt, "provider")) }
                            td data-name="Model" { (text(attempt, "model")) }
                            td data-name="What came of it" {
                                @let word = text(attempt, "outcome");
                                span class=(if word == "ok" { "tag good" } else { "tag bad" }) { (word.replace('_', " ")) }
                                @if attempt["status"].is_number() { " " span class="dim" { (whole(attempt, "status")) } }
                            }
                            @for (name, member) in [("After", "started_ms"), ("First byte", "first_byte_ms"), ("Took", "took_ms")] {
                                td data-name=(name) class="n" {
                                    @if attempt[member].is_number() { (lasting(whole(attempt, member))) } @else { "–" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What `auto` weighed, in words and numbers.
fn weighed(told: &Value) -> Markup {
    let weighed = &told["weighed"];
    let costs =
        list(weighed, "candidates").iter().all(|one| one["expected_cost_nano_usd"].is_i64());
    let number = |one: &Value, name: &str| one[name].as_f64().unwrap_or_default();
    html! {
        @if weighed.is_object() {
            h2 { "How auto chose" }
            p { (text(weighed, "in_words")) }
            div class="scroll" {
                table class="cards" {
                    caption { "The best of " (count(whole(weighed, "considered"))) " models, in their order" }
                    thead { tr { th scope="col" { "Model" } th scope="col" { "Effort" } th scope="col" class="n" { "Good answer" } @if costs { th scope="col" class="n" { "Expected cost" } } th scope="col" class="n" { "Level" } th scope="col" { "What it rests on" } th scope="col" { "Verdict" } } }
                    tbody {
                        @for one in list(weighed, "candidates") {
                            tr {
                                th scope="row" {
                                    @if one["model"].is_string() { (text(one, "model")) } @else { "a model that is gone" }
                                    " " span class="dim" { (text(one, "provider")) }
                                }
                                td data-name="Effort" { @if one["effort"].is_string() { (text(one, "effort")) } @else { "–" } }
                                td data-name="Good answer" class="n" { (format!("{:.0}%", number(one, "quality") * 100.0)) }
                                @if costs { td data-name="Expected cost" class="n" { (usd(nanos(one, "expected_cost_nano_usd"))) } }
                                td data-name="Level" class="n" { (format!("{:.2} ±{:.2}", number(one, "level"), number(one, "level_sd"))) }
                                td data-name="What it rests on" {
                                    (text(one, "rests_on"))
                                    @if one["found_out"].is_number() { "; moved by " (format!("{:+.2}", number(one, "found_out"))) " by what was found out here" }
                                }
                                td data-name="Verdict" { (text(one, "verdict")) }
                            }
                        }
                    }
                }
            }
            @if whole(weighed, "more") > 0 {
                p class="dim small" { "And " (count(whole(weighed, "more"))) " more that were weighed, models at other efforts among them." }
            }
        }
    }
}

fn content(told: &Value) -> Markup {
    let part = |name: &str| {
        told.get("content").map(|content| text(content, name)).filter(|text| !text.is_empty())
    };
    html! {
        @match (part("request"), part("answer")) {
            (None, None) => p class="dim small" { "What was said is not kept. The feature \"content logging\" keeps it, for you alone." },
            (asked, answered) => {
                h2 { "What was said" }
                @for (name, said) in [("Asked", asked), ("Answered", answered)] {
                    @if let Some(said) = said {
                        details class="card" { summary { (name) } pre class="answer" tabindex="0" { (said) } }
                    }
                }
            }
        }
    }
}

async fn page(visit: &Visit, who: &Who, id: &str) -> Result<Answer, Error> {
    let told = told_request::request(&visit.app, &who.caller, id).await.map_err(|why| {
        if why.kind == Kind::NotFound {
            let text = "There is no such request. One that has just ended is in the books a second \
                        later: load the page again.";
            return Error::new(Kind::NotFound, text);
        }
        why
    })?;
    let told = as_json(&told)?;
    let names = key_names(visit, who).await?;
    let key = text(&told, "api_key_id");
    let tokens = told.get("usage").cloned().unwrap_or_default();
    let model = text(&told, "model");
    let done =
        visit.query.has("done", "feedback").then_some("Thank you: `auto` goes by it from now on.");
    let judged = !model.is_empty();
    let (word, amount) = money(&told);
    let price = Some(nanos(&told, "list_nano_usd")).filter(|price| *price != amount);
    let body = html! {
        div class="head" {
            div {
                h1 class="mono" { (text(&told, "id")) }
                p class="dim" {
                    (outcome(text(&told, "status"))) " "
                    (text(&told, "surface")) @if told["stream"] == json!(true) { ", streamed" } ", "
                    time datetime=(text(&told, "created_at")) { (text(&told, "created_at").replace('T', " ").replace('Z', " UTC")) }
                }
            }
            @if judged {
                form method="post" action=(format!("/console/requests/{}/feedback", encoded(id))) class="buttons" {
                    (visit.hidden())
                    button name="score" value="1" { "Good" }
                    button name="score" value="0" { "Bad" }
                    a class="button" href=(format!("/console/playground?model={}", encoded(text(&told, "model_requested")))) { "Ask again" }
                }
            }
        }
        (notice(done))
        dl class="tiles" {
            div class="tile" { dt { (word) } dd { (usd(amount)) } dd class="note" { (credits(whole(&told, "credits"))) " charged" @if let Some(price) = price { ", sold for " (usd(price)) } } }
            div class="tile" { dt { "Took" } dd { (lasting(whole(&told, "latency_ms"))) } dd class="note" { "first byte after " (lasting(whole(&told, "time_to_first_byte_ms"))) } }
            div class="tile" { dt { "Read" } dd { (count(whole(&tokens, "input_tokens"))) } dd class="note" { "tokens, " (count(whole(&tokens, "cached_tokens"))) " of them cached" } }
            div class="tile" { dt { "Written" } dd { (count(whole(&tokens, "output_tokens"))) } dd class="note" { "tokens, " (count(whole(&tokens, "reasoning_tokens"))) " of them reasoning" } }
        }
        section class="card" {
            dl class="facts" {
                dt { "Asked for" } dd { (text(&told, "model_requested")) }
                dt { "Answered by" } dd { @if judged { strong { (model) } " at " (text(&told, "provider")) } @else { "nobody" } }
                dt { "Key" } dd { (names.get(key).map_or(key, String::as_str)) }
                @if let Some(decision) = told.get("decision").and_then(Value::as_str) {
                    dt { "Why" } dd { (decision) }
                }
            }
        }
        @if who.caller.admin && whole(&told, "credits") > 0 {
            p class="buttons" { a class="button" href=(format!("/admin/refunds?request={}", encoded(id))) { "Give its credits back" } }
        }
        (weighed(&told))
        (attempts(&told))
        (content(&told))
    };
    Ok(Sheet::new("A request", body).by_api(Call::get(format!("/v1/requests/{id}"))).into())
}

/// `GET /console/requests/{id}`
pub async fn request(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| page(visit, who, &id).await).await
}

/// `POST /console/requests/{id}/feedback`
pub async fn judge(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let said = FeedbackRequest {
            request_id: Some(id.clone()),
            model: None,
            score: form.text("score").parse().ok(),
            better: None,
            worse: None,
        };
        feedback::note(&visit.app, &who.caller, said).await?;
        Ok(go(format!("/console/requests/{}?done=feedback", encoded(&id))))
    })
    .await
}
