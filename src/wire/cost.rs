//! What a provider itself says that it charges, in its reports of usage: taken out for callers who are not to
//! know it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::frame::json::{span_of, splice};
use super::vocab::Usage;

/// Members of a report of usage that say it: OpenRouter's `cost` and `cost_details`, Perplexity's `cost`, xAI's
/// `cost_in_usd_ticks`, `DeepInfra`'s `estimated_cost`.
fn says_cost(member: &str) -> bool {
    member.to_ascii_lowercase().contains("cost")
}

fn hide_in(usage: &mut Map<String, Value>) {
    usage.retain(|name, _| !says_cost(name));
}

/// Takes it out of a report as the provider wrote it.
pub fn hide(usage: &mut Usage) {
    if let Some((_, Value::Object(members))) = &mut usage.raw {
        hide_in(members);
    }
}

/// Where answers and events have their usage; what else they hold is not read.
#[derive(Deserialize)]
struct Reporting<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// Of events of Responses, and of Anthropic's.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// The same of an answer, or an event, as its bytes came. `None` where nothing is said of it, and for what is no
/// JSON object.
#[must_use]
pub fn without(body: &[u8]) -> Option<Vec<u8>> {
    // Nearly every event says nothing of it, and is not read.
    memchr::memmem::find(body, b"usage")?;
    memchr::memmem::find(body, b"cost").or_else(|| memchr::memmem::find(body, b"Cost"))?;
    let all: Reporting<'_> = serde_json::from_slice(body).ok()?;
    let within = [all.response, all.message].into_iter().flatten();
    let within = within.filter_map(|raw| serde_json::from_str::<Reporting<'_>>(raw.get()).ok());
    let mut edits = Vec::new();
    for usage in within.filter_map(|inner| inner.usage).chain(all.usage) {
        let Ok(mut members) = serde_json::from_str::<Map<String, Value>>(usage.get()) else {
            continue;
        };
        let count = members.len();
        hide_in(&mut members);
        if members.len() < count {
            edits.push((span_of(body, usage.get())?, Value::Object(members).to_string()));
        }
    }
    edits.sort_by_key(|(span, _)| span.start);
    let edits: Vec<_> = edits.iter().map(|(span, text)| (span.clone(), text.as_bytes())).collect();
    (!edits.is_empty()).then(|| splice(body, &edits))
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
            (
                r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"totalCost":2}}}"#,
                Some(r#"{"type":"message_start","message":{"usage":{"input_tokens":1}}}"#),
            ),
            // What a tool is called with is the model's, whatever its members are called.
            (
                r#"{"content":[{"type":"tool_use","input":{"usage":{"cost":5}}}],"usage":{"output_tokens":1}}"#,
                None,
            ),
            (r#"{"usage":null,"text":"cost"}"#, None),
            (r#"{"usage":{"prompt_tokens":1},"text":"what does it cost"}"#, None),
            (r#"{"arguments":"{\"usage\":{\"cost\":1}}"}"#, None),
            (r#"{"usage":{"cost":"#, None),
            (
                r#"{"message":"the cost of usage","usage":{"cost":1}}"#,
                Some(r#"{"message":"the cost of usage","usage":{}}"#),
            ),
        ] {
            let told = without(body.as_bytes()).map(|told| String::from_utf8(told).unwrap());
            assert_eq!(told.as_deref(), wanted, "{body}");
        }
    }
}
