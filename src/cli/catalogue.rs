//! `optimux catalogue`: the built-in files from a published list, and what changes them while the
//! gateway runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::print::say;
use super::revise::{Diff, List, Rollback, Update, lines};
use crate::boot::Failure;
use crate::catalogue::published::{self, Converted, Extent, Part};
use crate::catalogue::{ProviderEntry, text};

#[derive(Debug, Subcommand)]
pub enum Catalogue {
    /// Rewrite the files of providers from a published list, below what is written by hand.
    Write(Write),
    /// What a document would change, against what holds now.
    Diff(Diff),
    /// Let a document hold: models, deployments, prices and facts. Where providers are and what opens
    /// them is left as it is.
    Update(Update),
    /// List the documents that were let hold.
    List(List),
    /// Let an earlier document hold again, or the built-in files (0).
    Rollback(Rollback),
}

#[derive(Debug, Args)]
pub struct Write {
    /// The list.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Which models are written.
    #[arg(long, value_enum, default_value_t = Set::Core)]
    set: Set,
    /// Where the files are.
    #[arg(value_name = "DIRECTORY")]
    into: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Set {
    /// Those that are alive or that somebody may still name.
    Core,
    All,
}

impl From<Set> for Extent {
    fn from(set: Set) -> Self {
        match set {
            Set::Core => Self::Core,
            Set::All => Self::All,
        }
    }
}

impl Catalogue {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        match self {
            Self::Write(command) => command.run(),
            Self::Diff(command) => command.run(config).await,
            Self::Update(command) => command.run(config).await,
            Self::List(command) => command.run(config).await,
            Self::Rollback(command) => command.run(config).await,
        }
    }
}

/// The heads of the files of a directory, by the provider's id.
fn heads(directory: &Path) -> Result<BTreeMap<String, (PathBuf, String)>, Failure> {
    let mut heads = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let whole = std::fs::read_to_string(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        heads.insert(name, (path, text::head(&whole).to_owned()));
    }
    Ok(heads)
}

/// The head of a file for a provider that has none: what the list says of it, if its address needs
/// nothing to be filled in.
fn new_head(provider: &published::Provider) -> Option<String> {
    let key = provider.env.first()?;
    if provider.base_url.contains('{') || !provider.dialects.iter().any(|one| one == "openai-chat")
    {
        return None;
    }
    Some(format!(
        "# {name}\nid = {id:?}\nname = {name:?}\nbase_url = {url:?}\ndialect = \"openai-chat\"\n\
         auth = \"bearer\"\napi_key_env = {key:?}\nmax_tokens_only = true",
        name = provider.name,
        id = provider.id,
        url = provider.base_url,
    ))
}

impl Write {
    fn run(self) -> Result<(), Failure> {
        let list = published::read(&std::fs::read_to_string(&self.from)?)
            .map_err(|faults| lines(&faults))?;
        let mut heads = heads(&self.into)?;
        for provider in &list.providers {
            if heads.contains_key(&provider.id) {
                continue;
            }
            if let Some(head) = new_head(provider) {
                let path = self.into.join(format!("{}.toml", provider.id));
                heads.insert(provider.id.clone(), (path, head));
            }
        }
        let mut files: Vec<ProviderEntry> = Vec::new();
        for (path, head) in heads.values() {
            let file = text::read(head)
                .map_err(|why| Failure::from(format!("{}: {why}", path.display())))?;
            files.push(file);
        }
        let Converted { parts, left_out, faults, .. } =
            published::convert(&list, &files, self.set.into());
        if !faults.is_empty() {
            return Err(lines(&faults));
        }
        let (mut models, mut deployments, mut prices) = (0, 0, 0);
        for (id, (path, head)) in &heads {
            let nothing = Part { provider: id.clone(), ..Part::default() };
            let part = parts.iter().find(|part| part.provider == *id).unwrap_or(&nothing);
            if part.deployments.is_empty() && part.models.is_empty() {
                if path.exists() {
                    std::fs::write(path, format!("{head}\n"))?;
                }
                continue;
            }
            models += part.models.len();
            deployments += part.deployments.len();
            prices += part.deployments.iter().map(|one| one.prices.len()).sum::<usize>();
            let whole = text::file(head, part)
                .map_err(|why| Failure::from(format!("{}: {why}", path.display())))?;
            std::fs::write(path, whole)?;
        }
        for (why, count) in &left_out {
            say(&format!("left out: {count} × {why}"));
        }
        say(&format!("{models} models, {deployments} deployments, {prices} prices"));
        Ok(())
    }
}
