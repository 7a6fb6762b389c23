//! Signing in by an issuer of OpenID Connect, which is scripted here, with real signatures.

use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::console::{Page, Tab, encoded};
use crate::house::{Gateway, Provider, respond};
use crate::mail::mailing;
use crate::pages::{ELSEWHERE, stays_here};
use crate::servers::Smtp;
use crate::signin::member;

const PASSWORD: &str = "correct horse battery staple";

/// What the issuer says next.
#[derive(Default)]
struct Script {
    header: Value,
    claims: Value,
}

pub struct Issuer {
    server: Provider,
    script: Arc<Mutex<Script>>,
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Issuer {
    pub fn start() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let script: Arc<Mutex<Script>> = Arc::default();
        let said = Arc::clone(&script);
        let server = Provider::start(move |socket, request, _| {
            let host = request.head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("host: ").map(|host| host.trim().to_owned())
            });
            let base = format!("http://{}", host.unwrap());
            let answer = match request.path() {
                "/.well-known/openid-configuration" => json!({
                    "issuer": base,
                    "authorization_endpoint": format!("{base}/authorize"),
                    "token_endpoint": format!("{base}/token"),
                    "jwks_uri": format!("{base}/keys"),
                }),
                "/keys" => json!({"keys": [
                    {"kty": "new", "kid": "of a kind that nobody knows"},
                    {"kty": "OKP", "crv": "Ed25519", "kid": "k1",
                     "x": BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())},
                ]}),
                _ => {
                    let script = said.lock().unwrap();
                    let said = format!("{}.{}", part(&script.header), part(&script.claims));
                    let signature = pair.sign(said.as_bytes());
                    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref());
                    json!({"access_token": "a", "token_type": "Bearer",
                           "id_token": format!("{said}.{signature}")})
                }
            };
            respond(socket, 200, "", "application/json", answer.to_string().as_bytes());
        });
        Self { server, script }
    }

    pub fn config(&self, more: &str) -> String {
        format!(
            "[signin.oidc.house]\nissuer = \"{}\"\nclient_id = \"us\"\nname = \"The House\"\n{more}\n",
            self.server.base
        )
    }

    /// Goes out and comes back as the claims say, some of them changed.
    pub fn sign_in(&self, tab: &Tab<'_>, changes: &[(&str, Value)], alg: &str) -> Page {
        self.sign_in_to(tab, "/console/usage", changes, alg)
    }

    /// The same, and wants to go on to `next`.
    fn sign_in_to(&self, tab: &Tab<'_>, next: &str, changes: &[(&str, Value)], alg: &str) -> Page {
        let out = tab.get(&format!("/oidc/house/start?next={}", encoded(next)));
        assert_eq!(out.status(), 303, "{}", out.text);
        let url = reqwest::Url::parse(out.leads_to()).unwrap();
        assert!(url.as_str().starts_with(&format!("{}/authorize?", self.server.base)), "{url}");
        let of = |name: &str| {
            let found = url.query_pairs().find(|(known, _)| known == name);
            found.unwrap_or_else(|| panic!("no {name}: {url}")).1.into_owned()
        };
        assert_eq!((of("code_challenge_method"), of("client_id")), ("S256".into(), "us".into()));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut claims = json!({
            "iss": self.server.base, "sub": "s1", "aud": "us", "nonce": of("nonce"),
            "iat": now.as_secs(), "exp": now.as_secs() + 300,
            "email": "ann@acme.example", "email_verified": true,
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let header = json!({"alg": alg, "kid": "k1"});
        *self.script.lock().unwrap() = Script { header, claims };
        tab.get(&format!("/oidc/house/callback?code=c1&state={}", of("state")))
    }
}

fn good(issuer: &Issuer, tab: &Tab<'_>, changes: &[(&str, Value)]) {
    let back = issuer.sign_in(tab, changes, "EdDSA");
    assert_eq!((back.status(), back.leads_to()), (303, "/console/usage"), "{}", back.text);
    assert_eq!(tab.get("/console/usage").status(), 200);
}

#[test]
fn a_new_person_of_the_domain_is_let_in_and_known_again() {
    let issuer = Issuer::start();
    let more = "domains = [\"acme.example\"]\naccount = \"acme\"\n";
    let gateway = Gateway::start(&issuer.config(more));
    let (account, _) = gateway.account("acme", "free", &json!({}));
    let tab = Tab::of(&gateway);
    tab.get("/signin").has("Sign in with The House");
    let listed = gateway.get("/api/auth/providers", "").json();
    assert_eq!(listed["data"][0]["name"], "The House", "{listed}");
    good(&issuer, &tab, &[]);
    let members = || {
        let path = format!("/accounts/{account}/members");
        gateway.admin("GET", &path, &Value::Null).json()["data"].as_array().unwrap().clone()
    };
    assert_eq!((members().len(), &members()[0]["role"]), (1, &json!("member")));
    // By the issuer's name for them, whatever their address is by now.
    let other = Tab::of(&gateway);
    good(&issuer, &other, &[("email", json!("ann@elsewhere.example"))]);
    assert_eq!(members().len(), 1);
    let nobody = |changes: &[(&str, Value)]| {
        let back = issuer.sign_in(&Tab::of(&gateway), changes, "EdDSA");
        assert_eq!(back.status(), 403, "{}", back.text);
        back.has("no account here for you");
    };
    let stranger = ("sub", json!("s2"));
    nobody(&[stranger.clone(), ("email", json!("eve@evil.example"))]);
    nobody(&[stranger.clone(), ("email", json!("eve@acme.example.evil.example"))]);
    nobody(&[stranger.clone(), ("email_verified", json!(false))]);
    nobody(&[stranger, ("email", Value::Null)]);
}

#[test]
fn somebody_known_is_joined_only_if_both_sides_vouch_for_the_address() {
    let (issuer, smtp) = (Issuer::start(), Smtp::start());
    let gateway = mailing(&smtp, &issuer.config(""));
    let (account, _) = gateway.account("acme", "free", &json!({}));
    let id = member(&gateway, &account, "ann@acme.example", "owner");
    let refused = issuer.sign_in(&Tab::of(&gateway), &[], "EdDSA");
    assert_eq!(refused.status(), 403, "{}", refused.text);
    let ann = Tab::sign_in(&gateway, "ann@acme.example", PASSWORD);
    ann.fill("/console/settings", "/console/settings/verify", &[]);
    let link = smtp.letter("ann@acme.example", 1).link("http://mail.test/verify/");
    let path = link.replace("http://mail.test", "");
    ann.fill(&path, &path, &[]);
    // Here it is confirmed, and the issuer does not say so.
    for unsaid in [json!(false), json!("no"), Value::Null] {
        let changes = [("email_verified", unsaid.clone())];
        let refused = issuer.sign_in(&Tab::of(&gateway), &changes, "EdDSA");
        assert_eq!(refused.status(), 403, "{unsaid}: {}", refused.text);
    }
    let joined = Tab::of(&gateway);
    good(&issuer, &joined, &[]);
    // It is she, and nobody else.
    joined.fill("/console/settings", "/console/settings/me", &[("name", "Ann of the House")]);
    ann.get("/console/settings").has("value=\"Ann of the House\"");
    let listed = gateway.admin("GET", &format!("/accounts/{account}/members"), &Value::Null).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["data"][0]["id"], id.as_str(), "{listed}");
    // From now on she is known by what the issuer calls her.
    good(&issuer, &Tab::of(&gateway), &[("email_verified", json!(false))]);
}

#[test]
fn nobody_is_led_off_the_site_by_way_of_an_issuer() {
    let issuer = Issuer::start();
    let more = "domains = [\"acme.example\"]\naccount = \"acme\"\n";
    let gateway = Gateway::start(&issuer.config(more));
    gateway.account("acme", "free", &json!({}));
    for next in ELSEWHERE {
        let tab = Tab::of(&gateway);
        let back = issuer.sign_in_to(&tab, next, &[], "EdDSA");
        stays_here(&gateway, &back);
        // Who is signed in already is led on at once.
        stays_here(&gateway, &tab.get(&format!("/oidc/house/start?next={}", encoded(next))));
    }
}

#[test]
fn what_is_not_said_to_us_now_by_the_issuer_lets_nobody_in() {
    let issuer = Issuer::start();
    let more = "domains = [\"acme.example\"]\naccount = \"acme\"\n";
    let gateway = Gateway::start(&issuer.config(more));
    gateway.account("acme", "free", &json!({}));
    for (name, value) in [
        ("nonce", json!("another")),
        ("aud", json!("them")),
        ("iss", json!("http://127.0.0.1:1")),
        ("exp", json!(1)),
    ] {
        let tab = Tab::of(&gateway);
        let back = issuer.sign_in(&tab, &[(name, value)], "EdDSA");
        assert_eq!(back.status(), 401, "{name}: {}", back.text);
        assert_eq!(tab.get("/console").status(), 303, "{name}");
    }
    for alg in ["none", "HS256"] {
        let back = issuer.sign_in(&Tab::of(&gateway), &[], alg);
        assert_eq!(back.status(), 401, "{alg}: {}", back.text);
    }
    // A state is good once, and of the browser that set out.
    let tab = Tab::of(&gateway);
    let out = tab.get("/oidc/house/start");
    let url = reqwest::Url::parse(out.leads_to()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let path = format!("/oidc/house/callback?code=c1&state={state}");
    let thief = Tab::of(&gateway);
    thief.get("/signin");
    assert_eq!(thief.get(&path).status(), 404);
    assert_eq!(tab.get(&path).status(), 404, "it was used up");
    assert_eq!(tab.get("/oidc/nowhere/start").status(), 404);
}
