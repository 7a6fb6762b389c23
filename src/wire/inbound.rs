//! A request as it arrived: its bytes, its head, and, once somebody needs the words, its meaning.

use std::cell::OnceCell;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::vocab::{Dialect, Malformed, Request, RequestHead};
use super::{codec, embeddings, images};

/// What is asked for.
#[derive(Debug)]
pub enum Operation {
    Generate,
    /// Only how many tokens a request has, asked of a provider of the same dialect.
    Count,
    /// Vectors for texts, in the form of the surface.
    Embed(embeddings::EmbeddingsForm, embeddings::EmbeddingsRequest),
    /// So many pictures in one call.
    Images(images::ImageRequest, u64),
}

#[derive(Debug)]
pub struct Inbound {
    pub operation: Operation,
    pub dialect: Dialect,
    pub head: RequestHead,
    pub body: Bytes,
    /// Headers that mean something to a provider of the same dialect (`anthropic-beta`).
    pub forward: Vec<(&'static str, String)>,
    /// What a provider cannot be told is refused, not dropped.
    pub strict: bool,
    /// What the provider itself says that it charges (OpenRouter's `usage.cost`) is left out of the answer.
    pub hides_cost: bool,
    request: OnceCell<Request>,
}

/// What a path says where a dialect puts it there (Gemini).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTarget {
    pub model: String,
    pub stream: bool,
}

impl Inbound {
    /// Reads only the head.
    ///
    /// # Errors
    /// [`Malformed`] as the dialect's codec finds it.
    pub fn arrive(
        dialect: Dialect,
        body: Bytes,
        target: Option<PathTarget>,
    ) -> Result<Self, Malformed> {
        let mut head = codec(dialect).head(&body)?;
        if let Some(target) = target {
            head.model = target.model;
            head.model_at = None;
            head.stream = target.stream;
        }
        Ok(Self {
            operation: Operation::Generate,
            dialect,
            head,
            body,
            forward: Vec::new(),
            strict: false,
            hides_cost: false,
            request: OnceCell::new(),
        })
    }

    /// A request for embeddings, in OpenAI's form or in one of Gemini's for the model of the path.
    ///
    /// # Errors
    /// [`Malformed`] naming the field at fault.
    pub fn arrive_to_embed(
        body: Bytes,
        form: embeddings::EmbeddingsForm,
        model: Option<String>,
    ) -> Result<Self, Malformed> {
        let mut head = match model {
            Some(model) => {
                RequestHead { model, prompt_bytes: body.len(), ..RequestHead::default() }
            }
            None => embeddings::head(&body)?,
        };
        let dialect = match form {
            embeddings::EmbeddingsForm::Gemini | embeddings::EmbeddingsForm::GeminiOne => {
                Dialect::Gemini
            }
            _ => Dialect::OpenAiChat,
        };
        let request = embeddings::decode_request(&body, form)?;
        head.prompt_bytes = request.inputs.iter().map(embeddings::Input::bytes).sum();
        Ok(Self::of(Operation::Embed(form, request), dialect, head, body))
    }

    /// A request that goes on as it is, to be answered whole.
    #[must_use]
    pub fn of(operation: Operation, dialect: Dialect, head: RequestHead, body: Bytes) -> Self {
        Self {
            operation,
            dialect,
            head,
            body,
            forward: Vec::new(),
            strict: false,
            hides_cost: false,
            request: OnceCell::new(),
        }
    }

    /// The same request, to be answered whole where a stream was asked for.
    ///
    /// # Errors
    /// [`Malformed`] for a body that is no JSON object.
    pub fn asking_whole(&self) -> Result<Self, Malformed> {
        let mut body: Map<String, Value> =
            serde_json::from_slice(&self.body).map_err(|why| Malformed::not_json(&why))?;
        for name in ["stream", "stream_options"] {
            body.shift_remove(name);
        }
        // Gemini says both in the path.
        let target = (self.dialect == Dialect::Gemini)
            .then(|| PathTarget { model: self.head.model.clone(), stream: false });
        let body = Bytes::from(Value::Object(body).to_string());
        let mut whole = Self::arrive(self.dialect, body, target)?;
        whole.forward.clone_from(&self.forward);
        (whole.strict, whole.hides_cost) = (self.strict, self.hides_cost);
        Ok(whole)
    }

    /// The same request to generate, as it came.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut again =
            Self::of(Operation::Generate, self.dialect, self.head.clone(), self.body.clone());
        again.forward.clone_from(&self.forward);
        (again.strict, again.hides_cost) = (self.strict, self.hides_cost);
        again
    }

    /// The same request with what was said of its answer as the beginning of the assistant's turn.
    ///
    /// # Errors
    /// [`Malformed`] for a body that is no request of its dialect.
    pub fn going_on_from(&self, said: &str) -> Result<Self, Malformed> {
        let mut body: Map<String, Value> =
            serde_json::from_slice(&self.body).map_err(|why| Malformed::not_json(&why))?;
        let (member, turn) = match self.dialect {
            Dialect::OpenAiChat | Dialect::Anthropic => {
                ("messages", json!({"role": "assistant", "content": said}))
            }
            Dialect::OpenAiResponses => {
                let part = json!({"type": "output_text", "text": said, "annotations": []});
                let turn = json!({"type": "message", "role": "assistant", "content": [part]});
                ("input", turn)
            }
            Dialect::Gemini => ("contents", json!({"role": "model", "parts": [{"text": said}]})),
        };
        let turns = body.get_mut(member).ok_or_else(|| Malformed::missing(member))?;
        if let Value::String(question) = turns {
            let question = std::mem::take(question);
            *turns = json!([{"role": "user", "content": question}]);
        }
        let turns = turns.as_array_mut().ok_or_else(|| Malformed::missing(member))?;
        turns.push(turn);
        let target = (self.dialect == Dialect::Gemini)
            .then(|| PathTarget { model: self.head.model.clone(), stream: self.head.stream });
        let body = Bytes::from(Value::Object(body).to_string());
        let mut more = Self::arrive(self.dialect, body, target)?;
        more.forward.clone_from(&self.forward);
        (more.strict, more.hides_cost) = (self.strict, self.hides_cost);
        Ok(more)
    }

    /// Whether the caller knows calls as chat had them before there were tools (`functions`).
    #[must_use]
    pub fn asks_by_functions(&self) -> bool {
        self.dialect == Dialect::OpenAiChat
            && matches!(self.operation, Operation::Generate)
            && self.request().is_ok_and(Request::asks_by_functions)
    }

    /// The decoded request; decoded at most once.
    ///
    /// # Errors
    /// [`Malformed`] where the head was fine and the rest is not.
    pub fn request(&self) -> Result<&Request, Malformed> {
        if let Some(request) = self.request.get() {
            return Ok(request);
        }
        let decoded = codec(self.dialect).decode_request(&self.body)?;
        Ok(self.request.get_or_init(|| self.completed(decoded)))
    }

    /// What the body was decoded to before it arrived, so that it is not decoded again.
    #[must_use]
    pub fn known_as(self, decoded: Request) -> Self {
        let completed = self.completed(decoded);
        Self { request: OnceCell::from(completed), ..self }
    }

    /// With what the head says beside the body.
    fn completed(&self, mut decoded: Request) -> Request {
        decoded.model.clone_from(&self.head.model);
        if self.head.stream {
            decoded.stream = Some(true);
            // Usage comes at the end of every stream but chat's, where it must be asked for.
            decoded.include_usage = Some(true);
        }
        decoded
    }
}
