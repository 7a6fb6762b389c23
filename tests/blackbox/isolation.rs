//! Nobody gets at another's, and who is forgotten is gone.

use serde_json::{Value, json};

use crate::console::Tab;
use crate::features::set;
use crate::house::{Gateway, client, send};
use crate::mail::mailing;
use crate::oidc::Issuer;
use crate::people::with_factor;
use crate::servers::{Postgres, Smtp};
use crate::signin::{member, post, sign_in, with};

#[test]
fn a_member_sees_nothing_of_another() {
    let gateway = Gateway::start("");
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    let ids: Vec<String> = ["ann", "bob"]
        .iter()
        .map(|name| member(&gateway, &account, &format!("{name}@example.com"), "member"))
        .collect();
    let (ann, bob) =
        (sign_in(&gateway, "ann@example.com").0, sign_in(&gateway, "bob@example.com").0);
    let made = gateway.post(
        "/v1/responses",
        &ann,
        json!({"model": "auto", "input": "My secret is swordfish."}).to_string(),
    );
    let made = (made.header("x-request-id").to_owned(), made.json());
    let response = made.1["id"].as_str().unwrap();
    let item = made.1["output"][0]["id"].as_str().unwrap();
    let own = ids[0].as_str();
    gateway.post("/v1/memory/store", &ann, json!({"text": "The secret is swordfish"}).to_string());
    let run = gateway.post("/v1/conversations", &ann, "{}".to_owned()).json();
    let conversation = run["id"].as_str().unwrap();
    for (method, path, body) in [
        ("GET", format!("/v1/responses/{response}"), Value::Null),
        ("GET", format!("/v1/responses/{response}/input_items"), Value::Null),
        ("POST", format!("/v1/responses/{response}/cancel"), Value::Null),
        ("DELETE", format!("/v1/responses/{response}"), Value::Null),
        (
            "POST",
            "/v1/responses".to_owned(),
            json!({"model": "auto", "previous_response_id": response, "input": "What is it?"}),
        ),
        (
            "POST",
            "/v1/responses".to_owned(),
            json!({"model": "auto", "conversation": conversation, "input": "What is it?"}),
        ),
        (
            "POST",
            "/v1/responses".to_owned(),
            json!({"model": "auto", "input": [{"type": "item_reference", "id": item}]}),
        ),
        ("GET", format!("/v1/conversations/{conversation}"), Value::Null),
        ("POST", format!("/v1/conversations/{conversation}/items"), json!({"items": []})),
        ("DELETE", format!("/v1/conversations/{conversation}"), Value::Null),
        ("GET", format!("/v1/requests/{}", made.0), Value::Null),
        ("GET", format!("/v1/features/{own}"), Value::Null),
        ("POST", format!("/v1/features/{own}/memory"), Value::Null),
        ("POST", format!("/v1/features/{account}/memory"), Value::Null),
        ("POST", "/v1/memory/search".to_owned(), json!({"user_id": own, "query": "secret"})),
        ("POST", "/v1/memory/store".to_owned(), json!({"user_id": own, "text": "forged"})),
        ("GET", format!("/v1/memory/graph/{own}/entities"), Value::Null),
        ("DELETE", format!("/v1/memory/{own}"), Value::Null),
        ("POST", "/v1/connect/actions/run".to_owned(), json!({"tool": "x.y", "user_id": own})),
    ] {
        for stranger in [&bob, &foreign] {
            let said = with(&gateway, method, &path, stranger, &body);
            let leaks = said.text().contains("swordfish");
            let stays_away = matches!(said.status, 400 | 403 | 404);
            assert!(!leaks && stays_away, "{method} {path}: {} {}", said.status, said.text());
        }
    }
    let header = [("x-optimux-user", own)];
    let said =
        json!({"model": "auto", "messages": [{"role": "user", "content": "What is the secret?"}]});
    let mut asked = client()
        .post(format!("{}/v1/chat/completions", gateway.base))
        .bearer_auth(&bob)
        .body(said.to_string());
    for (name, value) in header {
        asked = asked.header(name, value);
    }
    assert_eq!(send(asked).status, 403);
    // All of it is there for whose it is, and for who runs the account.
    for reader in [&ann, &key] {
        assert_eq!(gateway.get(&format!("/v1/responses/{response}"), reader).status, 200);
        assert_eq!(gateway.get(&format!("/v1/requests/{}", made.0), reader).status, 200);
    }
}

/// Agents are their maker's; those of the account are for all of it, and its owner's to change. Of what
/// was used members see their own, and of answers they rate their own.
#[test]
fn members_have_agents_and_reports_of_their_own() {
    let gateway = Gateway::start("");
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    for (name, role) in [("ann", "member"), ("bob", "member"), ("bill", "billing")] {
        member(&gateway, &account, &format!("{name}@example.com"), role);
    }
    let [ann, bob, bill] =
        ["ann", "bob", "bill"].map(|name| sign_in(&gateway, &format!("{name}@example.com")).0);
    let agent = json!({"name": "a", "model": "auto", "instructions": "Help."});
    let make = |key: &str| {
        let made = with(&gateway, "POST", "/v1/agents", key, &agent);
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    };
    let (hers, everybodys) = (make(&ann), make(&key));
    // Reads, runs, changes, deletes: by whom, of what.
    for (who, id, sees, changes) in [
        (&bob, &hers, false, false),
        (&bob, &everybodys, true, false),
        (&ann, &everybodys, true, false),
        (&ann, &hers, true, true),
        (&key, &everybodys, true, true),
        (&key, &hers, true, true),
    ] {
        let at = format!("/v1/agents/{id}");
        let listed = gateway.get("/v1/agents", who).text().contains(id.as_str());
        assert_eq!(listed, sees, "{id} is listed");
        assert_eq!(gateway.get(&at, who).status == 200, sees, "{id} is read");
        let run = json!({"input": "Hello"});
        assert_eq!(with(&gateway, "POST", &format!("{at}/runs"), who, &run).status == 200, sees);
        let chat = json!({"model": format!("agent:{id}"), "messages": [{"role": "user", "content": "Hi"}]});
        assert_eq!(with(&gateway, "POST", "/v1/chat/completions", who, &chat).status == 200, sees);
        assert_eq!(with(&gateway, "PUT", &at, who, &agent).status == 200, changes, "{id}");
        if !changes {
            assert!(matches!(with(&gateway, "DELETE", &at, who, &Value::Null).status, 403 | 404));
        }
    }
    for id in [&hers, &everybodys] {
        let gone = with(&gateway, "DELETE", &format!("/v1/agents/{id}"), &key, &Value::Null);
        assert_eq!(gone.status, 200);
    }
    let chat = json!({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]});
    let asked = with(&gateway, "POST", "/v1/chat/completions", &ann, &chat);
    let id = asked.header("x-request-id");
    let keys_in = |who: &str| {
        let report = gateway.get("/v1/usage?group_by=key", who).json();
        report["data"].as_array().unwrap().len()
    };
    assert_eq!([keys_in(&ann), keys_in(&bob)], [1, 1], "their own");
    assert_eq!([keys_in(&bill), keys_in(&key)], [3, 3], "all of it");
    let buckets = "/v1/organization/usage/completions?start_time=1&limit=1&group_by=api_key_id";
    assert!(gateway.get(buckets, &bob).status == 200);
    let rate = |who: &str| {
        let said = json!({"request_id": id, "score": 1.0});
        with(&gateway, "POST", "/v1/feedback", who, &said).status
    };
    assert_eq!([rate(&bob), rate(&ann), rate(&key)], [404, 200, 200]);
    let told = gateway.get("/v1/features", &ann).json();
    for feature in told["data"].as_array().unwrap() {
        assert!(feature["name"].is_string() && feature["scope"].is_string(), "{feature}");
    }
}

/// Every row of every table, as text.
fn rows(gateway: &Gateway) -> Vec<(String, String)> {
    let script = "import sqlite3, sys\nd = sqlite3.connect('optimux.db')\n\
        for (t,) in d.execute(\"SELECT name FROM sqlite_master WHERE type='table'\").fetchall():\n\
        \x20   for r in d.execute(f'SELECT * FROM {t}').fetchall(): print(t, '\\t', repr(r))\n";
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(&gateway.folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(" \t "))
        .map(|(table, row)| (table.to_owned(), row.to_owned()))
        .collect()
}

const APP: &str = "[signin]\nregister = \"free\"\n\
    [connect.apps.app]\ncommand = [\"true\"]\nauth = { kind = \"bearer\" }\n";
const PASSWORD: &str = "correct horse battery staple";

#[test]
fn who_is_forgotten_leaves_no_row() {
    let (smtp, issuer) = (Smtp::start(), Issuer::start());
    let gateway = mailing(&smtp, &issuer.config(APP));
    nothing_is_left(&gateway, &smtp, &issuer, &|| rows(&gateway));
}

#[test]
fn who_is_forgotten_leaves_no_row_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let (smtp, issuer) = (Smtp::start(), Issuer::start());
    let config = format!("{APP}[store]\nurl = \"{}\"\n", postgres.url);
    let gateway = mailing(&smtp, &issuer.config(&config));
    nothing_is_left(&gateway, &smtp, &issuer, &|| postgres.rows());
}

/// Whether a table has a row that says so.
fn has_row(all: &[(String, String)], table: &str, of: &str) -> bool {
    all.iter().any(|(name, row)| name == table && row.contains(of))
}

fn nothing_is_left(
    gateway: &Gateway,
    smtp: &Smtp,
    issuer: &Issuer,
    rows: &dyn Fn() -> Vec<(String, String)>,
) {
    // She asked for an account, and did not say the code; then somebody made her a member.
    let asked = json!({"email": "ann@example.com", "password": PASSWORD});
    assert_eq!(post(gateway, "/api/auth/register", &asked).status, 202);
    smtp.letter("ann@example.com", 1);
    let (account, key) = gateway.account("forgettable", "enterprise", &json!({}));
    let ann = member(gateway, &account, "ann@example.com", "owner");
    let (token, _) = sign_in(gateway, "ann@example.com");
    for feature in ["memory", "content_logging"] {
        set(gateway, &token, &ann, feature, &json!({"enabled": true}));
    }
    let say = |path: &str, body: &Value| {
        let said = gateway.post(path, &token, body.to_string());
        assert_eq!(said.status, 200, "{path}: {}", said.text());
        said.json()
    };
    say(
        "/v1/chat/completions",
        &json!({"model": "auto", "messages": [{"role": "user", "content": "My name is swordfish and I live in Berlin."}]}),
    );
    say("/v1/memory/store", &json!({"text": "Ann likes swordfish"}));
    let conversation = with(
        gateway,
        "PUT",
        "/optima/v1/conversations",
        &token,
        &json!({"messages": [{"role": "user", "content": "swordfish"}]}),
    )
    .json();
    say(
        "/v1/responses",
        &json!({"model": "auto", "conversation": conversation["id"], "input": "swordfish"}),
    );
    let own = say("/v1/keys", &json!({"name": "swordfish"}));
    let lent = [own["key"].as_str().unwrap(), &key].map(|lender| {
        let made = gateway.post("/v1/keys/browser", lender, "{}");
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    });
    let again = client()
        .post(format!("{}/v1/chat/completions", gateway.base))
        .bearer_auth(&token)
        .header("idempotency-key", "once");
    let said = json!({"model": "auto", "messages": [{"role": "user", "content": "swordfish"}]});
    assert_eq!(send(again.body(said.to_string())).status, 200);
    say("/v1/agents", &json!({"name": "swordfish"}));
    say(
        "/v1/connect/accounts",
        &json!({"app": "app", "name": "swordfish", "credentials": {"token": "t"}}),
    );
    say("/v1/feedback", &json!({"model": "gpt-4o", "score": 0.5}));
    gateway.get("/v1/usage", &token);
    // Of the person: a name, a second factor, a browser, an identity of an issuer, an invitation by them.
    let named = with(gateway, "PATCH", "/v1/me", &token, &json!({"name": "Ann Swordfish"}));
    assert_eq!(named.json()["name"], "Ann Swordfish", "{}", named.text());
    let person = named.json()["id"].as_str().unwrap().to_owned();
    say("/v1/account/invitations", &json!({"email": "cy@example.com"}));
    let tab = Tab::sign_in(gateway, "ann@example.com", PASSWORD);
    tab.fill("/console/settings", "/console/settings/me", &[("name", "Ann Swordfish")]);
    tab.fill("/console/settings", "/console/settings/verify", &[]);
    let link = smtp.letter("ann@example.com", 2).link("http://mail.test/verify/");
    let path = link.replace("http://mail.test", "");
    assert_eq!(tab.fill(&path, &path, &[]).status(), 303);
    let email = [("email", json!("ann@example.com"))];
    assert_eq!(issuer.sign_in(&Tab::of(gateway), &email, "EdDSA").status(), 303);
    with_factor(gateway, &token);
    // And a link that sets her password.
    let (operators, _) = gateway.account("operators", "enterprise", &json!({}));
    member(gateway, &operators, "root@example.com", "admin");
    let root = Tab::sign_in(gateway, "root@example.com", PASSWORD);
    let at = format!("/admin/accounts/{account}");
    root.fill(&at, &format!("{at}/reset"), &[("member", &ann)]).has("/reset/");
    let holds = |needles: &[&str]| -> Vec<(String, String)> {
        rows().into_iter().filter(|(_, row)| needles.iter().any(|one| row.contains(one))).collect()
    };
    assert!(holds(&["swordfish"]).len() >= 8, "{:?}", holds(&["swordfish"]));
    let all = rows();
    for (table, of) in [
        ("pending_signups", "ann@example.com"),
        ("outbox", "ann@example.com"),
        ("identities", &person),
        ("recovery_codes", &person),
        ("replays", &account),
        ("browser_keys", &lent[0]),
        ("browser_keys", &lent[1]),
    ] {
        assert!(has_row(&all, table, of), "{table} has nothing of {of}");
    }
    with(gateway, "DELETE", &format!("/v1/memory/{ann}"), &token, &Value::Null);
    let kept = holds(&[&ann]);
    assert!(!kept.iter().any(|(table, _)| table.starts_with("memor")), "{kept:?}");
    with(gateway, "DELETE", "/optima/v1/conversations", &token, &Value::Null);
    let tables: Vec<String> = holds(&["swordfish"]).into_iter().map(|(table, _)| table).collect();
    assert!(!tables.iter().any(|table| table.starts_with("conversation")), "{tables:?}");
    // The person, and then the account.
    let gone = gateway.admin("DELETE", &format!("/accounts/{account}/members/{ann}"), &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let kept = holds(&[&ann, &person, "ann@example.com", "Ann Swordfish"]);
    assert_eq!(kept, [], "a row of the person was left");
    let all = rows();
    assert!(has_row(&all, "tokens", "cy@example.com"), "whom they invited is invited");
    assert!(!has_row(&all, "browser_keys", &lent[0]), "what their key lent is gone with it");
    assert!(has_row(&all, "browser_keys", &lent[1]), "and what the account's lent is not");
    let gone = gateway.admin("DELETE", &format!("/accounts/{account}"), &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let kept = holds(&[&ann, "ann@example.com", "cy@example.com", "swordfish", "forgettable"]);
    assert_eq!(kept, [], "a row was left");
    assert_eq!(holds(&[&lent[0], &lent[1]]), [], "what a key of it lent was left");
    // The books stay, under an id that stands for nobody.
    let books = [
        "ledger_pages",
        "ledger_entries",
        "balances",
        "usage_minutes",
        "usage_hours",
        "usage_days",
        "grants",
    ];
    let kept = holds(&[&account]);
    assert!(kept.iter().all(|(table, _)| books.contains(&table.as_str())), "{kept:?}");
    assert_eq!(gateway.get("/v1/usage", &key).status, 401);
    gateway.has_right_books();
}

#[test]
fn a_key_in_a_users_name_has_what_is_theirs_and_no_more() {
    let gateway = Gateway::start("");
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let call = |user: &str, method: &str, path: &str, body: &Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client().request(method, format!("{}{path}", gateway.base)).bearer_auth(&key);
        let request = request.header("x-optimux-user", user);
        send(if body.is_null() { request } else { request.body(body.to_string()) })
    };
    let saved = call(
        "ann",
        "PUT",
        "/optima/v1/conversations",
        &json!({"messages": [{"role": "user", "content": "Hi"}]}),
    );
    assert_eq!(saved.status, 200, "{}", saved.text());
    let id = saved.json()["id"].as_str().unwrap().to_owned();
    let on = json!({"model": "auto", "conversation": id, "messages": [{"role": "user", "content": "And?"}]});
    let answer = json!({"model": "auto", "conversation": id, "input": "And?"});
    call("ann", "POST", "/v1/memory/store", &json!({"text": "Ann likes tea"}));
    for (user, status, memories) in [("ann", 200, 1), ("bob", 404, 0)] {
        assert_eq!(
            call(user, "GET", &format!("/optima/v1/conversations/{id}"), &Value::Null).status,
            status
        );
        assert_eq!(
            call(user, "GET", &format!("/v1/conversations/{id}/items"), &Value::Null).status,
            status
        );
        assert_eq!(call(user, "POST", "/v1/chat/completions", &on).status, status, "{user}");
        let answered = call(user, "POST", "/v1/responses", &answer);
        assert_eq!(answered.status, status, "{user}");
        let found = call(user, "POST", "/v1/memory/search", &json!({"query": "tea"})).json();
        assert_eq!(found["data"].as_array().unwrap().len(), memories);
        if status == 200 {
            let path = format!("/v1/responses/{}", answered.json()["id"].as_str().unwrap());
            assert_eq!(
                (
                    call("ann", "GET", &path, &Value::Null).status,
                    call("bob", "GET", &path, &Value::Null).status
                ),
                (200, 404)
            );
        }
    }
    assert_eq!(call("bob", "GET", "/v1/features/ann", &Value::Null).status, 403);
    // An id of ours is nobody's name.
    assert_eq!(call("acct_other", "GET", "/optima/v1/conversations", &Value::Null).status, 404);
    assert_eq!(call("member_other", "POST", "/v1/chat/completions", &on).status, 404);
}
