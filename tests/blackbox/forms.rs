//! Forms of the console, each sent as a browser without scripts sends it, and what comes of it.

use serde_json::{Value, json};

use crate::console::{OPEN, Page, Tab, link};
use crate::house::{Gateway, Reply};
use crate::mail::mailing;
use crate::people::{shown, with_factor};
use crate::servers::Smtp;
use crate::signin::{member, post, sign_in, with};

const PASSWORD: &str = "correct horse battery staple";

/// Where the first form of a page goes whose address begins and ends so.
fn action(page: &Page, start: &str, end: &str) -> String {
    let mut all = page.text.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let found = all.find(|path| path.starts_with(start) && path.ends_with(end));
    found.unwrap_or_else(|| panic!("no form to {start}…{end}: {}", page.text)).to_owned()
}

fn leads(page: &Page, to: &str) {
    assert_eq!((page.status(), page.leads_to()), (303, to), "{}", page.text);
}

fn login(gateway: &Gateway, email: &str) -> Reply {
    post(gateway, "/api/auth/login", &json!({"email": email, "password": PASSWORD}))
}

/// An account with an owner who is signed in and a member, whose id it is.
fn team(gateway: &Gateway) -> (Tab<'_>, String, String) {
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(gateway, &account, "ann@example.com", "owner");
    let bob = member(gateway, &account, "bob@example.com", "member");
    (Tab::sign_in(gateway, "ann@example.com", PASSWORD), account, bob)
}

fn members(gateway: &Gateway, account: &str) -> Vec<Value> {
    let listed = gateway.admin("GET", &format!("/accounts/{account}/members"), &Value::Null);
    listed.json()["data"].as_array().unwrap().clone()
}

#[test]
fn an_agent_is_deleted() {
    let gateway = Gateway::start(OPEN);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    for name in ["helper", "other"] {
        let made = tab.fill("/console/agents/new", "/console/agents/new", &[("name", name)]);
        leads(&made, "/console/agents?done=saved");
    }
    let list = || gateway.get("/v1/agents", &key).json()["data"].as_array().unwrap().clone();
    let one = list().into_iter().find(|one| one["name"] == "helper").unwrap();
    let path = format!("/console/agents/{}", one["id"].as_str().unwrap());
    // Once its name is typed, and not before.
    let delete = format!("{path}/delete");
    tab.get(&path).has(&delete);
    let page = tab.get(&delete);
    page.has("Type the name of the agent, helper, to go on");
    for typed in ["", "Helper", "other"] {
        let refused = tab.submit(&page, &delete, &[("name", typed)]);
        assert_eq!(refused.status(), 400, "{}", refused.text);
        refused.has("role=\"alert\"");
        refused.has("is not 'helper'");
        refused.has(&format!("value=\"{typed}\""));
    }
    assert_eq!(list().len(), 2);
    let gone = tab.fill(&delete, &delete, &[("name", "helper")]);
    leads(&gone, "/console/agents?done=deleted");
    let page = tab.get(gone.leads_to());
    page.has("The agent is gone");
    page.lacks("helper");
    assert_eq!(tab.get(&path).status(), 404);
    assert!(list().len() == 1 && list()[0]["name"] == "other", "{:?}", list());
}

#[test]
fn an_app_is_connected_and_disconnected() {
    let app = "[connect.apps.app]\ncommand = [\"true\"]\nauth = { kind = \"bearer\" }\n";
    let gateway = Gateway::start(&format!("{OPEN}{app}"));
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let accounts = || {
        let listed = gateway.get("/v1/connect/accounts", &key);
        listed.json()["data"].as_array().unwrap().clone()
    };
    tab.get("/console/connect").has("not connected");
    let fields = [("password", "token-of-ann")];
    let made = tab.fill("/console/connect", "/console/connect/app", &fields);
    leads(&made, "/console/connect?done=connected");
    assert_eq!((accounts().len(), &accounts()[0]["app"]), (1, &json!("app")));
    let page = tab.get(made.leads_to());
    page.has("The app is connected");
    page.lacks("token-of-ann");
    page.lacks("not connected");
    let path = action(&page, "/console/connect/accounts/", "/disconnect");
    let gone = tab.submit(&page, &path, &[]);
    leads(&gone, "/console/connect?done=disconnected");
    tab.get(gone.leads_to()).has("not connected");
    assert!(accounts().is_empty(), "{:?}", accounts());
}

#[test]
fn an_invitation_is_made_anew_withdrawn_and_declined() {
    let gateway = Gateway::start("");
    let (ann, account, _) = team(&gateway);
    let (access, _) = sign_in(&gateway, "ann@example.com");
    let invite = || {
        let fields = [("email", "cy@example.com"), ("role", "member")];
        let made = ann.fill("/console/team", "/console/team/invitations", &fields);
        made.secret("link").replace(&gateway.base, "")
    };
    let is_good = |path: &str| Tab::of(&gateway).get(path).status() == 200;
    let left = || {
        let listed = gateway.get("/v1/account/invitations", &access).json();
        listed["data"].as_array().unwrap().len()
    };
    let old = invite();
    let page = ann.get("/console/team");
    let made = ann.submit(&page, &action(&page, "/console/team/invitations/", "/resend"), &[]);
    assert_eq!(made.status(), 200, "{}", made.text);
    let newer = made.secret("link").replace(&gateway.base, "");
    assert_eq!((is_good(&old), is_good(&newer), left()), (false, true, 1));
    let page = ann.get("/console/team");
    let path = action(&page, "/console/team/invitations/", "/resend");
    let gone = ann.submit(&page, path.trim_end_matches("/resend"), &[]);
    leads(&gone, "/console/team?done=withdrawn");
    ann.get(gone.leads_to()).lacks("cy@example.com");
    assert_eq!((is_good(&newer), left()), (false, 0));
    let path = invite();
    assert!(is_good(&path));
    let declined = Tab::of(&gateway).fill(&path, &format!("{path}/decline"), &[]);
    assert_eq!(declined.status(), 200, "{}", declined.text);
    declined.has("Declined");
    assert_eq!((is_good(&path), left()), (false, 0));
    ann.get("/console/team").lacks("cy@example.com");
    assert_eq!(members(&gateway, &account).len(), 2, "nobody has come in");
}

#[test]
fn an_owner_changes_a_role_takes_a_factor_away_and_removes_a_member() {
    let gateway = Gateway::start("");
    let (ann, account, bob) = team(&gateway);
    let (theirs, _) = sign_in(&gateway, "bob@example.com");
    with_factor(&gateway, &theirs);
    let own = link(&ann.get("/console/team"), &format!("/console/team/{bob}")).to_owned();
    let of_bob = || members(&gateway, &account).into_iter().find(|one| one["id"] == bob.as_str());
    let changed = ann.fill(&own, &format!("{own}/role"), &[("role", "billing")]);
    leads(&changed, "/console/team?done=role");
    ann.get(changed.leads_to()).has("<td data-name=\"Role\">billing");
    assert_eq!(of_bob().unwrap()["role"], "billing");
    assert_eq!(login(&gateway, "bob@example.com").json()["code"], "otp_required");
    ann.get("/console/team").has("2FA");
    leads(&ann.fill(&own, &format!("{own}/factor"), &[]), "/console/team?done=factor");
    ann.get("/console/team").lacks("2FA");
    let (token, _) = sign_in(&gateway, "bob@example.com");
    let gone = ann.fill(&own, &format!("{own}/remove"), &[]);
    leads(&gone, "/console/team?done=removed");
    ann.get(gone.leads_to()).lacks("bob@example.com");
    assert!(of_bob().is_none());
    assert_eq!(login(&gateway, "bob@example.com").status, 401);
    assert_eq!(gateway.get("/v1/usage", &token).status, 401, "all that was signed in has ended");
}

#[test]
fn a_second_factor_is_switched_off() {
    let gateway = Gateway::start("");
    let (ann, ..) = team(&gateway);
    let secret = with_factor(&gateway, &sign_in(&gateway, "ann@example.com").0);
    let off = |password: &str, otp: &str| {
        let fields = [("password", password), ("otp", otp)];
        ann.fill("/console/settings", "/console/settings/factor/off", &fields)
    };
    let otp = shown(&secret, 1);
    let refused = off("not it", &otp);
    assert_eq!(refused.status(), 401, "{}", refused.text);
    assert_eq!(login(&gateway, "ann@example.com").json()["code"], "otp_required");
    let gone = off(PASSWORD, &otp);
    leads(&gone, "/console/settings?done=factor_off");
    ann.get(gone.leads_to()).has("The second factor is off");
    assert_eq!(login(&gateway, "ann@example.com").status, 200);
}

#[test]
fn one_session_is_ended_and_no_other() {
    let gateway = Gateway::start(OPEN);
    let (tab, _) = Tab::sign_up(&gateway, "ann@example.com");
    let others = [0, 1].map(|_| Tab::sign_in(&gateway, "ann@example.com", PASSWORD));
    let page = tab.get("/console/settings");
    let gone = tab.submit(&page, &action(&page, "/console/settings/sessions/", ""), &[]);
    leads(&gone, "/console/settings?done=ended");
    tab.get(gone.leads_to()).has("That has ended");
    let mut left = others.each_ref().map(|tab| tab.get("/console").status());
    left.sort_unstable();
    assert_eq!(left, [200, 303], "one of the others");
    assert_eq!(tab.get("/console").status(), 200, "and not this one");
}

#[test]
fn who_forgot_their_password_gets_a_link_by_mail_and_nobody_hears_who_is_here() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    team(&gateway);
    let forgot = |email: &str| Tab::of(&gateway).fill("/forgot", "/forgot", &[("email", email)]);
    let (known, unknown) = (forgot("ann@example.com"), forgot("eve@example.com"));
    assert_eq!((known.status(), unknown.status()), (200, 200), "{}", known.text);
    let main = |page: &Page, email: &str| {
        let text = page.text.split("<main").nth(1).unwrap().replace(email, "whoever");
        assert!(text.contains("Look at your mail") && text.contains("whoever"), "{text}");
        text
    };
    assert_eq!(main(&known, "ann@example.com"), main(&unknown, "eve@example.com"));
    let link = smtp.letter("ann@example.com", 1).link("http://mail.test/reset/");
    let path = link.replace("http://mail.test", "");
    let tab = Tab::of(&gateway);
    leads(&tab.fill(&path, &path, &[("password", "another long password")]), "/console");
    assert_eq!(tab.get("/console").status(), 200);
    assert_eq!(login(&gateway, "ann@example.com").status, 401);
    assert!(smtp.letters("eve@example.com").is_empty());
}

#[test]
fn administrators_open_accounts_change_plans_and_take_factors_away() {
    let gateway = Gateway::start("");
    let (operators, _) = gateway.account("operators", "enterprise", &json!({}));
    member(&gateway, &operators, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let open = |name: &str| {
        let fields = [("name", name), ("plan", "free")];
        root.fill("/admin/accounts", "/admin/accounts", &fields)
    };
    let made = open("newcomer");
    assert_eq!(made.status(), 303, "{}", made.text);
    let at = made.leads_to().strip_suffix("?done=opened").unwrap().to_owned();
    root.get(made.leads_to()).has("The account is open");
    let id = at.rsplit('/').next().unwrap();
    let told = || gateway.admin("GET", &format!("/accounts/{id}"), &Value::Null).json();
    assert_eq!((&told()["name"], &told()["plan"]), (&json!("newcomer"), &json!("free")));
    let again = open("newcomer");
    assert_eq!(again.status(), 409, "{}", again.text);
    again.has("value=\"newcomer\"");
    let changed = root.fill(&at, &format!("{at}/plan"), &[("plan", "pro")]);
    leads(&changed, &format!("{at}?done=plan"));
    assert_eq!(told()["plan"], "pro");
    let ann = member(&gateway, id, "ann@example.com", "owner");
    with_factor(&gateway, &sign_in(&gateway, "ann@example.com").0);
    assert_eq!(login(&gateway, "ann@example.com").json()["code"], "otp_required");
    let taken = root.fill(&at, &format!("{at}/factor"), &[("member", &ann)]);
    leads(&taken, &format!("{at}?done=factor"));
    root.get(taken.leads_to()).has("The second factor is off");
    assert_eq!(login(&gateway, "ann@example.com").status, 200);
}

#[test]
fn who_is_signed_in_is_told_that_the_password_is_not_theirs() {
    let gateway = Gateway::start(OPEN);
    let (tab, _) = Tab::sign_up(&gateway, "ann@example.com");
    let (access, _) = sign_in(&gateway, "ann@example.com");
    with_factor(&gateway, &access);
    let told = "The current password is not right.";
    for (form, fields) in [
        ("password", &[("old", "not it"), ("otp", "1"), ("new", "another long password")][..]),
        ("factor/off", &[("password", "not it"), ("otp", "1")]),
    ] {
        let path = format!("/console/settings/{form}");
        let refused = tab.fill("/console/settings", &path, fields);
        assert_eq!(refused.status(), 401, "{form}: {}", refused.text);
        refused.has(told);
        refused.lacks("Wrong e-mail address or password");
    }
    let said = json!({"password": "not it", "otp": "1"});
    let refused = with(&gateway, "POST", "/v1/me/prove", &access, &said);
    assert_eq!(refused.json()["error"]["code"], "wrong_password", "{}", refused.text());
    assert!(refused.text().contains(told), "{}", refused.text());
}

#[test]
fn an_invitation_that_was_taken_says_so_and_whom_to_ask() {
    let gateway = Gateway::start(OPEN);
    let (ann, ..) = team(&gateway);
    let fields = [("email", "cy@example.com"), ("role", "member")];
    let invited = ann.fill("/console/team", "/console/team/invitations", &fields);
    let path = invited.secret("link").replace(&gateway.base, "");
    let cy = Tab::of(&gateway);
    leads(&cy.fill(&path, &path, &[("password", PASSWORD)]), "/console");
    for tab in [&cy, &Tab::of(&gateway)] {
        let page = tab.get(&path);
        assert_eq!(page.status(), 404, "{}", page.text);
        page.has("This invitation was taken or declined already");
        page.has("ask ann@example.com for another");
    }
    let token = path.rsplit('/').next().unwrap();
    let told = gateway.get(&format!("/api/auth/invitations/{token}"), "");
    assert!(told.text().contains("ask ann@example.com"), "{}", told.text());
    assert_eq!(told.json()["code"], "token_invalid", "{}", told.text());
    // One that never was.
    let page = cy.get("/invite/none");
    assert_eq!(page.status(), 404);
    page.has("Ask whoever invited you");
}

#[test]
fn an_administrator_who_types_another_name_gets_the_form_again() {
    let gateway = Gateway::start(OPEN);
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    let (operators, _) = gateway.account("operators", "enterprise", &json!({}));
    member(&gateway, &operators, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let at = format!("/admin/accounts/{account}");
    for (form, fields, told, kept) in [
        ("erase", &[("name", "other")][..], "is not 'acme'", "value=\"other\""),
        (
            "credits",
            &[("credits", "many"), ("reason", "a gift")],
            "a whole number",
            "value=\"many\"",
        ),
    ] {
        let refused = root.fill(&at, &format!("{at}/{form}"), fields);
        assert_eq!(refused.status(), 400, "{form}: {}", refused.text);
        for part in ["role=\"alert\"", told, kept, "<h1>acme</h1>"] {
            refused.has(part);
        }
        // What was not done can be sent from there.
        assert!(!refused.hidden("once").is_empty(), "{form}");
    }
    let refused = root.fill(&at, &format!("{at}/erase"), &[("name", "other")]);
    let erased = root.submit(&refused, &format!("{at}/erase"), &[("name", "acme")]);
    leads(&erased, "/admin/accounts?done=erased");
}

#[test]
fn when_somebody_was_last_seen_is_known_after_they_have_left() {
    let gateway = Gateway::start(OPEN);
    let (ann, _, bob) = team(&gateway);
    let (access, _) = sign_in(&gateway, "ann@example.com");
    let seen = |id: &str| {
        let listed = gateway.get("/v1/account/members", &access).json();
        let found = listed["data"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
        found.unwrap_or_else(|| panic!("no {id}: {listed}"))["last_seen_at"].clone()
    };
    assert!(seen(&bob).is_null(), "never");
    let tab = Tab::sign_in(&gateway, "bob@example.com", PASSWORD);
    let here = seen(&bob);
    assert!(here.is_string(), "{here}");
    leads(&tab.fill("/console", "/signout", &[]), "/signin?left=1");
    assert_eq!(seen(&bob), here, "as it was");
    let page = ann.get("/console/team");
    page.has("bob@example.com");
    page.lacks("data-name=\"Last seen\">-<");
}
