//! The configuration: `optimux.toml`, then the environment, checked as a whole.

mod fault;
mod listen;
pub mod litellm;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::admit::FactorDuty;
use crate::admit::plan::PlanEntry;
use crate::base::money::Margin;
pub use crate::base::seconds::Seconds;
use crate::catalogue::{ModelEntry, ProviderEntry, Unpriced};
use crate::connect::Connect;
use crate::guard::GuardrailEntry;
use crate::issuer::IssuerEntry;
use crate::ledger::{Durability, Selling, Tariff};

pub use fault::{ConfigFault, Faults, nearest};
pub use listen::Listen;
pub use read::{found, read};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: Server,
    pub store: Store,
    pub redis: Redis,
    pub admin: Admin,
    pub upstream: Upstream,
    pub log: Log,
    pub telemetry: Telemetry,
    pub providers: BTreeMap<String, ProviderEntry>,
    pub models: Vec<ModelEntry>,
    pub routes: Routes,
    pub catalogue: CatalogueRules,
    pub responses: Responses,
    pub images: Images,
    pub realtime: Realtime,
    pub plans: BTreeMap<String, PlanEntry>,
    pub credits: Tariff,
    pub pricing: Pricing,
    pub billing: Billing,
    pub ledger: Ledger,
    pub router: Router,
    pub signin: SignIn,
    pub mail: Option<Mail>,
    pub vault: Vault,
    pub memory: Memory,
    pub connect: Connect,
    pub guardrails: Vec<GuardrailEntry>,
}

/// What models are sold for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pricing {
    /// What is asked above the price of a model's first deployment, by whichever it is answered; a plan
    /// may say otherwise.
    pub margin: Margin,
}

/// What customers are shown of money.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Billing {
    /// What providers charge. Without it they are shown what they are asked for alone; administrators
    /// see both.
    pub show_cost: bool,
}

impl Default for Billing {
    fn default() -> Self {
        Self { show_cost: true }
    }
}

impl Config {
    /// What holds of every plan that says nothing else.
    #[must_use]
    pub fn selling(&self) -> Selling {
        Selling { margin: self.pricing.margin, show_cost: self.billing.show_cost }
    }

    /// The sections of this configuration that a process which runs with `before` cannot take up.
    #[must_use]
    pub fn wants_restart_after(&self, before: &Self) -> Vec<&'static str> {
        // What differs prints differently; none of it is secret.
        let differs = |one: &dyn fmt::Debug, other: &dyn fmt::Debug| {
            format!("{one:?}") != format!("{other:?}")
        };
        let pairs: [(&'static str, &dyn fmt::Debug, &dyn fmt::Debug); 22] = [
            ("server", &self.server, &before.server),
            ("store", &self.store, &before.store),
            ("redis", &self.redis, &before.redis),
            ("admin", &self.admin, &before.admin),
            ("upstream", &self.upstream, &before.upstream),
            ("log", &self.log, &before.log),
            ("telemetry", &self.telemetry, &before.telemetry),
            ("responses", &self.responses, &before.responses),
            ("images", &self.images, &before.images),
            ("realtime", &self.realtime, &before.realtime),
            ("credits", &self.credits, &before.credits),
            ("ledger", &self.ledger, &before.ledger),
            ("router.explore", &self.router.explore, &before.router.explore),
            ("router.learn", &self.router.learn, &before.router.learn),
            ("router.learn_globally", &self.router.learn_globally, &before.router.learn_globally),
            ("router.features", &self.router.features, &before.router.features),
            ("router.cascade", &self.router.cascade, &before.router.cascade),
            ("signin", &self.signin, &before.signin),
            ("mail", &self.mail, &before.mail),
            ("vault", &self.vault, &before.vault),
            ("memory", &self.memory, &before.memory),
            ("connect", &self.connect, &before.connect),
        ];
        let changed = pairs.iter().filter(|(_, one, other)| differs(*one, *other));
        changed.map(|(name, ..)| *name).collect()
    }
}

/// How memory finds things.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// The model that makes vectors; the embedded static embedding, if not given.
    pub embedding_model: Option<String>,
    /// The model that reads what a memory states; rules, if not given.
    pub extraction_model: Option<String>,
}

/// Who may sign in, beside those whom an administrator lets in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignIn {
    /// The plan of those who register by themselves; if not given, nobody does.
    pub register: Option<String>,
    /// When they prove that their address is theirs; only where mail is sent.
    pub verify: Verify,
    /// How many accounts one address (of IPv6, one /64) opens in an hour.
    pub accounts_per_address: u32,
    /// Who has to have a second factor.
    pub totp: FactorDuty,
    /// Issuers of OpenID Connect, by names of ours.
    pub oidc: BTreeMap<String, IssuerEntry>,
    /// Addresses are told by `X-Forwarded-For`: right behind a proxy of one's own, and wrong anywhere
    /// else.
    pub behind_proxy: bool,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            register: None,
            verify: Verify::First,
            accounts_per_address: 5,
            totp: FactorDuty::default(),
            oidc: BTreeMap::new(),
            behind_proxy: false,
        }
    }
}

/// When those who register prove that their address is theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Before there is an account: by a code.
    #[default]
    First,
    /// When they like to, in the settings.
    Off,
}

/// Who carries mail; without it none is sent, and links are shown to whoever makes them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// The environment variable that holds the server's address, with its credentials:
    /// `smtps://user:password@host:465`, `smtp://…?tls=required` for STARTTLS.
    pub url_env: String,
    /// Who mail is from: `Optimux <no-reply@example.com>`.
    pub from: String,
}

impl Default for Mail {
    fn default() -> Self {
        Self { url_env: "OPTIMUX_SMTP_URL".to_owned(), from: String::new() }
    }
}

/// The key that credentials and signing keys are sealed with in the store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// The environment variable that holds it: 32 random characters or more. Without it, a node on
    /// SQLite keeps one in a file beside the database.
    pub key_env: String,
}

impl Default for Vault {
    fn default() -> Self {
        Self { key_env: "OPTIMUX_VAULT_KEY".to_owned() }
    }
}

/// What `auto` chooses by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// A file of `optimux router train`, if not what this build carries.
    pub weights: Option<PathBuf>,
    /// The share of requests, from 0 to 1, for which one of the best few models is drawn, so that
    /// feedback finds out about all of them.
    pub explore: f64,
    /// What answers show by themselves moves levels for the account that asked.
    pub learn: bool,
    /// What accounts have found out moves levels for all: each account counts once.
    pub learn_globally: bool,
    /// A file that is added to for each request of `auto`: what the router read of it, in numbers, for
    /// `optimux router replay`. Nothing is kept if not given.
    pub features: Option<PathBuf>,
    pub cascade: Cascade,
}

/// How first answers of cascades are checked, beside what can be told from them alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cascade {
    /// The model that is asked whether an answer is right; none, if not given.
    pub judge: Option<String>,
    /// How long it may take.
    pub judge_timeout: Seconds,
    /// Short answers are asked for once more: where the two differ, neither stands.
    pub twice: bool,
}

impl Default for Cascade {
    fn default() -> Self {
        Self { judge: None, judge_timeout: Seconds(Duration::from_secs(5)), twice: true }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self {
            weights: None,
            explore: 0.0,
            learn: true,
            learn_globally: false,
            features: None,
            cascade: Cascade::default(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// An address and port, or `unix:` and the path of a socket.
    pub listen: String,
    /// Where `/metrics`, `/healthz` and `/readyz` are, and then only there; else with all the rest.
    pub admin_listen: Option<String>,
    /// HTTP/2 without TLS, to clients that begin with it, beside HTTP/1.1 (on `listen` alone).
    pub http2_cleartext: bool,
    /// The certificate that is shown to clients, with those that vouch for it, in PEM. With it, all but the
    /// probes of `admin_listen` is answered over TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// Its key, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// One per core, if not given.
    pub workers: Option<usize>,
    pub body_limit_bytes: usize,
    /// How many bytes of bodies and messages larger than 64 KB may be on their way at once; any one
    /// account's, half of it.
    pub inflow_bytes: usize,
    /// What a provider cannot be told is refused with 400, not dropped and named.
    pub strict: bool,
    /// For a request as a whole, up to its first byte.
    pub request_timeout: Seconds,
    /// How long all is served after the signal to stop, while readiness already says no.
    pub drain_delay: Seconds,
    /// How long what is under way may take after that.
    pub shutdown_grace: Seconds,
    /// Origins of pages that may call this gateway (`https://app.example.com`), or `*` for all.
    pub cors_origins: Vec<String>,
    /// Where clients reach this gateway, for the addresses of pictures; else as a request says.
    pub public_url: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            admin_listen: None,
            http2_cleartext: false,
            tls_cert_file: None,
            tls_key_file: None,
            workers: None,
            body_limit_bytes: 32 << 20,
            inflow_bytes: 64 << 20,
            strict: false,
            request_timeout: Seconds(Duration::from_secs(300)),
            drain_delay: Seconds(Duration::from_secs(5)),
            shutdown_grace: Seconds(Duration::from_secs(30)),
            cors_origins: Vec::new(),
            public_url: None,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    pub url: String,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: "sqlite://optimux.db".to_owned() }
    }
}

/// Where nodes agree on limits. Without it each process counts for itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    pub url: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The environment variable that holds the administrator's key; `OPTIMUX_ADMIN_KEY` if not given.
    pub key_env: Option<String>,
    /// An administrator who signs in, made at start if there is none of that address.
    pub email: Option<String>,
    /// The environment variable that holds their first password.
    pub password_env: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    pub connect_timeout: Option<Seconds>,
    pub first_byte_timeout: Option<Seconds>,
    pub first_token_timeout: Option<Seconds>,
    pub idle_timeout: Option<Seconds>,
    pub attempts: Option<u8>,
    /// How often one deployment is asked, where the fault may pass.
    pub tries: Option<u8>,
    /// The share of streams, from 0 to 1, that may be asked of a second deployment too.
    pub hedged_share: Option<f64>,
    /// A stream that breaks off is asked for once more elsewhere, and gone on with if that answer begins
    /// with the same words.
    pub rescue: Option<bool>,
    /// Providers of deployments that rest and that nobody asks are asked for their list of models.
    pub probes: Option<bool>,
    pub keep_alive: Option<Seconds>,
    /// The proxy of every connection to providers and apps, in place of `HTTP_PROXY` and its kin.
    pub proxy: Option<String>,
    /// A file (PEM) with authorities that are trusted beside the system's, by every connection to
    /// providers, apps, issuers, webhooks and collectors.
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub json: bool,
    /// A line for every request, at its end.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { json: false, access: true }
    }
}

/// Traces, for a collector that speaks OTLP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The collector's base address; `OTEL_EXPORTER_OTLP_ENDPOINT` if not given. Nothing is traced
    /// without either.
    pub otlp_endpoint: Option<String>,
    /// The share of requests, from 0 to 1, that is traced where their callers do not say.
    pub sample_ratio: f64,
    /// What the service is called there.
    pub service_name: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0, service_name: "optimux".to_owned() }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routes {
    pub fallback: BTreeMap<String, Vec<String>>,
}

/// What holds of the catalogue as a whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueRules {
    /// What becomes of a model of which nobody said what it costs.
    pub unpriced: Unpriced,
}

/// Answers of `/v1/responses` that are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Responses {
    /// How long a chain can be gone on with.
    pub retention: Seconds,
}

impl Default for Responses {
    fn default() -> Self {
        Self { retention: Seconds(Duration::from_secs(30 * 86_400)) }
    }
}

/// Pictures that are kept for their addresses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// How long an address is good.
    pub retention: Seconds,
}

impl Default for Images {
    fn default() -> Self {
        Self { retention: Seconds(Duration::from_secs(3_600)) }
    }
}

/// Time limits of a realtime session.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Realtime {
    /// Nothing was said by either side.
    pub idle_timeout: Seconds,
    pub max_duration: Seconds,
}

impl Default for Realtime {
    fn default() -> Self {
        Self {
            idle_timeout: Seconds(Duration::from_secs(600)),
            max_duration: Seconds(Duration::from_secs(3_600)),
        }
    }
}

/// How what was delivered is written down.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// When a settlement counts as safe, before which the last byte of its answer does not leave.
    pub durability: Durability,
    /// Where the journal's files are; beside the SQLite file, if not given.
    pub folder: Option<PathBuf>,
    /// The model that savings are told against.
    pub baseline_model: Option<String>,
}
