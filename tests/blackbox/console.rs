//! The console, as a browser without scripts uses it: pages are read, forms are filled in and sent.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::house::{Gateway, Reply, eventually, runtime};
use crate::servers::Postgres;

const PASSWORD: &str = "correct horse battery staple";
pub const OPEN: &str = "[signin]\nregister = \"pro\"\n";

/// A browser: it keeps cookies, follows nothing by itself, and runs no script.
pub struct Tab<'a> {
    gateway: &'a Gateway,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// A page, with what its forms hide.
pub struct Page {
    reply: Reply,
    pub text: String,
}

impl Page {
    pub fn status(&self) -> u16 {
        self.reply.status
    }

    pub fn leads_to(&self) -> &str {
        self.reply.header("location")
    }

    pub fn header(&self, name: &str) -> &str {
        self.reply.header(name)
    }

    /// What the browser is told to keep.
    pub fn cookies(&self) -> Vec<&str> {
        let all = self.reply.headers.get_all("set-cookie").iter();
        all.map(|value| value.to_str().unwrap()).collect()
    }

    /// The value of a field, of the first form that has it.
    pub fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let at = self.text.find(&start).unwrap_or_else(|| panic!("no {name}: {}", self.text));
        let rest = &self.text[at + start.len()..];
        rest[..rest.find('"').unwrap()].to_owned()
    }

    /// The secret that is shown, once.
    pub fn secret(&self, id: &str) -> String {
        let start = format!("<pre id=\"{id}\" tabindex=\"0\"><code>");
        let at = self.text.find(&start).unwrap_or_else(|| panic!("no {id}: {}", self.text));
        let rest = &self.text[at + start.len()..];
        rest[..rest.find('<').unwrap()].to_owned()
    }

    pub fn has(&self, text: &str) {
        assert!(self.text.contains(text), "no '{text}' on the page: {}", self.text);
    }

    pub fn lacks(&self, text: &str) {
        assert!(!self.text.contains(text), "'{text}' is on the page: {}", self.text);
    }
}

pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl<'a> Tab<'a> {
    pub fn of(gateway: &'a Gateway) -> Self {
        Self { gateway, cookies: RefCell::default() }
    }

    /// Another tab of the same browser.
    pub fn beside(&self) -> Self {
        Self { gateway: self.gateway, cookies: self.cookies.clone() }
    }

    /// The same browser at another node.
    pub fn at<'b>(&self, gateway: &'b Gateway) -> Tab<'b> {
        Tab { gateway, cookies: self.cookies.clone() }
    }

    /// The session's cookie, as the browser keeps it.
    pub fn cookie(&self) -> String {
        self.cookies.borrow().get("optimux").cloned().unwrap_or_default()
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Page {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        optimux::boot::prepare();
        let browser = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let mut request = browser
            .request(method, format!("{}{path}", self.gateway.base))
            .header("accept", "text/html,*/*;q=0.8")
            .header("user-agent", "Mozilla/5.0 Firefox/140.0");
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let reply = runtime().block_on(async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await.unwrap().to_vec();
            Reply { status, headers, body, whole: true }
        });
        for set in reply.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
            let (name, rest) = set.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
        let text = reply.text();
        Page { reply, text }
    }

    pub fn get(&self, path: &str) -> Page {
        self.send("GET", path, None, &[])
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, Some(body.join("&")), &[&[kind], headers].concat())
    }

    /// Sends a form as the page has it.
    pub fn submit(&self, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let (csrf, once) = (page.hidden("csrf"), page.hidden("once"));
        let own = [("csrf", csrf.as_str()), ("once", once.as_str())];
        self.post(path, &[&own, fields].concat(), &[("origin", &self.gateway.base)])
    }

    /// Opens the page that has a form, and sends it.
    pub fn fill(&self, from: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(from);
        assert_eq!(page.status(), 200, "{from}: {}", page.text);
        self.submit(&page, path, fields)
    }

    pub fn sign_up(gateway: &'a Gateway, email: &str) -> (Self, String) {
        let tab = Self::of(gateway);
        let made = tab.fill("/signup", "/signup", &[("email", email), ("password", PASSWORD)]);
        assert_eq!(made.status(), 200, "{}", made.text);
        let key = made.secret("secret");
        (tab, key)
    }

    pub fn sign_in(gateway: &'a Gateway, email: &str, password: &str) -> Self {
        let tab = Self::of(gateway);
        let fields = [("email", email), ("password", password)];
        let entered = tab.fill("/signin", "/signin", &fields);
        assert_eq!(entered.status(), 303, "{}", entered.text);
        tab
    }
}

fn chat(gateway: &Gateway, key: &str, model: &str) -> u16 {
    let asked = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    gateway.post("/v1/chat/completions", key, asked.to_string()).status
}

/// The first link of a page that begins so.
pub fn link<'a>(page: &'a Page, start: &str) -> &'a str {
    let wanted = format!("href=\"{start}");
    let at = page.text.find(&wanted).unwrap_or_else(|| panic!("no {start}: {}", page.text));
    let rest = &page.text[at + 6..];
    &rest[..rest.find('"').unwrap()]
}

#[test]
fn the_first_administrator_is_made_by_the_printed_code() {
    let gateway = Gateway::start("[admin]\n");
    let log = gateway.log();
    let at = log.find("/setup?code=").unwrap_or_else(|| panic!("no code: {log}"));
    let path = log[at..].split_whitespace().next().unwrap().to_owned();
    let tab = Tab::of(&gateway);
    assert_eq!(tab.get("/setup?code=wrong").status(), 404);
    let code = path.split('=').nth(1).unwrap().to_owned();
    let fields = [("code", code.as_str()), ("email", "root@example.com"), ("password", "short")];
    let refused = tab.fill(&path, "/setup", &fields);
    assert_eq!(refused.status(), 400, "{}", refused.text);
    refused.has("root@example.com");
    let fields = [("code", code.as_str()), ("email", "root@example.com"), ("password", PASSWORD)];
    let made = tab.fill(&path, "/setup", &fields);
    assert_eq!(made.status(), 200, "{}", made.text);
    let key = made.secret("secret");
    assert_eq!(chat(&gateway, &key, "auto"), 200);
    let admin = gateway.get("/v1/admin/accounts", &key);
    assert_eq!(admin.status, 403, "a program's key does not run the gateway");
    assert_eq!(tab.get("/setup?code=wrong").status(), 404);
    assert_eq!(tab.get(&path).status(), 404, "it was used");
    tab.get("/admin").has("Gateway");
    tab.get("/admin/accounts").has("operators");
    tab.get("/welcome").has("This key was shown");
}

fn from_sign_up_to_a_revoked_key(gateway: &Gateway) {
    let (tab, first) = Tab::sign_up(gateway, "ann@example.com");
    assert_eq!(chat(gateway, &first, "auto"), 200);
    tab.get("/console").lacks(&first);
    let fields = [
        ("name", "ci"),
        ("scopes", "chat"),
        ("scopes", "usage"),
        ("models", "claude-*, auto"),
        ("monthly_budget_usd", "12.50"),
        ("requests_per_minute", "1,000"),
        ("expiry", "30"),
        ("for", "me"),
    ];
    let made = tab.fill("/console/keys/new", "/console/keys/new", &fields);
    assert_eq!(made.status(), 200, "{}", made.text);
    let ci = made.secret("secret");
    assert_eq!(chat(gateway, &ci, "claude-haiku-4-5"), 200);
    assert_eq!(chat(gateway, &ci, "gpt-5-mini"), 403, "not one of its models");
    let list = tab.get("/console/keys");
    list.has("$12.50 a month");
    list.lacks(&ci);
    let own = link(&list, "/console/keys/key_").to_owned();
    let id = own.rsplit('/').next().unwrap().to_owned();
    let told = gateway.get(&format!("/v1/keys/{id}"), &first).json();
    assert_eq!(told["name"], "ci");
    assert_eq!(
        (&told["scopes"], &told["monthly_budget_usd"]),
        (&json!(["chat", "usage"]), &json!("12.5"))
    );
    eventually("its use is in the list", || {
        !gateway.get(&format!("/v1/keys/{id}"), &first).json()["last_used_at"].is_null()
    });
    tab.get(&own).has("Its requests");
    // A field that is wrong is named, and what was typed stays.
    let wrong = [("name", "renamed"), ("models", "no-such-model")];
    let refused = tab.fill(&own, &own, &wrong);
    assert_eq!(refused.status(), 400);
    refused.has("There is no model 'no-such-model'");
    refused.has("value=\"renamed\"");
    let changed = tab.fill(&own, &own, &[("name", "build"), ("scopes", "chat")]);
    assert_eq!((changed.status(), changed.leads_to()), (303, "/console/keys?done=changed"));
    let told = gateway.get(&format!("/v1/keys/{id}"), &first).json();
    assert_eq!((told["name"].as_str(), told.get("models")), (Some("build"), None), "{told}");
    // Rotated with an overlap both are good; a second time it is refused.
    let rotate = format!("{own}/rotate");
    let rotated = tab.fill(&rotate, &rotate, &[("overlap", "3600")]);
    assert_eq!(rotated.status(), 200, "{}", rotated.text);
    let newer = rotated.secret("secret");
    assert_eq!((chat(gateway, &ci, "auto"), chat(gateway, &newer, "auto")), (200, 200));
    assert_eq!(tab.fill(&rotate, &rotate, &[("overlap", "0")]).status(), 409);
    // Revoked by its name, which has to be right.
    let revoke = format!("{own}/revoke");
    assert_eq!(tab.fill(&revoke, &revoke, &[("name", "other")]).status(), 400);
    assert_eq!(chat(gateway, &ci, "auto"), 200);
    let revoked = tab.fill(&revoke, &revoke, &[("name", "build")]);
    assert_eq!(revoked.leads_to(), "/console/keys?done=revoked", "{}", revoked.text);
    assert_eq!((chat(gateway, &ci, "auto"), chat(gateway, &newer, "auto")), (401, 200));
}

#[test]
fn a_key_is_made_changed_rotated_and_revoked_without_a_script() {
    from_sign_up_to_a_revoked_key(&Gateway::start(OPEN));
}

#[test]
fn a_key_is_made_changed_rotated_and_revoked_without_a_script_on_postgresql() {
    let Some(postgres) = Postgres::start() else {
        eprintln!("skipped: no initdb here");
        return;
    };
    let config = format!("{OPEN}[store]\nurl = \"{}\"\n", postgres.url);
    let gateway = Gateway::start(&config);
    from_sign_up_to_a_revoked_key(&gateway);
    requests_are_listed_and_explained(&gateway);
}

fn requests_are_listed_and_explained(gateway: &Gateway) {
    let (tab, key) = Tab::sign_up(gateway, "list@example.com");
    tab.get("/console").has("Waiting for your first request");
    assert_eq!(tab.get("/console/first").status(), 204);
    for _ in 0..7 {
        assert_eq!(chat(gateway, &key, "claude-haiku-4-5"), 200);
    }
    assert_eq!(chat(gateway, &key, "auto"), 200);
    let mine = |query: &str| gateway.get(&format!("/v1/requests{query}"), &key).json();
    eventually("all are in the list", || mine("")["data"].as_array().unwrap().len() == 8);
    assert_eq!(tab.get("/console/first").status(), 200);
    // By pages, each once, newest first.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = mine(&format!("?limit=3{after}"));
        seen.extend(page["data"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), sorted.len()), (8, 8), "{seen:?}");
    assert_eq!(mine("?model=auto")["data"].as_array().unwrap().len(), 1);
    assert_eq!(mine("?status=failed")["data"].as_array().unwrap().len(), 0);
    assert_eq!(gateway.get("/v1/requests?after=x", &key).status, 400);
    let list = tab.get("/console/requests?model=auto");
    let path = link(&list, "/console/requests/req_").to_owned();
    let one = tab.get(&path);
    one.has("Asked for");
    let id = path.rsplit('/').next().unwrap();
    let judged = tab.submit(&one, &format!("{path}/feedback"), &[("score", "1")]);
    assert_eq!(judged.status(), 303, "{}", judged.text);
    // What one account asked is nowhere for another.
    let (other, _) = Tab::sign_up(gateway, "other@example.com");
    assert_eq!(other.get(&path).status(), 404);
    other.get("/console/requests").lacks(id);
    // The page, the file and the interface say the same.
    let csv = tab.get("/console/usage?group_by=model&format=csv");
    assert_eq!(csv.reply.header("content-type"), "text/csv; charset=utf-8");
    let told = gateway.get("/v1/usage?group_by=model", &key).json();
    for row in told["data"].as_array().unwrap() {
        csv.has(row["model"].as_str().unwrap());
        tab.get("/console/usage").has(row["model"].as_str().unwrap());
    }
    assert_eq!(told["usage"]["requests"], 8, "{told}");
}

#[test]
fn requests_are_listed_by_pages_and_explained() {
    requests_are_listed_and_explained(&Gateway::start(OPEN));
}

#[test]
fn forms_are_taken_from_our_own_pages_alone_and_once() {
    let gateway = Gateway::start(OPEN);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let count = || gateway.get("/v1/keys", &key).json()["data"].as_array().unwrap().len();
    let page = tab.get("/console/keys/new");
    let (csrf, once) = (page.hidden("csrf"), page.hidden("once"));
    let fields = |csrf: &'static str| [("csrf", csrf), ("once", "x"), ("name", "evil")];
    let ours = gateway.base.clone();
    for (fields, headers) in [
        (fields("").to_vec(), vec![("origin", ours.as_str())]),
        (fields("00").to_vec(), vec![]),
        (vec![("csrf", csrf.as_str()), ("once", "x"), ("name", "evil")], vec![("origin", "null")]),
        (
            vec![("csrf", csrf.as_str()), ("once", "x"), ("name", "evil")],
            vec![("origin", "https://evil.example")],
        ),
        (
            vec![("csrf", csrf.as_str()), ("once", "x"), ("name", "evil")],
            vec![("sec-fetch-site", "cross-site")],
        ),
        (
            vec![("csrf", csrf.as_str()), ("once", "x"), ("name", "evil")],
            vec![("sec-fetch-site", "same-site")],
        ),
    ] {
        let refused = tab.post("/console/keys/new", &fields, &headers);
        assert_eq!(refused.status(), 403, "{headers:?}: {}", refused.text);
    }
    // A token of another session.
    let (other, _) = Tab::sign_up(&gateway, "bob@example.com");
    let foreign = other.get("/console/keys/new").hidden("csrf");
    let fields = [("csrf", foreign.as_str()), ("once", "y"), ("name", "evil")];
    assert_eq!(tab.post("/console/keys/new", &fields, &[]).status(), 403);
    assert_eq!(count(), 1, "nothing was done");
    // Sent twice, one key; and the second answer shows none.
    let fields = [("csrf", csrf.as_str()), ("once", once.as_str()), ("name", "once")];
    let headers = [("sec-fetch-site", "same-origin")];
    let made = tab.post("/console/keys/new", &fields, &headers);
    assert_eq!(made.status(), 200, "{}", made.text);
    let secret = made.secret("secret");
    let again = tab.post("/console/keys/new", &fields, &headers);
    assert_eq!(again.status(), 409);
    again.lacks(&secret);
    assert_eq!(count(), 2);
    // Without its cookie a sign-in says so.
    let page = Tab::of(&gateway).get("/signin");
    let bare = Tab::of(&gateway).submit(&page, "/signin", &[("email", "a@b"), ("password", "x")]);
    assert_eq!(bare.status(), 403);
    bare.has("kept no cookie");
    // A cookie is no credential of the interface.
    for path in
        ["/v1/keys", "/v1/usage", "/api/v1/models", "/optima/v1/models", "/v1/admin/accounts"]
    {
        assert_eq!(tab.get(path).status(), 401, "{path}");
    }
}

#[test]
fn pages_say_who_may_and_show_names_as_they_are() {
    let gateway = Gateway::start(OPEN);
    let (ann, _) = Tab::sign_up(&gateway, "ann@example.com");
    let nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let made = ann.fill("/console/keys/new", "/console/keys/new", &[("name", nasty)]);
    assert_eq!(made.status(), 200, "{}", made.text);
    for page in [
        made,
        ann.get("/console/keys"),
        ann.fill("/console/settings", "/console/settings/name", &[("name", nasty)]),
    ] {
        page.lacks("<script>alert");
        page.lacks("<img src=x");
    }
    ann.get("/console").has("&lt;script&gt;alert(1)");
    let page = ann.get("/console");
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("server-timing", "app;dur="),
    ] {
        assert!(page.reply.header(name).contains(part), "{name}");
    }
    page.lacks("style=");
    // Signed out a page leads to the sign-in, and back; nowhere else.
    let nobody = Tab::of(&gateway);
    let away = nobody.get("/console/keys?show=all");
    assert_eq!((away.status(), away.leads_to()), (303, "/signin?next=/console/keys%3Fshow%3Dall"));
    for evil in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example"] {
        assert_eq!(nobody.get(&format!("/signin?next={evil}")).hidden("next"), "/console");
    }
    // Owners do not run the gateway; billing looks after no keys; members see what is theirs.
    for path in [
        "/admin",
        "/admin/accounts",
        "/admin/plans",
        "/admin/providers",
        "/admin/nodes",
        "/admin/audit",
    ] {
        assert_eq!(ann.get(path).status(), 403, "{path}");
        assert_eq!(nobody.get(path).status(), 303, "{path}");
    }
    let invited = ann.fill(
        "/console/team",
        "/console/team/invitations",
        &[("email", "bill@example.com"), ("role", "billing")],
    );
    assert_eq!(invited.status(), 200, "{}", invited.text);
    let path = invited.secret("link").replace(&gateway.base, "");
    assert_eq!(nobody.get(&path).status(), 200, "looking does not use it up");
    let joined = nobody.fill(&path, &path, &[("password", PASSWORD)]);
    assert_eq!(joined.status(), 303, "{}", joined.text);
    assert_eq!(Tab::of(&gateway).get(&path).status(), 404, "used");
    // Nobody is led to what they may not do.
    let page = nobody.get("/console");
    page.has("href=\"/console/usage\"");
    page.lacks("href=\"/console/keys\"");
    page.lacks("href=\"/console/playground\"");
    assert_eq!(nobody.get("/console/keys").status(), 403);
    nobody.get("/console/team").lacks("Invite somebody");
    // The last owner stays.
    let team = ann.get("/console/team");
    let own = link(&team, "/console/team/member_").to_owned();
    let left = ann.fill(&own, &format!("{own}/role"), &[("role", "member")]);
    assert_eq!(left.status(), 409, "{}", left.text);
    // Old names lead on, what is nowhere is a page for browsers and an error for programs.
    assert_eq!(nobody.get("/login").leads_to(), "/signin");
    assert_eq!(nobody.get("/settings/api-keys").leads_to(), "/console/keys");
    let nowhere = Tab::of(&gateway).get("/nowhere");
    assert_eq!(nowhere.status(), 404);
    nowhere.has("There is no page");
    assert_eq!(gateway.get("/nowhere", "").json()["error"]["code"], "unknown_url");
    assert_eq!(Tab::of(&gateway).get("/v1/nowhere").reply.json()["error"]["code"], "unknown_url");
}

#[test]
fn a_changed_password_ends_every_other_session() {
    let gateway = Gateway::start(OPEN);
    let (tab, _) = Tab::sign_up(&gateway, "ann@example.com");
    let elsewhere = Tab::sign_in(&gateway, "ann@example.com", PASSWORD);
    assert_eq!(elsewhere.get("/console").status(), 200);
    let wrong = Tab::of(&gateway);
    let refused =
        wrong.fill("/signin", "/signin", &[("email", "ann@example.com"), ("password", "no")]);
    assert_eq!(refused.status(), 401);
    refused.has("Wrong e-mail address or password");
    let fields = [("old", "not it"), ("new", "another long password")];
    assert_eq!(tab.fill("/console/settings", "/console/settings/password", &fields).status(), 401);
    let fields = [("old", PASSWORD), ("new", "another long password")];
    let changed = tab.fill("/console/settings", "/console/settings/password", &fields);
    assert_eq!(changed.leads_to(), "/console/settings?done=password", "{}", changed.text);
    assert_eq!(tab.get("/console").status(), 200, "this one goes on");
    assert_eq!(elsewhere.get("/console").status(), 303, "the other has ended");
    let again = Tab::sign_in(&gateway, "ann@example.com", "another long password");
    tab.get("/console/settings").has("this one");
    let ended = tab.fill("/console/settings", "/console/settings/sessions", &[]);
    assert_eq!(ended.status(), 303);
    assert_eq!(again.get("/console").status(), 303);
    assert_eq!(tab.fill("/console", "/signout", &[]).leads_to(), "/signin?left=1");
    assert_eq!(tab.get("/console").status(), 303);
}

#[test]
fn administrators_find_accounts_and_book_credits_once() {
    let gateway = Gateway::start(OPEN);
    let (account, key) = gateway.account("acme", "pro", &json!({}));
    crate::signin::member(&gateway, &account, "owner@acme.example", "owner");
    let (operators, _) = gateway.account("operators", "enterprise", &json!({}));
    crate::signin::member(&gateway, &operators, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let hint = &key[key.len() - 4..];
    for words in ["ACM", "owner@acme", hint, &account] {
        root.get(&format!("/admin/accounts?search={}", encoded(words))).has("acme");
    }
    root.get("/admin/accounts?search=%25").has("No account is like that");
    let at = format!("/admin/accounts/{account}");
    let page = root.get(&at);
    page.has("owner@acme.example");
    let credits = format!("{at}/credits");
    let (csrf, once) = (page.hidden("csrf"), page.hidden("once"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("once", once.as_str()),
        ("credits", "1,000"),
        ("reason", "a gift"),
    ];
    for _ in 0..2 {
        assert_eq!(root.post(&credits, &fields, &[]).status(), 303);
    }
    let grants = gateway.admin("GET", &format!("/accounts/{account}/credits"), &Value::Null).json();
    assert_eq!(grants["data"].as_array().unwrap().len(), 1, "{grants}");
    assert_eq!(grants["data"][0]["credits"], 1_000);
    // Suspended and let in again.
    root.fill(&at, &format!("{at}/access"), &[("suspended", "yes")]);
    assert_eq!(chat(&gateway, &key, "auto"), 403);
    root.fill(&at, &format!("{at}/access"), &[("suspended", "no")]);
    assert_eq!(chat(&gateway, &key, "auto"), 200);
    // A link that sets a password works once.
    let member = page.hidden("member");
    let made = root.fill(&at, &format!("{at}/reset"), &[("member", &member)]);
    let path = made.secret("link").replace(&gateway.base, "");
    let owner = Tab::of(&gateway);
    assert_eq!((owner.get(&path).status(), owner.get(&path).status()), (200, 200));
    assert_eq!(owner.fill(&path, &path, &[("password", "a brand new password")]).status(), 303);
    assert_eq!(owner.get("/console").status(), 200);
    assert_eq!(Tab::of(&gateway).get(&path).status(), 404);
    root.get("/admin/audit").has("credits.grant");
    // A plan is changed where something is said of it, and an account is erased by its name.
    let fields =
        [("plan", "starter"), ("requests_per_minute", "77"), ("credits_per_month", "unlimited")];
    assert_eq!(root.fill("/admin/plans", "/admin/plans", &fields).status(), 303);
    let plans = gateway.admin("GET", "/plans", &Value::Null).json();
    let starter = plans["data"].as_array().unwrap().iter().find(|one| one["name"] == "starter");
    assert_eq!(starter.unwrap()["requests_per_minute"], 77, "{plans}");
    assert_eq!(starter.unwrap()["credits_per_month"], "unlimited", "{plans}");
    let fields = [("plan", "starter"), ("requests_per_day", "many")];
    assert_eq!(root.fill("/admin/plans", "/admin/plans", &fields).status(), 400);
    let erase = format!("{at}/erase");
    assert_eq!(root.fill(&at, &erase, &[("name", "other")]).status(), 400);
    assert_eq!(chat(&gateway, &key, "auto"), 200);
    assert_eq!(
        root.fill(&at, &erase, &[("name", "acme")]).leads_to(),
        "/admin/accounts?done=erased"
    );
    assert_eq!(chat(&gateway, &key, "auto"), 401);
    assert_eq!(root.get(&at).status(), 404);
}

#[test]
fn administrators_give_the_credits_of_a_request_back_once() {
    let gateway = Gateway::start("");
    let (account, key) = gateway.account("acme", "free", &json!({}));
    crate::signin::member(&gateway, &account, "root@example.com", "admin");
    let asked = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let sent = gateway.post("/v1/chat/completions", &key, asked.to_string());
    assert_eq!(sent.status, 200, "{}", sent.text());
    let id = sent.header("x-request-id").to_owned();
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let at = format!("/admin/refunds?request={id}");
    eventually("the request is in the books", || root.get(&at).text.contains("name=\"reason\""));
    root.get(&format!("/console/requests/{id}")).has("Give its credits back");
    let fields = [("request", id.as_str()), ("reason", "it was of no use")];
    let given = root.fill(&at, "/admin/refunds", &fields);
    assert_eq!(given.status(), 303, "{}", given.text);
    root.get(given.leads_to()).has("Given back: ");
    let again = root.fill(&at, "/admin/refunds", &fields);
    again.has("This request has been refunded");
    let listed = gateway.admin("GET", &format!("/accounts/{account}/credits"), &Value::Null);
    let refunds = listed.json()["data"].as_array().unwrap().clone();
    assert_eq!((refunds.len(), &refunds[0]["request"]), (1, &json!(id)), "{}", listed.text());
    gateway.has_right_books();
    let nobody = root.get("/admin/refunds?request=req_none");
    assert_eq!(nobody.status(), 200, "{}", nobody.text);
    nobody.lacks("name=\"reason\"");
}

#[test]
fn the_playground_answers_without_a_script_and_streams_with_one() {
    let gateway = Gateway::start(OPEN);
    let (tab, _) = Tab::sign_up(&gateway, "ann@example.com");
    let fields = [("model", "auto"), ("message", "Hello"), ("max_tokens", "200"), ("do", "send")];
    let came = tab.fill("/console/playground", "/console/playground", &fields);
    assert_eq!(came.status(), 200, "{}", came.text);
    came.has("The whole request");
    let fields = [("model", "auto"), ("message", "Hello"), ("do", "route")];
    tab.fill("/console/playground", "/console/playground", &fields).has("auto would ask");
    let token = tab.get("/console/playground").hidden("csrf");
    let asked = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let kind = ("content-type", "application/json");
    let run = |token: &str| {
        tab.send(
            "POST",
            "/console/playground/run",
            Some(asked.to_string()),
            &[kind, ("x-csrf", token)],
        )
    };
    assert_eq!(run("").status(), 403);
    let streamed = run(&token);
    assert_eq!(streamed.status(), 200, "{}", streamed.text);
    streamed.has("event: optimux\ndata: {\"id\":\"req_");
    let id = streamed.text.split("\"id\":\"req_").nth(1).unwrap();
    let id = format!("req_{}", &id[..id.find('"').unwrap()]);
    let told = tab.get(&format!("/console/playground/requests/{id}"));
    assert_eq!(told.status(), 200, "{}", told.text);
    assert_eq!(told.reply.json()["status"], "complete");
}

#[test]
fn switches_memories_and_agents_have_pages() {
    let gateway = Gateway::start(OPEN);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let set = tab.fill(
        "/console/features",
        "/console/features/memory",
        &[("enabled", "yes"), ("for", "me")],
    );
    assert_eq!(set.leads_to(), "/console/features?done=set", "{}", set.text);
    let told = gateway.get("/v1/features", &key).json();
    let memory = told["data"].as_array().unwrap().iter().find(|one| one["id"] == "memory").unwrap();
    assert_eq!(memory["enabled"], true, "{memory}");
    let kept = tab.fill(
        "/console/memory",
        "/console/memory",
        &[("text", "Ann lives in Graz"), ("tags", "home, city")],
    );
    assert_eq!(kept.status(), 303, "{}", kept.text);
    let page = tab.get("/console/memory");
    page.has("Ann lives in Graz");
    page.has("home, city");
    tab.get("/console/memory?search=Graz").has("Ann lives in Graz");
    let at = page.text.find("/console/memory/mem_").unwrap();
    let path = page.text[at..].split('"').next().unwrap().to_owned();
    assert_eq!(tab.submit(&page, &path, &[]).leads_to(), "/console/memory?done=forgotten");
    tab.get("/console/memory").lacks("Ann lives in Graz");
    // All of it, once its person's address is typed; then nothing finds it.
    for text in ["Ann likes tea", "Ann likes figs"] {
        tab.fill("/console/memory", "/console/memory", &[("text", text)]);
    }
    let page = tab.get("/console/memory");
    page.has("Ann likes figs");
    let found = || gateway.post("/v1/memory/search", &key, json!({"query": "figs"}).to_string());
    assert!(found().text().contains("Ann likes figs"), "{}", found().text());
    let astray = tab.submit(&page, "/console/memory/forget", &[("name", "somebody else")]);
    assert_eq!(astray.status(), 400, "{}", astray.text);
    page.has("Type ann@example.com to go on");
    let typed = &[("name", "ann@example.com")];
    let gone = tab.fill("/console/memory", "/console/memory/forget", typed);
    assert_eq!(gone.leads_to(), "/console/memory?done=forgotten", "{}", gone.text);
    tab.get("/console/memory").lacks("figs");
    tab.get("/console/memory?search=figs").lacks("Ann likes");
    assert_eq!(found().json()["data"].as_array().unwrap().len(), 0);
    let fields =
        [("name", "helper"), ("instructions", "Be brief."), ("tools", "[{\"type\":\"memory\"}]")];
    let made = tab.fill("/console/agents/new", "/console/agents/new", &fields);
    assert_eq!(made.leads_to(), "/console/agents?done=saved", "{}", made.text);
    let list = tab.get("/console/agents");
    let path = link(&list, "/console/agents/agent_").to_owned();
    let page = tab.get(&path);
    page.has("Be brief.");
    // Two who edit at once: the second sees both.
    let version = page.hidden("version").replace("&quot;", "\"");
    let fields = [("version", version.as_str()), ("name", "helper"), ("instructions", "Be long.")];
    assert_eq!(tab.fill(&path, &path, &fields).status(), 303);
    let stale = tab.fill(
        &path,
        &path,
        &[("version", &version), ("name", "helper"), ("instructions", "Be odd.")],
    );
    assert_eq!(stale.status(), 412);
    stale.has("Be long.");
    stale.has("Be odd.");
    tab.get("/console/connect").has("No app is configured");
}

#[test]
fn no_page_says_that_its_text_need_not_be_escaped() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
    let mut folders = vec![root];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                read += 1;
                for escape in ["PreEscaped", "style=", "onclick=", "onload="] {
                    assert!(!text.contains(escape), "{}: {escape}", path.display());
                }
            }
        }
    }
    assert!(read > 20);
}

#[test]
fn what_cannot_be_undone_needs_the_password_again_after_a_while() {
    let gateway = Gateway::start(OPEN);
    let (account, _) = gateway.account("acme", "pro", &json!({}));
    let (operators, _) = gateway.account("operators", "enterprise", &json!({}));
    crate::signin::member(&gateway, &operators, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let script = "import sqlite3\nd = sqlite3.connect('optimux.db', timeout=10)\n\
                  d.execute('UPDATE signins SET proved_ms = 1')\nd.commit()\n";
    let aged = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(&gateway.folder)
        .status()
        .unwrap();
    assert!(aged.success());
    let at = format!("/admin/accounts/{account}");
    let credits = format!("{at}/credits");
    let given = || {
        let all = gateway.admin("GET", &format!("/accounts/{account}/credits"), &Value::Null);
        all.json()["data"].as_array().unwrap().len()
    };
    let asked = root.fill(&at, &credits, &[("credits", "500"), ("reason", "a gift")]);
    assert_eq!(asked.status(), 403, "{}", asked.text);
    asked.has("Is it still you?");
    assert_eq!((asked.hidden("credits"), given()), ("500".to_owned(), 0));
    let again = [("credits", "500"), ("reason", "a gift"), ("proof", "not it")];
    let wrong = root.submit(&asked, &credits, &again);
    assert_eq!((wrong.status(), given()), (401, 0), "{}", wrong.text);
    let again = [("credits", "500"), ("reason", "a gift"), ("proof", PASSWORD)];
    let done = root.submit(&wrong, &credits, &again);
    assert_eq!((done.status(), given()), (303, 1), "{}", done.text);
    // It holds for a while.
    assert_eq!(root.fill(&at, &credits, &[("credits", "1"), ("reason", "more")]).status(), 303);
}
