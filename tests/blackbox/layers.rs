//! The layering table of ARCHITECTURE.md, enforced on the source text.

use std::collections::{BTreeSet, HashMap};
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
        let is_test = file.file_stem().is_some_and(|stem| stem == "tests");
        if room == "lib" || is_test {
            continue;
        }
        let own =
            *level.get(&room).unwrap_or_else(|| panic!("{room} is not in the layering table"));
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests may look anywhere below them.
        let code = code(&text);
        for path in paths(&code) {
            let Some(path) = path.strip_prefix("crate::") else { continue };
            let other: String = path.chars().take_while(|c| is_word(*c)).collect();
            let Some(theirs) = level.get(&other) else { continue };
            let allowed = other == room
                || *theirs < own
                || (*theirs == own
                    && shared
                        .iter()
                        .any(|(owner, value)| *owner == other && path.contains(value.as_str())));
            if !allowed {
                faults.push(format!(
                    "{name} (level {own}) must not import {other} (level {theirs}): {path}"
                ));
            }
        }
        for line in code.lines() {
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

/// A text of code without its comments, and with nothing in quotes.
fn bare(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, here) = rest.split_at(at);
        kept.push_str(before);
        // Where what begins here ends.
        let end = if here.starts_with("//") {
            here.find('\n').unwrap_or(here.len())
        } else if let Some(said) = here.strip_prefix('"') {
            let marks = before.len() - before.trim_end_matches('#').len();
            if before.trim_end_matches('#').ends_with('r') {
                let close = format!("\"{}", "#".repeat(marks));
                said.find(&close).map_or(here.len(), |at| at + 1 + close.len())
            } else {
                let mut escaped = false;
                let ends = |c: char| {
                    let end = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    end
                };
                said.find(ends).map_or(here.len(), |at| at + 2)
            }
        } else if let Some(letter) =
            ["'\\\"'", "'\"'", "'\\''", "'/'"].iter().find(|one| here.starts_with(**one))
        {
            letter.len()
        } else {
            kept.push_str(&here[..1]);
            rest = &here[1..];
            continue;
        };
        if here.starts_with('"') {
            kept.push_str("\"\"");
        }
        rest = &here[end..];
    }
    kept + rest
}

/// The code of a file without what is compiled for tests alone, its comments and what it says in quotes.
fn code(text: &str) -> String {
    let text = bare(text);
    let mut kept = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        // The item below it: a line, or all up to the bracket that closes it.
        let indent = &line[..line.len() - line.trim_start().len()];
        let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#[")).unwrap();
        if !item.trim_end().ends_with([';', '}']) {
            lines.by_ref().find(|line| line.strip_prefix(indent).is_some_and(|end| end == "}"));
        }
    }
    kept
}

/// Every path from the root of the crate that code names, in an import's tree or where it stands.
fn paths(code: &str) -> Vec<String> {
    let (mut all, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find("crate::") {
        let is_import = rest[..at].rsplit(['\n', ' ', '(']).find(|word| !word.is_empty());
        rest = &rest[at..];
        let end = match is_import {
            Some("use") => rest.find(';').unwrap_or(rest.len()),
            _ => rest.find(|c| !is_word(c) && c != ':').unwrap_or(rest.len()),
        };
        expand(&rest[..end], &mut all);
        rest = &rest[end..];
    }
    all
}

#[test]
fn what_a_tree_of_imports_names_is_seen() {
    let code = "use crate::{base::ids, http};\nfn f(x: crate::store::Store) { crate::cli::run() }";
    let named = ["crate::base::ids", "crate::http", "crate::store::Store", "crate::cli::run"];
    assert_eq!(paths(code), named);
}

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

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

type Module = Vec<String>;

/// A file: what it imports and hands on, by the name that it has here, and the paths that its code says.
#[derive(Default)]
struct File {
    imports: Vec<(String, String)>,
    handed_on: Vec<(String, String)>,
    said: Vec<String>,
    /// What is left without imports.
    rest: String,
}

impl File {
    fn read(text: &str) -> Self {
        let mut file = Self::default();
        let mut open = None::<(bool, String)>;
        // The indentation of a module within the file, whose `super` is the file.
        let mut inner = None::<String>;
        for line in code(text).lines() {
            let start = line.trim_start();
            let indent = &line[..line.len() - start.len()];
            if inner.as_deref() == Some(indent) && start.starts_with('}') {
                inner = None;
            }
            let within = inner.is_some();
            if inner.is_none() && start.contains("mod ") && start.ends_with('{') {
                inner = Some(indent.to_owned());
            }
            let line = if within { line.replacen("super::", "self::", 1) } else { line.to_owned() };
            if open.is_none() {
                let public = start.starts_with("pub");
                let bare = start.trim_start_matches("pub").trim_start();
                let bare = bare
                    .strip_prefix('(')
                    .and_then(|rest| rest.split_once(')'))
                    .map_or(bare, |(_, rest)| rest.trim_start());
                if bare.starts_with("use ") {
                    open = Some((public, String::new()));
                }
            }
            let Some((public, statement)) = &mut open else {
                file.rest.push_str(&line);
                file.rest.push('\n');
                continue;
            };
            let from = if statement.is_empty() {
                line.split_once("use ").map_or("", |(_, rest)| rest)
            } else {
                line.as_str()
            };
            statement.push_str(from.trim());
            if let Some(tree) = statement.strip_suffix(';') {
                let mut paths = Vec::new();
                expand(tree, &mut paths);
                let list = if *public { &mut file.handed_on } else { &mut file.imports };
                list.extend(paths.into_iter().map(|path| {
                    let (path, name) = match path.split_once(" as ") {
                        Some((path, name)) => (path.to_owned(), name.to_owned()),
                        None => (path.clone(), path.rsplit("::").next().unwrap().to_owned()),
                    };
                    // `a::b::{self}` is `a::b`.
                    match path.strip_suffix("::self") {
                        Some(path) => (path.to_owned(), path.rsplit("::").next().unwrap().into()),
                        None => (path, name),
                    }
                }));
                open = None;
            }
        }
        file.said = file
            .rest
            .split(|c: char| !is_word(c) && c != ':')
            .filter(|path| path.contains("::") && !path.starts_with(':'))
            .map(|path| path.trim_end_matches(':').to_owned())
            .collect();
        file
    }

    /// What is handed on and needed here, too.
    fn needed(&self) -> impl Iterator<Item = &(String, String)> {
        self.handed_on.iter().filter(|(_, name)| {
            self.rest.match_indices(name.as_str()).any(|(at, _)| {
                let (before, after) = (&self.rest[..at], &self.rest[at + name.len()..]);
                let whole = !before.ends_with(|c: char| is_word(c) || c == ':' || c == '.')
                    && !after.starts_with(is_word);
                // At the start of a line it is a variant or a field of its own name.
                let own = before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
                let declared = before.ends_with("mod ") || before.ends_with("fn ");
                let called = name.starts_with(char::is_uppercase) || after.starts_with('(');
                whole && !own && !declared && called
            })
        })
    }
}

/// All files of `src/`, by the modules that they are.
struct Files(HashMap<Module, File>);

impl Files {
    /// A path from the root, as a module says it; `None` for other crates and names of its own.
    fn whole(&self, path: &str, module: &Module) -> Option<Module> {
        let mut parts: Module = path.split("::").map(str::to_owned).collect();
        let mut base = module.clone();
        match parts[0].as_str() {
            "crate" => base = vec![parts.remove(0)].split_off(1),
            "super" | "self" => {
                while parts.first().is_some_and(|part| part == "super" || part == "self") {
                    if parts.remove(0) == "super" {
                        base.pop();
                    }
                }
            }
            first => {
                let below = [base.as_slice(), &[first.to_owned()]].concat();
                self.0.contains_key(&below).then_some(())?;
            }
        }
        base.extend(parts);
        Some(base)
    }

    /// The file that an item is written in, however often it is handed on; `None` for a module as such.
    fn owner(&self, path: &Module, depth: usize) -> Option<Module> {
        let mut module = path.clone();
        while !module.is_empty() && !self.0.contains_key(&module) {
            module.pop();
        }
        let item = path.get(module.len())?;
        let file = self.0.get(&module)?;
        let passed = file.handed_on.iter().chain(&file.imports).find(|(_, name)| name == item);
        let passed = passed.and_then(|(path, _)| self.whole(path, &module));
        match passed.filter(|_| depth < 8) {
            Some(mut other) => {
                other.extend_from_slice(&path[module.len() + 1..]);
                self.owner(&other, depth + 1)
            }
            None => Some(module),
        }
    }

    /// The files whose items a file names.
    fn needs(&self, module: &Module) -> BTreeSet<Module> {
        let file = &self.0[module];
        let named: HashMap<&str, Module> = file
            .imports
            .iter()
            .filter_map(|(path, name)| Some((name.as_str(), self.whole(path, module)?)))
            .collect();
        let imported = file.imports.iter().chain(file.needed()).map(|(path, _)| path);
        let imported = imported.filter_map(|path| self.whole(path, module));
        let said = file.said.iter().filter_map(|path| {
            let (first, rest) = path.split_once("::")?;
            match named.get(first) {
                Some(base) => {
                    Some(base.iter().cloned().chain(rest.split("::").map(str::to_owned)).collect())
                }
                None => self.whole(path, module),
            }
        });
        imported
            .chain(said)
            .filter_map(|path| self.owner(&path, 0))
            .filter(|owner| owner != module)
            .collect()
    }
}

/// Everything that can be come to from a file, by the names that files need of each other.
fn reached<'a>(
    from: &'a Module,
    needs: &'a HashMap<Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(one) = next.pop() {
        next.extend(needs[one].iter().filter(|other| seen.insert(*other)));
    }
    seen
}

#[test]
fn no_file_needs_one_that_needs_it() {
    let src = root().join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    let mut files = HashMap::new();
    for path in paths {
        let name = path.strip_prefix(&src).unwrap().with_extension("");
        let mut module: Module =
            name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let is_test = |part: &String| part == "tests" || part.ends_with("_tests");
        if module != ["lib"] && !module.iter().any(is_test) {
            files.insert(module, File::read(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    let files = Files(files);
    let needs: HashMap<Module, BTreeSet<Module>> =
        files.0.keys().map(|module| (module.clone(), files.needs(module))).collect();
    let count = needs.values().map(BTreeSet::len).sum::<usize>();
    assert!(needs.len() > 500 && count > 3_000, "{} files, {count} needs", needs.len());
    let mut circles = BTreeSet::new();
    for module in needs.keys() {
        let back = |other: &&Module| reached(other, &needs).contains(module);
        let circle: BTreeSet<String> =
            reached(module, &needs).into_iter().filter(back).map(|one| one.join("/")).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    assert!(circles.is_empty(), "files that need each other: {circles:#?}");
}

/// A file may have more lines than this if its first lines say why: "Longer than most files: …".
const LONG: usize = 500;

#[test]
fn a_long_file_says_why() {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let head = head.join(" ").replace(" //!", "");
        let says = head.to_lowercase().contains("longer than most");
        assert!(says || text.lines().count() <= LONG, "{}: {head}", path.display());
    }
}

/// The path, and the rooms of use cases.
const TESTED: [&str; 14] = [
    "administration",
    "affinity",
    "agents",
    "apps",
    "exchange",
    "findings",
    "gateway",
    "idempotency",
    "live",
    "memory",
    "reports",
    "responses",
    "stored",
    "words",
];

/// Whether a file holds anything that runs: types and lists of files decide nothing.
fn decides(text: &str) -> bool {
    code(text).split(|c| !is_word(c)).any(|word| word == "fn")
}

#[test]
fn a_file_that_decides_has_tests_beside_it() {
    let src = root().join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    let (mut tested, mut without) = (0, Vec::new());
    for path in paths {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let room = name.split(['/', '.']).next().unwrap();
        if !TESTED.contains(&room)
            || path.file_stem().is_some_and(|stem| stem == "tests" || stem == "fixture")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("#[cfg(test)]") {
            tested += 1;
        } else if decides(&text) {
            without.push(name);
        }
    }
    assert!(without.is_empty(), "files without unit tests: {without:#?}");
    assert!(tested > 60, "{tested} files");
}

#[test]
fn what_only_declares_is_told_from_what_decides() {
    for (text, runs) in [
        ("//! A room.\n\nmod a;\npub use a::{\n    One,\n};\npub struct Two;\n", false),
        ("mod a;\n\npub fn decide() {}\n", true),
        ("struct Two;\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n", false),
    ] {
        assert_eq!(decides(text), runs, "{text}");
    }
}
