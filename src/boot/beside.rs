//! What a node does beside requests, as long as the process is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::admit::Identities;
use crate::admit::identity::REVISION_INTERVAL;
use crate::base::clock::Clock;
use crate::base::ids::AuditId;
use crate::connect::Apps;
use crate::findings::Findings;
use crate::store::{Node, Store, StoreError};

/// How long events can be read again.
const EVENTS_KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// How long logged contents are kept.
const CONTENTS_KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How long it is known what became of a mail.
const MAIL_KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How long it is known what answers have shown, where none is added: many times its half-life.
const OUTCOMES_KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
/// How often it is written down what answers have shown.
const LEARNING: Duration = Duration::from_secs(5);
/// How often it is worked out what that comes to for all, in turns of those.
const LEARNING_FOR_ALL: u32 = 3;
/// How often a node says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A store that takes longer to say whether anything has changed is not there.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);

/// Says, as long as the process is there, that it is.
pub(super) fn heartbeat(store: Store, clock: Clock, address: String) {
    let started = clock.now();
    let id = AuditId::fresh().as_str().replace("audit_", "node_");
    // Nothing waits for it at shutdown: who is silent is taken to be gone.
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(HEARTBEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (now, address) = (clock.now(), address.clone());
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let node = Node { id: id.clone(), address, version, started, seen: now };
            if let Err(why) = store.hear_of(node, now.before(HEARTBEAT * 60)).await {
                tracing::warn!(%why, "the other nodes cannot be told of this one");
            }
        }
    });
}

/// Writes down what answers have shown, and works out what that comes to for all.
pub(super) fn learn(findings: Findings, store: Store, clock: Clock) {
    // What is left at shutdown is written down there.
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(LEARNING);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut turn = 0_u32;
        loop {
            tick.tick().await;
            if let Err(why) = findings.write_down(&store, clock.now()).await {
                tracing::warn!(%why, "what answers have shown cannot be written to the store now; it is tried again");
            }
            if turn.is_multiple_of(LEARNING_FOR_ALL)
                && let Err(why) = findings.gather(&store, clock.now()).await
            {
                tracing::warn!(%why, "what accounts have found out cannot be read from the store now; it is tried again");
            }
            turn = turn.wrapping_add(1);
        }
    });
}

/// Looks for changes of keys and accounts, made on whichever node; so it is known, too, whether the
/// store is there.
pub(super) fn watch_identities(identities: Identities, store_is_up: Arc<AtomicBool>) {
    // Nothing waits for it at shutdown: it only reads.
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(REVISION_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let asked = tokio::time::timeout(STORE_PATIENCE, identities.keep_up()).await;
            store_is_up.store(matches!(asked, Ok(Ok(()))), Ordering::Relaxed);
            match asked {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    tracing::warn!(%why, "changes of keys and plans cannot be looked for");
                }
                Err(_) => {
                    tracing::warn!(
                        "the store does not answer: changes of keys cannot be looked for"
                    );
                }
            }
        }
    });
}

/// Deletes what is past its time.
pub(super) fn sweep(store: Store, clock: Clock, apps: Apps) {
    // Nothing waits for it at shutdown: what it leaves, the next one takes.
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tick.tick().await;
            let now = clock.now();
            apps.sweep();
            let swept = async {
                Ok::<_, StoreError>((
                    store.sweep_responses(now).await?,
                    store.sweep_pictures(now).await?,
                    store.sweep_idempotency(now).await?
                        + store.sweep_signins(now).await?
                        + store.sweep_spent(now).await?
                        + store.sweep_lent(now).await?
                        + store.sweep_tokens(now).await?
                        + store.sweep_pending(now).await?
                        + store.sweep_mail(now.before(MAIL_KEPT_FOR)).await?
                        + store.sweep_memories(now).await?
                        + store.sweep_outcomes(now.before(OUTCOMES_KEPT_FOR)).await?
                        + store.sweep_events(now.before(EVENTS_KEPT_FOR)).await?
                        + store.sweep_contents(now.before(CONTENTS_KEPT_FOR)).await?,
                ))
            };
            match swept.await {
                Ok((0, 0, 0)) => {}
                Ok((responses, pictures, replays)) => {
                    tracing::info!(responses, pictures, replays, "deleted what was past its time");
                }
                Err(why) => tracing::warn!(%why, "what is past its time cannot be deleted"),
            }
        }
    });
}
