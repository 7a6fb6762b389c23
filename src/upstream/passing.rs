//! What is changed in an answer that passes through, and what is counted of it.

use super::Upstream;
use crate::ledger::Tokens;
use crate::router::Step;
use crate::wire::frame::json::splice;
use crate::wire::vocab::Usage;

/// What of a provider's report of usage the caller is not to read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Withheld {
    /// The event that was asked for by us alone.
    pub usage: bool,
    /// What the provider says that it charges.
    pub cost: bool,
}

/// The provider's own name for the deployment becomes the catalogue's. A name that says more (a
/// dated snapshot) stays, and so does everything else. Both names are kept as JSON writes them, so
/// that a stream's chunks need not.
#[derive(Debug)]
pub(super) struct Rename {
    from: String,
    to: String,
}

impl Rename {
    /// `None` where both call it the same.
    pub(super) fn of(step: &Step) -> Option<Self> {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        (step.deployment.name != *step.model.id)
            .then(|| Self { from: quoted(&step.deployment.name), to: quoted(&step.model.id) })
    }

    /// `None` where the name does not occur.
    pub(super) fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        // The key cannot occur inside a string, whose quotes are escaped.
        let span = memchr::memmem::find_iter(body, b"\"model\"").find_map(|at| {
            let after = at + 7;
            let rest = body.get(after..)?;
            let gap = |byte: &&u8| matches!(byte, b' ' | b':' | b'\n' | b'\t');
            let start = after + rest.iter().take_while(gap).count();
            body.get(start..)?
                .starts_with(self.from.as_bytes())
                .then(|| start..start + self.from.len())
        })?;
        Some(splice(body, &[(span, self.to.as_bytes())]))
    }
}

pub(super) fn count_tokens(upstream: &Upstream, step: &Step, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    let meters = upstream.meters.of(step, &upstream.metrics);
    let folded = Tokens::from(usage);
    for (counter, tokens) in meters.tokens.iter().zip([
        folded.fresh(),
        folded.cached(),
        folded.cache_writes(),
        folded.written(),
        folded.thought,
    ]) {
        if tokens > 0 {
            counter.inc_by(tokens);
        }
    }
}
