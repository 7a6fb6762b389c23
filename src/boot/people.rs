//! What people need to be let in: the key that seals, and the first administrator.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::failure::Failure;
use super::sources::secret_variable;
use crate::admit::keys::create_account;
use crate::admit::{Authentication, Role, new_member, new_person};
use crate::base::seal::Vault;
use crate::base::secret::new_token;
use crate::config::Config;
use crate::store::{StoreError, file_of};

/// The account of administrators whom the configuration names.
pub const OPERATORS: &str = "operators";

/// The vault's key: from the environment, or else from a file beside an SQLite database.
///
/// # Errors
/// For a key that is too short, or a file that cannot be made or read.
pub fn vault(config: &Config) -> Result<Option<Vault>, Failure> {
    let name = &config.vault.key_env;
    if let Some(secret) = secret_variable(name) {
        let vault = Vault::new(&secret);
        return vault.map(Some).ok_or_else(|| format!("{name} has to have 32 characters").into());
    }
    let Some(file) = file_of(&config.store.url) else {
        tracing::warn!(
            variable = name,
            "is not set: apps cannot be connected, and signing keys lie open in the store"
        );
        return Ok(None);
    };
    let path = PathBuf::from(format!("{file}.vault"));
    let unusable =
        |why: String| format!("the vault's key in {} cannot be used: {why}", path.display());
    let secret = kept_secret(&path).map_err(|why| unusable(why.to_string()))?;
    let vault = Vault::new(&secret);
    vault.map(Some).ok_or_else(|| unusable("it is too short".to_owned()).into())
}

/// The secret in a file that only its owner reads; made if it is not there.
fn kept_secret(path: &Path) -> Result<SecretString, Failure> {
    if !path.exists() {
        // Whole before it has its name: another process may look for it at the same time.
        let draft = path.with_extension(format!("vault-{}", std::process::id()));
        let mut options = std::fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(new_token()?.as_bytes())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            // Another process was faster.
            Err(why) if why.kind() != std::io::ErrorKind::AlreadyExists => return Err(why.into()),
            _ => {}
        }
    }
    Ok(SecretString::from(std::fs::read_to_string(path)?.trim().to_owned()))
}

/// Makes the administrator whom the configuration names, if nobody signs in with the address.
///
/// # Errors
/// When there is no password for them, or the store fails.
pub async fn first_administrator(config: &Config, desk: &Authentication) -> Result<(), Failure> {
    let Some(email) = &config.admin.email else { return Ok(()) };
    if desk.store.person_of_email(email.trim().to_lowercase()).await?.is_some() {
        return Ok(());
    }
    let variable = config.admin.password_env.as_deref();
    let password = variable.and_then(secret_variable).ok_or_else(|| {
        let name = variable.unwrap_or("admin.password_env");
        format!("admin.email is set, and {name} gives no password for it")
    })?;
    let now = desk.clock.now();
    let hash = desk.passwords.hash(password).await?;
    let account = match create_account(&desk.store, OPERATORS, "enterprise", None, now).await {
        Ok(account) => account,
        Err(crate::admit::keys::KeyError::Store(StoreError::Taken(_))) => {
            desk.store.account(OPERATORS).await?.ok_or("the operators' account is gone")?
        }
        Err(why) => return Err(why.into()),
    };
    let (member, person) = new_person(new_member(account.id, email, Role::Admin, now)?, hash);
    match desk.store.add_member(member, Some(person)).await {
        // Another node was faster.
        Ok(()) | Err(StoreError::Taken(_)) => Ok(()),
        Err(why) => Err(why.into()),
    }
}
