//! The handles of a node, put together from what the configuration came to: what all workers share, and
//! each worker's own.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use secrecy::SecretString;

use super::failure::Failure;
use super::making::CatalogueInputs;
use super::outward::egress;
use super::people;
use super::reload::Latest;
use super::sources::secret_variable;
use super::telling::Telling;
use crate::admit::{
    Authentication, FactorDuty, Identities, Inflow, Passwords, Plans, Signers, Throttle,
};
use crate::affinity::Affinity;
use crate::apps::Connections;
use crate::base::clock::{Clock, Dice};
use crate::base::proxy::Proxies;
use crate::base::seal::Vault;
use crate::catalogue::lifecycle;
use crate::config::{self, Config};
use crate::connect::Apps;
use crate::findings::{CorrectionStore, Findings, KnownCorrections, Recorder};
use crate::gateway::{App, Books, Checks, NodeState, Routing, Serving, SessionLimits, Shared};
use crate::issuer::Issuers;
use crate::ledger::{AuxiliaryPricer, Counter, Journal, Tariff};
use crate::live::{Current, Live};
use crate::memory::{Memories, MemoryModels};
use crate::notice::Mail;
use crate::quota::{self, LocalQuota, Quota};
use crate::responses::{Responses, Runs};
use crate::store::{Store, file_of};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::Collector;
use crate::upstream::{
    AttemptLimits, HealthBoard, Hedges, Meters, Refusals, StreamsEnd, Transport, Trust, Upstream,
};
use crate::words::Keeping;
use crate::words::cache::Answers;

/// The share of streams that may be asked for twice, if nothing else is said.
const HEDGED_SHARE: f64 = 0.02;

/// What a node is made of beside its files, as the configuration has it.
pub(super) struct Parts {
    pub plans: Plans,
    pub store: Store,
    pub live: Live,
    pub admin: Option<SecretString>,
    pub vault: Option<Vault>,
    pub mail: Option<Mail>,
    pub apps: Apps,
    pub collector: Option<Collector>,
    pub clock: Clock,
}

/// What all workers share, and what each of them is made of.
pub(super) struct Assembled {
    pub shared: Shared,
    pub counting: Counting,
    pub latest: Latest,
}

/// Where requests are counted, and through what they leave: what every worker is made of.
#[derive(Clone)]
pub(super) struct Counting {
    local: LocalQuota,
    pub redis: Option<quota::SharedCounters>,
    journal: Journal,
    tariff: Arc<Tariff>,
    pub proxies: Proxies,
    pub trust: Trust,
    pub telling: Telling,
}

/// Puts the handles together. What goes on beside requests is started by whoever serves them.
///
/// # Errors
/// What of it cannot be opened or made.
pub(super) async fn assemble(making: &CatalogueInputs, parts: Parts) -> Result<Assembled, Failure> {
    let Parts { plans, store, live, admin, vault, mail, apps, collector, clock } = parts;
    let config = Arc::clone(&making.config);
    let limits = limits(&config);
    let outward = egress(&config);
    // What is simulated is in this process, which no proxy leads to.
    let through =
        if making.simulation.is_some() { Proxies::Never } else { outward.proxies.clone() };
    let trust = Trust::new(&outward.authorities)?;
    plans.reload(&store).await?;
    let journal = Journal::open(
        journal_folder(&config),
        config.ledger.durability,
        store.clone(),
        plans.allowances(),
    )
    .await?;
    let redis = match &config.redis.url {
        Some(url) => {
            let opened = quota::SharedCounters::open(url, clock);
            Some(opened.map_err(|why| format!("redis.url cannot be used: {why}"))?)
        }
        None => None,
    };
    let metrics = Metrics::new()?;
    let telling = Telling::start(&config, collector, &outward, &metrics)?;
    let counting = Counting {
        telling,
        local: LocalQuota::default(),
        redis: redis.clone(),
        journal: journal.clone(),
        tariff: Arc::new(config.credits.clone()),
        proxies: through,
        trust,
    };
    lifecycle::warn(&live.catalogue, clock.now());
    let signers = Signers::new(store.clone(), vault.clone(), clock);
    let identities =
        Identities::new(store.clone(), plans.clone(), signers.clone(), clock, admin.as_ref());
    let issuers = Issuers::new(&config.signin.oidc, &outward, clock, secret_variable)?;
    if config.signin.totp != FactorDuty::Optional && vault.is_none() {
        let text = "signin.totp wants second factors, and there is no vault key to seal them with";
        return Err(text.into());
    }
    let desk = Authentication {
        issuers,
        store: store.clone(),
        signers,
        passwords: Passwords::default(),
        throttle: Throttle::default(),
        identities: identities.clone(),
        plans: plans.clone(),
        clock,
        vault: vault.clone(),
        mail,
        verify_first: config.signin.verify == config::Verify::First,
        accounts_per_address: config.signin.accounts_per_address,
        factor_duty: config.signin.totp,
        // Where nothing real is configured nothing that anybody does costs anything.
        register: config
            .signin
            .register
            .clone()
            .or_else(|| making.simulation.is_some().then(|| "free".to_owned())),
    };
    people::first_administrator(&config, &desk).await?;
    let latest = Latest::new(making);
    let learns = config.router.learn;
    let recorder = config.router.features.clone().map(Recorder::open).transpose();
    let recorder = recorder.map_err(|why| format!("router.features cannot be written: {why}"))?;
    let findings = learns.then(|| Findings::new(config.router.learn_globally, metrics.clone()));
    let shared = Shared {
        store: store.clone(),
        clock,
        routing: Routing {
            health: Arc::new(HealthBoard::new(live.catalogue.ids())),
            refusals: Arc::new(Refusals::new(metrics.clone())),
            hedges: Arc::new(Hedges::new(config.upstream.hedged_share.unwrap_or(HEDGED_SHARE))),
            current: Current::new(live),
            trial: latest.trial(),
            explore: config.router.explore,
            checks: Checks {
                judge: config.router.cascade.judge.clone(),
                patience: config.router.cascade.judge_timeout.0,
                twice: config.router.cascade.twice,
            },
            affinity: Affinity::default(),
            learned: CorrectionStore {
                store: store.clone(),
                clock,
                corrections: KnownCorrections::default(),
                findings: findings.clone(),
                recorder,
            },
        },
        books: Books {
            journal: journal.clone(),
            redis,
            baseline_model: config.ledger.baseline_model.clone(),
        },
        node: NodeState {
            started: clock.now(),
            store_is_up: Arc::new(AtomicBool::new(true)),
            draining: Arc::default(),
            streams_end: StreamsEnd::default(),
        },
        serving: Serving {
            limits,
            body_limit_bytes: config.server.body_limit_bytes,
            inflow: Inflow::new(config.server.inflow_bytes, config.server.body_limit_bytes),
            strict: config.server.strict,
            sessions: SessionLimits {
                idle: config.realtime.idle_timeout.0,
                duration: config.realtime.max_duration.0,
            },
            images_kept_for: config.images.retention.0,
            public_url: config.server.public_url.clone(),
            behind_proxy: config.signin.behind_proxy,
        },
        metrics,
        words: Keeping { store: store.clone(), clock, answers: Answers::default() },
        memories: Memories::new(
            store.clone(),
            clock,
            MemoryModels {
                embedding_model: config.memory.embedding_model.clone(),
                extraction_model: config.memory.extraction_model.clone(),
            },
        ),
        connections: Connections {
            apps: apps.clone(),
            store: store.clone(),
            clock,
            identities: identities.clone(),
            vault,
            noted: Arc::new(tokio::sync::watch::Sender::new(0)),
        },
        responses: Responses {
            store: store.clone(),
            clock,
            runs: Runs::default(),
            kept_for: config.responses.retention.0,
        },
        identities,
        authentication: desk,
        plans,
    };
    Ok(Assembled { shared, counting, latest })
}

/// # Errors
/// When no client of providers can be made, or the operating system has no randomness to give.
pub(super) fn worker(shared: Shared, counting: &Counting) -> Result<App, Failure> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)?;
    let dice = Dice::seeded(u64::from_le_bytes(seed));
    let trails = counting.telling.trails(&shared.metrics)?;
    let upstream = Upstream {
        trails: trails.clone(),
        transport: Transport::new(&shared.serving.limits, &counting.proxies, &counting.trust),
        health: Arc::clone(&shared.routing.health),
        refusals: Arc::clone(&shared.routing.refusals),
        hedges: Arc::clone(&shared.routing.hedges),
        metrics: shared.metrics.clone(),
        meters: Meters::default(),
        limits: shared.serving.limits,
        proxies: counting.proxies.clone(),
        trust: counting.trust.clone(),
        closing: shared.node.streams_end.watched(),
    };
    let quota = match &counting.redis {
        Some(redis) => Quota::Shared(quota::RedisQuota::new(redis.clone())),
        None => Quota::Local(counting.local.clone()),
    };
    let counter = Rc::new(Counter {
        quota,
        journal: counting.journal.clone(),
        tariff: Arc::clone(&counting.tariff),
        clock: shared.clock,
        patience: shared.serving.limits.deadline,
        trails,
        asides: {
            let current = shared.routing.current.clone();
            AuxiliaryPricer::by(move |provider, asides, at| {
                current.load().catalogue.bill_asides(provider, asides, at)
            })
        },
    });
    Ok(App { shared, upstream, dice: std::cell::RefCell::new(dice), counter })
}

fn limits(config: &Config) -> AttemptLimits {
    let set = |value: Option<config::Seconds>, otherwise: Duration| {
        value.map_or(otherwise, |value| value.0)
    };
    let standard = AttemptLimits::default();
    AttemptLimits {
        connect: set(config.upstream.connect_timeout, standard.connect),
        first_byte: set(config.upstream.first_byte_timeout, standard.first_byte),
        first_token: set(config.upstream.first_token_timeout, standard.first_token),
        idle: set(config.upstream.idle_timeout, standard.idle),
        deadline: config.server.request_timeout.0,
        attempts: config.upstream.attempts.unwrap_or(standard.attempts).max(1),
        tries_per_deployment: config.upstream.tries.unwrap_or(standard.tries_per_deployment).max(1),
        rescue: config.upstream.rescue.unwrap_or(standard.rescue),
        keep_alive: set(config.upstream.keep_alive, standard.keep_alive),
        ..standard
    }
}

/// Beside the SQLite file, or else in the working directory.
pub(super) fn journal_folder(config: &Config) -> PathBuf {
    if let Some(folder) = &config.ledger.folder {
        return folder.clone();
    }
    PathBuf::from(format!("{}.ledger", file_of(&config.store.url).unwrap_or("optimux")))
}
