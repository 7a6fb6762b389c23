//! The layering table of ARCHITECTURE.md, enforced on the source text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push(path);
        }
    }
}

/// The rows of a Markdown table under a heading, as lists of back-quoted names per column.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split(heading).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect()
}

#[test]
fn rooms_import_only_downward() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut level: HashMap<String, u8> = HashMap::new();
    let mut shared: Vec<(String, String)> = Vec::new();
    for row in table(&map, "## Layering") {
        for room in names(&row[1]) {
            level.insert(room, row[0].parse().unwrap());
        }
        for value in names(&row[3]) {
            if let Some((room, name)) = value.split_once("::") {
                shared.push((room.to_owned(), name.to_owned()));
            }
        }
    }
    let mut owners: HashMap<String, Vec<String>> = HashMap::new();
    for row in table(&map, "## Foreign crates") {
        for krate in names(&row[0]) {
            owners.insert(krate, names(&row[1]));
        }
    }
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 40);
    let mut faults = Vec::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let room = name.split(['/', '.']).next().unwrap().to_owned();
        if room == "lib" {
            continue;
        }
        let own =
            *level.get(&room).unwrap_or_else(|| panic!("{room} is not in the layering table"));
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests may look anywhere below them.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                let path = &line[at + 7..];
                let other: String =
                    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(theirs) = level.get(&other) else { continue };
                let allowed = other == room
                    || *theirs < own
                    || (*theirs == own
                        && shared.iter().any(|(owner, value)| {
                            *owner == other && path.contains(value.as_str())
                        }));
                if !allowed {
                    faults.push(format!(
                        "{name} (level {own}) must not import {other} (level {theirs}): {}",
                        line.trim()
                    ));
                }
            }
            for (krate, homes) in &owners {
                let used = line.contains(&format!("{krate}::"))
                    && !line.contains(&format!("crate::{krate}"))
                    && !line.contains(&format!("_{krate}::"));
                if used
                    && !homes
                        .iter()
                        .any(|home| name == *home || name.starts_with(&format!("{home}/")))
                {
                    faults.push(format!("{name} must not name {krate}: {}", line.trim()));
                }
            }
        }
        // A dialect never imports another dialect.
        for dialect in ["openai_chat", "openai_responses", "anthropic", "gemini"] {
            if name.starts_with("wire/")
                && !name.starts_with(&format!("wire/{dialect}"))
                && name != "wire/mod.rs"
            {
                for line in code.lines() {
                    if line.contains(&format!("wire::{dialect}"))
                        || line.contains(&format!("super::super::{dialect}"))
                    {
                        faults.push(format!("{name} must not import the dialect {dialect}"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
