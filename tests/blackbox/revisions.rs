//! What administrators say of providers, models, routes and prices while the gateway runs.

use serde_json::{Value, json};

use crate::house::{Gateway, Provider, client, eventually, good, send};

fn configured(provider: &Provider) -> String {
    format!(
        "[providers.p]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m\", \
         usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n",
        provider.base
    )
}

fn said(gateway: &Gateway, model: &str) -> (u16, String) {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.chat(&body);
    (reply.status, if reply.status == 200 { reply.said() } else { reply.text() })
}

#[test]
fn a_provider_and_a_model_are_added_tried_first_and_taken_back() {
    let (one, two) = (Provider::start(good("one")), Provider::start(good("two")));
    let gateway = Gateway::start(&configured(&one));
    let table = json!({"base_url": format!("{}/v1", two.base), "dialect": "openai-chat"});
    let model = json!({"deployments": [{"provider": "mine", "model": "x",
        "usd_per_million": {"input": 2.0, "output": 2.0}}]});
    // A model of a provider that is not there changes nothing.
    let wrong = gateway.admin("PUT", "/models/house", &model);
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert!(wrong.text().contains("mine"), "{}", wrong.text());
    assert_eq!(gateway.admin("PUT", "/providers/mine?reason=trial", &table).status, 200);
    let tried = gateway.admin("PUT", "/models/house?dry_run=true", &model);
    assert_eq!(tried.status, 200, "{}", tried.text());
    assert_eq!(tried.json()["dry_run"], true);
    assert_eq!(tried.json()["changes"]["models"]["added"], json!(["house"]));
    assert_eq!(said(&gateway, "house").0, 404);
    let made = gateway.admin("PUT", "/models/house", &model).json();
    assert_eq!(made["revision"], 2, "{made}");
    eventually("the model is there", || said(&gateway, "house") == (200, "two".to_owned()));
    assert_eq!(said(&gateway, "m"), (200, "one".to_owned()));
    let listed = gateway.admin("GET", "/models", &json!({})).json();
    assert_eq!(listed["data"][0]["name"], "house");
    assert_eq!(listed["revision"], 2);
    assert_eq!(gateway.admin("GET", "/providers/mine", &json!({})).json()["said"], table);
    // The provider cannot go while the model is there: it is known no more.
    assert_eq!(gateway.admin("DELETE", "/providers/mine", &json!({})).status, 400);
    let gone = gateway.admin("DELETE", "/models/house", &json!({}));
    assert_eq!((gone.status, &gone.json()["revision"]), (200, &json!(3)), "{}", gone.text());
    eventually("the model is gone", || said(&gateway, "house").0 == 404);
    assert_eq!(gateway.admin("DELETE", "/models/house", &json!({})).status, 404);
    let back = gateway.admin("POST", "/revisions/2/restore?reason=oops", &json!({}));
    assert_eq!(back.json()["changes"]["models"]["added"], json!(["house"]));
    eventually("it is there again", || said(&gateway, "house").0 == 200);
    let revisions = gateway.admin("GET", "/revisions", &json!({})).json();
    let all: Vec<(&Value, &Value)> = revisions["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["id"], &one["active"]))
        .collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(all, [(&json!(3), &no), (&json!(2), &yes), (&json!(1), &no)]);
    assert_eq!(revisions["data"][2]["reason"], "trial");
    let audit = gateway.admin("GET", "/audit", &json!({})).json();
    let actions: Vec<&str> =
        audit["data"].as_array().unwrap().iter().filter_map(|one| one["action"].as_str()).collect();
    assert_eq!(actions[..4], ["catalogue.rollback", "model.drop", "model.put", "provider.put"]);
}

#[test]
fn prices_and_routes_are_changed_and_stay_when_the_configuration_changes() {
    let (up, down) = (
        Provider::start(good("up")),
        Provider::start(|socket, _, _| crate::house::respond(socket, 500, "", "text/plain", b"no")),
    );
    let table = |id: &str, at: &Provider| {
        format!(
            "[providers.{id}]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
             [[models]]\nid = \"m-{id}\"\ndeployments = [{{ provider = \"{id}\", model = \"x\", \
             usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n",
            at.base
        )
    };
    let config = format!(
        "[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n{}{}",
        table("up", &up),
        table("down", &down)
    );
    let gateway = Gateway::start(&config);
    assert!(said(&gateway, "m-down").0 >= 500);
    let lost = gateway.admin("PUT", "/routes/m-down", &json!({"fallback": ["m-lost"]}));
    assert!(lost.status == 400 && lost.text().contains("m-lost"), "{}", lost.text());
    let routed = gateway.admin("PUT", "/routes/m-down", &json!({"fallback": ["m-up"]}));
    assert_eq!(
        routed.json()["changes"]["routes"][0]["after"],
        json!(["m-up"]),
        "{}",
        routed.text()
    );
    eventually("the route holds", || said(&gateway, "m-down") == (200, "up".to_owned()));
    let price = json!({"usd_per_million": {"input": 3.0, "output": 30.0}});
    assert_eq!(gateway.admin("PUT", "/prices/up/nothing", &price).status, 400);
    let priced = gateway.admin("PUT", "/prices/up/x", &price).json();
    let changes = priced["changes"]["prices"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{priced}");
    assert_eq!((&changes[1]["of"], &changes[1]["after"]), (&json!("up/x"), &json!("30")));
    // Another configuration is taken up, and what was said still holds.
    let file = gateway.folder.join("optimux.toml");
    std::fs::write(&file, format!("{config}[plans.gold]\n")).unwrap();
    eventually("it is taken up", || gateway.log().contains("has been read again"));
    assert_eq!(said(&gateway, "m-down"), (200, "up".to_owned()));
    assert_eq!(gateway.admin("GET", "/prices/up/x", &json!({})).status, 200);
}

#[test]
fn keys_of_providers_cannot_be_sent_elsewhere_and_nobody_else_changes_anything() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider));
    for (name, said) in [
        ("p", json!({"base_url": "https://elsewhere.example"})),
        ("openai", json!({"base_url": "https://elsewhere.example"})),
        ("openai", json!({"headers": {"x-a": "b"}})),
        ("mine", json!({"base_url": "https://e.example", "api_key_env": "TEST_ADMIN_KEY"})),
        ("mine", json!({"base_url": "https://e.example", "api_key_env": "OPENAI_API_KEY"})),
        ("mine", json!({"base_url": "https://e.example", "api_key_file": "/etc/passwd"})),
        ("mine", json!({"base_url": "https://e.example/${OPTIMUX_VAULT_KEY}"})),
        ("mine", json!({"base_adress": "https://e.example"})),
    ] {
        let reply = gateway.admin("PUT", &format!("/providers/{name}"), &said);
        assert_eq!(reply.status, 400, "{name} {said} {}", reply.text());
    }
    assert_eq!(gateway.admin("GET", "/revisions", &json!({})).json()["data"], json!([]));
    let (_, key) = gateway.account("acme", "free", &json!({}));
    let asked = client()
        .put(format!("{}/v1/admin/routes/m", gateway.base))
        .bearer_auth(&key)
        .body(json!({"fallback": []}).to_string());
    assert_eq!(send(asked).status, 403);
}
