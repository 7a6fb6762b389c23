//! Where LiteLLM asks for a model, as our provider and its name for the model.

use super::yaml::{Table, environment};
use crate::catalogue::ProviderEntry;

/// LiteLLM's names of providers, and ours.
const NAMES: [(&str, &str); 31] = [
    ("openai", "openai"),
    ("text-completion-openai", "openai"),
    ("azure", "azure"),
    ("azure_ai", "azure-ai"),
    ("anthropic", "anthropic"),
    ("bedrock", "bedrock"),
    ("bedrock_converse", "bedrock"),
    ("vertex_ai", "vertex"),
    ("vertex_ai_beta", "vertex"),
    ("gemini", "gemini"),
    ("mistral", "mistral"),
    ("cohere", "cohere"),
    ("cohere_chat", "cohere"),
    ("groq", "groq"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("deepseek", "deepseek"),
    ("xai", "xai"),
    ("perplexity", "perplexity"),
    ("openrouter", "openrouter"),
    ("cerebras", "cerebras"),
    ("sambanova", "sambanova"),
    ("deepinfra", "deepinfra"),
    ("huggingface", "huggingface"),
    ("hosted_vllm", "vllm"),
    ("ollama", "ollama"),
    ("ollama_chat", "ollama"),
    ("voyage", "voyage"),
    ("ai21_chat", "ai21"),
    ("moonshot", "moonshot"),
    ("nebius", "nebius"),
];

/// Text in quotes, as TOML and JSON both write it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A deployment of a LiteLLM configuration.
#[derive(Debug, PartialEq)]
pub struct ImportedDeployment {
    pub provider: String,
    /// The provider's own name for the model.
    pub model: String,
    /// Read and written.
    pub usd_per_million: Option<(f64, f64)>,
}

/// A provider as the configuration has it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    id: String,
    kind: String,
    /// Where it is, if not where the file says.
    base: Option<String>,
    /// The variable of its key, if not what the file says.
    key: Option<String>,
}

/// The providers that models are asked at.
#[derive(Debug)]
pub struct Providers<'a> {
    files: &'a [ProviderEntry],
    known: Vec<Known>,
}

impl<'a> Providers<'a> {
    pub fn new(files: &'a [ProviderEntry]) -> Self {
        Self { files, known: Vec::new() }
    }

    fn file(&self, kind: &str) -> Option<&'a ProviderEntry> {
        self.files.iter().find(|file| file.id.as_deref() == Some(kind))
    }

    /// Where a model is asked for; `None` where there is no such provider, which is noted.
    pub fn place(
        &mut self,
        at: &str,
        model: &str,
        parameters: &mut Table,
        notes: &mut Vec<String>,
    ) -> Option<ImportedDeployment> {
        let address = parameters.text("api_base").or_else(|| parameters.text("base_url"));
        let own = parameters.text("custom_llm_provider");
        let (theirs, name) = match (&own, model.split_once('/')) {
            (Some(own), _) => {
                (own.as_str(), model.strip_prefix(&format!("{own}/")).unwrap_or(model))
            }
            (None, Some((theirs, name))) => (theirs, name),
            (None, None) => (maker(model), model),
        };
        // Routes of LiteLLM's own inside a provider.
        let routes = ["converse/", "invoke/", "responses/", "chat/"];
        let name = routes.iter().find_map(|one| name.strip_prefix(one)).unwrap_or(name);
        let kind = NAMES.iter().find(|(one, _)| *one == theirs).map(|(_, ours)| *ours);
        let kind = match (kind, &address) {
            (Some(kind), _) => kind,
            // Whoever has an address is taken to speak as OpenAI does, as LiteLLM has it.
            (None, Some(_)) => "openai",
            (None, None) => {
                let why =
                    "Optimux knows no such provider; with its base_url it can be one of your own";
                notes.push(format!("{at}: litellm_params.model ({theirs}): {why}"));
                return None;
            }
        };
        let key = parameters.text("api_key").and_then(|key| {
            let named = environment(&key);
            if named.is_none() {
                let variable = variable(kind, self.file(kind));
                notes.push(format!(
                    "{at}: litellm_params.api_key: a secret is not copied; put it into {variable}"
                ));
            }
            named
        });
        let base = address.as_deref().and_then(|address| match environment(address) {
            Some(variable) => {
                notes.push(format!(
                    "{at}: litellm_params.api_base: write the address that {variable} holds as \
                     base_url of the provider"
                ));
                None
            }
            None => Some(based(kind, address)),
        });
        if parameters.text("api_version").is_some() && kind == "azure" {
            notes.push(format!(
                "{at}: litellm_params.api_version: Azure's v1 interface is asked, which has none"
            ));
        }
        let provider = self.provider(kind, base, key);
        Some(ImportedDeployment { provider, model: name.to_owned(), usd_per_million: None })
    }

    /// The provider of this address and key: the file's, or one more.
    fn provider(&mut self, kind: &str, base: Option<String>, key: Option<String>) -> String {
        let usual = self.file(kind).and_then(|file| file.api_key_env.as_deref());
        let key = key.filter(|key| Some(key.as_str()) != usual);
        let same = |one: &&Known| one.kind == kind && one.base == base && one.key == key;
        if let Some(known) = self.known.iter().find(same) {
            return known.id.clone();
        }
        let count = self.known.iter().filter(|one| one.kind == kind).count();
        let id = if count == 0 { kind.to_owned() } else { format!("{kind}-{}", count + 1) };
        self.known.push(Known { id: id.clone(), kind: kind.to_owned(), base, key });
        id
    }

    /// The tables of those that the files do not say all of.
    pub fn written(&self) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        for Known { id, kind, base, key } in &self.known {
            let mut lines = Vec::new();
            // One more of a kind has nothing from a file: it says all.
            let file = self.file(kind).filter(|_| id != kind);
            let address = base.as_ref().or_else(|| file?.base_url.as_ref());
            lines.extend(address.map(|base| format!("base_url = {}", quoted(base))));
            if let Some(file) = file {
                let spoken: Vec<&str> = match (&file.dialects, &file.dialect) {
                    (Some(all), _) => all.iter().map(|one| one.as_str()).collect(),
                    (None, one) => one.iter().map(|one| one.as_str()).collect(),
                };
                lines.push(format!("dialects = {}", serde_json::json!(spoken)));
                let auth = file.auth.and_then(|auth| serde_json::to_string(&auth).ok());
                lines.extend(auth.map(|auth| format!("auth = {auth}")));
            } else if base.is_some() && kind == "openai" {
                // Not everybody who speaks as OpenAI does speaks its newer dialect.
                lines.push("dialect = \"openai-chat\"".to_owned());
            }
            let key = key.as_deref().or_else(|| file?.api_key_env.as_deref());
            lines.extend(key.map(|key| format!("api_key_env = {}", quoted(key))));
            if !lines.is_empty() {
                all.push((id.clone(), lines));
            }
        }
        all
    }
}

/// Whose a model is that is asked for without a provider.
fn maker(model: &str) -> &'static str {
    let begins = [("claude", "anthropic"), ("gemini", "vertex_ai"), ("command", "cohere")];
    begins.iter().find(|(begin, _)| model.starts_with(begin)).map_or("openai", |(_, maker)| maker)
}

/// The variable that a provider's key is read from.
fn variable(kind: &str, file: Option<&ProviderEntry>) -> String {
    let named = file.and_then(|file| file.api_key_env.clone());
    named.unwrap_or_else(|| format!("{}_API_KEY", kind.to_uppercase().replace('-', "_")))
}

/// An address as ours is written: LiteLLM adds to some what we expect to stand there.
fn based(kind: &str, address: &str) -> String {
    let address = address.trim_end_matches('/');
    let ending = match kind {
        "azure" => "/openai/v1",
        "ollama" | "anthropic" => "/v1",
        _ => "",
    };
    if address.ends_with(ending) { address.to_owned() } else { format!("{address}{ending}") }
}
