//! Pictures: as many calls as the model needs, and addresses for those that come as bytes.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde_json::{Value, json};

use super::app::App;
use super::charge::{self, Intent, Sum};
use super::decide;
use super::features::{guarded, tell};
use super::named::named;
use super::several::CombinedResult;
use crate::admit::{Caller, Scope};
use crate::base::secret::new_token;
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Pictures};
use crate::exchange::{Answered, Arrival, Refused};
use crate::ledger::Outcome;
use crate::store::Picture;
use crate::upstream::NoAnswer;
use crate::wire::images::{self, ImageEncoding, mime_of};
use crate::wire::vocab::Dialect;
use crate::wire::{Inbound, Operation};

/// `home` is where this gateway can be reached, as the caller knows it.
///
/// # Errors
/// What the caller is to be told.
pub async fn generate_images(
    app: &App,
    caller: &Caller,
    arrival: Arrival,
    home: &str,
) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Images)?;
    let live = app.live();
    let Arrival { id, mut body, asked, .. } = arrival;
    let (id, strict) = (&id, decide::is_strict(app, caller, &asked));
    let guarded = guarded(app, &live, caller, id, &mut body).await?;
    let (head, request) = images::decode_request(&body)?;
    let decision = named(app, caller, &head.model, Mode::Image)?;
    let first =
        decision.steps.first().ok_or_else(|| Error::internal("an empty plan"))?.model.clone();
    first.images.check(&request)?;

    let per_call = first.images.per_call.max(1);
    let calls: Vec<Inbound> = (0..request.count.div_ceil(per_call))
        .map(|call| {
            let count = per_call.min(request.count - call * per_call);
            let operation = Operation::Images(request.clone(), count);
            let mut call = Inbound::of(operation, Dialect::OpenAiChat, head.clone(), body.clone());
            (call.strict, call.hides_cost) = (strict, !caller.sees_cost());
            call
        })
        .collect();
    let intent = Intent { images: request.count, ..Intent::of(id, "images") };
    let hold =
        charge::hold(app, caller, &decision, &head, intent).await.map_err(Refused::of_pictures)?;
    let drawing = CombinedResult::ask(app, &decision, &calls, id).await;
    let CombinedResult { step, losses, answers, tokens, asides, basis, attempts, tried, failure } =
        drawing;
    let Some(step) = step else {
        let error = failure.unwrap_or_else(|| Error::internal("no call was made"));
        let unanswered = NoAnswer { error, attempts, tried };
        return Err(charge::give_up(hold, unanswered).of_pictures());
    };
    // Where nothing is said, it is as the first model has it: a fallback that sends bytes does not change what
    // the caller gets.
    let wants_url = match request.wanted {
        Some(wanted) => wanted == ImageEncoding::Url,
        None => !first.images.base64_only,
    };
    let (mut whole, read) = together(&answers);
    let failure = failure.or(read.err());
    let drawn = step.model.images.drawn(&whole, &request);
    let count = whole.get("data").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let pictures =
        Pictures { count, size: drawn.size.as_deref(), quality: drawn.quality.as_deref() };
    let addressed = match failure {
        Some(failure) => Err(failure),
        None if wants_url => give_addresses(app, &mut whole, home).await,
        None => Ok(false),
    };
    let standing = Some(hold.standing().of_pictures());
    // What a provider drew is booked, though a part of it failed, and nobody is given any.
    let outcome = if addressed.is_ok() { Outcome::Complete } else { Outcome::Failed };
    let sum = Sum { outcome, tokens, asides, basis, pictures, attempts, tried };
    let settled = charge::settle(app, &step, hold, sum).await;
    let refused = |error| Refused { error, attempts, standing: standing.map(Box::new) };
    let changed = match addressed {
        Ok(changed) => settled.map(|()| changed).map_err(refused)?,
        Err(error) => return Err(refused(error)),
    };
    let body = match answers.as_slice() {
        [alone] if !changed => alone.clone(),
        _ => Bytes::from(whole.to_string()),
    };
    let mut answered = Answered::whole(step, attempts, losses, body, standing);
    tell(guarded.as_ref(), &mut answered);
    Ok(answered)
}

fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::UpstreamDown, "The provider's answer cannot be read.").because(why)
}

/// All answers as one, as far as they can be read.
fn together(answers: &[Bytes]) -> (Value, Result<(), Error>) {
    let (mut whole, mut read) = (Value::Null, Ok(()));
    for answer in answers {
        match serde_json::from_slice(answer) {
            Ok(more) if whole.is_null() => whole = more,
            Ok(more) => add(&mut whole, &more),
            Err(why) => read = read.and(Err(unreadable(why))),
        }
    }
    (whole, read)
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
        let mime = mime_of(&BASE64_STANDARD.decode(&data).map_err(unreadable)?);
        let id = new_token().map_err(Error::internal)?;
        let extension = mime.trim_start_matches("image/");
        let address = format!("{home}/v1/images/files/{id}.{extension}");
        let kept = Picture {
            id,
            mime: mime.to_owned(),
            data,
            expires: app.shared.clock.now().after(app.shared.serving.images_kept_for),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_one_request_add_up() {
        let call = |picture: &str| {
            json!({"created": 1, "data": [{"b64_json": picture}], "usage": {"input_tokens": 5,
                "input_tokens_details": {"text_tokens": 4, "image_tokens": 1},
                "output_tokens": 100, "total_tokens": 105}})
        };
        let mut whole = call("one");
        add(&mut whole, &call("two"));
        // A provider that counts nothing adds its picture alone.
        add(&mut whole, &json!({"data": [{"b64_json": "three"}]}));
        let pictures: Vec<_> = whole["data"].as_array().unwrap().iter().collect();
        assert_eq!(pictures.len(), 3);
        assert_eq!(pictures[2]["b64_json"], "three");
        assert_eq!(
            whole["usage"],
            json!({"input_tokens": 10, "input_tokens_details": {"text_tokens": 8, "image_tokens": 2},
                "output_tokens": 200, "total_tokens": 210})
        );
    }
}
