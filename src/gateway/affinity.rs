//! Which model a conversation was answered by, and where: its provider has likely kept the prompt so far,
//! and reads it again for a tenth of the price.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::{App, Asked};
use crate::admit::Caller;
use crate::base::ids::AccountId;
use crate::catalogue::{Balance, DeploymentId, Model};
use crate::router::{Before, Decision, Step};
use crate::wire::Inbound;
use crate::wire::vocab::{Malformed, Request, Role, Turn};

/// Some 1,024 tokens, the least that any provider caches.
const CACHED_BYTES: usize = 4_096;
/// Providers keep a prompt for about so long after it was last read.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// Conversations that are remembered on this node.
const CONVERSATIONS: u64 = 100_000;
/// What tells conversations apart is said within so many bytes of a text.
const TELLING_BYTES: usize = 512;

/// Cheap to clone.
#[derive(Clone)]
pub struct Affinity {
    /// With the generation of the catalogue that the model's place is of.
    answered: Cache<u64, (usize, Before)>,
    /// Of a conversation with a named model, the deployment. Its id is of one catalogue only.
    deployments: Cache<u64, DeploymentId>,
    /// Random per process: nobody can aim at another's conversation.
    hasher: RandomState,
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Affinity").finish_non_exhaustive()
    }
}

impl Default for Affinity {
    fn default() -> Self {
        let answered = Cache::builder().max_capacity(CONVERSATIONS).time_to_idle(KEPT_FOR).build();
        let deployments =
            Cache::builder().max_capacity(CONVERSATIONS).time_to_idle(KEPT_FOR).build();
        Self { answered, deployments, hasher: RandomState::new() }
    }
}

/// A conversation of an account, by what it began with or by the name it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    key: u64,
    /// The caller named it, and wishes to stay with one model.
    stays: bool,
}

impl Affinity {
    /// A conversation by the name that its caller has given it.
    fn session(&self, account: &AccountId, name: &str) -> Conversation {
        let mut hasher = self.hasher.build_hasher();
        account.as_str().hash(&mut hasher);
        name.hash(&mut hasher);
        Conversation { key: hasher.finish(), stays: true }
    }

    /// The conversation of a request, by its instructions and its first question. Nothing where there is
    /// neither.
    fn conversation(&self, account: &AccountId, request: &Request) -> Option<Conversation> {
        let mut hasher = self.hasher.build_hasher();
        account.as_str().hash(&mut hasher);
        let opening = request.turns.iter().find(|turn| turn.role == Role::User)?;
        let texts = request.instructions.iter().flat_map(Turn::texts).chain(opening.texts());
        for text in texts {
            text.as_bytes().get(..TELLING_BYTES).unwrap_or(text.as_bytes()).hash(&mut hasher);
        }
        Some(Conversation { key: hasher.finish(), stays: false })
    }

    fn with(&self, conversation: Conversation, model: &Model) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        conversation.key.hash(&mut hasher);
        model.id.hash(&mut hasher);
        hasher.finish()
    }

    /// The deployment by which a model, asked for by name, has answered it before.
    pub fn deployment(&self, conversation: Conversation, model: &Model) -> Option<DeploymentId> {
        self.deployments.get(&self.with(conversation, model))
    }

    /// A model, asked for by name, has answered it there.
    pub fn answered_at(&self, conversation: Conversation, model: &Model, place: DeploymentId) {
        self.deployments.insert(self.with(conversation, model), place);
    }

    /// Where it was answered before.
    pub fn before(&self, conversation: Conversation, generation: usize) -> Option<Before> {
        let known = self.answered.get(&conversation.key);
        known.filter(|(of, _)| *of == generation).map(|(_, before)| before)
    }

    /// It was answered by the model at `place`, which has read so many tokens.
    pub fn answered(
        &self,
        conversation: Conversation,
        (generation, place): (usize, usize),
        prefix_tokens: u64,
    ) {
        let before = Before { place, prefix_tokens, stays: conversation.stays };
        self.answered.insert(conversation.key, (generation, before));
    }
}

/// The conversation that a request goes on with, as far as can be told.
///
/// # Errors
/// For a request whose words cannot be read, where they have to be.
pub(super) fn conversation(
    app: &App,
    caller: &Caller,
    inbound: &Inbound,
    asked: &Asked,
) -> Result<Option<Conversation>, Malformed> {
    let affinity = &app.shared.affinity;
    if let Some(name) = &asked.session {
        return Ok(Some(affinity.session(&caller.account, name)));
    }
    // A short prompt is in no provider's cache: nothing is gained by remembering where it went.
    if inbound.head.prompt_bytes < CACHED_BYTES {
        return Ok(None);
    }
    Ok(affinity.conversation(&caller.account, inbound.request()?))
}

/// The conversation with a model that was asked for by name, where it is to stay with one of several
/// deployments: the caller gives it a name, or the operator has requests spread over them.
fn with_named(
    app: &App,
    caller: &Caller,
    inbound: &Inbound,
    asked: &Asked,
    model: &Model,
) -> Option<Conversation> {
    let spread = asked.session.is_some() || model.balance != Balance::Order;
    if model.deployments.len() < 2 || !spread {
        return None;
    }
    // What cannot be read may still be answered, by whoever speaks its dialect.
    conversation(app, caller, inbound, asked).ok().flatten()
}

/// Puts the deployment first that has answered the conversation before, if it is up and has room.
pub(super) fn stay(
    app: &App,
    caller: &Caller,
    inbound: &Inbound,
    asked: &Asked,
    decision: &mut Decision,
) {
    // Who says in which order providers are to be asked means it.
    let provider = &asked.wishes().provider;
    if !provider.order.is_empty() || provider.sort.is_some() {
        return;
    }
    let Some(model) = decision.steps.first().map(|first| &first.model) else { return };
    let before = with_named(app, caller, inbound, asked, model)
        .and_then(|conversation| app.shared.affinity.deployment(conversation, model));
    let Some(before) = before else { return };
    let state = app.shared.health.state(before, inbound.head.stream, Instant::now());
    let place = decision.steps.iter().position(|step| step.deployment.id == before);
    if let Some(place) = place.filter(|_| state.passing && !state.strained)
        && let Some(front) = decision.steps.get_mut(..=place)
    {
        front.rotate_right(1);
    }
}

/// Remembers which deployment of a model that was asked for by name has answered.
pub(super) fn remember(app: &App, caller: &Caller, inbound: &Inbound, asked: &Asked, step: &Step) {
    if let Some(conversation) = with_named(app, caller, inbound, asked, &step.model) {
        app.shared.affinity.answered_at(conversation, &step.model, step.deployment.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::Part;

    fn asking(texts: &[&str]) -> Request {
        let turns = texts.iter().enumerate().map(|(number, text)| {
            let role = if number % 2 == 0 { Role::User } else { Role::Assistant };
            Turn::new(role, vec![Part::text(*text)])
        });
        Request { turns: turns.collect(), ..Request::default() }
    }

    #[test]
    fn a_conversation_is_known_by_how_it_began_and_whose_it_is() {
        let affinity = Affinity::default();
        let (own, other) = (AccountId::stored("acct_a"), AccountId::stored("acct_b"));
        let conversation = |account, session: Option<&str>, texts: &[&str]| match session {
            Some(name) => affinity.session(account, name),
            None => affinity.conversation(account, &asking(texts)).unwrap(),
        };
        let first = conversation(&own, None, &["Tell me of Rome."]);
        assert_eq!(affinity.before(first, 7), None);
        affinity.answered(first, (7, 3), 900);
        let later = conversation(&own, None, &["Tell me of Rome.", "It was large.", "And then?"]);
        let before = Before { place: 3, prefix_tokens: 900, stays: false };
        assert_eq!(affinity.before(later, 7), Some(before));
        assert_eq!(affinity.before(conversation(&other, None, &["Tell me of Rome."]), 7), None);
        assert_eq!(affinity.before(conversation(&own, None, &["Tell me of Athens."]), 7), None);
        let named = conversation(&own, Some("s1"), &["One"]);
        affinity.answered(named, (7, 4), 10);
        assert!(affinity.before(conversation(&own, Some("s1"), &["Two"]), 7).unwrap().stays);
        assert_eq!(affinity.before(conversation(&other, Some("s1"), &["Two"]), 7), None);
        assert_eq!(affinity.conversation(&own, &Request::default()), None);
    }
}
