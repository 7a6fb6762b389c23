//! What rooms below need of the gateway: models as memory has them asked, charged to the caller as any request
//! is.

use bytes::Bytes;

use super::app::{App, Shared};
use super::charge::{self, Intent, PriorAttempts};
use super::embed::embed;
use super::named::named;
use crate::admit::Caller;
use crate::agents::Running;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::catalogue::Mode;
use crate::exchange::{Arrival, ResponseBody};
use crate::memory::{Answering, Models, Remembering};
use crate::wire::Inbound;
use crate::wire::embeddings::EmbeddingsForm;
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

    async fn complete(&self, caller: &Caller, body: Bytes) -> Result<ResponseBody, Error> {
        let inbound = Inbound::arrive(Dialect::OpenAiChat, body, None)?;
        let decision = named(self, caller, &inbound.head.model, Mode::Chat)?;
        let id = RequestId::fresh();
        let intent = Intent::of(&id, "memory");
        let hold = charge::hold(self, caller, &decision, &inbound.head, intent).await;
        let hold = hold.map_err(|refused| refused.error)?;
        let earlier = PriorAttempts::default();
        let answered = charge::deliver(self, &decision, &inbound, &id, hold, earlier).await;
        answered.map(|answered| answered.body).map_err(|refused| refused.error)
    }
}

fn whole(body: ResponseBody) -> Result<Bytes, Error> {
    match body {
        ResponseBody::Whole(body) => Ok(body),
        ResponseBody::Stream(_) => Err(Error::internal("a whole answer streams")),
    }
}

impl Models for App {
    fn embed<'a>(&'a self, caller: &'a Caller, body: Bytes) -> Answering<'a> {
        Box::pin(async move {
            let arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
            let answered = embed(self, caller, arrival, EmbeddingsForm::Openai, None).await;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::Kind;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};

    fn asking(stream: bool) -> Bytes {
        let body = json!({"model": "m", "stream": stream,
            "messages": [{"role": "user", "content": "What does it state?"}]});
        Bytes::from(body.to_string())
    }

    /// The model `m`, a dear one, and plans of one request a day and without the dear one.
    fn config(provider: &FakeProvider) -> String {
        let models = provider.serving("openai-chat", &["m"]);
        format!(
            "{models}[[models]]\nid = \"v\"\nmode = \"embedding\"\ndeployments = [{{ provider = \"p\" }}]\n\
             [plans.one]\nrequests_per_day = 1\n[plans.free_only]\ntiers = [\"free\"]\n"
        )
    }

    #[tokio::test]
    async fn what_memory_asks_is_charged_to_its_caller_as_any_request_is() {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("A cat.")).await;
        let fixture = Fixture::of(&config(&provider)).await;
        let caller = fixture.caller("one").await;
        let models: &dyn Models = &fixture.app;
        let answer = models.complete(&caller, asking(false)).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("A cat."));
        // Of the same limits, though it goes on when the request is answered.
        let refused = models.aside().complete(&caller, asking(false)).await.unwrap_err();
        assert_eq!((refused.kind, provider.asked().len()), (Kind::RateLimited, 1));
    }

    #[tokio::test]
    async fn a_model_out_of_the_callers_plan_is_not_asked_for_memory_either() {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("A cat.")).await;
        let fixture = Fixture::of(&config(&provider)).await;
        let caller = fixture.caller("free_only").await;
        let models: &dyn Models = &fixture.app;
        let refused = models.complete(&caller, asking(false)).await.unwrap_err();
        assert_eq!((refused.kind, provider.asked().len()), (Kind::Forbidden, 0));
    }

    #[tokio::test]
    async fn what_comes_as_a_stream_is_no_answer_for_memory() {
        let provider = FakeProvider::answering(|_| {
            CannedAnswer::events("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"A\"}}]}\n\ndata: [DONE]\n\n")
        })
        .await;
        let fixture = Fixture::of(&config(&provider)).await;
        let caller = fixture.caller("free").await;
        let models: &dyn Models = &fixture.app;
        let error = models.complete(&caller, asking(true)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Internal);
    }

    #[tokio::test]
    async fn vectors_are_asked_for_in_openais_form_and_come_whole() {
        let provider = FakeProvider::answering(|_| {
            CannedAnswer::json(
                200,
                &json!({"object": "list", "model": "v",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
                "usage": {"prompt_tokens": 1, "total_tokens": 1}}),
            )
        })
        .await;
        let config = config(&provider).replace("dialect =", "embeddings = \"openai\"\ndialect =");
        let fixture = Fixture::of(&config).await;
        let caller = fixture.caller("free").await;
        let models: &dyn Models = &fixture.app;
        let body = Bytes::from(json!({"model": "v", "input": ["a"]}).to_string());
        let answer = models.embed(&caller, body).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["data"][0]["embedding"], json!([0.5]));
        assert_eq!(provider.asked()[0].path, "/v1/embeddings");
    }
}
