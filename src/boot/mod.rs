//! The composition root: the one place that picks implementations and starts things.

mod assembly;
mod beside;
mod failure;
#[cfg(test)]
pub(crate) mod fixture;
mod gossip;
mod listening;
mod making;
mod outward;
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
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{ServerHandle, Service as _};
use actix_web::middleware::{Condition, from_fn};
use actix_web::{HttpServer, web};
use secrecy::ExposeSecret;
use tokio::sync::Notify;

use crate::admit::keys::KeyError;
use crate::admit::{KeyTerms, Plans, keys};
use crate::base::clock::Clock;
use crate::config::{self, Config, ConfigFault, Faults};
use crate::gateway::Shared;
use crate::ledger;
use crate::store::{Store, StoreError};
use crate::upstream::Prober;
use crate::{console, http, sim};

use assembly::{Assembled, Parts, assemble, journal_folder, worker};
pub use failure::Failure;
use listening::{Listener, NodeAddress};
use making::CatalogueInputs;
pub use outward::egress;
use reload::Force;
use signals::{Signals, Stopping};
pub use sources::{CatalogueSources, catalogue, files, predictor, simulated};
pub use survey::{Backing, Survey, examined, survey};

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
    let plans = Plans::new(&config.plans, config.selling());
    let store = Store::open(&config.store.url, tokio::runtime::Handle::current()).await?;
    Ok(Ground { config, plans, store })
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
        survey.faults.push(ConfigFault::new(at, format!("cannot listen on {address}: {why}")));
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

    let mut making = CatalogueInputs { config: Arc::clone(&config), simulation: None };
    let mut simulation = None;
    if answers == Backing::Simulated {
        let socket = TcpListener::bind("127.0.0.1:0")?;
        let base = format!("http://{}", socket.local_addr()?);
        let known = sim::FactsIndex::new(&crate::catalogue::builtin()?);
        let server = sim::serve(socket, 1, sim::Strictness::Strict(known))?;
        simulation = Some(server.handle());
        tokio::spawn(server);
        making.simulation = Some(base);
        live = making.live(laid, live.revision, live.catalogue.ids().end)?;
    } else {
        // Some megabytes, which nobody needs any more.
        drop(laid);
    }
    let alone = admin.is_none() && config.admin.email.is_none();
    let parts =
        Parts { plans, store, live, admin, vault, mail, apps, collector, clock: Clock::System };
    let Assembled { shared, counting, latest } = Box::pin(assemble(&making, parts)).await?;
    let (clock, store, journal) =
        (shared.clock, shared.store.clone(), shared.books.journal.clone());
    let (findings, redis) = (shared.routing.learned.findings.clone(), shared.books.redis.clone());
    let telling = counting.telling.clone();
    if let Some(mail) = shared.authentication.mail.clone() {
        // Nothing waits for it at shutdown: what it leaves, it or another node takes later.
        let length = shared.metrics.queue_length.with_label_values(&["mail"]);
        tokio::spawn(mail.carry(store.clone(), clock, move |count| length.set(count)));
    }
    if config.upstream.probes.unwrap_or(true) {
        let (current, health) =
            (shared.routing.current.clone(), Arc::clone(&shared.routing.health));
        let prober = Prober::new(&shared.serving.limits, &counting.proxies, &counting.trust);
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
        plans: shared.plans.clone(),
        identities: shared.identities.clone(),
        store: store.clone(),
        clock,
    };
    reload::watch(making, config::found(file).map(Path::to_owned), force, signals::hangup()?);
    beside::watch_identities(shared.identities.clone(), Arc::clone(&shared.node.store_is_up));
    if let Some(findings) = &findings {
        beside::learn(findings.clone(), store.clone(), clock);
    }
    beside::sweep(store.clone(), clock, shared.connections.apps.clone());
    let base = match &place {
        NodeAddress::Tcp(address) if tls.is_some() => format!("https://{address}"),
        NodeAddress::Tcp(address) => format!("http://{address}"),
        NodeAddress::Unix(_) => place.to_string(),
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
    let (spoken, closed) = (http::Http2Seen::default(), Arc::<Notify>::default());
    let in_flight = shared.metrics.in_flight.clone();
    let server = HttpServer::new(move || {
        let app = worker(shared.clone(), &counting);
        let bare = actix_web::App::new()
            .wrap(from_fn(http::connection))
            .wrap(Condition::new(!origins.is_empty(), http::cors(&origins)));
        bare.configure(move |routes| match app {
            Ok(app) => {
                if !watched {
                    routes.app_data(web::Data::new(app.shared.clone()));
                    http::probes_beside_callers(routes);
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
    if let Some(redis) = &redis {
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
        actix_web::App::new()
            .app_data(shared.clone())
            .wrap_fn(|mut request, service| {
                http::head_as_get(&mut request);
                service.call(request)
            })
            .configure(http::probes)
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
