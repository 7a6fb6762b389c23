//! Pictures: as many calls as the model needs, and addresses for those that come as bytes.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::charge::{self, Intent, Sum};
use super::{Answered, App, Body, Ending, Refused, named};
use crate::admit::{Caller, Scope};
use crate::base::ids::RequestId;
use crate::base::secret::new_token;
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Pictures};
use crate::ledger::{Basis, Tokens};
use crate::store::Picture;
use crate::upstream::{Answer, AnswerBody};
use crate::wire::images::{self, Wanted, mime_of};
use crate::wire::vocab::Dialect;
use crate::wire::{Inbound, Operation};

/// `home` is where this gateway can be reached, as the caller knows it.
///
/// # Errors
/// What the caller is to be told.
pub async fn draw(
    app: &App,
    caller: &Caller,
    id: &RequestId,
    body: Bytes,
    home: &str,
) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Images)?;
    let (head, request) = images::decode_request(&body)?;
    let decision = named(app, caller, &head.model, Mode::Image)?;
    let first =
        decision.steps.first().ok_or_else(|| Error::internal("an empty plan"))?.model.clone();
    first.images.check(&request)?;

    let per_call = first.images.per_call.max(1);
    let calls: Vec<Inbound> = (0..request.count.div_ceil(per_call))
        .map(|call| {
            let count = per_call.min(request.count - call * per_call);
            let operation = Operation::Draw(request.clone(), count);
            Inbound::of(operation, Dialect::OpenAiChat, head.clone(), body.clone())
        })
        .collect();
    let intent = Intent { images: request.count, ..Intent::of(id, "images") };
    let hold =
        charge::hold(app, caller, &decision, &head, intent).await.map_err(Refused::of_pictures)?;
    let answers =
        try_join_all(calls.iter().map(|call| charge::ask(app, &decision, call, id))).await;
    let mut answers = match answers {
        Ok(answers) => answers.into_iter(),
        Err(unanswered) => return Err(charge::give_up(hold, unanswered).of_pictures()),
    };
    let first_answer = answers.next().ok_or_else(|| Error::internal("no call was made"))?;
    let Answer { step, mut attempts, mut tried, losses, body, .. } = first_answer;
    let (original, mut tokens, basis) = drawn(body)?;
    let mut whole: Value = serde_json::from_slice(&original).map_err(unreadable)?;
    for other in answers {
        attempts = attempts.saturating_add(other.attempts);
        tried.extend(other.tried);
        let (more, used, _) = drawn(other.body)?;
        tokens = tokens.plus(used);
        let more: Value = serde_json::from_slice(&more).map_err(unreadable)?;
        add(&mut whole, &more);
    }
    // What a model does by itself is its own; who asks for a model that answers with addresses,
    // and gets a stand-in, still gets addresses.
    let wants_url = match request.wanted {
        Some(wanted) => wanted == Wanted::Url,
        None => !first.images.base64_only,
    };
    let changed = wants_url && give_addresses(app, &mut whole, home).await?;
    let alone = calls.len() == 1 && !changed;
    let count = whole.get("data").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let standing = Some(hold.standing().of_pictures());
    let drawn = step.model.images.drawn(&whole, &request);
    let pictures =
        Pictures { count, size: drawn.size.as_deref(), quality: drawn.quality.as_deref() };
    let sum = Sum { tokens, basis, pictures, attempts, tried };
    charge::settle(app, &step, hold, sum).await;
    let body = Body::Whole(if alone { original } else { Bytes::from(whole.to_string()) });
    Ok(Answered {
        step,
        attempts,
        losses,
        body,
        decision: None,
        standing,
        ending: Ending::default(),
        notes: Vec::new(),
    })
}

/// Pictures never come as a stream.
fn drawn(body: AnswerBody) -> Result<(Bytes, Tokens, Basis), Error> {
    match body {
        AnswerBody::Whole { body, tokens, basis } => Ok((body, tokens, basis)),
        AnswerBody::Relay(_) => Err(Error::internal("pictures came as a stream")),
    }
}

fn unreadable(why: serde_json::Error) -> Refused {
    Error::new(Kind::UpstreamDown, "The provider's answer cannot be read.").because(why).into()
}

/// One more call's pictures, and what they used.
fn add(whole: &mut Value, more: &Value) {
    if let (Some(all), Some(new)) = (
        whole.get_mut("data").and_then(Value::as_array_mut),
        more.get("data").and_then(Value::as_array),
    ) {
        all.extend(new.iter().cloned());
    }
    for name in [
        "input_tokens",
        "input_tokens_details/text_tokens",
        "input_tokens_details/image_tokens",
        "output_tokens",
        "output_tokens_details/text_tokens",
        "output_tokens_details/image_tokens",
        "total_tokens",
    ] {
        let at = format!("/usage/{name}");
        let more = more.pointer(&at).and_then(Value::as_u64).unwrap_or(0);
        if let Some(count) = whole.pointer_mut(&at) {
            *count = json!(count.as_u64().unwrap_or(0).saturating_add(more));
        }
    }
}

/// Keeps pictures that came as bytes for a while, and puts their addresses in the bytes' place.
async fn give_addresses(app: &App, whole: &mut Value, home: &str) -> Result<bool, Error> {
    let mut changed = false;
    let pictures = whole.get_mut("data").and_then(Value::as_array_mut);
    for picture in pictures.into_iter().flatten().filter_map(Value::as_object_mut) {
        let Some(Value::String(data)) = picture.shift_remove("b64_json") else { continue };
        let unreadable = |why| {
            Error::new(Kind::UpstreamDown, "The provider's answer cannot be read.").because(why)
        };
        let mime =
            mime_of(&BASE64_STANDARD.decode(&data).map_err(|why| unreadable(why.to_string()))?);
        let id = new_token().map_err(Error::internal)?;
        let extension = mime.trim_start_matches("image/");
        let address = format!("{home}/v1/images/files/{id}.{extension}");
        let kept = Picture {
            id,
            mime: mime.to_owned(),
            data,
            expires: app.shared.clock.now().after(app.shared.images_kept_for),
        };
        app.shared.store.keep_picture(kept).await.map_err(Error::internal)?;
        picture.insert("url".to_owned(), Value::from(address));
        changed = true;
    }
    Ok(changed)
}

/// A kept picture: its type and its bytes. `name` may carry an extension.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or no longer.
pub async fn picture(app: &App, name: &str) -> Result<(String, Vec<u8>), Error> {
    let id = name.split_once('.').map_or(name, |(id, _)| id);
    let picture = app
        .shared
        .store
        .picture(id.to_owned(), app.shared.clock.now())
        .await
        .map_err(Error::internal)?
        .ok_or_else(|| Error::new(Kind::NotFound, "There is no such picture, or no longer."))?;
    let bytes = BASE64_STANDARD.decode(&picture.data).map_err(Error::internal)?;
    Ok((picture.mime, bytes))
}
