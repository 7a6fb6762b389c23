//! `/console/keys/new` and `/console/keys/{id}`: what a key is and may do.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::figures::{minute, moment};
use super::form::Form;
use super::keys as list;
use super::parts::{choice, field, summary};
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::admit::KeyTerms;
use crate::base::{Blame, Error, Kind, calendar};
use crate::http::Worker;
use crate::stored::keys::{self, Speaks};

const SCOPES: [(&str, &str); 8] = [
    ("chat", "Chat"),
    ("embeddings", "Embeddings"),
    ("images", "Images"),
    ("realtime", "Realtime"),
    ("usage", "Read usage"),
    ("platform", "Memory, agents, apps"),
    ("keys", "Look after keys"),
    ("account", "Look after members"),
];
const EXPIRIES: [(&str, &str); 5] = [
    ("", "never"),
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("date", "on a date"),
];
/// The most names of models that a key may have.
const MOST_MODELS: usize = 100;

/// What the form says, as the interface takes it. A term that is not given is taken away.
fn terms(visit: &Visit, form: &Form) -> Result<Map<String, Value>, Error> {
    let refused = |name: &'static str, text: String| Error::new(Kind::Malformed, text).at(name);
    let mut terms = Map::new();
    let scopes = form.all("scopes");
    // A key without a list has all of them but the last.
    let every =
        scopes.is_empty() || (scopes.len() == SCOPES.len() - 1 && !scopes.contains(&"account"));
    terms.insert("scopes".to_owned(), if every { Value::Null } else { json!(scopes) });
    let models: Vec<&str> = form
        .text("models")
        .split([',', '\n', ' '])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if models.len() > MOST_MODELS {
        return Err(refused("models", format!("A key has at most {MOST_MODELS} names of models.")));
    }
    let live = visit.app.live();
    for name in &models {
        let auto = name.split(':').next() == Some("auto");
        if !auto && !name.ends_with('*') && live.catalogue.model(name).is_none() {
            let name: String = name.chars().take(80).collect();
            return Err(refused("models", format!("There is no model '{name}'.")));
        }
    }
    let models = if models.is_empty() { Value::Null } else { json!(models) };
    terms.insert("models".to_owned(), models);
    let budget = form.given("monthly_budget_usd").map(|text| text.trim_start_matches('$'));
    if let Some(text) = budget
        && crate::base::money::Nanos::from_decimal(text).is_none()
    {
        let text = "This has to be an amount in US dollars, such as 12.50.".to_owned();
        return Err(refused("monthly_budget_usd", text));
    }
    terms.insert("monthly_budget_usd".to_owned(), json!(budget));
    for name in ["monthly_credits", "requests_per_minute", "requests_per_day", "tokens_per_minute"]
    {
        terms.insert(name.to_owned(), json!(form.whole(name)?));
    }
    let now = visit.app.shared.clock.now();
    let expires = match form.text("expiry") {
        "" => None,
        "date" => {
            let day = form.given("expires").and_then(calendar::read);
            let day = day.ok_or_else(|| refused("expires", "Give the day.".to_owned()))?;
            if day <= now {
                return Err(refused("expires", "That day is past.".to_owned()).coded("in_the_past"));
            }
            Some(day.seconds())
        }
        days => {
            let days: u64 =
                days.parse().map_err(|_| refused("expiry", "Choose one.".to_owned()))?;
            Some(now.after(std::time::Duration::from_secs(days.min(3_650) * 86_400)).seconds())
        }
    };
    terms.insert("expires_at".to_owned(), json!(expires));
    Ok(terms)
}

/// The fields as they stand: what was typed before what is kept.
struct Fields<'a> {
    form: Option<&'a Form>,
    name: &'a str,
    terms: &'a KeyTerms,
    kept: Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(form: Option<&'a Form>, name: &'a str, terms: &'a KeyTerms) -> Result<Self, Error> {
        let kept = serde_json::to_value(terms).map_err(Error::internal)?;
        let kept = kept.as_object().cloned().unwrap_or_default();
        Ok(Self { form, name, terms, kept })
    }

    fn text(&self, name: &str) -> String {
        if let Some(form) = self.form {
            return form.text(name).to_owned();
        }
        match self.kept.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    fn has_scope(&self, scope: &str) -> bool {
        if let Some(form) = self.form {
            return form.has("scopes", scope);
        }
        let listed = self.kept.get("scopes").and_then(Value::as_array);
        listed.map_or(scope != "account", |all| all.iter().any(|one| one == scope))
    }

    fn models(&self) -> String {
        if let Some(form) = self.form {
            return form.text("models").to_owned();
        }
        self.terms.models.as_deref().unwrap_or_default().join(", ")
    }

    fn expiry(&self) -> (String, String) {
        if let Some(form) = self.form {
            return (form.text("expiry").to_owned(), form.text("expires").to_owned());
        }
        match self.terms.expires() {
            Some(at) => ("date".to_owned(), calendar::written_day(at)),
            None => (String::new(), String::new()),
        }
    }
}

fn fields(fields: &Fields<'_>) -> Markup {
    let name = fields.form.map_or(fields.name, |form| form.text("name"));
    let (expiry, expires) = fields.expiry();
    let number = |id: &str, label: &str| {
        field(
            id,
            label,
            html! { input id=(id) name=(id) inputmode="numeric" value=(fields.text(id)) maxlength="20"; },
            None,
        )
    };
    html! {
        (field("name", "Name", html! { input id="name" name="name" required maxlength="200" value=(name); }, Some("So that you know it again: what it is for.")))
        fieldset {
            legend { "What it may do" }
            div class="checks" {
                @for (value, label) in SCOPES {
                    label { input type="checkbox" name="scopes" value=(value) checked[fields.has_scope(value)]; (label) }
                }
            }
        }
        (field("models", "Models", html! { input id="models" name="models" value=(fields.models()) maxlength="4000" placeholder="all"; }, Some("Names, with commas between them. gpt-* stands for all that begin so. Empty: all that your plan has.")))
        div class="row" {
            (field("monthly_budget_usd", "Budget a month, in USD", html! { input id="monthly_budget_usd" name="monthly_budget_usd" inputmode="decimal" value=(fields.text("monthly_budget_usd")) maxlength="20"; }, None))
            (number("monthly_credits", "Credits a month"))
        }
        div class="row" {
            (number("requests_per_minute", "Requests a minute"))
            (number("requests_per_day", "Requests a day"))
            (number("tokens_per_minute", "Tokens a minute"))
        }
        p class="hint" { "Empty: no limit beyond the account's." }
        div class="row" {
            (field("expiry", "It ends", choice("expiry", &EXPIRIES, &expiry), None))
            (field("expires", "On", html! { input id="expires" name="expires" type="date" value=(expires); }, None))
        }
    }
}

fn asking(
    visit: &Visit,
    who: &Who,
    form: Option<&Form>,
    error: Option<&Error>,
) -> Result<Sheet, Error> {
    let terms = KeyTerms::default();
    let may_choose = who.caller.person.must_run_the_account().is_ok();
    let body = html! {
        h1 { "Create a key" }
        (summary(error))
        form method="post" action="/console/keys/new" class="card" {
            (visit.hidden())
            (fields(&Fields::of(form, "", &terms)?))
            @if may_choose {
                fieldset {
                    legend { "It speaks for" }
                    div class="checks" {
                        label { input type="radio" name="for" value="me" checked[!form.is_some_and(|form| form.has("for", "account"))]; "me" }
                        label { input type="radio" name="for" value="account" checked[form.is_some_and(|form| form.has("for", "account"))]; "the account as a whole" }
                    }
                }
            }
            p class="buttons" { button class="primary" { "Create key" } a class="button" href="/console/keys" { "Leave it" } }
        }
    };
    let sheet = Sheet::new("Create a key", body)
        .by_api(Call::of("POST", "/v1/keys").saying(json!({"name": "ci", "scopes": ["chat"]})));
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /console/keys/new`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        keys::list(visit.app.keys(), &who.caller).await?;
        Ok(asking(visit, who, None, None)?.into())
    })
    .await
}

/// `POST /console/keys/new`
pub async fn create(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let speaks =
            if form.has("for", "account") { Speaks::ForAccount } else { Speaks::ForCaller };
        let name = form.text("name");
        let creating = async {
            let mut terms = terms(visit, form)?;
            terms.retain(|_, value| !value.is_null());
            let mut sent = Map::from_iter([("name".to_owned(), json!(name))]);
            sent.extend(terms.clone());
            let issued = keys::create(
                visit.app.keys(),
                &who.caller,
                name,
                terms,
                speaks,
                Some(&who.session),
            )
            .await?;
            Ok((issued, Value::Object(sent)))
        };
        let made: Result<_, Error> = creating.await;
        match made {
            Ok((issued, sent)) => Ok(list::made(visit, name, issued.secret.expose_secret(), &sent)),
            Err(why) if why.kind == Kind::Malformed => {
                Ok::<Answer, Error>(asking(visit, who, Some(form), Some(&why))?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

async fn shown(
    visit: &Visit,
    who: &Who,
    id: &str,
    form: Option<&Form>,
    error: Option<&Error>,
) -> Result<Sheet, Error> {
    let one = keys::get(visit.app.keys(), &who.caller, id).await?;
    let now = visit.app.shared.clock.now();
    let good = one.is_good(now);
    let body = html! {
        div class="head" {
            h1 { (one.key.name) }
            @if good {
                p class="buttons" {
                    @if one.key.revoked.is_none() { a class="button" href=(format!("/console/keys/{id}/rotate")) { "Rotate" } }
                    a class="button danger" href=(format!("/console/keys/{id}/revoke")) { "Revoke" }
                }
            }
        }
        section class="card" {
            dl class="facts" {
                dt { "Hint" } dd class="mono" { (one.key.hint) }
                dt { "Id" } dd class="mono" { (id) }
                dt { "Created" } dd { (moment(one.key.created)) }
                dt { "Last used" } dd { (one.last_used.map_or_else(|| "never".to_owned(), minute)) }
                @if let Some(at) = one.key.revoked { dt { "Ends" } dd { (moment(at)) } }
            }
            p { a href=(format!("/console/requests?key={id}")) { "Its requests" } }
        }
        (summary(error))
        @if good {
            h2 { "Change it" }
            form method="post" action=(visit.path) class="card" {
                (visit.hidden())
                (fields(&Fields::of(form, &one.key.name, &one.terms)?))
                p class="buttons" { button class="primary" { "Save" } a class="button" href="/console/keys" { "Leave it" } }
            }
        }
    };
    let sheet = Sheet::new(one.key.name.clone(), body).by_api(Call::get(format!("/v1/keys/{id}")));
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /console/keys/{id}`
pub async fn show(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        Ok(shown(visit, who, &id, None, None).await?.into())
    })
    .await
}

/// `POST /console/keys/{id}`
pub async fn change(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let changing = async {
            let mut changes = terms(visit, form)?;
            changes.insert("name".to_owned(), json!(form.text("name")));
            keys::change(visit.app.keys(), &who.caller, &id, changes, Some(&who.session)).await
        };
        match changing.await {
            Ok(_) => Ok(go("/console/keys?done=changed")),
            Err(why) if why.blame == Blame::Caller && why.kind == Kind::Malformed => {
                Ok::<Answer, Error>(shown(visit, who, &id, Some(form), Some(&why)).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
