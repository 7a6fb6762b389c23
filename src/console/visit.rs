//! One request of a browser: who it is, what it may see, and whether our own page sent it.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use maud::{Markup, html};
use tokio::time::Instant;

use super::cookie::Cookie;
use super::form::{self, Form};
use crate::admit::{Caller, must_be_proved};
use crate::base::secret::new_token;
use crate::base::{Error, Kind};
use crate::http::{Worker, origin};
use crate::store::{Browser, Membership, SignedIn};

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

    /// A form is taken from our own pages alone.
    ///
    /// # Errors
    /// [`Kind::Forbidden`], with what was expected and what came.
    pub fn must_be_ours(&self, request: &HttpRequest, token: &str) -> Result<(), Error> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let foreign = |text: String| Error::new(Kind::Forbidden, text).coded("cross_site");
        match (header("sec-fetch-site"), header("origin")) {
            (Some("same-origin"), _) | (None, None) => {}
            (Some(_), _) => {
                let text = "This form was sent by a page of another site. Nothing was done.";
                return Err(foreign(text.to_owned()));
            }
            (None, Some(origin)) => {
                let host = header("host").unwrap_or_default();
                let ours = [self.home.as_str(), &format!("{}://{host}", self.scheme())];
                if !ours.iter().any(|ours| ours.eq_ignore_ascii_case(origin)) {
                    let origin: String = origin.chars().take(200).collect();
                    let text = format!(
                        "This form was sent from {origin}, and this gateway is at {}. Nothing was done. \
                         Behind a proxy that changes the host, set server.public_url.",
                        self.home
                    );
                    return Err(foreign(text));
                }
            }
        }
        let (cookie, account) = self.bound_to();
        let Some(cookie) = cookie else {
            let text = format!(
                "Your browser kept no cookie of this site, and without one nothing can be sent. Allow \
                 cookies for {} and load the page again. (Administrator: server.public_url has to be \
                 the address that people type.)",
                self.home
            );
            return Err(Error::new(Kind::Forbidden, text).coded("no_cookie"));
        };
        if !form::is_right(token, cookie, account) {
            let text = "This form is of another session, or was open for too long. Nothing was done. Go \
                        back, load the page again, and send it once more.";
            return Err(Error::new(Kind::Forbidden, text).coded("csrf"));
        }
        Ok(())
    }

    /// The same, of a person who has just given their password.
    pub(super) fn proved(&self, who: &Who) -> Self {
        // As it was read, and not anew: another tab may have switched the account meanwhile.
        let who = Who {
            caller: Arc::clone(&who.caller),
            session: SignedIn { proved: self.app.shared.clock.now(), ..who.session.clone() },
            accounts: who.accounts.clone(),
            cookie: who.cookie.clone(),
        };
        Self {
            app: self.app.clone(),
            home: self.home.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            who: Some(who),
            browser: self.browser.clone(),
            began: self.began,
            form_cookie: self.form_cookie.clone(),
            session_cookie: std::cell::RefCell::default(),
        }
    }

    /// Has the browser keep what the same visit, proved, had it keep.
    pub(super) fn keep_session_of(&self, proved: Self) {
        if let Some(cookie) = proved.session_cookie.into_inner() {
            *self.session_cookie.borrow_mut() = Some(cookie);
        }
    }

    /// A page with a form on it needs something to bind it to.
    pub(super) fn prepare_form(&mut self) {
        if self.who.is_none() && self.form_cookie.0.is_none() {
            self.form_cookie = (new_token().ok(), true);
        }
    }
}
