//! What every page is sent with, where pages lead, and that they open for whoever has no credits left.

use std::collections::BTreeSet;

use serde_json::json;

use crate::console::{OPEN, Page, Tab, encoded};
use crate::house::{Gateway, Provider, chain, eventually, good};
use crate::rights::{filled, routes};
use crate::signin::{member, sign_in};

const PASSWORD: &str = "correct horse battery staple";

/// What every page is sent with, in these words.
const SENT: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
    (
        "permissions-policy",
        "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
         display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), \
         gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), \
         midi=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), \
         publickey-credentials-get=(), screen-wake-lock=(), serial=(), sync-xhr=(), usb=(), \
         window-management=(), xr-spatial-tracking=()",
    ),
];
const BANNER: &str = "The credits of this month are used up.";
const HSTS: &str = "strict-transport-security";

fn is_sent_with_all(page: &Page, at: &str) {
    for (name, value) in SENT {
        assert_eq!(page.header(name), value, "{at}: {name} of a {}", page.status());
    }
}

/// What scripts ask for, and files, are no pages.
fn is_page(route: &str) -> bool {
    let others = ["/assets/{name}", "/favicon.ico", "/console/playground/requests/{id}"];
    !others.contains(&route) && !route.ends_with("/run")
}

#[test]
fn every_page_is_sent_with_what_protects_it() {
    let gateway = Gateway::start(OPEN);
    let (account, _) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let mut seen = BTreeSet::new();
    for tab in [&Tab::of(&gateway), &root] {
        for (method, route) in routes().iter().filter(|(_, route)| is_page(route)) {
            let path = filled(route, "none");
            // Without its token no form is taken, and the page says so.
            let page = if method == "get" { tab.get(&path) } else { tab.post(&path, &[], &[]) };
            is_sent_with_all(&page, &format!("{method} {path}"));
            assert_eq!(page.header(HSTS), "", "{path}: nothing is encrypted here");
            seen.insert(page.status());
        }
    }
    assert!([200, 303, 403, 404].iter().all(|status| seen.contains(status)), "{seen:?}");
    let nowhere = root.get("/nowhere");
    assert_eq!(nowhere.status(), 404);
    is_sent_with_all(&nowhere, "/nowhere");
    let file = root.get("/console/usage?format=csv");
    assert!(file.header("content-type").starts_with("text/csv"), "{}", file.text);
    is_sent_with_all(&file, "a file");
    let taken = root.fill("/console/settings", "/console/settings/me", &[("name", "Root")]);
    assert_eq!(taken.status(), 303, "{}", taken.text);
    is_sent_with_all(&taken, "a form that was taken");
}

#[test]
fn behind_a_proxy_that_speaks_https_cookies_are_for_https_and_this_host_alone() {
    let https = ("x-forwarded-proto", "https");
    let behind = Gateway::start(&format!("{OPEN}behind_proxy = true\n"));
    let open = Gateway::start(OPEN);
    let is_own = |page: &Page, name: &str| {
        let set = page.cookies().join("\n");
        let ours = set.starts_with(&format!("{name}=")) && set.lines().count() == 1;
        let parts: BTreeSet<&str> = set.split("; ").collect();
        let kept = ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"];
        assert!(ours && kept.iter().all(|part| parts.contains(part)), "{name}: {set}");
        assert!(!set.to_lowercase().contains("domain="), "{set}");
    };
    let lasting = |page: &Page| assert_eq!(page.header(HSTS), "max-age=31536000", "{}", page.text);
    let tab = Tab::of(&behind);
    let get = |path: &str| tab.send("GET", path, None, &[https]);
    let page = get("/signup");
    lasting(&page);
    is_own(&page, "__Host-optimux-form");
    page.lacks("not encrypted");
    let (csrf, once) = (page.hidden("csrf"), page.hidden("once"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("once", once.as_str()),
        ("email", "ann@example.com"),
        ("password", PASSWORD),
    ];
    let origin = behind.base.replace("http://", "https://");
    let made = tab.post("/signup", &fields, &[https, ("origin", &origin)]);
    assert_eq!(made.status(), 200, "{}", made.text);
    is_own(&made, "__Host-optimux");
    for (path, status) in [
        ("/console", 200),
        ("/signin", 303),
        ("/nowhere", 404),
        ("/console/usage?format=csv", 200),
        ("/console/requests/none", 404),
    ] {
        let page = get(path);
        assert_eq!(page.status(), status, "{path}: {}", page.text);
        lasting(&page);
        is_sent_with_all(&page, path);
    }
    // What was kept over https is not looked at over http.
    let bare = tab.get("/console");
    assert_eq!((bare.status(), bare.header(HSTS)), (303, ""));
    // Whoever stands before a gateway that has no proxy is not believed.
    let page = Tab::of(&open).send("GET", "/signup", None, &[https]);
    assert_eq!(page.header(HSTS), "");
    assert!(page.cookies()[0].starts_with("optimux-form="), "{:?}", page.cookies());
    assert!(!page.cookies()[0].contains("Secure"), "{:?}", page.cookies());
    page.has("not encrypted");
}

#[test]
fn who_has_no_credits_left_sees_and_manages_everything() {
    let provider = Provider::start(good("Hello"));
    let config = format!("[plans.poor]\ncredits_per_month = 1\n{}", chain(&[&provider]));
    let gateway = Gateway::start(&config);
    let (account, _) = gateway.account("acme", "poor", &json!({}));
    member(&gateway, &account, "root@example.com", "admin");
    let root = Tab::sign_in(&gateway, "root@example.com", PASSWORD);
    let (access, _) = sign_in(&gateway, "root@example.com");
    root.get("/console").lacks(BANNER);
    let said = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    let ask = || gateway.post("/v1/chat/completions", &access, said.to_string());
    let first = ask();
    assert_eq!((first.status, ask().status), (200, 402));
    let id = first.header("x-request-id").to_owned();
    eventually("it is in the books", || {
        gateway.get(&format!("/v1/requests/{id}"), &access).status == 200
    });
    let mut opened = 0;
    for (method, route) in routes() {
        // What names one thing is opened below; the set-up is over.
        if method == "get" && !route.contains('{') && route != "/setup" {
            let page = root.get(&route);
            assert!(page.status() < 400, "{route}: {} {}", page.status(), page.text);
            opened += 1;
        }
    }
    assert!(opened > 25, "{opened}");
    let made = root.fill("/console/keys/new", "/console/keys/new", &[("name", "more")]);
    assert_eq!(made.status(), 200, "{}", made.text);
    let list = root.get("/console/keys");
    for path in [
        crate::console::link(&list, "/console/keys/key_").to_owned(),
        format!("/console/requests/{id}"),
        format!("/admin/accounts/{account}"),
        "/console/models/m".to_owned(),
    ] {
        assert_eq!(root.get(&path).status(), 200, "{path}");
    }
    root.get("/console").has(BANNER);
    // What would cost is not done, and the page says why.
    let fields = [("model", "m"), ("message", "Hello"), ("do", "send")];
    let asked = root.fill("/console/playground", "/console/playground", &fields);
    assert!(asked.status() < 400, "{}: {}", asked.status(), asked.text);
    asked.has("credits");
    assert_eq!(provider.count(), 1);
    // More credits, and it goes on.
    let at = format!("/admin/accounts/{account}");
    let given = [("credits", "10"), ("reason", "a gift")];
    assert_eq!(root.fill(&at, &format!("{at}/credits"), &given).status(), 303);
    root.get("/console").lacks(BANNER);
    assert_eq!(ask().status, 200);
}

/// What would lead a browser elsewhere, or end the header that it stands in.
pub const ELSEWHERE: [&str; 9] = [
    "//evil.example",
    "https://evil.example",
    "http:evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "/\r\nset-cookie: x=1",
    "/%0d%0aset-cookie:x=1",
];

/// A browser that is led on by this page comes to one of ours, and keeps no cookie but ours.
pub fn stays_here(gateway: &Gateway, page: &Page) {
    assert_eq!(page.status(), 303, "{}", page.text);
    let ours = reqwest::Url::parse(&gateway.base).unwrap();
    let to = ours.join(page.leads_to()).unwrap();
    assert_eq!(to.origin(), ours.origin(), "{}", page.leads_to());
    for set in page.cookies() {
        assert!(set.starts_with("optimux"), "{set}");
    }
}

#[test]
fn nobody_is_led_off_the_site_by_signing_in() {
    let gateway = Gateway::start(OPEN);
    let (account, _) = gateway.account("acme", "free", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    for next in ELSEWHERE {
        let tab = Tab::of(&gateway);
        let page = tab.get(&format!("/signin?next={}", encoded(next)));
        assert!(page.hidden("next").starts_with('/'), "{}", page.hidden("next"));
        let fields = [("next", next), ("email", "ann@example.com"), ("password", PASSWORD)];
        let entered = tab.submit(&page, "/signin", &fields);
        stays_here(&gateway, &entered);
        assert_eq!(tab.get("/console").status(), 200, "{next:?}");
        // Who is signed in already is led on at once.
        stays_here(&gateway, &tab.get(&format!("/signin?next={}", encoded(next))));
    }
    let tab = Tab::of(&gateway);
    let fields = [("next", "/console/keys"), ("email", "ann@example.com"), ("password", PASSWORD)];
    let entered = tab.fill("/signin", "/signin", &fields);
    assert_eq!(entered.leads_to(), "/console/keys", "within the site they are");
}

#[test]
fn assets_are_kept_for_good_under_names_that_change_with_them() {
    let gateway = Gateway::start(OPEN);
    let (tab, _) = Tab::sign_up(&gateway, "ann@example.com");
    let mut names = BTreeSet::new();
    for page in ["/", "/console", "/console/playground"].map(|path| tab.get(path)) {
        let found = page.text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next());
        names.extend(found.map(str::to_owned));
    }
    for kind in [".css", ".js", ".svg"] {
        assert!(names.iter().any(|name| name.ends_with(kind)), "no {kind}: {names:?}");
    }
    for name in names {
        let asset = tab.get(&format!("/assets/{name}"));
        assert_eq!(asset.status(), 200, "{name}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable", "{name}");
        assert_eq!(asset.header("x-content-type-options"), "nosniff", "{name}");
        let (stem, ending) = name.rsplit_once('.').unwrap();
        let (stem, hash) = stem.rsplit_once('-').unwrap();
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        let bare = tab.get(&format!("/assets/{stem}.{ending}"));
        assert_eq!(bare.status(), 404, "what has no hash could not be kept for good: {stem}");
    }
}
