//! One person in several accounts: how they come into another, go from one to the other, and leave.

use serde_json::{Value, json};

use crate::console::{OPEN, Page, Tab};
use crate::house::{Gateway, Reply, client, send, within_a_second};
use crate::mail::mailing;
use crate::servers::{Postgres, Smtp};
use crate::signin::{member, post, sign_in, with};

const PASSWORD: &str = "correct horse battery staple";

fn register(gateway: &Gateway, email: &str) -> String {
    let made = post(gateway, "/api/auth/register", &json!({"email": email, "password": PASSWORD}));
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["access_token"].as_str().unwrap().to_owned()
}

/// The last part of an invitation's link, and its id.
fn invite(gateway: &Gateway, access: &str, email: &str, role: &str) -> (String, String) {
    let asked = json!({"email": email, "role": role});
    let made = with(gateway, "POST", "/v1/account/invitations", access, &asked);
    assert_eq!(made.status, 200, "{}", made.text());
    let link = made.json()["link"].as_str().unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    (link.rsplit('/').next().unwrap().to_owned(), id)
}

fn code(reply: &Reply) -> String {
    let said = reply.json();
    let code = if said["error"].is_object() { &said["error"]["code"] } else { &said["code"] };
    code.as_str().unwrap_or_default().to_owned()
}

fn accounts(gateway: &Gateway, access: &str) -> Vec<Value> {
    let me = gateway.get("/v1/me", access);
    assert_eq!(me.status, 200, "{}", me.text());
    me.json()["accounts"].as_array().unwrap().clone()
}

fn account_of(gateway: &Gateway, access: &str) -> String {
    let told = gateway.get("/v1/account", access);
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()["id"].as_str().unwrap().to_owned()
}

/// What the store is told to forget is as good as old.
fn age_proofs(gateway: &Gateway) {
    let script = "import sqlite3\nd = sqlite3.connect('optimux.db', timeout=10)\n\
                  d.execute('UPDATE signins SET proved_ms = 1')\nd.commit()\n";
    let aged = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(&gateway.folder)
        .status();
    assert!(aged.unwrap().success());
}

fn comes_into_another_and_goes_to_and_fro(gateway: &Gateway) {
    let ann = register(gateway, "ann@example.com");
    let (bob, key) = Tab::sign_up(gateway, "bob@example.com");
    let (theirs, own) = (account_of(gateway, &ann), account_of(gateway, &key));
    let (token, _) = invite(gateway, &ann, "bob@example.com", "member");
    let path = format!("/invite/{token}");
    let cookie = bob.cookie();
    let page = bob.get(&path);
    page.has("You are signed in as bob@example.com");
    let joined = bob.submit(&page, &path, &[]);
    assert_eq!((joined.status(), joined.leads_to()), (303, "/console"), "{}", joined.text);
    assert_eq!(bob.get(&path).status(), 404, "it was good once");
    bob.get("/console/team").has("<th scope=\"row\">ann@example.com");
    assert_eq!(bob.cookie(), cookie, "the session is the same, elsewhere");
    // A form of a tab that is in the one account does not act on the other.
    let other = bob.beside();
    let stale = other.get("/console/keys/new");
    let back = bob.fill("/console", "/console/account", &[("account", &own)]);
    assert_eq!((back.status(), back.leads_to()), (303, "/console"), "{}", back.text);
    let refused = other.submit(&stale, "/console/keys/new", &[("name", "astray")]);
    assert_eq!(refused.status(), 403, "{}", refused.text);
    let fresh = other.fill("/console/keys/new", "/console/keys/new", &[("name", "at home")]);
    assert_eq!(fresh.status(), 200, "{}", fresh.text);
    assert_eq!(other.cookie(), cookie);
    let names = |access: &str| gateway.get("/v1/keys", access).text();
    assert!(names(&key).contains("at home") && !names(&ann).contains("at home"));
    assert!(!names(&key).contains("astray") && !names(&ann).contains("astray"));
    bob.get("/console/team").lacks("<th scope=\"row\">ann@example.com");
    // Programs have a session in each.
    let (access, _) = sign_in(gateway, "bob@example.com");
    let listed = accounts(gateway, &access);
    assert_eq!(listed.len(), 2, "{listed:?}");
    let switch = |account: &str| {
        with(gateway, "POST", "/v1/me/account", &access, &json!({"account": account}))
    };
    for account in [&own, &theirs] {
        let there = switch(account);
        assert_eq!(there.status, 200, "{}", there.text());
        let there = there.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(&account_of(gateway, &there), account);
        let current = accounts(gateway, &there);
        let current = current.iter().find(|one| one["current"] == true).unwrap();
        assert_eq!(current["id"], account.as_str());
    }
    let before = account_of(gateway, &access);
    assert!(before == own || before == theirs, "the token that asked stays where it is");
    let (foreign, _) = gateway.account("foreign", "free", &json!({}));
    assert_eq!(
        (switch(&foreign).status, code(&switch(&foreign))),
        (404, "account_not_found".into())
    );
    assert_eq!(bob.fill("/console", "/console/account", &[("account", &foreign)]).status(), 404);
    let said = json!({"email": "bob@example.com", "password": PASSWORD, "account": theirs});
    let there = post(gateway, "/api/auth/login", &said);
    assert_eq!(there.json()["user"]["account"], theirs.as_str(), "{}", there.text());
    let said = json!({"email": "bob@example.com", "password": PASSWORD, "account": "foreign"});
    assert_eq!(post(gateway, "/api/auth/login", &said).status, 404);
    // Who is removed from one goes on in the other.
    let id = listed.iter().find(|one| one["id"] == theirs.as_str()).unwrap()["member"].clone();
    let at = format!("/v1/account/members/{}", id.as_str().unwrap());
    let there = there.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(with(gateway, "DELETE", &at, &there, &Value::Null).status, 403, "no owner");
    let gone = with(gateway, "DELETE", &at, &ann, &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(gateway.get("/v1/me", &there).status, 401, "signed out of the one");
    assert_eq!(bob.get("/console").status(), 200, "and not of the other");
    let (access, _) = sign_in(gateway, "bob@example.com");
    assert_eq!(accounts(gateway, &access).len(), 1);
    assert_eq!(account_of(gateway, &access), own);
}

#[test]
fn a_person_comes_into_another_account_and_goes_to_and_fro() {
    comes_into_another_and_goes_to_and_fro(&Gateway::start(OPEN));
}

#[test]
fn a_person_comes_into_another_account_and_goes_to_and_fro_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let config = format!("{OPEN}[store]\nurl = \"{}\"\n", postgres.url);
    let gateway = Gateway::start(&config);
    comes_into_another_and_goes_to_and_fro(&gateway);
}

#[test]
fn an_invitation_is_for_one_address_and_is_taken_or_not() {
    let gateway = Gateway::start(OPEN);
    let ann = register(&gateway, "ann@example.com");
    let eve = register(&gateway, "eve@example.com");
    register(&gateway, "bob@example.com");
    let accept = |token: &str, access: &str, body: &Value| {
        with(&gateway, "POST", &format!("/api/auth/invitations/{token}"), access, body)
    };
    let (token, _) = invite(&gateway, &ann, "bob@example.com", "billing");
    // As somebody else.
    let refused = accept(&token, &eve, &json!({}));
    assert_eq!((refused.status, code(&refused)), (409, "other_address".into()));
    let tab = Tab::sign_in(&gateway, "eve@example.com", PASSWORD);
    let page = tab.get(&format!("/invite/{token}"));
    page.has("Sign out first");
    assert_eq!(tab.submit(&page, &format!("/invite/{token}"), &[]).status(), 409);
    // By a key, which is nobody.
    let key = with(&gateway, "POST", "/v1/keys", &eve, &json!({"name": "k"})).json();
    let refused = accept(&token, key["key"].as_str().unwrap(), &json!({}));
    assert_eq!((refused.status, code(&refused)), (403, "person_required".into()));
    // By the password of whoever has the address, and no other.
    let wrong = accept(&token, "", &json!({"password": "quite another password"}));
    assert_eq!((wrong.status, code(&wrong)), (401, "wrong_password".into()));
    let joined = accept(&token, "", &json!({"password": PASSWORD}));
    assert_eq!(joined.status, 200, "{}", joined.text());
    assert_eq!(joined.json()["user"]["role"], "billing");
    let again = accept(&token, "", &json!({"password": PASSWORD}));
    assert_eq!((again.status, code(&again)), (400, "token_invalid".into()));
    // Somebody new gives a name.
    let (token, _) = invite(&gateway, &ann, "new@example.com", "member");
    let said = json!({"name": "New Comer", "password": PASSWORD});
    let made = accept(&token, "", &said);
    assert_eq!(made.status, 200, "{}", made.text());
    let me = gateway.get("/v1/me", made.json()["access_token"].as_str().unwrap()).json();
    assert_eq!((&me["name"], &me["verified"]), (&json!("New Comer"), &json!(false)), "{me}");
    // Declined, withdrawn, and with another link.
    let decline =
        |token: &str| post(&gateway, &format!("/api/auth/invitations/{token}/decline"), &json!({}));
    let (token, _) = invite(&gateway, &ann, "shy@example.com", "member");
    assert_eq!(decline(&token).json(), json!({"declined": true}));
    assert_eq!((decline(&token).status, code(&decline(&token))), (400, "token_invalid".into()));
    assert_eq!(accept(&token, "", &json!({"password": PASSWORD})).status, 400);
    let (old, id) = invite(&gateway, &ann, "late@example.com", "member");
    let at = format!("/v1/account/invitations/{id}");
    let newer = with(&gateway, "POST", &format!("{at}/resend"), &ann, &Value::Null);
    assert_eq!(newer.status, 200, "{}", newer.text());
    assert_eq!(gateway.get(&format!("/api/auth/invitations/{old}"), "").status, 404);
    let link = newer.json()["link"].as_str().unwrap().to_owned();
    let fresh = link.rsplit('/').next().unwrap();
    let seen = gateway.get(&format!("/api/auth/invitations/{fresh}"), "");
    assert_eq!(seen.json()["email"], "l…@example.com", "{}", seen.text());
    let all = gateway.get("/v1/account/invitations", &ann).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
    assert!(!all.to_string().contains(fresh), "the link is told once: {all}");
    let at = format!("/v1/account/invitations/{}", newer.json()["id"].as_str().unwrap());
    assert_eq!(with(&gateway, "DELETE", &at, &eve, &Value::Null).status, 404, "not hers");
    assert_eq!(with(&gateway, "DELETE", &at, &ann, &Value::Null).status, 200);
    assert_eq!(gateway.get(&format!("/api/auth/invitations/{fresh}"), "").status, 404);
    // Asked twice under one name it is one invitation, and its link is told once.
    let once = || {
        let request = client().post(format!("{}/v1/account/invitations", gateway.base));
        let request = request.bearer_auth(&ann).header("idempotency-key", "n1");
        send(request.body(json!({"email": "twice@example.com"}).to_string())).json()
    };
    let (first, second) = (once(), once());
    assert!(first["link"].is_string() && second["link"].is_null(), "{first} {second}");
    assert_eq!(first["id"], second["id"]);
    let refused = with(
        &gateway,
        "POST",
        "/v1/account/invitations",
        &ann,
        &json!({"email": "bob@example.com"}),
    );
    assert_eq!((refused.status, code(&refused)), (409, "taken".into()), "is here already");
    let refused = with(
        &gateway,
        "POST",
        "/v1/account/invitations",
        &ann,
        &json!({"email": "x@example.com", "role": "admin"}),
    );
    assert_eq!(refused.status, 400, "nobody becomes an administrator so");
}

#[test]
fn a_changed_role_holds_everywhere_within_a_second_and_the_last_owner_stays() {
    let Some(postgres) = Postgres::start() else { return };
    let config = format!("[store]\nurl = \"{}\"", postgres.url);
    let vault = [("OPTIMUX_VAULT_KEY", "0123456789abcdef0123456789abcdef")];
    let (one, other) = (Gateway::start_with(&config, &vault), Gateway::start_with(&config, &vault));
    let (account, _) = one.account("acme", "enterprise", &json!({}));
    let ann = member(&one, &account, "ann@example.com", "owner");
    let bob = member(&one, &account, "bob@example.com", "member");
    let (owner, _) = sign_in(&one, "ann@example.com");
    let (theirs, _) = sign_in(&one, "bob@example.com");
    let reads = |node: &Gateway| node.get("/v1/account/invitations", &theirs).status;
    assert_eq!((reads(&one), reads(&other)), (403, 403));
    let role = |id: &str, role: &str| {
        let at = format!("/v1/account/members/{id}");
        with(&one, "PATCH", &at, &owner, &json!({"role": role}))
    };
    let left = role(&ann, "member");
    assert_eq!((left.status, code(&left)), (409, "last_owner".into()));
    let made = role(&bob, "owner");
    assert_eq!(made.status, 200, "{}", made.text());
    let began = std::time::Instant::now();
    assert_eq!(reads(&one), 200, "at once where it was changed");
    within_a_second("the other node knows", began, || reads(&other) == 200);
    assert_eq!(role(&bob, "admin").status, 400);
    assert_eq!(role("member_none", "owner").status, 404);
    // Of two owners who leave at once, one stays.
    let (hers, his) = (owner.clone(), theirs.clone());
    let leave = |token: &str| with(&other, "DELETE", "/v1/me", token, &Value::Null).status;
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| leave(&hers));
        let second = scope.spawn(|| leave(&his));
        (first.join().unwrap(), second.join().unwrap())
    });
    let mut both = [first, second];
    both.sort_unstable();
    assert_eq!(both, [200, 409]);
}

#[test]
fn people_look_after_themselves_by_the_interface() {
    let gateway = Gateway::start(OPEN);
    let access = register(&gateway, "ann@example.com");
    let call = |method: &str, path: &str, token: &str, body: Value| {
        with(&gateway, method, path, token, &body)
    };
    let named = call("PATCH", "/v1/me", &access, json!({"name": " Ann "}));
    assert_eq!(named.json()["name"], "Ann", "{}", named.text());
    assert_eq!(call("PATCH", "/v1/me", &access, json!({"name": "a\u{7}b"})).status, 400);
    assert_eq!(call("PATCH", "/v1/me", &access, json!({"name": ""})).json()["name"], "");
    // Without mail an address changes at once, and is nobody else's.
    register(&gateway, "bob@example.com");
    let taken = call("POST", "/v1/me/email", &access, json!({"email": "Bob@example.com"}));
    assert_eq!((taken.status, code(&taken)), (409, "taken".into()));
    assert_eq!(call("POST", "/v1/me/email", &access, json!({"email": "nobody"})).status, 400);
    let moved = call("POST", "/v1/me/email", &access, json!({"email": "Anna@example.com"}));
    assert_eq!((moved.status, moved.json()), (200, json!({"status": "changed"})));
    let members = gateway.get("/v1/account/members", &access).json();
    assert_eq!(members["data"][0]["email"], "anna@example.com", "{members}");
    // Sessions: listed, ended one by one and all others.
    let (second, _) = sign_in(&gateway, "anna@example.com");
    let tab = Tab::sign_in(&gateway, "anna@example.com", PASSWORD);
    let list = |token: &str| gateway.get("/v1/me/sessions", token).json()["data"].clone();
    let all = list(&access);
    assert_eq!(all.as_array().unwrap().len(), 3, "{all}");
    let current = all.as_array().unwrap().iter().filter(|one| one["current"] == true).count();
    assert_eq!(current, 1, "{all}");
    let browser = all
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["agent"].as_str().unwrap_or_default().contains("Firefox"));
    let at = format!("/v1/me/sessions/{}", browser.unwrap()["id"].as_str().unwrap());
    let (eve, _) = {
        register(&gateway, "eve@example.com");
        sign_in(&gateway, "eve@example.com")
    };
    assert_eq!(call("DELETE", &at, &eve, Value::Null).status, 404, "not hers to end");
    assert_eq!(call("DELETE", &at, &access, Value::Null).status, 200);
    assert_eq!(tab.get("/console").status(), 303);
    assert_eq!(call("DELETE", "/v1/me/sessions", &access, Value::Null).json()["deleted"], 1);
    assert_eq!(gateway.get("/v1/me", &second).status, 401);
    // A password: all else ends, and the answer is a session.
    let wrong = json!({"old": "not it", "new": "another long password"});
    let refused = call("POST", "/v1/me/password", &access, wrong);
    assert_eq!((refused.status, code(&refused)), (401, "wrong_password".into()));
    let weak = call("POST", "/v1/me/password", &access, json!({"old": PASSWORD, "new": "short"}));
    assert_eq!((weak.status, code(&weak)), (400, "weak_password".into()));
    let said = json!({"old": PASSWORD, "new": "another long password"});
    let changed = call("POST", "/v1/me/password", &access, said);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let access = {
        assert_eq!(gateway.get("/v1/me", &access).status, 401, "the old token has ended");
        changed.json()["access_token"].as_str().unwrap().to_owned()
    };
    assert_eq!(gateway.get("/v1/me", &access).status, 200);
    // What cannot be undone takes a proof, which holds for the sign-in that gave it.
    age_proofs(&gateway);
    let (name, account) = ("ann@example.com", account_of(&gateway, &access));
    for (method, path, body) in [
        ("DELETE", "/v1/me", Value::Null),
        ("DELETE", "/v1/account", json!({"name": name})),
        ("POST", "/v1/me/email", json!({"email": "x@example.com"})),
    ] {
        let refused = call(method, path, &access, body);
        assert_eq!((refused.status, code(&refused)), (403, "proof_required".into()), "{path}");
    }
    let asked = json!({"email": "o@example.com", "role": "owner"});
    let refused = call("POST", "/v1/account/invitations", &access, asked);
    assert_eq!((refused.status, code(&refused)), (403, "proof_required".into()));
    let wrong = call("POST", "/v1/me/prove", &access, json!({"password": "no"}));
    assert_eq!((wrong.status, code(&wrong)), (401, "wrong_password".into()));
    let said = json!({"password": "another long password"});
    let proved = call("POST", "/v1/me/prove", &access, said);
    assert!(proved.json()["until"].as_str().unwrap().ends_with('Z'), "{}", proved.text());
    // The last owner cannot go, but the account can.
    let refused = call("DELETE", "/v1/me", &access, Value::Null);
    assert_eq!((refused.status, code(&refused)), (409, "last_owner".into()));
    let wrong = call("DELETE", "/v1/account", &access, json!({"name": "other"}));
    assert_eq!((wrong.status, wrong.json()["error"]["param"].clone()), (400, json!("name")));
    let gone = call("DELETE", "/v1/account", &access, json!({"name": name}));
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(gateway.get("/v1/me", &access).status, 401);
    let found = gateway.admin("GET", &format!("/accounts/{account}"), &Value::Null);
    assert_eq!(found.status, 404, "{}", found.text());
    let said = json!({"email": "anna@example.com", "password": "another long password"});
    assert_eq!(post(&gateway, "/api/auth/login", &said).status, 401, "and who was in no other");
}

#[test]
fn people_look_after_themselves_on_pages() {
    let gateway = Gateway::start(OPEN);
    let (ann, _) = Tab::sign_up(&gateway, "ann@example.com");
    let settings = |path: &str, fields: &[(&str, &str)]| -> Page {
        ann.fill("/console/settings", &format!("/console/settings/{path}"), fields)
    };
    settings("me", &[("name", "Ann of the House")]);
    ann.get("/console/team").has("Ann of the House");
    let moved = settings("email", &[("email", "anna@example.com")]);
    assert_eq!(moved.leads_to(), "/console/settings?done=moved", "{}", moved.text);
    ann.get("/console/settings").has("anna@example.com");
    let wrong = settings("delete", &[("name", "other")]);
    assert_eq!(wrong.status(), 400, "{}", wrong.text);
    wrong.has("The name that you typed is not");
    let last = settings("leave", &[]);
    assert_eq!(last.status(), 409, "{}", last.text);
    last.has("the last owner of an account");
    age_proofs(&gateway);
    let asked = settings("delete", &[("name", "ann@example.com")]);
    assert_eq!(asked.status(), 403, "{}", asked.text);
    asked.has("Is it still you?");
    let again = [("name", "ann@example.com"), ("proof", PASSWORD)];
    let gone = ann.submit(&asked, "/console/settings/delete", &again);
    assert_eq!(gone.leads_to(), "/signin?left=account", "{}", gone.text);
    ann.get("/signin?left=account").has("The account was deleted");
    assert_eq!(ann.get("/console").status(), 303);
    // A member goes by themselves, with what they kept in each account.
    let owner = register(&gateway, "owner@example.com");
    let (bob, key) = Tab::sign_up(&gateway, "bob@example.com");
    let (token, _) = invite(&gateway, &owner, "bob@example.com", "owner");
    let path = format!("/invite/{token}");
    assert_eq!(bob.fill(&path, &path, &[]).status(), 303);
    let stays = bob.fill("/console/settings", "/console/settings/leave", &[]);
    assert_eq!(stays.status(), 409, "of his own account he is the last: {}", stays.text);
    let own = account_of(&gateway, &key);
    bob.fill("/console", "/console/account", &[("account", &own)]);
    let gone =
        bob.fill("/console/settings", "/console/settings/delete", &[("name", "bob@example.com")]);
    assert_eq!(gone.leads_to(), "/signin?left=account", "{}", gone.text);
    let bob = Tab::sign_in(&gateway, "bob@example.com", PASSWORD);
    bob.get("/console/team").has("<th scope=\"row\">owner@example.com");
    let gone = bob.fill("/console/settings", "/console/settings/leave", &[]);
    assert_eq!(gone.leads_to(), "/signin?left=me", "{}", gone.text);
    let members = gateway.get("/v1/account/members", &owner).json();
    assert_eq!(members["data"].as_array().unwrap().len(), 1, "{members}");
}

#[test]
fn who_is_in_a_suspended_account_goes_on_in_another() {
    let gateway = Gateway::start(OPEN);
    let ann = register(&gateway, "ann@example.com");
    let (bob, key) = Tab::sign_up(&gateway, "bob@example.com");
    let own = account_of(&gateway, &key);
    let (token, _) = invite(&gateway, &ann, "bob@example.com", "member");
    let path = format!("/invite/{token}");
    assert_eq!(bob.fill(&path, &path, &[]).status(), 303);
    bob.fill("/console", "/console/account", &[("account", &own)]);
    let suspend = format!("/accounts/{own}/suspend");
    assert_eq!(gateway.admin("POST", &suspend, &Value::Null).status, 200);
    let led = bob.get("/console");
    assert_eq!((led.status(), led.leads_to()), (303, "/signin?next=/console"), "{}", led.text);
    let bob = Tab::sign_in(&gateway, "bob@example.com", PASSWORD);
    bob.get("/console/team").has("<th scope=\"row\">ann@example.com");
    let back = bob.fill("/console/team", "/console/account", &[("account", &own)]);
    assert_eq!(back.status(), 403, "{}", back.text);
    let (access, _) = sign_in(&gateway, "bob@example.com");
    assert_ne!(account_of(&gateway, &access), own);
}

#[test]
fn an_address_changes_once_its_owner_has_followed_the_link() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    member(&gateway, &account, "bob@example.com", "member");
    let ann = Tab::sign_in(&gateway, "ann@example.com", PASSWORD);
    let (access, _) = sign_in(&gateway, "ann@example.com");
    let (theirs, _) = sign_in(&gateway, "bob@example.com");
    let ask =
        |email: &str| with(&gateway, "POST", "/v1/me/email", &access, &json!({"email": email}));
    let (new, known) = (ask("anna@example.com"), ask("bob@example.com"));
    assert_eq!((new.status, new.json()), (202, json!({"status": "link_sent"})));
    assert_eq!((known.status, known.text()), (new.status, new.text()), "who is here is secret");
    assert!(smtp.letter("bob@example.com", 1).text.contains("You have an account"));
    let letter = smtp.letter("anna@example.com", 1);
    assert!(letter.text.contains("multipart/alternative"), "{}", letter.text);
    assert!(letter.text.contains("text/html") && letter.text.contains("text/plain"));
    let link = letter.link("http://mail.test/verify/");
    let token = link.rsplit('/').next().unwrap().to_owned();
    ann.get("/console/settings").has("ann@example.com");
    let confirm =
        |who: &str| with(&gateway, "POST", "/v1/me/email/confirm", who, &json!({"token": token}));
    let refused = confirm(&theirs);
    assert_eq!((refused.status, code(&refused)), (400, "token_invalid".into()), "not his");
    let path = format!("/verify/{token}");
    Tab::of(&gateway).get(&path).has("anna@example.com");
    let confirmed = confirm(&access);
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!(
        (&confirmed.json()["email"], &confirmed.json()["verified"]),
        (&json!("anna@example.com"), &json!(true))
    );
    assert_eq!((confirm(&access).status, Tab::of(&gateway).get(&path).status()), (400, 404));
    assert!(smtp.letter("ann@example.com", 1).text.contains("another e-mail address"));
    Tab::sign_in(&gateway, "anna@example.com", PASSWORD);
    let old = json!({"email": "ann@example.com", "password": PASSWORD});
    assert_eq!(post(&gateway, "/api/auth/login", &old).status, 401);
    // A link for an address that somebody else has by then changes nothing.
    ask("late@example.com");
    let link = smtp.letter("late@example.com", 1).link("http://mail.test/verify/");
    member(&gateway, &account, "late@example.com", "member");
    let token = link.rsplit('/').next().unwrap().to_owned();
    let taken = with(&gateway, "POST", "/v1/me/email/confirm", &access, &json!({"token": token}));
    assert_eq!((taken.status, code(&taken)), (409, "taken".into()), "{}", taken.text());
}

/// Twenty pages at a time from each of two tabs, while one of them goes from account to account: nobody
/// is signed out, each page is of one account, and no form acts on the other.
#[test]
fn two_tabs_in_two_accounts_are_never_signed_out() {
    let gateway = Gateway::start(OPEN);
    let ann = register(&gateway, "ann@example.com");
    let (bob, key) = Tab::sign_up(&gateway, "bob@example.com");
    let (theirs, own) = (account_of(&gateway, &ann), account_of(&gateway, &key));
    let (token, _) = invite(&gateway, &ann, "bob@example.com", "member");
    let path = format!("/invite/{token}");
    assert_eq!(bob.fill(&path, &path, &[]).status(), 303);
    let cookie = bob.cookie();
    let base = gateway.base.clone();
    let pages = ["/console", "/console/keys", "/console/team", "/console/settings"];
    let fetch = |path: &str| {
        let request =
            client().get(format!("{base}{path}")).header("cookie", format!("optimux={cookie}"));
        let page = send(request);
        assert_eq!(page.status, 200, "{path} {}", page.header("location"));
        page.text()
    };
    for round in 0..6 {
        std::thread::scope(|scope| {
            for number in 0..40 {
                let path = pages[number % pages.len()];
                scope.spawn(move || {
                    let page = fetch(path);
                    let of = |name: &str| {
                        page.contains(&format!("class=\"account\" title=\"{name}@example.com\""))
                    };
                    assert!(of("ann") != of("bob"), "{page}");
                });
            }
            let account = if round % 2 == 0 { &own } else { &theirs };
            let page = bob.get("/console");
            let switched = bob.submit(&page, "/console/account", &[("account", account)]);
            assert_eq!(switched.status(), 303, "{}", switched.text);
        });
        assert_eq!(bob.cookie(), cookie);
    }
}

#[test]
fn a_key_for_the_account_looks_after_its_members_and_is_made_by_who_proved_it() {
    let gateway = Gateway::start(OPEN);
    let (account, whole) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    member(&gateway, &account, "bob@example.com", "member");
    let (ann, _) = sign_in(&gateway, "ann@example.com");
    let (bob, _) = sign_in(&gateway, "bob@example.com");
    let wanted = json!({"name": "people", "scopes": ["account"]});
    let make = |credential: &str| with(&gateway, "POST", "/v1/keys", credential, &wanted);
    for (who, credential, code) in
        [("a key", &whole, "person_required"), ("a member", &bob, "owner_required")]
    {
        let refused = make(credential);
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (403, &json!(code)),
            "{who}"
        );
    }
    let made = make(&ann).json();
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    // What it is for, and nothing else.
    let asked = |method: &str, path: &str, body: &Value| {
        let reply = with(&gateway, method, path, key, body);
        let code = reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        (reply.status, code)
    };
    let members = with(&gateway, "GET", "/v1/account/members", key, &Value::Null).json();
    let find = |email: &str| {
        let all = members["data"].as_array().unwrap();
        let one = all.iter().find(|one| one["email"] == email).unwrap();
        format!("/v1/account/members/{}", one["id"].as_str().unwrap())
    };
    let fine = (200, String::new());
    assert_eq!(asked("PATCH", &find("bob@example.com"), &json!({"role": "billing"})), fine);
    let invited = json!({"email": "eve@example.com"});
    assert_eq!(asked("POST", "/v1/account/invitations", &invited), fine);
    let listed = with(&gateway, "GET", "/v1/account/invitations", key, &Value::Null).json();
    assert_eq!(listed["data"][0]["by"], "acme", "{listed}");
    let needs_person = (403, "person_required".to_owned());
    let owner = json!({"role": "owner"});
    assert_eq!(asked("PATCH", &find("bob@example.com"), &owner), needs_person);
    let owner = json!({"email": "mal@example.com", "role": "owner"});
    assert_eq!(asked("POST", "/v1/account/invitations", &owner), needs_person);
    assert_eq!(asked("DELETE", &find("bob@example.com"), &Value::Null), needs_person);
    assert_eq!(asked("DELETE", "/v1/account", &json!({"name": "acme"})), needs_person);
    assert_eq!(asked("GET", "/v1/usage", &Value::Null), (403, "missing_scope".to_owned()));
    let plain = with(&gateway, "GET", "/v1/account/members", &whole, &Value::Null);
    assert_eq!((plain.status, &plain.json()["error"]["code"]), (403, &json!("missing_scope")));
    // Nor does a key let itself in by a change of its terms.
    let ci = with(&gateway, "POST", "/v1/keys", &ann, &json!({"name": "ci"})).json();
    let change = json!({"scopes": ["account"]});
    let path = format!("/v1/keys/{}", ci["id"].as_str().unwrap());
    let refused = with(&gateway, "PATCH", &path, &whole, &change);
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (403, &json!("person_required"))
    );
    assert_eq!(with(&gateway, "PATCH", &path, &ann, &change).status, 200);
    // Nor by another key's: neither its terms nor its place are for who holds a plain key.
    let own = format!("/v1/keys/{id}");
    for (method, path, body) in [
        ("PATCH", own.clone(), json!({"expires_at": null})),
        ("POST", format!("{own}/rotate"), Value::Null),
    ] {
        let refused = with(&gateway, method, &path, &whole, &body);
        let said = refused.json()["error"]["code"].clone();
        assert_eq!((refused.status, said), (403, json!("person_required")), "{method} {path}");
    }
    let demoted = json!({"role": "member"});
    assert_eq!(asked("PATCH", &find("ann@example.com"), &demoted), needs_person);
    assert_eq!(with(&gateway, "DELETE", &own, &ann, &Value::Null).status, 200);
    assert_eq!(asked("GET", "/v1/account/members", &Value::Null).0, 401);
}
