//! The published list, whole, as entries of ours.

use std::io::Read as _;

use optimux::catalogue::published::{self, Extent};
use optimux::catalogue::{self, Families, PriceEntry};

/// The list that the built-in files were written from.
pub fn list() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lists/models.json.gz");
    let mut text = String::new();
    let mut packed = flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap());
    packed.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn families_and_the_rest_come_to_the_facts_of_the_list() {
    let list = published::read(&list()).unwrap();
    let files = catalogue::builtin().unwrap();
    let converted = published::convert(&list, &files, Extent::All);
    assert_eq!(converted.faults, Vec::new());
    let families = Families::new(files.iter().flat_map(|file| file.families.clone()).collect());
    let mut chat = 0;
    for model in converted.parts.iter().flat_map(|part| &part.models) {
        let Some(whole) = converted.facts.get(&model.id) else { continue };
        let mut together = families.of(&model.id);
        together.lay(&model.facts);
        assert_eq!(together.settle(), whole.settle(), "{}", model.id);
        chat += 1;
    }
    assert!(chat > 300, "{chat}");
}

#[test]
fn prices_of_the_list_are_prices_of_ours() {
    let list = published::read(&list()).unwrap();
    let converted = published::convert(&list, &catalogue::builtin().unwrap(), Extent::All);
    let deployments = converted.parts.iter().flat_map(|part| &part.deployments);
    let prices: Vec<&PriceEntry> = deployments.flat_map(|one| &one.prices).collect();
    assert!(prices.len() > 2_000, "{}", prices.len());
    for price in &prices {
        price.read().unwrap();
    }
    let haiku = converted
        .parts
        .iter()
        .flat_map(|part| part.deployments.iter().map(move |one| (&part.provider, one)))
        .find(|(provider, one)| *provider == "anthropic" && one.model == "claude-haiku-5-5")
        .unwrap();
    let [standard, batch] = haiku.1.prices.as_slice() else { panic!("{:?}", haiku.1.prices) };
    assert_eq!(standard.above.first().map(|step| step.tokens), Some(100_000));
    assert_eq!(batch.times, Some(0.5), "it is half of the other, kind by kind");
}

/// The files are what `optimux catalogue write` makes of the list: nobody has changed them by hand.
#[test]
fn the_files_are_what_the_list_says() {
    let list = published::read(&list()).unwrap();
    let files = catalogue::builtin().unwrap();
    let converted = published::convert(&list, &files, Extent::Core);
    for part in &converted.parts {
        let file = files.iter().find(|file| file.id.as_deref() == Some(&part.provider)).unwrap();
        assert_eq!(file.models, part.models, "{}", part.provider);
        assert_eq!(file.deployments, part.deployments, "{}", part.provider);
    }
}
