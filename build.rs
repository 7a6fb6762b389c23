//! Embeds what the console's pages load, the trained router, and every file of `providers/`, so that adding a provider touches no code. They are read as
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
    weights(&root, &out)?;
    assets(&root, &out)
}

/// Embeds the trained router as it serves: without its last table, of what single words say of the models
/// that were tried in training. Serving never looks at that, and it is a quarter of the file. A test of
/// `router` reads what comes of it.
fn weights(root: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=router-models/auto-2/weights.bin");
    let bytes = std::fs::read(root.join("router-models/auto-2/weights.bin"))?;
    // A mark of eight bytes, the length of the head in four, the head.
    let length = bytes.get(8..12).ok_or("the router has no head")?.try_into()?;
    let head = bytes.get(12..12 + u32::from_le_bytes(length) as usize);
    let head: serde_json::Value = serde_json::from_slice(head.ok_or("the router is cut off")?)?;
    let size = |place: usize| -> Result<usize, Box<dyn Error>> {
        let size = head["shape"][place].as_u64().ok_or("the router has no shape")?;
        Ok(usize::try_from(size)?)
    };
    // The sizes in the head's order: counts, signs, directions, numbers of a vector.
    let (counts, signs, rank, vector) = (size(2)?, size(4)?, size(5)?, size(8)?);
    let numbers = 2 + rank + (counts + vector) * rank;
    let table = 1 + numbers * 4 + signs * (rank + 1);
    let mut serving = bytes;
    let cut = serving.len().saturating_sub(table);
    // 1 where the table follows, 0 where there is none.
    match serving.get_mut(cut) {
        Some(there @ 1) => *there = 0,
        _ => return Err("the router is of another shape than this build reads".into()),
    }
    serving.truncate(cut + 1);
    std::fs::write(out.join("weights.bin"), serving)?;
    Ok(())
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
