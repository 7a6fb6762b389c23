//! The built-in files, whole.

use std::collections::HashMap;

use super::*;

/// Every provider that has a file, enabled, and with an address.
fn everything() -> Catalogue {
    let mut files = builtin().unwrap();
    for file in &mut files {
        file.enabled = Some(true);
    }
    let names = [
        "AWS_REGION",
        "AZURE_OPENAI_RESOURCE",
        "AZURE_AI_RESOURCE",
        "VERTEX_PROJECT",
        "VERTEX_LOCATION",
    ];
    let variables: HashMap<String, String> =
        names.map(|name| (name.to_owned(), "here".to_owned())).into();
    load(Sources { files, variables, ..Sources::default() }).unwrap()
}

#[test]
fn all_files_load_together() {
    let catalogue = everything();
    assert!(catalogue.models().len() > 300, "{}", catalogue.models().len());
    assert!(catalogue.deployment_count() > 900, "{}", catalogue.deployment_count());
}

/// The names that the platform was built with, whatever has become of them.
#[test]
fn old_names_are_still_answered() {
    let catalogue = everything();
    let now = crate::base::calendar::read("2026-11-25").unwrap();
    for name in [
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "llama-3.3-70b",
        "deepseek-v3",
        "deepseek-r1",
        "qwen-2.5-72b",
        "gpt-4.1-mini",
        "claude-3.5-haiku",
        "claude-sonnet-4",
        "claude-sonnet-4-20250514",
        "gpt-5",
        "gpt-4.1",
        "claude-opus-4",
        "o3",
        "o4-mini",
        "gpt-4o",
        "gpt-4o-mini",
        "text-embedding-3-small",
        "gpt-4o-realtime",
        "dall-e-3",
        "dall-e-2",
    ] {
        let model = catalogue.model(name).unwrap_or_else(|| panic!("{name} is gone"));
        let answers = model.is_live(now) || catalogue.in_place_of(model, now).is_some();
        assert!(answers, "{name} has neither a deployment nor a replacement");
    }
}

/// Names that no list has yet are taken to be like the newest of their kin.
#[test]
fn tomorrows_models_have_the_facts_of_their_kin() {
    let all = builtin().unwrap();
    let families = Families::new(all.into_iter().flat_map(|file| file.families).collect());
    let catalogue = everything();
    for (new, kin) in [
        ("claude-opus-5-6", "claude-opus-5-5"),
        ("claude-sonnet-6", "claude-sonnet-5-5"),
        ("us.anthropic.claude-haiku-6", "claude-haiku-5-5"),
        ("gpt-6.3-sol", "gpt-6.2-sol"),
        ("gpt-6.3-terra", "gpt-6.1-terra"),
        ("gemini-4.1-neon", "gemini-4-neon"),
        ("grok-5", "grok-4.7"),
        ("deepseek-flash-2", "deepseek-flash"),
        ("glm-5.4", "glm-5.3"),
        ("kimi-k4", "kimi-k3"),
        ("qwen4-max", "qwen3.8-max"),
    ] {
        let model = catalogue.model(kin).unwrap();
        let maker = model.deployments.first().unwrap();
        let mut known = (*maker.facts).clone();
        // What the provider says is said of every name.
        known.thoughts = families.of(new).settle().thoughts;
        assert_eq!(families.of(new).settle(), known, "{new} is not like {kin}");
    }
}

#[test]
fn what_draws_is_known_by_its_name() {
    let catalogue = everything();
    let sizes = |name: &str| catalogue.model(name).unwrap().images.sizes.len();
    assert_eq!((sizes("dall-e-2"), sizes("dall-e-3"), sizes("gpt-image-2")), (3, 3, 0));
    assert_eq!(sizes("gpt-image-1.5"), 4);
}

#[test]
fn what_other_models_did_is_billed_at_their_prices_or_the_dearest() {
    use crate::wire::vocab::{AuxiliaryUsage, Usage};
    let catalogue = everything();
    let at = Timestamp(1_795_000_000_000);
    let bill = |provider: &str, model: Option<&str>, usage: &Usage| {
        let aside = AuxiliaryUsage { model: model.map(str::to_owned), usage: usage.clone() };
        catalogue.bill_asides(provider, &[aside.clone(), aside], at).0 / 2
    };
    let advised = Usage { input: 1_000, output: 100, ..Usage::default() };
    let own = bill("anthropic", Some("claude-opus-4-8"), &advised);
    assert_eq!(own, 1_000 * 5_000 + 100 * 25_000);
    let unknown = bill("anthropic", Some("claude-advisor-99"), &advised);
    assert!(unknown >= own, "{unknown}");
    assert_eq!(unknown, bill("anthropic", None, &advised));
    // What draws is as dear as the dearest that draws.
    let mut drawn = Usage::default();
    drawn.more.image_out = 1_000;
    let known = bill("openai", Some("gpt-image-2"), &drawn);
    assert_eq!(known, 1_000 * 30_000);
    assert!(bill("openai", None, &drawn) >= known);
    assert_eq!(catalogue.bill_asides("openai", &[], at), Nanos(0));
}
