//! The composition root: the one place that picks implementations and starts things. Longer than most
//! files, as all of it is one list in the order in which things need each other.

mod beside;
mod gossip;
mod listening;
mod pem;
mod people;
mod reload;
mod resting;
mod signals;
mod sources;
mod survey;
mod telling;
mod tls;
mod waiting;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{HttpServer, web};
use secrecy::ExposeSecret;
use tokio::sync::Notify;

use crate::admit::keys::KeyError;
use crate::admit::{
    Authentication, FactorDuty, Identities, Inflow, KeyTerms, Passwords, Plans, Signers, Throttle,
    keys,
};
use crate::affinity::Affinity;
use crate::apps::Connections;
use crate::base::clock::{Clock, Dice};
use crate::base::proxy::Proxies;
use crate::catalogue::lifecycle;
use crate::config::{self, Config, Fault, Faults};
use crate::findings::{Findings, KnownCorrections, Learned, Recorder};
use crate::gateway::{App, Books, Checks, Node, Routing, Serving, Sessions, Shared};
use crate::issuer::Issuers;
use crate::ledger::{self, Counter, Journal, PricesAsides, Tariff};
use crate::live::Current;
use crate::memory::{Memories, MemoryModels};
use crate::quota::{self, Memory, Quota};
use crate::responses::{Responses, Runs};
use crate::store::{Store, StoreError, file_of};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{
    HealthBoard, Hedges, Limits, Meters, Prober, Refusals, StreamsEnd, Transport, Trust, Upstream,
};
use crate::words::Keeping;
use crate::words::cache::Answers;
use crate::{console, http, sim};

use listening::{Listener, Place};
use reload::{Force, Latest, Making};
use signals::{Signals, Stopping};
pub use sources::{Laid, catalogue, files, predictor, simulated};
pub use survey::{Backing, Survey, egress, examined, survey};
use telling::Telling;

/// The share of streams that may be asked for twice, if nothing else is said.
const HEDGED_SHARE: f64 = 0.02;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is common to every command that touches the store.
pub struct Ground {
    pub config: Config,
    pub plans: Plans,
    pub store: Store,
}

/// Installs the TLS implementation, once per process.
pub fn prepare() {
    // Fails only when one is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration and opens the store.
///
/// # Errors
/// What is wrong with either, in one line.
pub async fn ground(file: Option<&Path>) -> Result<Ground, Failure> {
    let config = config::read(file)?;
    let plans = Plans::new(&config.plans);
    let store = Store::open(&config.store.url, tokio::runtime::Handle::current()).await?;
    Ok(Ground { config, plans, store })
}

fn limits(config: &Config) -> Limits {
    let set = |value: Option<config::Seconds>, otherwise: Duration| {
        value.map_or(otherwise, |value| value.0)
    };
    let standard = Limits::default();
    Limits {
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

/// Runs the gateway until it is told to stop. `simulate` has every model's answers made up.
///
/// # Errors
/// All that keeps it from starting, a line each.
pub async fn serve(
    file: Option<&Path>,
    listen: Option<&str>,
    simulate: bool,
    say: fn(&str),
) -> Result<(), Failure> {
    let config = config::read(file)?;
    crate::telemetry::log::start(config.log.json);
    let listen = listen.unwrap_or(&config.server.listen).to_owned();
    let admin_listen = config.server.admin_listen.clone();
    let listener = listening::bind(&listen);
    if let Ok((listener, _)) = &listener {
        waiting::for_room(&config.store.url, listener).await?;
    }
    let mut survey = survey(config, simulate).await;
    let mut cannot = |at: &str, address: &str, why: std::io::Error| {
        survey.faults.push(Fault::new(at, format!("cannot listen on {address}: {why}")));
    };
    let listener = listener.map_err(|why| cannot("server.listen", &listen, why));
    let admin_listener = admin_listen
        .map(|address| {
            TcpListener::bind(&address).map_err(|why| cannot("server.admin_listen", &address, why))
        })
        .transpose();
    for note in &survey.notes {
        tracing::warn!(at = note.at, remedy = note.remedy, "{}", note.why);
    }
    let Survey {
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
        ..
    } = survey;
    let (Ok(listener), Ok(admin_listener), Some(store), Some((mut live, laid)), Some(apps), true) =
        (listener, admin_listener, store, made, apps, faults.is_empty())
    else {
        return Err(Faults(faults).into());
    };
    // The file of a socket is there as long as anything is answered.
    let (listener, _socket) = listener;
    let place = listener.place()?;

    let mut making = Making { config: Arc::clone(&config), simulation: None };
    let mut simulation = None;
    if answers == Backing::Simulated {
        let socket = TcpListener::bind("127.0.0.1:0")?;
        let base = format!("http://{}", socket.local_addr()?);
        let known = sim::Known::new(&crate::catalogue::builtin()?);
        let server = sim::serve(socket, 1, sim::Manners::Strict(known))?;
        simulation = Some(server.handle());
        tokio::spawn(server);
        making.simulation = Some(base);
        live = making.live(laid, live.revision, live.catalogue.ids().end)?;
    } else {
        // Some megabytes, which nobody needs any more.
        drop(laid);
    }
    let limits = limits(&config);
    // What is simulated is in this process, which no proxy leads to.
    let outward = egress(&config);
    let through = match answers {
        Backing::Real => outward.proxies.clone(),
        Backing::Simulated => Proxies::Never,
    };
    let trust = Trust::new(&outward.authorities)?;
    let clock = Clock::System;
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
            let opened = quota::Shared::open(url, clock);
            Some(opened.map_err(|why| format!("redis.url cannot be used: {why}"))?)
        }
        None => None,
    };
    let counting_together = redis.clone();
    let metrics = Metrics::new()?;
    let telling = Telling::start(&config, collector, &outward, &metrics)?;
    let counting = Counting {
        telling: telling.clone(),
        local: Memory::default(),
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
    if let Some(mail) = mail.clone() {
        // Nothing waits for it at shutdown: what it leaves, it or another node takes later.
        let length = metrics.queue_length.with_label_values(&["mail"]);
        tokio::spawn(mail.carry(store.clone(), clock, move |count| length.set(count)));
    }
    let issuers = Issuers::new(&config.signin.oidc, &outward, clock, sources::secret_variable)?;
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
        register: config.signin.register.clone().or_else(|| {
            let simulated = simulation.is_some();
            simulated.then(|| "free".to_owned())
        }),
    };
    people::first_administrator(&config, &desk).await?;
    let latest = Latest::new(&making);
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
            learned: Learned {
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
        node: Node {
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
            sessions: Sessions {
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
        plans: plans.clone(),
    };
    if config.upstream.probes.unwrap_or(true) {
        let (current, health) =
            (shared.routing.current.clone(), Arc::clone(&shared.routing.health));
        let prober = Prober::new(&limits, &counting.proxies, &counting.trust);
        resting::look_after(current, health, prober)?;
    }
    if let Some(url) = &config.redis.url {
        let (current, health) =
            (shared.routing.current.clone(), Arc::clone(&shared.routing.health));
        gossip::exchange(url, current, health, shared.routing.affinity.clone(), &shared.metrics)?;
    }
    beside::heartbeat(store.clone(), clock, place.to_string());
    let force = Force {
        latest,
        current: shared.routing.current.clone(),
        health: Arc::clone(&shared.routing.health),
        plans: plans.clone(),
        identities: shared.identities.clone(),
        store: store.clone(),
        clock,
    };
    reload::watch(making, config::found(file).map(Path::to_owned), force, signals::hangup()?);
    beside::watch_identities(shared.identities.clone(), Arc::clone(&shared.node.store_is_up));
    if let Some(findings) = &findings {
        beside::learn(findings.clone(), store.clone(), clock);
    }
    beside::sweep(store.clone(), clock, apps);
    let alone = admin.is_none() && config.admin.email.is_none();
    let base = match &place {
        Place::Tcp(address) if tls.is_some() => format!("https://{address}"),
        Place::Tcp(address) => format!("http://{address}"),
        Place::Unix(_) => place.to_string(),
    };
    say(&greeting(&shared, &base, answers, alone).await?);

    let workers = config
        .server
        .workers
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
        .max(1);
    // Probes are answered to the end, and by a worker of their own.
    let watched = admin_listener.is_some();
    let watching = admin_listener.map(|listener| probes(listener, &shared)).transpose()?;
    let draining = Arc::clone(&shared.node.draining);
    let streams_end = shared.node.streams_end.clone();
    let origins = config.server.cors_origins.clone();
    let (spoken, closed) = (http::Spoken::default(), Arc::<Notify>::default());
    let in_flight = shared.metrics.in_flight.clone();
    let server = HttpServer::new(move || {
        let app = worker(shared.clone(), &counting);
        let bare = actix_web::App::new()
            .wrap(from_fn(http::heads))
            .wrap(from_fn(http::connection))
            .wrap(Condition::new(!origins.is_empty(), http::cors(&origins)));
        bare.configure(move |routes| match app {
            Ok(app) => {
                if !watched {
                    routes.app_data(web::Data::new(app.shared.clone()));
                    http::probes(routes);
                }
                routes.app_data(web::Data::new(app));
                http::routes(routes);
                console::routes(routes);
            }
            // Without a client nothing can be answered; the process says why and a probe sees it.
            Err(why) => tracing::error!(%why, "a worker cannot start"),
        })
    })
    .workers(workers)
    .on_connect({
        let spoken = spoken.clone();
        move |connection, known| {
            known.insert(http::Streams::new(&spoken));
            send_at_once(connection);
        }
    })
    .backlog(4096)
    .keep_alive(Duration::from_secs(75))
    .client_request_timeout(Duration::from_secs(10))
    .h1_allow_half_closed(false)
    .shutdown_timeout(config.server.shutdown_grace.0.as_secs())
    .disable_signals();
    let mut server = match (listener, tls) {
        (Listener::Unix(_), Some(_)) => {
            return Err("server.listen: a socket in the file system is not spoken TLS at".into());
        }
        (Listener::Unix(listener), None) => server.listen_uds(listener)?,
        (Listener::Tcp(listener), Some(tls)) => server.listen_rustls_0_23(listener, tls.watch())?,
        (Listener::Tcp(listener), None) if config.server.http2_cleartext => {
            server.listen_auto_h2c(listener)?
        }
        (Listener::Tcp(listener), None) => server.listen(listener)?,
    }
    .run();
    let stopping = Stopping {
        server: server.handle(),
        draining,
        delay: config.server.drain_delay.0,
        streams: streams_end,
        grace: config.server.shutdown_grace.0,
        closed: Arc::clone(&closed),
    };
    Signals::listen()?.stop(stopping);
    tokio::select! {
        ended = &mut server => ended?,
        () = signals::nothing_left(&closed, &spoken, || in_flight.get()) => {}
    }
    // The last of what was delivered goes into the store before we do.
    journal.close(config.server.shutdown_grace.0).await;
    if let Some(findings) = &findings
        && let Err(why) = findings.write_down(&store, clock.now()).await
    {
        tracing::warn!(%why, "what the last answers have shown is lost");
    }
    if let Some(redis) = &counting_together {
        redis.flush().await;
    }
    if let Some(simulation) = simulation {
        simulation.stop(false).await;
    }
    if let Some(watching) = watching {
        watching.stop(false).await;
    }
    telling.finish().await;
    Ok(())
}

/// Answers probes and whoever gathers metrics, on a listener of their own.
fn probes(listener: TcpListener, shared: &Shared) -> std::io::Result<ServerHandle> {
    let shared = web::Data::new(shared.clone());
    let server = HttpServer::new(move || {
        let bare = actix_web::App::new().wrap(from_fn(http::heads));
        bare.app_data(shared.clone()).configure(http::probes)
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    // It ends when the process does.
    tokio::spawn(server);
    Ok(handle)
}

/// Small pieces of a stream must not wait for an acknowledgement (up to 40 ms on Linux).
fn send_at_once(connection: &dyn std::any::Any) {
    type Secured = actix_tls::accept::rustls_0_23::TlsStream<tokio::net::TcpStream>;
    let plain = connection.downcast_ref::<tokio::net::TcpStream>();
    let secured = || connection.downcast_ref::<Secured>().map(|socket| socket.get_ref().0);
    if let Some(socket) = plain.or_else(secured)
        && let Err(why) = socket.set_nodelay(true)
    {
        tracing::debug!(%why, "TCP_NODELAY cannot be set");
    }
}

/// Where requests are counted, and through what they leave: what every worker is made of.
#[derive(Clone)]
struct Counting {
    local: Memory,
    redis: Option<quota::Shared>,
    journal: Journal,
    tariff: Arc<Tariff>,
    proxies: Proxies,
    trust: Trust,
    telling: Telling,
}

/// Beside the SQLite file, or else in the working directory.
fn journal_folder(config: &Config) -> PathBuf {
    if let Some(folder) = &config.ledger.folder {
        return folder.clone();
    }
    PathBuf::from(format!("{}.ledger", file_of(&config.store.url).unwrap_or("optimux")))
}

/// Posts what processes that are gone have left in the journal.
///
/// # Errors
/// When the folder or the store cannot be used.
pub async fn post_leftovers(ground: &Ground) -> Result<(), Failure> {
    ground.plans.reload(&ground.store).await?;
    let folder = journal_folder(&ground.config);
    if folder.exists() {
        ledger::post_leftovers(&folder, &ground.store, &ground.plans.allowances()).await?;
    }
    Ok(())
}

fn worker(shared: Shared, counting: &Counting) -> Result<App, Failure> {
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
        Some(redis) => Quota::Shared(quota::Redis::new(redis.clone())),
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
            PricesAsides::by(move |provider, asides, at| {
                current.load().catalogue.bill_asides(provider, asides, at)
            })
        },
    });
    Ok(App { shared, upstream, dice: std::cell::RefCell::new(dice), counter })
}

/// Says what runs, and how to go on. Where nobody could make a key over HTTP, and the store is empty,
/// it makes the first one. `alone` = there is no administrator.
async fn greeting(
    shared: &Shared,
    base: &str,
    answers: Backing,
    alone: bool,
) -> Result<String, Failure> {
    let models = shared.routing.current.load().catalogue.models().len();
    let mut text = match answers {
        Backing::Real => format!("optimux is listening on {base} with {models} models\n"),
        Backing::Simulated => format!(
            "\noptimux is listening on {base}\n\
             No provider is asked, and {models} models are SIMULATED: answers are made up.\n\
             Set a provider's key (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …) for real ones.\n"
        ),
    };
    let now = shared.clock.now();
    let accounts = shared.store.accounts().await?;
    if alone && let Some(code) = shared.authentication.setup_code().await? {
        let home = shared
            .serving
            .public_url
            .as_deref()
            .map_or_else(|| base.to_owned(), |url| url.trim_end_matches('/').to_owned());
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "\nOpen {home}/setup?code={code}");
    }
    let first = if accounts.is_empty() && (alone || answers == Backing::Simulated) {
        match keys::create_account(&shared.store, "first", "enterprise", None, now).await {
            Ok(account) => Some(account),
            // Another node was faster.
            Err(KeyError::Store(StoreError::Taken(_))) => None,
            Err(why) => return Err(why.into()),
        }
    } else {
        None
    };
    if let Some(account) = first {
        let issued = keys::issue(
            &shared.store,
            account.id.as_str(),
            None,
            "first",
            &KeyTerms::default(),
            now,
        )
        .await?;
        let key = issued.secret.expose_secret();
        let _infallible = write!(
            text,
            "\nYour first key, shown only now: {key}\n\n\
             curl {base}/v1/chat/completions \\\n  \
             -H 'Authorization: Bearer {key}' \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -d '{{\"model\": \"auto\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n"
        );
    } else if let Some(account) = accounts.first() {
        let name = &account.name;
        let _infallible =
            writeln!(text, "Make another key with: optimux key create --account '{name}'");
    } else {
        text.push_str(
            "There is no account yet. Make one with: optimux account create NAME, and its key with: \
             optimux key create --account NAME (or with the administrator's key, over \
             /v1/admin/accounts and /v1/admin/keys)\n",
        );
    }
    Ok(text)
}
