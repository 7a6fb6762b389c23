//! HTTP interfaces that an `OpenAPI` document describes: an operation is a tool.

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::guard::{checked, vetted};
use super::{App, AppEntry, Auth, ConnectError, Credential, Ran, Tool};
use crate::base::percent::segment;

/// How deep a schema's references are followed.
const DEPTH: usize = 8;
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Where an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
}

#[derive(Debug)]
struct Operation {
    tool: Tool,
    method: &'static str,
    path: String,
    parameters: Vec<(String, Place)>,
    /// It has a body, which is the argument `body`.
    has_body: bool,
}

#[derive(Debug)]
pub struct HttpApi {
    base: String,
    operations: Vec<Operation>,
}

/// What a reference within the document stands for, and what that refers to, so far.
fn resolved(document: &Value, value: &Value, depth: usize) -> Value {
    if depth == 0 {
        return json!({});
    }
    if let Some(at) = value.get("$ref").and_then(Value::as_str) {
        let found = at.strip_prefix('#').and_then(|at| document.pointer(at));
        return found.map_or_else(|| json!({}), |found| resolved(document, found, depth - 1));
    }
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), resolved(document, value, depth)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(all) => all.iter().map(|value| resolved(document, value, depth)).collect(),
        other => other.clone(),
    }
}

/// A name that every model takes for a function.
fn tool_name(operation: &Value, method: &str, path: &str) -> String {
    let given = operation.get("operationId").and_then(Value::as_str).map(str::to_owned);
    let name = given.unwrap_or_else(|| format!("{method}{path}"));
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().map(kept).take(64).collect()
}

impl HttpApi {
    /// # Errors
    /// What is wrong with the document.
    pub fn read(file: &str, entry: &AppEntry) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|why| format!("{file}: {why}"))?;
        let document: Value =
            serde_json::from_str(&text).map_err(|why| format!("{file} is not JSON: {why}"))?;
        Self::of(&document, entry)
    }

    fn of(document: &Value, entry: &AppEntry) -> Result<Self, String> {
        let server = document.pointer("/servers/0/url").and_then(Value::as_str);
        let base = entry.base_url.as_deref().or(server).ok_or("no 'base_url', and no server")?;
        checked(base, entry.allow_private).map_err(|why| why.to_string())?;
        let paths = document.get("paths").and_then(Value::as_object).ok_or("no paths")?;
        let mut operations = Vec::new();
        for (path, item) in paths {
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                operations.push(Self::operation(document, item, operation, method, path));
            }
        }
        Ok(Self { base: base.trim_end_matches('/').to_owned(), operations })
    }

    fn operation(
        document: &Value,
        item: &Value,
        operation: &Value,
        method: &'static str,
        path: &str,
    ) -> Operation {
        let (mut properties, mut required, mut parameters) = (Map::new(), Vec::new(), Vec::new());
        let listed = |value: &Value| {
            value.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        for parameter in listed(item).into_iter().chain(listed(operation)) {
            let parameter = resolved(document, &parameter, DEPTH);
            let place = match parameter.get("in").and_then(Value::as_str) {
                Some("path") => Place::Path,
                Some("query") => Place::Query,
                Some("header") => Place::Header,
                _ => continue,
            };
            let Some(name) = parameter.get("name").and_then(Value::as_str) else { continue };
            let mut schema = parameter.get("schema").cloned().unwrap_or_else(|| json!({}));
            if let (Some(schema), Some(text)) =
                (schema.as_object_mut(), parameter.get("description"))
            {
                schema.insert("description".to_owned(), text.clone());
            }
            properties.insert(name.to_owned(), schema);
            if place == Place::Path || parameter["required"] == true {
                required.push(Value::from(name));
            }
            parameters.push((name.to_owned(), place));
        }
        let body = operation.get("requestBody").map(|body| resolved(document, body, DEPTH));
        if let Some(body) = &body {
            let schema = body.pointer("/content/application~1json/schema").cloned();
            properties.insert("body".to_owned(), schema.unwrap_or_else(|| json!({})));
            if body["required"] == true {
                required.push(Value::from("body"));
            }
        }
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let description = text("description").or(text("summary")).unwrap_or_default().to_owned();
        let input_schema =
            json!({"type": "object", "properties": properties, "required": required});
        let name = tool_name(operation, method, path);
        Operation {
            tool: Tool { name, description, input_schema },
            method,
            path: path.to_owned(),
            parameters,
            has_body: body.is_some(),
        }
    }

    #[must_use]
    pub fn tools(&self) -> Vec<Tool> {
        self.operations.iter().map(|operation| operation.tool.clone()).collect()
    }

    /// # Errors
    /// [`ConnectError`].
    pub async fn call(
        &self,
        app: &App,
        tool: &str,
        arguments: &Map<String, Value>,
        credential: &Credential,
    ) -> Result<Ran, ConnectError> {
        let entry = &app.entry;
        let operation = self
            .operations
            .iter()
            .find(|operation| operation.tool.name == tool)
            .ok_or_else(|| ConnectError::NoTool(tool.chars().take(80).collect()))?;
        let address = address(&self.base, operation, arguments)?;
        let url = vetted(&address, entry).await?;
        let down = |why: reqwest::Error| ConnectError::Down(why.without_url().to_string());
        let method = reqwest::Method::from_bytes(operation.method.to_uppercase().as_bytes())
            .map_err(|why| ConnectError::Down(why.to_string()))?;
        let mut request = app.client()?.request(method, url);
        for (name, _) in operation.parameters.iter().filter(|(_, place)| *place == Place::Header) {
            // Who asks is ours to say.
            let sensitive = ["authorization", "cookie", "host"];
            if let Some(value) = arguments.get(name)
                && !sensitive.contains(&name.to_ascii_lowercase().as_str())
            {
                request = request.header(name, said(value));
            }
        }
        let token = credential.token.as_ref().map(ExposeSecret::expose_secret);
        match (&entry.auth, token) {
            (Auth::Bearer | Auth::Oauth { .. }, Some(token)) => {
                request = request.bearer_auth(token);
            }
            (Auth::Header { name }, Some(token)) => request = request.header(name, token),
            _ => {}
        }
        if operation.has_body {
            let body = arguments.get("body").cloned().unwrap_or_else(|| json!({}));
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(down)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(down)? {
            body.extend_from_slice(&chunk);
            if body.len() > entry.max_bytes {
                return Err(ConnectError::TooLarge(entry.max_bytes));
            }
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let structured: Option<Value> = serde_json::from_str(&text).ok();
        Ok(Ran {
            is_error: !status.is_success(),
            content: vec![json!({"type": "text", "text": text, "status": status.as_u16()})],
            structured: structured.filter(Value::is_object),
        })
    }
}

/// A value as it stands in an address or a header.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(said).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn address(
    base: &str,
    operation: &Operation,
    arguments: &Map<String, Value>,
) -> Result<String, ConnectError> {
    let mut path = operation.path.clone();
    let mut query = String::new();
    for (name, place) in &operation.parameters {
        let value = arguments.get(name).filter(|value| !value.is_null());
        match (place, value) {
            (Place::Path, Some(value)) => {
                let text = said(value);
                // A segment that climbs would leave what the document describes.
                if text.is_empty() || text == "." || text == ".." {
                    return Err(ConnectError::Refused(format!("'{name}' is no segment of a path")));
                }
                path = path.replace(&format!("{{{name}}}"), &segment(&text));
            }
            (Place::Path, None) => {
                return Err(ConnectError::Refused(format!("'{name}' is missing")));
            }
            (Place::Query, Some(value)) => {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(&segment(name));
                query.push('=');
                query.push_str(&segment(&said(value)));
            }
            _ => {}
        }
    }
    Ok(format!("{base}{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> HttpApi {
        let document = json!({
            "servers": [{"url": "https://api.example.com/v2/"}],
            "components": {"schemas": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}, "friend": {"$ref": "#/components/schemas/Pet"}}}}},
            "paths": {"/pets/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {"operationId": "get pet", "summary": "One pet", "parameters": [{"name": "full", "in": "query", "schema": {"type": "boolean"}}]},
                "put": {"requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
            }},
        });
        HttpApi::of(&document, &AppEntry::default()).unwrap()
    }

    #[test]
    fn an_operation_is_a_tool() {
        let tools = api().tools();
        assert_eq!((tools[0].name.as_str(), tools[0].description.as_str()), ("get_pet", "One pet"));
        assert_eq!(tools[0].input_schema["required"], json!(["id"]));
        assert_eq!(tools[1].name, "put_pets__id_");
        assert_eq!(
            tools[1].input_schema["properties"]["body"]["properties"]["name"]["type"],
            "string"
        );
    }

    #[test]
    fn arguments_cannot_climb_out_of_their_place() {
        let api = api();
        let at = |arguments: Value| {
            address(&api.base, &api.operations[0], arguments.as_object().unwrap())
        };
        assert_eq!(
            at(json!({"id": "a/../b?c", "full": true})).unwrap(),
            "https://api.example.com/v2/pets/a%2F..%2Fb%3Fc?full=true"
        );
        assert!(at(json!({"id": ".."})).is_err());
        assert!(at(json!({})).is_err());
    }

    #[test]
    fn a_document_that_points_inside_is_refused() {
        let document = json!({"servers": [{"url": "http://169.254.169.254"}], "paths": {}});
        assert!(HttpApi::of(&document, &AppEntry::default()).is_err());
    }
}
