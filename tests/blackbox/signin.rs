//! Signing in, from outside: sessions that end when they should, roles that hold, keys of one's own.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Reply, client, eventually, send};
use crate::servers::Postgres;

const PASSWORD: &str = "correct horse battery staple";

pub fn post(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    send(client().post(format!("{}{path}", gateway.base)).body(body.to_string()))
}

pub fn with(gateway: &Gateway, method: &str, path: &str, key: &str, body: &Value) -> Reply {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = client().request(method, format!("{}{path}", gateway.base)).bearer_auth(key);
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    send(request)
}

/// Adds a member who can sign in; their id.
pub fn member(gateway: &Gateway, account: &str, email: &str, role: &str) -> String {
    let asked = json!({"email": email, "role": role, "password": PASSWORD});
    let made = gateway.admin("POST", &format!("/accounts/{account}/members"), &asked);
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Signs in; the access token and the refresh token.
pub fn sign_in(gateway: &Gateway, email: &str) -> (String, String) {
    let said = post(gateway, "/api/auth/login", &json!({"email": email, "password": PASSWORD}));
    assert_eq!(said.status, 200, "{}", said.text());
    let token = |name: &str| said.json()[name].as_str().unwrap().to_owned();
    (token("access_token"), token("refresh_token"))
}

fn chat(gateway: &Gateway, key: &str) -> u16 {
    let asked = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    gateway.post("/v1/chat/completions", key, asked.to_string()).status
}

fn lives_and_ends(gateway: &Gateway) {
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(gateway, &account, "Ann@Example.com", "owner");
    let (access, refresh) = sign_in(gateway, "ann@example.com");
    assert_eq!(chat(gateway, &access), 200, "a token is as good as a key");
    let usage = gateway.get("/v1/usage", &access);
    assert_eq!(usage.status, 200, "{}", usage.text());
    // Each refresh token is good once.
    let next = post(gateway, "/api/auth/refresh", &json!({"refresh_token": refresh}));
    assert_eq!(next.status, 200, "{}", next.text());
    let next = next.json();
    assert_eq!(chat(gateway, next["access_token"].as_str().unwrap()), 200);
    let again = post(gateway, "/api/auth/refresh", &json!({"refresh_token": refresh}));
    assert_eq!(again.status, 401);
    assert!(again.json()["error"].is_string(), "the plain form: {}", again.text());
    // It came twice: all that came of the sign-in has ended, the newest too.
    let newest =
        post(gateway, "/api/auth/refresh", &json!({"refresh_token": next["refresh_token"]}));
    assert_eq!(newest.status, 401);
    assert_eq!(chat(gateway, next["access_token"].as_str().unwrap()), 401);
    // Another sign-in is another family, and ends when it is told to.
    let (access, refresh) = sign_in(gateway, "ann@example.com");
    assert_eq!(with(gateway, "POST", "/api/auth/logout", &access, &Value::Null).status, 200);
    assert_eq!(chat(gateway, &access), 401);
    let after = post(gateway, "/api/auth/refresh", &json!({"refresh_token": refresh}));
    assert_eq!(after.status, 401);
    assert_eq!(with(gateway, "POST", "/api/auth/logout", "", &Value::Null).status, 401);
    let keys = gateway.get("/.well-known/jwks.json", "").json();
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
}

#[test]
fn a_session_lives_is_refreshed_and_ends() {
    lives_and_ends(&Gateway::start(""));
}

#[test]
fn a_session_lives_on_postgresql_and_on_another_node() {
    let Some(postgres) = Postgres::start() else { return };
    let config = format!("[store]\nurl = \"{}\"", postgres.url);
    let vault = [("OPTIMUX_VAULT_KEY", "0123456789abcdef0123456789abcdef")];
    let (one, other) = (Gateway::start_with(&config, &vault), Gateway::start_with(&config, &vault));
    let nodes = || one.admin("GET", "/status", &Value::Null).json()["nodes"].clone();
    eventually("each knows of the other", || nodes().as_array().unwrap().len() == 2);
    lives_and_ends(&one);
    let (access, _) = sign_in(&one, "ann@example.com");
    assert_eq!(chat(&other, &access), 200, "signed by one, believed by the other");
    assert_eq!(with(&one, "POST", "/api/auth/logout", &access, &Value::Null).status, 200);
    eventually("the other node hears of it", || chat(&other, &access) == 401);
}

#[test]
fn wrong_passwords_wait_and_say_nothing() {
    let gateway = Gateway::start("");
    let (account, _) = gateway.account("acme", "free", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    let attempt = |email: &str, password: &str| {
        post(&gateway, "/api/auth/login", &json!({"email": email, "password": password}))
    };
    let (wrong, nobody) = (attempt("ann@example.com", "no"), attempt("nobody@example.com", "no"));
    assert_eq!(
        (wrong.status, wrong.text()),
        (nobody.status, nobody.text()),
        "who is here is secret"
    );
    assert_eq!(wrong.status, 401);
    let refused = (0..20).map(|_| attempt("ann@example.com", "no")).find(|one| one.status == 429);
    assert!(refused.unwrap().header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(attempt("ann@example.com", PASSWORD).status, 429, "guessed right, too late");
    assert_eq!(post(&gateway, "/api/auth/login", &json!({"email": 5})).status, 400);
}

#[test]
fn whoever_registers_owns_an_account() {
    let gateway = Gateway::start("[signin]\nregister = \"free\"");
    let asked = json!({"email": "new@example.com", "password": PASSWORD});
    let made = post(&gateway, "/api/auth/register", &asked);
    assert_eq!(made.status, 200, "{}", made.text());
    let access = made.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["user"]["role"], "owner");
    assert_eq!(chat(&gateway, &access), 200);
    // With a key for programs, shown now and never again.
    let key = made.json()["api_key"]["key"].as_str().unwrap().to_owned();
    assert_eq!(chat(&gateway, &key), 200);
    let listed = gateway.get("/v1/keys", &access);
    assert_eq!(listed.json()["data"][0]["id"], made.json()["api_key"]["id"]);
    assert!(!listed.text().contains(&key));
    assert_eq!(post(&gateway, "/api/auth/register", &asked).status, 409);
    let weak = json!({"email": "weak@example.com", "password": "12345"});
    assert_eq!(post(&gateway, "/api/auth/register", &weak).status, 400);
    let members = gateway.admin("GET", "/accounts/new@example.com/members", &Value::Null);
    assert!(!members.text().contains("argon2"), "no hash is shown");
}

/// Open where it costs nothing, or where the operator says so; guesses at a password close it for
/// nobody.
#[test]
fn registration_is_open_where_nothing_costs() {
    let asked = |number: u32| json!({"email": format!("{number}@x.y"), "password": PASSWORD});
    let simulated = Gateway::start("[signin]\naccounts_per_address = 10");
    for name in ["", "0@x.y", "nobody@x.y"] {
        let guess = json!({"email": name, "password": "wrong"});
        for _ in 0..9 {
            post(&simulated, "/api/auth/login", &guess);
        }
    }
    for number in 0..10 {
        let made = post(&simulated, "/api/auth/register", &asked(number));
        assert_eq!(made.status, 200, "{number}: {}", made.text());
        // What opens no account counts for nothing.
        let again = post(&simulated, "/api/auth/register", &asked(number));
        assert_eq!(again.status, if number < 9 { 409 } else { 429 }, "{}", again.text());
    }
    let enough = post(&simulated, "/api/auth/register", &asked(10));
    assert_eq!(enough.status, 429, "{}", enough.text());
    assert!(enough.header("retry-after").parse::<u64>().unwrap() > 3_000);
    let provider = crate::house::Provider::start(crate::house::good("Hello"));
    let real = Gateway::start(&crate::house::chain(&[&provider]));
    let refused = post(&real, "/api/auth/register", &asked(1));
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[test]
fn roles_hold_on_every_door() {
    let gateway = Gateway::start("");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    for role in ["owner", "member", "billing", "admin"] {
        member(&gateway, &account, &format!("{role}@example.com"), role);
    }
    let token = |role: &str| sign_in(&gateway, &format!("{role}@example.com")).0;
    for (role, chats, usage, keys, admin) in [
        ("owner", 200, 200, 200, 403),
        ("member", 200, 200, 200, 403),
        ("billing", 403, 200, 403, 403),
        ("admin", 200, 200, 200, 200),
    ] {
        let token = token(role);
        assert_eq!(chat(&gateway, &token), chats, "{role}");
        assert_eq!(gateway.get("/v1/usage", &token).status, usage, "{role}");
        assert_eq!(gateway.get("/v1/keys", &token).status, keys, "{role}");
        assert_eq!(gateway.get("/v1/admin/accounts", &token).status, admin, "{role}");
    }
}

#[test]
fn customers_keep_their_own_keys() {
    let gateway = Gateway::start("");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    member(&gateway, &account, "owner@example.com", "owner");
    let ann = member(&gateway, &account, "ann@example.com", "member");
    let (owner, _) = sign_in(&gateway, "owner@example.com");
    let (token, _) = sign_in(&gateway, "ann@example.com");
    let made = with(&gateway, "POST", "/v1/keys", &token, &json!({"name": "laptop"}));
    assert_eq!(made.status, 200, "{}", made.text());
    let (id, key) = (
        made.json()["id"].as_str().unwrap().to_owned(),
        made.json()["key"].as_str().unwrap().to_owned(),
    );
    assert_eq!(made.json()["user"], ann.as_str());
    assert_eq!(chat(&gateway, &key), 200);
    let listed = |key: &str| gateway.get("/v1/keys", key).json()["data"].as_array().unwrap().len();
    assert_eq!((listed(&token), listed(&owner)), (1, 2), "an owner sees the account's key too");
    // Nobody else's, whether to rotate or to revoke.
    let path = format!("/v1/keys/{id}");
    assert_eq!(with(&gateway, "DELETE", &path, &foreign, &Value::Null).status, 404);
    assert_eq!(
        with(&gateway, "POST", &format!("{path}/rotate"), &foreign, &Value::Null).status,
        404
    );
    let rotated = with(&gateway, "POST", &format!("{path}/rotate"), &token, &Value::Null);
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let newer = rotated.json()["key"].as_str().unwrap().to_owned();
    assert_eq!((chat(&gateway, &key), chat(&gateway, &newer)), (401, 200));
    // A key that may do less cannot make one that may do more.
    let less = json!({"name": "less", "scopes": ["chat", "keys"]});
    let less = with(&gateway, "POST", "/v1/keys", &token, &less).json();
    let less = less["key"].as_str().unwrap();
    assert_eq!(with(&gateway, "POST", "/v1/keys", less, &json!({"name": "more"})).status, 403);
    // What a member made goes with the member.
    let gone = gateway.admin("DELETE", &format!("/accounts/{account}/members/{ann}"), &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!((chat(&gateway, &newer), chat(&gateway, &token)), (401, 401));
}

#[test]
fn the_first_administrator_is_made_by_command_or_configuration() {
    let config = "email = \"root@example.com\"\npassword_env = \"ROOT_PASSWORD\"";
    let gateway = Gateway::start_with(config, &[("ROOT_PASSWORD", PASSWORD)]);
    let (token, _) = sign_in(&gateway, "root@example.com");
    assert_eq!(gateway.get("/v1/admin/accounts", &token).status, 200);
    let said = gateway.command(&[
        "account",
        "create",
        "ops",
        "--admin",
        "--email",
        "ops@example.com",
        "--json",
    ]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let asked = json!({"email": "ops@example.com", "password": said["password"]});
    let token = post(&gateway, "/api/auth/login", &asked).json();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(gateway.get("/v1/admin/accounts", token).status, 200);
    assert_eq!(gateway.get("/v1/admin/accounts", KEY).status, 200, "and the configured key stays");
}

#[test]
fn many_may_sign_in_from_one_place() {
    let gateway = Gateway::start("[signin]\nregister = \"free\"\naccounts_per_address = 10");
    let (account, _) = gateway.account("acme", "free", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    for number in 0..45 {
        let said = json!({"email": "ann@example.com", "password": PASSWORD});
        assert_eq!(post(&gateway, "/api/auth/login", &said).status, 200, "{number}");
    }
    for number in 0..10 {
        let said = json!({"email": format!("{number}@example.com"), "password": PASSWORD});
        assert_eq!(post(&gateway, "/api/auth/register", &said).status, 200, "{number}");
    }
}
