//! What callers ask, from each front door.

use optimux::wire::vocab::Dialect;
use serde_json::{Value, json};

/// A thing that is asked for: it is received, or named as dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A member with this value, wherever the dialect keeps it: its names, and the value.
    Member(&'static [&'static str], &'static str),
    /// So much thinking; `off` for none.
    Effort(&'static str),
    /// These words, somewhere.
    Words(&'static str),
    /// One of two spellings of the same.
    Either(&'static str, &'static str),
    /// A choice of tools other than their own.
    Forced,
    /// The answer calls the tool by the caller's name for it.
    Called(&'static str),
}

#[derive(Debug, Clone)]
pub struct Kind {
    pub front: Dialect,
    pub name: &'static str,
    pub body: Value,
    pub wants: Vec<Want>,
    /// What may be refused by ourselves, where no deployment can do it: the word that names it.
    pub grave: Option<&'static str>,
    /// Asked as a stream as well.
    pub streamed: bool,
}

/// Stands where the text of the request goes; the runner marks each.
pub const SAYS: &str = "SAYS";
pub const PIXEL: &str = "iVBORw0KGgo=";
pub const LONG: &str =
    "mcp__plugin_example-plugin-of-some-length_example-server__do_a_thing_that_needs_many_words";
pub const DOTTED: &str = "files.search:v1";
const TEMPERATURE: Want = Want::Member(&["temperature"], "0.2");
const TOP_P: Want = Want::Member(&["top_p", "topP"], "0.9");
const STOP: Want = Want::Member(&["stop", "stop_sequences", "stopSequences"], r#"["END"]"#);

const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

fn parameters() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
        "title": {"type": "string", "maxLength": 40},
    }, "required": ["score", "title"]})
}

/// Collects the kinds of one front door.
struct Kinds {
    front: Dialect,
    base: Value,
    all: Vec<Kind>,
}

impl Kinds {
    fn add(&mut self, name: &'static str, more: &Value, wants: &[Want]) -> &mut Kind {
        let mut body = self.base.clone();
        merge(&mut body, more);
        self.all.push(Kind {
            front: self.front,
            name,
            body,
            wants: wants.to_vec(),
            grave: None,
            streamed: false,
        });
        self.all.last_mut().unwrap()
    }
}

fn merge(base: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        match base.get_mut(name) {
            Some(inner) if inner.is_object() && value.is_object() => merge(inner, value),
            _ => base[name] = value.clone(),
        }
    }
}

pub fn all() -> Vec<Kind> {
    [chat(), responses(), anthropic(), gemini()].into_iter().flatten().collect()
}

fn chat() -> Vec<Kind> {
    let front = Dialect::OpenAiChat;
    let base = json!({"messages": [{"role": "user", "content": SAYS}]});
    let mut kinds = Kinds { front, base, all: Vec::new() };
    let tool = |name: &str| json!({"tools": [{"type": "function", "function": {"name": name, "description": "d", "parameters": parameters()}}]});
    let says = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    kinds.add("plain", &json!({}), &[]).streamed = true;
    kinds.add("temperature", &json!({"temperature": 0.2}), &[TEMPERATURE]);
    kinds.add(
        "temperature and top_p",
        &json!({"temperature": 0.2, "top_p": 0.9}),
        &[TEMPERATURE, TOP_P],
    );
    kinds.add("stop", &json!({"stop": ["END"]}), &[STOP]);
    kinds.add(
        "penalties",
        &json!({"presence_penalty": 0.5, "frequency_penalty": 0.25}),
        &[
            Want::Member(&["presence_penalty", "presencePenalty"], "0.5"),
            Want::Member(&["frequency_penalty", "frequencyPenalty"], "0.25"),
        ],
    );
    kinds.add("max_tokens", &json!({"max_tokens": 999}), &[Want::Words("999")]);
    kinds.add(
        "max_completion_tokens",
        &json!({"max_completion_tokens": 999}),
        &[Want::Words("999")],
    );
    for effort in EFFORTS {
        let more = json!({"reasoning_effort": effort});
        kinds.add("effort", &more, &[Want::Effort(effort)]).streamed = effort == "high";
        let mut more = tool("weather");
        merge(&mut more, &json!({"reasoning_effort": effort}));
        kinds
            .add("tool and effort", &more, &[Want::Effort(effort), Want::Words("weather")])
            .grave = Some("tool");
    }
    let one = kinds.add("tool", &tool("weather"), &[Want::Words("weather")]);
    one.streamed = true;
    one.grave = Some("tool");
    for (label, name) in
        [("long tool name", LONG), ("dotted tool name", DOTTED), ("forced tool", "weather")]
    {
        let mut more = tool(name);
        merge(&mut more, &json!({"tool_choice": "required"}));
        let wants = [Want::Forced, Want::Called(name)];
        kinds.add(label, &more, &wants).grave = Some("tool");
    }
    let mut history = tool("weather");
    merge(
        &mut history,
        &json!({"messages": [
            {"role": "user", "content": SAYS},
            {"role": "assistant", "content": null, "reasoning_content": "Think.", "tool_calls": [
                {"id": "toolu_01A09q90qw90lq917835lq9", "type": "function", "extra_content": {"google": {"thought_signature": "c2ln"}}, "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}},
                {"id": "call_9PeRqXzVAkrm0ZsJ4gAhb1cdexTkLwQyWqPoIuYtRe", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "toolu_01A09q90qw90lq917835lq9", "content": "four degrees"},
            {"role": "tool", "tool_call_id": "call_9PeRqXzVAkrm0ZsJ4gAhb1cdexTkLwQyWqPoIuYtRe", "content": "nine degrees"},
        ]}),
    );
    let results = [Want::Words("four degrees"), Want::Words("nine degrees")];
    kinds.add("tool history", &history, &results).grave = Some("tool");
    history.as_object_mut().unwrap().remove("tools");
    kinds.add("tool history without tools", &history, &results).grave = Some("tool");
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": schema()}}});
    let named = [Want::Words("score")];
    kinds.add("schema", &format, &named).grave = Some("response_format");
    let mut both = format.clone();
    merge(&mut both, &tool("weather"));
    kinds.add("tool and schema", &both, &[Want::Words("score"), Want::Words("weather")]).grave =
        Some("response_format");
    let spoken = json!({
        "response_format": {"type": "json_object"},
        "messages": [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": SAYS}],
    });
    kinds.add("json object", &spoken, &[]).grave = Some("response_format");
    for head in ["image/jpg", "image/jpeg;charset=utf-8", "IMAGE/JPEG"] {
        let url = format!("data:{head};base64,{PIXEL}");
        let more = says(
            json!([{"type": "text", "text": SAYS}, {"type": "image_url", "image_url": {"url": url}}]),
        );
        kinds.add("picture", &more, &[Want::Words(PIXEL)]).grave = Some("image");
    }
    let file = says(
        json!([{"type": "text", "text": SAYS}, {"type": "file", "file": {"filename": "t.csv", "file_data": "data:text/csv;base64,YSxiCjEsMgo="}}]),
    );
    kinds.add("text file", &file, &[Want::Either("YSxiCjEsMgo=", "a,b")]).grave = Some("file");
    kinds.add(
        "prefill",
        &json!({"messages": [{"role": "user", "content": SAYS}, {"role": "assistant", "content": "Once upon"}]}),
        &[Want::Words("Once upon")],
    ).grave = Some("messages");
    kinds.add(
        "developer",
        &json!({"messages": [{"role": "developer", "content": "Be terse."}, {"role": "user", "content": SAYS}]}),
        &[Want::Words("Be terse.")],
    );
    kinds.add(
        "blank turn",
        &json!({"messages": [{"role": "user", "content": SAYS}, {"role": "assistant", "content": "\n"}, {"role": "user", "content": "Go on."}]}),
        &[Want::Words("Go on.")],
    );
    kinds.add("n", &json!({"n": 2}), &[Want::Member(&["n", "candidateCount"], "2")]).grave =
        Some("n");
    kinds.add("seed", &json!({"seed": 7}), &[Want::Member(&["seed", "random_seed"], "7")]);
    kinds.all
}

fn responses() -> Vec<Kind> {
    let front = Dialect::OpenAiResponses;
    let mut kinds = Kinds { front, base: json!({"input": SAYS, "store": false}), all: Vec::new() };
    let tool = |name: &str| json!({"tools": [{"type": "function", "name": name, "description": "d", "parameters": parameters(), "strict": false}]});
    let says = |parts: Value| json!({"input": [{"role": "user", "content": parts}]});
    kinds.add("plain", &json!({}), &[]).streamed = true;
    kinds.add("temperature", &json!({"temperature": 0.2}), &[TEMPERATURE]);
    kinds.add(
        "temperature and top_p",
        &json!({"temperature": 0.2, "top_p": 0.9}),
        &[TEMPERATURE, TOP_P],
    );
    for effort in EFFORTS {
        let more = json!({"reasoning": {"effort": effort}});
        kinds.add("effort", &more, &[Want::Effort(effort)]).streamed = effort == "low";
        let mut more = tool("weather");
        merge(&mut more, &json!({"reasoning": {"effort": effort}}));
        kinds
            .add("tool and effort", &more, &[Want::Effort(effort), Want::Words("weather")])
            .grave = Some("tool");
    }
    for (label, name) in
        [("long tool name", LONG), ("dotted tool name", DOTTED), ("forced tool", "weather")]
    {
        let mut more = tool(name);
        merge(&mut more, &json!({"tool_choice": "required"}));
        kinds.add(label, &more, &[Want::Forced, Want::Called(name)]).grave = Some("tool");
    }
    let mut history = tool("weather");
    merge(
        &mut history,
        &json!({"input": [
            {"role": "user", "content": SAYS},
            {"type": "function_call", "call_id": "toolu_01A09q90qw90lq917835lq9", "name": "weather", "arguments": "{\"city\":\"Bern\"}"},
            {"type": "function_call_output", "call_id": "toolu_01A09q90qw90lq917835lq9", "output": "four degrees"},
        ]}),
    );
    kinds.add("tool history", &history, &[Want::Words("four degrees")]).grave = Some("tool");
    let format =
        json!({"text": {"format": {"type": "json_schema", "name": "r", "schema": schema()}}});
    kinds.add("schema", &format, &[Want::Words("score")]).grave = Some("text");
    let mut both = format.clone();
    merge(&mut both, &tool("weather"));
    kinds.add("tool and schema", &both, &[Want::Words("score"), Want::Words("weather")]).grave =
        Some("text");
    for head in ["image/jpg", "image/jpeg;charset=utf-8", "IMAGE/JPEG"] {
        let url = format!("data:{head};base64,{PIXEL}");
        let more = says(
            json!([{"type": "input_text", "text": SAYS}, {"type": "input_image", "image_url": url}]),
        );
        kinds.add("picture", &more, &[Want::Words(PIXEL)]).grave = Some("image");
    }
    let file = says(
        json!([{"type": "input_text", "text": SAYS}, {"type": "input_file", "filename": "t.csv", "file_data": "data:text/csv;base64,YSxiCjEsMgo="}]),
    );
    kinds.add("text file", &file, &[Want::Either("YSxiCjEsMgo=", "a,b")]).grave = Some("file");
    kinds.add(
        "developer",
        &json!({"input": [{"role": "developer", "content": "Be terse."}, {"role": "user", "content": SAYS}]}),
        &[Want::Words("Be terse.")],
    );
    kinds.all
}

fn anthropic() -> Vec<Kind> {
    let front = Dialect::Anthropic;
    let base = json!({"max_tokens": 8000, "messages": [{"role": "user", "content": SAYS}]});
    let mut kinds = Kinds { front, base, all: Vec::new() };
    let tool = |name: &str| json!({"tools": [{"name": name, "description": "d", "input_schema": parameters()}]});
    let says = |parts: Value| json!({"messages": [{"role": "user", "content": parts}]});
    kinds.add("plain", &json!({}), &[]).streamed = true;
    kinds.add("temperature", &json!({"temperature": 0.2}), &[TEMPERATURE]);
    kinds.add(
        "temperature and top_p",
        &json!({"temperature": 0.2, "top_p": 0.9}),
        &[TEMPERATURE, TOP_P],
    );
    kinds.add("top_k", &json!({"top_k": 40}), &[Want::Member(&["top_k", "topK"], "40")]);
    kinds.add("stop", &json!({"stop_sequences": ["END"]}), &[STOP]);
    for (label, thinking, wish) in [
        ("thinking 1024", json!({"type": "enabled", "budget_tokens": 1024}), "on"),
        ("thinking 4096", json!({"type": "enabled", "budget_tokens": 4096}), "on"),
        ("thinking adaptive", json!({"type": "adaptive"}), "on"),
        ("thinking disabled", json!({"type": "disabled"}), "off"),
    ] {
        let more = json!({ "thinking": thinking });
        kinds.add(label, &more, &[Want::Effort(wish)]).streamed = label == "thinking 1024";
        let mut more = tool("weather");
        merge(&mut more, &json!({ "thinking": thinking }));
        kinds.add(label, &more, &[Want::Effort(wish), Want::Words("weather")]).grave = Some("tool");
    }
    for effort in EFFORTS.into_iter().filter(|effort| !matches!(*effort, "none" | "minimal")) {
        let more = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
        kinds.add("effort", &more, &[Want::Effort(effort)]);
    }
    for (label, name) in [("long tool name", LONG), ("forced tool", "weather")] {
        let mut more = tool(name);
        merge(&mut more, &json!({"tool_choice": {"type": "any"}}));
        kinds.add(label, &more, &[Want::Forced, Want::Called(name)]).grave = Some("tool");
    }
    let mut history = tool("weather");
    merge(
        &mut history,
        &json!({"messages": [
            {"role": "user", "content": SAYS},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_9PeRqXzVAkrm0ZsJ4gAhb1cdexTkLwQyWqPoIuYtRe", "name": "weather", "input": {"city": "Bern"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_9PeRqXzVAkrm0ZsJ4gAhb1cdexTkLwQyWqPoIuYtRe", "content": "four degrees"}]},
        ]}),
    );
    kinds.add("tool history", &history, &[Want::Words("four degrees")]).grave = Some("tool");
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema()}}});
    kinds.add("schema", &format, &[Want::Words("score")]).grave = Some("output_config");
    for kind in ["image/jpeg", "image/png"] {
        let source = json!({"type": "base64", "media_type": kind, "data": PIXEL});
        let more =
            says(json!([{"type": "text", "text": SAYS}, {"type": "image", "source": source}]));
        kinds.add("picture", &more, &[Want::Words(PIXEL)]).grave = Some("image");
    }
    let source = json!({"type": "text", "media_type": "text/plain", "data": "a,b\n1,2\n"});
    let file = says(
        json!([{"type": "text", "text": SAYS}, {"type": "document", "title": "t.csv", "source": source}]),
    );
    kinds.add("text file", &file, &[Want::Either("YSxiCjEsMgo=", "a,b")]).grave = Some("file");
    kinds.add(
        "prefill",
        &json!({"messages": [{"role": "user", "content": SAYS}, {"role": "assistant", "content": "Once upon"}]}),
        &[Want::Words("Once upon")],
    ).grave = Some("messages");
    kinds.all
}

fn gemini() -> Vec<Kind> {
    let front = Dialect::Gemini;
    let base = json!({"contents": [{"role": "user", "parts": [{"text": SAYS}]}]});
    let mut kinds = Kinds { front, base, all: Vec::new() };
    let config = |name: &str, value: Value| json!({"generationConfig": { name: value }});
    let tool = |name: &str| json!({"tools": [{"functionDeclarations": [{"name": name, "description": "d", "parametersJsonSchema": parameters()}]}]});
    let says =
        |part: Value| json!({"contents": [{"role": "user", "parts": [{"text": SAYS}, part]}]});
    kinds.add("plain", &json!({}), &[]).streamed = true;
    kinds.add("temperature", &config("temperature", json!(0.2)), &[TEMPERATURE]);
    kinds.add(
        "temperature and top_p",
        &json!({"generationConfig": {"temperature": 0.2, "topP": 0.9}}),
        &[TEMPERATURE, TOP_P],
    );
    kinds.add("stop", &config("stopSequences", json!(["END"])), &[STOP]);
    kinds.add(
        "penalties",
        &config("presencePenalty", json!(0.5)),
        &[Want::Member(&["presence_penalty", "presencePenalty"], "0.5")],
    );
    for (label, thinking, wish) in [
        ("budget 0", json!({"thinkingBudget": 0}), "off"),
        ("budget 2000", json!({"thinkingBudget": 2000}), "on"),
        ("budget -1", json!({"thinkingBudget": -1}), "on"),
        ("level minimal", json!({"thinkingLevel": "MINIMAL"}), "minimal"),
        ("level low", json!({"thinkingLevel": "LOW"}), "low"),
        ("level high", json!({"thinkingLevel": "HIGH"}), "high"),
    ] {
        kinds.add(label, &config("thinkingConfig", thinking), &[Want::Effort(wish)]).streamed =
            label == "budget 2000";
    }
    let any = json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}});
    for (label, name) in [("dotted tool name", DOTTED), ("forced tool", "weather")] {
        let mut more = tool(name);
        merge(&mut more, &any);
        kinds.add(label, &more, &[Want::Forced, Want::Called(name)]).grave = Some("tool");
    }
    let mut history = tool("weather");
    merge(
        &mut history,
        &json!({"contents": [
            {"role": "user", "parts": [{"text": SAYS}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Bern"}}, "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "four degrees"}}}]},
        ]}),
    );
    kinds.add("tool history", &history, &[Want::Words("four degrees")]).grave = Some("tool");
    let format = json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema()}});
    kinds.add("schema", &format, &[Want::Words("score")]).grave = Some("response");
    let mut both = format.clone();
    merge(&mut both, &tool("weather"));
    kinds.add("tool and schema", &both, &[Want::Words("score"), Want::Words("weather")]).grave =
        Some("response");
    let picture = says(json!({"inlineData": {"mimeType": "image/jpg", "data": PIXEL}}));
    kinds.add("picture", &picture, &[Want::Words(PIXEL)]).grave = Some("image");
    let file = says(json!({"inlineData": {"mimeType": "text/csv", "data": "YSxiCjEsMgo="}}));
    kinds.add("text file", &file, &[Want::Either("YSxiCjEsMgo=", "a,b")]).grave = Some("file");
    kinds
        .add(
            "n",
            &config("candidateCount", json!(2)),
            &[Want::Member(&["n", "candidateCount"], "2")],
        )
        .grave = Some("candidateCount");
    kinds.all
}
