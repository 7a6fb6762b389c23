//! A proxy's configuration of LiteLLM, as ours: what is carried, and what is not, by its place. Pure;
//! what it does not know is named, never passed over.

mod places;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::catalogue::ProviderEntry;
use places::{ImportedDeployment, Providers, quoted};
use yaml::{Table, environment};

pub use yaml::Unreadable;

/// What became of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// An `optimux.toml`.
    pub config: String,
    /// What is not carried, or needs a hand: a line each.
    pub notes: Vec<String>,
}

/// A model under the name that it is asked for by.
#[derive(Debug, Default)]
struct Group {
    mode: Option<&'static str>,
    /// By the order that was given.
    places: Vec<(i64, ImportedDeployment)>,
    aliases: Vec<String>,
}

/// Reads a `config.yaml`. `files` are the providers that are known.
///
/// # Errors
/// When it is no YAML, or no configuration.
pub fn import(text: &str, files: &[ProviderEntry]) -> Result<Imported, Unreadable> {
    let mut all = Table::read(text)?;
    let mut notes = Vec::new();
    let mut providers = Providers::new(files);
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (number, mut entry) in all.tables("model_list").into_iter().enumerate() {
        let at = format!("model_list.{number}");
        model(&at, &mut entry, &mut groups, &mut providers, &mut notes);
    }
    let mut settings = Settings::default();
    let mut router = all.table("router_settings");
    let mut litellm = all.table("litellm_settings");
    let mut general = all.table("general_settings");
    settings.read(&mut litellm, "litellm_settings", &mut notes);
    settings.read(&mut router, "router_settings", &mut notes);
    for (alias, model) in router.table("model_group_alias").texts() {
        match groups.get_mut(&model) {
            Some(group) => group.aliases.push(alias),
            None => notes.push(format!(
                "router_settings.model_group_alias.{alias}: there is no model '{model}'"
            )),
        }
    }
    settings.spread(&groups);
    if let Some(key) = general.text("master_key") {
        match environment(&key) {
            Some(variable) => settings.admin = Some(variable),
            None => notes.push(
                "general_settings.master_key: a secret is not copied; put it into OPTIMUX_ADMIN_KEY"
                    .to_owned(),
            ),
        }
    }
    if general.text("database_url").is_some() {
        notes.push(
            "general_settings.database_url: keys, teams and spend stay there; give Optimux a \
             database of its own in OPTIMUX_STORE__URL, and make keys with `optimux key create`"
                .to_owned(),
        );
    }
    for (at, table) in [
        ("litellm_settings", litellm),
        ("router_settings", router),
        ("general_settings", general),
        ("", all),
    ] {
        rest(at, table, &mut notes);
    }
    Ok(Imported { config: written(&groups, &providers, &settings), notes })
}

/// One entry of `model_list`.
fn model(
    at: &str,
    entry: &mut Table,
    groups: &mut BTreeMap<String, Group>,
    providers: &mut Providers<'_>,
    notes: &mut Vec<String>,
) {
    let Some(name) = entry.text("model_name") else {
        return notes.push(format!("{at}: it has no model_name"));
    };
    let mut parameters = entry.table("litellm_params");
    let mut facts = entry.table("model_info");
    let Some(model) = parameters.text("model") else {
        return notes.push(format!("{at} ({name}): it has no litellm_params.model"));
    };
    if name.contains('*') || model.contains('*') {
        let remedy = "any model of a provider is asked for as provider/name, without an entry";
        return notes.push(format!("{at} ({name}): {remedy}"));
    }
    let at = format!("{at} ({name})");
    let order = parameters.number("order").unwrap_or(f64::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "a small number, or the last")]
    let order = order as i64;
    let cost = |one: &str, table: &mut Table| table.number(one).map(|usd| usd * 1e6);
    let prices: Vec<Option<f64>> = ["input_cost_per_token", "output_cost_per_token"]
        .into_iter()
        .map(|one| cost(one, &mut parameters).or_else(|| cost(one, &mut facts)))
        .collect();
    let mode = facts.text("mode").and_then(|mode| match mode.as_str() {
        "embedding" => Some("embedding"),
        "image_generation" => Some("image"),
        "realtime" => Some("realtime"),
        _ => None,
    });
    // They say what the catalogue knows, or nothing that is needed here.
    facts.drop(&[
        "id",
        "base_model",
        "description",
        "max_tokens",
        "max_input_tokens",
        "max_output_tokens",
    ]);
    facts.drop(&["supports_function_calling", "supports_vision", "litellm_provider"]);
    match providers.place(&at, &model, &mut parameters, notes) {
        Some(mut place) => {
            place.usd_per_million = prices[0].zip(prices[1]);
            let group = groups.entry(name).or_default();
            group.mode = group.mode.or(mode);
            group.places.push((order, place));
        }
        None => return,
    }
    if parameters.number("weight").is_some() {
        notes.push(format!(
            "{at}: litellm_params.weight: deployments are asked in order of preference, by health \
             and by how fast they answer"
        ));
    }
    let limits = ["rpm", "tpm", "max_parallel_requests"];
    if limits.iter().filter(|one| parameters.number(one).is_some()).count() > 0 {
        notes.push(format!(
            "{at}: litellm_params.rpm and its kin: a deployment is held to no limit of its own; one \
             that says 429 is left alone for as long as it asks"
        ));
    }
    rest(&format!("{at}: litellm_params"), parameters, notes);
    rest(&format!("{at}: model_info"), facts, notes);
    rest(&at, std::mem::take(entry), notes);
}

/// What nobody has read.
fn rest(at: &str, table: Table, notes: &mut Vec<String>) {
    let dot = if at.is_empty() { "" } else { "." };
    notes.extend(table.names().map(|name| format!("{at}{dot}{name}: is not carried")));
}

/// What holds of all models.
#[derive(Debug, Default)]
struct Settings {
    admin: Option<String>,
    attempts: Option<u64>,
    request_timeout: Option<u64>,
    first_byte_timeout: Option<u64>,
    strict: bool,
    redis: Option<String>,
    fallback: BTreeMap<String, Vec<String>>,
    /// For models that have none.
    default_fallback: Vec<String>,
}

impl Settings {
    /// `litellm_settings` and `router_settings` have much in common.
    fn read(&mut self, table: &mut Table, at: &str, notes: &mut Vec<String>) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds")]
        let whole = |number: f64| number.ceil().clamp(0.0, 1e9) as u64;
        if let Some(retries) = table.number("num_retries") {
            self.attempts = Some(whole(retries) + 1);
        }
        for name in ["request_timeout", "timeout"] {
            self.request_timeout = table.number(name).map(whole).or(self.request_timeout);
        }
        self.first_byte_timeout =
            table.number("stream_timeout").map(whole).or(self.first_byte_timeout);
        self.strict |= table.truth("drop_params") == Some(false);
        for name in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
            for mut one in table.tables(name) {
                let names: Vec<String> = one.names().map(str::to_owned).collect();
                for model in names {
                    let chain = one.list(&model);
                    let known = self.fallback.entry(model).or_default();
                    let new = chain.into_iter().filter(|model| !known.contains(model));
                    known.extend(new.collect::<Vec<_>>());
                }
            }
        }
        self.default_fallback.extend(table.list("default_fallbacks"));
        if let Some(strategy) = table.text("routing_strategy") {
            notes.push(format!(
                "{at}.routing_strategy ({strategy}): deployments are asked in order of preference; \
                 `balance` of a model says otherwise (weights, price, latency, least_busy)"
            ));
        }
        if let Some(url) = table.text("redis_url") {
            self.redis(&url, at, notes);
        } else if let Some(host) = table.text("redis_host") {
            let port = table.text("redis_port").unwrap_or_else(|| "6379".to_owned());
            if table.text("redis_password").is_some() || environment(&host).is_some() {
                self.redis("secret", at, notes);
            } else {
                self.redis(&format!("redis://{host}:{port}"), at, notes);
            }
        }
    }

    /// An address with a secret in it is not copied.
    fn redis(&mut self, url: &str, at: &str, notes: &mut Vec<String>) {
        if url.contains("://") && !url.contains('@') {
            self.redis = Some(url.to_owned());
        } else {
            notes.push(format!(
                "{at}: the address of Redis may hold a secret; put it into OPTIMUX_REDIS__URL"
            ));
        }
    }

    /// Gives models without a chain the one that is for all.
    fn spread(&mut self, groups: &BTreeMap<String, Group>) {
        if self.default_fallback.is_empty() {
            return;
        }
        for name in groups.keys() {
            let chain = self.default_fallback.iter().filter(|one| *one != name).cloned();
            self.fallback.entry(name.clone()).or_insert_with(|| chain.collect());
        }
    }
}

fn list<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| quoted(one)).collect();
    format!("[{}]", all.join(", "))
}

// Writing to a String cannot fail.
fn written(
    groups: &BTreeMap<String, Group>,
    providers: &Providers<'_>,
    settings: &Settings,
) -> String {
    let mut out = String::new();
    let mut section = |name: &str, lines: Vec<Option<String>>| {
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        if !lines.is_empty() {
            let _infallible = write!(out, "[{name}]\n{}\n\n", lines.join("\n"));
        }
    };
    section(
        "server",
        vec![
            settings.request_timeout.map(|seconds| format!("request_timeout = \"{seconds}s\"")),
            settings.strict.then(|| "strict = true".to_owned()),
        ],
    );
    section(
        "admin",
        vec![settings.admin.as_ref().map(|name| format!("key_env = {}", quoted(name)))],
    );
    section("redis", vec![settings.redis.as_ref().map(|url| format!("url = {}", quoted(url)))]);
    section(
        "upstream",
        vec![
            settings.attempts.map(|count| format!("attempts = {count}")),
            settings
                .first_byte_timeout
                .map(|seconds| format!("first_byte_timeout = \"{seconds}s\"")),
        ],
    );
    for (id, lines) in providers.written() {
        section(&format!("providers.{}", quoted(&id)), lines.into_iter().map(Some).collect());
    }
    let chains = settings.fallback.iter().filter(|(_, chain)| !chain.is_empty());
    let chains = chains.map(|(model, chain)| Some(format!("{} = {}", quoted(model), list(chain))));
    section("routes.fallback", chains.collect());
    for (id, group) in groups {
        let _infallible = writeln!(out, "[[models]]\nid = {}", quoted(id));
        if let Some(mode) = group.mode {
            let _infallible = writeln!(out, "mode = \"{mode}\"");
        }
        let aliases: BTreeSet<&String> = group.aliases.iter().collect();
        if !aliases.is_empty() {
            let _infallible = writeln!(out, "aliases = {}", list(aliases));
        }
        let mut places: Vec<&(i64, ImportedDeployment)> = group.places.iter().collect();
        places.sort_by_key(|(order, _)| *order);
        out.push_str("deployments = [\n");
        for (_, place) in places {
            let _infallible = write!(
                out,
                "  {{ provider = {}, model = {}",
                quoted(&place.provider),
                quoted(&place.model)
            );
            if let Some((input, output)) = place.usd_per_million {
                // A price per token as a decimal, not as what a float makes of it.
                let (input, output) = (rounded(input), rounded(output));
                let _infallible =
                    write!(out, ", usd_per_million = {{ input = {input:?}, output = {output:?} }}");
            }
            out.push_str(" },\n");
        }
        out.push_str("]\n\n");
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// To a millionth of a dollar per million tokens.
fn rounded(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::builtin;

    const USUAL: &str = r#"
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/my-gpt-4o
      api_base: https://acme.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY
      api_version: "2024-10-21"
      rpm: 60
      order: 2
  - model_name: gpt-4o
    litellm_params: { model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, order: 1 }
  - model_name: claude
    litellm_params: { model: anthropic/claude-sonnet-4-5, api_key: "sk-ant-hidden" }
  - model_name: house
    litellm_params:
      model: hosted_vllm/llama
      api_base: http://10.0.0.5:8000/v1
      input_cost_per_token: 0.0000001
      output_cost_per_token: 4.0e-7
      mock_response: hello
  - model_name: vectors
    litellm_params: { model: text-embedding-3-small }
    model_info: { mode: embedding }
  - model_name: "anthropic/*"
    litellm_params: { model: "anthropic/*" }
litellm_settings:
  num_retries: 2
  request_timeout: 120
  drop_params: true
  fallbacks: [{"gpt-4o": ["claude"]}]
  default_fallbacks: ["house"]
  success_callback: ["langfuse"]
router_settings:
  routing_strategy: least-busy
  model_group_alias: { "gpt-4": "gpt-4o" }
  redis_host: cache
  redis_port: 6380
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: "postgres://u:hidden@h/d"
"#;

    fn imported(text: &str) -> Imported {
        import(text, &builtin().unwrap()).unwrap()
    }

    #[test]
    fn what_can_be_carried_is_and_the_rest_is_named() {
        let Imported { config, notes } = imported(USUAL);
        let read: crate::config::Config =
            toml::from_str(&config).unwrap_or_else(|why| panic!("{why}\n{config}"));
        assert_eq!(read.admin.key_env.as_deref(), Some("LITELLM_MASTER_KEY"));
        assert_eq!(
            (read.upstream.attempts, read.server.request_timeout.0.as_secs()),
            (Some(3), 120)
        );
        assert_eq!(read.redis.url.as_deref(), Some("redis://cache:6380"));
        let model = |id: &str| read.models.iter().find(|one| one.id == id).unwrap();
        let places = model("gpt-4o").deployments.as_ref().unwrap();
        assert_eq!(
            (places[0].provider.as_str(), places[1].model.as_deref()),
            ("openai", Some("my-gpt-4o"))
        );
        assert_eq!(model("gpt-4o").aliases.as_deref(), Some(&["gpt-4".to_owned()][..]));
        let azure = &read.providers[&places[1].provider];
        assert_eq!(azure.base_url.as_deref(), Some("https://acme.openai.azure.com/openai/v1"));
        assert_eq!(azure.api_key_env.as_deref(), Some("AZURE_API_KEY"));
        let house = &model("house").deployments.as_ref().unwrap()[0];
        let house = (&read.providers[&house.provider], house.usd_per_million.unwrap());
        assert_eq!(house.0.base_url.as_deref(), Some("http://10.0.0.5:8000/v1"));
        assert!((house.1.input.unwrap() - 0.1).abs() < 1e-12, "{config}");
        assert_eq!(model("vectors").deployments.as_ref().unwrap()[0].provider, "openai");
        assert_eq!(read.routes.fallback["gpt-4o"], ["claude"]);
        assert_eq!(read.routes.fallback["claude"], ["house"]);
        assert!(!format!("{config}{notes:?}").contains("hidden"), "{notes:#?}");
        for place in [
            "rpm",
            "mock_response",
            "anthropic/*",
            "success_callback",
            "routing_strategy",
            "database_url",
            "(claude): litellm_params.api_key",
            "api_version",
        ] {
            assert!(notes.iter().any(|note| note.contains(place)), "{place}: {notes:#?}");
        }
        assert_eq!(notes.len(), 8, "{notes:#?}");
    }

    #[test]
    fn providers_that_differ_in_their_keys_are_several() {
        let one = |name: &str, key: &str| {
            format!(
                "  - model_name: {name}\n    litellm_params: {{ model: gpt-5, api_key: os.environ/{key} }}\n"
            )
        };
        let text =
            format!("model_list:\n{}{}{}", one("a", "ONE"), one("b", "TWO"), one("c", "ONE"));
        let Imported { config, notes } = imported(&text);
        let read: crate::config::Config = toml::from_str(&config).unwrap();
        assert_eq!(read.providers.len(), 2, "{config}");
        assert_eq!(read.providers["openai"].api_key_env.as_deref(), Some("ONE"));
        let second = &read.providers["openai-2"];
        assert_eq!(second.api_key_env.as_deref(), Some("TWO"));
        assert_eq!(second.base_url.as_deref(), Some("https://api.openai.com/v1"));
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_its_place() {
        let files = builtin().unwrap();
        assert!(import("a: [", &files).unwrap_err().to_string().contains("line"));
        assert!(import("- a\n", &files).is_err());
        assert!(import("", &files).is_err());
        // A file that is only anchors is read in no time, or not at all.
        assert_eq!(imported("model_list: []\n").notes, Vec::<String>::new());
    }
}
