//! Mail, from outside: what people get, when, and what is done with what cannot be sent.

use std::time::Instant;

use serde_json::{Value, json};

use crate::console::Tab;
use crate::house::{Gateway, Reply, client, eventually, send, within_a_second};
use crate::servers::{Letter, Postgres, Smtp};
use crate::signin::{member, post, sign_in};

/// A gateway that sends mail.
pub fn mailing(smtp: &Smtp, config: &str) -> Gateway {
    with_password(smtp, config, "secret")
}

fn with_password(smtp: &Smtp, config: &str, password: &str) -> Gateway {
    let config = format!(
        "[server]\npublic_url = \"http://mail.test\"\n\
         [mail]\nfrom = \"Us <us@mail.test>\"\n{config}"
    );
    Gateway::start_with(
        &config,
        &[
            ("OPTIMUX_SMTP_URL", &smtp.url(password)),
            ("OPTIMUX_VAULT_KEY", "0123456789abcdef0123456789abcdef"),
        ],
    )
}

fn test_mail(gateway: &Gateway, to: &str) -> Reply {
    gateway.admin("POST", "/mail/test", &json!({"to": to}))
}

#[test]
fn a_test_is_sent_and_what_the_server_says_is_told() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    let sent = test_mail(&gateway, "ops@example.com");
    assert_eq!(sent.status, 200, "{}", sent.text());
    let letter = smtp.letter("ops@example.com", 1);
    assert!(letter.text.contains("From: Us <us@mail.test>"), "{}", letter.text);
    assert!(letter.text.contains("http://mail.test"), "{}", letter.text);
    assert_eq!(test_mail(&gateway, "nobody").status, 400);
    let locked_out = with_password(&smtp, "", "wrong");
    let refused = test_mail(&locked_out, "ops@example.com");
    assert_eq!(refused.json()["error"]["code"], "mail_failed", "{}", refused.text());
    assert!(refused.text().contains("the password is wrong"), "{}", refused.text());
    // Without a server everything else works.
    let without = Gateway::start("");
    let none = test_mail(&without, "ops@example.com");
    assert_eq!((none.status, &none.json()["error"]["code"]), (409, &json!("mail_not_configured")));
    let listed = without.admin("GET", "/outbox", &Value::Null);
    assert_eq!((listed.status, &listed.json()["data"]), (200, &json!([])));
}

#[test]
fn mail_without_a_server_or_an_address_of_ours_is_found_at_the_start() {
    let gateway = Gateway::start("");
    let file = gateway.folder.join("mail.toml");
    std::fs::write(&file, "[mail]\nfrom = \"nobody\"\n").unwrap();
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .args(["check", "--config"])
        .arg(&file)
        .current_dir(&gateway.folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned()
        + &String::from_utf8_lossy(&check.stderr);
    assert!(!check.status.success(), "{said}");
    assert!(said.contains("OPTIMUX_SMTP_URL is not set"), "{said}");
    assert!(said.contains("server.public_url"), "{said}");
}

const PASSWORD: &str = "correct horse battery staple";
const ANOTHER: &str = "another horse, another staple";

fn login(gateway: &Gateway, email: &str, password: &str) -> Reply {
    post(gateway, "/api/auth/login", &json!({"email": email, "password": password}))
}

fn outbox(gateway: &Gateway, state: &str) -> Vec<Value> {
    let listed = gateway.admin("GET", &format!("/outbox?state={state}"), &Value::Null);
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["data"].as_array().unwrap().clone()
}

/// The path of a link in a mail.
fn path_of(letter: &Letter, start: &str) -> String {
    letter.link(&format!("http://mail.test{start}")).replace("http://mail.test", "")
}

fn passwords_are_set_anew(smtp: &Smtp, one: &Gateway, other: &Gateway) {
    let (account, _) = one.account("acme", "enterprise", &json!({}));
    member(one, &account, "ann@example.com", "owner");
    // A browser and a program at each node.
    let nodes = [one, other];
    let browsers = nodes.map(|node| Tab::sign_in(node, "ann@example.com", PASSWORD));
    let tokens = nodes.map(|node| sign_in(node, "ann@example.com").0);
    let statuses = || {
        let pages = nodes.iter().flat_map(|node| browsers.each_ref().map(|tab| tab.at(node)));
        pages.map(|tab| tab.get("/console").status()).collect::<Vec<_>>()
    };
    let lets_in = |status: u16| {
        nodes
            .iter()
            .all(|node| tokens.iter().all(|token| node.get("/v1/usage", token).status == status))
    };
    assert!(lets_in(200) && statuses() == [200; 4], "{:?}", statuses());
    let forgot = |email: &str| post(one, "/api/auth/forgot", &json!({"email": email}));
    let (known, unknown) = (forgot("Ann@Example.com"), forgot("nobody@example.com"));
    assert_eq!(
        (known.status, known.text()),
        (unknown.status, unknown.text()),
        "who is here is secret"
    );
    assert_eq!(known.status, 202);
    let path = path_of(&smtp.letter("ann@example.com", 1), "/reset/");
    // What reads mail before its owner does uses nothing up.
    for _ in 0..10 {
        assert_eq!(Tab::of(one).get(&path).status(), 200);
        let head = send(client().head(format!("{}{path}", one.base)));
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    let token = path.trim_start_matches("/reset/");
    let set = |token: &str, password: &str| {
        post(other, "/api/auth/reset", &json!({"token": token, "password": password}))
    };
    assert_eq!(set(token, "short").json()["code"], "weak_password");
    let (second, ticket) = {
        forgot("ann@example.com");
        let second = path_of(&smtp.letter("ann@example.com", 2), "/reset/");
        (second.trim_start_matches("/reset/").to_owned(), set(token, ANOTHER))
    };
    let began = Instant::now();
    assert_eq!((ticket.status, ticket.json()), (200, json!({"reset": true})));
    within_a_second("every token has ended on every node", began, || lets_in(401));
    assert_eq!(statuses(), [303; 4], "and every browser's session");
    // It was good once, and so was every other.
    for spent in [token, &second] {
        let again = set(spent, ANOTHER);
        assert_eq!((again.status, &again.json()["code"]), (400, &json!("token_invalid")));
    }
    assert_eq!(login(one, "ann@example.com", PASSWORD).status, 401);
    assert_eq!(login(one, "ann@example.com", ANOTHER).status, 200);
    assert!(smtp.letters("nobody@example.com").is_empty());
    // Who asks again and again is answered the same, and fills nobody's box.
    for _ in 0..10 {
        assert_eq!(forgot("ann@example.com").status, 202);
    }
    eventually("all that was written is sent", || outbox(one, "waiting").is_empty());
    assert!(smtp.letters("ann@example.com").len() <= 5);
    assert!(outbox(one, "sent").len() >= 2);
    let shown = one.admin("GET", "/outbox", &Value::Null).text();
    assert!(!shown.contains(token) && !shown.contains("/reset/"), "{shown}");
}

#[test]
fn a_forgotten_password_is_set_by_a_link_that_is_good_once() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    passwords_are_set_anew(&smtp, &gateway, &gateway);
    let without = Gateway::start("");
    let asked = json!({"email": "ann@example.com"});
    let none = post(&without, "/api/auth/forgot", &asked);
    assert_eq!((none.status, &none.json()["code"]), (409, &json!("mail_not_configured")));
    Tab::of(&without).get("/forgot").has("sends no mail");
}

#[test]
fn one_of_two_nodes_on_postgresql_sends_each_mail() {
    let Some(postgres) = Postgres::start() else { return };
    let smtp = Smtp::start();
    let config = format!("[store]\nurl = \"{}\"\n", postgres.url);
    let (one, other) = (mailing(&smtp, &config), mailing(&smtp, &config));
    passwords_are_set_anew(&smtp, &one, &other);
    let account = one.admin("GET", "/accounts/acme", &Value::Null).json()["id"].clone();
    let account = account.as_str().unwrap();
    for number in 0..8 {
        member(&one, account, &format!("m{number}@example.com"), "member");
        let asked = json!({"email": format!("m{number}@example.com")});
        let node = if number % 2 == 0 { &one } else { &other };
        assert_eq!(post(node, "/api/auth/forgot", &asked).status, 202);
    }
    for number in 0..8 {
        smtp.letter(&format!("m{number}@example.com"), 1);
    }
    eventually("all are sent", || outbox(&one, "waiting").is_empty());
    for number in 0..8 {
        assert_eq!(smtp.letters(&format!("m{number}@example.com")).len(), 1, "{number}");
    }
}

#[test]
fn mail_that_is_refused_waits_and_is_tried_again() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    member(&gateway, &account, "gone@example.com", "member");
    smtp.refuse(Some("451 come again"));
    post(&gateway, "/api/auth/forgot", &json!({"email": "ann@example.com"}));
    eventually("it was tried", || {
        outbox(&gateway, "waiting").first().is_some_and(|one| one["last_error"].is_string())
    });
    let waiting = outbox(&gateway, "waiting")[0].clone();
    assert_eq!(waiting["tries"], 1, "{waiting}");
    assert!(waiting["last_error"].as_str().unwrap().contains("come again"), "{waiting}");
    // An address that the server does not know is not tried again.
    smtp.refuse(Some("550 no such user"));
    post(&gateway, "/api/auth/forgot", &json!({"email": "gone@example.com"}));
    eventually("it is given up", || outbox(&gateway, "dead").len() == 1);
    smtp.refuse(None);
    assert!(smtp.letters("ann@example.com").is_empty());
    let retry = format!("/outbox/{}/retry", waiting["id"].as_str().unwrap());
    assert_eq!(gateway.admin("POST", &retry, &Value::Null).status, 200);
    smtp.letter("ann@example.com", 1);
    eventually("it is sent", || outbox(&gateway, "sent").len() == 1);
    assert_eq!(gateway.admin("POST", &retry, &Value::Null).status, 404, "sent is sent");
    let audit = gateway.admin("GET", "/audit", &Value::Null).text();
    assert!(audit.contains("mail.retry"), "{audit}");
}

#[test]
fn an_account_is_opened_by_the_code_that_was_mailed() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "[signin]\nregister = \"pro\"\naccounts_per_address = 2\n");
    let tab = Tab::of(&gateway);
    let asked = tab.fill("/signup", "/signup", &[("email", "New@x.y"), ("password", PASSWORD)]);
    asked.has("We sent six digits");
    let code_of = |number: usize| {
        let letter = smtp.letter("new@x.y", number);
        letter.link("Your code is ").replace("Your code is ", "")
    };
    let first = code_of(1);
    assert_eq!(login(&gateway, "new@x.y", PASSWORD).status, 401, "there is no account yet");
    let wrong = if first == "000000" { "000001" } else { "000000" };
    let verify =
        |code: &str| post(&gateway, "/api/auth/verify", &json!({"email": "new@x.y", "code": code}));
    for _ in 0..5 {
        assert_eq!(verify(wrong).json()["code"], "code_wrong");
    }
    assert_eq!(verify(&first).json()["code"], "code_expired", "guessed at too often");
    let again = tab.submit(&asked, "/signup/code/again", &[("email", "new@x.y")]);
    again.has("We sent six digits");
    let code = code_of(2);
    assert_ne!(code, first);
    let made = tab.submit(&again, "/signup/code", &[("email", "new@x.y"), ("code", &code)]);
    assert_eq!(made.status(), 200, "{}", made.text);
    made.has("Your key");
    tab.get("/console/settings").has("confirmed");
    // An address that has an account is answered alike, and told by mail.
    let register = |email: &str| {
        post(&gateway, "/api/auth/register", &json!({"email": email, "password": PASSWORD}))
    };
    let (known, other) = (register("new@x.y"), register("other@x.y"));
    assert_eq!((known.status, known.text()), (other.status, other.text()));
    assert_eq!((known.status, known.json()), (202, json!({"status": "code_sent"})));
    assert!(smtp.letter("new@x.y", 3).text.contains("You have an account"));
    let code = smtp.letter("other@x.y", 1).link("Your code is ").replace("Your code is ", "");
    let said = json!({"email": "other@x.y", "code": code});
    let opened = post(&gateway, "/api/auth/verify", &said);
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert!(opened.json()["api_key"]["key"].is_string());
    assert_eq!(post(&gateway, "/api/auth/verify", &said).json()["code"], "code_expired");
    // Two from one address are enough here.
    let third = register("third@x.y");
    assert_eq!(third.status, 429, "{}", third.text());
}

#[test]
fn invitations_and_confirmations_go_by_mail() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    let ann = Tab::sign_in(&gateway, "ann@example.com", PASSWORD);
    let fields = [("email", "bob@example.com"), ("role", "member")];
    let invited = ann.fill("/console/team", "/console/team/invitations", &fields);
    invited.has("on its way");
    let letter = smtp.letter("bob@example.com", 1);
    let path = path_of(&letter, "/invite/");
    assert!(invited.secret("link").ends_with(&path), "the link is shown, too");
    let token = path.trim_start_matches("/invite/");
    let at = format!("/api/auth/invitations/{token}");
    let seen = gateway.get(&at, "");
    assert_eq!((seen.status, &seen.json()["account"]), (200, &json!("acme")), "{}", seen.text());
    let joined = post(&gateway, &at, &json!({"password": PASSWORD}));
    assert_eq!(joined.json()["user"]["role"], "member", "{}", joined.text());
    assert_eq!(gateway.get(&at, "").status, 404, "it was good once");
    // Ann says that her address is hers.
    ann.get("/console/settings").has("not confirmed");
    let sent = ann.fill("/console/settings", "/console/settings/verify", &[]);
    assert_eq!(sent.leads_to(), "/console/settings?done=mailed");
    let path = path_of(&smtp.letter("ann@example.com", 1), "/verify/");
    let page = ann.get(&path);
    ann.get("/console/settings").has("not confirmed");
    assert_eq!(ann.submit(&page, &path, &[]).status(), 303);
    ann.get("/console/settings").lacks("not confirmed");
    assert_eq!(ann.get(&path).status(), 404);
}

#[test]
fn administrators_see_the_outbox_and_test_the_server() {
    let smtp = Smtp::start();
    let gateway = mailing(&smtp, "");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    smtp.refuse(Some("550 no such user"));
    post(&gateway, "/api/auth/forgot", &json!({"email": "root@example.com"}));
    eventually("it is given up", || outbox(&gateway, "dead").len() == 1);
    let page = root.get("/admin/outbox");
    page.has("given up");
    page.has("no such user");
    let refused = root.submit(&page, "/admin/outbox", &[("to", "ops@example.com")]);
    refused.has("no such user");
    smtp.refuse(None);
    let sent = root.fill("/admin/outbox", "/admin/outbox", &[("to", "ops@example.com")]);
    assert_eq!(sent.leads_to(), "/admin/outbox?done=tested");
    let id = outbox(&gateway, "dead")[0]["id"].as_str().unwrap().to_owned();
    let again = root.fill("/admin/outbox", &format!("/admin/outbox/{id}/retry"), &[]);
    assert_eq!(again.leads_to(), "/admin/outbox?done=retried");
    smtp.letter("root@example.com", 1);
    let bob = member(&gateway, &account, "bob@example.com", "member");
    let tab = Tab::sign_in(&gateway, "bob@example.com", PASSWORD);
    assert_eq!(tab.get("/admin/outbox").status(), 403, "{bob}");
}

#[test]
fn the_outbox_says_in_the_servers_words_why_a_test_was_not_taken() {
    let smtp = Smtp::start();
    let gateway = with_password(&smtp, "", "wrong");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let refused = root.fill("/admin/outbox", "/admin/outbox", &[("to", "ops@example.com")]);
    assert!(refused.status() >= 400, "{}: {}", refused.status(), refused.text);
    refused.has("the password is wrong");
    refused.has("value=\"ops@example.com\"");
    assert!(smtp.letters("ops@example.com").is_empty());
}
