//! Facts against requests of every dialect: each test is a kind of refusal, over its members. Longer than
//! most files: they share one catalogue.

mod claude;
mod foreign;
mod free_text;
mod histories;

use serde_json::{Value, json};

use super::*;
use crate::catalogue::{Facts, FactsEntry};
use crate::wire::refusal::is_form;
use crate::wire::vocab::{Dialect, Protocol, Role, ThoughtsBack};
use crate::wire::{Target, codec, provider_side};

fn facts(text: &str) -> Facts {
    toml::from_str::<FactsEntry>(text).unwrap().settle()
}

/// What is sent, and what is named as dropped.
fn sent(from: Dialect, body: &Value, to: Protocol, facts: &Facts) -> (Value, Vec<String>) {
    let request = codec(from).decode_request(body.to_string().as_bytes()).unwrap();
    let model = TargetModel {
        facts,
        protocol: to,
        max_tokens_only: false,
        last_resort: true,
        refused_form: false,
    };
    let fitted = fit(&request, &model);
    let thinking = facts.thinking_on(to);
    let target = Target {
        model: "claude-x",
        max_output_tokens: 64_000,
        thinking: &thinking,
        thoughts: facts.thoughts,
        max_tokens_only: false,
    };
    let encoded = provider_side(to).encode_request(&fitted.request, &target).unwrap();
    let mut losses = fitted.losses;
    losses.extend(encoded.losses);
    let named = losses.iter().map(|loss| loss.field.to_string()).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), named)
}

const CHAT: Protocol = Protocol::Dialect(Dialect::OpenAiChat);
const RESPONSES: Protocol = Protocol::Dialect(Dialect::OpenAiResponses);
const ANTHROPIC: Protocol = Protocol::Dialect(Dialect::Anthropic);
const GEMINI: Protocol = Protocol::Dialect(Dialect::Gemini);

/// The same request in every dialect, with a member of its settings.
fn asking(from: Dialect, name: &str, value: Value) -> Value {
    let mut body = match from {
        Dialect::OpenAiChat => {
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
        }
        Dialect::OpenAiResponses => json!({"model": "m", "input": "hi"}),
        Dialect::Anthropic => {
            json!({"model": "m", "max_tokens": 9_000, "messages": [{"role": "user", "content": "hi"}]})
        }
        Dialect::Gemini => {
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {}})
        }
    };
    match from {
        Dialect::Gemini => body["generationConfig"][name] = value,
        _ => body[name] = value,
    }
    body
}

fn says(value: &Value, name: &str) -> bool {
    value.to_string().contains(&format!("\"{name}\""))
}

#[test]
fn what_is_refused_is_left_out_and_named_from_every_dialect() {
    let facts = facts("refuses = { temperature = \"always\", top_p = \"always\" }");
    for from in Dialect::ALL {
        for to in [CHAT, RESPONSES, ANTHROPIC, GEMINI] {
            let top_p = if from == Dialect::Gemini { "topP" } else { "top_p" };
            for (member, name) in [("temperature", "temperature"), (top_p, "top_p")] {
                let (body, named) = sent(from, &asking(from, member, json!(0.2)), to, &facts);
                assert!(
                    !says(&body, "temperature") && !says(&body, "top_p") && !says(&body, "topP"),
                    "{body}"
                );
                assert_eq!(named, [name], "{from:?} to {to:?}");
            }
            // What holds anyway is no loss.
            let (body, named) = sent(from, &asking(from, "temperature", json!(1)), to, &facts);
            assert!(named.is_empty() && !says(&body, "temperature"), "{body} {named:?}");
        }
    }
}

#[test]
fn refusals_hold_when_they_are_said_to() {
    for (when, effort, value, dropped) in [
        ("while-thinking", "low", 0.2, true),
        ("while-thinking", "none", 0.2, false),
        ("non-default", "none", 0.2, true),
        ("non-default", "none", 1.0, false),
        ("at-high-effort", "high", 0.2, true),
        ("at-high-effort", "low", 0.2, false),
        ("never", "high", 0.2, false),
    ] {
        let facts = facts(&format!(
            "refuses = {{ temperature = \"{when}\" }}\nthinking = \"effort\"\nthinking_off = \
             \"effort\"\nefforts = [\"none\", \"low\", \"high\"]"
        ));
        let mut body = asking(Dialect::OpenAiChat, "temperature", json!(value));
        body["reasoning_effort"] = json!(effort);
        let (sent, named) = sent(Dialect::OpenAiChat, &body, CHAT, &facts);
        assert_eq!(!says(&sent, "temperature"), dropped, "{when} {effort} {value}");
        assert_eq!(named.contains(&"temperature".to_owned()), dropped, "{when}");
    }
}

#[test]
fn a_limit_of_tokens_that_is_refused_is_left_out_and_named() {
    let facts = facts(
        "refuses = { max_tokens = \"at-high-effort\" }\nthinking = \"effort\"\nthinking_off = \
         \"effort\"\nefforts = [\"none\", \"low\", \"high\"]",
    );
    for (member, effort, left_out) in [
        ("max_tokens", "high", true),
        ("max_completion_tokens", "high", true),
        ("max_tokens", "low", false),
    ] {
        let mut body = asking(Dialect::OpenAiChat, member, json!(300));
        body["reasoning_effort"] = json!(effort);
        let (sent, named) = sent(Dialect::OpenAiChat, &body, CHAT, &facts);
        assert_eq!(!says(&sent, member), left_out, "{member} {effort}: {sent}");
        assert_eq!(named.contains(&"max_tokens".to_owned()), left_out, "{member} {effort}");
    }
}

/// Every way to wish for thought, in the caller's words.
fn wishes() -> Vec<(Dialect, Value)> {
    let mut all = Vec::new();
    for effort in ["minimal", "low", "medium", "high", "xhigh", "max"] {
        all.push((
            Dialect::OpenAiChat,
            asking(Dialect::OpenAiChat, "reasoning_effort", json!(effort)),
        ));
        let reasoning = json!({ "effort": effort });
        all.push((
            Dialect::OpenAiResponses,
            asking(Dialect::OpenAiResponses, "reasoning", reasoning),
        ));
    }
    for budget in [1_024, 2_000, 8_000, 30_000] {
        let thinking = json!({"type": "enabled", "budget_tokens": budget});
        let mut body = asking(Dialect::Anthropic, "thinking", thinking);
        body["max_tokens"] = json!(40_000);
        all.push((Dialect::Anthropic, body));
        let config = json!({ "thinkingBudget": budget });
        all.push((Dialect::Gemini, asking(Dialect::Gemini, "thinkingConfig", config)));
    }
    for level in ["LOW", "HIGH"] {
        let config = json!({ "thinkingLevel": level });
        all.push((Dialect::Gemini, asking(Dialect::Gemini, "thinkingConfig", config)));
    }
    all
}

#[test]
fn claude_of_today_gets_adaptive_and_an_effort_never_a_budget() {
    let facts = facts(
        "thinking = \"adaptive\"\nthinking_off = \"disabled\"\nefforts = [\"low\", \"medium\", \"high\", \
         \"xhigh\", \"max\"]",
    );
    for to in [ANTHROPIC, Protocol::Bedrock] {
        for (from, wish) in wishes() {
            let (body, _) = sent(from, &wish, to, &facts);
            let all = if to == ANTHROPIC { &body } else { &body["additionalModelRequestFields"] };
            assert_eq!(all["thinking"]["type"], "adaptive", "{wish} {body}");
            assert!(!says(&body, "budget_tokens"), "{body}");
            let effort = all["output_config"]["effort"].as_str().unwrap();
            assert!(["low", "medium", "high", "xhigh", "max"].contains(&effort), "{body}");
        }
    }
}

#[test]
fn budgets_stay_within_the_models_range() {
    let facts = facts(
        "thinking = \"budget\"\nthinking_off = \"zero\"\nbudget = { min = 512, max = 24_576 }",
    );
    for (from, wish) in wishes() {
        let (body, _) = sent(from, &wish, GEMINI, &facts);
        let config = &body["generationConfig"]["thinkingConfig"];
        let budget = config["thinkingBudget"].as_i64().unwrap_or_else(|| panic!("{wish} {body}"));
        assert!((512..=24_576).contains(&budget) && config["thinkingLevel"].is_null(), "{body}");
    }
    for (from, name, off) in [
        (Dialect::OpenAiChat, "reasoning_effort", json!("none")),
        (Dialect::OpenAiResponses, "reasoning", json!({"effort": "none"})),
        (Dialect::Anthropic, "thinking", json!({"type": "disabled"})),
        (Dialect::Gemini, "thinkingConfig", json!({"thinkingBudget": 0})),
    ] {
        let (body, named) = sent(from, &asking(from, name, off), GEMINI, &facts);
        assert_eq!(body["generationConfig"]["thinkingConfig"]["thinkingBudget"], 0, "{body}");
        assert!(named.is_empty(), "{named:?}");
    }
}

#[test]
fn levels_are_levels_and_what_cannot_be_turned_off_is_named() {
    let facts = facts(
        "thinking = \"effort\"\nthinks_by_default = true\nefforts = [\"minimal\", \"low\", \"medium\", \"high\"]",
    );
    for (from, wish) in wishes() {
        let (body, _) = sent(from, &wish, GEMINI, &facts);
        let config = &body["generationConfig"]["thinkingConfig"];
        assert!(config["thinkingBudget"].is_null(), "{body}");
        assert!(
            ["MINIMAL", "LOW", "MEDIUM", "HIGH"]
                .contains(&config["thinkingLevel"].as_str().unwrap())
        );
    }
    let off = asking(Dialect::Anthropic, "thinking", json!({"type": "disabled"}));
    let (body, named) = sent(Dialect::Anthropic, &off, GEMINI, &facts);
    assert_eq!(body["generationConfig"]["thinkingConfig"]["thinkingLevel"], "MINIMAL", "{body}");
    assert_eq!(named, ["thinking"]);
}

#[test]
fn switches_are_turned_in_the_servers_own_way() {
    for (control, on, off) in [
        (
            "member",
            json!({"thinking": {"type": "enabled"}}),
            json!({"thinking": {"type": "disabled"}}),
        ),
        ("switch", json!({"enable_thinking": true}), json!({"enable_thinking": false})),
    ] {
        let facts = facts(&format!(
            "thinking = \"toggle\"\nthinks_by_default = true\nthinking_off = \"disabled\"\nthinking_control = \"{control}\""
        ));
        for (word, expected) in [("high", &on), ("none", &off)] {
            let body = asking(Dialect::OpenAiChat, "reasoning_effort", json!(word));
            let (body, _) = sent(Dialect::OpenAiChat, &body, CHAT, &facts);
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&body[name], value, "{control} {word}: {body}");
            }
            assert!(body["reasoning_effort"].is_null(), "{body}");
        }
    }
}

#[test]
fn names_of_tools_are_respelled_alike_everywhere_and_given_back() {
    let long = "mcp__plugin_example-plugin-of-some-length_example-server__do_a_thing_that_needs_many_words";
    for (own, rule) in [
        (long, "tool_name = { max = 64 }"),
        ("files.search:v1", "tool_name = { max = 64 }"),
        ("files.search:v1", "tool_name = { max = 128 }"),
        ("1st", "tool_name = { max = 64, also = \".:\", letter_first = true }"),
    ] {
        let facts = facts(rule);
        let body = json!({"model": "m", "max_tokens": 100,
        "tools": [{"name": own, "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "tool", "name": own},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": own, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
        ]});
        let request =
            codec(Dialect::Anthropic).decode_request(body.to_string().as_bytes()).unwrap();
        for to in [CHAT, RESPONSES, ANTHROPIC, GEMINI] {
            let model = TargetModel {
                facts: &facts,
                protocol: to,
                max_tokens_only: false,
                last_resort: false,
                refused_form: false,
            };
            let fitted = fit(&request, &model);
            let (written, named) = sent(Dialect::Anthropic, &body, to, &facts);
            assert!(named.is_empty(), "{named:?}");
            let new = fitted.request.tools[0].name().unwrap().to_owned();
            assert!(facts.tool_name.as_ref().unwrap().takes(&new), "{new}");
            assert_eq!(fitted.names.own(&new), Some(own));
            let text = written.to_string();
            assert!(
                !text.contains(&format!("\"{own}\"")) && text.matches(&new).count() >= 3,
                "{to:?} {text}"
            );
            assert_eq!(fit(&request, &model).names, fitted.names, "the same the next time");
        }
    }
}

#[test]
fn ids_of_calls_keep_together_whatever_they_become() {
    let facts = facts("tool_call_id_length = 9");
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [
            {"id": "toolu_01ABCdef-long", "type": "function", "function": {"name": "a", "arguments": "{}"}},
            {"id": "abcDEF123", "type": "function", "function": {"name": "b", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "toolu_01ABCdef-long", "content": "1"},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"}]});
    let (body, _) = sent(Dialect::OpenAiChat, &body, CHAT, &facts);
    let calls = body["messages"][1]["tool_calls"].as_array().unwrap();
    for (place, call) in calls.iter().enumerate() {
        let id = call["id"].as_str().unwrap();
        assert!(id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
        assert_eq!(body["messages"][2 + place]["tool_call_id"], id);
    }
    assert_eq!(calls[1]["id"], "abcDEF123", "what fits stays");
}

#[test]
fn schemas_are_fitted_and_what_cannot_be_said_goes_into_words() {
    let facts = facts("schema = \"anthropic\"");
    let schema = json!({"type": "object", "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 10, "description": "How good."},
        "tags": {"type": "array", "minItems": 2, "maxItems": 5, "items": {"type": "string", "maxLength": 9}},
        "inner": {"type": "object", "properties": {}, "additionalProperties": true},
    }, "required": ["score"]});
    for (from, body) in [
        (
            Dialect::OpenAiChat,
            asking(
                Dialect::OpenAiChat,
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}),
            ),
        ),
        (
            Dialect::OpenAiResponses,
            asking(
                Dialect::OpenAiResponses,
                "text",
                json!({"format": {"type": "json_schema", "name": "r", "schema": schema}}),
            ),
        ),
        (
            Dialect::Anthropic,
            asking(
                Dialect::Anthropic,
                "output_config",
                json!({"format": {"type": "json_schema", "schema": schema}}),
            ),
        ),
        (Dialect::Gemini, {
            let mut body = asking(Dialect::Gemini, "responseMimeType", json!("application/json"));
            body["generationConfig"]["responseJsonSchema"] = schema.clone();
            body
        }),
    ] {
        let (body, named) = sent(from, &body, ANTHROPIC, &facts);
        let fitted = &body["output_config"]["format"]["schema"];
        for name in ["minimum", "maximum", "minItems", "maxItems", "maxLength"] {
            assert!(!says(fitted, name), "{from:?} {fitted}");
        }
        assert_eq!(fitted["additionalProperties"], false);
        assert_eq!(fitted["properties"]["inner"]["additionalProperties"], false);
        assert_eq!(
            fitted["properties"]["score"]["description"],
            "How good. (minimum: 1; maximum: 10)"
        );
        assert_eq!(named, ["response_format.schema"], "{from:?}");
    }
    let broken = |answer: &str| violation(&schema, answer);
    assert_eq!(broken("{\"score\": 11}").as_deref(), Some("$.score: maximum 10"));
    assert_eq!(broken("{\"tags\": []}").as_deref(), Some("$: 'score' is missing"));
    assert_eq!(
        broken("{\"score\": 3, \"tags\": [\"a\", \"0123456789\"]}").as_deref(),
        Some("$.tags[1]: maxLength 9")
    );
    assert_eq!(broken("{\"score\": 3}"), None);
}

#[test]
fn media_types_have_one_spelling_and_files_of_text_are_text() {
    let plain = facts("");
    for (said, meant) in [
        ("data:image/jpg;base64,QUJD", "image/jpeg"),
        ("data:image/jpeg;charset=utf-8;base64,QUJD", "image/jpeg"),
        ("data:IMAGE/JPEG;base64,QUJD", "image/jpeg"),
        ("DATA:image/png;base64,QUJD", "image/png"),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": said}}]}]});
        for to in [CHAT, ANTHROPIC, GEMINI] {
            let (body, named) = sent(Dialect::OpenAiChat, &body, to, &plain);
            assert!(
                body.to_string().contains(&format!("{meant}\""))
                    || body.to_string().contains(&format!("data:{meant};base64,QUJD")),
                "{to:?} {body}"
            );
            assert!(named.is_empty(), "{named:?}");
        }
    }
    let file = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "file", "file": {"filename": "t.csv", "file_data": "data:text/csv;base64,YSxiCjEsMgo="}}]}]});
    let (body, _) = sent(Dialect::OpenAiChat, &file, ANTHROPIC, &plain);
    let source = &body["messages"][0]["content"][0]["source"];
    assert_eq!(source, &json!({"type": "text", "media_type": "text/plain", "data": "a,b\n1,2\n"}));
}

#[test]
fn the_rest_of_what_models_refuse() {
    let body = json!({"model": "m", "messages": [
        {"role": "developer", "content": "Be terse."}, {"role": "user", "content": "hi"}]});
    let (told, _) = sent(Dialect::OpenAiChat, &body, CHAT, &facts("developer_role = false"));
    assert_eq!(told["messages"][0]["role"], "system");

    let prefilled = json!({"model": "m", "max_tokens": 10, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "The answer is"}]});
    let (told, named) = sent(Dialect::Anthropic, &prefilled, ANTHROPIC, &facts("prefill = false"));
    assert_eq!(
        (told["messages"][2]["role"].as_str(), named),
        (Some("user"), vec!["prefill".to_owned()])
    );

    let forced = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "a"}}]});
    let (told, named) =
        sent(Dialect::OpenAiChat, &forced, CHAT, &facts("forced_tool_choice = \"no\""));
    assert_eq!(
        (told["tool_choice"].as_str(), named),
        (Some("auto"), vec!["tool_choice".to_owned()])
    );

    let limit = asking(Dialect::OpenAiChat, "max_tokens", json!(50));
    let (told, _) =
        sent(Dialect::OpenAiChat, &limit, CHAT, &facts("token_limit = \"max_completion_tokens\""));
    assert_eq!(
        (told["max_completion_tokens"].as_u64(), &told["max_tokens"]),
        (Some(50), &Value::Null)
    );

    let history = json!({"model": "m", "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes", "reasoning_content": "hm"}, {"role": "user", "content": "go"}]});
    let (told, _) = sent(Dialect::OpenAiChat, &history, CHAT, &facts("thoughts_back = \"none\""));
    assert!(!says(&told, "reasoning_content"), "{told}");
    assert_eq!(facts("").thoughts, ThoughtsBack::Content);
}

#[test]
fn what_needs_nothing_is_not_copied() {
    let facts = facts(
        "refuses = { temperature = \"always\" }\nthinking = \"effort\"\nefforts = [\"low\", \"high\"]\ntool_name = { max = 64 }",
    );
    let body = json!({"model": "m", "reasoning_effort": "high", "messages": [
        {"role": "user", "content": "temperature, developer, data: name"}],
        "tools": [{"type": "function", "function": {"name": "fine"}}]});
    let bytes = body.to_string();
    let head = codec(Dialect::OpenAiChat).head(bytes.as_bytes()).unwrap();
    let model = TargetModel {
        facts: &facts,
        protocol: CHAT,
        max_tokens_only: false,
        last_resort: false,
        refused_form: false,
    };
    assert!(!may_need(&head, bytes.as_bytes(), &model));
    let request = codec(Dialect::OpenAiChat).decode_request(bytes.as_bytes()).unwrap();
    assert!(matches!(fit(&request, &model).request, Cow::Borrowed(_)));
    assert_eq!(request.turns[0].role, Role::User);
}

#[test]
fn a_form_that_is_no_object_is_put_into_one_where_its_maker_takes_objects_alone() {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let word = json!({"type": "string", "enum": ["brass", "strings"]});
    let asked = |mime: &str, schema: &Value| {
        json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}],
            "generationConfig": {"responseMimeType": mime, "responseJsonSchema": schema}})
    };
    for (mime, schema, held) in
        [("application/json", &list, JsonForm::Wrapped), ("text/x.enum", &word, JsonForm::Word)]
    {
        for to in [CHAT, RESPONSES, ANTHROPIC, GEMINI] {
            let bytes = asked(mime, schema).to_string();
            let request = codec(Dialect::Gemini).decode_request(bytes.as_bytes()).unwrap();
            let any = facts("");
            let model = TargetModel {
                facts: &any,
                protocol: to,
                max_tokens_only: false,
                last_resort: false,
                refused_form: false,
            };
            let fitted = fit(&request, &model);
            // Claude takes lists.
            let wraps = to != GEMINI && (to != ANTHROPIC || held == JsonForm::Word);
            assert_eq!(fitted.held, wraps.then_some(held), "{to:?} {mime}");
            let (body, _) = sent(Dialect::Gemini, &asked(mime, schema), to, &any);
            let said = body.to_string();
            let inside = format!("\"value\":{schema}");
            assert_eq!(said.contains(&inside), wraps, "{to:?} {said}");
            assert!(said.contains(&schema.to_string()), "{to:?} {said}");
            // Where nothing can be demanded, it is asked for in words.
            let refuses = TargetModel { refused_form: true, ..model };
            let fitted = fit(&request, &refuses);
            let in_words = (held == JsonForm::Wrapped).then_some(JsonForm::List);
            assert_eq!((fitted.held, fitted.request.format.is_none()), (in_words, true), "{to:?}");
        }
    }
}

#[test]
fn a_form_that_cannot_be_demanded_is_asked_for_in_words_and_held_to() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let chat = |form: &Value| asking(Dialect::OpenAiChat, "response_format", form.clone());
    let object = json!({"type": "json_object"});
    let schemed = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    let none = facts("schema = \"none\"");
    let refuses = facts("refuses = { response_format = \"always\" }");
    let any = facts("");
    for (known, refused_form) in [(&none, false), (&refuses, false), (&any, true)] {
        for (form, untold) in [(&object, None), (&schemed, Some(&schema))] {
            for to in [CHAT, RESPONSES, ANTHROPIC, GEMINI] {
                let bytes = chat(form).to_string();
                let codec = codec(Dialect::OpenAiChat);
                let head = codec.head(bytes.as_bytes()).unwrap();
                let request = codec.decode_request(bytes.as_bytes()).unwrap();
                let model = TargetModel {
                    facts: known,
                    protocol: to,
                    max_tokens_only: false,
                    last_resort: false,
                    refused_form,
                };
                assert!(to != CHAT || may_need(&head, bytes.as_bytes(), &model));
                let fitted = fit(&request, &model);
                assert!(fitted.held == Some(JsonForm::Object) && fitted.request.format.is_none());
                assert_eq!(fitted.unsaid_schema.as_ref(), untold);
                let named: Vec<_> = fitted.losses.iter().map(|loss| &*loss.field).collect();
                assert_eq!(named, ["response_format"]);
                let (body, _) = sent(Dialect::OpenAiChat, &chat(form), to, &none);
                let said = body.to_string();
                assert!(said.contains("one valid JSON object"), "{to:?} {said}");
                assert!(
                    !said.contains("json_object") && !said.contains("responseMimeType"),
                    "{said}"
                );
            }
        }
    }
    for path in
        ["response_format", "response_format.type", "text.format", "output_config.format.schema"]
    {
        assert!(is_form(path), "{path}");
    }
}

proptest::proptest! {
    /// Whatever is found to need fitting was thought to need it perhaps.
    #[test]
    fn a_glance_never_misses(
        temperature in proptest::option::of(0.0..2.0_f64),
        effort in proptest::option::of(proptest::sample::select(vec!["none", "low", "max"])),
        name in proptest::sample::select(vec!["ok", "a.b", "x:y"]),
        role in proptest::sample::select(vec!["developer", "system"]),
        url in proptest::sample::select(vec!["data:image/png;base64,QQ==", "data:image/jpg;base64,QQ==", "Data:image/jpg;BASE64,QQ==", "https://a/b.png"]),
        file in proptest::option::of(proptest::sample::select(vec!["application/pdf", "application/xml", "text/plain"])),
        limit in proptest::bool::ANY,
        escaped in proptest::bool::ANY,
    ) {
        let facts = facts("refuses = { temperature = \"non-default\", stop = \"always\" }\nthinking = \"effort\"\nefforts = [\"low\", \"high\"]\ntool_name = { max = 64 }\ndeveloper_role = false\ntoken_limit = \"max_completion_tokens\"");
        let mut body = json!({"model": "m", "messages": [{"role": role, "content": "x"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
            "tools": [{"type": "function", "function": {"name": name}}]});
        if let Some(hot) = temperature { body["temperature"] = json!(hot); }
        if let Some(effort) = effort { body["reasoning_effort"] = json!(effort); }
        if limit { body["max_tokens"] = json!(5); }
        if let (Some(mime), Some(parts)) = (file, body["messages"][1]["content"].as_array_mut()) {
            let data = format!("data:{mime};base64,QQ==");
            parts.push(json!({"type": "file", "file": {"filename": "f", "file_data": data}}));
        }
        // As PHP writes JSON.
        let bytes = if escaped { body.to_string().replace('/', "\\/") } else { body.to_string() };
        let head = codec(Dialect::OpenAiChat).head(bytes.as_bytes()).unwrap();
        let model = TargetModel { facts: &facts, protocol: CHAT, max_tokens_only: false, last_resort: false, refused_form: false };
        let request = codec(Dialect::OpenAiChat).decode_request(bytes.as_bytes()).unwrap();
        let fitted = fit(&request, &model);
        let changed = matches!(fitted.request, Cow::Owned(_)) || !fitted.losses.is_empty();
        proptest::prop_assert!(!changed || may_need(&head, bytes.as_bytes(), &model), "{}", bytes);
    }
}
