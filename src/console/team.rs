//! `/console/team`: who is in the account, and who is invited.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::call::Call;
use super::figures::minute;
use super::form::Form;
use super::parts::{choice, field, notice, snippet, summary};
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::admit::InvitationDetails;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;
use crate::store::Token;
use crate::stored::keeper::Keeper;
use crate::stored::team::{self, KnownMember};

fn keeper(who: &Who) -> Keeper {
    Keeper::Person(Box::new(who.session.clone()))
}

const ROLES: [(&str, &str); 3] = [
    ("member", "member: uses it, and has what is theirs"),
    ("owner", "owner: runs the account"),
    ("billing", "billing: reads what was used"),
];

/// The team. `typed`: the invitation that was refused with `error`, so that nobody types it again.
async fn page(
    visit: &Visit,
    who: &Who,
    typed: &Form,
    error: Option<&Error>,
) -> Result<Sheet, Error> {
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
    let members = team::members(&visit.app.shared.authentication, &who.caller).await?;
    let invitations = if runs {
        team::invitations(&visit.app.shared.authentication, &who.caller).await?
    } else {
        Vec::new()
    };
    let roles: Vec<String> = invitations
        .iter()
        .map(|one| InvitationDetails::of(one).map(|invited| invited.role))
        .collect::<Result<_, _>>()?;
    let body = html! {
        div class="head" { h1 { "Team" } p class="dim" { (who.session.account_name) } }
        (notice(done))
        (summary(error))
        div class="scroll" {
            table class="cards" {
                thead { tr { th scope="col" { "Member" } th scope="col" { "Role" } th scope="col" { "Since" } th scope="col" { "Last seen" } th scope="col" class="n" { "Keys" } @if runs { th scope="col" { "Change" } } } }
                tbody {
                    @for KnownMember { member: one, seen, keys } in &members {
                        tr {
                            th scope="row" {
                                (one.email) @if one.id == who.session.member { " " span class="tag good" { "you" } }
                                @if !one.name.is_empty() { " " span class="dim" { (one.name) } }
                            }
                            td data-name="Role" { (one.role) @if one.has_factor { " " span class="tag good" { "2FA" } } @if one.person.is_none() { " " span class="tag" { "cannot sign in" } } }
                            td data-name="Since" { (minute(one.created)) }
                            td data-name="Last seen" { (seen.map_or_else(|| "-".to_owned(), minute)) }
                            td data-name="Keys" class="n" { (keys) }
                            @if runs {
                                td data-name="Change" {
                                    @if one.role != "admin" { a href=(format!("/console/team/{}", one.id)) { "Change" } }
                                }
                            }
                        }
                    }
                    @for (one, role) in invitations.iter().zip(&roles) {
                        tr {
                            th scope="row" { (one.subject) " " span class="tag warn" { "invited" } }
                            td data-name="Role" { (role) }
                            td data-name="Since" { "good until " (minute(one.expires)) }
                            td data-name="Last seen" { "-" }
                            td data-name="Keys" class="n" { "0" }
                            td data-name="Change" {
                                form method="post" action=(format!("/console/team/invitations/{}/resend", one.id)) {
                                    (visit.hidden())
                                    button class="quiet" { "New link" }
                                }
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
                    (field("email", "E-mail", html! { input id="email" name="email" type="email" required maxlength="320" value=(typed.text("email")); }, None))
                    (field("role", "Role", choice("role", &ROLES, typed.given("role").unwrap_or("member")), None))
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
    let mut sheet = Sheet::new("Team", body).by_api(Call::get("/v1/account/members").of_person());
    if runs {
        sheet = sheet.by_api(Call::get("/v1/account/invitations").of_person());
    }
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /console/team`
pub async fn team(app: Worker, request: HttpRequest) -> HttpResponse {
    let nothing = Form::default();
    show_member(app, request, async |visit, who| Ok(page(visit, who, &nothing, None).await?.into()))
        .await
}

/// `POST /console/team/invitations`
pub async fn invite(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let (email, role) = (form.text("email"), form.text("role"));
        let made =
            team::invite(&visit.app.shared.authentication, &who.caller, &keeper(who), email, role)
                .await;
        invited(visit, who, form, made).await
    })
    .await
}

/// `POST /console/team/invitations/{id}/resend`: another link
pub async fn invite_again(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let made =
            team::invite_again(&visit.app.shared.authentication, &who.caller, &keeper(who), &id)
                .await;
        invited(visit, who, form, made).await
    })
    .await
}

/// The link of an invitation, once; or the team, with why there is none.
async fn invited(
    visit: &Visit,
    who: &Who,
    form: &Form,
    made: Result<(Token, String), Error>,
) -> Result<Answer, Error> {
    let (invitation, secret) = match made {
        Ok(made) => made,
        Err(why) if why.blame == Blame::Caller && why.kind != Kind::Forbidden => {
            return Ok(page(visit, who, form, Some(&why)).await?.into());
        }
        Err(why) => return Err(why),
    };
    let body = html! {
            h1 { "The invitation of " (invitation.subject) }
            @if visit.app.shared.authentication.mail.is_some() {
                p class="lede" { "A mail with this link is on its way to them. Here it is shown only now; it is good for seven days, and once." }
            } @else {
                p class="lede" { "Give them this link. It is shown only now, is good for seven days, and once." }
            }
            div class="card" { div class="secret" { (snippet("link", &format!("{}/invite/{secret}", visit.home))) } }
            p class="buttons" { a class="button primary" href="/console/team" { "Back to the team" } }
    };
    Ok(Sheet::new("An invitation", body).into())
}

/// `POST /console/team/invitations/{id}`: takes it back
pub async fn withdraw(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        team::withdraw(&visit.app.shared.authentication, &who.caller, &id).await?;
        Ok(go("/console/team?done=withdrawn"))
    })
    .await
}

/// `GET /console/team/{id}`
pub async fn member(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        who.caller.person.must_run_the_account()?;
        let one = team::member(&visit.app.shared.store, &who.caller, &id).await?;
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
        let role = form.text("role");
        team::change_role(&visit.app.shared.authentication, &who.caller, &keeper(who), &id, role)
            .await?;
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
        team::reset_factor(
            &visit.app.administration(who.caller.key.clone()),
            &who.caller,
            &who.session,
            &id,
        )
        .await?;
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
        team::remove(
            &visit.app.administration(who.caller.key.clone()),
            &who.caller,
            &who.session,
            &id,
        )
        .await?;
        Ok(go("/console/team?done=removed"))
    })
    .await
}
