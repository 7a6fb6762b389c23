//! Models by the names that OpenRouter has for them: `vendor/model`.

use std::sync::Arc;

use super::{Catalogue, Model};

/// Vendors whose names differ from those of the catalogue's makers.
const VENDORS: [(&str, &str); 8] = [
    ("meta-llama", "meta"),
    ("mistralai", "mistral"),
    ("x-ai", "xai"),
    ("moonshotai", "moonshot"),
    ("z-ai", "zai"),
    ("qwen", "alibaba"),
    ("bytedance-seed", "bytedance"),
    ("perplexity-ai", "perplexity"),
];
/// What the name of a tuned model may end in, where ours leaves it out.
const TUNED: [&str; 3] = ["-instruct", "-it", "-chat"];

impl Catalogue {
    /// The model that is called `vendor/model` elsewhere, whoever serves it here.
    #[must_use]
    pub fn by_slug(&self, slug: &str) -> Option<&Arc<Model>> {
        let (vendor, name) = slug.split_once('/')?;
        let maker = VENDORS.iter().find(|(theirs, _)| *theirs == vendor);
        let maker = maker.map_or(vendor, |(_, ours)| *ours);
        let plain = TUNED.iter().find_map(|end| name.strip_suffix(end));
        let called = |model: &&Arc<Model>| {
            let names = std::iter::once(&model.id).chain(&model.aliases);
            let ours = model.owned_by == maker
                && names
                    .into_iter()
                    .any(|own| same(own, name) || plain.is_some_and(|plain| same(own, plain)));
            ours || model.deployments.iter().any(|one| one.name.eq_ignore_ascii_case(slug))
        };
        self.models().iter().find(called)
    }
}

/// Whether two names differ in their dots, dashes and capitals alone.
fn same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| match byte {
        b'.' | b'_' => b'-',
        other => other.to_ascii_lowercase(),
    };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

#[cfg(test)]
mod tests {
    use crate::catalogue::{ModelEntry, ProviderEntry, Sources, builtin, load};

    #[test]
    fn models_are_found_by_the_names_of_openrouter() {
        let enabled = |id: &str| {
            (id.to_owned(), ProviderEntry { enabled: Some(true), ..ProviderEntry::default() })
        };
        let sources = Sources {
            files: builtin().unwrap(),
            providers: ["anthropic", "openai", "gemini", "deepinfra", "xai"].map(enabled).into(),
            models: vec![ModelEntry { id: "own".to_owned(), ..ModelEntry::default() }],
            ..Sources::default()
        };
        let catalogue = load(sources).unwrap();
        for (slug, id) in [
            ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
            ("openai/gpt-5-mini", "gpt-5-mini"),
            ("openai/gpt-4o", "gpt-4o"),
            ("google/gemini-2.5-pro", "gemini-2.5-pro"),
            ("meta-llama/llama-3.3-70b-instruct", "llama-3.3-70b"),
        ] {
            let found = catalogue.by_slug(slug).map(|model| &*model.id);
            assert_eq!(found, Some(id), "{slug}");
        }
        for slug in ["openai/claude-sonnet-4.5", "gpt-4o", "nobody/gpt-4o", "openai/gpt-4-o"] {
            assert!(catalogue.by_slug(slug).is_none(), "{slug}");
        }
    }
}
