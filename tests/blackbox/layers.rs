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

/// Rooms whose files import each other in one direction only.
const WITHOUT_CIRCLES: [&str; 7] =
    ["gateway", "words", "agents", "apps", "findings", "memory", "responses"];

/// The paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, all: &mut Vec<String>) {
    let Some((start, rest)) = tree.split_once('{') else {
        all.push(tree.trim().to_owned());
        return;
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut from) = (0, 0);
    for (at, one) in inner.char_indices().chain([(inner.len(), ',')]) {
        match one {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[from..at].trim().is_empty() {
                    expand(&format!("{}{}", start.trim(), inner[from..at].trim()), all);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// What a file imports, as paths from the root; what it only hands on (`pub use`) is not of it.
fn imports(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let (mut trees, mut open) = (Vec::new(), None::<String>);
    for line in code.lines() {
        if open.is_none() && line.starts_with("use ") {
            open = Some(String::new());
        }
        if let Some(statement) = &mut open {
            statement.push_str(line.trim_start_matches("use ").trim());
            if let Some(tree) = statement.strip_suffix(';') {
                expand(tree, &mut trees);
                open = None;
            }
        }
    }
    let whole = |path: String| {
        let mut base = module.to_vec();
        let mut parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        if parts[0] == "crate" {
            base.clear();
            parts.remove(0);
        }
        while parts.first().is_some_and(|part| part == "super" || part == "self") {
            if parts.remove(0) == "super" {
                base.pop();
            }
        }
        base.extend(parts);
        base
    };
    trees.into_iter().map(whole).collect()
}

#[test]
fn files_of_the_path_import_each_other_in_one_direction() {
    let src = root().join("src");
    let mut modules: HashMap<Vec<String>, PathBuf> = HashMap::new();
    for room in WITHOUT_CIRCLES {
        let mut files = Vec::new();
        sources(&src.join(room), &mut files);
        for file in files {
            let name = file.strip_prefix(&src).unwrap().with_extension("");
            let mut module: Vec<String> =
                name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            modules.insert(module, file);
        }
    }
    assert!(modules.len() > 30, "{}", modules.len());
    let mut imported: HashMap<&Vec<String>, Vec<Vec<String>>> = HashMap::new();
    for (module, file) in &modules {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let mut own = Vec::new();
        for mut path in imports(code, module) {
            while !path.is_empty() && !modules.contains_key(&path) {
                path.pop();
            }
            if !path.is_empty() && path != *module {
                own.push(path);
            }
        }
        imported.insert(module, own);
    }
    assert!(imported.values().flatten().count() > 40);
    // Whatever imports nothing that is left is taken away, until nothing is left but circles.
    let mut left: Vec<&Vec<String>> = modules.keys().collect();
    loop {
        let before = left.len();
        let rest = left.clone();
        left.retain(|module| imported[*module].iter().any(|path| rest.contains(&path)));
        if left.len() == before {
            break;
        }
    }
    left.sort();
    assert!(left.is_empty(), "files that import each other, and those that need them: {left:#?}");
}
