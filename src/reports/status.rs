//! How the gateway is, for those who run it, and what it can do right now, for those who use it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use crate::admit::{Caller, Feature};
use crate::base::money::{Credits, Nanos};
use crate::base::told::List;
use crate::catalogue::{Capability, Deployment, Modality, Mode, Model, Provider, Tier, TokenKind};
use crate::gateway::App;
use crate::router::Health;
use crate::upstream::{KeyStatus, LearnedRefusal};
use crate::wire::vocab::FaultKind;

const CAPABILITIES: [(Capability, &str); 14] = [
    (Capability::Tools, "tools"),
    (Capability::ToolChoice, "tool_choice"),
    (Capability::ParallelTools, "parallel_tools"),
    (Capability::JsonSchema, "json_schema"),
    (Capability::Reasoning, "reasoning"),
    (Capability::Vision, "vision"),
    (Capability::Pdf, "pdf"),
    (Capability::AudioIn, "audio_in"),
    (Capability::AudioOut, "audio_out"),
    (Capability::VideoIn, "video_in"),
    (Capability::PromptCache, "prompt_cache"),
    (Capability::System, "system"),
    (Capability::WebSearch, "web_search"),
    (Capability::ComputerUse, "computer_use"),
];

fn health(app: &App, deployment: &Deployment) -> Health {
    app.shared.routing.health.state(deployment.id, true, Instant::now())
}

/// `up`, `degraded` while some of a model's deployments are down, `down`.
fn state<'a>(app: &App, deployments: impl Iterator<Item = &'a Deployment>) -> &'static str {
    let (mut up, mut down) = (0, 0);
    for deployment in deployments {
        if health(app, deployment).passing {
            up += 1;
        } else {
            down += 1;
        }
    }
    match (up, down) {
        (0, _) => "down",
        (_, 0) => "up",
        _ => "degraded",
    }
}

fn able(model: &Model) -> Vec<&'static str> {
    let has = |(capability, name): &(Capability, &'static str)| {
        model.capabilities.has(*capability).then_some(*name)
    };
    CAPABILITIES.iter().filter_map(has).collect()
}

/// Whether a model can be asked now, at some provider.
#[must_use]
pub fn is_up(app: &App, model: &Model) -> bool {
    model.deployments.iter().any(|one| health(app, one).passing)
}

/// Whether this node takes requests, and whether all that it needs is there.
#[must_use]
pub fn is_whole(app: &App) -> (bool, bool) {
    (!app.shared.node.draining.load(Ordering::Relaxed), dependencies(app).0)
}

/// A model, with what it takes, costs, and how it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Model")]
pub struct ModelView {
    id: String,
    object: &'static str,
    aliases: Vec<String>,
    owned_by: String,
    mode: Mode,
    tier: Tier,
    context_window: u64,
    max_output_tokens: u64,
    input_modalities: Vec<Modality>,
    output_modalities: Vec<Modality>,
    capabilities: Vec<&'static str>,
    /// What the caller is asked for, now: the price of its first deployment, with the margin of the
    /// caller's plan.
    usd_per_million_tokens: Option<ToldPrice>,
    /// What a request takes of the caller's credits.
    credits_per_request: Credits,
    /// Nobody said what it costs: the price is a guess, the dearest of its tier.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unpriced: bool,
    /// `up`, `degraded` or `down`.
    health: &'static str,
    deployments: Vec<ToldDeployment>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelPrice")]
struct ToldPrice {
    input: f64,
    output: f64,
    cache_read: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelDeployment")]
struct ToldDeployment {
    provider: String,
    health: &'static str,
}

/// Every model that the caller may ask for, with what it takes, costs, and how it is.
#[must_use]
pub fn models(app: &App, caller: &Caller) -> List<ModelView> {
    let margin = caller.selling().margin;
    let live = app.live();
    let shown = |model: &Model| {
        let price = model.deployments.first().and_then(|deployment| {
            let usd = |nanos: Nanos| margin.on(nanos).as_usd();
            deployment.prices.rates(app.shared.clock.now(), 0).map(|price| ToldPrice {
                input: usd(price.of(TokenKind::Input)),
                output: usd(price.of(TokenKind::Output)),
                cache_read: usd(price.of(TokenKind::CacheRead)),
            })
        });
        let deployments = model.deployments.iter().map(|deployment| ToldDeployment {
            provider: deployment.provider.id.to_string(),
            health: if health(app, deployment).passing { "up" } else { "down" },
        });
        ModelView {
            id: model.id.to_string(),
            object: "model",
            aliases: model.aliases.iter().map(ToString::to_string).collect(),
            owned_by: model.owned_by.clone(),
            mode: model.mode,
            tier: model.tier,
            context_window: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            input_modalities: model.input.clone(),
            output_modalities: model.output.clone(),
            capabilities: able(model),
            usd_per_million_tokens: price,
            credits_per_request: match model.mode {
                Mode::Image => app.counter.tariff.pictures(&model.id, model.tier, 1),
                _ => app.counter.tariff.request(model.tier),
            },
            unpriced: model.deployments.first().is_none_or(|first| first.prices.guessed),
            health: state(app, model.deployments.iter().map(AsRef::as_ref)),
            deployments: deployments.collect(),
        }
    };
    let models = live.catalogue.models().iter().filter(|model| caller.may_use(model));
    List::of(models.map(|model| shown(model)).collect())
}

/// What can be done right now.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "each is told by its name"
)]
pub struct Capabilities {
    object: &'static str,
    chat: bool,
    responses: bool,
    embeddings: bool,
    images: bool,
    realtime: bool,
    streaming: bool,
    auto_routing: bool,
    models_available: usize,
    /// What some model that is up can do.
    model_capabilities: BTreeMap<&'static str, bool>,
    /// How the switches stand for the caller.
    features: BTreeMap<&'static str, bool>,
}

/// What can be done right now: by some model of the caller's that is up.
#[must_use]
pub fn capabilities(app: &App, caller: &Caller) -> Capabilities {
    let live = app.live();
    let up: Vec<&Model> = live
        .catalogue
        .models()
        .iter()
        .map(AsRef::as_ref)
        .filter(|model| caller.may_use(model))
        .filter(|model| model.deployments.iter().any(|one| health(app, one).passing))
        .collect();
    let some = |mode: Mode| up.iter().any(|model| model.mode == mode);
    let able = |capability| up.iter().any(|model| model.capabilities.has(capability));
    let abilities = CAPABILITIES.into_iter().map(|(capability, name)| (name, able(capability)));
    let features = Feature::ALL.into_iter();
    let features = features.map(|feature| (feature.as_str(), caller.features.has(feature)));
    Capabilities {
        object: "capabilities",
        chat: some(Mode::Chat),
        responses: some(Mode::Chat),
        embeddings: some(Mode::Embedding),
        images: some(Mode::Image),
        realtime: some(Mode::Realtime),
        streaming: some(Mode::Chat),
        auto_routing: some(Mode::Chat) && caller.features.has(Feature::AutoRouting),
        models_available: up.len(),
        model_capabilities: abilities.collect(),
        features: features.collect(),
    }
}

/// How what the gateway needs is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dependencies {
    /// Without the store no new key is known, and nothing is kept; what is known goes on.
    store: &'static str,
    redis: &'static str,
    journal: JournalState,
    providers: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct JournalState {
    /// Lines that are not in the store yet.
    backlog: u64,
}

/// Whether all parts that the gateway needs are there, and how each of them is.
fn dependencies(app: &App) -> (bool, Dependencies) {
    let shared = &app.shared;
    let live = app.live();
    let store = shared.node.store_is_up.load(Ordering::Relaxed);
    let redis = shared.books.redis.as_ref().map(crate::quota::SharedCounters::is_up);
    let providers =
        live.catalogue.models().iter().any(|model| {
            model.deployments.iter().any(|deployment| health(app, deployment).passing)
        });
    let word = |up: bool| if up { "up" } else { "down" };
    let told = Dependencies {
        store: word(store),
        redis: redis.map_or("not configured", word),
        journal: JournalState { backlog: shared.books.journal.backlog() },
        providers: word(providers),
    };
    (store, told)
}

/// Whether a node is alive and ready.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub struct HealthView {
    status: &'static str,
    live: bool,
    ready: bool,
    /// For administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Dependencies>,
}

/// `/v1/admin/health`: ready as `/readyz` is, for the same reasons.
#[must_use]
pub fn admin_health(app: &App) -> (bool, HealthView) {
    let (whole, dependencies) = dependencies(app);
    let ready = !app.shared.node.draining.load(Ordering::Relaxed);
    let status = match (ready, whole) {
        (false, _) => "stopping",
        (true, false) => "degraded",
        (true, true) => "healthy",
    };
    (ready, HealthView { status, live: true, ready, dependencies: Some(dependencies) })
}

/// A key of a provider, without what it is.
#[derive(Debug, Serialize, JsonSchema)]
struct ProviderKey {
    index: usize,
    ends_in: Option<String>,
    /// `up` or `resting`.
    health: &'static str,
    /// `quota`, `credential` or `rate_limited`.
    why: Option<&'static str>,
    resting_seconds: Option<u64>,
    limited_deployments: usize,
}

/// How a provider is.
#[derive(Debug, Serialize, JsonSchema)]
struct ProviderStatus {
    id: String,
    name: Option<String>,
    health: &'static str,
    deployments: usize,
    keys: Option<Vec<ProviderKey>>,
    /// Of the deployments that were asked lately.
    latency_seconds: Option<f64>,
    /// The worst of its deployments.
    error_rate: f64,
}

/// A node that was heard of lately.
#[derive(Debug, Serialize, JsonSchema)]
struct NodeStatus {
    id: String,
    address: String,
    version: String,
    /// In seconds since the epoch.
    started_at: i64,
    seen_at: i64,
}

/// Requests of this node since it started.
#[derive(Debug, Serialize, JsonSchema)]
struct RequestCounts {
    total: u64,
    /// By class: `2xx` and so on.
    by_status: BTreeMap<String, u64>,
    per_second: f64,
    in_flight: i64,
}

/// How the gateway is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "GatewayStatus")]
pub struct StatusView {
    object: &'static str,
    /// `ok` or `degraded`.
    status: &'static str,
    version: &'static str,
    started_at: i64,
    uptime_seconds: i64,
    models: usize,
    catalogue_revision: i64,
    nodes: Vec<NodeStatus>,
    providers: Vec<ProviderStatus>,
    dependencies: Dependencies,
    /// Members that models refuse, though no file says so.
    learned_refusals: Vec<LearnedRefusal>,
    requests: RequestCounts,
}

/// The keys of a provider, without what they are: the last characters of each are enough to find it.
fn keys(app: &App, provider: &Provider) -> Vec<ProviderKey> {
    let states = app.shared.routing.health.keys().states(provider, Instant::now());
    let shown = |(at, state): (usize, &KeyStatus)| {
        let why = match state.refused {
            Some(FaultKind::Quota) => Some("quota"),
            Some(_) => Some("credential"),
            None => (state.limited > 0).then_some("rate_limited"),
        };
        ProviderKey {
            index: at,
            ends_in: state.ending.clone(),
            health: if state.refused.is_some() { "resting" } else { "up" },
            why,
            resting_seconds: state.refused.is_some().then_some(state.refused_for.as_secs()),
            limited_deployments: state.limited,
        }
    };
    states.iter().enumerate().map(shown).collect()
}

/// `/v1/admin/status`
pub async fn admin_status(app: &App) -> StatusView {
    let shared = &app.shared;
    let live = app.live();
    let now = shared.clock.now();
    let (ready, dependencies) = dependencies(app);
    let mut providers: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for deployment in live.catalogue.models().iter().flat_map(|model| &model.deployments) {
        providers.entry(&deployment.provider.id).or_default().push(deployment);
    }
    let providers = providers
        .into_iter()
        .map(|(id, deployments)| {
            // Those that were asked lately say how it is; the others say nothing.
            let board = &shared.routing.health;
            let waits: Vec<f32> = deployments
                .iter()
                .filter_map(|one| board.wait_seconds(one.id, true, Instant::now()))
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "a count of deployments")]
            let wait = waits.iter().sum::<f32>() / waits.len().max(1) as f32;
            let faults = deployments.iter().map(|one| board.fault_share(one.id));
            ProviderStatus {
                id: id.to_owned(),
                name: deployments.first().map(|one| one.provider.name.clone()),
                health: state(app, deployments.iter().copied()),
                deployments: deployments.len(),
                keys: deployments.first().map(|one| keys(app, &one.provider)),
                latency_seconds: (!waits.is_empty()).then_some(wait.into()),
                error_rate: faults.fold(0.0_f32, f32::max).into(),
            }
        })
        .collect();
    // Three heartbeats: one may be late.
    let nodes = shared.store.nodes(now.before(Duration::from_secs(30))).await.unwrap_or_default();
    let nodes = nodes
        .iter()
        .map(|node| NodeStatus {
            id: node.id.clone(),
            address: node.address.clone(),
            version: node.version.clone(),
            started_at: node.started.seconds(),
            seen_at: node.seen.seconds(),
        })
        .collect();
    let uptime = now.0.saturating_sub(shared.node.started.0) / 1000;
    let counted = shared.metrics.requests_by_class();
    let all: u64 = counted.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "requests and seconds")]
    let rate = all as f64 / uptime.max(1) as f64;
    StatusView {
        object: "status",
        status: if ready { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        started_at: shared.node.started.seconds(),
        uptime_seconds: uptime,
        models: live.catalogue.models().len(),
        catalogue_revision: live.revision,
        nodes,
        providers,
        dependencies,
        learned_refusals: shared.routing.refusals.all(),
        requests: RequestCounts {
            total: all,
            by_status: counted,
            per_second: rate,
            in_flight: shared.metrics.in_flight.get(),
        },
    }
}

#[cfg(test)]
mod tests;
