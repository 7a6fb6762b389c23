//! What the documentation says of models is true: the catalogue has what it counts, and it names no
//! model that its maker has ended.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use optimux::catalogue::{Sources, builtin, load};
use serde_json::Value;

fn list() -> Value {
    let packed = std::fs::read("tests/lists/models.json.gz").unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Names of models that their makers have ended when the list was made.
fn dead() -> BTreeSet<String> {
    let list = list();
    let today = list["generated"].as_str().unwrap().to_owned();
    let ended = |model: &&Value| {
        let life = &model["lifecycle"];
        life["status"] == "retired"
            || life["shutdown_date"].as_str().is_some_and(|day| day <= today.as_str())
    };
    let models = list["models"].as_array().unwrap().iter().filter(ended);
    let names = models.flat_map(|model| {
        let aliases = model["aliases"].as_array().into_iter().flatten();
        std::iter::once(&model["id"]).chain(aliases)
    });
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn pages() -> Vec<PathBuf> {
    let root = ["README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
    let mut pages: Vec<PathBuf> = root.into_iter().map(PathBuf::from).collect();
    let docs = std::fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|page| page.extension().is_some_and(|ending| ending == "md")));
    pages
}

/// The words of a page, as names of models are made of them.
fn words(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let part = |c: char| !(c.is_ascii_alphanumeric() || "-._:".contains(c));
    text.split(part).map(|word| word.trim_matches(['.', ':']).to_owned()).collect()
}

#[test]
fn no_page_names_a_model_that_has_ended() {
    let dead = dead();
    assert!(dead.contains("o4-mini") && dead.contains("dall-e-3"));
    let mut found = Vec::new();
    for page in pages() {
        for word in words(&page).intersection(&dead) {
            found.push(format!("{}: {word}", page.display()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_readme_counts_what_there_is() {
    let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
    let variables = [
        "AZURE_OPENAI_RESOURCE",
        "AZURE_AI_RESOURCE",
        "AWS_REGION",
        "VERTEX_PROJECT",
        "VERTEX_LOCATION",
    ];
    sources.variables = variables.map(|name| (name.to_owned(), "x".to_owned())).into();
    for file in &mut sources.files {
        let id = file.id.clone().unwrap();
        sources.keys.insert(id, vec![optimux::catalogue::ApiKey::new("k".into(), 1.0)]);
    }
    let catalogue = load(sources).unwrap();
    let models = catalogue.models().iter().filter(|model| !model.deployments.is_empty()).count();
    let providers: BTreeSet<_> = catalogue
        .models()
        .iter()
        .flat_map(|model| &model.deployments)
        .map(|deployment| deployment.provider.id.clone())
        .collect();
    let counted = format!(
        "{models} models at {} deployments of {} providers",
        catalogue.deployment_count(),
        providers.len()
    );
    for page in ["README.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(page).unwrap().replace('\n', " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&counted), "{page} should say: {counted}");
    }
}
