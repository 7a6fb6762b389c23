//! `docs/dialects.md`, made from the codecs and what fits a request to them: what each dialect can say, put to every other. Run
//! with `UPDATE_DOCS=1` to write the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use optimux::catalogue::Facts;
use optimux::shape;
use optimux::wire::vocab::{Dialect, Protocol};
use optimux::wire::{Target, codec, provider_side};
use serde_json::{Value, json};

use crate::house::is_written;

const TARGETS: [(&str, Protocol); 5] = [
    ("OpenAI chat", Protocol::Dialect(Dialect::OpenAiChat)),
    ("OpenAI Responses", Protocol::Dialect(Dialect::OpenAiResponses)),
    ("Anthropic", Protocol::Dialect(Dialect::Anthropic)),
    ("Gemini", Protocol::Dialect(Dialect::Gemini)),
    ("Bedrock Converse", Protocol::Bedrock),
];

/// What becomes of one thing that a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Carried,
    Dropped(String),
    Refused(String),
}

fn fate(from: Dialect, request: &Value, to: Protocol) -> Fate {
    let request = codec(from).decode_request(request.to_string().as_bytes()).unwrap();
    let target = Target { model: "claude-m", max_output_tokens: 16_000, ..Target::SELF };
    // A model of which no file says anything.
    let facts = Facts::default();
    let model = shape::TargetModel {
        facts: &facts,
        protocol: to,
        max_tokens_only: false,
        last_resort: false,
        refused_form: false,
    };
    let fitted = shape::fit(&request, &model);
    match provider_side(to).encode_request(&fitted.request, &target) {
        Err(why) => Fate::Refused(why.to_string()),
        Ok(encoded) => {
            let mut losses = fitted.losses;
            losses.extend(encoded.losses);
            match losses.grave() {
                Some(loss) => Fate::Refused(loss.field.to_string()),
                None if losses.is_empty() => Fate::Carried,
                None => Fate::Dropped(losses.to_string()),
            }
        }
    }
}

fn merged(mut base: Value, more: &Value) -> Value {
    if let (Some(base), Some(more)) = (base.as_object_mut(), more.as_object()) {
        base.extend(more.clone());
    }
    base
}

const PIXEL: &str = "iVBORw0KGgo=";

fn function() -> Value {
    json!({"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}})
}

fn chat() -> (Value, Vec<(&'static str, Value)>) {
    let base = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let says = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let tool = json!({"type": "function", "function": function()});
    let history = json!({"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ], "tools": [tool]});
    let with_tool =
        |name: &str, value: Value| merged(json!({"tools": [tool]}), &json!({ name: value }));
    let schema = json!({"type": "json_schema", "json_schema": {"name": "s", "strict": true, "schema": {"type": "object", "properties": {}, "additionalProperties": false}}});
    let cases = vec![
        (
            "system and developer messages",
            json!({"messages": [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, {"role": "user", "content": "hi"}]}),
        ),
        ("`max_tokens`", json!({"max_tokens": 9})),
        ("`max_completion_tokens`", json!({"max_completion_tokens": 9})),
        ("`temperature` up to 1", json!({"temperature": 0.5})),
        ("`temperature` above 1", json!({"temperature": 1.5})),
        ("`top_p`", json!({"top_p": 0.5})),
        ("`stop`", json!({"stop": ["x"]})),
        ("`n` above 1", json!({"n": 2})),
        ("`seed`", json!({"seed": 1})),
        ("`frequency_penalty`", json!({"frequency_penalty": 0.5})),
        ("`presence_penalty`", json!({"presence_penalty": 0.5})),
        ("`logit_bias`", json!({"logit_bias": {"1": 1}})),
        ("`logprobs`", json!({"logprobs": true, "top_logprobs": 2})),
        ("JSON mode", json!({"response_format": {"type": "json_object"}})),
        ("structured output", json!({"response_format": schema})),
        ("function tools", json!({"tools": [tool]})),
        ("custom tools", json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]})),
        ("calls and their results", history),
        ("`tool_choice` none", with_tool("tool_choice", json!("none"))),
        ("`tool_choice` required", with_tool("tool_choice", json!("required"))),
        (
            "`tool_choice` of one function",
            with_tool("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
        ),
        ("`parallel_tool_calls` false", with_tool("parallel_tool_calls", json!(false))),
        ("`reasoning_effort`", json!({"reasoning_effort": "medium"})),
        (
            "images in base64",
            says(
                json!([{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}}]),
            ),
        ),
        (
            "images by address",
            says(json!([{"type": "image_url", "image_url": {"url": "https://x.test/y.png"}}])),
        ),
        (
            "files in base64",
            says(
                json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}]),
            ),
        ),
        ("files by id", says(json!([{"type": "file", "file": {"file_id": "file-1"}}]))),
        (
            "files by address",
            says(
                json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": "https://x.test/a.pdf"}}]),
            ),
        ),
        (
            "video by address (`video_url`)",
            says(json!([{"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}])),
        ),
        (
            "sound",
            says(
                json!([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]),
            ),
        ),
        (
            "spoken answers (`audio`)",
            json!({"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}}),
        ),
        ("`web_search_options`", json!({"web_search_options": {}})),
        ("`prediction`", json!({"prediction": {"type": "content", "content": "x"}})),
        ("`user`", json!({"user": "u"})),
        ("`metadata`, `store`", json!({"metadata": {"a": "b"}, "store": true})),
        ("`service_tier`", json!({"service_tier": "flex"})),
        ("`verbosity`", json!({"verbosity": "low"})),
        ("`prompt_cache_key`", json!({"prompt_cache_key": "k"})),
    ];
    (base, cases)
}

fn responses() -> (Value, Vec<(&'static str, Value)>) {
    let base = json!({"model": "m", "input": "hi"});
    let says = |content: Value| json!({"input": [{"role": "user", "content": content}]});
    let tool = merged(json!({"type": "function", "strict": true}), &function());
    let cases = vec![
        ("`instructions`", json!({"instructions": "i"})),
        ("`max_output_tokens`", json!({"max_output_tokens": 99})),
        ("`temperature`, `top_p`", json!({"temperature": 0.5})),
        ("function tools", json!({"tools": [tool]})),
        ("custom tools", json!({"tools": [{"type": "custom", "name": "c"}]})),
        ("hosted `web_search`", json!({"tools": [{"type": "web_search"}]})),
        (
            "hosted `file_search`",
            json!({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}),
        ),
        (
            "hosted `code_interpreter`",
            json!({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
        ),
        (
            "hosted `mcp`",
            json!({"tools": [{"type": "mcp", "server_label": "s", "server_url": "https://x.test"}]}),
        ),
        (
            "calls and their results",
            json!({"input": [
                {"role": "user", "content": "hi"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "done"},
            ]}),
        ),
        (
            "sealed reasoning (`encrypted_content`)",
            json!({"input": [
                {"role": "user", "content": "hi"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                {"role": "assistant", "content": "yes"}, {"role": "user", "content": "so?"},
            ]}),
        ),
        (
            "structured output",
            json!({"text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object", "properties": {}}}}}),
        ),
        ("`text.verbosity`", json!({"text": {"verbosity": "low"}})),
        (
            "`reasoning`",
            json!({"reasoning": {"effort": "medium", "summary": "auto"}, "max_output_tokens": 9000}),
        ),
        ("`tool_choice` required", json!({"tools": [tool], "tool_choice": "required"})),
        ("`parallel_tool_calls` false", json!({"tools": [tool], "parallel_tool_calls": false})),
        (
            "images in base64",
            says(
                json!([{"type": "input_image", "detail": "auto", "image_url": format!("data:image/png;base64,{PIXEL}")}]),
            ),
        ),
        (
            "images by address",
            says(
                json!([{"type": "input_image", "detail": "auto", "image_url": "https://x.test/y.png"}]),
            ),
        ),
        (
            "files in base64",
            says(
                json!([{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}]),
            ),
        ),
        ("files by id", says(json!([{"type": "input_file", "file_id": "file-1"}]))),
        (
            "images by id",
            says(json!([{"type": "input_image", "detail": "auto", "file_id": "file-1"}])),
        ),
        (
            "files by address",
            says(json!([{"type": "input_file", "file_url": "https://x.test/a.pdf"}])),
        ),
        (
            "`store`, `metadata`, `previous_response_id`, `conversation`, `background`: kept by the gateway",
            json!({"store": true, "metadata": {"a": "b"}}),
        ),
        ("`prompt` (a stored template)", json!({"prompt": {"id": "p"}})),
        ("`truncation`", json!({"truncation": "auto"})),
        ("`include`", json!({"include": ["reasoning.encrypted_content"]})),
        ("`service_tier`", json!({"service_tier": "flex"})),
        ("`user`", json!({"user": "u"})),
    ];
    (base, cases)
}

fn anthropic() -> (Value, Vec<(&'static str, Value)>) {
    let base =
        json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}]});
    let says = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let tool = json!({"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}});
    let loop_with = |thought: Option<Value>, result: Value| {
        let mut blocks: Vec<Value> = thought.into_iter().collect();
        blocks.push(json!({"type": "tool_use", "id": "c1", "name": "f", "input": {}}));
        json!({"tools": [tool], "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [result]},
        ]})
    };
    let result = json!({"type": "tool_result", "tool_use_id": "c1", "content": "done"});
    let cases = vec![
        ("`system`", json!({"system": "s"})),
        (
            "`cache_control`",
            says(json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}])),
        ),
        ("`temperature`, `top_p`", json!({"temperature": 0.5})),
        ("`top_k`", json!({"top_k": 5})),
        ("`stop_sequences`", json!({"stop_sequences": ["x"]})),
        ("`thinking`", json!({"thinking": {"type": "enabled", "budget_tokens": 2048}})),
        ("`metadata.user_id`", json!({"metadata": {"user_id": "u"}})),
        ("client tools", json!({"tools": [tool]})),
        (
            "server tools (`web_search`)",
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ),
        (
            "computer use",
            json!({"tools": [{"type": "computer_20250124", "name": "computer", "display_width_px": 9, "display_height_px": 9}]}),
        ),
        ("calls and their results", loop_with(None, result.clone())),
        ("`is_error`", loop_with(None, merged(result.clone(), &json!({"is_error": true})))),
        (
            "images in results",
            loop_with(
                None,
                merged(
                    result.clone(),
                    &json!({"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]}),
                ),
            ),
        ),
        (
            "signed thoughts",
            loop_with(Some(json!({"type": "thinking", "thinking": "t", "signature": "s"})), result),
        ),
        ("`tool_choice` any", json!({"tools": [tool], "tool_choice": {"type": "any"}})),
        (
            "`disable_parallel_tool_use`",
            json!({"tools": [tool], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            "structured output (`output_config.format`)",
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}}),
        ),
        (
            "images in base64",
            says(
                json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}]),
            ),
        ),
        (
            "images by address",
            says(
                json!([{"type": "image", "source": {"type": "url", "url": "https://x.test/y.png"}}]),
            ),
        ),
        (
            "documents in base64",
            says(
                json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}]),
            ),
        ),
        (
            "documents as text",
            says(
                json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]),
            ),
        ),
        (
            "documents by address",
            says(
                json!([{"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}]),
            ),
        ),
        (
            "documents and images by id",
            says(json!([{"type": "image", "source": {"type": "file", "file_id": "file_1"}}])),
        ),
        (
            "documents made of blocks",
            says(
                json!([{"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}}]),
            ),
        ),
        (
            "found pages (`search_result`)",
            says(
                json!([{"type": "search_result", "source": "https://x.test", "title": "t", "content": [{"type": "text", "text": "x"}]}]),
            ),
        ),
        (
            "citations wanted of a document",
            says(
                json!([{"type": "document", "citations": {"enabled": true}, "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]),
            ),
        ),
        ("`container`", json!({"container": "c"})),
        (
            "`mcp_servers`",
            json!({"mcp_servers": [{"type": "url", "url": "https://x.test", "name": "n"}]}),
        ),
        ("`service_tier`", json!({"service_tier": "auto"})),
    ];
    (base, cases)
}

fn gemini() -> (Value, Vec<(&'static str, Value)>) {
    let base = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let config = |name: &str, value: Value| json!({"generationConfig": { name: value }});
    let says = |part: Value| json!({"contents": [{"role": "user", "parts": [part]}]});
    let tools = json!([{"functionDeclarations": [function()]}]);
    let calling =
        |config: Value| json!({"tools": tools, "toolConfig": {"functionCallingConfig": config}});
    let schema = json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}});
    let cases = vec![
        ("`systemInstruction`", json!({"systemInstruction": {"parts": [{"text": "s"}]}})),
        ("`temperature`, `topP`", config("temperature", json!(0.5))),
        ("`topK`", config("topK", json!(5))),
        ("`maxOutputTokens`", config("maxOutputTokens", json!(9000))),
        ("`stopSequences`", config("stopSequences", json!(["x"]))),
        ("`candidateCount` above 1", config("candidateCount", json!(2))),
        ("`seed`", config("seed", json!(1))),
        ("`presencePenalty`", config("presencePenalty", json!(0.5))),
        ("`responseLogprobs`", config("responseLogprobs", json!(true))),
        ("JSON mode (`responseMimeType`)", config("responseMimeType", json!("application/json"))),
        (
            "structured output (`responseSchema`)",
            json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}}),
        ),
        (
            "`thinkingConfig`",
            json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": true}, "maxOutputTokens": 9000}}),
        ),
        ("function declarations", json!({"tools": tools})),
        ("function calling mode ANY", calling(json!({"mode": "ANY"}))),
        ("function calling mode NONE", calling(json!({"mode": "NONE"}))),
        ("`allowedFunctionNames`", calling(json!({"mode": "ANY", "allowedFunctionNames": ["f"]}))),
        (
            "calls and their results",
            json!({"tools": tools, "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]},
            ]}),
        ),
        ("`googleSearch`", json!({"tools": [{"googleSearch": {}}]})),
        ("`codeExecution`", json!({"tools": [{"codeExecution": {}}]})),
        ("images in base64", says(json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}}))),
        (
            "PDFs in base64",
            says(json!({"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}})),
        ),
        ("sound", says(json!({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}))),
        ("video", says(json!({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}))),
        (
            "pictures in results (`functionResponse.parts`)",
            json!({"contents": [
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}}]}], "tools": tools}),
        ),
        (
            "files by address (`fileData`)",
            says(
                json!({"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.test/a.pdf"}}),
            ),
        ),
        (
            "video by address (`fileData`)",
            says(json!({"fileData": {"mimeType": "video/mp4", "fileUri": "https://x.test/a.mp4"}})),
        ),
        (
            "`safetySettings`",
            json!({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}),
        ),
        ("`cachedContent`", json!({"cachedContent": "c"})),
        (
            "`responseModalities` with images",
            config("responseModalities", json!(["TEXT", "IMAGE"])),
        ),
        ("`speechConfig`", config("speechConfig", json!({"languageCode": "de"}))),
        ("`labels`", json!({"labels": {"a": "b"}})),
    ];
    (base, cases)
}

fn page() -> String {
    let sources = [
        ("OpenAI chat", Dialect::OpenAiChat, chat()),
        ("OpenAI Responses", Dialect::OpenAiResponses, responses()),
        ("Anthropic", Dialect::Anthropic, anthropic()),
        ("Gemini", Dialect::Gemini, gemini()),
    ];
    let mut counts: BTreeMap<(usize, usize), [usize; 3]> = BTreeMap::new();
    let mut tables = String::new();
    for (row, (name, from, (base, cases))) in sources.iter().enumerate() {
        writeln!(
            tables,
            "\n## What {name} can say\n\n| said | {} |",
            TARGETS.map(|(name, _)| name).join(" | ")
        )
        .unwrap();
        writeln!(tables, "| --- |{}", " --- |".repeat(TARGETS.len())).unwrap();
        for (said, more) in cases {
            let request = merged(base.clone(), more);
            write!(tables, "| {said} |").unwrap();
            for (column, (_, to)) in TARGETS.iter().enumerate() {
                let fate = fate(*from, &request, *to);
                let count = counts.entry((row, column)).or_default();
                match &fate {
                    Fate::Carried => count[0] += 1,
                    Fate::Dropped(_) => count[1] += 1,
                    Fate::Refused(_) => count[2] += 1,
                }
                match fate {
                    Fate::Carried => write!(tables, " ✓ |").unwrap(),
                    Fate::Dropped(names) => write!(tables, " drops `{names}` |").unwrap(),
                    Fate::Refused(name) => write!(tables, " **refuses** `{name}` |").unwrap(),
                }
            }
            tables.push('\n');
        }
    }
    let mut page = String::from(HEAD);
    writeln!(page, "| from ↓ to → | {} |", TARGETS.map(|(name, _)| name).join(" | ")).unwrap();
    writeln!(page, "| --- |{}", " --- |".repeat(TARGETS.len())).unwrap();
    for (row, (name, ..)) in sources.iter().enumerate() {
        write!(page, "| {name} |").unwrap();
        for column in 0..TARGETS.len() {
            let [carried, dropped, refused] = counts[&(row, column)];
            write!(page, " {carried} / {dropped} / {refused} |").unwrap();
        }
        page.push('\n');
    }
    page + &tables
}

const HEAD: &str = "\
# What carries from dialect to dialect

Written by `tests/blackbox/dialects.rs` from the codecs themselves; the test fails when this page
does not say what they do. Every request is decoded into one vocabulary and written again in the
dialect of the provider that answers; where both speak the same dialect, the caller's bytes go on as
they came but for the model's name.

- **✓** the provider is told.
- **drops** the provider's dialect has no word for it. The request goes on without it, and the answer
  names it in the header `x-optimux-dropped`.
- **refuses** the answer would not be what was asked for. That deployment is passed over; when no
  other can do it, the caller gets 400 with the field's name.

In **strict mode** (the header `x-optimux-strict: true`, the feature `strict_parameters`,
`provider.require_parameters`, or `strict = true` under `[server]`) what would be dropped is refused as
well: in all that generates text, embeddings and pictures; not in realtime sessions, nor where tokens are
only counted.

Why things are dropped: sampling members (`seed`, penalties, `logit_bias`, `logprobs`) change how
tokens are drawn at one maker's servers and have no counterpart elsewhere; caching marks, tiers and
labels are bookkeeping between a customer and one provider; proofs of thoughts are good only for the
maker that signed them. Why things are refused: a hosted tool runs on its maker's servers; a file's
id means something only where it was uploaded; sound and video that a dialect has no part for would
be answered as if nobody had sent them; `n` answers cannot be made of one.

**JSON mode** where a provider has none (Anthropic, Bedrock): the model is asked for one JSON object in
words and held to it. What it says before or after the object is left out; an answer without one counts
as failed, and is asked for again or elsewhere.

## The matrix

Carried / dropped / refused, of what is listed below.

";

#[test]
fn the_page_says_what_the_codecs_do() {
    is_written("docs/dialects.md", &page());
}
