//! What is changed in an answer that passes through, and what is counted of it.

use serde_json::Value;

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
        let quoted = |name: &str| Value::from(name).to_string();
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

/// Members of a report of usage that say what the provider charges: OpenRouter's `cost` and `cost_details`,
/// Perplexity's `cost`, xAI's `cost_in_usd_ticks`, `DeepInfra`'s `estimated_cost`.
fn says_cost(member: &str) -> bool {
    member.contains("cost")
}

/// A report of usage as the provider wrote it, without what it charges.
pub(super) fn hide_cost(usage: &mut Usage) {
    if let Some((_, Value::Object(members))) = &mut usage.raw {
        members.retain(|name, _| !says_cost(name));
    }
}

/// The same in an answer, or an event, of OpenAI's dialects that passes through. `None` where nothing is
/// said of it.
pub(super) fn without_cost(body: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(body, b"cost")?;
    let mut edits = Vec::new();
    // The key cannot occur inside a string, whose quotes are escaped, and arguments of calls are strings.
    for at in memchr::memmem::find_iter(body, b"\"usage\"") {
        let after = at + 7;
        let rest = body.get(after..)?;
        let gap = |byte: &&u8| matches!(byte, b' ' | b':' | b'\n' | b'\r' | b'\t');
        let start = after + rest.iter().take_while(gap).count();
        let mut values = serde_json::Deserializer::from_slice(body.get(start..)?)
            .into_iter::<serde_json::Map<String, Value>>();
        let Some(Ok(mut members)) = values.next() else { continue };
        let end = start + values.byte_offset();
        let all = members.len();
        members.retain(|name, _| !says_cost(name));
        if members.len() < all {
            edits.push((start..end, Value::Object(members).to_string()));
        }
    }
    let edits: Vec<_> = edits.iter().map(|(span, text)| (span.clone(), text.as_bytes())).collect();
    (!edits.is_empty()).then(|| splice(body, &edits))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_charges_is_taken_out_of_its_usage_and_nothing_else() {
        for (body, wanted) in [
            (
                r#"{"choices":[{"delta":{"content":"the cost"}}],"usage":{"prompt_tokens":1,"cost":0.5,"cost_details":{"a":1}}}"#,
                Some(
                    r#"{"choices":[{"delta":{"content":"the cost"}}],"usage":{"prompt_tokens":1}}"#,
                ),
            ),
            (
                r#"{"response":{"usage": {"input_tokens":1,"cost_in_usd_ticks":5}},"cost":"kept"}"#,
                Some(r#"{"response":{"usage": {"input_tokens":1}},"cost":"kept"}"#),
            ),
            (r#"{"usage":null,"text":"cost"}"#, None),
            (r#"{"usage":{"prompt_tokens":1},"text":"what does it cost"}"#, None),
            (r#"{"arguments":"{\"usage\":{\"cost\":1}}"}"#, None),
            (r#"{"usage":{"cost":"#, None),
        ] {
            let told = without_cost(body.as_bytes());
            let told = told.map(|told| String::from_utf8(told).unwrap());
            assert_eq!(told.as_deref(), wanted, "{body}");
        }
    }
}
