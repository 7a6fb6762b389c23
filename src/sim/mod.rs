//! The simulated provider: every dialect, plain and streamed, with answers that follow from the
//! prompt alone, and faults on demand. Nothing in the gateway knows of it; it is a provider like
//! any other, on a socket of its own.

mod converse;
mod heard;
mod known;
mod script;
mod socket;
mod strict;
mod voice;

use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};
use tokio::time::Sleep;

use crate::base::{Error, Kind};
use crate::wire::vocab::{Dialect, Malformed, Protocol, Reply, Request};
use crate::wire::{Heading, codec, embeddings};

use heard::ReceivedRequests;
use script::{InjectedFault, Plan, Scripts};

pub use heard::Strictness;
pub use known::FactsIndex;
pub use strict::{House, MakerRefusal, refusal};

const BODY_LIMIT: usize = 64 << 20;
/// What embeddings and pictures are asked in.
const CHAT: Protocol = Protocol::Dialect(Dialect::OpenAiChat);

/// Serves the simulated provider on `listener`. Below `/at/PROVIDER` it is that one of the
/// catalogue's providers, in whichever dialect is spoken to it; else the model's maker.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    workers: usize,
    manners: Strictness,
) -> std::io::Result<Server> {
    let scripts = Data::new(Scripts::default());
    let heard = Data::new(ReceivedRequests::new(manners));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(scripts.clone())
            .app_data(heard.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .route("/v1/chat/completions", web::post().to(chat))
            .route("/v1/embeddings", web::post().to(embed))
            .route("/v1/realtime", web::get().to(socket::realtime))
            .route("/v1/images/generations", web::post().to(draw))
            .route("/v1/responses", web::post().to(responses))
            .route("/v1/messages/count_tokens", web::post().to(count))
            .route("/v1/messages", web::post().to(messages))
            .route("/v1beta/models/{target}", web::post().to(generate))
            .route("/sim/scripts", web::post().to(script::post))
            .route("/sim/scripts", web::delete().to(script::clear))
            .route("/sim/received", web::get().to(heard::received))
            .route("/at/{provider}/realtime", web::get().to(socket::realtime))
            .route("/at/{provider}/{rest:.*}", web::post().to(at))
    })
    .workers(workers)
    .on_connect(|connection, _| {
        if let Some(socket) = connection.downcast_ref::<tokio::net::TcpStream>() {
            // Only a socket that is gone already refuses.
            let _gone = socket.set_nodelay(true);
        }
    })
    // As long as the gateway's own. After the usual five seconds a client's idle connection is
    // closed just as it is taken up again, and the request fails of neither's fault.
    .keep_alive(Duration::from_secs(75))
    // A busy machine is no slow caller.
    .client_request_timeout(Duration::from_secs(75))
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

async fn chat(
    request: HttpRequest,
    scripts: Data<Scripts>,
    heard: Data<ReceivedRequests>,
    body: Bytes,
) -> HttpResponse {
    answer(&request, &scripts, &heard, Asking::of(Dialect::OpenAiChat), body).await
}

async fn responses(
    request: HttpRequest,
    scripts: Data<Scripts>,
    heard: Data<ReceivedRequests>,
    body: Bytes,
) -> HttpResponse {
    answer(&request, &scripts, &heard, Asking::of(Dialect::OpenAiResponses), body).await
}

async fn messages(
    request: HttpRequest,
    scripts: Data<Scripts>,
    heard: Data<ReceivedRequests>,
    body: Bytes,
) -> HttpResponse {
    answer(&request, &scripts, &heard, Asking::of(Dialect::Anthropic), body).await
}

/// One of the catalogue's providers, whose address says in what it is asked.
async fn at(
    request: HttpRequest,
    scripts: Data<Scripts>,
    heard: Data<ReceivedRequests>,
    path: Path<(String, String)>,
    body: Bytes,
) -> HttpResponse {
    let (provider, rest) = path.into_inner();
    let (before, end) = rest.rsplit_once('/').unwrap_or(("", &rest));
    let dialect = match end {
        "completions" => Dialect::OpenAiChat,
        "responses" => Dialect::OpenAiResponses,
        "messages" => Dialect::Anthropic,
        "embeddings" => return embed(scripts, request, body).await,
        "generations" => return draw(scripts, request, body).await,
        "count_tokens" => return count(body).await,
        "converse" | "converse-stream" => {
            let model = before.strip_prefix("model/").unwrap_or(before).to_owned();
            let asking = Asking {
                protocol: Protocol::Bedrock,
                provider: Some(provider),
                target: Some((model, end == "converse-stream")),
            };
            return answer(&request, &scripts, &heard, asking, body).await;
        }
        _ => return verb(&request, &scripts, &heard, Some(provider), end, body).await,
    };
    let asking = Asking { provider: Some(provider), ..Asking::of(dialect) };
    answer(&request, &scripts, &heard, asking, body).await
}

/// A vector that follows from the text, of as many dimensions as are asked for.
async fn embed(scripts: Data<Scripts>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        let error = Error::new(Kind::Malformed, "not JSON");
        return refuse(CHAT, &error);
    };
    let model = asked.get("model").and_then(Value::as_str).unwrap_or_default();
    if let Some(InjectedFault::Status { status, retry_after }) = scripts.plan(&request, model).fault
    {
        return refuse_with(CHAT, status, retry_after);
    }
    let texts = match asked.get("input") {
        Some(Value::Array(all)) => all.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Some(one) => vec![one.to_string()],
        None => Vec::new(),
    };
    if texts.iter().any(|text: &String| text == "\"\"") {
        let error = Error::new(Kind::Malformed, "'$.input' is invalid.").at("input");
        return refuse(CHAT, &error);
    }
    let dimensions = asked.get("dimensions").and_then(Value::as_u64).unwrap_or(8).min(4096);
    let base64 = asked.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let tokens: u64 = texts.iter().map(|text| text.len() as u64 / 4 + 1).sum();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = voice::vector(text, dimensions);
            let embedding = if base64 { json!(embeddings::packed(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    HttpResponse::Ok().json(json!({
        "object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

/// As many pictures as are asked for, the same one each time.
async fn draw(scripts: Data<Scripts>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(InjectedFault::Status { status, retry_after }) =
        scripts.plan(&request, text("model")).fault
    {
        return refuse_with(CHAT, status, retry_after);
    }
    let count = asked.get("n").and_then(Value::as_u64).unwrap_or(1).min(10);
    let picture = if text("response_format") == "url" {
        json!({"url": "https://pictures.invalid/simulated.png", "revised_prompt": text("prompt")})
    } else {
        json!({"b64_json": voice::PICTURE, "revised_prompt": text("prompt")})
    };
    let data: Vec<&Value> = (0..count).map(|_| &picture).collect();
    HttpResponse::Ok().json(json!({"created": voice::CREATED, "data": data}))
}

/// Anthropic's way to count, with a count that follows from the words.
async fn count(body: Bytes) -> HttpResponse {
    match codec(Dialect::Anthropic).decode_request(&body) {
        Ok(request) => {
            HttpResponse::Ok().json(json!({"input_tokens": voice::prompt_tokens(&request)}))
        }
        Err(why) => refuse(Protocol::Dialect(Dialect::Anthropic), &Error::from(why)),
    }
}

async fn generate(
    request: HttpRequest,
    scripts: Data<Scripts>,
    heard: Data<ReceivedRequests>,
    target: Path<String>,
    body: Bytes,
) -> HttpResponse {
    verb(&request, &scripts, &heard, None, &target, body).await
}

/// Google's `MODEL:VERB`, and Claude's at Vertex.
async fn verb(
    request: &HttpRequest,
    scripts: &Scripts,
    heard: &ReceivedRequests,
    provider: Option<String>,
    target: &str,
    body: Bytes,
) -> HttpResponse {
    let (model, verb) = target.split_once(':').unwrap_or((target, ""));
    let of = |dialect, stream| Asking {
        protocol: Protocol::Dialect(dialect),
        provider: provider.clone(),
        target: Some((model.to_owned(), stream)),
    };
    if let "rawPredict" | "streamRawPredict" = verb {
        let asking = of(Dialect::Anthropic, verb == "streamRawPredict");
        return answer(request, scripts, heard, asking, body).await;
    }
    if verb == "batchEmbedContents" {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let vectors: Vec<Value> = asked
            .get("requests")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|one| {
                let text = one.pointer("/content/parts/0/text").map(ToString::to_string);
                let dimensions = one.get("outputDimensionality").and_then(Value::as_u64);
                let values =
                    voice::vector(&text.unwrap_or_default(), dimensions.unwrap_or(8).min(4096));
                json!({ "values": values })
            })
            .collect();
        return HttpResponse::Ok().json(json!({ "embeddings": vectors }));
    }
    if memchr::memmem::find(&body, b"\"IMAGE\"").is_some() {
        return HttpResponse::Ok().json(json!({
            "candidates": [{"finishReason": "STOP", "content": {"role": "model", "parts": [
                {"inlineData": {"mimeType": "image/png", "data": voice::PICTURE}},
            ]}}],
            "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 1290},
        }));
    }
    let asking = of(Dialect::Gemini, verb == "streamGenerateContent");
    answer(request, scripts, heard, asking, body).await
}

/// In what it is asked, as whom, and for what, where the address says so.
struct Asking {
    protocol: Protocol,
    provider: Option<String>,
    /// The model, and whether a stream is wanted.
    target: Option<(String, bool)>,
}

impl Asking {
    fn of(dialect: Dialect) -> Self {
        Self { protocol: Protocol::Dialect(dialect), provider: None, target: None }
    }
}

fn decode(protocol: Protocol, body: &[u8]) -> Result<Request, Malformed> {
    match protocol {
        Protocol::Dialect(dialect) => codec(dialect).decode_request(body),
        Protocol::Bedrock => converse::decode(body),
    }
}

async fn answer(
    request: &HttpRequest,
    scripts: &Scripts,
    heard: &ReceivedRequests,
    asking: Asking,
    body: Bytes,
) -> HttpResponse {
    let Asking { protocol, provider, target } = asking;
    let named = target.as_ref().map(|(model, _)| model.as_str());
    if let Some(refusal) = heard.refusal(protocol, provider.as_deref(), named, &body) {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        return HttpResponse::build(status).json(refusal.body);
    }
    let decoded = match decode(protocol, &body) {
        Ok(decoded) => decoded,
        Err(why) => return refuse(protocol, &Error::from(why)),
    };
    let (model, stream) =
        target.unwrap_or_else(|| (decoded.model.clone(), decoded.stream.unwrap_or(false)));
    let plan = scripts.plan(request, &model);
    if let Some(latency) = plan.latency {
        tokio::time::sleep(latency).await;
    }
    match plan.fault {
        Some(InjectedFault::Status { status, retry_after }) => {
            return refuse_with(protocol, status, retry_after);
        }
        Some(InjectedFault::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return HttpResponse::GatewayTimeout().finish();
        }
        _ => {}
    }
    let reply = voice::answer(&decoded, &model);
    let heading = |dialect| Heading {
        id: reply.id.clone().unwrap_or_default(),
        model: model.clone(),
        created: reply.created.unwrap_or_default(),
        include_usage: decoded.include_usage.unwrap_or(false),
        functions: decoded.asks_by_functions(),
        echo: codec(dialect).echo(&body),
        ..Heading::default()
    };
    if !stream {
        let whole = match protocol {
            Protocol::Dialect(dialect) => codec(dialect).encode_reply(&reply, &heading(dialect)),
            Protocol::Bedrock => converse::encode(&reply).into(),
        };
        return HttpResponse::Ok().content_type("application/json").body(whole);
    }
    let (content_type, pieces, failure) = match protocol {
        Protocol::Dialect(dialect) => {
            let (pieces, failure) = told(dialect, heading(dialect), &reply);
            ("text/event-stream; charset=utf-8", pieces, failure)
        }
        Protocol::Bedrock => {
            let pieces = converse::events(&reply);
            ("application/vnd.amazon.eventstream", pieces, converse::failure())
        }
    };
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("cache-control", "no-cache"))
        .body(Performance::new(pieces, failure, plan))
}

/// The answer as a stream's pieces, and the piece that would end it badly.
fn told(dialect: Dialect, heading: Heading, reply: &Reply) -> (Vec<Bytes>, Bytes) {
    let mut writer = codec(dialect).writer(heading);
    let mut pieces = Vec::new();
    for batch in voice::events(reply) {
        let mut out = Vec::new();
        writer.write(&batch, &mut out);
        if !out.is_empty() {
            pieces.push(Bytes::from(out));
        }
    }
    let mut last = Vec::new();
    writer.finish(&mut last);
    pieces.push(Bytes::from(last));
    let mut failure = Vec::new();
    writer.fail(&Error::new(Kind::Overloaded, "Overloaded"), &mut failure);
    (pieces, Bytes::from(failure))
}

/// An error as the protocol words it.
fn worded(protocol: Protocol, error: &Error) -> (u16, Bytes) {
    match protocol {
        Protocol::Dialect(dialect) => codec(dialect).encode_error(error),
        Protocol::Bedrock => {
            let body = json!({ "message": error.public }).to_string();
            (codec(Dialect::Anthropic).encode_error(error).0, body.into())
        }
    }
}

fn refuse(protocol: Protocol, error: &Error) -> HttpResponse {
    let (status, body) = worded(protocol, error);
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST))
        .content_type("application/json")
        .body(body)
}

fn refuse_with(protocol: Protocol, status: u16, retry_after: Option<u64>) -> HttpResponse {
    let kind = match status {
        400 => Kind::Malformed,
        401 => Kind::Unauthenticated,
        404 => Kind::NotFound,
        429 => Kind::RateLimited,
        503 | 529 => Kind::Overloaded,
        _ => Kind::Internal,
    };
    let error = Error::new(kind, format!("Simulated fault {status}."));
    let (_, body) = worded(protocol, &error);
    let mut response = HttpResponse::build(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    if let Some(seconds) = retry_after {
        response.insert_header(("retry-after", seconds.to_string()));
    }
    response.content_type("application/json").body(body)
}

/// A stream as it is performed: piece by piece, with pauses and accidents.
struct Performance {
    pieces: std::vec::IntoIter<Bytes>,
    failure: Bytes,
    plan: Plan,
    told: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The provider's connection breaks.
#[derive(Debug, thiserror::Error)]
#[error("simulated break")]
struct Broken;

impl Performance {
    fn new(pieces: Vec<Bytes>, failure: Bytes, plan: Plan) -> Self {
        Self { pieces: pieces.into_iter(), failure, plan, told: 0, pause: None }
    }
}

impl MessageBody for Performance {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(pause) = &mut self.pause {
            if Future::poll(pause.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        match self.plan.fault {
            Some(InjectedFault::Cut { after }) if self.told >= after => {
                return Poll::Ready(Some(Err(Box::new(Broken))));
            }
            Some(InjectedFault::End { after }) if self.told >= after => return Poll::Ready(None),
            Some(InjectedFault::Stall { after }) if self.told >= after => {
                self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_secs(3600))));
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(InjectedFault::Garble { after }) if self.told >= after => {
                self.plan.fault = None;
                return Poll::Ready(Some(Ok(Bytes::from_static(b"data: {\"choi\n\n"))));
            }
            Some(InjectedFault::ErrorEvent { after }) if self.told >= after => {
                self.pieces = Vec::new().into_iter();
                self.plan.fault = Some(InjectedFault::End { after: 0 });
                let failure = self.failure.clone();
                return Poll::Ready(Some(Ok(failure)));
            }
            _ => {}
        }
        let piece = self.pieces.next();
        self.told += 1;
        if piece.is_some()
            && let Some(gap) = self.plan.chunk_gap
        {
            self.pause = Some(Box::pin(tokio::time::sleep(gap)));
        }
        Poll::Ready(piece.map(Ok))
    }
}
