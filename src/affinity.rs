//! Which model a conversation was answered by, and where: its provider has likely kept the prompt so far,
//! and reads it again for a tenth of the price.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::admit::Caller;
use crate::base::ids::AccountId;
use crate::catalogue::{Balance, DeploymentId, Model};
use crate::exchange::RequestOptions;
use crate::live::Live;
use crate::router::{Decision, PriorAnswerer, Step};
use crate::upstream::HealthBoard;
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

/// How soon other nodes are told again of a conversation that is where they know it to be.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Conversations that wait to be told of. Those beyond are dropped.
const WAITING: usize = 4_096;

/// Cheap to clone.
#[derive(Clone)]
pub struct Affinity {
    /// With the generation of the catalogue that the model's place is of.
    answered: Cache<u64, (usize, PriorAnswerer)>,
    /// Of a conversation with a named model, the deployment, and when other nodes were told of it. Its id is of
    /// one catalogue only.
    deployments: Cache<u64, (DeploymentId, Instant)>,
    /// Told where conversations are, where there are other nodes to tell.
    told: Arc<OnceLock<mpsc::Sender<Whereabouts>>>,
}

/// Where a conversation was answered, for other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// By the model that `auto` chose, in the catalogue of that generation.
    Chosen { conversation: u64, generation: usize, before: PriorAnswerer },
    /// By a deployment of the model that was named.
    Named { conversation: u64, deployment: DeploymentId },
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
        Self { answered, deployments, told: Arc::default() }
    }
}

/// A conversation's name on all nodes: a hash over its account and what identifies it, so that nobody can forge
/// the name of another account's.
struct Naming(Context);

impl Naming {
    fn of(account: &AccountId) -> Self {
        Self(Context::new(&SHA256)).and(account.as_str().as_bytes())
    }

    fn and(mut self, part: &[u8]) -> Self {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    fn end(self) -> u64 {
        let digest = self.0.finish();
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_le_bytes(first)
    }
}

/// A conversation of an account, by what it began with or by the name it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationKey {
    key: u64,
    /// The caller named it, and wishes to stay with one model.
    stays: bool,
}

impl Affinity {
    /// A conversation by the name that its caller has given it.
    fn session(account: &AccountId, name: &str) -> ConversationKey {
        ConversationKey { key: Naming::of(account).and(name.as_bytes()).end(), stays: true }
    }

    /// The conversation of a request, by its instructions and its first question. Nothing where there is
    /// neither.
    fn conversation(account: &AccountId, request: &Request) -> Option<ConversationKey> {
        let mut naming = Naming::of(account);
        let opening = request.turns.iter().find(|turn| turn.role == Role::User)?;
        let texts = request.instructions.iter().flat_map(Turn::texts).chain(opening.texts());
        for text in texts {
            naming = naming.and(text.as_bytes().get(..TELLING_BYTES).unwrap_or(text.as_bytes()));
        }
        Some(ConversationKey { key: naming.end(), stays: false })
    }

    fn with(conversation: ConversationKey, model: &Model) -> u64 {
        let naming = Naming(Context::new(&SHA256)).and(&conversation.key.to_le_bytes());
        naming.and(model.id.as_bytes()).end()
    }

    /// The deployment by which a model, asked for by name, has answered it before.
    pub fn deployment(&self, conversation: ConversationKey, model: &Model) -> Option<DeploymentId> {
        self.deployments.get(&Self::with(conversation, model)).map(|(place, _)| place)
    }

    /// A model, asked for by name, has answered it there.
    pub fn answered_at(&self, conversation: ConversationKey, model: &Model, place: DeploymentId) {
        let (conversation, now) = (Self::with(conversation, model), Instant::now());
        let known = self.deployments.get(&conversation);
        let told = known.filter(|(at, told)| *at == place && now < *told + TOLD_AGAIN);
        if told.is_none() {
            self.tell(Whereabouts::Named { conversation, deployment: place });
        }
        self.deployments.insert(conversation, (place, told.map_or(now, |(_, told)| told)));
    }

    /// Where it was answered before.
    pub fn before(
        &self,
        conversation: ConversationKey,
        generation: usize,
    ) -> Option<PriorAnswerer> {
        let known = self.answered.get(&conversation.key);
        known.filter(|(of, _)| *of == generation).map(|(_, before)| before)
    }

    /// It was answered by the model at `place`, which has read so many tokens.
    pub fn answered(
        &self,
        conversation: ConversationKey,
        (generation, place): (usize, usize),
        prefix_tokens: u64,
    ) {
        let before = PriorAnswerer { place, prefix_tokens, stays: conversation.stays };
        self.answered.insert(conversation.key, (generation, before));
        self.tell(Whereabouts::Chosen { conversation: conversation.key, generation, before });
    }

    fn tell(&self, answered: Whereabouts) {
        if let Some(told) = self.told.get() {
            // Too many are not worth more than none.
            let _full = told.try_send(answered);
        }
    }

    /// Where conversations are answered from now on, for other nodes; to be asked for once.
    pub fn tidings(&self) -> mpsc::Receiver<Whereabouts> {
        let (told, tidings) = mpsc::channel(WAITING);
        // Asked for again, there are none.
        let _once = self.told.set(told);
        tidings
    }

    /// Another node has answered a conversation there.
    pub fn heard(&self, answered: Whereabouts) {
        match answered {
            Whereabouts::Chosen { conversation, generation, before } => {
                self.answered.insert(conversation, (generation, before));
            }
            Whereabouts::Named { conversation, deployment } => {
                self.deployments.insert(conversation, (deployment, Instant::now()));
            }
        }
    }
}

/// The conversation that a request goes on with, as far as can be told.
///
/// # Errors
/// For a request whose words cannot be read, where they have to be.
pub fn conversation(
    caller: &Caller,
    inbound: &Inbound,
    asked: &RequestOptions,
) -> Result<Option<ConversationKey>, Malformed> {
    if let Some(name) = &asked.session {
        return Ok(Some(Affinity::session(&caller.account, name)));
    }
    // A short prompt is in no provider's cache: nothing is gained by remembering where it went.
    if inbound.head.prompt_bytes < CACHED_BYTES {
        return Ok(None);
    }
    Ok(Affinity::conversation(&caller.account, inbound.request()?))
}

/// The conversation with a model that was asked for by name, where it is to stay with one of several
/// deployments: the caller gives it a name, or the operator has requests spread over them.
fn with_named(
    caller: &Caller,
    inbound: &Inbound,
    asked: &RequestOptions,
    model: &Model,
) -> Option<ConversationKey> {
    let spread = asked.session.is_some() || model.balance != Balance::Order;
    if model.deployments.len() < 2 || !spread {
        return None;
    }
    // What cannot be read may still be answered, by whoever speaks its dialect.
    conversation(caller, inbound, asked).ok().flatten()
}

impl Affinity {
    /// Puts the deployment first that has answered the conversation before, if it is up and has room.
    pub fn stay(
        &self,
        health: &HealthBoard,
        caller: &Caller,
        inbound: &Inbound,
        asked: &RequestOptions,
        decision: &mut Decision,
    ) {
        // Who says in which order providers are to be asked means it.
        let provider = &asked.wishes().provider;
        if !provider.order.is_empty() || provider.sort.is_some() {
            return;
        }
        let Some(model) = decision.steps.first().map(|first| &first.model) else { return };
        let before = with_named(caller, inbound, asked, model)
            .and_then(|conversation| self.deployment(conversation, model));
        let Some(before) = before else { return };
        let state = health.state(before, inbound.head.stream, Instant::now());
        let place = decision.steps.iter().position(|step| step.deployment.id == before);
        if let Some(place) = place.filter(|_| state.passing && !state.strained)
            && let Some(front) = decision.steps.get_mut(..=place)
        {
            front.rotate_right(1);
        }
    }

    /// Remembers who has answered what was decided: the model, where `auto` chose it, or the deployment of
    /// the one that was named.
    pub fn remember(
        &self,
        live: &Live,
        caller: &Caller,
        inbound: &Inbound,
        asked: &RequestOptions,
        decision: &Decision,
        step: &Step,
    ) {
        let Some(explanation) = &decision.explanation else {
            if let Some(conversation) = with_named(caller, inbound, asked, &step.model) {
                self.answered_at(conversation, &step.model, step.deployment.id);
            }
            return;
        };
        // The request was read to decide: it can be read.
        let Ok(Some(conversation)) = conversation(caller, inbound, asked) else { return };
        let mut models = live.catalogue.models().iter();
        if let Some(place) = models.position(|model| Arc::ptr_eq(model, &step.model)) {
            let place = (live.generation(), place);
            self.answered(conversation, place, explanation.input_tokens);
        }
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
            Some(name) => Affinity::session(account, name),
            None => Affinity::conversation(account, &asking(texts)).unwrap(),
        };
        let first = conversation(&own, None, &["Tell me of Rome."]);
        assert_eq!(affinity.before(first, 7), None);
        affinity.answered(first, (7, 3), 900);
        let later = conversation(&own, None, &["Tell me of Rome.", "It was large.", "And then?"]);
        let before = PriorAnswerer { place: 3, prefix_tokens: 900, stays: false };
        assert_eq!(affinity.before(later, 7), Some(before));
        assert_eq!(affinity.before(conversation(&other, None, &["Tell me of Rome."]), 7), None);
        assert_eq!(affinity.before(conversation(&own, None, &["Tell me of Athens."]), 7), None);
        let named = conversation(&own, Some("s1"), &["One"]);
        affinity.answered(named, (7, 4), 10);
        assert!(affinity.before(conversation(&own, Some("s1"), &["Two"]), 7).unwrap().stays);
        assert_eq!(affinity.before(conversation(&other, Some("s1"), &["Two"]), 7), None);
        assert_eq!(Affinity::conversation(&own, &Request::default()), None);
    }

    #[test]
    fn other_nodes_know_what_they_are_told() {
        let (here, there) = (Affinity::default(), Affinity::default());
        let mut tidings = here.tidings();
        let conversation = Affinity::session(&AccountId::stored("acct_a"), "s1");
        here.answered(conversation, (7, 4), 10);
        there.heard(tidings.try_recv().unwrap());
        let before = PriorAnswerer { place: 4, prefix_tokens: 10, stays: true };
        assert_eq!(there.before(conversation, 7), Some(before));
        assert_eq!(there.before(conversation, 8), None);
        assert!(tidings.try_recv().is_err());
    }
}
