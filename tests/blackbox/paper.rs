//! What a package brings beside the binary, and pages that are held to the code.

use std::collections::BTreeSet;
use std::path::Path;

use optimux::catalogue::{DeploymentEntry, ModelEntry, ProviderEntry};
use optimux::config::Config;
use optimux::guard::GuardrailEntry;
use serde::Deserialize;

use crate::house::Gateway;

/// The settings of a table, as the code names them where it meets one that it does not know.
fn settings<'de, T: Deserialize<'de>>(text: &'de str) -> BTreeSet<String> {
    let why = match toml::from_str::<T>(text) {
        Ok(_) => panic!("{text} is taken"),
        Err(why) => why.to_string(),
    };
    let (_, known) = why.split_once("expected").unwrap_or_else(|| panic!("{text}: {why}"));
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_of_the_configuration_names_every_setting() {
    let page = include_str!("../../docs/configuration.md");
    let named = |text: &str| -> BTreeSet<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    // The part of the page under the heading that has this in it.
    let under = |title: &str| {
        let parts = page.split("\n## ").skip(1);
        let part = parts.into_iter().find(|part| part.lines().next().unwrap().contains(title));
        part.unwrap_or_else(|| panic!("no heading has {title}"))
    };
    let sections = settings::<Config>("made_up = 1");
    assert!(sections.len() > 20, "{sections:?}");
    for section in &sections {
        let (title, table) = match section.as_str() {
            "providers" => ("[providers.ID]".to_owned(), settings::<ProviderEntry>("made_up = 1")),
            "models" => ("[[models]]".to_owned(), settings::<ModelEntry>("made_up = 1")),
            "guardrails" => {
                ("[[guardrails]]".to_owned(), settings::<GuardrailEntry>("made_up = 1"))
            }
            "plans" => ("[plans.NAME]".to_owned(), settings::<Config>("[plans.a]\nmade_up = 1")),
            _ => {
                let text = format!("[{section}]\nmade_up = 1");
                (format!("[{section}]"), settings::<Config>(&text))
            }
        };
        let part = named(under(&title));
        for setting in table {
            let whole = format!("{section}.{setting}");
            assert!(part.contains(&setting) || part.contains(&whole), "{title} {setting}");
        }
    }
    for (title, table) in [
        ("[[models]]", settings::<DeploymentEntry>("made_up = 1")),
        ("[connect]", settings::<Config>("[connect.apps.a]\nmade_up = 1")),
    ] {
        let part = named(under(title));
        let missing: Vec<_> = table.difference(&part).collect();
        assert!(missing.is_empty(), "{title} {missing:?}");
    }
}

#[test]
fn where_things_are_said_to_be_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let named = text.split('`').skip(1).step_by(2).filter(|one| one.starts_with("src/"));
        let gone: Vec<&str> = named.filter(|one| !root.join(one).exists()).collect();
        assert!(gone.is_empty(), "{page}: {gone:?}");
    }
}

#[test]
fn the_binary_brings_its_completions_and_its_manual() {
    let gateway = Gateway::start("");
    for (shell, word) in
        [("bash", "_optimux"), ("zsh", "#compdef optimux"), ("fish", "complete -c optimux")]
    {
        let script = gateway.command(&["completions", shell]);
        assert!(script.contains(word) && script.contains("catalogue"), "{shell}");
    }
    let manual = gateway.command(&["man"]);
    for word in [".TH optimux 1", "optimux\\-serve", "optimux\\-key\\-create"] {
        assert!(manual.contains(word), "{word}");
    }
}

#[test]
fn the_binary_asks_a_node_whether_it_is_ready() {
    let mut gateway = Gateway::start("[server]\ndrain_delay = \"0s\"\n");
    let address = gateway.base.trim_start_matches("http://").to_owned();
    let asked = gateway.command(&["health", "--address", &address]);
    assert!(asked.contains("ready"), "{asked}");
    // Without an address it asks where the configuration has the node listen.
    let port = address.rsplit(':').next().unwrap();
    std::fs::write(
        gateway.folder.join("optimux.toml"),
        format!("[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"0.0.0.0:{port}\"\n"),
    )
    .unwrap();
    assert!(gateway.command(&["health"]).contains("ready"));
    gateway.kill();
    let gone = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .args(["health", "--address", &address])
        .output()
        .unwrap();
    assert!(!gone.status.success());
    assert!(String::from_utf8_lossy(&gone.stderr).contains("cannot be asked"));
}

#[test]
fn a_release_brings_its_checksums_and_its_bill_of_materials() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::temp_dir().join(format!("optimux-release-{}", std::process::id()));
    let release = |arguments: &[&str]| {
        std::process::Command::new(root.join("deploy/release"))
            .args(arguments)
            .env("OPTIMUX_BINARY", env!("CARGO_BIN_EXE_optimux"))
            .output()
            .unwrap()
    };
    let at = folder.to_str().unwrap();
    let made = release(&[at]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(release(&["--check", at]).status.success());
    let listed = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for name in ["optimux", "optimux.1", "optimux.bash", "optimux.cdx.json", "LICENSE"] {
        assert!(listed.lines().any(|line| line.ends_with(&format!("  {name}"))), "{listed}");
    }
    let bill = std::fs::read(folder.join("optimux.cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap();
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    assert_eq!(bill["components"].as_array().unwrap().len(), packages - 1);
    assert_eq!(bill["dependencies"].as_array().unwrap().len(), packages);
    assert_eq!(bill["metadata"]["component"]["name"], "optimux");
    let mut manual = std::fs::read(folder.join("optimux.1")).unwrap();
    manual.push(b'x');
    std::fs::write(folder.join("optimux.1"), manual).unwrap();
    assert!(!release(&["--check", at]).status.success(), "it was tampered with");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_test_that_the_page_of_faults_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let named: Vec<(&str, &str)> = page
        .split('`')
        .filter(|one| one.contains(".rs::"))
        .filter_map(|one| one.split_once("::"))
        .collect();
    assert!(named.len() > 200, "{}", named.len());
    for (file, test) in named {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
}

/// `account_id = $1 OR $1 = ''` reads the rows of everybody on SQLite, whoever asks.
#[test]
fn what_is_read_of_an_account_is_found_by_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for file in std::fs::read_dir(root).unwrap().map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let statement = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (place, _) in statement.match_indices("account_id = $") {
            let rest = statement.get(place + 14..place + 22).unwrap_or_default();
            assert!(!rest.contains(" OR "), "{}: {rest}", file.display());
        }
    }
}
