//! What the configuration comes to, and all that is wrong with it: `serve` starts from it, and
//! `check` tells of it, so that both say the same. Longer than most files: one pass over all parts
//! of a configuration, whose faults are told together.

use std::collections::HashSet;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;

use ::http::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::failure::Failure;
use super::making::CatalogueInputs;
use super::outward::{authorities, egress};
use super::people;
use super::sources::{CatalogueSources, files, key_variables, secret_variable};
use super::telling;
use super::tls::{self, Tls};
use crate::admit::Plans;
use crate::base::proxy::Proxies;
use crate::base::seal::Vault;
use crate::catalogue::{Catalogue, ProviderEntry, Unpriced, builtin};
use crate::config::{self, Config, ConfigFault, Faults, Listen, nearest};
use crate::connect::Apps;
use crate::guard::{DetectorKind, Moderation};
use crate::live::Live;
use crate::notice::{Mail, MailError};
use crate::store::Store;
use crate::telemetry::otlp::Collector;

/// The variable of the administrator's key where no other is named.
const ADMIN_KEY: &str = "OPTIMUX_ADMIN_KEY";
/// Characters that an administrator's key has at least: fewer can be guessed.
const ADMIN_KEY_CHARACTERS: usize = 16;

/// What models answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Providers that are configured.
    Real,
    /// The simulated provider, for all of them.
    Simulated,
}

/// What the configuration comes to.
pub struct Survey {
    pub config: Arc<Config>,
    pub plans: Plans,
    /// Where it can be opened.
    pub store: Option<Store>,
    /// The catalogue of what is configured, and the files that it was made from.
    pub made: Option<(Live, CatalogueSources)>,
    pub answers: Backing,
    pub admin: Option<SecretString>,
    /// What credentials are sealed with.
    pub vault: Option<Vault>,
    /// What sends mail, if anything does.
    pub mail: Option<Mail>,
    pub apps: Option<Apps>,
    /// Where traces go, if anywhere.
    pub collector: Option<Collector>,
    /// What the listener is secured with, if it is.
    pub tls: Option<Tls>,
    /// What keeps the gateway from starting.
    pub faults: Vec<ConfigFault>,
    /// What an operator should know, and nothing more.
    pub notes: Vec<ConfigFault>,
}

/// Looks at everything that the configuration names, and goes on at each fault. `simulate` is the
/// wish for made-up answers, whatever is configured.
pub async fn survey(config: Config, simulate: bool) -> Survey {
    let config = Arc::new(config);
    let mut faults = Vec::new();
    let mut notes = Vec::new();
    let plans = Plans::new(&config.plans, config.selling());
    let store = match Store::open(&config.store.url, tokio::runtime::Handle::current()).await {
        Ok(store) => Some(store),
        Err(why) => {
            faults.push(ConfigFault::new("store.url", why.to_string()));
            None
        }
    };
    let made = made(&config, store.as_ref(), &mut faults).await;
    let catalogue = made.as_ref().map(|(live, _)| &live.catalogue);
    let answers = answers(&config, catalogue, simulate, &mut faults, &mut notes);
    let admin = admin(&config, &mut faults, &mut notes);
    settings(&config, &plans, &mut faults);
    let vault = people::vault(&config).unwrap_or_else(|why| {
        faults.push(ConfigFault::new("vault.key_env", why.to_string()));
        None
    });
    let mail = mail(&config, vault.as_ref(), &mut faults);
    if let Some(catalogue) = catalogue.filter(|_| answers == Backing::Real) {
        models(&config, catalogue, &mut faults, &mut notes);
    }
    let apps =
        match Apps::open(&config.connect.apps, &egress(&config), tokio::runtime::Handle::current())
        {
            Ok(apps) => Some(apps),
            Err(all) => {
                let fault = |(id, why)| ConfigFault::new(format!("connect.apps.{id}"), why);
                faults.extend(all.into_iter().map(fault));
                None
            }
        };
    let collector = telling::collector(&config, &mut faults);
    let tls = tls::configured(&config.server).unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    unread_variables(&config, &mut notes);
    Survey {
        config,
        plans,
        store,
        made,
        answers,
        admin,
        vault,
        mail,
        apps,
        collector,
        tls,
        faults,
        notes,
    }
}

/// The catalogue of what is configured.
async fn made(
    config: &Arc<Config>,
    store: Option<&Store>,
    faults: &mut Vec<ConfigFault>,
) -> Option<(Live, CatalogueSources)> {
    let making = CatalogueInputs { config: Arc::clone(config), simulation: None };
    let asked = async {
        Ok::<_, Failure>(match store {
            Some(store) => files(store).await?,
            None => (CatalogueSources::builtin()?, 0),
        })
    };
    let built = async {
        let (laid, revision) = asked.await?;
        match making.live(laid.clone(), revision, 0) {
            // What the store says must not keep a node from starting; what is configured may.
            Err(why) if revision != 0 => {
                tracing::error!(revision, %why, "the catalogue's revision is passed over");
                let laid = CatalogueSources::builtin()?;
                Ok((making.live(laid.clone(), 0, 0)?, laid))
            }
            live => Ok::<_, Failure>((live?, laid)),
        }
    };
    match built.await {
        Ok(made) => Some(made),
        Err(why) => {
            faults.extend(why.to_string().lines().map(|line| match line.split_once(": ") {
                Some((at, why)) => ConfigFault::new(at, why),
                None => ConfigFault::new("catalogue", line),
            }));
            None
        }
    }
}

/// Whether answers are real. They are made up where nothing at all is configured, so that a first
/// try works, or where that is asked for: never because of a slip.
fn answers(
    config: &Config,
    catalogue: Option<&Catalogue>,
    simulate: bool,
    faults: &mut Vec<ConfigFault>,
    notes: &mut Vec<ConfigFault>,
) -> Backing {
    let Ok(files) = builtin() else { return Backing::Real };
    let off = |id: &str| config.providers.get(id).is_some_and(|one| one.enabled == Some(false));
    // Whoever has a table, or is where a model of the configuration is to be found, is meant to be
    // asked.
    let placed = config.models.iter().flat_map(|model| model.deployments.iter().flatten());
    let mut meant: Vec<&str> = config.providers.keys().map(String::as_str).collect();
    meant.extend(placed.map(|place| place.provider.as_str()));
    meant.sort_unstable();
    meant.dedup();
    meant.retain(|id| !off(id));
    let cannot = |id: &&&str| catalogue.is_some_and(|catalogue| !catalogue.has_provider(id));
    let lacking: Vec<ConfigFault> =
        meant.iter().filter(cannot).map(|id| keyless(id, &files, config)).collect();
    let known = key_variables(&files, &config.providers);
    let slips = misspelt(&known);
    if simulate {
        notes.extend(lacking);
        return Backing::Simulated;
    }
    if catalogue.is_none_or(Catalogue::has_providers) {
        notes.extend(lacking);
        notes.extend(slips);
        return Backing::Real;
    }
    if meant.is_empty() && slips.is_empty() {
        return Backing::Simulated;
    }
    faults.extend(lacking);
    faults.extend(slips);
    faults.push(
        ConfigFault::new("providers", "something is configured, and nothing of it can be asked")
            .remedied("mend what is named here, or start with --simulate for made-up answers"),
    );
    Backing::Real
}

/// A provider that is meant to be asked, and cannot be.
fn keyless(id: &str, files: &[ProviderEntry], config: &Config) -> ConfigFault {
    let own = config.providers.get(id);
    let file = files.iter().find(|file| file.id.as_deref() == Some(id));
    let variable = own.into_iter().chain(file).find_map(|one| one.key_variables().next());
    let variable = variable.unwrap_or("its key's variable");
    ConfigFault::new(format!("providers.{id}"), format!("is configured, and {variable} is not set"))
        .remedied(format!(
            "set {variable}, or api_key_file, or enabled = false: until then it is not asked"
        ))
}

/// Variables of the environment that were likely meant for the keys that are read.
fn misspelt(known: &HashSet<String>) -> Vec<ConfigFault> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut all: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    all.sort_unstable();
    all.iter()
        .filter(|name| set(name) && !known.contains(*name))
        .filter_map(|name| {
            let meant = meant(name, known)?;
            (!set(meant)).then(|| {
                ConfigFault::new(name, "is set, and nothing reads it")
                    .remedied(format!("did you mean {meant}?"))
            })
        })
        .collect()
}

/// The variable of a key that one of nearly the same name was meant for.
fn meant<'a>(name: &str, known: &'a HashSet<String>) -> Option<&'a str> {
    let stem = |name: &'a str| name.strip_suffix("_API_KEY");
    let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
    known.sort_unstable();
    let other = ["_KEY", "_APIKEY", "_API_TOKEN", "_TOKEN", "_API_KEYS", "_SECRET_KEY"];
    let under_another_ending = known.iter().copied().find(|one| {
        stem(one).is_some_and(|stem| {
            name.strip_prefix(stem).is_some_and(|ending| other.contains(&ending))
        })
    });
    let long = name.len() > 10 && name.ends_with("KEY");
    under_another_ending.or_else(|| nearest(name, known.into_iter()).filter(|_| long))
}

/// The administrator's key, if there is one.
fn admin(
    config: &Config,
    faults: &mut Vec<ConfigFault>,
    notes: &mut Vec<ConfigFault>,
) -> Option<SecretString> {
    let named = config.admin.key_env.as_deref();
    let name = named.unwrap_or(ADMIN_KEY);
    let key = secret_variable(name);
    match &key {
        Some(key) if key.expose_secret().chars().count() < ADMIN_KEY_CHARACTERS => faults.push(
            ConfigFault::new(name, format!("has fewer than {ADMIN_KEY_CHARACTERS} characters"))
                .remedied("take a long random one, such as `openssl rand -hex 32` prints"),
        ),
        None if named.is_some() => notes.push(ConfigFault::new(
            name,
            "is not set: there is no administrator's key (admin.key_env)",
        )),
        _ => {}
    }
    key
}

/// What sends mail, where that is configured.
fn mail(config: &Config, vault: Option<&Vault>, faults: &mut Vec<ConfigFault>) -> Option<Mail> {
    let settings = config.mail.as_ref()?;
    let url = secret_variable(&settings.url_env);
    if url.is_none() {
        let fault = ConfigFault::new("mail.url_env", format!("{} is not set", settings.url_env));
        faults.push(fault.remedied("set it to smtps://user:password@host:465, or drop [mail]"));
    }
    let home = config.server.public_url.as_deref();
    if home.is_none() {
        let fault = ConfigFault::new("server.public_url", "is not set, and links in mails need it");
        faults.push(fault.remedied("set it to the address that people type, or drop [mail]"));
    }
    match Mail::new(&url?, &settings.from, home?, vault.cloned()) {
        Ok(mail) => Some(mail),
        Err(why) => {
            let at = match why {
                MailError::Url(_) => settings.url_env.as_str(),
                MailError::From(_) => "mail.from",
            };
            faults.push(ConfigFault::new(at, why.to_string()));
            None
        }
    }
}

/// Settings whose form says nothing of whether they make sense.
fn settings(config: &Config, plans: &Plans, faults: &mut Vec<ConfigFault>) {
    let mut wrong = |at: &str, why: String| faults.push(ConfigFault::new(at, why));
    match Listen::of(&config.server.listen) {
        Listen::Address(address) => {
            if let Err(why) = address.to_socket_addrs() {
                let why = format!("'{address}' is no address such as 0.0.0.0:8080: {why}");
                wrong("server.listen", why);
            }
        }
        Listen::Socket(_) if config.server.tls_cert_file.is_some() => {
            let why = "is a socket in the file system, which is not spoken TLS at: take \
                       server.tls_cert_file and server.tls_key_file away, or listen at an address";
            wrong("server.listen", why.to_owned());
        }
        Listen::Socket(_) => {}
    }
    if let Some(plan) = &config.signin.register
        && plans.get(plan).is_none()
    {
        wrong("signin.register", format!("there is no plan '{plan}'"));
    }
    for (id, issuer) in &config.signin.oidc {
        let at = format!("signin.oidc.{id}");
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            wrong(&at, "is no name: it has letters, digits and dashes".to_owned());
        }
        for (member, why) in issuer.faults() {
            wrong(&format!("{at}.{member}"), why);
        }
        if let Some(name) = &issuer.client_secret_env
            && secret_variable(name).is_none()
        {
            wrong(&format!("{at}.client_secret_env"), format!("{name} is not set"));
        }
    }
    if let Some(address) = &config.server.admin_listen
        && let Err(why) = address.to_socket_addrs()
    {
        wrong("server.admin_listen", format!("'{address}' is no address to listen on: {why}"));
    }
    for origin in config.server.cors_origins.iter().filter(|origin| *origin != "*") {
        let parts = origin.parse::<::http::Uri>().ok();
        let good = parts.as_ref().is_some_and(|uri| {
            uri.scheme().is_some()
                && uri.host().is_some()
                && uri.path() == "/"
                && !origin.ends_with('/')
        });
        if !good {
            let why = format!("'{origin}' is no origin: write it as https://app.example.com");
            wrong("server.cors_origins", why);
        }
    }
    if let Some(url) = &config.server.public_url
        && !url.parse::<::http::Uri>().is_ok_and(|uri| uri.host().is_some())
    {
        wrong("server.public_url", format!("'{url}' is no address such as https://ai.example.com"));
    }
    if let Some(proxy) = config.upstream.proxy.as_deref().filter(|proxy| !proxy.is_empty())
        && let Err(why) = proxy.parse::<Proxies>()
    {
        wrong("upstream.proxy", why);
    }
    if let Err(why) = authorities(config) {
        wrong("upstream.ca_file", why);
    }
    for (id, provider) in &config.providers {
        for (name, value) in &provider.headers {
            let at = format!("providers.{id}.headers.{name}");
            if HeaderName::try_from(name.as_str()).is_err() {
                wrong(&at, "is no name of a header: it holds a character that none may".to_owned());
            }
            if HeaderValue::try_from(value.as_str()).is_err() {
                wrong(
                    &at,
                    "cannot be sent: it holds a line end or another control character".to_owned(),
                );
            }
        }
    }
    if !(0.0..=1.0).contains(&config.router.explore) {
        wrong("router.explore", "has to be a share from 0 to 1".to_owned());
    }
}

/// What keeps a changed configuration from being taken up by a node that runs.
pub(super) fn unusable(config: &Config, catalogue: &Catalogue, simulated: bool) -> Faults {
    let mut faults = Vec::new();
    settings(config, &Plans::new(&config.plans, config.selling()), &mut faults);
    if !simulated {
        if !catalogue.has_providers() {
            let why = "nothing of what is configured can be asked";
            faults.push(ConfigFault::new("providers", why));
        }
        models(config, catalogue, &mut faults, &mut Vec::new());
    }
    Faults(faults)
}

/// Models that settings name, and what is to be known of those that are served.
fn models(
    config: &Config,
    catalogue: &Catalogue,
    faults: &mut Vec<ConfigFault>,
    notes: &mut Vec<ConfigFault>,
) {
    let mut moderators = Vec::new();
    let mut must_be = |at: &str, name: &str| {
        let placed =
            name.split_once('/').is_some_and(|(id, rest)| catalogue.place(id, rest).is_ok());
        if catalogue.model(name).is_some() || placed {
            return;
        }
        let names = catalogue.models().iter().map(|model| &*model.id);
        let fault = ConfigFault::new(at, format!("there is no model '{name}'"));
        faults.push(match nearest(name, names) {
            Some(near) => fault.remedied(format!("did you mean '{near}'?")),
            None => fault,
        });
    };
    for (at, name) in [
        ("memory.embedding_model", &config.memory.embedding_model),
        ("memory.extraction_model", &config.memory.extraction_model),
        ("ledger.baseline_model", &config.ledger.baseline_model),
        ("router.cascade.judge", &config.router.cascade.judge),
    ] {
        if let Some(name) = name {
            must_be(at, name);
        }
    }
    for rule in config.guardrails.iter().filter(|rule| rule.kind == DetectorKind::Moderation) {
        let provider = rule.provider.as_deref().unwrap_or(Moderation::USUAL_PROVIDER);
        if catalogue.provider(provider).is_none() {
            let at = format!("guardrails.{}.provider", rule.name);
            let fault = ConfigFault::new(at, format!("there is no provider '{provider}' to ask"));
            moderators.push(fault.remedied("set its key, or name another that is configured"));
        }
    }
    for (model, chain) in &config.routes.fallback {
        for name in std::iter::once(model).chain(chain) {
            must_be("routes.fallback", name);
        }
    }
    faults.extend(moderators);
    let what = match config.catalogue.unpriced {
        Unpriced::Dearest => "it costs what the dearest of its tier do",
        Unpriced::Refuse => "it is not asked",
    };
    for (model, provider) in catalogue.unpriced() {
        notes.push(ConfigFault::new(
            format!("{model} at {provider}"),
            format!("has no price: {what}"),
        ));
    }
}

/// Variables of our own name that nothing reads.
fn unread_variables(config: &Config, notes: &mut Vec<ConfigFault>) {
    let mut read: Vec<&str> = vec![ADMIN_KEY, &config.vault.key_env];
    read.extend(config.mail.as_ref().map(|mail| mail.url_env.as_str()));
    read.extend(config.signin.oidc.values().filter_map(|one| one.client_secret_env.as_deref()));
    read.extend(config.admin.key_env.as_deref());
    read.extend(config.admin.password_env.as_deref());
    read.extend(config.providers.values().flat_map(ProviderEntry::key_variables));
    let templates: Vec<&str> =
        config.providers.values().filter_map(|one| one.base_url.as_deref()).collect();
    for (name, _) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with("OPTIMUX_") || name.contains("__") || read.contains(&&*name) {
            continue;
        }
        // What an address may name.
        if templates.iter().any(|template| template.contains(&*name)) {
            continue;
        }
        notes.push(ConfigFault::new(name, "is set, and nothing reads it").remedied(
            "settings are written as OPTIMUX_SECTION__KEY, with two underscores: \
             OPTIMUX_SERVER__LISTEN",
        ));
    }
}

/// Reads the configuration and looks at all that it names.
///
/// # Errors
/// Every fault of the configuration's form.
pub async fn examined(file: Option<&Path>) -> Result<Survey, Faults> {
    Ok(survey(config::read(file)?, false).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_nearly_the_same_name_is_seen() {
        let known: HashSet<String> =
            ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY"].map(str::to_owned).into();
        for (name, wanted) in [
            ("OPENAI_KEY", Some("OPENAI_API_KEY")),
            ("OPENAI_APIKEY", Some("OPENAI_API_KEY")),
            ("OPENAI_TOKEN", Some("OPENAI_API_KEY")),
            ("ANTROPIC_API_KEY", Some("ANTHROPIC_API_KEY")),
            ("OPENAI_API_KYE", None),
            ("SSH_KEY", None),
            ("OPENAI_BASE_URL", None),
            ("DATABASE_API_KEY", None),
        ] {
            assert_eq!(meant(name, &known), wanted, "{name}");
        }
    }
}
