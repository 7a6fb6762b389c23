//! Leaving for good, under the settings: the account with all that is in it, or a person in all accounts.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::form::Form;
use super::serve::take_member;
use super::settings;
use super::sheet::{Answer, go};
use super::visit::{Visit, Who};
use crate::base::{Blame, Error};
use crate::http::Worker;
use crate::stored::team;

/// What was refused is told on the settings; what needs a proof asks for it.
async fn refused(visit: &Visit, who: &Who, form: &Form, why: Error) -> Result<Answer, Error> {
    if why.blame != Blame::Caller || why.code.as_deref() == Some("proof_required") {
        return Err(why);
    }
    let why = if why.field.as_deref() == Some("name") { why.at("account-name") } else { why };
    Ok(settings::page(visit, who, Some((form, &why))).await?.into())
}

/// `POST /console/settings/leave`
pub async fn leave(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        match visit.app.shared.authentication.leave_for_good(&who.session).await {
            Ok(()) => {
                visit.keep_session(None);
                Ok(go("/signin?left=me"))
            }
            Err(why) => refused(visit, who, form, why).await,
        }
    })
    .await
}

/// `POST /console/settings/delete`: the account, by its name
pub async fn delete(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        match team::delete_account(
            &visit.app.administration(who.caller.key.clone()),
            &who.caller,
            &who.session,
            form.text("name"),
        )
        .await
        {
            Ok(()) => {
                visit.keep_session(None);
                Ok(go("/signin?left=account"))
            }
            Err(why) => refused(visit, who, form, why).await,
        }
    })
    .await
}
