//! Documents that change the catalogue of a gateway: what they would change, and letting them hold.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::print::say;
use crate::administration::restored_as_kept;
use crate::base::calendar;
use crate::base::clock::Clock;
use crate::base::ids::AuditId;
use crate::boot::{self, CatalogueSources, Failure, Ground};
use crate::catalogue::diff::{Changes, diff};
use crate::catalogue::{CatalogueFault, ProviderEntry, builtin, document};
use crate::store::{Audit, Change, NewRevision};
use crate::upstream;

/// The largest document, in bytes: ten times the list of November 2026.
const MOST_BYTES: usize = 20 << 20;

/// Who the log says it was.
const ACTOR: &str = "command line";

/// Where a document is.
#[derive(Debug, Args)]
pub struct From {
    /// The document: a file, or an http(s) address.
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    /// Take it only if this is its SHA-256.
    #[arg(long, value_name = "SHA256")]
    pin: Option<String>,
}

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    from: From,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    from: From,
    /// Why, for the log.
    #[arg(long)]
    reason: String,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct List {
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// Its number; 0 for the built-in files.
    id: i64,
    /// Why, for the log.
    #[arg(long)]
    reason: String,
}

/// A document that would make a catalogue, and what it would change.
struct Read {
    text: String,
    sha256: String,
    changes: Changes,
}

async fn fetched(from: &str) -> Result<Vec<u8>, Failure> {
    if from.starts_with("https://") || from.starts_with("http://") {
        return Ok(upstream::document(from, MOST_BYTES).await?.to_vec());
    }
    std::fs::read(from).map_err(|why| format!("{from} cannot be read: {why}").into())
}

fn fingerprint(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

impl From {
    /// # Errors
    /// Every fault of the document, a line each.
    async fn read(&self, ground: &Ground) -> Result<Read, Failure> {
        let bytes = fetched(&self.from).await?;
        let sha256 = fingerprint(&bytes);
        if let Some(pin) = self.pin.as_ref().filter(|pin| !pin.eq_ignore_ascii_case(&sha256)) {
            return Err(format!("the document is {sha256} and not {pin}: it is not taken").into());
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::from("the document is not UTF-8 text"))?;
        // A complete document stands for itself; another is laid over the built-in files alone, as
        // it is at every start.
        let files: Vec<ProviderEntry> = builtin()?;
        let read = document::read(&text, &files).map_err(|faults| lines(&faults))?;
        let after = document::lay(files, read);
        let faults = document::faults(&after);
        if !faults.is_empty() {
            return Err(lines(&faults));
        }
        // What is configured here is laid over it at every start, and must still fit.
        let (before, _) = boot::files(&ground.store).await?;
        let laid = CatalogueSources { files: after.clone(), settings: before.settings };
        boot::catalogue(&ground.config, laid, 0)?;
        Ok(Read { text, sha256, changes: diff(&before.files, &after) })
    }
}

fn told(read: &Read, as_json: bool) {
    if as_json {
        say(&json!({"sha256": read.sha256, "changes": read.changes}).to_string());
        return;
    }
    say(&format!("sha256 {}", read.sha256));
    for line in read.changes.lines() {
        say(&line);
    }
    if read.changes.is_empty() {
        say("nothing would change");
    }
}

fn audit(action: &str, target: &str, detail: &Value) -> Audit {
    Audit {
        id: AuditId::fresh(),
        at: Clock::System.now(),
        actor: ACTOR.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail: detail.to_string(),
    }
}

impl Diff {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let ground = boot::ground(config).await?;
        told(&self.from.read(&ground).await?, self.json);
        Ok(())
    }
}

impl Update {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let ground = boot::ground(config).await?;
        let read = self.from.read(&ground).await?;
        let changes = &read.changes;
        let detail = json!({
            "sha256": read.sha256,
            "reason": self.reason,
            "from": self.from.from,
            "models": {
                "added": changes.models.added.len(),
                "removed": changes.models.removed.len(),
                "ended": changes.models.ended.len(),
            },
            "prices": changes.prices.len(),
            "facts": changes.facts.len(),
        });
        let new = NewRevision {
            sha256: read.sha256.clone(),
            reason: self.reason,
            change: Change::Document(read.text.clone()),
        };
        let audit = audit("catalogue.update", "", &detail);
        let id = ground.store.add_catalogue(new, audit).await?.ok_or("another revision holds")?;
        if self.json {
            let told = json!({"revision": id, "sha256": read.sha256, "changes": read.changes});
            say(&told.to_string());
        } else {
            told(&read, false);
            say(&format!("revision {id} holds"));
        }
        Ok(())
    }
}

impl List {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let ground = boot::ground(config).await?;
        let all = ground.store.catalogue_revisions().await?;
        if self.json {
            let all: Vec<Value> = all
                .iter()
                .map(|one| {
                    json!({
                        "id": one.id,
                        "created": calendar::written(one.created),
                        "sha256": one.sha256,
                        "actor": one.actor,
                        "reason": one.reason,
                        "active": one.active,
                    })
                })
                .collect();
            say(&Value::from(all).to_string());
            return Ok(());
        }
        for one in &all {
            let sign = if one.active { "*" } else { " " };
            let created = calendar::written(one.created);
            say(&format!("{sign} {}  {created}  {}  {}", one.id, one.sha256, one.reason));
        }
        let sign = if all.iter().any(|one| one.active) { " " } else { "*" };
        say(&format!("{sign} 0  the built-in files"));
        Ok(())
    }
}

impl Rollback {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let ground = boot::ground(config).await?;
        // What this build cannot read, it cannot hold.
        if let Some(revised) = ground.store.catalogue_revision(self.id).await? {
            let laid = CatalogueSources::of(&revised)?;
            let faults = document::faults(&laid.files);
            if !faults.is_empty() {
                return Err(lines(&faults));
            }
            boot::catalogue(&ground.config, laid, 0)?;
        }
        let detail = json!({"reason": self.reason});
        let audit = audit("catalogue.rollback", &self.id.to_string(), &detail);
        let revised = ground.store.catalogue_revision(self.id).await?.unwrap_or_default();
        let plans = restored_as_kept(&ground.store, self.id, &revised).await;
        let plans = plans.map_err(|why| why.to_string())?;
        if !ground.store.activate_catalogue(self.id, plans, audit).await? {
            return Err(format!("there is no revision {}", self.id).into());
        }
        say(&format!("revision {} holds", self.id));
        Ok(())
    }
}

pub(super) fn lines(faults: &[CatalogueFault]) -> Failure {
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    all.join("\n").into()
}
