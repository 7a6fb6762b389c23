//! `GET /openapi.json`: every endpoint of the project's own, by the types that its handlers read and write.
//! The surfaces of OpenAI, Anthropic and Google are described where they come from. Tests compare the
//! operations with the routes and with real answers, and the test command has schemathesis call what it
//! says.

mod admin;
mod operation;
mod people;
mod platform;
mod schemas;
mod usage;

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};

use operation::{Answer, Operation, of};
use schemas::{Error, Schemas, rename, written};

fn operations() -> impl Iterator<Item = &'static Operation> {
    let all = [people::OPERATIONS, platform::OPERATIONS, usage::OPERATIONS, admin::OPERATIONS];
    all.into_iter().flatten()
}

/// Every endpoint of our own: its method, its path, and what it does.
pub fn endpoints() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    operations().map(|one| (one.method, one.path, one.summary))
}

fn content(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

/// What it answers, by the status.
fn responses(operation: &Operation, schemas: &mut Schemas) -> Map<String, Value> {
    let answered = &mut schemas.answered;
    let mut all = Map::new();
    let mut add = |status: &str, description: &str, content: Option<Value>| {
        let mut response = json!({"description": description});
        if let Some(content) = content {
            response["content"] = content;
        }
        all.insert(status.to_owned(), response);
    };
    match operation.answer {
        Answer::Json(answer) => {
            let schema = written(answer(answered));
            if operation.path.ends_with("/health") {
                add("503", "Not ready", Some(content(schema.clone())));
            }
            let mut told = content(schema);
            if operation.path.ends_with("/runs") {
                told["text/event-stream"] = json!({});
            }
            add("200", "Done", Some(told));
        }
        Answer::None => {}
        Answer::Page => {
            let page = json!({"text/html": {"schema": {"type": "string"}}});
            add("200", "A page for people", Some(page));
        }
        Answer::Elsewhere => add("303", "It goes on elsewhere", None),
        Answer::Socket => add("101", "A socket", None),
    }
    if let Some(accepted) = operation.accepted {
        add("202", "Under way", Some(content(written(accepted(answered)))));
    }
    let error = content(written(of::<Error>(answered)));
    add("4XX", "Refused, and why", Some(error.clone()));
    add("5XX", "What the gateway needs is away", Some(error));
    all
}

fn described(operation: &Operation, schemas: &mut Schemas) -> Value {
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
    let mut described = json!({
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation, schemas),
    });
    if let Some(body) = operation.body {
        let schema = written(body(&mut schemas.told));
        described["requestBody"] = json!({"required": true, "content": content(schema)});
    }
    let open = ["/api/auth", "/.well-known", "/v1/connect/oauth", "/v1/admin/health"];
    if open.iter().any(|start| operation.path.starts_with(start)) {
        described["security"] = json!([]);
    }
    described
}

/// The whole of it.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = described(operation, &mut schemas);
    }
    let (schemas, renamed) = schemas.all();
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(body) = operation.get_mut("requestBody") {
            rename(body, &renamed);
        }
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
            "schemas": schemas,
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
        let described: BTreeSet<(String, String)> = operations()
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
    fn every_reference_of_the_document_leads_to_a_schema() {
        fn references(value: &Value, all: &mut BTreeSet<String>) {
            match value {
                Value::Object(members) => {
                    all.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    members.values().for_each(|member| references(member, all));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, all)),
                _ => {}
            }
        }
        let (document, mut all) = (document(), BTreeSet::new());
        references(&document, &mut all);
        assert!(all.len() > 80, "{}", all.len());
        for one in &all {
            assert!(document.pointer(one.trim_start_matches('#')).is_some(), "{one}");
        }
    }

    #[test]
    fn no_operation_says_a_bare_object_where_a_shape_is_known() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let said =
            ["properties", "anyOf", "oneOf", "enum", "const", "$ref", "additionalProperties"];
        let bare = |schema: &Value| {
            schema["type"] == "object" && said.iter().all(|one| schema.get(one).is_none())
        };
        let all: Vec<_> = schemas.iter().filter(|(_, schema)| bare(schema)).collect();
        assert!(all.is_empty(), "{all:?}");
    }
}
