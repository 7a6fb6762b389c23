//! `optimux key …`

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;

use super::print::say;
use crate::admit::KeyTerms;
use crate::admit::keys::{self, Issued, KeyError};
use crate::base::clock::Clock;
use crate::boot::{self, Failure};

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Create a key. It is shown once.
    Create {
        /// The account's name or id.
        #[arg(long)]
        account: String,
        #[arg(long, default_value = "default")]
        name: String,
        #[arg(long)]
        json: bool,
    },
    /// List keys, without their secrets.
    List {
        /// Only this account's, by name or id.
        #[arg(long)]
        account: Option<String>,
    },
    /// Refuse a key from now on, on every node within a second.
    Revoke { id: String },
    /// Make a new key in the place of an old one.
    Rotate {
        id: String,
        /// How long the old key stays good, in seconds.
        #[arg(long, default_value_t = 3600)]
        overlap: u64,
        #[arg(long)]
        json: bool,
    },
}

fn show(issued: &Issued, json: bool) {
    let secret = issued.secret.expose_secret();
    if json {
        let key = &issued.key;
        say(&json!({"id": key.id.as_str(), "account": key.account.as_str(), "name": key.name, "key": secret}).to_string());
    } else {
        say(secret);
    }
}

impl Key {
    pub async fn run(self, config: Option<&Path>) -> Result<(), Failure> {
        let store = boot::ground(config).await?.store;
        let now = Clock::System.now();
        match self {
            Self::Create { account, name, json } => {
                show(
                    &keys::issue(&store, &account, None, &name, &KeyTerms::default(), now).await?,
                    json,
                );
            }
            Self::List { account } => {
                let account = match account {
                    Some(name) => {
                        let found = store.account(&name).await?;
                        Some(found.ok_or(KeyError::NoAccount(name))?.id)
                    }
                    None => None,
                };
                for key in store.keys(account).await? {
                    let state = match key.revoked {
                        Some(at) if at <= now => "revoked",
                        Some(_) => "ending",
                        None => "good",
                    };
                    say(&format!(
                        "{}  {}  {}  {}  {state}",
                        key.id, key.account, key.hint, key.name
                    ));
                }
            }
            Self::Revoke { id } => keys::revoke(&store, &id, now).await?,
            Self::Rotate { id, overlap, json } => {
                show(&keys::rotate(&store, &id, Duration::from_secs(overlap), now).await?, json);
            }
        }
        Ok(())
    }
}
