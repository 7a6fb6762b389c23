//! A request as raw JSON, read without the codecs: where each dialect keeps what is judged.

use serde_json::Value;

use super::house::House;
use crate::catalogue::{Facts, Param};
use crate::wire::vocab::{Dialect, Effort, Protocol, Reasoning};

/// A request as its simulated maker judges it.
pub struct RawRequest<'a> {
    pub house: House,
    pub protocol: Protocol,
    pub body: &'a Value,
    pub model: &'a str,
    pub facts: &'a Facts,
}

/// A function that is offered, or called in the conversation so far.
pub struct Function<'a> {
    /// Where it is, as the maker would say it.
    pub at: String,
    pub name: &'a str,
    pub schema: Option<&'a Value>,
    pub strict: bool,
}

/// A schema that the answer is to have.
pub struct AnswerSchema<'a> {
    pub at: &'static str,
    pub name: &'a str,
    pub schema: &'a Value,
    pub strict: bool,
    /// Google's older form, which is no JSON Schema.
    pub openapi: bool,
}

/// A member that says something. `null` says nothing, anywhere.
pub fn member<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|value| !value.is_null())
}

pub fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    member(of, name).and_then(Value::as_str)
}

/// The items of a list, none if it is not there.
pub fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    member(of, name).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// Google takes its names in both spellings.
pub fn either<'a>(of: &'a Value, camel: &str) -> Option<&'a Value> {
    member(of, camel).or_else(|| member(of, &snake(camel)))
}

pub fn snake(camel: &str) -> String {
    let mut out = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl<'a> RawRequest<'a> {
    pub fn dialect(&self) -> Option<Dialect> {
        match self.protocol {
            Protocol::Dialect(dialect) => Some(dialect),
            Protocol::Bedrock => None,
        }
    }

    pub fn is_chat(&self) -> bool {
        self.dialect() == Some(Dialect::OpenAiChat)
    }

    /// Claude on Bedrock refuses what Claude refuses.
    pub fn is_claude(&self) -> bool {
        self.house == House::Anthropic
            || (self.house == House::Bedrock && self.model.contains("claude"))
    }

    pub fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.body.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A member of Gemini's `generationConfig`.
    pub fn generation(&self, camel: &str) -> Option<&'a Value> {
        either(either(self.body, "generationConfig")?, camel)
    }

    /// What is handed on to a model behind Bedrock.
    pub fn beside(&self, name: &str) -> Option<&'a Value> {
        member(member(self.body, "additionalModelRequestFields")?, name)
    }

    /// Where a member is said, as the dialect spells it, and what it says. What amounts to
    /// silence (one answer, no stop sequence, no log probabilities) is none.
    pub fn said(&self, param: &Param) -> Option<(String, &'a Value)> {
        let found = match self.dialect() {
            Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => {
                let name = if *param == Param::Seed && self.house == House::Mistral {
                    "random_seed"
                } else {
                    param.as_str()
                };
                self.named(name)
            }
            Some(Dialect::Anthropic) => match param {
                Param::Stop => self.named("stop_sequences"),
                Param::MaxTokens => None,
                Param::ParallelToolCalls => {
                    let name = "tool_choice.disable_parallel_tool_use";
                    self.named(name).filter(|(_, value)| **value == Value::Bool(true))
                }
                other => self.named(other.as_str()),
            },
            Some(Dialect::Gemini) => self.gemini(param),
            None => self.bedrock(param),
        };
        found.filter(|(_, value)| !is_silence(param, value))
    }

    fn named(&self, name: &str) -> Option<(String, &'a Value)> {
        let value = self.at(&format!("/{}", name.replace('.', "/")))?;
        Some((name.to_owned(), value))
    }

    fn gemini(&self, param: &Param) -> Option<(String, &'a Value)> {
        let name = match param {
            Param::Temperature => "temperature",
            Param::TopP => "topP",
            Param::TopK => "topK",
            Param::FrequencyPenalty => "frequencyPenalty",
            Param::PresencePenalty => "presencePenalty",
            Param::Logprobs => "responseLogprobs",
            Param::TopLogprobs => "logprobs",
            Param::Stop => "stopSequences",
            Param::N => "candidateCount",
            Param::Seed => "seed",
            Param::MaxTokens | Param::ParallelToolCalls => return None,
            Param::Other(name) => {
                let value = either(self.body, name).or_else(|| self.generation(name));
                return value.map(|value| (name.to_string(), value));
            }
        };
        self.generation(name).map(|value| (name.to_owned(), value))
    }

    fn bedrock(&self, param: &Param) -> Option<(String, &'a Value)> {
        let inference = |name: &str| {
            let value = member(member(self.body, "inferenceConfig")?, name)?;
            Some((name.to_owned(), value))
        };
        match param {
            Param::Temperature => inference("temperature"),
            Param::TopP => inference("topP"),
            Param::MaxTokens => inference("maxTokens"),
            Param::Stop => inference("stopSequences"),
            Param::TopK => self.beside("top_k").map(|value| ("top_k".to_owned(), value)),
            other => self.beside(other.as_str()).map(|value| (other.as_str().to_owned(), value)),
        }
    }

    /// The effort that is asked for in so many words.
    pub fn effort_word(&self) -> Option<(&'static str, &'a str)> {
        let found = |at: &'static str, pointer: &str| Some((at, self.at(pointer)?.as_str()?));
        match self.dialect() {
            Some(Dialect::OpenAiChat) => found("reasoning_effort", "/reasoning_effort")
                .or_else(|| found("reasoning.effort", "/reasoning/effort")),
            Some(Dialect::OpenAiResponses) => found("reasoning.effort", "/reasoning/effort"),
            Some(Dialect::Anthropic) => found("output_config.effort", "/output_config/effort"),
            Some(Dialect::Gemini) => {
                let level = either(self.generation("thinkingConfig")?, "thinkingLevel")?;
                Some(("thinkingLevel", level.as_str()?))
            }
            None => {
                let beside = |at: &'static str, pointer: &str| {
                    found(at, &format!("/additionalModelRequestFields{pointer}"))
                };
                beside("output_config.effort", "/output_config/effort")
                    .or_else(|| beside("reasoning_effort", "/reasoning_effort"))
                    .or_else(|| beside("maxReasoningEffort", "/reasoningConfig/maxReasoningEffort"))
            }
        }
    }

    pub fn effort(&self) -> Option<Effort> {
        self.effort_word().and_then(|(_, word)| Effort::parse(word))
    }

    /// Anthropic's `thinking`, wherever it stands.
    pub fn thinking(&self) -> Option<&'a Value> {
        match self.dialect() {
            Some(Dialect::OpenAiChat | Dialect::Anthropic) => member(self.body, "thinking"),
            Some(_) => None,
            None => self.beside("thinking"),
        }
    }

    /// Whether the model will think.
    pub fn thinks(&self) -> bool {
        self.facts.thinks(self.reasoning().as_ref())
    }

    fn reasoning(&self) -> Option<Reasoning> {
        let mut reasoning = Reasoning::default();
        if let Some(kind) = self.thinking().and_then(|thinking| text(thinking, "type")) {
            reasoning.enabled = Some(matches!(kind, "enabled" | "adaptive"));
        }
        let switch = self.at("/enable_thinking").or_else(|| {
            self.at("/chat_template_kwargs/enable_thinking").filter(|_| self.is_chat())
        });
        if let Some(on) = switch.and_then(Value::as_bool) {
            reasoning.enabled = Some(on);
        }
        // Claude's effort says how much it thinks, if it does.
        if !self.is_claude() {
            reasoning.effort = self.effort();
        }
        if let Some(config) = self.generation("thinkingConfig") {
            reasoning.budget = either(config, "thinkingBudget").and_then(Value::as_i64);
        }
        (reasoning != Reasoning::default()).then_some(reasoning)
    }

    /// The functions on offer.
    pub fn functions(&self) -> Vec<Function<'a>> {
        let strict = |of: &Value| of.get("strict") == Some(&Value::Bool(true));
        let mut all = Vec::new();
        let mut add = |at: String, of: &'a Value, schema: Option<&'a Value>| {
            if let Some(name) = of.get("name").and_then(Value::as_str) {
                all.push(Function { at, name, schema, strict: strict(of) });
            }
        };
        match self.dialect() {
            Some(Dialect::OpenAiChat) => {
                for (index, tool) in list(self.body, "tools") {
                    if let Some(function) = member(tool, "function") {
                        let at = format!("tools[{index}].function");
                        add(at, function, member(function, "parameters"));
                    }
                }
            }
            Some(Dialect::OpenAiResponses) => {
                for (index, tool) in list(self.body, "tools") {
                    if text(tool, "type") == Some("function") {
                        add(format!("tools[{index}]"), tool, member(tool, "parameters"));
                    }
                }
            }
            Some(Dialect::Anthropic) => {
                for (index, tool) in list(self.body, "tools") {
                    if matches!(text(tool, "type"), None | Some("custom")) {
                        add(format!("tools.{index}.custom"), tool, member(tool, "input_schema"));
                    }
                }
            }
            Some(Dialect::Gemini) => {
                for (index, tool) in list(self.body, "tools") {
                    let declared = either(tool, "functionDeclarations");
                    let declared = declared.and_then(Value::as_array).into_iter().flatten();
                    for (inner, one) in declared.enumerate() {
                        let at = format!("tools[{index}].function_declarations[{inner}]");
                        add(at, one, member(one, "parameters"));
                    }
                }
            }
            None => {
                let tools = self.at("/toolConfig/tools").and_then(Value::as_array);
                for (index, tool) in tools.into_iter().flatten().enumerate() {
                    if let Some(function) = member(tool, "toolSpec") {
                        let at = format!("toolConfig.tools.{}.member.toolSpec", index + 1);
                        add(at, function, function.pointer("/inputSchema/json"));
                    }
                }
            }
        }
        all
    }

    /// Whether a call of a tool is demanded.
    pub fn is_forced(&self) -> bool {
        match self.dialect() {
            Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => match self.at("/tool_choice") {
                Some(Value::String(word)) => word == "required" || word == "any",
                Some(choice) if text(choice, "type") == Some("allowed_tools") => {
                    let within = member(choice, "allowed_tools").unwrap_or(choice);
                    text(within, "mode") == Some("required")
                }
                Some(_) => true,
                None => false,
            },
            Some(Dialect::Anthropic) => {
                let kind = self.at("/tool_choice/type").and_then(Value::as_str);
                matches!(kind, Some("any" | "tool"))
            }
            Some(Dialect::Gemini) => {
                let config = either(self.body, "toolConfig");
                let calling = config.and_then(|one| either(one, "functionCallingConfig"));
                calling.and_then(|one| text(one, "mode")) == Some("ANY")
            }
            None => {
                let choice = self.at("/toolConfig/toolChoice");
                choice.is_some_and(|one| one.get("any").is_some() || one.get("tool").is_some())
            }
        }
    }

    /// The schema of the answer, if it is to have one.
    pub fn answer_schema(&self) -> Option<AnswerSchema<'a>> {
        let found = |at, within: &'a Value, schema: &'a Value| AnswerSchema {
            at,
            name: text(within, "name").unwrap_or_default(),
            schema,
            strict: within.get("strict") == Some(&Value::Bool(true)),
            openapi: false,
        };
        match self.dialect() {
            Some(Dialect::OpenAiChat) => {
                let within = self.at("/response_format/json_schema")?;
                Some(found("response_format", within, member(within, "schema")?))
            }
            Some(Dialect::OpenAiResponses) => {
                let within = self.at("/text/format")?;
                Some(found("text.format.schema", within, member(within, "schema")?))
            }
            Some(Dialect::Anthropic) => {
                let (at, within) = self.at("/output_config/format").map_or_else(
                    || Some(("output_format.schema", self.at("/output_format")?)),
                    |within| Some(("output_config.format.schema", within)),
                )?;
                Some(found(at, within, member(within, "schema")?))
            }
            Some(Dialect::Gemini) => {
                let openapi = self.generation("responseSchema");
                let schema = openapi.or_else(|| self.generation("responseJsonSchema"))?;
                let at = "generation_config.response_schema";
                Some(AnswerSchema { openapi: openapi.is_some(), ..found(at, self.body, schema) })
            }
            // Text there, and taken with more than Claude's own server takes.
            None => None,
        }
    }

    /// Whether JSON is demanded, with a schema or without.
    pub fn wants_json(&self) -> bool {
        let kind = match self.dialect() {
            Some(Dialect::OpenAiChat) => self.at("/response_format/type"),
            Some(Dialect::OpenAiResponses) => self.at("/text/format/type"),
            Some(Dialect::Gemini) => self.generation("responseMimeType"),
            Some(Dialect::Anthropic) | None => None,
        };
        let kind = kind.and_then(Value::as_str);
        matches!(kind, Some("json_object" | "json_schema" | "application/json" | "text/x.enum"))
            || self.answer_schema().is_some()
    }
}

fn is_silence(param: &Param, value: &Value) -> bool {
    match param {
        Param::N => value.as_u64() == Some(1),
        Param::Logprobs => *value == Value::Bool(false),
        Param::Stop => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}
