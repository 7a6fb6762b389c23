//! What administrators say of providers, models, routes, prices and plans while the gateway runs: laid over
//! the files and the configuration, as the configuration is laid over the files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::{ModelEntry, ProviderEntry};
use super::fault::CatalogueFault;
use super::place::merged;
use super::price::{PriceEntry, RatesEntry};

/// The most things that may be said of one kind.
const MOST: usize = 2_000;

/// All settings of the catalogue that administrators made at run time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSettings {
    pub providers: BTreeMap<String, ProviderEntry>,
    pub models: BTreeMap<String, ModelEntry>,
    /// The models that are asked when one cannot answer, in order, by that one.
    pub routes: BTreeMap<String, RouteEntry>,
    /// By `provider/name`, the name being the provider's.
    pub prices: BTreeMap<String, PricesEntry>,
    /// Plans, each as `admit` reads it. `None` in revisions that are older than this member: such a revision
    /// changes no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plans: Option<BTreeMap<String, Value>>,
}

/// Where requests of a model go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Route")]
pub struct RouteEntry {
    pub fallback: Vec<String>,
}

/// What a deployment costs, in place of what was said before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Prices")]
pub struct PricesEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_million: Option<RatesEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_image: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceEntry>,
}

/// The kind of thing that a setting of the catalogue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    Provider,
    Model,
    Route,
    Price,
    Plan,
}

impl SettingKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Route => "route",
            Self::Price => "price",
            Self::Plan => "plan",
        }
    }
}

impl CatalogueSettings {
    /// # Errors
    /// What keeps it from being read.
    pub fn read(text: &str) -> Result<Self, CatalogueFault> {
        serde_json::from_str(text).map_err(|why| CatalogueFault(format!("settings: {why}")))
    }

    /// What is said of something; `None` for nothing.
    #[must_use]
    pub fn said(&self, sort: SettingKind, name: &str) -> Option<Value> {
        let found = match sort {
            SettingKind::Provider => self.providers.get(name).map(serde_json::to_value),
            SettingKind::Model => self.models.get(name).map(serde_json::to_value),
            SettingKind::Route => self.routes.get(name).map(serde_json::to_value),
            SettingKind::Price => self.prices.get(name).map(serde_json::to_value),
            SettingKind::Plan => self.plans.as_ref().and_then(|all| all.get(name).cloned()).map(Ok),
        };
        // What nobody said is not shown.
        found.and_then(Result::ok).map(|mut value| {
            if let Value::Object(members) = &mut value {
                members.retain(|_, value| !is_nothing(value));
            }
            value
        })
    }

    /// The names of all that something is said of.
    #[must_use]
    pub fn names(&self, sort: SettingKind) -> Vec<&str> {
        match sort {
            SettingKind::Provider => self.providers.keys().map(String::as_str).collect(),
            SettingKind::Model => self.models.keys().map(String::as_str).collect(),
            SettingKind::Route => self.routes.keys().map(String::as_str).collect(),
            SettingKind::Price => self.prices.keys().map(String::as_str).collect(),
            SettingKind::Plan => {
                self.plans.iter().flat_map(|all| all.keys()).map(String::as_str).collect()
            }
        }
    }

    /// Says something in the place of what was said before.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn put(
        &mut self,
        sort: SettingKind,
        name: &str,
        said: Value,
    ) -> Result<(), CatalogueFault> {
        let fault = |why: String| CatalogueFault(format!("{} '{name}': {why}", sort.as_str()));
        let wrong = |why: serde_json::Error| fault(why.to_string());
        let named = |said: &Value| {
            let id = said.get("id").and_then(Value::as_str);
            id.is_none_or(|id| id == name)
        };
        if !named(&said) {
            return Err(fault("'id' is another name than the address has".to_owned()));
        }
        match sort {
            SettingKind::Provider => {
                let mut entry: ProviderEntry = serde_json::from_value(said).map_err(wrong)?;
                entry.id = None;
                self.providers.insert(name.to_owned(), entry);
            }
            SettingKind::Model => {
                let mut said = said;
                if let Value::Object(members) = &mut said {
                    members.insert("id".to_owned(), Value::from(name));
                }
                let entry = serde_json::from_value(said).map_err(wrong)?;
                self.models.insert(name.to_owned(), entry);
            }
            SettingKind::Route => {
                let entry = serde_json::from_value(said).map_err(wrong)?;
                self.routes.insert(name.to_owned(), entry);
            }
            SettingKind::Price => {
                if !name.contains('/') {
                    return Err(fault(
                        "a price is of a deployment: write provider/model, by the provider's own \
                         name for the model"
                            .to_owned(),
                    ));
                }
                let entry: PricesEntry = serde_json::from_value(said).map_err(wrong)?;
                if entry == PricesEntry::default() {
                    return Err(fault(
                        "one of 'usd_per_million', 'usd_per_image' and 'prices' is needed"
                            .to_owned(),
                    ));
                }
                self.prices.insert(name.to_owned(), entry);
            }
            // Whoever says it knows what a plan is.
            SettingKind::Plan => {
                self.plans.get_or_insert_default().insert(name.to_owned(), said);
            }
        }
        if self.names(sort).len() > MOST {
            return Err(fault(format!("there are more than {MOST} of a kind")));
        }
        Ok(())
    }

    /// Takes back what was said; `false` for nothing.
    pub fn take_back(&mut self, sort: SettingKind, name: &str) -> bool {
        match sort {
            SettingKind::Provider => self.providers.remove(name).is_some(),
            SettingKind::Model => self.models.remove(name).is_some(),
            SettingKind::Route => self.routes.remove(name).is_some(),
            SettingKind::Price => self.prices.remove(name).is_some(),
            SettingKind::Plan => self.plans.as_mut().is_some_and(|all| all.remove(name).is_some()),
        }
    }

    /// What an administrator may not say of a provider. Where one is and what opens it is said by its
    /// file and the configuration, on the machine: else whoever administers accounts could have a
    /// provider's key, or any other secret of the process, sent anywhere. One that neither knows may
    /// be added, with a key that no other is opened by.
    #[must_use]
    pub fn overreaching(
        &self,
        is_known: impl Fn(&str) -> bool,
        is_taken: impl Fn(&str) -> bool,
    ) -> Vec<CatalogueFault> {
        let mut faults = Vec::new();
        for (id, entry) in &self.providers {
            let mut no = |member: &str, why: &str| {
                faults.push(CatalogueFault(format!("providers.{id}.{member}: {why}")));
            };
            if is_known(id) {
                let opens = [
                    ("base_url", entry.base_url.is_some()),
                    ("dialect_urls", !entry.dialect_urls.is_empty()),
                    ("auth", entry.auth.is_some()),
                    ("region", entry.region.is_some()),
                    ("api_key_env", entry.api_key_env.is_some()),
                    ("api_keys", entry.api_keys.is_some()),
                    ("headers", !entry.headers.is_empty()),
                ];
                for (member, _) in opens.iter().filter(|(_, is_said)| *is_said) {
                    no(
                        member,
                        "where this provider is and what opens it is said by its file and the \
                         configuration alone",
                    );
                }
            }
            if entry.key_files().chain(entry.tls_files()).next().is_some() {
                no("*_file", "a file is named by the configuration alone");
            }
            for variable in entry.key_variables() {
                if !variable.ends_with("_API_KEY") {
                    no("api_key_env", "has to end in _API_KEY: other variables are no keys");
                } else if !is_known(id) && is_taken(variable) {
                    no("api_key_env", "opens another provider");
                }
            }
            if entry
                .base_url
                .iter()
                .chain(entry.dialect_urls.values())
                .any(|url| url.contains("${"))
            {
                no("base_url", "variables stand in addresses of the configuration alone");
            }
        }
        faults
    }

    /// Lays prices over those of the files and of the models that are configured.
    ///
    /// # Errors
    /// The places that there are not.
    pub fn lay_prices(
        &self,
        files: &mut [ProviderEntry],
        models: &mut [ModelEntry],
    ) -> Result<(), Vec<CatalogueFault>> {
        let mut faults = Vec::new();
        for (place, entry) in &self.prices {
            let Some((provider, name)) = place.split_once('/') else { continue };
            let mut found = false;
            let of_files = files.iter_mut().filter(|file| file.id.as_deref() == Some(provider));
            for one in of_files.flat_map(|file| &mut file.deployments) {
                if one.name == name {
                    (one.usd_per_million, one.usd_per_image) =
                        (entry.usd_per_million, entry.usd_per_image);
                    one.prices.clone_from(&entry.prices);
                    found = true;
                }
            }
            for model in models.iter_mut() {
                let id = model.id.clone();
                for one in model.deployments.iter_mut().flatten() {
                    if one.provider == provider && one.model.as_deref().unwrap_or(&id) == name {
                        (one.usd_per_million, one.usd_per_image) =
                            (entry.usd_per_million, entry.usd_per_image);
                        one.prices.clone_from(&entry.prices);
                        found = true;
                    }
                }
            }
            if !found {
                faults
                    .push(CatalogueFault(format!("price '{place}': there is no such deployment")));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The files with the configuration's tables laid over them, and then what is said here.
    #[must_use]
    pub fn over(
        &self,
        files: Vec<ProviderEntry>,
        configured: &BTreeMap<String, ProviderEntry>,
    ) -> Vec<ProviderEntry> {
        merged(merged(files, configured), &self.providers)
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_is_read_back_and_taken_back() {
        let mut all = CatalogueSettings::default();
        all.put(
            SettingKind::Model,
            "m",
            json!({"tier": "mid", "deployments": [{"provider": "p"}]}),
        )
        .unwrap();
        all.put(SettingKind::Route, "m", json!({"fallback": ["n"]})).unwrap();
        all.put(
            SettingKind::Price,
            "p/m",
            json!({"usd_per_million": {"input": 1.0, "output": 2.0}}),
        )
        .unwrap();
        all.put(SettingKind::Provider, "p", json!({"enabled": false})).unwrap();
        assert_eq!(all.said(SettingKind::Provider, "p"), Some(json!({"enabled": false})));
        assert_eq!(all.said(SettingKind::Route, "m"), Some(json!({"fallback": ["n"]})));
        let again = CatalogueSettings::read(&serde_json::to_string(&all).unwrap()).unwrap();
        assert_eq!(again, all);
        assert!(all.take_back(SettingKind::Model, "m") && !all.take_back(SettingKind::Model, "m"));
    }

    #[test]
    fn slips_are_named() {
        let mut all = CatalogueSettings::default();
        for (sort, name, said, wanted) in [
            (SettingKind::Provider, "p", json!({"enabld": true}), "enabld"),
            (SettingKind::Model, "m", json!({"id": "n"}), "another name"),
            (SettingKind::Route, "m", json!({}), "fallback"),
            (SettingKind::Price, "m", json!({"usd_per_image": 1.0}), "provider/model"),
            (SettingKind::Price, "p/m", json!({}), "is needed"),
        ] {
            let why = all.put(sort, name, said).unwrap_err().0;
            assert!(why.contains(wanted), "{why}");
        }
        assert_eq!(all, CatalogueSettings::default());
    }

    #[test]
    fn no_secret_can_be_sent_elsewhere() {
        let faults = |id: &str, said: Value| {
            let mut all = CatalogueSettings::default();
            all.put(SettingKind::Provider, id, said).unwrap();
            all.overreaching(|id| id == "openai", |name| name == "OPENAI_API_KEY").len()
        };
        let elsewhere = json!({"base_url": "https://elsewhere.example"});
        assert_eq!(faults("openai", elsewhere.clone()), 1);
        assert_eq!(faults("openai", json!({"headers": {"a": "b"}, "api_key_env": "A_API_KEY"})), 2);
        assert_eq!(faults("openai", json!({"enabled": false})), 0);
        assert_eq!(faults("mine", elsewhere), 0);
        assert_eq!(faults("mine", json!({"api_key_env": "OPENAI_API_KEY"})), 1);
        assert_eq!(faults("mine", json!({"api_key_env": "OPTIMUX_VAULT_KEY"})), 1);
        assert_eq!(faults("mine", json!({"api_key_env": "MINE_API_KEY"})), 0);
        for file in ["api_key_file", "ca_file", "client_cert_file", "client_key_file"] {
            assert_eq!(faults("mine", json!({file: "/etc/shadow"})), 1, "{file}");
        }
        for (key, wrong) in [
            (json!({"file": "/etc/shadow"}), 1),
            (json!({"env": "OPENAI_API_KEY"}), 1),
            (json!({"env": "OPTIMUX_VAULT_KEY"}), 1),
            (json!({"env": "MINE_API_KEY"}), 0),
        ] {
            assert_eq!(faults("mine", json!({"api_keys": [key]})), wrong);
            assert_eq!(faults("openai", json!({"api_keys": [{"env": "MINE_API_KEY"}]})), 1);
        }
        assert_eq!(
            faults("mine", json!({"base_url": "https://x.example/${AWS_SECRET_ACCESS_KEY}"})),
            1
        );
    }
}
