//! The image's recipe has what the build reads and what the binary needs at its start. `tests/image/run`
//! follows it; this is what can be seen at a glance.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What the stages copy: the sources of each `COPY`, by stage.
fn copied(recipe: &str) -> Vec<Vec<String>> {
    let mut stages: Vec<Vec<String>> = Vec::new();
    for line in recipe.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("FROM") => stages.push(Vec::new()),
            Some("COPY") => {
                let mut names: Vec<String> = words.map(str::to_owned).collect();
                names.pop();
                stages.last_mut().unwrap().extend(names);
            }
            _ => {}
        }
    }
    stages
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

#[test]
fn the_image_is_built_from_everything_that_the_build_reads() {
    let recipe = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let stages = copied(&recipe);
    let has = |path: &Path| {
        stages[0].iter().any(|from| path.starts_with(root().join(from))) && path.exists()
    };
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut read = 0;
    for file in files {
        assert!(has(&file), "{} is not copied", file.display());
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in ["include_str!(\"", "include_bytes!(\"", "include!(\""] {
            for after in code.split(call).skip(1) {
                let name = after.split('"').next().unwrap();
                let path = file.parent().unwrap().join(name).canonicalize().unwrap();
                assert!(has(&path), "{}: {name} is not copied", file.display());
                read += 1;
            }
        }
    }
    assert!(read > 8, "{read}");
    // What `build.rs` reads, by its own word, and what Cargo wants to see.
    let build = std::fs::read_to_string(root().join("build.rs")).unwrap();
    for name in build.split("rerun-if-changed=").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(has(&root().join(name)), "{name} is not copied");
    }
    for name in
        ["Cargo.toml", "Cargo.lock", "build.rs", "benches/gateway.rs", "tests/blackbox/main.rs"]
    {
        assert!(has(&root().join(name)), "{name} is not copied");
    }
    // Nothing of it is held back from the build.
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    for line in ignored.lines().filter(|line| !line.is_empty()) {
        assert!(!stages[0].iter().any(|from| from.starts_with(line)), "{line} is ignored");
    }
}

#[test]
fn the_image_knows_whom_to_trust() {
    let recipe = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let last = copied(&recipe).pop().unwrap();
    assert!(last.iter().any(|from| from.ends_with("/ca-certificates.crt")), "{last:?}");
}
