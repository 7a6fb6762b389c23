//! Apps and agents, from outside: a server of the Model Context Protocol that crashes, hangs and
//! floods, an HTTP interface by its document, credentials that nobody else gets at, and agents that
//! use all of it.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};

use crate::house::{Gateway, Provider, chain, client, completion, good, respond, runtime, send};
use crate::signin::{member, sign_in, with};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/blackbox/mcp_server.py");

fn apps() -> String {
    format!(
        "[connect.apps.script]\ncommand = [\"python3\", \"{SERVER}\"]\ntimeout_seconds = 3\nmax_bytes = 100000\n\
         [connect.apps.private]\ncommand = [\"python3\", \"{SERVER}\"]\nauth = {{ kind = \"env\", name = \"APP_TOKEN\" }}\ntools = [\"echo\", \"env\"]\n\
         [connect.apps.paid]\ncommand = [\"python3\", \"{SERVER}\"]\nplans = [\"business\"]\n\
         [connect.apps.gone]\ncommand = [\"/bin/false\"]\n"
    )
}

fn run(gateway: &Gateway, key: &str, tool: &str, arguments: &Value) -> (u16, Value) {
    let asked = json!({"tool": tool, "arguments": arguments}).to_string();
    let ran = gateway.post("/v1/connect/actions/run", key, asked);
    (ran.status, ran.json())
}

fn said(ran: &(u16, Value)) -> &str {
    assert_eq!(ran.0, 200, "{}", ran.1);
    ran.1["result"]["content"][0]["text"].as_str().unwrap()
}

#[test]
fn an_app_that_crashes_hangs_or_floods_is_survived() {
    let gateway = Gateway::start_with(&apps(), &[("SECRET_OF_THE_GATEWAY", "s")]);
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let listed = gateway.get("/v1/connect/apps", &key).json();
    let ids: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["gone", "private", "script"], "not those of other plans");
    let tools = gateway.get("/v1/connect/tools?app=script", &key).json();
    assert_eq!(tools["data"].as_array().unwrap().len(), 8);
    assert_eq!(tools["data"][0]["input_schema"]["type"], "object");
    let all = gateway.get("/v1/connect/tools", &key).json();
    assert_eq!(
        all["errors"].as_array().unwrap().len(),
        2,
        "the others are listed all the same: {all}"
    );
    let echo = |text: &str| run(&gateway, &key, "script.echo", &json!({"text": text}));
    assert_eq!(said(&echo("hello")), "hello");
    assert_eq!(
        said(&run(&gateway, &key, "script.env", &json!({"text": "SECRET_OF_THE_GATEWAY"}))),
        "",
        "nothing of ours is lent"
    );
    for (tool, status, code) in [
        ("script.crash", 503, "app_unavailable"),
        ("script.hang", 503, "app_timeout"),
        ("script.huge", 503, ""),
        ("script.nonsense", 200, ""),
        ("gone.echo", 503, "app_unavailable"),
        ("paid.echo", 404, "app_not_found"),
        ("nowhere.echo", 404, "app_not_found"),
        ("echo", 400, "missing_required_parameter"),
    ] {
        let ran = run(&gateway, &key, tool, &json!({}));
        assert_eq!(ran.0, status, "{tool}: {}", ran.1);
        if !code.is_empty() {
            assert_eq!(ran.1["error"]["code"], code, "{tool}");
        }
        assert_eq!(said(&echo("still here")), "still here", "after {tool}");
    }
    let failed = run(&gateway, &key, "script.fail", &json!({"text": "no"}));
    assert_eq!((failed.0, &failed.1["status"]), (200, &json!("failed")));
    assert_eq!(said(&run(&gateway, &key, "script.garbage", &json!({"text": "fine"}))), "fine");
    let off = json!({"enabled": false});
    let account = gateway.admin("GET", "/accounts/acme", &Value::Null).json();
    let path = format!("/v1/features/{}/connect", account["id"].as_str().unwrap());
    assert_eq!(with(&gateway, "POST", &path, &key, &off).status, 200);
    assert_eq!(echo("hello").0, 403);
    assert_eq!(gateway.get("/v1/connect/apps", &key).status, 403);
}

#[test]
fn credentials_are_sealed_and_lent_to_nobody_else() {
    let gateway = Gateway::start(&apps());
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    for name in ["ann", "bob"] {
        member(&gateway, &account, &format!("{name}@example.com"), "member");
    }
    let (ann, bob) =
        (sign_in(&gateway, "ann@example.com").0, sign_in(&gateway, "bob@example.com").0);
    let token_of = |key: &str| run(&gateway, key, "private.env", &json!({"text": "APP_TOKEN"}));
    assert_eq!(token_of(&ann).1["error"]["code"], "account_not_connected");
    let connect =
        |key: &str, body: &Value| gateway.post("/v1/connect/accounts", key, body.to_string());
    let made = connect(&ann, &json!({"app": "private", "credentials": {"token": "token-of-ann"}}));
    assert_eq!(made.status, 200, "{}", made.text());
    assert!(!made.text().contains("token-of-ann"));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(said(&token_of(&ann)), "token-of-ann");
    for stranger in [&bob, &key, &foreign] {
        assert_eq!(token_of(stranger).0, 403);
        let asked = json!({"tool": "private.echo", "account_id": id}).to_string();
        assert_eq!(gateway.post("/v1/connect/actions/run", stranger, asked).status, 404);
    }
    for stranger in [&bob, &foreign] {
        let listed = gateway.get("/v1/connect/accounts", stranger);
        assert!(!listed.text().contains(&id));
        let gone =
            with(&gateway, "DELETE", &format!("/v1/connect/accounts/{id}"), stranger, &Value::Null);
        assert_eq!(gone.status, 404);
    }
    // Nowhere in the store, nor beside it.
    for file in ["optimux.db", "optimux.db-wal"] {
        let bytes = std::fs::read(gateway.folder.join(file)).unwrap();
        assert!(memchr::memmem::find(&bytes, b"token-of-ann").is_none(), "{file}");
    }
    // An account's own is for all of it, and may be for less.
    let own =
        json!({"app": "private", "credentials": {"token": "token-of-acme"}, "tools": ["env"]});
    assert_eq!(connect(&key, &own).status, 200);
    assert_eq!((said(&token_of(&bob)), said(&token_of(&ann))), ("token-of-acme", "token-of-ann"));
    assert_eq!(
        run(&gateway, &bob, "private.echo", &json!({})).1["error"]["code"],
        "tool_not_allowed"
    );
    assert_eq!(connect(&ann, &json!({"app": "private"})).status, 400);
    assert_eq!(connect(&ann, &json!({"app": "script", "credentials": {"token": "x"}})).status, 400);
    assert_eq!(
        with(&gateway, "DELETE", &format!("/v1/connect/accounts/{id}"), &ann, &Value::Null).status,
        200
    );
    assert_eq!(said(&token_of(&ann)), "token-of-acme");
    assert!(!gateway.log().contains("token-of-"), "no token is logged");
}

#[test]
fn an_interface_is_called_as_its_document_says() {
    let api = Provider::start(|socket, request, _| {
        let body = json!({"line": request.head.lines().next(), "key": request.head.contains("x-key: k-1")});
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    });
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": [{"url": api.base}],
        "paths": {"/pets/{id}": {"get": {"operationId": "getPet", "parameters": [
            {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "full", "in": "query", "schema": {"type": "boolean"}}]}}},
    });
    let folder = std::env::temp_dir().join(format!("optimux-openapi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pets.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let gateway = Gateway::start(&format!(
        "[connect.apps.pets]\nopenapi = {file:?}\nallow_private = true\nauth = {{ kind = \"header\", name = \"X-Key\" }}"
    ));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let lend = json!({"app": "pets", "credentials": {"token": "k-1"}}).to_string();
    assert_eq!(gateway.post("/v1/connect/accounts", &key, lend).status, 200);
    let ran = run(&gateway, &key, "pets.getPet", &json!({"id": "a/../b", "full": true}));
    assert_eq!(
        ran.1["result"]["structured"],
        json!({"line": "GET /pets/a%2F..%2Fb?full=true HTTP/1.1", "key": true})
    );
    assert_eq!(run(&gateway, &key, "pets.getPet", &json!({"id": ".."})).0, 400);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_user_lets_an_app_act_for_them() {
    let server = Provider::start(|socket, request, number| {
        let form = String::from_utf8(request.body.clone()).unwrap();
        let told = if number == 0 {
            assert!(
                form.contains("grant_type=authorization_code") && form.contains("code_verifier="),
                "{form}"
            );
            json!({"access_token": "first", "refresh_token": "again", "expires_in": 30})
        } else {
            assert!(
                form.contains("grant_type=refresh_token") && form.contains("refresh_token=again"),
                "{form}"
            );
            json!({"access_token": "second", "expires_in": 3600})
        };
        respond(socket, 200, "", "application/json", told.to_string().as_bytes());
    });
    let api = Provider::start(|socket, request, _| {
        let bearer =
            request.head.lines().find(|line| line.starts_with("authorization")).unwrap_or_default();
        respond(
            socket,
            200,
            "",
            "application/json",
            json!({"bearer": bearer}).to_string().as_bytes(),
        );
    });
    let document = json!({"openapi": "3.1.0", "servers": [{"url": api.base}], "paths": {"/me": {"get": {"operationId": "me"}}}});
    let file = std::env::temp_dir().join(format!("optimux-oauth-{}.json", std::process::id()));
    std::fs::write(&file, document.to_string()).unwrap();
    let gateway = Gateway::start(&format!(
        "[connect.apps.me]\nopenapi = {file:?}\nallow_private = true\n\
         auth = {{ kind = \"oauth\", authorize_url = \"{0}/authorize\", token_url = \"{0}/token\", client_id = \"c\", scopes = [\"read\"] }}",
        server.base
    ));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let begun = gateway.post("/v1/connect/accounts", &key, json!({"app": "me"}).to_string()).json();
    let start = begun["authorization_url"].as_str().unwrap();
    // A person is told what they allow, and whom, before the browser leaves.
    let page = send(client().get(start));
    assert!(
        page.status == 200 && page.text().contains("<form method=\"post\">"),
        "{}",
        page.text()
    );
    let browser = || {
        let redirects = reqwest::redirect::Policy::none();
        reqwest::Client::builder().no_proxy().redirect(redirects).build().unwrap()
    };
    let elsewhere = browser().post(start).header("origin", "https://evil.example");
    assert_eq!(send(elsewhere).status, 403, "only that page sends it away");
    let left = send(browser().post(start).header("origin", &gateway.base));
    assert_eq!(left.status, 303, "{}", left.text());
    let cookie = left.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(left.header("set-cookie").contains("HttpOnly; SameSite=Lax"));
    let url = reqwest::Url::parse(left.header("location")).unwrap();
    assert!(url.as_str().starts_with(&server.base), "{url}");
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let back = |state: &str, cookie: &str| {
        let mut url =
            reqwest::Url::parse(&format!("{}/v1/connect/oauth/callback", gateway.base)).unwrap();
        url.query_pairs_mut().append_pair("state", state).append_pair("code", "abc");
        let request = client().get(url).header("cookie", format!("other=1; {cookie}"));
        let page = send(request.header("accept", "text/html,*/*;q=0.8"));
        assert!(page.header("content-type").starts_with("text/html"), "{}", page.text());
        assert!(page.text().contains("Back to the console"), "{}", page.text());
        page.status
    };
    assert_eq!(back("forged", &cookie), 400);
    assert_eq!(back(&state, "optimux_errand=other"), 400, "another browser's");
    assert_eq!(back(&state, ""), 400);
    assert_eq!(back(&state, &cookie), 200);
    assert_eq!(back(&state, &cookie), 400, "good once");
    // It had 30 seconds left, which is too little: it has been renewed.
    let ran = run(&gateway, &key, "me.me", &json!({}));
    assert_eq!(
        ran.1["result"]["structured"]["bearer"], "authorization: Bearer second",
        "{}",
        ran.1
    );
    run(&gateway, &key, "me.me", &json!({}));
    assert_eq!(server.count(), 2, "and once is enough");
    std::fs::remove_file(file).unwrap();
}

/// A provider that first asks for a tool, and then says what came of it.
fn asks_for(tool: &'static str, arguments: &'static str) -> Provider {
    Provider::start(move |socket, request, _| {
        let asked = request.json();
        let last = asked["messages"].as_array().unwrap().last().unwrap().clone();
        let body = if last["role"] == "tool" {
            completion("m", &format!("The tool said: {}", last["content"].as_str().unwrap()))
        } else {
            json!({
                "id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}]}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            }).to_string().into_bytes()
        };
        respond(socket, 200, "", "application/json", &body);
    })
}

fn agent(gateway: &Gateway, key: &str, body: &Value) -> String {
    let made = gateway.post("/v1/agents", key, body.to_string());
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn agents_are_kept_in_versions() {
    let gateway = Gateway::start("");
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    let id = agent(&gateway, &key, &json!({"name": "helper", "instructions": "Help."}));
    let path = format!("/v1/agents/{id}");
    let first = gateway.get(&path, &key);
    assert_eq!((first.header("etag"), &first.json()["version"]), ("\"1\"", &json!(1)));
    let put = |key: &str, tag: Option<&str>, name: &str| {
        let mut request = client()
            .put(format!("{}{path}", gateway.base))
            .bearer_auth(key)
            .body(json!({"name": name}).to_string());
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        send(request)
    };
    assert_eq!(put(&key, Some("\"1\""), "second").header("etag"), "\"2\"");
    assert_eq!(put(&key, Some("\"1\""), "lost").status, 412);
    assert_eq!(put(&key, None, "third").json()["version"], 3);
    for (method, body) in
        [("GET", Value::Null), ("PUT", json!({"name": "mine"})), ("DELETE", Value::Null)]
    {
        assert_eq!(with(&gateway, method, &path, &foreign, &body).status, 404, "{method}");
    }
    let runs = format!("{path}/runs");
    assert_eq!(gateway.post(&runs, &foreign, json!({"input": "Hi"}).to_string()).status, 404);
    let stolen =
        json!({"model": format!("agent:{id}"), "messages": [{"role": "user", "content": "Hi"}]})
            .to_string();
    assert_eq!(gateway.post("/v1/chat/completions", &foreign, stolen).status, 404);
    assert_eq!(gateway.get("/v1/agents", &foreign).json()["data"], json!([]));
    member(&gateway, &account, "bill@example.com", "billing");
    let (bill, _) = sign_in(&gateway, "bill@example.com");
    assert_eq!(gateway.get("/v1/agents", &bill).status, 403);
    assert_eq!(gateway.post("/v1/agents", &key, json!({"name": ""}).to_string()).status, 400);
    assert_eq!(gateway.post(&runs, &key, json!({}).to_string()).status, 400);
    assert_eq!(with(&gateway, "DELETE", &path, &key, &Value::Null).status, 200);
    assert_eq!(gateway.get(&path, &key).status, 404);
}

#[test]
fn an_agent_uses_an_app_on_every_surface() {
    let provider = asks_for("script__echo", "{\"text\":\"hello\"}");
    let gateway = Gateway::start(&format!("{}{}", chain(&[&provider]), apps()));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let id = agent(
        &gateway,
        &key,
        &json!({
            "name": "echoing", "model": "m", "instructions": "Use the echo.",
            "tools": [{"type": "connect", "app": "script", "tools": ["echo"]}],
        }),
    );
    let ran = gateway.post(
        &format!("/v1/agents/{id}/runs"),
        &key,
        json!({"input": "Say hello"}).to_string(),
    );
    assert_eq!(ran.status, 200, "{}", ran.text());
    let ran = ran.json();
    assert_eq!(
        (&ran["status"], &ran["output"], &ran["turns"]),
        (&json!("completed"), &json!("The tool said: hello"), &json!(2)),
        "{ran}"
    );
    assert_eq!(ran["messages"].as_array().unwrap().len(), 3);
    assert_eq!(ran["usage"]["total_tokens"], 10);
    let sent = provider.last().json();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "Use the echo."}));
    assert_eq!(sent["tools"].as_array().unwrap().len(), 1);
    let usage = gateway.get("/v1/usage?group_by=day", &key).json();
    assert_eq!(usage["usage"]["requests"], 2, "each turn is charged once");
    let model = format!("agent:{id}");
    for (surface, body, at) in [
        (
            "/v1/chat/completions",
            json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]}),
            "/choices/0/message/content",
        ),
        (
            "/v1/messages",
            json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}),
            "/content/0/text",
        ),
        ("/v1/responses", json!({"model": model, "input": "Hi"}), "/output/0/content/0/text"),
    ] {
        let answered = gateway.post(surface, &key, body.to_string());
        assert_eq!(answered.status, 200, "{surface}: {}", answered.text());
        assert_eq!(
            answered.json().pointer(at),
            Some(&json!("The tool said: hello")),
            "{surface}: {}",
            answered.text()
        );
        assert_eq!(
            (answered.header("x-optimux-agent"), answered.header("x-optimux-turns")),
            (format!("{id}@1").as_str(), "2")
        );
    }
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}).to_string();
    let answered = gateway.post(&format!("/v1beta/models/{model}:generateContent"), &key, gemini);
    let said = answered.json();
    // A result is an object there.
    let said = said.pointer("/candidates/0/content/parts/0/text").and_then(Value::as_str);
    assert_eq!(said, Some("The tool said: {\"result\":\"hello\"}"), "{}", answered.text());
    let streamed =
        json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
            .to_string();
    assert_eq!(gateway.post("/v1/chat/completions", &key, streamed).said(), "The tool said: hello");
    let streamed = gateway.post(
        &format!("/v1/agents/{id}/runs"),
        &key,
        json!({"input": "Hi", "stream": true}).to_string(),
    );
    let kinds: Vec<Value> = streamed.events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "run.started",
            "turn.completed",
            "tool.started",
            "tool.completed",
            "turn.completed",
            "run.completed"
        ]
    );
    assert_eq!(streamed.events().last().unwrap()["run"]["output"], "The tool said: hello");
}

#[test]
fn an_agent_keeps_to_its_limits_and_hands_over_what_is_not_its_own() {
    let provider = asks_for("lookup", "{\"q\":1}");
    let stubborn = Provider::start(|socket, request, number| {
        let offered = request.json()["tools"].as_array().is_some_and(|tools| !tools.is_empty());
        let body = if offered {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                    "tool_calls": [{"id": format!("call_{number}"), "type": "function", "function": {"name": "script__count", "arguments": "{}"}}]}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}).to_string().into_bytes()
        } else {
            completion("m", "enough")
        };
        respond(socket, 200, "", "application/json", &body);
    });
    let gateway = Gateway::start(&format!("{}{}", chain(&[&provider]), apps()));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let id = agent(
        &gateway,
        &key,
        &json!({"name": "asking", "model": "m",
        "tools": [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}, {"type": "memory"}]}),
    );
    let runs = format!("/v1/agents/{id}/runs");
    let asked = gateway.post(&runs, &key, json!({"input": "Look it up"}).to_string()).json();
    assert_eq!(
        (&asked["status"], &asked["required_action"][0]["function"]["name"]),
        (&json!("requires_action"), &json!("lookup")),
        "{asked}"
    );
    let on = json!({"messages": [{"role": "user", "content": "Look it up"}, asked["messages"][0],
        {"role": "tool", "tool_call_id": "call_1", "content": "42"}]})
    .to_string();
    assert_eq!(gateway.post(&runs, &key, on).json()["output"], "The tool said: 42");
    let other = Gateway::start(&format!("{}{}", chain(&[&stubborn]), apps()));
    let (_, key) = other.account("acme", "enterprise", &json!({}));
    let id = agent(
        &other,
        &key,
        &json!({"name": "stubborn", "model": "m", "limits": {"max_turns": 3},
        "tools": [{"type": "connect", "app": "script"}]}),
    );
    let ran = other
        .post(&format!("/v1/agents/{id}/runs"), &key, json!({"input": "Count"}).to_string())
        .json();
    assert_eq!(
        (&ran["status"], &ran["output"], &ran["turns"]),
        (&json!("completed"), &json!("enough"), &json!(3)),
        "{ran}"
    );
}

#[test]
fn an_agent_without_apps_streams_as_it_comes() {
    let provider = Provider::start(good("streamed"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let id = agent(
        &gateway,
        &key,
        &json!({"name": "plain", "model": "m", "instructions": "Be brief.", "temperature": 0.5}),
    );
    let asked = json!({"model": format!("agent:{id}"), "stream": true, "messages": [{"role": "user", "content": "Hi"}]}).to_string();
    assert_eq!(gateway.post("/v1/chat/completions", &key, asked).said(), "streamed");
    let sent = provider.last().json();
    assert_eq!(
        (&sent["stream"], &sent["messages"][0]["content"]),
        (&json!(true), &json!("Be brief."))
    );
    assert_eq!(sent["temperature"], 0.5);
}

#[test]
fn whoever_watches_hears_what_happened_since_and_what_happens() {
    let gateway = Gateway::start(&apps());
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "member");
    let (ann, _) = sign_in(&gateway, "ann@example.com");
    let watch = |key: &str, after: &str| {
        let url = format!("{}/v1/connect/events?after={after}", gateway.base.replace("http", "ws"));
        let mut request =
            tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url)
                .unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        runtime().block_on(tokio_tungstenite::connect_async(request)).map(|(socket, _)| socket)
    };
    run(&gateway, &key, "script.echo", &json!({"text": "before"}));
    let mut socket = watch(&key, "evt_0").unwrap();
    let mut next = || {
        runtime().block_on(async {
            loop {
                let message =
                    tokio::time::timeout(std::time::Duration::from_secs(10), socket.next()).await;
                if let tokio_tungstenite::tungstenite::Message::Text(text) =
                    message.unwrap().unwrap().unwrap()
                {
                    return serde_json::from_str::<Value>(&text).unwrap();
                }
            }
        })
    };
    assert_eq!(
        (next()["type"].clone(), next()["type"].clone()),
        (json!("action.started"), json!("action.completed"))
    );
    run(&gateway, &ann, "script.fail", &json!({}));
    let started = next();
    assert_eq!(started["data"]["tool"], "fail");
    let ended = next();
    assert_eq!(
        (&ended["type"], &ended["data"]["is_error"]),
        (&json!("action.completed"), &json!(true))
    );
    // Others hear only what is theirs.
    run(&gateway, &foreign, "script.echo", &json!({"text": "foreign"}));
    run(&gateway, &key, "script.count", &json!({}));
    assert_eq!(next()["data"]["tool"], "count");
    let mut own = watch(&ann, "evt_0").unwrap();
    let first = runtime().block_on(async { own.next().await.unwrap().unwrap() });
    assert!(first.to_text().unwrap().contains("\"fail\""), "{first}");
    let from = watch(&key, ended["id"].as_str().unwrap()).unwrap();
    drop(from);
    assert!(watch("sk-optimux-nobody", "evt_0").is_err());
    runtime().block_on(async { own.close(None).await.unwrap() });
    runtime().block_on(async {
        socket.send(tokio_tungstenite::tungstenite::Message::Close(None)).await.unwrap();
    });
}
