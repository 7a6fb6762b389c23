//! `/console/team`: who is in the account, and who is invited.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use serde_json::Value;

use super::Worker;
use super::figures::{minute, text};
use super::shell::{choice, field, notice, snippet, summary};
use super::visit::{Answer, Sheet, Visit, Who, go, show_member, take_member};
use crate::base::{Blame, Error, Kind};
use crate::stored::team;

const ROLES: [(&str, &str); 3] = [
    ("member", "member: uses it, and has what is theirs"),
    ("owner", "owner: runs the account"),
    ("billing", "billing: reads what was used"),
];

async fn page(visit: &Visit, who: &Who, error: Option<&Error>) -> Result<Sheet, Error> {
    let done = match visit.query.text("done") {
        "factor" => Some(
            "Their second factor is off. They sign in with their password, and can set up another.",
        ),
        "role" => Some("The role was changed. It holds within a second, everywhere."),
        "removed" => Some("The member was removed, with their keys and all that they kept."),
        "withdrawn" => Some("The invitation was withdrawn. Its link leads nowhere any more."),
        _ => None,
    };
    let runs = who.caller.person.must_run_the_account().is_ok();
    let members = team::members(&visit.app, &who.caller).await?;
    let invitations = if runs {
        visit.app.shared.authentication.invitations(&who.session.account).await?
    } else {
        Vec::new()
    };
    let body = html! {
        div class="head" { h1 { "Team" } p class="dim" { (who.session.account_name) } }
        (notice(done))
        (summary(error))
        div class="scroll" {
            table class="cards" {
                thead { tr { th scope="col" { "Member" } th scope="col" { "Role" } th scope="col" { "Since" } @if runs { th scope="col" { "Change" } } } }
                tbody {
                    @for one in &members {
                        tr {
                            th scope="row" { (one.email) @if one.id == who.session.member { " " span class="tag good" { "you" } } }
                            td data-name="Role" { (one.role) @if one.has_factor { " " span class="tag good" { "2FA" } } @if one.password.is_none() { " " span class="tag" { "cannot sign in" } } }
                            td data-name="Since" { (minute(one.created)) }
                            @if runs {
                                td data-name="Change" {
                                    @if one.role != "admin" { a href=(format!("/console/team/{}", one.id)) { "Change" } }
                                }
                            }
                        }
                    }
                    @for one in &invitations {
                        tr {
                            th scope="row" { (one.subject) " " span class="tag warn" { "invited" } }
                            td data-name="Role" { (text(&serde_json::from_str::<Value>(&one.payload).unwrap_or_default(), "role")) }
                            td data-name="Since" { "good until " (minute(one.expires)) }
                            td data-name="Change" {
                                form method="post" action=(format!("/console/team/invitations/{}", one.id)) {
                                    (visit.hidden())
                                    button class="quiet danger" { "Withdraw" }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if runs {
            section class="card narrow" {
                h2 { "Invite somebody" }
                form method="post" action="/console/team/invitations" {
                    (visit.hidden())
                    (field("email", "E-mail", html! { input id="email" name="email" type="email" required maxlength="320"; }, None))
                    (field("role", "Role", choice("role", &ROLES, "member"), None))
                    @if visit.app.shared.authentication.mail.is_some() {
                        button class="primary" { "Invite" }
                        p class="hint" { "They get a link by mail, and you see it too, once." }
                    } @else {
                        button class="primary" { "Make the link" }
                        p class="hint" { "This gateway sends no mail: you get a link to give them, once." }
                    }
                }
            }
        }
    };
    let sheet = Sheet::new("Team", body);
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /console/team`
pub async fn team(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| Ok(page(visit, who, None).await?.into())).await
}

/// `POST /console/team/invitations`
pub async fn invite(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        who.caller.person.must_run_the_account()?;
        let (email, role) = (form.text("email"), form.text("role"));
        let (account, by) = (&who.session.account, who.session.email.as_str());
        let secret = match visit.app.shared.authentication.invite(account, email, role, by).await {
            Ok(secret) => secret,
            Err(why) if why.blame == Blame::Caller => {
                return Ok::<Answer, Error>(page(visit, who, Some(&why)).await?.into());
            }
            Err(why) => return Err(why),
        };
        let body = html! {
            h1 { "The invitation of " (email) }
            @if visit.app.shared.authentication.mail.is_some() {
                p class="lede" { "A mail with this link is on its way to them. Here it is shown only now; it is good for seven days, and once." }
            } @else {
                p class="lede" { "Give them this link. It is shown only now, is good for seven days, and once." }
            }
            div class="card" { div class="secret" { (snippet("link", &format!("{}/invite/{secret}", visit.home))) } }
            p class="buttons" { a class="button primary" href="/console/team" { "Back to the team" } }
        };
        Ok(Sheet::new("An invitation", body).into())
    })
    .await
}

/// `POST /console/team/invitations/{id}`: takes it back
pub async fn withdraw(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        who.caller.person.must_run_the_account()?;
        visit.app.shared.authentication.withdraw(&who.session.account, &id).await?;
        Ok(go("/console/team?done=withdrawn"))
    })
    .await
}

/// `GET /console/team/{id}`
pub async fn member(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        who.caller.person.must_run_the_account()?;
        let all = team::members(&visit.app, &who.caller).await?;
        let one = all.iter().find(|one| one.id == *id).ok_or_else(|| {
            Error::new(Kind::NotFound, "There is no such member.")
        })?;
        let body = html! {
            h1 { (one.email) }
            div class="two" {
                form method="post" action=(format!("/console/team/{id}/role")) class="card" {
                    (visit.hidden())
                    (field("role", "Role", choice("role", &ROLES, &one.role), None))
                    button class="primary" { "Change the role" }
                }
                @if one.has_factor {
                    form method="post" action=(format!("/console/team/{id}/factor")) class="card" {
                        (visit.hidden())
                        h2 { "Second factor" }
                        p { "Should they have lost it, take it away: they then sign in with their password alone." }
                        button class="danger" { "Take it away" }
                    }
                }
                form method="post" action=(format!("/console/team/{id}/remove")) class="card" {
                    (visit.hidden())
                    h2 { "Remove" }
                    p { "Their keys end, and all that they keep here is forgotten. What they used stays in the books." }
                    button class="danger" { "Remove " (one.email) }
                }
            }
            p { a href="/console/team" { "Back to the team" } }
        };
        Ok(Sheet::new(one.email.clone(), body).into())
    })
    .await
}

/// `POST /console/team/{id}/role`
pub async fn change_role(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        if form.has("role", "owner") {
            visit.must_be_proved()?;
        }
        team::change_role(&visit.app, &who.caller, &id, form.text("role")).await?;
        Ok(go("/console/team?done=role"))
    })
    .await
}

/// `POST /console/team/{id}/factor`: takes a lost second factor away
pub async fn reset_factor(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        visit.must_be_proved()?;
        team::reset_factor(&visit.app, &who.caller, &id).await?;
        Ok(go("/console/team?done=factor"))
    })
    .await
}

/// `POST /console/team/{id}/remove`
pub async fn remove(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        visit.must_be_proved()?;
        team::remove(&visit.app, &who.caller, &id).await?;
        Ok(go("/console/team?done=removed"))
    })
    .await
}
