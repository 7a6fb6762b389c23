//! Files of `providers/` as text: what is written by hand is read, and what is made from a list is
//! written below it, a line for each price and for all facts of a thing.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::CatalogueFault;
use super::published::Part;

/// What is above this line is written by hand.
pub const MARKER: &str =
    "# Below: written by `optimux catalogue write`; what is changed there is lost.";

/// How the marker begins, whatever it goes on to say.
const MARKED: &str = "# Below: written by";

/// Reads TOML.
///
/// # Errors
/// What is wrong, with its line.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, CatalogueFault> {
    toml::from_str(text).map_err(|why| CatalogueFault(why.to_string().trim_end().to_owned()))
}

/// The line, from 1, of what stands at a path: names of tables, and places in lists. Of what is not
/// there, the line of the last that is.
#[must_use]
pub fn line_of(text: &str, path: &[String]) -> Option<usize> {
    use toml::de::{DeTable, DeValue};
    let whole = DeTable::parse(text).ok()?;
    let mut table = Some(whole.get_ref());
    let mut list = None;
    let mut place = None;
    for name in path {
        let found = match (table, list) {
            (Some(table), _) => {
                table.get_key_value(name.as_str()).map(|(key, value)| (key.span(), value))
            }
            (None, Some(list)) => {
                let list: &toml::de::DeArray<'_> = list;
                name.parse()
                    .ok()
                    .and_then(|index: usize| list.get(index))
                    .map(|value| (value.span(), value))
            }
            (None, None) => None,
        };
        let Some((span, value)) = found else { break };
        place = Some(span.start);
        (table, list) = match value.get_ref() {
            DeValue::Table(inner) => (Some(inner), None),
            DeValue::Array(inner) => (None, Some(inner)),
            _ => (None, None),
        };
    }
    Some(text.get(..place?)?.matches('\n').count() + 1)
}

/// The part of a file that is written by hand.
#[must_use]
pub fn head(text: &str) -> &str {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(MARKED) {
            break;
        }
        start += line.len();
    }
    text.get(..start).unwrap_or(text).trim_end()
}

/// A file: its head as it was, and what a list says of the provider.
///
/// # Errors
/// An entry that cannot be written, which would be a fault of ours.
pub fn file(head: &str, part: &Part) -> Result<String, CatalogueFault> {
    let mut text = format!("{}\n\n{MARKER}\n", head.trim_end());
    for model in &part.models {
        entry(&mut text, "models", model)?;
    }
    for deployment in &part.deployments {
        entry(&mut text, "deployments", deployment)?;
    }
    Ok(text)
}

fn entry<T: Serialize>(text: &mut String, table: &str, entry: &T) -> Result<(), CatalogueFault> {
    let value = serde_json::to_value(entry).map_err(|why| CatalogueFault(why.to_string()))?;
    let _fine = write!(text, "\n[[{table}]]\n");
    let Value::Object(members) = value else { return Ok(()) };
    for (name, value) in &members {
        if value.is_null() {
            continue;
        }
        text.push_str(name);
        text.push_str(" = ");
        match value {
            // A line for each, so that a change is a line of the difference.
            Value::Array(list) if list.iter().any(Value::is_object) => {
                text.push_str("[\n");
                for one in list {
                    text.push_str("  ");
                    inline(text, one);
                    text.push_str(",\n");
                }
                text.push(']');
            }
            other => inline(text, other),
        }
        text.push('\n');
    }
    Ok(())
}

/// A value on one line.
fn inline(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _fine = write!(text, "{number}");
        }
        Value::String(string) => quoted(text, string),
        Value::Array(list) => {
            text.push('[');
            for (index, one) in list.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                inline(text, one);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push_str("{ ");
            let mut first = true;
            for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                if !std::mem::take(&mut first) {
                    text.push_str(", ");
                }
                let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if !name.is_empty() && name.chars().all(bare) {
                    text.push_str(name);
                } else {
                    quoted(text, name);
                }
                text.push_str(" = ");
                inline(text, value);
            }
            text.push_str(" }");
        }
    }
}

/// A string as TOML has them, which is as JSON has them but for `\/`, which nobody writes.
fn quoted(text: &mut String, string: &str) {
    text.push_str(&Value::from(string).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{FileDeployment, ModelEntry, PriceEntry, ProviderEntry, RatesEntry};

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let rates = RatesEntry { input: Some(0.1), output: Some(20.0), ..RatesEntry::default() };
        let price = PriceEntry { usd_per_million: Some(rates), ..PriceEntry::default() };
        let part = Part {
            provider: "acme".to_owned(),
            models: vec![ModelEntry {
                id: "one \"quoted\"".to_owned(),
                aliases: Some(vec!["two".to_owned()]),
                ..ModelEntry::default()
            }],
            deployments: vec![FileDeployment {
                model: "one \"quoted\"".to_owned(),
                name: "acme/one".to_owned(),
                prices: vec![
                    price.clone(),
                    PriceEntry { until: Some("2027-01-01".to_owned()), ..price },
                ],
                region_uplift: [("us".to_owned(), 1.1), ("a.b".to_owned(), 2.0)].into(),
                ..FileDeployment::default()
            }],
        };
        let head_text = "# By hand.\nid = \"acme\"";
        let written = file(head_text, &part).unwrap();
        let back: ProviderEntry = read(&written).unwrap();
        assert_eq!(
            (back.models, back.deployments),
            (part.models.clone(), part.deployments.clone())
        );
        assert_eq!(head(&written), head_text);
        assert_eq!(file(head(&written), &part).unwrap(), written);
    }
}
