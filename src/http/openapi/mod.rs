//! `GET /openapi.json`: every endpoint of the project's own. The surfaces of OpenAI, Anthropic and
//! Google are described where they come from. A test compares the table with the routes, and the
//! test command has schemathesis call what it says. Longer than most files: the table is one, a line an
//! operation.

mod schemas;

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};

use schemas::schemas;

/// An endpoint.
struct Operation {
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// The schema of what it is told; its name.
    body: Option<&'static str>,
    /// The schema of what it answers; its name.
    answer: &'static str,
    /// Names in the query, and their types.
    query: &'static [(&'static str, &'static str)],
}

const fn get(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { method: "get", path, tag, summary, body: None, answer, query: &[] }
}

const fn post(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    body: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { method: "post", path, tag, summary, body: Some(body), answer, query: &[] }
}

const fn delete(path: &'static str, tag: &'static str, summary: &'static str) -> Operation {
    Operation { method: "delete", path, tag, summary, body: None, answer: "Deleted", query: &[] }
}

impl Operation {
    const fn asking(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    const fn answering(self, answer: &'static str) -> Self {
        Self { answer, ..self }
    }

    const fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }
}

/// Every endpoint of our own: its method, its path, and what it does.
pub fn endpoints() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    OPERATIONS.iter().map(|one| (one.method, one.path, one.summary))
}

const CHANGE: &[(&str, &str)] = &[("dry_run", "boolean"), ("reason", "string")];

const PAGE: &[(&str, &str)] = &[("limit", "integer"), ("after", "string")];

const OPERATIONS: &[Operation] = &[
    post("/api/auth/login", "Sign-in", "Obtain an access token", "Credentials", "Session"),
    post(
        "/api/auth/register",
        "Sign-in",
        "Open an account, where that is allowed; 202 where a code is mailed first",
        "Registration",
        "Session",
    ),
    post("/api/auth/verify", "Sign-in", "Open it, by the code", "MailedCode", "Session"),
    post("/api/auth/verify/resend", "Sign-in", "Another code", "Address", "Object"),
    get("/api/auth/providers", "Sign-in", "Who else lets people in", "List"),
    post(
        "/api/auth/forgot",
        "Sign-in",
        "Have a link mailed that sets a password; the same answer for every address",
        "Address",
        "Object",
    ),
    post("/api/auth/reset", "Sign-in", "Set a password, by the link", "NewPassword", "Object"),
    get("/api/auth/invitations/{token}", "Sign-in", "Who invites, to what", "Object"),
    post(
        "/api/auth/invitations/{token}",
        "Sign-in",
        "Accept an invitation",
        "Acceptance",
        "Session",
    ),
    post(
        "/api/auth/invitations/{token}/decline",
        "Sign-in",
        "Decline an invitation",
        "Nothing",
        "Object",
    ),
    post(
        "/api/auth/refresh",
        "Sign-in",
        "A new pair of tokens for a refresh token",
        "RefreshToken",
        "Session",
    ),
    post("/api/auth/logout", "Sign-in", "End a session", "OptionalRefreshToken", "Object"),
    get(
        "/.well-known/jwks.json",
        "Sign-in",
        "The keys that access tokens are signed with",
        "Object",
    ),
    get("/v1/keys", "Keys", "One's API keys", "List"),
    post("/v1/keys", "Keys", "Make an API key, which is shown once", "NewKey", "Key"),
    post(
        "/v1/keys/browser",
        "Keys",
        "Lend a key to a browser, for an hour at most",
        "NewBrowserKey",
        "BrowserKey",
    ),
    get("/v1/keys/{id}", "Keys", "An API key, without its secret", "Key"),
    post("/v1/keys/{id}", "Keys", "Change an API key: null takes a term away", "KeyChange", "Key")
        .by("patch"),
    delete("/v1/keys/{id}", "Keys", "Revoke an API key"),
    post("/v1/keys/{id}/rotate", "Keys", "A new key in the place of an old one", "Nothing", "Key")
        .asking(&[("overlap_seconds", "integer")]),
    get("/v1/me", "Account", "The person who is signed in, and their accounts", "Object"),
    post("/v1/me", "Account", "Give oneself another name", "PersonName", "Object").by("patch"),
    delete("/v1/me", "Account", "Delete oneself for good, in every account; needs a proof"),
    post(
        "/v1/me/email",
        "Account",
        "Another address, once its link was followed (202); needs a proof. The one that one has: a link \
         that confirms it",
        "Address",
        "Object",
    ),
    post("/v1/me/email/confirm", "Account", "Confirm it, by the link", "LinkToken", "Object"),
    post(
        "/v1/me/password",
        "Account",
        "Another password; all else that one is signed in with ends",
        "Passwords",
        "Session",
    ),
    post(
        "/v1/me/prove",
        "Account",
        "Say the password again, before what cannot be undone",
        "ProofOfSelf",
        "Object",
    ),
    post(
        "/v1/me/account",
        "Account",
        "A session in another of one's accounts",
        "AccountChoice",
        "Session",
    ),
    get("/v1/me/sessions", "Account", "What one is signed in with, newest first", "List"),
    delete("/v1/me/sessions", "Account", "End all of it but this"),
    delete("/v1/me/sessions/{id}", "Account", "End one of it"),
    post("/v1/me/totp", "Account", "A secret for an app that shows codes", "Proof", "Object"),
    post(
        "/v1/me/totp/confirm",
        "Account",
        "Switch the second factor on; recovery codes, shown once",
        "FactorCode",
        "Object",
    ),
    post("/v1/me/totp", "Account", "Switch the second factor off", "FullProof", "Object")
        .by("delete"),
    get("/v1/account", "Account", "The account, its plan and its credits", "Object"),
    post("/v1/account", "Account", "Give the account another name", "AccountName", "Object")
        .by("patch"),
    post(
        "/v1/account",
        "Account",
        "Delete the account for good, by its name; needs a proof",
        "AccountName",
        "Deleted",
    )
    .by("delete"),
    get("/v1/account/members", "Account", "Who is in the account", "List"),
    post("/v1/account/members/{id}", "Account", "Give a member another role", "NewRole", "Object")
        .by("patch"),
    delete("/v1/account/members/{id}", "Account", "Remove a member; needs a proof"),
    get("/v1/account/invitations", "Account", "Who is invited", "List"),
    post(
        "/v1/account/invitations",
        "Account",
        "Invite an address; its link is told once",
        "NewInvitation",
        "Object",
    ),
    post(
        "/v1/account/invitations/{id}/resend",
        "Account",
        "Another link; the one before ends",
        "Nothing",
        "Object",
    ),
    delete("/v1/account/invitations/{id}", "Account", "Withdraw an invitation"),
    get("/v1/limits", "Account", "Where the caller stands with every limit", "List"),
    get("/optima/v1/models", "Optima", "Models with tier, context, prices and health", "List"),
    get("/optima/v1/capabilities", "Optima", "What can be done right now", "Object"),
    get("/optima/v1/conversations", "Optima", "Saved conversations, newest first", "List")
        .asking(&[("limit", "integer"), ("after", "string"), ("search", "string")]),
    post(
        "/optima/v1/conversations",
        "Optima",
        "Save a conversation",
        "Conversation",
        "SavedConversation",
    )
    .by("put"),
    delete(
        "/optima/v1/conversations",
        "Optima",
        "Delete all of one's conversations, or the one of ?id=",
    )
    .asking(&[("id", "string")]),
    get(
        "/optima/v1/conversations/{id}",
        "Optima",
        "A conversation with its messages",
        "SavedConversation",
    ),
    post(
        "/optima/v1/conversations/{id}",
        "Optima",
        "Change a conversation",
        "Conversation",
        "SavedConversation",
    )
    .by("put"),
    delete("/optima/v1/conversations/{id}", "Optima", "Delete a conversation for good"),
    get("/v1/features", "Features", "All features, as they stand for the caller", "List"),
    get("/v1/features/{user}", "Features", "All features, as they stand for a user", "List"),
    post(
        "/v1/features/{user}/{feature}",
        "Features",
        "Turn a feature on or off; the other way round without a body",
        "FeatureWish",
        "Feature",
    ),
    post("/v1/memory/store", "Memory", "Remember something of a user", "NewMemory", "Object"),
    post(
        "/v1/memory/search",
        "Memory",
        "Find what is remembered, by meaning and by words",
        "MemoryQuery",
        "List",
    ),
    get("/v1/memory/{user}", "Memory", "What is remembered of a user, oldest first", "List")
        .asking(PAGE),
    get(
        "/v1/memory/graph/{user}/entities",
        "Memory",
        "Who and what a user's memories name",
        "Graph",
    ),
    delete("/v1/memory/{user}", "Memory", "Forget all of a user"),
    delete("/v1/memory/{user}/{id}", "Memory", "Forget one memory"),
    get("/v1/agents", "Agents", "Agents, oldest first", "List").asking(PAGE),
    post("/v1/agents", "Agents", "Create an agent", "Agent", "SavedAgent"),
    get("/v1/agents/{id}", "Agents", "An agent", "SavedAgent"),
    post(
        "/v1/agents/{id}",
        "Agents",
        "A new version of an agent; If-Match for the one it was made from",
        "Agent",
        "SavedAgent",
    )
    .by("put"),
    delete("/v1/agents/{id}", "Agents", "Delete an agent"),
    post(
        "/v1/agents/{id}/runs",
        "Agents",
        "Run an agent, whole or as server-sent events",
        "NewRun",
        "Run",
    ),
    get("/v1/connect/apps", "Connect", "Apps that can be connected", "List"),
    get("/v1/connect/accounts", "Connect", "Connected accounts", "List"),
    post(
        "/v1/connect/accounts",
        "Connect",
        "Connect an account: keeps a token sealed, or says where to authorize",
        "NewConnection",
        "Object",
    ),
    delete("/v1/connect/accounts/{id}", "Connect", "Disconnect an account"),
    get(
        "/v1/connect/oauth/start",
        "Connect",
        "A page that says what a person is about to allow; its form goes on to the app",
        "Object",
    )
    .asking(&[("state", "string")]),
    post(
        "/v1/connect/oauth/start",
        "Connect",
        "From that page: on to the app's authorization server",
        "Nothing",
        "Object",
    )
    .asking(&[("state", "string")]),
    get(
        "/v1/connect/oauth/callback",
        "Connect",
        "Where an app's authorization server sends the user",
        "Object",
    )
    .asking(&[("state", "string"), ("code", "string"), ("error", "string")]),
    get("/v1/connect/tools", "Connect", "Tools of one app, or of all", "List")
        .asking(&[("app", "string")]),
    post("/v1/connect/actions/run", "Connect", "Run a tool", "Action", "Object"),
    get(
        "/v1/connect/events",
        "Connect",
        "WebSocket: what actions and agents do, from a cursor on",
        "Object",
    )
    .asking(&[("after", "string")]),
    post("/v1/route", "Routing", "The decision without the call", "ChatRequest", "Object"),
    post("/v1/feedback", "Routing", "Say what an answer was worth", "Feedback", "Object"),
    get("/v1/usage", "Usage", "What was used, and what it cost", "Object").asking(&[
        ("start", "string"),
        ("end", "string"),
        ("group_by", "string"),
        ("baseline", "string"),
        ("account", "string"),
    ]),
    get("/v1/requests", "Usage", "Requests, newest first", "List").asking(&[
        ("start", "string"),
        ("end", "string"),
        ("key", "string"),
        ("model", "string"),
        ("provider", "string"),
        ("status", "string"),
        ("after", "string"),
        ("limit", "integer"),
    ]),
    get("/v1/requests/{id}", "Usage", "What was decided, tried and charged", "Object"),
    get("/v1/admin/status", "Admin", "How the gateway is", "Object"),
    get("/v1/admin/health", "Admin", "Alive and ready, with each dependency", "Object"),
    get("/v1/admin/accounts", "Admin", "All accounts", "List"),
    post("/v1/admin/accounts", "Admin", "Open an account", "NewAccount", "Object"),
    get("/v1/admin/accounts/{id}", "Admin", "An account, by id or name", "Object"),
    post("/v1/admin/accounts/{id}", "Admin", "Change an account", "AccountChange", "Object")
        .by("patch"),
    delete(
        "/v1/admin/accounts/{id}",
        "Admin",
        "Delete an account for good, with all that its users keep",
    ),
    post(
        "/v1/admin/accounts/{id}/suspend",
        "Admin",
        "Take an account's access",
        "Nothing",
        "Object",
    ),
    post("/v1/admin/accounts/{id}/resume", "Admin", "Give it back", "Nothing", "Object"),
    get("/v1/admin/accounts/{id}/members", "Admin", "The people of an account", "List"),
    post("/v1/admin/accounts/{id}/members", "Admin", "Add a person", "NewMember", "Object"),
    delete(
        "/v1/admin/accounts/{id}/members/{member}",
        "Admin",
        "Forget a person, with all that they keep",
    ),
    get("/v1/admin/accounts/{id}/credits", "Admin", "Credits given and given back", "List"),
    post("/v1/admin/accounts/{id}/credits", "Admin", "Give credits", "NewGrant", "Object"),
    post("/v1/admin/refunds", "Admin", "Give a request's credits back", "NewRefund", "Object"),
    get("/v1/admin/keys", "Admin", "API keys of all accounts", "List")
        .asking(&[("account", "string")]),
    post("/v1/admin/keys", "Admin", "Make an API key for an account", "NewAccountKey", "Key"),
    get("/v1/admin/keys/{id}", "Admin", "An API key", "Object"),
    post("/v1/admin/keys/{id}", "Admin", "Give a key other terms", "KeyTerms", "Object")
        .by("patch"),
    delete("/v1/admin/keys/{id}", "Admin", "Revoke an API key"),
    post(
        "/v1/admin/keys/{id}/rotate",
        "Admin",
        "A new key in the place of an old one",
        "Rotation",
        "Key",
    ),
    delete(
        "/v1/admin/accounts/{id}/members/{member}/totp",
        "Admin",
        "Take a lost second factor away",
    ),
    get("/v1/admin/plans", "Admin", "Plans", "List"),
    post(
        "/v1/admin/plans/{name}",
        "Admin",
        "Make or change a plan, as a revision",
        "Plan",
        "Object",
    )
    .by("put")
    .asking(CHANGE),
    delete("/v1/admin/plans/{name}", "Admin", "Take back what was said of a plan")
        .answering("Object")
        .asking(CHANGE),
    get(
        "/v1/admin/providers",
        "Admin",
        "What is said of providers, over the configuration",
        "List",
    ),
    get("/v1/admin/providers/{name}", "Admin", "What is said of one provider", "Object"),
    post(
        "/v1/admin/providers/{name}",
        "Admin",
        "Say it of a provider, as a revision",
        "Object",
        "Object",
    )
    .by("put")
    .asking(CHANGE),
    delete("/v1/admin/providers/{name}", "Admin", "Take back what was said of a provider")
        .asking(CHANGE),
    get("/v1/admin/models", "Admin", "What is said of models, over the configuration", "List"),
    get("/v1/admin/models/{name}", "Admin", "What is said of one model", "Object"),
    post(
        "/v1/admin/models/{name}",
        "Admin",
        "Say it of a model, as a revision",
        "Object",
        "Object",
    )
    .by("put")
    .asking(CHANGE),
    delete("/v1/admin/models/{name}", "Admin", "Take back what was said of a model").asking(CHANGE),
    get(
        "/v1/admin/routes",
        "Admin",
        "What is said of routes: who is asked when a model cannot answer, over the configuration",
        "List",
    ),
    get("/v1/admin/routes/{name}", "Admin", "What is said of one route", "Object"),
    post("/v1/admin/routes/{name}", "Admin", "Say it of a route, as a revision", "Route", "Object")
        .by("put")
        .asking(CHANGE),
    delete("/v1/admin/routes/{name}", "Admin", "Take back what was said of a route").asking(CHANGE),
    get(
        "/v1/admin/prices",
        "Admin",
        "What is said of prices, by provider/model, over the configuration",
        "List",
    ),
    get("/v1/admin/prices/{name}", "Admin", "What is said of one price", "Object"),
    post(
        "/v1/admin/prices/{name}",
        "Admin",
        "Say it of a price, as a revision",
        "Prices",
        "Object",
    )
    .by("put")
    .asking(CHANGE),
    delete("/v1/admin/prices/{name}", "Admin", "Take back what was said of a price").asking(CHANGE),
    get("/v1/admin/revisions", "Admin", "Revisions, newest first", "List"),
    post(
        "/v1/admin/revisions/{id}/restore",
        "Admin",
        "Let an earlier revision hold again",
        "Nothing",
        "Object",
    )
    .asking(CHANGE),
    get(
        "/v1/admin/corrections",
        "Admin",
        "What `auto` has learned of models: the corrections in force, and why",
        "List",
    )
    .asking(&[("account", "string"), ("model", "string")]),
    delete("/v1/admin/corrections", "Admin", "Forget what `auto` has learned")
        .asking(&[("account", "string"), ("model", "string")]),
    get("/v1/admin/audit", "Admin", "What administrators did, newest first", "List")
        .asking(&[("before", "string"), ("limit", "integer")]),
    get("/v1/admin/outbox", "Admin", "Mail that waits, was sent, or was given up", "List")
        .asking(&[("state", "string"), ("before", "string"), ("limit", "integer")]),
    post("/v1/admin/outbox/{id}/retry", "Admin", "Have a mail tried again", "Nothing", "Object"),
    post("/v1/admin/mail/test", "Admin", "Send a test, now", "TestMail", "Object"),
    get("/v1/admin/ledger/verify", "Admin", "The proof that the books add up", "Object"),
];

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
        })
        .collect();
    parameters.extend(operation.query.iter().map(|(name, kind)| {
        json!({"name": name, "in": "query", "required": false, "schema": {"type": kind}})
    }));
    let refers = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let content = |name: &str| json!({"application/json": {"schema": refers(name)}});
    let mut answers = content(operation.answer);
    if operation.path.ends_with("/runs") {
        answers["text/event-stream"] = json!({});
    }
    let failed = |what: &str| json!({"description": what, "content": content("Error")});
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({"description": "Done", "content": answers}));
    responses.insert("4XX".to_owned(), failed("Refused, and why"));
    responses.insert("5XX".to_owned(), failed("What the gateway needs is away"));
    if operation.path.ends_with("/health") {
        responses.insert(
            "503".to_owned(),
            json!({"description": "Not ready", "content": content("Object")}),
        );
    }
    let mut described = json!({
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = operation.body.filter(|body| *body != "Nothing") {
        described["requestBody"] = json!({"required": true, "content": content(body)});
    }
    let open = ["/api/auth", "/.well-known", "/v1/connect/oauth", "/v1/admin/health"];
    if open.iter().any(|start| operation.path.starts_with(start)) {
        described["security"] = json!([]);
    }
    described
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Optimux",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The endpoints of Optimux's own. Those of OpenAI, Anthropic and Gemini are as their makers describe them. Every /v1 path answers under /api/v1 too.",
        },
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or an access token of /api/auth/login"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": schemas(),
        },
    })
}

/// `GET /openapi.json`
pub async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The routes of a file: `.route(&at("/path"), web::get()…` under a prefix, or with a path of
    /// their own.
    fn routes(source: &str, prefix: &str) -> BTreeSet<(String, String)> {
        let source: String = source.split_whitespace().collect();
        source
            .split(".route(")
            .skip(1)
            .filter_map(|route| {
                let path = route.split('"').nth(1)?;
                let method = route.split("web::").nth(1)?.split('(').next()?;
                let path = if route.starts_with("&at(") {
                    format!("{prefix}{path}")
                } else {
                    path.to_owned()
                };
                // A name that may hold a slash is a name.
                Some((method.to_owned(), path.replace(":.*}", "}")))
            })
            .collect()
    }

    fn is_under(path: &str, start: &str) -> bool {
        path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    #[test]
    fn every_endpoint_of_ours_is_described_and_every_description_is_served() {
        let mut served = routes(include_str!("../platform/mod.rs"), "/v1");
        served.extend(routes(include_str!("../admin/mod.rs"), "/v1/admin"));
        // In the table of all routes: what customers call, and what their browsers do.
        let ours = [
            "/v1/keys",
            "/v1/usage",
            "/v1/me",
            "/v1/account",
            "/v1/limits",
            "/v1/requests",
            "/v1/route",
            "/v1/feedback",
            "/api/auth",
            "/.well-known",
        ];
        let all = routes(include_str!("../mod.rs"), "/v1");
        served.extend(
            all.into_iter().filter(|(_, path)| ours.iter().any(|start| is_under(path, start))),
        );
        let described: BTreeSet<(String, String)> = OPERATIONS
            .iter()
            .map(|operation| (operation.method.to_owned(), operation.path.to_owned()))
            .collect();
        assert!(served.len() > 60, "the routes were not found");
        assert_eq!(
            served.difference(&described).collect::<Vec<_>>(),
            Vec::<&(String, String)>::new()
        );
        assert_eq!(
            described.difference(&served).collect::<Vec<_>>(),
            Vec::<&(String, String)>::new()
        );
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let schemas = schemas();
        for operation in OPERATIONS {
            for name in operation.body.iter().chain([&operation.answer]) {
                assert!(schemas.get(name).is_some(), "{name}");
            }
        }
    }
}
