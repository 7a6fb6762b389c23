//! People, from outside: their second factor on every door, who they are, and where they stand.

use std::fmt::Write as _;

use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use serde_json::{Value, json};

use crate::console::Tab;
use crate::house::{Gateway, Reply};
use crate::servers::Postgres;
use crate::signin::{member, post, sign_in, with};

const PASSWORD: &str = "correct horse battery staple";

/// What an app shows so many steps of thirty seconds from now (RFC 6238).
pub fn shown(secret: &str, steps: i64) -> String {
    let mut bits = String::new();
    for letter in secret.trim().bytes() {
        let at = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|one| *one == letter);
        write!(bits, "{:05b}", at.unwrap()).unwrap();
    }
    let bytes: Vec<u8> = (0..bits.len() / 8)
        .map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap())
        .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let step = i64::try_from(now.as_secs()).unwrap() / 30 + steps;
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes), &step.to_be_bytes());
    let digest = tag.as_ref();
    let at = usize::from(digest[digest.len() - 1] & 15);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Gives whoever has the token a second factor; its secret.
pub fn with_factor(gateway: &Gateway, access: &str) -> String {
    let drafted = with(gateway, "POST", "/v1/me/totp", access, &json!({"password": PASSWORD}));
    let secret = drafted.json()["secret"].as_str().unwrap().to_owned();
    let said = json!({"code": shown(&secret, 0)});
    let on = with(gateway, "POST", "/v1/me/totp/confirm", access, &said);
    assert_eq!(on.status, 200, "{}", on.text());
    secret
}

fn login(gateway: &Gateway, otp: Option<&str>) -> Reply {
    let asked = json!({"email": "ann@example.com", "password": PASSWORD, "otp": otp});
    post(gateway, "/api/auth/login", &asked)
}

fn code_of(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json()["code"].clone())
}

fn is_asked_for_everywhere(gateway: &Gateway) {
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    let id = member(gateway, &account, "ann@example.com", "owner");
    let (access, _) = sign_in(gateway, "ann@example.com");
    let ann = Tab::sign_in(gateway, "ann@example.com", PASSWORD);
    let page = ann.fill("/console/settings", "/console/settings/factor", &[]);
    let secret = page.secret("secret");
    page.has("otpauth://totp/Optimux:ann%40example.com?secret=");
    assert_eq!(login(gateway, None).status, 200, "it is not on yet");
    let wrong = if shown(&secret, 0) == "000000" { "111111" } else { "000000" };
    let refused = ann.submit(&page, "/console/settings/factor/confirm", &[("code", wrong)]);
    refused.has("not the code");
    assert_eq!(refused.secret("secret"), secret, "the same one");
    let code = shown(&secret, 0);
    let on = ann.submit(&refused, "/console/settings/factor/confirm", &[("code", &code)]);
    let codes = on.secret("codes");
    let codes: Vec<&str> = codes.lines().collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    // By the API.
    assert_eq!(code_of(&login(gateway, None)), (401, json!("otp_required")));
    assert_eq!(code_of(&login(gateway, Some(&code))), (401, json!("otp_wrong")), "it was used");
    let next = shown(&secret, 1);
    assert_eq!(login(gateway, Some(&next)).status, 200);
    assert_eq!(code_of(&login(gateway, Some(&next))), (401, json!("otp_wrong")), "good once");
    let typed = codes[0].to_uppercase();
    assert_eq!(login(gateway, Some(&typed)).status, 200, "a recovery code stands in");
    assert_eq!(code_of(&login(gateway, Some(codes[0]))), (401, json!("otp_wrong")), "once");
    let guess = json!({"email": "ann@example.com", "password": "wrong", "otp": codes[1]});
    let guessed = post(gateway, "/api/auth/login", &guess);
    assert_eq!(code_of(&guessed), (401, json!("wrong_password")), "and was not used up");
    // By the console.
    let tab = Tab::of(gateway);
    let fields = [("email", "ann@example.com"), ("password", PASSWORD)];
    let asked = tab.fill("/signin", "/signin", &fields);
    assert_eq!(asked.status(), 200, "{}", asked.text);
    asked.has("Your second factor");
    assert_eq!(tab.get("/console").status(), 303, "the password alone lets nobody in");
    let ticket = asked.hidden("ticket");
    let refused = tab.submit(&asked, "/signin/code", &[("ticket", &ticket), ("otp", wrong)]);
    assert_eq!(refused.status(), 401, "{}", refused.text);
    let entered = tab.submit(&refused, "/signin/code", &[("ticket", &ticket), ("otp", codes[1])]);
    assert_eq!((entered.status(), entered.leads_to()), (303, "/console"), "{}", entered.text);
    assert_eq!(tab.get("/console").status(), 200);
    // A link that sets a password does not get round it.
    let link = {
        let root = member(gateway, &account, "root@example.com", "admin");
        let tab = Tab::sign_in(gateway, "root@example.com", PASSWORD);
        let at = format!("/admin/accounts/{account}");
        let made = tab.fill(&at, &format!("{at}/reset"), &[("member", &id)]);
        assert!(!root.is_empty());
        made.secret("link")
    };
    let path = format!("/reset/{}", link.rsplit('/').next().unwrap());
    let stranger = Tab::of(gateway);
    let set = stranger.fill(&path, &path, &[("password", PASSWORD)]);
    set.has("Your second factor");
    // Whoever has lost it is helped, and that is on record.
    let me = gateway.get("/v1/me", &sign_in_with(gateway, codes[2])).json();
    assert_eq!((&me["totp"], &me["email"]), (&json!(true), &json!("ann@example.com")), "{me}");
    assert_eq!(gateway.get("/v1/me", &access).status, 401, "the old token ended with the password");
    let at = format!("/accounts/{account}/members/{id}/totp");
    assert_eq!(gateway.admin("DELETE", &at, &Value::Null).status, 200);
    assert_eq!(login(gateway, None).status, 200);
    let audit = gateway.admin("GET", "/audit", &Value::Null).text();
    assert!(audit.contains("member.factor_reset"), "{audit}");
}

fn sign_in_with(gateway: &Gateway, otp: &str) -> String {
    let said = login(gateway, Some(otp));
    assert_eq!(said.status, 200, "{}", said.text());
    said.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_second_factor_is_asked_for_on_every_door() {
    is_asked_for_everywhere(&Gateway::start(""));
}

#[test]
fn a_second_factor_is_asked_for_on_every_door_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let vault = [("OPTIMUX_VAULT_KEY", "0123456789abcdef0123456789abcdef")];
    let config = format!("[store]\nurl = \"{}\"", postgres.url);
    is_asked_for_everywhere(&Gateway::start_with(&config, &vault));
}

#[test]
fn a_second_factor_is_switched_by_the_api_and_guesses_at_it_wait() {
    let gateway = Gateway::start("");
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    let (access, _) = sign_in(&gateway, "ann@example.com");
    let call = |method: &str, path: &str, token: &str, body: Value| {
        with(&gateway, method, path, token, &body)
    };
    let refused = call("POST", "/v1/me/totp", &key, json!({"password": PASSWORD}));
    assert_eq!(refused.json()["error"]["code"], "person_required", "{}", refused.text());
    let refused = call("POST", "/v1/me/totp", &access, json!({"password": "wrong"}));
    assert_eq!(refused.status, 401, "a token alone sets nothing up");
    let drafted = call("POST", "/v1/me/totp", &access, json!({"password": PASSWORD}));
    let secret = drafted.json()["secret"].as_str().unwrap().to_owned();
    let said = json!({"code": shown(&secret, 0)});
    let on = call("POST", "/v1/me/totp/confirm", &access, said);
    assert_eq!(on.json()["recovery_codes"].as_array().unwrap().len(), 10, "{}", on.text());
    let recovery = on.json()["recovery_codes"][0].as_str().unwrap().to_owned();
    let again = call("POST", "/v1/me/totp", &access, json!({"password": PASSWORD}));
    assert_eq!(again.status, 409, "{}", again.text());
    let off = |otp: &str| {
        call("DELETE", "/v1/me/totp", &access, json!({"password": PASSWORD, "otp": otp}))
    };
    let wrong = if shown(&secret, 1) == "000000" { "111111" } else { "000000" };
    assert_eq!(off(wrong).status, 401);
    let dropped = off(&recovery);
    assert_eq!((dropped.status, dropped.json()), (200, json!({"totp": false})));
    // Anew, and now somebody guesses who has the password.
    let drafted = call("POST", "/v1/me/totp", &access, json!({"password": PASSWORD}));
    let other = drafted.json()["secret"].as_str().unwrap().to_owned();
    assert_ne!(other, secret);
    let said = json!({"code": shown(&other, 0)});
    assert_eq!(call("POST", "/v1/me/totp/confirm", &access, said).status, 200);
    let mut guesses = (0..12).map(|_| login(&gateway, Some("no code")));
    let refused = guesses.find(|one| one.status == 429).unwrap();
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(login(&gateway, Some(&shown(&other, 1))).status, 429, "guessed right, too late");
}

#[test]
fn administrators_set_a_second_factor_up_first_where_they_have_to() {
    let gateway = Gateway::start("[signin]\ntotp = \"admins\"\n");
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "admin");
    member(&gateway, &account, "bob@example.com", "owner");
    sign_in(&gateway, "bob@example.com");
    assert_eq!(Tab::sign_in(&gateway, "bob@example.com", PASSWORD).get("/console").status(), 200);
    assert_eq!(code_of(&login(&gateway, None)), (403, json!("factor_required")));
    let ann = Tab::sign_in(&gateway, "ann@example.com", PASSWORD);
    for path in ["/console", "/admin", "/admin/accounts", "/console/keys"] {
        let led = ann.get(path);
        assert_eq!(led.leads_to(), "/console/settings?done=factor_wanted", "{path}");
    }
    let settings = ann.get("/console/settings?done=factor_wanted");
    settings.has("wants you to have a second factor");
    let refused = ann.submit(&settings, "/console/keys/new", &[("name", "too early")]);
    assert_eq!(refused.status(), 403, "{}", refused.text);
    let page = ann.fill("/console/settings", "/console/settings/factor", &[]);
    let secret = page.secret("secret");
    let code = shown(&secret, 0);
    ann.submit(&page, "/console/settings/factor/confirm", &[("code", &code)]).has("recovery codes");
    assert_eq!(ann.get("/admin").status(), 200);
    assert_eq!(login(&gateway, Some(&shown(&secret, 1))).status, 200);
}

#[test]
fn callers_see_who_they_are_and_where_they_stand() {
    let gateway = Gateway::start("");
    let (account, _) = gateway.account("acme", "free", &json!({}));
    let id = member(&gateway, &account, "ann@example.com", "owner");
    let bob = member(&gateway, &account, "bob@example.com", "member");
    let (access, _) = sign_in(&gateway, "ann@example.com");
    let (theirs, _) = sign_in(&gateway, "bob@example.com");
    let me = gateway.get("/v1/me", &access).json();
    assert_eq!(
        (&me["member"], &me["verified"], &me["totp"]),
        (&json!(id), &json!(false), &json!(false))
    );
    let own = &me["accounts"][0];
    assert_eq!(
        (&own["id"], &own["name"], &own["role"]),
        (&json!(account), &json!("acme"), &json!("owner"))
    );
    let made = with(
        &gateway,
        "POST",
        "/v1/keys",
        &theirs,
        &json!({"name": "bob's", "requests_per_minute": 50, "monthly_credits": 40}),
    );
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let refused = gateway.get("/v1/me", &key);
    assert_eq!(refused.json()["error"]["code"], "person_required", "{}", refused.text());
    let asked = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let limits = |key: &str| gateway.get("/v1/limits", key).json()["data"].clone();
    let of = |all: &Value, name: &str, scope: &str| {
        let all = all.as_array().unwrap().clone();
        let found = all.iter().find(|one| one["name"] == name && one["scope"] == scope);
        found.cloned().unwrap_or_else(|| panic!("no {name} of {scope}: {all:?}"))
    };
    let before = limits(&key);
    let whole = of(&before, "requests_per_minute", "account");
    assert_eq!((&whole["used"], &whole["left"]), (&json!(0.0), &whole["limit"]), "{before}");
    let sent = gateway.post("/v1/chat/completions", &key, asked.to_string());
    assert_eq!(sent.status, 200, "{}", sent.text());
    let after = limits(&key);
    let day = of(&after, "requests_per_day", "account");
    assert_eq!(day["used"], 1.0, "{after}");
    // To be asked where one stands takes nothing.
    assert_eq!(of(&limits(&key), "requests_per_day", "account")["used"], 1.0);
    let credits = of(&after, "credits_per_month", "account");
    let own = of(&after, "monthly_credits", "key");
    assert_eq!(credits["used"], own["used"], "{after}");
    assert!(of(&after, "requests_per_minute", "key")["left"].is_null(), "{after}");
    let binds = after.as_array().unwrap().iter().filter(|one| one["binds"] == true).count();
    assert_eq!(binds, 1, "{after}");
    let told = gateway.get("/v1/account", &access).json();
    assert_eq!((&told["name"], &told["plan"]), (&json!("acme"), &json!("free")), "{told}");
    assert_eq!(told["credits_used"].as_f64(), credits["used"].as_f64(), "{told}");
    let rename = |token: &str| with(&gateway, "PATCH", "/v1/account", token, &json!({"name": "b"}));
    assert_eq!((rename(&theirs).status, rename(&key).status), (403, 403), "{bob}");
    assert_eq!(rename(&access).json()["name"], "b");
    for path in ["/v1/me", "/v1/account", "/v1/limits"] {
        assert_eq!(gateway.get(path, "nobody").status, 401, "{path}");
    }
}
