//! How a page is shown, and a form taken: by whom, once, and what becomes of it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::form::Form;
use super::parts::{field, summary};
use super::path::{encoded, own_path};
use super::sheet::{Answer, Sheet, go};
use super::shell;
use super::visit::{Visit, Who};
use crate::admit::factor_required;
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::store::FormState;

/// How long a form that was sent is known, in seconds.
const FORM_SECONDS: u64 = 86_400;

/// Shows a page to anybody.
pub async fn show(
    app: Worker,
    request: HttpRequest,
    work: impl AsyncFnOnce(&Visit) -> Result<Answer, Error>,
) -> HttpResponse {
    match Visit::of(&app, &request).await {
        Ok(mut visit) => {
            visit.prepare_form();
            let outcome = work(&visit).await;
            shell::respond(&visit, outcome)
        }
        Err((visit, why)) => shell::respond(&visit, Err(why)),
    }
}

/// Shows a page to those who are signed in.
pub async fn show_member(
    app: Worker,
    request: HttpRequest,
    work: impl AsyncFnOnce(&Visit, &Who) -> Result<Answer, Error>,
) -> HttpResponse {
    let here = request.uri().path_and_query().map_or("/console", |path| path.as_str()).to_owned();
    show(app, request, async move |visit| match &visit.who {
        Some(who) if has_to_set_up(visit, who) => Ok(go("/console/settings?done=factor_wanted")),
        Some(who) => work(visit, who).await,
        None => {
            let next = own_path(&here).unwrap_or("/console");
            let next: String = encoded(next);
            Ok(go(format!("/signin?next={next}")))
        }
    })
    .await
}

/// Shows a page to administrators.
pub async fn show_admin(
    app: Worker,
    request: HttpRequest,
    work: impl AsyncFnOnce(&Visit, &Who) -> Result<Answer, Error>,
) -> HttpResponse {
    show_member(app, request, async move |visit, who| {
        visit.administrator()?;
        work(visit, who).await
    })
    .await
}

/// Takes a form of anybody's.
pub async fn take(
    app: Worker,
    request: HttpRequest,
    body: &[u8],
    work: impl AsyncFnOnce(&Visit, &Form) -> Result<Answer, Error>,
) -> HttpResponse {
    match Visit::of(&app, &request).await {
        Ok(visit) => {
            let taken = taken(&visit, &request, body, work).await;
            shell::respond(&visit, taken)
        }
        Err((visit, why)) => shell::respond(&visit, Err(why)),
    }
}

/// Takes a form of somebody who is signed in.
pub async fn take_member(
    app: Worker,
    request: HttpRequest,
    body: &[u8],
    work: impl AsyncFnOnce(&Visit, &Who, &Form) -> Result<Answer, Error>,
) -> HttpResponse {
    take(app, request, body, async move |visit, form| {
        let who = visit.who()?;
        if has_to_set_up(visit, who) {
            return Err(factor_required());
        }
        work(visit, who, form).await
    })
    .await
}

/// Whether somebody has to set a second factor up before they do what they ask for.
fn has_to_set_up(visit: &Visit, who: &Who) -> bool {
    let here = visit.path.as_str();
    let leads_there = here == "/signout"
        || here == "/console/account"
        || here == "/console/settings"
        || here.starts_with("/console/settings/factor");
    !leads_there && visit.app.shared.authentication.wants_factor_of(&who.session)
}

/// Takes a form of an administrator of the gateway.
pub async fn take_admin(
    app: Worker,
    request: HttpRequest,
    body: &[u8],
    work: impl AsyncFnOnce(&Visit, &Who, &Form) -> Result<Answer, Error>,
) -> HttpResponse {
    take_member(app, request, body, async move |visit, who, form| {
        visit.administrator()?;
        work(visit, who, form).await
    })
    .await
}

async fn taken(
    visit: &Visit,
    request: &HttpRequest,
    body: &[u8],
    work: impl AsyncFnOnce(&Visit, &Form) -> Result<Answer, Error>,
) -> Result<Answer, Error> {
    let form = Form::read(body)?;
    visit.must_be_ours(request, form.text("csrf"))?;
    let id = form.given("once").filter(|id| id.len() <= 100).ok_or_else(|| {
        Error::new(Kind::Malformed, "The form is not whole. Load the page again and send it anew.")
    })?;
    let store = &visit.app.shared.store;
    let (_, account) = visit.bound_to();
    let expires = visit.app.shared.clock.now().after(std::time::Duration::from_secs(FORM_SECONDS));
    let sent = store.take_form(id.to_owned(), account.to_owned(), expires).await;
    match sent.map_err(Error::internal)? {
        FormState::First => {}
        FormState::UnderWay => {
            let text = "This form was sent before, and is being carried out. Load the page again.";
            return Err(Error::new(Kind::Conflict, text).coded("sent_before"));
        }
        FormState::Before(path) if !path.is_empty() => return Ok(go(path)),
        FormState::Before(_) => {
            let text = "This form was sent before, and what came of it was shown then. Nothing was \
                        done a second time.";
            return Err(Error::new(Kind::Conflict, text).coded("sent_before"));
        }
    }
    let outcome = proved_and_done(visit, &form, work).await;
    let result = match &outcome {
        Ok(Answer::Go(path)) => Some(path.clone()),
        Ok(Answer::Sheet(sheet)) if sheet.status == StatusCode::OK => Some(String::new()),
        Ok(Answer::Bare(_)) => Some(String::new()),
        // Nothing was done: it may be sent again.
        Ok(Answer::Sheet(_)) | Err(_) => None,
    };
    store.settle_form(id.to_owned(), result).await.map_err(Error::internal)?;
    outcome
}

/// Carries a form out. Where the person has to give their password first, they are asked for it, and
/// the form is kept on the page meanwhile.
async fn proved_and_done(
    visit: &Visit,
    form: &Form,
    work: impl AsyncFnOnce(&Visit, &Form) -> Result<Answer, Error>,
) -> Result<Answer, Error> {
    if form.given("proof").is_some()
        && let Some(who) = &visit.who
    {
        let (password, otp) = (form.secret("proof"), form.given("otp"));
        let (desk, address) = (&visit.app.shared.authentication, &visit.browser.address);
        if let Err(why) = desk.prove(&who.session, password, otp, address).await {
            return Ok(asking_for_proof(visit, form, Some(&why)).into());
        }
        let proved = visit.proved(who);
        let outcome = work(&proved, form).await;
        visit.keep_session_of(proved);
        return outcome;
    }
    match work(visit, form).await {
        Err(why) if why.code.as_deref() == Some("proof_required") => {
            Ok(asking_for_proof(visit, form, None).into())
        }
        outcome => outcome,
    }
}

fn asking_for_proof(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let asked = Error::new(Kind::Forbidden, "Give your password again to go on.");
    let has_factor = visit.who.as_ref().is_some_and(|who| who.session.has_factor);
    let body = html! {
        h1 { "Is it still you?" }
        p class="lede" { "What you are about to do needs your password. It is good for 15 minutes." }
        (summary(error))
        form method="post" action=(visit.path) class="card narrow" {
            (visit.hidden())
            @for (name, value) in form.rest() {
                input type="hidden" name=(name) value=(value);
            }
            (field("proof", "Password", html! {
                input id="proof" name="proof" type="password" autocomplete="current-password" required autofocus;
            }, None))
            @if has_factor {
                (field("otp", "Code of your second factor", html! {
                    input id="otp" name="otp" autocomplete="one-time-code" required maxlength="20";
                }, None))
            }
            button class="primary" { "Go on" }
        }
    };
    Sheet::new("Is it still you?", body).refused(error.unwrap_or(&asked))
}
