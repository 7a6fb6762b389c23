//! The fuzz targets over their kept corpus and over everything they ever found.

use std::path::{Path, PathBuf};

#[path = "../fuzz/decoders.rs"]
mod decoders;

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file() && !file.ends_with(".keep"));
    files.sort();
    files
}

#[test]
fn the_corpus_and_every_finding_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for (name, decode) in decoders::DECODERS {
        // A fuzzer adds to the folder as it runs; what is kept is named so.
        let mut corpus = files(&root.join("corpus").join(name));
        corpus.retain(|file| file.file_name().unwrap().to_string_lossy().starts_with("seed-"));
        assert!(corpus.len() >= 10, "{name} has a corpus of {}", corpus.len());
        let findings = files(&root.join("findings"));
        let ours = findings.iter().filter(|file| {
            let file = file.file_name().unwrap().to_string_lossy();
            file.starts_with(&format!("{name}-"))
        });
        for file in corpus.iter().chain(ours) {
            let bytes = std::fs::read(file).unwrap();
            decode(&bytes);
            // And cut short, as a broken connection would.
            for part in 1..8 {
                decode(&bytes[..bytes.len() * part / 8]);
            }
        }
    }
}
