//! `optimux account …`

use std::path::Path;

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::json;

use super::print::say;
use crate::admit::{Passwords, Role, keys, new_member, new_person};
use crate::base::clock::Clock;
use crate::base::ids::AccountId;
use crate::base::secret::new_token;
use crate::boot::{self, Failure};

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Create an account.
    Create {
        name: String,
        /// "free", or "enterprise" for administrators, if not given.
        #[arg(long)]
        plan: Option<String>,
        /// Who signs in, as the account's owner.
        #[arg(long)]
        email: Option<String>,
        /// They run the gateway.
        #[arg(long, requires = "email")]
        admin: bool,
        /// The environment variable that holds their password; if not given, one is made and shown.
        #[arg(long, requires = "email", value_name = "VARIABLE")]
        password_env: Option<String>,
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
            Self::Create { name, plan, email, admin, password_env, json } => {
                let plan = plan.as_deref().unwrap_or(if admin { "enterprise" } else { "free" });
                let plan = ground.plans.get(plan).ok_or_else(|| {
                    let known = ground.plans.all();
                    let known: Vec<&str> = known.iter().map(|plan| plan.name.as_str()).collect();
                    format!("there is no plan '{plan}'; there are {}", known.join(", "))
                })?;
                let now = Clock::System.now();
                let role = if admin { Role::Admin } else { Role::Owner };
                if let Some(email) = &email {
                    // Before there is an account that nobody would own.
                    let member = new_member(AccountId::fresh(), email, role, now)?;
                    if ground.store.person_of_email(member.email).await?.is_some() {
                        return Err(format!("somebody signs in as {email} already").into());
                    }
                }
                let account =
                    keys::create_account(&ground.store, &name, &plan.name, None, now).await?;
                let mut made =
                    json!({"id": account.id.as_str(), "name": account.name, "plan": account.plan});
                if let Some(email) = email {
                    let member = new_member(account.id.clone(), &email, role, now)?;
                    let given = match &password_env {
                        Some(name) => {
                            Some(std::env::var(name).map_err(|why| format!("{name}: {why}"))?)
                        }
                        None => None,
                    };
                    let shown = given.is_none();
                    let password = given.map_or_else(new_token, Ok)?;
                    let hash =
                        Passwords::default().hash(SecretString::from(password.clone())).await?;
                    let (member, person) = new_person(member, hash);
                    made["member"] =
                        json!({"id": member.id, "email": member.email, "role": member.role});
                    if shown {
                        made["password"] = json!(password);
                    }
                    ground.store.add_member(member, Some(person)).await?;
                }
                if json {
                    say(&made.to_string());
                } else {
                    say(account.id.as_str());
                    if let Some(password) = made["password"].as_str() {
                        say(&format!("password, shown only now: {password}"));
                    }
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
