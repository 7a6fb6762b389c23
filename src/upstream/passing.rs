//! What is changed in an answer that passes through, and what is counted of it.

use bytes::Bytes;

use super::Upstream;
use crate::router::Step;
use crate::wire::frame::json::splice;
use crate::wire::vocab::Usage;

/// The provider's own name for the deployment becomes the catalogue's. A name that says more (a
/// dated snapshot) stays, and so does everything else.
pub(super) fn renamed(body: Bytes, step: &Step) -> Bytes {
    if step.deployment.name == *step.model.id {
        return body;
    }
    match rename_span(&body, &step.deployment.name) {
        Some(span) => {
            let name = serde_json::Value::from(&*step.model.id).to_string();
            Bytes::from(splice(&body, &[(span, name.as_bytes())]))
        }
        None => body,
    }
}

/// Where `"model": "NAME"` stands. The key cannot occur inside a string, whose quotes are escaped.
pub(super) fn rename_span(body: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
    let quoted = serde_json::Value::from(name).to_string();
    memchr::memmem::find_iter(body, b"\"model\"").find_map(|at| {
        let after = at + 7;
        let rest = body.get(after..)?;
        let skipped =
            rest.iter().take_while(|byte| matches!(byte, b' ' | b':' | b'\n' | b'\t')).count();
        let start = after + skipped;
        body.get(start..)?.starts_with(quoted.as_bytes()).then(|| start..start + quoted.len())
    })
}

pub(super) fn count_tokens(upstream: &Upstream, step: &Step, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    for (kind, tokens) in [
        ("input", usage.input),
        ("cache_read", usage.cache_read),
        ("cache_write", usage.cache_write),
        ("output", usage.output),
        ("thought", usage.thought),
    ] {
        if tokens > 0 {
            upstream
                .metrics
                .tokens
                .with_label_values(&[&*step.deployment.provider.id, &*step.model.id, kind])
                .inc_by(tokens);
        }
    }
}
