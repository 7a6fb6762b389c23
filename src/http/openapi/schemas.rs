//! What endpoints are told and answer, as JSON Schema.

use serde_json::{Map, Value, json};

/// An object with these members, the first so many of them required.
fn object(required: &[&str], members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The same, for a body in which nothing else may stand.
fn closed(required: &[&str], members: &[(&str, Value)]) -> Value {
    let mut schema = object(required, members);
    schema["additionalProperties"] = Value::from(false);
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn whole() -> Value {
    json!({"type": "integer"})
}

fn any() -> Value {
    json!({"type": "object"})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

fn bound() -> Value {
    json!({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "enum": ["unlimited"]}]})
}

/// Every schema by its name.
pub fn schemas() -> Value {
    let named = |list: &[&str]| json!({"type": "string", "enum": list});
    let scopes = named(&["chat", "embeddings", "images", "realtime", "usage", "platform", "keys"]);
    let terms = [
        ("scopes", json!({"type": "array", "items": scopes})),
        ("models", texts()),
        ("monthly_budget_usd", json!({"type": "number", "minimum": 0})),
        ("monthly_credits", json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})),
        ("requests_per_minute", bound()),
        ("requests_per_day", bound()),
        ("tokens_per_minute", bound()),
        ("images_per_minute", bound()),
        ("data_collection", named(&["allow", "deny"])),
        ("zdr", json!({"type": "boolean"})),
        ("regions", texts()),
        ("expires_at", whole()),
        ("guardrails", texts()),
    ];
    let with = |first: &[(&'static str, Value)]| [first, terms.as_slice()].concat();
    let plan = [
        (
            "tiers",
            json!({"type": "array", "items": named(&["free", "budget", "mid", "premium", "ultra"])}),
        ),
        ("requests_per_minute", bound()),
        ("requests_per_day", bound()),
        ("tokens_per_minute", bound()),
        ("images_per_minute", bound()),
        ("credits_per_month", bound()),
        ("data_collection", named(&["allow", "deny"])),
        ("zdr", json!({"type": "boolean"})),
        ("regions", texts()),
        ("features", json!({"type": "object", "additionalProperties": {"type": "boolean"}})),
        ("guardrails", texts()),
    ];
    let messages = json!({"type": "array", "items": object(&["role"], &[("role", text()), ("content", json!({}))])});
    let memory = [
        ("text", text()),
        ("tags", texts()),
        ("expires_at", json!({"type": "integer", "description": "Seconds since the epoch"})),
        ("ttl_seconds", json!({"type": "integer", "minimum": 1})),
        ("metadata", any()),
    ];
    let agent = [
        ("name", json!({"type": "string", "minLength": 1, "maxLength": 200})),
        ("description", text()),
        ("instructions", text()),
        ("model", json!({"type": "string", "minLength": 1})),
        ("temperature", json!({"type": "number", "minimum": 0, "maximum": 2})),
        ("max_output_tokens", json!({"type": "integer", "minimum": 1})),
        (
            "tools",
            json!({"type": "array", "items": {"oneOf": [
                object(&["type", "function"], &[("type", named(&["function"])), ("function", any())]),
                object(&["type", "app"], &[("type", named(&["connect"])), ("app", text()), ("tools", texts())]),
                object(&["type"], &[("type", named(&["memory"]))]),
            ]}}),
        ),
        (
            "limits",
            closed(
                &[],
                &[
                    ("max_turns", json!({"type": "integer", "minimum": 1, "maximum": 50})),
                    ("max_tokens", json!({"type": "integer", "minimum": 1})),
                    ("max_cost_usd", json!({"type": "number", "exclusiveMinimum": 0})),
                ],
            ),
        ),
        ("metadata", any()),
    ];
    let mut all = json!({
        "Error": object(&["error"], &[("error", json!({"oneOf": [text(), object(&["message"], &[
            ("message", text()), ("type", text()), ("param", json!({})), ("code", json!({})),
        ])]}))]),
        "Object": any(),
        "Nothing": closed(&[], &[]),
        "List": object(&["object", "data"], &[("object", named(&["list"])), ("data", json!({"type": "array", "items": any()}))]),
        "Deleted": object(&["deleted"], &[("deleted", json!({"type": ["boolean", "integer"]}))]),
        "KeyTerms": closed(&[], &terms),
        "NewKey": closed(&[], &with(&[("name", json!({"type": "string", "minLength": 1, "maxLength": 200}))])),
        "KeyChange": object(&[], &[("name", json!({"type": "string", "minLength": 1, "maxLength": 200}))]),
        "NewAccountKey": closed(&["account"], &with(&[("account", text()), ("name", text())])),
        "Key": object(&["id"], &[("id", text()), ("key", text()), ("name", text()), ("hint", text())]),
        "Rotation": closed(&[], &[("overlap_seconds", json!({"type": "integer", "minimum": 0}))]),
        "Conversation": object(&[], &[
            ("id", text()), ("title", json!({"type": "string", "maxLength": 200})), ("model", text()), ("messages", messages.clone()), ("metadata", any()),
        ]),
        "SavedConversation": object(&["id", "title", "messages"], &[
            ("id", text()), ("title", text()), ("model", text()), ("messages", json!({"type": "array", "items": any()})),
            ("created_at", whole()), ("updated_at", whole()), ("metadata", any()),
        ]),
        "FeatureWish": closed(&[], &[("enabled", json!({"type": "boolean"})), ("settings", any())]),
        "Feature": object(&["id", "enabled", "source"], &[("id", text()), ("enabled", json!({"type": "boolean"})), ("source", named(&["default", "plan", "account", "user"]))]),
        "NewMemory": closed(&[], &[memory.as_slice(), &[
            ("user_id", text()),
            ("entries", json!({"type": "array", "items": closed(&["text"], &memory)})),
        ]].concat()),
        "MemoryQuery": closed(&["query"], &[
            ("user_id", text()), ("query", text()), ("limit", json!({"type": "integer", "minimum": 1, "maximum": 100})),
            ("tags", texts()), ("since", whole()), ("until", whole()),
        ]),
        "Graph": object(&["entities", "relations"], &[("entities", json!({"type": "array"})), ("relations", json!({"type": "array"}))]),
        "Agent": closed(&["name"], &agent),
        "SavedAgent": object(&["id", "version", "name"], &[agent.as_slice(), &[("id", text()), ("version", whole())]].concat()),
        "NewRun": closed(&[], &[
            ("input", json!({"oneOf": [text(), messages.clone()]})), ("messages", messages.clone()),
            ("stream", json!({"type": "boolean"})), ("user_id", text()), ("metadata", any()),
        ]),
        "Run": object(&["id", "status", "output", "turns"], &[
            ("id", text()), ("status", named(&["completed", "requires_action", "incomplete"])), ("output", text()), ("turns", whole()), ("usage", any()),
        ]),
        "NewConnection": closed(&["app"], &[
            ("app", text()), ("name", text()), ("user_id", text()), ("credentials", closed(&["token"], &[("token", text())])), ("tools", texts()),
        ]),
        "Action": closed(&["tool"], &[
            ("app", text()), ("tool", text()), ("arguments", any()), ("account_id", text()), ("user_id", text()),
        ]),
        "ChatRequest": object(&["model", "messages"], &[("model", text()), ("messages", messages)]),
        "Feedback": closed(&[], &[
            ("request_id", text()), ("model", text()), ("score", json!({"type": "number", "minimum": 0, "maximum": 1})), ("better", text()), ("worse", text()),
        ]),
        "Plan": closed(&[], &plan),
        "NewAccount": closed(&["name"], &[("name", text()), ("plan", text()), ("limits", closed(&[], &plan))]),
        "AccountChange": closed(&[], &[
            ("name", text()), ("plan", text()), ("limits", closed(&[], &plan)), ("suspended", json!({"type": "boolean"})),
        ]),
        "NewMember": closed(&["email"], &[("email", text()), ("role", named(&["owner", "member", "billing", "admin"])), ("password", text())]),
        "NewGrant": closed(&["credits"], &[("credits", json!({"type": "integer", "minimum": 1})), ("reason", text())]),
        "TestMail": closed(&["to"], &[("to", text())]),
        "NewRefund": closed(&["request"], &[("request", text()), ("reason", text())]),
    });
    // One macro does not take them all.
    for more in [of_people(), more()] {
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
    }
    all
}

/// What people say of themselves, and are told.
fn of_people() -> Value {
    json!({
        "Credentials": object(&["email", "password"], &[("email", text()), ("password", text()), ("otp", text()), ("account", text())]),
        "Registration": object(&["email", "password"], &[("email", text()), ("password", text()), ("organisation", text())]),
        "Address": object(&["email"], &[("email", text())]),
        "MailedCode": object(&["email", "code"], &[("email", text()), ("code", text())]),
        "NewPassword": object(&["token", "password"], &[("token", text()), ("password", text())]),
        "Acceptance": object(&[], &[("name", text()), ("password", text()), ("otp", text())]),
        "PersonName": closed(&["name"], &[("name", json!({"type": "string", "maxLength": 200}))]),
        "LinkToken": closed(&["token"], &[("token", text())]),
        "Passwords": closed(&["old", "new"], &[("old", text()), ("new", text()), ("otp", text())]),
        "ProofOfSelf": closed(&["password"], &[("password", text()), ("otp", text())]),
        "AccountChoice": closed(&["account"], &[("account", text())]),
        "NewRole": closed(&["role"], &[("role", json!({"type": "string", "enum": ["owner", "member", "billing"]}))]),
        "NewInvitation": closed(&["email"], &[
            ("email", text()), ("role", json!({"type": "string", "enum": ["owner", "member", "billing"]})),
        ]),
        "Proof": closed(&["password"], &[("password", text())]),
        "FullProof": closed(&["password", "otp"], &[("password", text()), ("otp", text())]),
        "FactorCode": closed(&["code"], &[("code", text())]),
        "AccountName": closed(&["name"], &[("name", text())]),
        "RefreshToken": object(&["refresh_token"], &[("refresh_token", text())]),
        "OptionalRefreshToken": object(&[], &[("refresh_token", text())]),
        "Session": object(&["access_token", "refresh_token", "expires_in"], &[
            ("access_token", text()), ("token_type", text()), ("expires_in", whole()), ("refresh_token", text()), ("user", any()),
        ]),
    })
}

/// What is said at run time, and what is lent.
fn more() -> Value {
    let scopes = json!({"type": "string", "enum": ["chat", "embeddings", "images", "realtime"]});
    json!({
        "Route": closed(&["fallback"], &[("fallback", texts())]),
        "Prices": closed(&[], &[
            ("usd_per_million", json!({"type": "object"})),
            ("usd_per_image", json!({"type": "number", "minimum": 0})),
            ("prices", json!({"type": "array", "items": json!({"type": "object"})})),
        ]),
        "NewBrowserKey": closed(&[], &[
            ("expires_in_seconds", json!({"type": "integer", "minimum": 10, "maximum": 3_600})),
            ("scopes", json!({"type": "array", "minItems": 1, "items": scopes})),
            ("models", texts()),
            ("budget_usd", json!({"type": "number", "minimum": 0})),
            ("requests_per_minute", bound()),
            ("tokens_per_minute", bound()),
            ("guardrails", texts()),
        ]),
        "BrowserKey": object(&["id", "value", "expires_at"], &[("id", text()), ("value", text()), ("expires_at", whole())]),
    })
}
