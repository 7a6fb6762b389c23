//! A request as lists show it: a short line, written when the request is settled.

use super::Settlement;
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;

/// The most characters of a name that a head keeps.
const NAME_CHARACTERS: usize = 120;

/// What a list shows of a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "RequestHead")]
pub struct Head {
    pub id: String,
    pub api_key_id: String,
    pub model_requested: String,
    /// Empty when nobody answered, as the provider is.
    pub model: String,
    pub provider: String,
    /// As [`super::Outcome::as_str`] has it.
    pub status: String,
    pub stream: bool,
    pub total_tokens: u64,
    pub credits: i64,
    /// What providers charge; not told to customers who are not to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<Nanos>,
    /// What it is sold for.
    pub list_nano_usd: Nanos,
    pub latency_ms: u64,
    pub time_to_first_byte_ms: u64,
    /// When it ended, in milliseconds since the epoch.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
}

/// A name without what ends a field or a line.
fn push_name(line: &mut String, name: &str) {
    // Mostly there is nothing to leave out.
    if name.len() <= NAME_CHARACTERS && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        line.push_str(name);
    } else {
        let letters = name.chars().take(NAME_CHARACTERS);
        line.extend(letters.map(|letter| if letter.is_control() { ' ' } else { letter }));
    }
    line.push('\t');
}

/// Writes the head of a settlement, and ends the line.
pub fn write(one: &Settlement, line: &mut String) {
    let by = one.by.as_ref();
    let names = [
        one.id.as_str(),
        one.key.as_str(),
        &one.asked,
        by.map_or("", |by| &by.model),
        by.map_or("", |by| &by.provider),
        one.outcome.as_str(),
    ];
    for name in names {
        push_name(line, name);
    }
    line.push_str(if one.streamed { "1" } else { "0" });
    // A line is written for every request: without the machinery of `write!`.
    let mut digits = itoa::Buffer::new();
    let push = |line: &mut String, number: &str| {
        line.push('\t');
        line.push_str(number);
    };
    push(line, digits.format(one.tokens.total()));
    push(line, digits.format(one.credits.0));
    push(line, digits.format(one.cost.0));
    push(line, digits.format(one.latency_ms()));
    push(line, digits.format(one.first_byte_ms));
    push(line, digits.format(one.at.0));
    if let Some(list) = one.list {
        push(line, digits.format(list.0));
    }
    line.push('\n');
}

impl Head {
    /// Reads a line. `None` for one that is none.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut text = || fields.next();
        let mut head = Self {
            id: text()?.to_owned(),
            api_key_id: text()?.to_owned(),
            model_requested: text()?.to_owned(),
            model: text()?.to_owned(),
            provider: text()?.to_owned(),
            status: text()?.to_owned(),
            stream: text()? == "1",
            total_tokens: text()?.parse().ok()?,
            credits: text()?.parse().ok()?,
            cost_nano_usd: Some(Nanos(text()?.parse().ok()?)),
            list_nano_usd: Nanos(0),
            latency_ms: text()?.parse().ok()?,
            time_to_first_byte_ms: text()?.parse().ok()?,
            at_ms: Timestamp(text()?.parse().ok()?),
        };
        // Said where it is not the cost.
        head.list_nano_usd = match text() {
            Some(list) => Nanos(list.parse().ok()?),
            None => head.cost_nano_usd.unwrap_or_default(),
        };
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settlement::tests::settlement;
    use super::*;

    #[test]
    fn a_head_reads_as_it_was_written() {
        let mut one = settlement(3);
        one.asked = "a\tmodel\nof two lines".to_owned();
        let mut line = String::new();
        write(&one, &mut line);
        assert_eq!(line.matches('\n').count(), 1);
        let head = Head::read(line.trim_end()).unwrap();
        assert_eq!(head.id, one.id.as_str());
        assert_eq!(head.model_requested, "a model of two lines");
        assert_eq!((head.total_tokens, head.cost_nano_usd), (one.tokens.total(), Some(one.cost)));
        assert_eq!(head.list_nano_usd, one.cost);
        one.list = Some(Nanos(7));
        line.clear();
        write(&one, &mut line);
        let head = Head::read(line.trim_end()).unwrap();
        assert_eq!((head.list_nano_usd, head.at_ms), (Nanos(7), one.at));
        assert_eq!(head.at_ms, one.at);
        assert_eq!(Head::read("req_1\tkey"), None);
    }
}
