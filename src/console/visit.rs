//! One request of a browser: who it is, what it may see, and what becomes of a form that it sent.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use tokio::time::Instant;

use super::call::Call;
use super::cookie::Cookie;
use super::form::{self, Form};
use super::{Worker, shell};
use crate::admit::{Caller, factor_required, must_be_proved};
use crate::base::percent;
use crate::base::secret::new_token;
use crate::base::{Error, Kind};
use crate::http::origin;
use crate::store::{Browser, Membership, Sent, SignedIn};

/// How long a form that was sent is known, in seconds.
const FORM_SECONDS: u64 = 86_400;

/// Somebody who is signed in.
pub struct Who {
    /// As the member whom the session says.
    pub caller: Arc<Caller>,
    pub session: SignedIn,
    /// Where they may go on: the accounts that they are in, if there are several.
    pub accounts: Vec<Membership>,
    cookie: String,
}

/// A request of a browser.
pub struct Visit {
    pub app: Worker,
    /// Where this gateway is reached, without a slash at the end.
    pub home: String,
    pub path: String,
    pub query: Form,
    pub who: Option<Who>,
    pub browser: Browser,
    pub began: Instant,
    /// What forms are bound to while nobody is signed in, and whether the browser is yet to get it.
    form_cookie: (Option<String>, bool),
    /// What the browser is to keep from now on.
    session_cookie: std::cell::RefCell<Option<HeaderValue>>,
}

/// A page.
pub struct Sheet {
    pub title: String,
    pub body: Markup,
    /// The same by the API.
    pub calls: Vec<Call>,
    pub status: StatusCode,
    pub script: Option<&'static str>,
}

impl Sheet {
    #[must_use]
    pub fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body, calls: Vec::new(), status: StatusCode::OK, script: None }
    }

    #[must_use]
    pub fn by_api(mut self, call: Call) -> Self {
        self.calls.push(call);
        self
    }

    #[must_use]
    pub fn with_script(self, name: &'static str) -> Self {
        Self { script: Some(name), ..self }
    }

    /// A form that was not taken, shown again.
    #[must_use]
    pub fn refused(self, error: &Error) -> Self {
        Self { status: shell::status(error), ..self }
    }
}

/// What a request comes to.
pub enum Answer {
    Sheet(Box<Sheet>),
    /// Another page of ours.
    Go(String),
    /// What is no page.
    Bare(HttpResponse),
}

impl From<Sheet> for Answer {
    fn from(sheet: Sheet) -> Self {
        Self::Sheet(Box::new(sheet))
    }
}

/// Another page of ours.
#[must_use]
pub fn go(path: impl Into<String>) -> Answer {
    Answer::Go(path.into())
}

/// A path of ours, and nobody else's: `//host` and `/\host` are other hosts to a browser.
#[must_use]
pub fn own_path(text: &str) -> Option<&str> {
    let ours = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.len() <= 500
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    ours.then_some(text)
}

impl Visit {
    /// Reads the cookies of a request, and finds out whose they are.
    ///
    /// # Errors
    /// When the store fails, or the account is suspended.
    pub async fn of(app: &Worker, request: &HttpRequest) -> Result<Self, (Self, Error)> {
        let home = origin::home(app, request);
        let https = home.starts_with("https://");
        let form_cookie = Cookie::Form.read(request, https);
        let mut visit = Self {
            app: app.clone(),
            path: request.path().to_owned(),
            query: Form::of_query(request),
            who: None,
            browser: origin::browser(app, request),
            began: Instant::now(),
            form_cookie: (form_cookie, false),
            session_cookie: std::cell::RefCell::default(),
            home,
        };
        let Some(cookie) = Cookie::Session.read(request, https) else { return Ok(visit) };
        let desk = &app.shared.authentication;
        let found = match desk.session_of(&cookie).await {
            Ok(found) => found,
            Err(why) => return Err((visit, why)),
        };
        let Some(session) = found else { return Ok(visit) };
        let accounts =
            if session.accounts > 1 { desk.memberships(&session).await } else { Ok(Vec::new()) };
        let accounts = match accounts {
            Ok(accounts) => accounts,
            Err(why) => return Err((visit, why)),
        };
        match app.shared.identities.in_session(&session.member).await {
            Ok(caller) => {
                visit.who = Some(Who { caller, session, accounts, cookie });
                Ok(visit)
            }
            // They sign in again, and come to another of their accounts.
            Err(why)
                if why.code.as_deref() == Some("account_suspended")
                    && accounts.iter().any(|one| !one.suspended) =>
            {
                Ok(visit)
            }
            Err(why) if why.kind == Kind::Unauthenticated => Ok(visit),
            Err(why) => Err((visit, why)),
        }
    }

    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.home.starts_with("https://")
    }

    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.is_encrypted() { "https" } else { "http" }
    }

    /// The cookie and the account that forms are bound to.
    #[must_use]
    pub fn bound_to(&self) -> (Option<&str>, &str) {
        match &self.who {
            Some(who) => (Some(&who.cookie), who.session.account.as_str()),
            None => (self.form_cookie.0.as_deref(), ""),
        }
    }

    /// What a browser is known by while nobody is signed in.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when somebody is, or the browser keeps no cookies.
    pub fn form_cookie(&self) -> Result<&str, Error> {
        let text = "You are signed in already, or your browser keeps no cookies of this site.";
        let none = || Error::new(Kind::Conflict, text).coded("no_cookie");
        self.form_cookie.0.as_deref().ok_or_else(none)
    }

    /// Whoever is signed in.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] when nobody is.
    pub fn who(&self) -> Result<&Who, Error> {
        let nobody = || Error::new(Kind::Unauthenticated, "Sign in first.").coded("signed_out");
        self.who.as_ref().ok_or_else(nobody)
    }

    /// # Errors
    /// As [`Self::who`].
    pub fn caller(&self) -> Result<&Arc<Caller>, Error> {
        Ok(&self.who()?.caller)
    }

    /// # Errors
    /// [`Kind::Forbidden`] unless an administrator is signed in.
    pub fn administrator(&self) -> Result<&Who, Error> {
        let who = self.who()?;
        if who.caller.admin {
            return Ok(who);
        }
        let text = "This page is for administrators of the gateway.";
        Err(Error::new(Kind::Forbidden, text).coded("admin_required"))
    }

    /// # Errors
    /// [`Kind::Forbidden`] when the person has not given their password lately.
    pub fn must_be_proved(&self) -> Result<&Who, Error> {
        let who = self.who()?;
        must_be_proved(&who.session, self.app.shared.clock.now())?;
        Ok(who)
    }

    /// Has the browser keep a session from now on, or forget it.
    pub fn keep_session(&self, cookie: Option<&str>) {
        *self.session_cookie.borrow_mut() = Cookie::Session.set(cookie, self.is_encrypted());
    }

    /// The hidden fields of every form.
    #[must_use]
    pub fn hidden(&self) -> Markup {
        let (cookie, account) = self.bound_to();
        let token = cookie.map(|cookie| form::token(cookie, account)).unwrap_or_default();
        html! {
            input type="hidden" name="csrf" value=(token);
            input type="hidden" name="once" value=(new_token().unwrap_or_default());
        }
    }

    /// What script sends in place of a form's hidden field.
    #[must_use]
    pub fn token(&self) -> String {
        let (cookie, account) = self.bound_to();
        cookie.map(|cookie| form::token(cookie, account)).unwrap_or_default()
    }

    /// The response's cookies.
    #[must_use]
    pub fn cookies(&self) -> Vec<HeaderValue> {
        let https = self.is_encrypted();
        let mut all = Vec::new();
        if let (Some(value), true) = &self.form_cookie {
            all.extend(Cookie::Form.set(Some(value), https));
        }
        all.extend(self.session_cookie.borrow().clone());
        all
    }

    /// A page with a form on it needs something to bind it to.
    fn prepare_form(&mut self) {
        if self.who.is_none() && self.form_cookie.0.is_none() {
            self.form_cookie = (new_token().ok(), true);
        }
    }
}

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
    form::must_be_ours(visit, request, form.text("csrf"))?;
    let id = form.given("once").filter(|id| id.len() <= 100).ok_or_else(|| {
        Error::new(Kind::Malformed, "The form is not whole. Load the page again and send it anew.")
    })?;
    let store = &visit.app.shared.store;
    let (_, account) = visit.bound_to();
    let expires = visit.app.shared.clock.now().after(std::time::Duration::from_secs(FORM_SECONDS));
    let sent = store.take_form(id.to_owned(), account.to_owned(), expires).await;
    match sent.map_err(Error::internal)? {
        Sent::First => {}
        Sent::UnderWay => {
            let text = "This form was sent before, and is being carried out. Load the page again.";
            return Err(Error::new(Kind::Conflict, text).coded("sent_before"));
        }
        Sent::Before(path) if !path.is_empty() => return Ok(go(path)),
        Sent::Before(_) => {
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
        // As it was read, and not anew: another tab may have switched the account meanwhile.
        let who = Who {
            caller: Arc::clone(&who.caller),
            session: SignedIn { proved: visit.app.shared.clock.now(), ..who.session.clone() },
            accounts: who.accounts.clone(),
            cookie: who.cookie.clone(),
        };
        let proved = Visit {
            app: visit.app.clone(),
            home: visit.home.clone(),
            path: visit.path.clone(),
            query: visit.query.clone(),
            who: Some(who),
            browser: visit.browser.clone(),
            began: visit.began,
            form_cookie: visit.form_cookie.clone(),
            session_cookie: std::cell::RefCell::default(),
        };
        let outcome = work(&proved, form).await;
        if let Some(cookie) = proved.session_cookie.into_inner() {
            *visit.session_cookie.borrow_mut() = Some(cookie);
        }
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
        (shell::summary(error))
        form method="post" action=(visit.path) class="card narrow" {
            (visit.hidden())
            @for (name, value) in form.rest() {
                input type="hidden" name=(name) value=(value);
            }
            (shell::field("proof", "Password", html! {
                input id="proof" name="proof" type="password" autocomplete="current-password" required autofocus;
            }, None))
            @if has_factor {
                (shell::field("otp", "Code of your second factor", html! {
                    input id="otp" name="otp" autocomplete="one-time-code" required maxlength="20";
                }, None))
            }
            button class="primary" { "Go on" }
        }
    };
    Sheet::new("Is it still you?", body).refused(error.unwrap_or(&asked))
}

/// Text as a part of an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    percent::path(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_led_to() {
        for ours in ["/", "/console/keys?x=1", "/a/b"] {
            assert_eq!(own_path(ours), Some(ours));
        }
        for other in ["", "//evil", "/\\evil", "https://evil", "javascript:alert(1)", "/a b", "/\n"]
        {
            assert_eq!(own_path(other), None, "{other}");
        }
        assert_eq!(encoded("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
