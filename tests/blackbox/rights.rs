//! Who may what, on every page and every endpoint: the routes are read from the source, so that none can be
//! left out. Nothing of one account is in reach of another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::console::{Page, Tab};
use crate::house::{Gateway, client, eventually, send};
use crate::signin::{member, sign_in, with};

const PASSWORD: &str = "correct horse battery staple";

/// Whoever asks: nobody, and a person in each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Nobody,
    Member,
    Billing,
    Owner,
    Admin,
}

use Who::{Admin, Billing, Member, Nobody, Owner};

const SIGNED_IN: [Who; 4] = [Member, Billing, Owner, Admin];

/// For whom a page or a form is.
fn may_see(path: &str) -> &'static [Who] {
    let under = |start: &str| path == start || path.starts_with(&format!("{start}/"));
    if under("/admin") {
        return &[Admin];
    }
    if under("/console/team/{id}") || under("/console/team/invitations") {
        return &[Owner, Admin];
    }
    if path == "/console/settings/name" || path == "/console/settings/delete" {
        return &[Owner, Admin];
    }
    if path == "/console/requests/{id}/feedback" {
        return &[Member, Owner, Admin];
    }
    let of_members = ["keys", "features", "memory", "agents", "connect"];
    if of_members.iter().any(|one| under(&format!("/console/{one}"))) {
        return &[Member, Owner, Admin];
    }
    let of_all = ["/welcome", "/signout", "/console"];
    if of_all.iter().any(|start| under(start)) {
        return &SIGNED_IN;
    }
    &[Nobody, Member, Billing, Owner, Admin]
}

/// The routes of the console: method and path.
pub fn routes() -> BTreeSet<(String, String)> {
    let source = include_str!("../../src/console/mod.rs");
    let found = source.split(".route(\"").skip(1).filter_map(|route| {
        let (path, rest) = route.split_once('"')?;
        let method = rest.trim_start_matches([',', ' ']).split('(').next()?;
        Some((method.to_owned(), path.to_owned()))
    });
    found.collect()
}

/// A path with something in the place of each name.
pub fn filled(path: &str, with: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { with } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

struct House {
    gateway: Gateway,
    account: String,
}

impl House {
    fn start() -> Self {
        let gateway = Gateway::start("[signin]\nregister = \"pro\"\n");
        let (account, _) = gateway.account("acme", "enterprise", &json!({}));
        for role in ["member", "billing", "owner", "admin"] {
            member(&gateway, &account, &format!("{role}@example.com"), role);
        }
        Self { gateway, account }
    }

    fn tab(&self, who: Who) -> Tab<'_> {
        match who {
            Nobody => {
                let tab = Tab::of(&self.gateway);
                tab.get("/signin");
                tab
            }
            who => Tab::sign_in(&self.gateway, &address(who), PASSWORD),
        }
    }
}

fn address(who: Who) -> String {
    format!("{}@example.com", format!("{who:?}").to_lowercase())
}

#[test]
fn every_page_and_every_form_is_for_whom_it_should_be() {
    let house = House::start();
    let all = routes();
    assert!(all.len() > 90, "the routes were not found");
    let mut faults = Vec::new();
    for who in [Nobody, Member, Billing, Owner, Admin] {
        let tab = house.tab(who);
        // Each counts once.
        let form =
            || -> Page { tab.get(if who == Nobody { "/signin" } else { "/console/models" }) };
        for (method, route) in &all {
            let path = filled(route, "none");
            let is_theirs = may_see(route).contains(&who);
            let page = if method == "get" {
                tab.get(&path)
            } else if route == "/signout" || route == "/console/settings/leave" {
                // They would be gone.
                continue;
            } else if is_theirs && who != Nobody {
                // With nothing in it that it needs.
                tab.submit(&form(), &path, &[])
            } else {
                tab.submit(&form(), &path, &[("name", "x"), ("role", "owner"), ("email", "x@y.z")])
            };
            let status = page.status();
            let is_for_scripts =
                route.ends_with("/run") || route == "/console/playground/requests/{id}";
            let to_sign_in = status == 303 && page.leads_to().starts_with("/signin?next=");
            let fits = match (is_theirs, who, method.as_str()) {
                // What is not there, or says too little, is not refused for who asks.
                (true, _, _) => status < 500 && status != 403 && !to_sign_in,
                // What scripts ask for leads nowhere, and is refused before it is known who asks.
                (false, Nobody, "get") => to_sign_in || (status == 401 && is_for_scripts),
                (false, Nobody, _) => status == 401 || (status == 403 && is_for_scripts),
                (false, _, _) => status == 403,
            };
            // Neither what a script has to say with it nor a question of the password is about rights.
            let asks = page.text.contains("Is it still you?") || is_for_scripts;
            if !(fits || (is_theirs && status == 403 && asks)) {
                faults.push(format!("{who:?} {method} {route}: {status} {}", page.leads_to()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// For whom an endpoint of ours is, by the roles of people and the scope of keys: what refuses them.
fn refusal(method: &str, path: &str, who: &str) -> Option<&'static str> {
    let under = |start: &str| path == start || path.starts_with(&format!("{start}/"));
    let is_key = matches!(who, "held back" | "whole" | "keeper");
    if under("/v1/admin") {
        return (who != "admin" && path != "/v1/admin/health").then_some("admin_required");
    }
    let of_person =
        under("/v1/me") || (under("/v1/account") && (method, path) != ("get", "/v1/account"));
    if of_person {
        // What is the account's own, or needs a proof of who asks, is for people; members and invitations for
        // keys that are made for it, too.
        let of_people =
            path == "/v1/account" || (method, path) == ("delete", "/v1/account/members/{id}");
        if is_key && (under("/v1/me") || of_people) {
            return Some("person_required");
        } else if is_key {
            return (who != "keeper").then_some("missing_scope");
        }
        let of_owners = under("/v1/account") && (method, path) != ("get", "/v1/account/members");
        return (of_owners && matches!(who, "member" | "billing")).then_some("owner_required");
    }
    let scope = if path == "/v1/keys/browser" {
        // What one has is lent: to ask models, if nothing else is said.
        Some("chat")
    } else if under("/v1/keys") {
        Some("keys")
    } else if under("/v1/usage") || under("/v1/requests") || path == "/v1/account" {
        Some("usage")
    } else if ["/v1/feedback", "/v1/responses", "/v1/conversations"]
        .iter()
        .any(|start| under(start))
    {
        Some("chat")
    } else if ["/optima/v1/models", "/optima/v1/capabilities", "/v1/route"].contains(&path) {
        // What there is, and what `auto` would do, is told to whoever is let in.
        None
    } else if ["/v1/features", "/v1/memory", "/v1/agents", "/v1/connect", "/optima"]
        .iter()
        .any(|start| under(start))
    {
        Some("platform")
    } else {
        None
    };
    match (scope, who) {
        (Some("usage" | "keys" | "platform"), "held back") | (Some(_), "keeper") => {
            Some("missing_scope")
        }
        (Some("keys" | "platform" | "chat"), "billing") => Some("missing_scope"),
        _ => None,
    }
}

/// The least that an endpoint has to be told, by its schema.
fn body(document: &Value, operation: &Value) -> Value {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let Some(name) = schema.as_str().and_then(|name| name.rsplit('/').next()) else {
        return json!({});
    };
    let schema = &document["components"]["schemas"][name];
    let mut said = serde_json::Map::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let of = &schema["properties"][name];
        let value = match (of["enum"].as_array(), of["type"].as_str()) {
            (Some(all), _) => all[0].clone(),
            (None, Some("integer")) => json!(1),
            (None, Some("array")) if name == "messages" => {
                json!([{"role": "user", "content": "Hi"}])
            }
            (None, Some("array")) => json!([]),
            (None, Some("object")) => json!({}),
            (None, _) if name == "model" => json!("auto"),
            (None, _) if name == "email" => json!("x@example.com"),
            (None, _) => json!("x"),
        };
        said.insert(name.to_owned(), value);
    }
    // It says so itself where a tool's name does not name its app.
    if said.contains_key("tool") {
        said.insert("app".to_owned(), json!("x"));
    }
    Value::Object(said)
}

fn code(reply: &crate::house::Reply) -> String {
    let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = if said["error"].is_object() { &said["error"]["code"] } else { &said["code"] };
    code.as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_endpoint_of_ours_is_for_whom_it_should_be() {
    let house = House::start();
    let gateway = &house.gateway;
    let document = gateway.get("/openapi.json", "").json();
    let mut credentials: Vec<(&str, String)> = Vec::new();
    for who in SIGNED_IN {
        let name = match who {
            Member => "member",
            Billing => "billing",
            Owner => "owner",
            _ => "admin",
        };
        credentials.push((name, sign_in(gateway, &address(who)).0));
    }
    credentials.push(("held back", gateway.key(&house.account, &json!({"scopes": ["chat"]}))));
    credentials.push(("whole", gateway.key(&house.account, &json!({}))));
    credentials.push(("keeper", gateway.key(&house.account, &json!({"scopes": ["account"]}))));
    let (mut faults, mut count) = (Vec::new(), 0);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            count += 1;
            // Revisions are numbers.
            let at = filled(path, if path.contains("revisions") { "999999" } else { "none" });
            let said = body(&document, operation).to_string();
            let open = operation["security"] == json!([]);
            let ask = |key: &str| {
                let verb = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let mut request = client().request(verb, format!("{}{at}", gateway.base));
                if !key.is_empty() {
                    request = request.bearer_auth(key);
                }
                if method != "get" {
                    request = request.body(said.clone());
                }
                send(request)
            };
            let nobody = ask("");
            let opens = nobody.status != 401 || path.starts_with("/api/auth");
            if open != opens {
                faults.push(format!("nobody {method} {path}: {}", nobody.status));
            }
            // Who signs out, or goes for good, asks nothing more.
            let ends = ["/api/auth/logout", "/v1/me/password"].contains(&path.as_str())
                || (method == "delete" && ["/v1/me", "/v1/me/sessions"].contains(&path.as_str()));
            if open || ends {
                continue;
            }
            for (who, key) in &credentials {
                let reply = ask(key);
                let told = code(&reply);
                let fits = match refusal(method, path, who) {
                    Some(wanted) => {
                        reply.status == 403
                            && (told == wanted
                                || (wanted == "missing_scope" && told == "key_held_back"))
                    }
                    // A feature that is off, another user and a proof are refused for other reasons.
                    None => {
                        reply.status < 500
                            && (reply.status != 401 || told == "wrong_password")
                            && ![
                                "admin_required",
                                "person_required",
                                "owner_required",
                                "missing_scope",
                            ]
                            .contains(&told.as_str())
                    }
                };
                if !fits {
                    faults.push(format!(
                        "{who} {method} {path}: {} {told} {}",
                        reply.status,
                        reply.text().chars().take(120).collect::<String>()
                    ));
                }
            }
        }
    }
    assert!(count > 100, "{count}");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn nothing_of_one_account_is_in_reach_of_another() {
    let house = House::start();
    let gateway = &house.gateway;
    let (owner, _) = sign_in(gateway, "owner@example.com");
    let ann = member(gateway, &house.account, "ann@example.com", "member");
    let key = with(gateway, "POST", "/v1/keys", &owner, &json!({"name": "theirs"})).json();
    let agent = with(gateway, "POST", "/v1/agents", &owner, &json!({"name": "theirs"})).json();
    let asked = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let sent = gateway.post("/v1/chat/completions", &owner, asked.to_string());
    let request = sent.header("x-request-id").to_owned();
    eventually("the request is in the books", || {
        gateway.get(&format!("/v1/requests/{request}"), &owner).status == 200
    });
    let invited = json!({"email": "cy@example.com"});
    let invited = with(gateway, "POST", "/v1/account/invitations", &owner, &invited).json();
    let sessions = gateway.get("/v1/me/sessions", &owner).json();
    let me = gateway.get("/v1/me", &owner).json();
    let store = |said: Value| with(gateway, "POST", "/v1/memory/store", &owner, &said).json();
    let stored = store(json!({"text": "A secret"}));
    let of_alice = store(json!({"text": "Her secret", "user_id": "alice"}));
    let found =
        [&key, &agent, &invited, &sessions["data"][0], &stored, &of_alice].map(|one| &one["id"]);
    let ids: Vec<String> = found
        .into_iter()
        .chain([&me["member"]])
        .map(|id| id.as_str().unwrap_or_else(|| panic!("{found:?} {me}")).to_owned())
        .chain([ann, request, house.account.clone(), "alice".to_owned()])
        .collect();
    let owner_id = me["member"].as_str().unwrap();
    let remembered = |user: &str| gateway.get(&format!("/v1/memory/{user}"), &owner).text();
    let remembered_before = [owner_id, "alice"].map(remembered);
    assert!(remembered_before.iter().all(|told| told.contains("secret")));
    // An owner of another account, with all of their rights there.
    let (elsewhere, _) = gateway.account("elsewhere", "enterprise", &json!({}));
    member(gateway, &elsewhere, "eve@example.com", "owner");
    let (eve, _) = sign_in(gateway, "eve@example.com");
    let tab = Tab::sign_in(gateway, "eve@example.com", PASSWORD);
    let before = gateway.get("/v1/account/members", &owner).text();
    let document = gateway.get("/openapi.json", "").json();
    let mut faults = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.contains('{') || path.starts_with("/api/auth") || path.starts_with("/v1/admin") {
            continue;
        }
        // What is of somebody is asked for of those whose it is, too.
        let whose: &[&str] =
            if path.contains("{user}/{") { &[owner_id, "alice", &house.account] } else { &[""] };
        let all = ids.iter().map(String::as_str).chain(["memory"]);
        let all = all.flat_map(|id| whose.iter().map(move |user| (*user, id)));
        for method in methods.as_object().unwrap().keys() {
            for (user, id) in all.clone() {
                let at = filled(&path.replace("{user}/{", &format!("{user}/{{")), id);
                let said = json!({"name": "mine", "role": "billing", "input": "Hi"});
                let body = if method == "get" { Value::Null } else { said };
                let reply = with(gateway, &method.to_uppercase(), &at, &eve, &body);
                // Of a user whom an account names itself there is nothing, and that is an answer.
                let of_users =
                    ["/v1/features/", "/v1/memory/"].iter().any(|one| path.starts_with(one));
                let empty = of_users && !reply.text().contains("secret");
                if !(matches!(reply.status, 400 | 403 | 404 | 405) || empty) {
                    faults.push(format!("{method} {at}: {} {}", reply.status, reply.text()));
                }
            }
        }
    }
    for user in &ids {
        for (path, body) in [
            ("search", json!({"user_id": user, "query": "secret"})),
            ("store", json!({"user_id": user, "text": "mine"})),
        ] {
            let reply = with(gateway, "POST", &format!("/v1/memory/{path}"), &eve, &body);
            let ours = user.starts_with("member_") || user.starts_with("acct_");
            let missed = if ours { reply.status == 404 } else { reply.status == 200 };
            if !missed || reply.text().contains("secret") {
                faults.push(format!("{path} {user}: {} {}", reply.status, reply.text()));
            }
        }
    }
    for (method, route) in routes() {
        let names_one = route.contains("{id}") || route.contains("{app}");
        let is_everybodys = ["/admin", "/console/models", "/oidc"];
        if !names_one || is_everybodys.iter().any(|start| route.starts_with(start)) {
            continue;
        }
        for id in &ids {
            let path = filled(&route, id);
            let page = if method == "get" {
                tab.get(&path)
            } else {
                let form = tab.get("/console/team");
                tab.submit(&form, &path, &[("name", "mine"), ("role", "billing")])
            };
            let ended = route.starts_with("/console/settings/sessions");
            if !(matches!(page.status(), 400 | 403 | 404 | 409) || ended) {
                faults.push(format!("{method} {path}: {} {}", page.status(), page.leads_to()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // And all of it is as it was.
    assert_eq!(gateway.get("/v1/me", &owner).status, 200, "nobody was signed out");
    assert_eq!(gateway.get("/v1/account/members", &owner).text(), before);
    assert_eq!([owner_id, "alice"].map(remembered), remembered_before);
    let all = gateway.get("/v1/account/invitations", &owner).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
    for (path, id) in [("keys", &ids[0]), ("agents", &ids[1])] {
        let told = gateway.get(&format!("/v1/{path}/{id}"), &owner);
        assert_eq!((told.status, &told.json()["name"]), (200, &json!("theirs")), "{}", told.text());
    }
}

/// No mail, no vault, no Redis, on PostgreSQL: every page opens, and says what is missing where it is missed.
#[test]
fn every_page_opens_where_nothing_is_configured() {
    let Some(postgres) = crate::servers::Postgres::start() else { return };
    let config = format!("[store]\nurl = \"{}\"\n", postgres.url);
    let gateway = Gateway::start(&config);
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "root@example.com", "admin");
    let tab = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    for (method, route) in routes() {
        let at = filled(&route, "none");
        if method == "get" {
            let page = tab.get(&at);
            assert!(page.status() < 500 && page.status() != 401, "{at}: {}", page.text);
        }
    }
    for (path, says) in [
        ("/console/settings", "the gateway has no vault key"),
        ("/console/settings", "sends no mail"),
        ("/console/team", "sends no mail"),
        ("/console/connect", "No app is configured"),
        ("/admin/outbox", "mail"),
        ("/forgot", "sends no mail"),
    ] {
        tab.get(path).has(says);
    }
    let (access, _) = sign_in(&gateway, "root@example.com");
    let refused = with(&gateway, "POST", "/v1/me/totp", &access, &json!({"password": PASSWORD}));
    assert_eq!((refused.status, code(&refused)), (409, "vault_missing".to_owned()));
}
