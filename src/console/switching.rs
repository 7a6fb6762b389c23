//! From one of a person's accounts to another, in the head of every page. The cookie stays; forms of pages
//! that are open in another tab are of the account that they were made for, and are not taken any more.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::serve::take_member;
use super::sheet::go;
use crate::http::Worker;

/// `POST /console/account`
pub async fn switch(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        visit.app.shared.authentication.switch(&who.session, form.text("account")).await?;
        Ok(go("/console"))
    })
    .await
}
