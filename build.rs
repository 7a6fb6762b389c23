//! Embeds what the console's pages load, and every file of `providers/`, so that adding a provider touches no code. They are read as
//! TOML here and embedded as JSON, which is read in a tenth of the time at every start.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

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
    assets(&root, &out)
}

/// Embeds what pages load, under names that change with it, so that browsers may keep it for ever.
fn assets(root: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/console/assets");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("src/console/assets"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.sort();
    let mut code = String::from("pub const ASSETS: &[(&str, &str, &[u8])] = &[\n");
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
        // FNV-1a: it has to differ when the file does, and keeps nobody out.
        let hash =
            std::fs::read(&file)?.into_iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let hashed = format!("{stem}-{hash:016x}.{ending}");
        let path = file.display().to_string();
        writeln!(code, "    ({name:?}, {hashed:?}, include_bytes!({path:?})),")?;
    }
    code.push_str("];\n");
    std::fs::write(out.join("assets.rs"), code)?;
    Ok(())
}
