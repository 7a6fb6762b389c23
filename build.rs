//! Embeds every file of `providers/`, so that adding a provider touches no code. They are read as
//! TOML here and embedded as JSON, which is read in a tenth of the time at every start.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=providers");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("providers"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    let mut code = String::from("pub const PROVIDER_FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let table: toml::Table = std::fs::read_to_string(&file)?
            .parse()
            .map_err(|why| format!("providers/{name}: {why}"))?;
        let json = out.join(&name).with_extension("json");
        std::fs::write(&json, serde_json::to_vec(&table)?)?;
        writeln!(code, "    ({name:?}, include_str!({:?})),", json.display().to_string())?;
    }
    code.push_str("];\n");
    std::fs::write(out.join("provider_files.rs"), code)?;
    Ok(())
}
