//! `/docs`: how programs ask, in as few words as will do.

use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::parts::snippet;
use super::samples;
use super::serve::show;
use super::sheet::Sheet;
use crate::http::{Worker, openapi};

const ERRORS: [(&str, &str, &str); 8] = [
    (
        "400",
        "invalid_request_error",
        "Something in the request is wrong: the message names the field.",
    ),
    ("401", "invalid_api_key", "No key, or one that is not good (any more)."),
    ("402", "insufficient_credits", "The credits of this month are used up."),
    ("403", "missing_scope", "The key is not for this, or the plan has no such model."),
    ("404", "model_not_found", "There is no such model. The message names near ones."),
    ("429", "rate_limit_exceeded", "Too many at once: Retry-After says when to come again."),
    ("503", "service_unavailable", "Something is away for a moment. Come again."),
    ("504", "timeout", "The model took too long."),
];

/// `GET /docs`
pub async fn docs(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| {
        let home = &visit.home;
        let anthropic = format!(
            "import anthropic\n\nclient = anthropic.Anthropic(base_url=\"{home}\", api_key=\"$KEY\")\n\
             answer = client.messages.create(\n    model=\"auto\", max_tokens=1024,\n    \
             messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\nprint(answer.content[0].text)"
        );
        let gemini = format!(
            "from google import genai\n\nclient = genai.Client(\n    api_key=\"$KEY\",\n    \
             http_options={{\"base_url\": \"{home}\"}},\n)\nanswer = client.models.generate_content(model=\"auto\", contents=\"Hello\")\nprint(answer.text)"
        );
        let body = html! {
            h1 { "Docs" }
            p class="lede" { "The address is " code { (home) "/v1" } ". Keep your SDK: give it this address and a key of yours." }
            h2 { "OpenAI's SDKs" }
            (samples::tabs("openai", home, "$KEY", "auto"))
            h2 { "Anthropic's SDK" }
            (snippet("anthropic", &anthropic))
            h2 { "Google's SDK" }
            (snippet("gemini", &gemini))
            h2 { "Which model" }
            dl class="facts card" {
                dt { code { "auto" } } dd { "the cheapest model that will do, chosen for each request" }
                dt { code { "auto:cheap" } } dd { "cheaper still" }
                dt { code { "auto:best" } } dd { "the best, whatever it costs" }
                dt { "a name" } dd { "that model, at whichever provider is up: see " a href="/console/models" { "the models" } }
                dt { code { "agent:ID" } } dd { "an agent of yours, with its instructions and tools" }
            }
            h2 { "Errors" }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "Status" } th scope="col" { "Code" } th scope="col" { "What it says" } } }
                    tbody { @for (status, code, text) in ERRORS { tr { th scope="row" { (status) } td data-name="Code" { code { (code) } } td data-name="" { (text) } } } }
                }
            }
            h2 { "Endpoints of our own" }
            p { "Described by " a href="/openapi.json" { "openapi.json" } "; those of OpenAI, Anthropic and Google are as their makers describe them." }
            details class="card" {
                summary { "All of them" }
                dl class="facts" {
                    @for (method, path, summary) in openapi::endpoints() {
                        dt class="mono" { (method.to_uppercase()) " " (path) }
                        dd { (summary) }
                    }
                }
            }
        };
        Ok(Sheet::new("Docs", body).into())
    })
    .await
}
