//! Durations as people write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration: `30`, `"30s"`, `"250ms"`, `"5m"`, `"12h"` or `"30d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl schemars::JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["number", "string"], "minimum": 0})
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Whole(u64),
            Part(f64),
            Text(String),
        }
        let wrong = || {
            serde::de::Error::custom("expected a duration such as 30, \"30s\", \"250ms\" or \"5m\"")
        };
        let seconds = match Spelled::deserialize(deserializer)? {
            Spelled::Whole(seconds) => return Ok(Self(Duration::from_secs(seconds))),
            Spelled::Part(seconds) => seconds,
            Spelled::Text(text) => {
                let text = text.trim();
                let (number, unit) = [
                    ("ms", 0.001),
                    ("s", 1.0),
                    ("m", 60.0),
                    ("h", 3_600.0),
                    ("d", 86_400.0),
                    ("", 1.0),
                ]
                .into_iter()
                .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))
                .ok_or_else(wrong)?;
                number.trim().parse::<f64>().map_err(|_| wrong())? * unit
            }
        };
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| wrong())
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        #[derive(Deserialize)]
        struct One {
            wait: Seconds,
        }
        for (text, millis) in [
            ("30", 30_000),
            ("\"30s\"", 30_000),
            ("\"250ms\"", 250),
            ("\"5m\"", 300_000),
            ("\"2h\"", 7_200_000),
            ("\"1d\"", 86_400_000),
            ("0.5", 500),
        ] {
            let one: One = serde_json::from_str(&format!("{{\"wait\":{text}}}")).unwrap();
            assert_eq!(one.wait.0, Duration::from_millis(millis), "{text}");
        }
        assert!(serde_json::from_str::<One>("{\"wait\":\"soon\"}").is_err());
    }
}
