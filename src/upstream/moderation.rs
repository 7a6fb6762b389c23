//! A provider's moderation endpoint, which is asked beside a request and is charged to nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Upstream;
use super::reading::read_whole;
use super::scrub::scrubbed;
use crate::catalogue::{DeploymentId, Provider};
use crate::wire::codec;
use crate::wire::vocab::{Dialect, Fault, FaultKind};

/// The longest answer that is read.
const ANSWER_BYTES: usize = 1 << 20;
/// Of no deployment that the catalogue has: which of a provider's keys is next does not depend on one.
const NONE: DeploymentId = DeploymentId(usize::MAX);

/// Asks with one of the provider's keys, and once more with another where that one is refused or limited.
///
/// # Errors
/// When there is no answer in time.
pub async fn moderate(
    upstream: &Upstream,
    provider: &Arc<Provider>,
    question: Bytes,
    patience: Duration,
) -> Result<Bytes, Fault> {
    let until = Instant::now() + patience;
    let first = upstream.health.keys().pick_of(provider, NONE, Instant::now());
    let several = provider.keys.len() > 1;
    match asked(upstream, provider, first, question.clone(), until).await {
        Err(fault) if several && is_of_the_key(fault.kind) => {
            let next = (first + 1) % provider.keys.len();
            asked(upstream, provider, next, question, until).await
        }
        answer => answer,
    }
}

fn is_of_the_key(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Credential | FaultKind::Quota | FaultKind::RateLimited)
}

async fn asked(
    upstream: &Upstream,
    provider: &Arc<Provider>,
    key: usize,
    question: Bytes,
    until: Instant,
) -> Result<Bytes, Fault> {
    let left = || until.saturating_duration_since(Instant::now());
    let answer = upstream.transport.moderate((provider, key), question, left()).await?;
    let status = answer.status;
    let body = read_whole(answer, left(), ANSWER_BYTES).await?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(scrubbed(codec(Dialect::OpenAiChat).decode_error(status, &body), provider))
}
