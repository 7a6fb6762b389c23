//! Wishes as they are spelled.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Cutoffs, Preferences, SortBy, SortWish, Wishes};
use crate::wire::vocab::Malformed;

/// More models, providers or patterns are not asked for in earnest.
const MOST: usize = 64;

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum SortSpelled {
    Word(SortBy),
    Object(SortObject),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SortObject {
    by: Option<SortBy>,
    partition: Option<Partition>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Partition {
    Model,
    None,
}

impl From<SortSpelled> for SortWish {
    fn from(spelled: SortSpelled) -> Self {
        match spelled {
            SortSpelled::Word(by) => Self { by: Some(by), over_all: false },
            SortSpelled::Object(SortObject { by, partition }) => {
                Self { by, over_all: partition == Some(Partition::None) }
            }
        }
    }
}

/// A price as a number, or as a text that holds one.
pub(super) fn usd<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Spelled {
        Number(f64),
        Text(String),
    }
    let price = match Option::<Spelled>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Spelled::Number(number)) => Some(number),
        Some(Spelled::Text(text)) => text.trim().parse().ok(),
    };
    let good = price.filter(|price: &f64| *price >= 0.0 && price.is_finite());
    good.map(Some).ok_or_else(|| serde::de::Error::custom("expected US dollars, 0 or more"))
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum CutoffsSpelled {
    Number(f32),
    Object(Percentiles),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Percentiles {
    p50: Option<f32>,
    p75: Option<f32>,
    p90: Option<f32>,
    p99: Option<f32>,
}

impl From<CutoffsSpelled> for Cutoffs {
    fn from(spelled: CutoffsSpelled) -> Self {
        match spelled {
            CutoffsSpelled::Number(number) => Self([Some(number), None, None, None]),
            CutoffsSpelled::Object(Percentiles { p50, p75, p90, p99 }) => {
                Self([p50, p75, p90, p99])
            }
        }
    }
}

impl Wishes {
    /// What members of a body say. What is said twice holds as `self` has it.
    ///
    /// # Errors
    /// [`Malformed`] naming the member that cannot be read, or that nothing here can meet.
    pub fn read(&mut self, mut members: Map<String, Value>) -> Result<(), Malformed> {
        let mut said = Members { path: "", all: &mut members };
        let models = said.names("models")?;
        // OpenRouter's older way to say that `models` are to be asked in turn, which they are.
        if said.take::<String>("route")?.is_some_and(|route| route != "fallback") {
            return Err(Malformed::invalid("route", "expected \"fallback\""));
        }
        let auto: Map<String, Value> = said.take("auto_models")?.unwrap_or_default();
        let provider: Map<String, Value> = said.take("provider")?.unwrap_or_default();
        if self.models.is_empty() {
            self.models = models;
        }
        if self.provider == Preferences::NONE {
            self.provider = Preferences::read(provider)?;
        }
        let mut auto = auto;
        let mut said = Members { path: "auto_models.", all: &mut auto };
        let (allow, deny) = (said.names("allow")?, said.names("deny")?);
        said.end()?;
        if self.allow.is_empty() {
            self.allow = allow;
        }
        if self.deny.is_empty() {
            self.deny = deny;
        }
        Ok(())
    }
}

impl Preferences {
    fn read(mut members: Map<String, Value>) -> Result<Self, Malformed> {
        let mut said = Members { path: "provider.", all: &mut members };
        let read = Self {
            sold: None,
            order: said.names("order")?,
            only: said.names("only")?,
            ignore: said.names("ignore")?,
            allow_fallbacks: said.take("allow_fallbacks")?,
            require_parameters: said.take("require_parameters")?.unwrap_or(false),
            data_collection: said.take("data_collection")?,
            zdr: said.take("zdr")?.unwrap_or(false),
            enforce_distillable_text: said.take("enforce_distillable_text")?.unwrap_or(false),
            quantizations: said.list("quantizations")?,
            sort: said.take("sort")?,
            max_price: said.take("max_price")?.unwrap_or_default(),
            preferred_min_throughput: said.take("preferred_min_throughput")?,
            preferred_max_latency: said.take("preferred_max_latency")?,
        };
        said.end()?;
        Ok(read)
    }
}

/// Members that are taken one by one.
struct Members<'a> {
    path: &'static str,
    all: &'a mut Map<String, Value>,
}

impl Members<'_> {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Malformed> {
        match self.all.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|why| Malformed::invalid(&format!("{}{name}", self.path), why)),
        }
    }

    fn names(&mut self, name: &str) -> Result<Vec<String>, Malformed> {
        self.list(name)
    }

    fn list<T: DeserializeOwned>(&mut self, name: &str) -> Result<Vec<T>, Malformed> {
        let list: Vec<T> = self.take(name)?.unwrap_or_default();
        if list.len() > MOST {
            let why = format!("expected at most {MOST} names");
            return Err(Malformed::invalid(&format!("{}{name}", self.path), why));
        }
        Ok(list)
    }

    /// Nothing else may be there.
    fn end(self) -> Result<(), Malformed> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(name) => {
                let path = format!("{}{name}", self.path);
                Err(Malformed::new(format!("'{path}' is not supported here. Leave it out."))
                    .at(path)
                    .coded("unsupported_parameter"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaxPrice;
    use super::*;
    use crate::catalogue::Quantization;
    use serde_json::json;

    fn read(members: Value) -> Result<Wishes, Malformed> {
        let Value::Object(members) = members else { panic!() };
        let mut wishes = Wishes::default();
        wishes.read(members)?;
        Ok(wishes)
    }

    #[test]
    fn every_spelling_of_openrouters_is_read() {
        let wishes = read(json!({
            "models": ["a", "b"], "route": "fallback",
            "provider": {
                "order": ["anthropic", "openai"], "only": null, "allow_fallbacks": false,
                "sort": {"by": "throughput", "partition": "none"},
                "max_price": {"prompt": 1, "completion": "2.5", "request": 0.01, "image": "0", "audio": null},
                "preferred_min_throughput": {"p90": 50}, "preferred_max_latency": 3,
                "data_collection": "deny", "zdr": true, "require_parameters": true,
                "enforce_distillable_text": true, "quantizations": ["int4", "bf16", "unknown"]
            }
        }))
        .unwrap();
        assert_eq!(wishes.models, ["a", "b"]);
        let provider = wishes.provider;
        assert_eq!(provider.order, ["anthropic", "openai"]);
        assert_eq!(provider.sort, Some(SortWish { by: Some(SortBy::Throughput), over_all: true }));
        let max_price = MaxPrice {
            prompt: Some(1.0),
            completion: Some(2.5),
            audio: None,
            request: Some(0.01),
            image: Some(0.0),
        };
        assert_eq!(provider.max_price, max_price);
        let fast = provider.preferred_min_throughput;
        assert_eq!(fast, Some(Cutoffs([None, None, Some(50.0), None])));
        assert_eq!(provider.preferred_max_latency, Some(Cutoffs([Some(3.0), None, None, None])));
        assert!(provider.zdr && provider.require_parameters && provider.enforce_distillable_text);
        let weights = [Quantization::Int4, Quantization::Bf16, Quantization::Unknown];
        assert_eq!(provider.quantizations, weights);
        let sort = read(json!({"provider": {"sort": "price"}})).unwrap().provider.sort;
        assert_eq!(sort, Some(SortWish { by: Some(SortBy::Price), over_all: false }));
    }

    #[test]
    fn what_cannot_be_read_or_met_is_named() {
        for (members, field) in [
            (json!({"models": "a"}), "models"),
            (json!({"models": vec!["a"; 65]}), "models"),
            (json!({"route": "random"}), "route"),
            (json!({"provider": []}), "provider"),
            (json!({"provider": {"quantizations": ["fp9"]}}), "provider.quantizations"),
            (json!({"provider": {"quantizations": "fp8"}}), "provider.quantizations"),
            (json!({"provider": {"quantizations": vec!["fp8"; 65]}}), "provider.quantizations"),
            (json!({"provider": {"experimental": {}}}), "provider.experimental"),
            (json!({"provider": {"sort": "speed"}}), "provider.sort"),
            (json!({"provider": {"max_price": {"prompt": -1}}}), "provider.max_price"),
            (json!({"provider": {"max_price": {"video": 1}}}), "provider.max_price"),
            (json!({"provider": {"data_collection": "no"}}), "provider.data_collection"),
            (json!({"auto_models": {"allowed": []}}), "auto_models.allowed"),
        ] {
            let refused = read(members.clone()).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(field), "{members}");
        }
    }
}
