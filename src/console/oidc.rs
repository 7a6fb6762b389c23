//! `/oidc/…`: out to an issuer, and back. It begins by a link, since what a form may lead to is our own.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};

use super::path::own_path;
use super::serve::show;
use super::sheet::go;
use super::signin::let_in;
use crate::base::{Error, Kind};
use crate::http::Worker;

/// `GET /oidc/{id}/start?next=`
pub async fn start(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show(app, request, async |visit| {
        let next = own_path(visit.query.text("next")).unwrap_or("/console");
        if visit.who.is_some() {
            return Ok(go(next));
        }
        let cookie = visit.form_cookie()?;
        let desk = &visit.app.shared.authentication;
        Ok(go(desk.set_out(&id, cookie, next, &visit.home).await?))
    })
    .await
}

/// `GET /oidc/{id}/callback?code=&state=`
pub async fn callback(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show(app, request, async |visit| {
        if visit.query.given("error").is_some() {
            let text = "The sign-in was broken off at the other side. Begin again.";
            return Err(Error::new(Kind::Unauthenticated, text).coded("issuer_refused"));
        }
        let said = (visit.query.text("state"), visit.query.text("code"));
        let desk = &visit.app.shared.authentication;
        let (browser, cookie) = (visit.browser.clone(), visit.form_cookie()?);
        let (entered, next) = desk.come_back(&id, said, cookie, &visit.home, browser).await?;
        Ok(let_in(visit, &entered, &next))
    })
    .await
}
