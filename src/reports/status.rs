//! How the gateway is, for those who run it, and what it can do right now, for those who use it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::admit::{Caller, Feature};
use crate::catalogue::{Capability, Deployment, Mode, Model, Provider, TokenKind};
use crate::gateway::App;
use crate::router::Health;
use crate::upstream::KeyState;
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

/// Every model that the caller may ask for, with what it takes, costs, and how it is.
#[must_use]
pub fn models(app: &App, caller: &Caller) -> Value {
    let shown = |model: &Model| {
        let price = model.deployments.first().map(|deployment| {
            let usd = |nanos: crate::base::money::Nanos| nanos.as_usd();
            deployment.prices.rates(app.shared.clock.now(), 0).map(|price| {
                json!({
                    "input": usd(price.of(TokenKind::Input)),
                    "output": usd(price.of(TokenKind::Output)),
                    "cache_read": usd(price.of(TokenKind::CacheRead)),
                })
            })
        });
        let deployments: Vec<Value> = model
            .deployments
            .iter()
            .map(|deployment| {
                let health = health(app, deployment);
                json!({
                    "provider": &*deployment.provider.id,
                    "health": if health.passing { "up" } else { "down" },
                })
            })
            .collect();
        json!({
            "id": &*model.id,
            "object": "model",
            "aliases": model.aliases,
            "owned_by": model.owned_by,
            "mode": model.mode,
            "tier": model.tier.as_str(),
            "context_window": model.context_tokens,
            "max_output_tokens": model.max_output_tokens,
            "input_modalities": model.input,
            "output_modalities": model.output,
            "capabilities": able(model),
            "usd_per_million_tokens": price,
            "health": state(app, model.deployments.iter().map(AsRef::as_ref)),
            "deployments": deployments,
        })
    };
    let live = app.live();
    let models = live.catalogue.models().iter().filter(|model| caller.may_use(model));
    let data: Vec<Value> = models.map(|model| shown(model)).collect();
    json!({"object": "list", "data": data})
}

/// What can be done right now: by some model of the caller's that is up.
#[must_use]
pub fn capabilities(app: &App, caller: &Caller) -> Value {
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
    let mut abilities = Map::new();
    for (capability, name) in CAPABILITIES {
        let able = up.iter().any(|model| model.capabilities.has(capability));
        abilities.insert(name.to_owned(), Value::from(able));
    }
    let features: Map<String, Value> = Feature::ALL
        .into_iter()
        .map(|feature| (feature.as_str().to_owned(), caller.features.has(feature).into()))
        .collect();
    json!({
        "object": "capabilities",
        "chat": some(Mode::Chat),
        "responses": some(Mode::Chat),
        "embeddings": some(Mode::Embedding),
        "images": some(Mode::Image),
        "realtime": some(Mode::Realtime),
        "streaming": some(Mode::Chat),
        "auto_routing": some(Mode::Chat) && caller.features.has(Feature::AutoRouting),
        "models_available": up.len(),
        "model_capabilities": abilities,
        "features": features,
    })
}

/// Whether all parts that the gateway needs are there, and how each of them is.
fn dependencies(app: &App) -> (bool, Value) {
    let shared = &app.shared;
    let live = app.live();
    let store = shared.node.store_is_up.load(Ordering::Relaxed);
    let redis = shared.books.redis.as_ref().map(crate::quota::Shared::is_up);
    let providers =
        live.catalogue.models().iter().any(|model| {
            model.deployments.iter().any(|deployment| health(app, deployment).passing)
        });
    let word = |up: bool| if up { "up" } else { "down" };
    let told = json!({
        // Without the store no new key is known, and nothing is kept; what is known goes on.
        "store": word(store),
        "redis": redis.map_or("not configured", word),
        "journal": {"backlog": shared.books.journal.backlog()},
        "providers": word(providers),
    });
    (store, told)
}

/// `/v1/admin/health`: ready as `/readyz` is, for the same reasons.
#[must_use]
pub fn admin_health(app: &App) -> (bool, Value) {
    let (whole, dependencies) = dependencies(app);
    let ready = !app.shared.node.draining.load(Ordering::Relaxed);
    let status = match (ready, whole) {
        (false, _) => "stopping",
        (true, false) => "degraded",
        (true, true) => "healthy",
    };
    (ready, json!({"status": status, "live": true, "ready": ready, "dependencies": dependencies}))
}

/// The keys of a provider, without what they are: the last characters of each are enough to find it.
fn keys(app: &App, provider: &Provider) -> Vec<Value> {
    let states = app.shared.routing.health.keys().states(provider, Instant::now());
    let shown = |(at, state): (usize, &KeyState)| {
        let why = match state.refused {
            Some(FaultKind::Quota) => Some("quota"),
            Some(_) => Some("credential"),
            None => (state.limited > 0).then_some("rate_limited"),
        };
        json!({
            "index": at,
            "ends_in": state.ending,
            "health": if state.refused.is_some() { "resting" } else { "up" },
            "why": why,
            "resting_seconds": state.refused.is_some().then_some(state.refused_for.as_secs()),
            "limited_deployments": state.limited,
        })
    };
    states.iter().enumerate().map(shown).collect()
}

/// `/v1/admin/status`
pub async fn admin_status(app: &App) -> Value {
    let shared = &app.shared;
    let live = app.live();
    let now = shared.clock.now();
    let (ready, dependencies) = dependencies(app);
    let mut providers: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for deployment in live.catalogue.models().iter().flat_map(|model| &model.deployments) {
        providers.entry(&deployment.provider.id).or_default().push(deployment);
    }
    let providers: Vec<Value> = providers
        .into_iter()
        .map(|(id, deployments)| {
            // Those that were asked lately say how it is; the others say nothing.
            let waits: Vec<f32> = deployments
                .iter()
                .map(|deployment| health(app, deployment).wait_seconds)
                .filter(|wait| *wait > 0.0)
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "a count of deployments")]
            let wait = waits.iter().sum::<f32>() / waits.len().max(1) as f32;
            let faults = deployments.iter().map(|one| shared.routing.health.fault_share(one.id));
            json!({
                "id": id,
                "name": deployments.first().map(|one| one.provider.name.as_str()),
                "health": state(app, deployments.iter().copied()),
                "deployments": deployments.len(),
                "keys": deployments.first().map(|one| keys(app, &one.provider)),
                "latency_seconds": (!waits.is_empty()).then_some(wait),
                "error_rate": faults.fold(0.0_f32, f32::max),
            })
        })
        .collect();
    // Three heartbeats: one may be late.
    let nodes = shared.store.nodes(now.before(Duration::from_secs(30))).await.unwrap_or_default();
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|node| {
            json!({
                "id": node.id,
                "address": node.address,
                "version": node.version,
                "started_at": node.started.seconds(),
                "seen_at": node.seen.seconds(),
            })
        })
        .collect();
    let uptime = now.0.saturating_sub(shared.node.started.0) / 1000;
    let counted = shared.metrics.requests_by_class();
    let all: u64 = counted.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "requests and seconds")]
    let rate = all as f64 / uptime.max(1) as f64;
    json!({
        "object": "status",
        "status": if ready { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": shared.node.started.seconds(),
        "uptime_seconds": uptime,
        "models": live.catalogue.models().len(),
        "catalogue_revision": live.revision,
        "nodes": nodes,
        "providers": providers,
        "dependencies": dependencies,
        // Members that models refuse, though no file says so.
        "learned_refusals": shared.routing.refusals.all(),
        "requests": {"total": all, "by_status": counted, "per_second": rate,
                     "in_flight": shared.metrics.in_flight.get()},
    })
}
