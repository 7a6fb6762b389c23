//! What rooms below need of the gateway: models as memory has them asked, charged to the caller as any request
//! is.

use bytes::Bytes;

use super::app::{App, Shared};
use super::charge::{self, Earlier, Intent};
use super::embed::embed;
use super::named::named;
use crate::admit::Caller;
use crate::agents::Running;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::catalogue::Mode;
use crate::exchange::{Arrival, Body};
use crate::memory::{Answering, Models, Remembering};
use crate::wire::Inbound;
use crate::wire::embeddings::Form;
use crate::wire::vocab::Dialect;
use crate::words::Preparing;

impl App {
    /// What is remembered of users.
    #[must_use]
    pub fn memory(&self) -> Remembering<'_> {
        Remembering { memories: &self.shared.memories, models: self }
    }

    /// What prepares the words of requests.
    #[must_use]
    pub fn words(&self) -> Preparing<'_> {
        let Shared { words, identities, .. } = &self.shared;
        Preparing { keeping: words, identities, memory: self.memory() }
    }

    /// What runs agents.
    #[must_use]
    pub fn agents(&self) -> Running<'_> {
        let Shared { clock, connections, .. } = &self.shared;
        Running { clock: *clock, connections, memory: self.memory() }
    }

    async fn complete(&self, caller: &Caller, body: Bytes) -> Result<Body, Error> {
        let inbound = Inbound::arrive(Dialect::OpenAiChat, body, None)?;
        let decision = named(self, caller, &inbound.head.model, Mode::Chat)?;
        let id = RequestId::fresh();
        let intent = Intent::of(&id, "memory");
        let hold = charge::hold(self, caller, &decision, &inbound.head, intent).await;
        let hold = hold.map_err(|refused| refused.error)?;
        let earlier = Earlier::default();
        let answered = charge::deliver(self, &decision, &inbound, &id, hold, earlier).await;
        answered.map(|answered| answered.body).map_err(|refused| refused.error)
    }
}

fn whole(body: Body) -> Result<Bytes, Error> {
    match body {
        Body::Whole(body) => Ok(body),
        Body::Stream(_) => Err(Error::internal("a whole answer streams")),
    }
}

impl Models for App {
    fn embed<'a>(&'a self, caller: &'a Caller, body: Bytes) -> Answering<'a> {
        Box::pin(async move {
            let arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
            let answered = embed(self, caller, arrival, Form::Openai, None).await;
            whole(answered.map_err(|refused| refused.error)?.body)
        })
    }

    fn complete<'a>(&'a self, caller: &'a Caller, body: Bytes) -> Answering<'a> {
        Box::pin(async move { whole(self.complete(caller, body).await?) })
    }

    fn aside(&self) -> Box<dyn Models> {
        Box::new(self.aside())
    }
}
