//! `/api/auth/*`, and the keys that a signed-in customer has.

use actix_web::http::StatusCode;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::keys::{IssuedKey, shown_once};
use super::{Worker, arrival, origin, respond};
use crate::admit::{Applicant, InvitationDetails, Registered, Session, Stranger, masked};
use crate::base::calendar;
use crate::base::told::List;
use crate::base::{Error, Kind};
use crate::stored::person;

/// Nobody's e-mail address and password are longer.
const BODY_BYTES: usize = 16 << 10;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Credentials {
    #[serde(alias = "username")]
    email: String,
    #[schemars(with = "String")]
    password: SecretString,
    /// The code of a second factor, or a recovery code.
    otp: Option<String>,
    /// The account to sign in to, by its id or its name, for who is in several.
    account: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Registration")]
pub(in crate::http) struct NewAccount {
    #[serde(alias = "username")]
    email: String,
    #[schemars(with = "String")]
    password: SecretString,
    organisation: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Address {
    email: String,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "MailedCode")]
pub(in crate::http) struct Code {
    email: String,
    code: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct NewPassword {
    token: String,
    #[schemars(with = "String")]
    password: SecretString,
}

#[derive(Deserialize, Default, JsonSchema)]
pub(in crate::http) struct Acceptance {
    name: Option<String>,
    /// Not of who is signed in.
    #[schemars(with = "Option<String>")]
    password: Option<SecretString>,
    otp: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct RefreshToken {
    #[serde(alias = "refreshToken")]
    #[schemars(required, with = "String")]
    refresh_token: Option<String>,
}

#[derive(Deserialize, Default, JsonSchema)]
pub(in crate::http) struct Logout {
    #[serde(alias = "refreshToken")]
    refresh_token: Option<String>,
}

/// A session as its program gets it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub(in crate::http) struct ShownSession {
    access_token: String,
    token_type: &'static str,
    /// In seconds.
    expires_in: u64,
    refresh_token: String,
    user: SessionUser,
}

#[derive(Serialize, JsonSchema)]
struct SessionUser {
    id: String,
    person: Option<String>,
    email: String,
    role: String,
    account: String,
}

/// The session of somebody who has just registered, with a key that is shown once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Registered")]
pub(in crate::http) struct ShownRegistered {
    #[serde(flatten)]
    session: ShownSession,
    api_key: IssuedKey,
}

/// A word on what has become of what was asked.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Status {
    pub(super) status: &'static str,
}

/// Somebody else who lets people in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Issuer")]
pub(in crate::http) struct ShownIssuer {
    id: String,
    name: String,
    /// Where a browser begins.
    url: String,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct PasswordReset {
    reset: bool,
}

/// To what a link invites.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "InvitationSeen")]
pub(in crate::http) struct SeenInvitation {
    object: &'static str,
    account: Option<String>,
    email: String,
    role: String,
    by: String,
    expires_at: String,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Declined {
    declined: bool,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct SignedOut {
    signed_out: bool,
}

pub(super) fn shown(session: &Session) -> ShownSession {
    let member = &session.member;
    ShownSession {
        access_token: session.access.clone(),
        token_type: "Bearer",
        expires_in: session.expires_in.as_secs(),
        refresh_token: session.refresh.clone(),
        user: SessionUser {
            id: member.id.clone(),
            person: member.person.clone(),
            email: member.email.clone(),
            role: member.role.clone(),
            account: member.account.as_str().to_owned(),
        },
    }
}

fn session(outcome: Result<Session, Error>) -> HttpResponse {
    match outcome {
        Ok(session) => {
            HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(shown(&session))
        }
        Err(error) => respond::plainly(&error),
    }
}

/// `POST /api/auth/login`
pub async fn login(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let browser = origin::browser(&app, &request);
    let signing_in = async {
        let said: Credentials = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let (otp, account) = (said.otp.as_deref(), said.account.as_deref());
        let desk = &app.shared.authentication;
        desk.sign_in(&said.email, said.password, otp, account, browser).await
    };
    session(signing_in.await)
}

/// What is said plainly, with its status.
fn plain<A: Serialize>(outcome: Result<(StatusCode, A), Error>) -> HttpResponse {
    match outcome {
        Ok((status, value)) => {
            HttpResponse::build(status).insert_header(("cache-control", "no-store")).json(value)
        }
        Err(error) => respond::plainly(&error),
    }
}

/// That something is on its way by mail, if it is.
fn on_its_way(what: &'static str) -> (StatusCode, Status) {
    (StatusCode::ACCEPTED, Status { status: what })
}

fn registered(registered: &Registered) -> Result<(StatusCode, ShownRegistered), Error> {
    let api_key = shown_once(&registered.key)?;
    Ok((StatusCode::OK, ShownRegistered { session: shown(&registered.session), api_key }))
}

/// What registering comes to: a code that is mailed first, or a session.
#[derive(Serialize)]
#[serde(untagged)]
enum Registering {
    Asked(Status),
    Done(Box<ShownRegistered>),
}

/// `POST /api/auth/register`: a session, or 202 where a code is mailed first
pub async fn register(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let browser = origin::browser(&app, &request);
    let registering = async {
        let said: NewAccount = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        let applicant = Applicant {
            email: &said.email,
            password: said.password,
            organisation: said.organisation.as_deref(),
            browser,
        };
        if desk.proves_addresses() {
            desk.apply(applicant).await?;
            let (status, told) = on_its_way("code_sent");
            return Ok((status, Registering::Asked(told)));
        }
        let (status, told) = registered(&desk.register(applicant).await?)?;
        Ok((status, Registering::Done(Box::new(told))))
    };
    plain(registering.await)
}

/// `POST /api/auth/verify`: the code that was mailed
pub async fn verify(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let browser = origin::browser(&app, &request);
    let verifying = async {
        let said: Code = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        registered(&desk.confirm(&said.email, &said.code, browser).await?)
    };
    plain(verifying.await)
}

/// `POST /api/auth/verify/resend`
pub async fn send_again(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    let sending = async {
        let said: Address = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        app.shared.authentication.apply_again(&said.email, &address).await?;
        Ok(on_its_way("code_sent"))
    };
    plain(sending.await)
}

/// `GET /api/auth/providers`: who else lets people in, for browsers
pub async fn providers(app: Worker) -> HttpResponse {
    let all = app.shared.authentication.issuers.all();
    let all = all.map(|(id, name)| ShownIssuer {
        id: id.to_owned(),
        name: name.to_owned(),
        url: format!("/oidc/{id}/start"),
    });
    HttpResponse::Ok().json(List::of(all.collect()))
}

/// `POST /api/auth/forgot`: the same answer whoever has the address
pub async fn forgot(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    let forgetting = async {
        let said: Address = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        app.shared.authentication.forgot(&said.email, &address)?;
        Ok(on_its_way("link_sent"))
    };
    plain(forgetting.await)
}

/// A link that is not good is a fault of what was said here, not of the path.
fn of_body(error: Error) -> Error {
    if error.kind == Kind::NotFound {
        return Error::new(Kind::Malformed, error.public).at("token").coded("token_invalid");
    }
    error
}

/// `POST /api/auth/reset`: a new password, by the link that was mailed
pub async fn reset(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let resetting = async {
        let said: NewPassword = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        desk.reset(&said.token, said.password).await.map_err(of_body)?;
        Ok((StatusCode::OK, PasswordReset { reset: true }))
    };
    plain(resetting.await)
}

/// `GET /api/auth/invitations/{token}`
pub async fn invitation(app: Worker, token: Path<String>) -> HttpResponse {
    let looking = async {
        let invitation = app.shared.authentication.invited(&token).await?;
        let account = app.shared.store.account(invitation.account.as_str()).await;
        let account = account.map_err(Error::internal)?;
        let InvitationDetails { role, by } = InvitationDetails::of(&invitation)?;
        Ok((
            StatusCode::OK,
            SeenInvitation {
                object: "invitation",
                account: account.map(|account| account.name),
                email: masked(&invitation.subject),
                role,
                by,
                expires_at: calendar::written(invitation.expires),
            },
        ))
    };
    plain(looking.await)
}

/// `POST /api/auth/invitations/{token}`: joins, and signs in. Who is signed in says so by their access
/// token; who is not, by the password that they have here, or are to have.
pub async fn accept(
    app: Worker,
    request: HttpRequest,
    token: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let browser = origin::browser(&app, &request);
    let accepting = async {
        let said: Acceptance = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        if let Some(credential) = arrival::credential(&request).filter(|one| !one.is_empty()) {
            arrival::identified(&app, &request).await?;
            let signed_in = person::signed_in(desk, Some(credential)).await?;
            let member = desk.accept(&token, &signed_in).await.map_err(of_body)?;
            return desk.sign_in_elsewhere(&signed_in, member.account.as_str()).await;
        }
        let stranger = Stranger {
            name: said.name.as_deref().filter(|name| !name.is_empty()),
            password: said.password.unwrap_or_default(),
            otp: said.otp.as_deref(),
            browser,
        };
        desk.accept_and_sign_in(&token, stranger).await.map_err(of_body)
    };
    session(accepting.await)
}

/// `POST /api/auth/invitations/{token}/decline`
pub async fn decline(app: Worker, token: Path<String>) -> HttpResponse {
    let declining = async {
        app.shared.authentication.decline(&token).await.map_err(of_body)?;
        Ok((StatusCode::OK, Declined { declined: true }))
    };
    plain(declining.await)
}

/// `POST /api/auth/refresh`
pub async fn refresh(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let refreshing = async {
        let said: RefreshToken = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let token = said.refresh_token.ok_or_else(|| {
            Error::new(Kind::Malformed, "Missing required field: 'refresh_token'.")
        })?;
        app.shared.authentication.refresh(&token).await
    };
    session(refreshing.await)
}

/// `POST /api/auth/logout`
pub async fn logout(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let signing_out = async {
        let said: Logout = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let access = arrival::credential(&request);
        app.shared.authentication.sign_out(access, said.refresh_token.as_deref()).await
    };
    let outcome: Result<(), Error> = signing_out.await;
    match outcome {
        Ok(()) => HttpResponse::Ok().json(SignedOut { signed_out: true }),
        Err(error) => respond::plainly(&error),
    }
}

/// `GET /.well-known/jwks.json`
pub async fn jwks(app: Worker) -> HttpResponse {
    match app.shared.authentication.signers.jwks().await {
        Ok(keys) => {
            HttpResponse::Ok().insert_header(("cache-control", "public, max-age=300")).json(keys)
        }
        Err(error) => respond::plainly(&error),
    }
}
