//! What the catalogue knows of the models that are asked for here, by whichever name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalogue::{Facts, FactsEntry, Families, ProviderEntry};

/// Facts of models: at a provider, and by their names.
#[derive(Debug, Default)]
pub struct FactsIndex {
    /// `provider/name`
    at: HashMap<String, Arc<Facts>>,
    by_name: HashMap<String, Arc<Facts>>,
    families: Families,
}

impl FactsIndex {
    /// From the files of providers.
    #[must_use]
    pub fn new(files: &[ProviderEntry]) -> Self {
        let families =
            Families::new(files.iter().flat_map(|file| file.families.iter().cloned()).collect());
        let mut known = Self { families, ..Self::default() };
        let mut models: HashMap<&str, FactsEntry> = HashMap::new();
        for model in files.iter().flat_map(|file| &file.models) {
            let mut facts = known.families.of(&model.id);
            facts.lay(&model.facts);
            let settled = Arc::new(facts.settle());
            for name in std::iter::once(&model.id).chain(model.aliases.iter().flatten()) {
                known.by_name.insert(name.clone(), Arc::clone(&settled));
            }
            models.insert(&model.id, facts);
        }
        for file in files {
            let provider = file.id.as_deref().unwrap_or_default();
            for deployment in &file.deployments {
                let model = deployment.model.as_str();
                let mut facts = match models.get(model) {
                    Some(facts) if known.families.know(model) => facts.clone(),
                    facts => {
                        let mut wider = known.families.of(&deployment.name);
                        wider.lay(facts.unwrap_or(&FactsEntry::default()));
                        wider
                    }
                };
                facts.lay(&file.facts);
                facts.lay(&deployment.facts);
                let settled = Arc::new(facts.settle());
                let names = [&deployment.model, &deployment.name].into_iter();
                let variants = deployment.variants.iter().map(|variant| &variant.name);
                for name in names.chain(&deployment.other_names).chain(variants) {
                    known.at.insert(format!("{provider}/{name}"), Arc::clone(&settled));
                    known.by_name.entry(name.clone()).or_insert_with(|| Arc::clone(&settled));
                }
            }
        }
        known
    }

    /// Of a model at a provider, if one is named, else wherever it is; else of its family.
    #[must_use]
    pub fn facts(&self, provider: Option<&str>, name: &str) -> Arc<Facts> {
        let here = provider.and_then(|provider| self.at.get(&format!("{provider}/{name}")));
        match here.or_else(|| self.by_name.get(name)) {
            Some(facts) => Arc::clone(facts),
            None => Arc::new(self.families.of(name).settle()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_by_every_name() {
        let file: ProviderEntry = toml::from_str(
            r#"
            id = "host"
            facts = { tools_with_schema = false }
            [[families]]
            match = ["old-*"]
            facts = { stop_max = 3 }
            [[models]]
            id = "m"
            aliases = ["m-2026"]
            facts = { stop_max = 1 }
            [[deployments]]
            model = "m"
            name = "maker/m"
            other_names = ["m-fast"]
            facts = { temperature_max = 1.0 }
            variants = [{ name = "us.m", region = "us" }]
            "#,
        )
        .unwrap();
        let known = FactsIndex::new(&[file]);
        for (provider, name, stops, hottest, both) in [
            (None, "m", Some(1), None, true),
            (None, "m-2026", Some(1), None, true),
            (None, "maker/m", Some(1), Some(1.0), false),
            (Some("host"), "m", Some(1), Some(1.0), false),
            (Some("host"), "us.m", Some(1), Some(1.0), false),
            (Some("elsewhere"), "m-fast", Some(1), Some(1.0), false),
            (None, "maker/old-one", Some(3), None, true),
            (None, "nobody", None, None, true),
        ] {
            let facts = known.facts(provider, name);
            let found = (facts.stop_max, facts.temperature_max, facts.tools_with_schema);
            assert_eq!(found, (stops, hottest, both), "{provider:?} {name}");
        }
    }
}
