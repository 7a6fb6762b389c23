//! `optimux ledger …`

use std::path::Path;

use clap::Subcommand;

use super::print::say;
use crate::base::money::Nanos;
use crate::boot::{self, Failure};
use crate::ledger::verify;

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Prove that settlements, usage, entries and balances add up.
    Verify {
        #[arg(long)]
        json: bool,
    },
}

impl Ledger {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let Self::Verify { json } = self;
        let ground = boot::ground(config).await?;
        // What a process that is gone has left belongs to the books.
        boot::post_leftovers(&ground).await?;
        let proof = verify::verify(&ground.store).await?;
        if json {
            say(&serde_json::to_string(&proof)?);
        } else {
            say(&format!(
                "{} settlements on {} pages, {} entries, {} accounts: {} credits, {}",
                proof.settlements,
                proof.pages,
                proof.entries,
                proof.accounts,
                proof.credits_used,
                Nanos(proof.cost_nano_usd)
            ));
        }
        if proof.ok {
            if !json {
                say("The books add up.");
            }
            return Ok(());
        }
        Err(format!("the books do not add up:\n{}", proof.faults.join("\n")).into())
    }
}
