//! A published list of models, prices and facts (`schema_version` 1), as entries of our own. What
//! we have no word for is left out and counted, never guessed at.

mod facts;
mod list;
mod models;
mod prices;

use std::collections::BTreeMap;

use super::entry::{FileDeployment, ModelEntry, ProviderEntry};
use super::facts::FactsEntry;
use super::fault::CatalogueFault;
use crate::wire::vocab::{Dialect, Protocol};

pub use list::{List, Provider, read};
pub use models::convert;

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What the built-in files carry: models of the set `core`, names that have a replacement, and
    /// neither deployments nor prices that are over.
    Core,
    /// Everything, as an update brings it.
    All,
}

/// What a list says of one provider.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    pub provider: String,
    /// Models of this provider's maker, and of makers without a file of their own.
    pub models: Vec<ModelEntry>,
    pub deployments: Vec<FileDeployment>,
}

/// What a list becomes.
#[derive(Debug, Default)]
pub struct Converted {
    pub parts: Vec<Part>,
    /// All facts of each model that chats, whatever its families say.
    pub facts: BTreeMap<String, FactsEntry>,
    /// What was left out and how often, by the reason in words.
    pub left_out: BTreeMap<String, usize>,
    /// What cannot be converted.
    pub faults: Vec<CatalogueFault>,
}

impl Converted {
    fn skip(&mut self, why: impl Into<String>) {
        *self.left_out.entry(why.into()).or_default() += 1;
    }

    fn part(&mut self, provider: &str) -> &mut Part {
        let known = self.parts.iter().position(|part| part.provider == provider);
        let at = known.unwrap_or_else(|| {
            self.parts.push(Part { provider: provider.to_owned(), ..Part::default() });
            self.parts.len() - 1
        });
        // The position was found or made above.
        &mut self.parts[at]
    }
}

/// What can be asked of a provider, by its file.
fn is_served(file: &ProviderEntry, mode: &str) -> bool {
    let spoken = spoken(file);
    match mode {
        "chat" => true,
        "embedding" => {
            let embeds = |one: &Protocol| {
                !matches!(one, Protocol::Dialect(Dialect::Anthropic) | Protocol::Bedrock)
            };
            file.embeddings.is_some() || spoken.iter().any(embeds)
        }
        // Only where a file says so: many speak chat completions and draw by other ways.
        "image" => file.images.is_some(),
        // OpenAI's sockets are spoken by those who speak its Responses.
        "realtime" => spoken.contains(&Protocol::Dialect(Dialect::OpenAiResponses)),
        _ => false,
    }
}

/// What a provider is asked in, by its file.
fn spoken(file: &ProviderEntry) -> Vec<Protocol> {
    match (&file.dialects, file.dialect) {
        (Some(all), _) if !all.is_empty() => all.clone(),
        (_, Some(one)) => vec![one],
        _ => vec![Protocol::Dialect(Dialect::OpenAiChat)],
    }
}
