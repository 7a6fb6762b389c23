//! `optimux account …`

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::say;
use crate::admit::keys;
use crate::base::clock::Clock;
use crate::boot::{self, Failure};

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Create an account.
    Create {
        name: String,
        #[arg(long, default_value = "free")]
        plan: String,
        #[arg(long)]
        json: bool,
    },
    /// List accounts.
    List,
}

impl Account {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let ground = boot::ground(config).await?;
        match self {
            Self::Create { name, plan, json } => {
                let plan = ground.plans.get(&plan).ok_or_else(|| {
                    let known = ground.plans.all();
                    let known: Vec<&str> = known.iter().map(|plan| plan.name.as_str()).collect();
                    format!("there is no plan '{plan}'; there are {}", known.join(", "))
                })?;
                let account = keys::create_account(
                    &ground.store,
                    &name,
                    &plan.name,
                    None,
                    Clock::System.now(),
                )
                .await?;
                if json {
                    say(&json!({"id": account.id.as_str(), "name": account.name, "plan": account.plan}).to_string());
                } else {
                    say(account.id.as_str());
                }
            }
            Self::List => {
                for account in ground.store.accounts().await? {
                    say(&format!("{}  {}  {}", account.id, account.plan, account.name));
                }
            }
        }
        Ok(())
    }
}
