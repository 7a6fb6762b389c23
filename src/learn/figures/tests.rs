use std::path::Path;

use super::*;
use crate::catalogue::{Sources, builtin, load};
use crate::router::Predictor;
use crate::router::levels::Levels;

/// What is committed is what the command makes of the figures, the weights and the catalogue.
#[test]
fn the_levels_are_those_of_the_figures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("router-models");
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    for file in &sources.files {
        let id = file.id.clone().unwrap();
        sources.keys.insert(id, vec![crate::catalogue::ApiKey::new("k".into(), 1.0)]);
    }
    let catalogue = load(sources).unwrap();
    let figures = read(&folder.join("figures.jsonl")).unwrap();
    let levels = fit(&figures, &Predictor::builtin().unwrap(), &catalogue);
    let committed = std::fs::read_to_string(folder.join("levels.json")).unwrap();
    let (new, old) = (levels.to_text(), committed);
    let differs: Vec<(&str, &str)> =
        new.lines().zip(old.lines()).filter(|(new, old)| new != old).take(3).collect();
    assert!(
        new == old,
        "router-models/levels.json is stale (optimux router levels --fit writes it anew): {differs:?}"
    );
    assert_eq!(Levels::read(&old).unwrap(), levels);
    assert_eq!(order::out_of_order(&levels.models), [], "siblings in order");
}

#[test]
fn figures_are_sorted_and_sourced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("router-models");
    let figures = read(&folder.join("figures.jsonl")).unwrap();
    let key = |one: &Figure| {
        let effort = one.effort.map_or("~", |effort| effort.as_str());
        (one.model.clone(), effort.to_owned(), one.benchmark.clone())
    };
    assert!(figures.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
    assert!(figures.iter().all(|one| !one.source.is_empty() && one.day.len() == 10));
}
