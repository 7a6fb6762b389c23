//! What real makers refuse, in their own words. A request is judged as it came in, as raw JSON:
//! the gateway's codecs have no part in it, so that their faults are seen. Sources: the recordings
//! under `tests/recordings`, the makers' documents and SDKs, and the catalogue's facts.

mod asked;
mod bedrock;
mod history;
mod house;
mod media;
mod members;
mod sampling;
mod schema;
mod thinking;
mod tools;
mod wording;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::catalogue::Facts;
use crate::wire::vocab::Protocol;

pub use house::House;
pub use wording::MakerRefusal;

use asked::RawRequest;
use wording::Complaint;

/// Why the model would refuse this request, if it would.
#[must_use]
pub fn refusal(
    house: House,
    protocol: Protocol,
    body: &Value,
    model: &str,
    facts: &Facts,
) -> Option<MakerRefusal> {
    if house == House::OpenRouter {
        return None;
    }
    let asked = RawRequest { house, protocol, body, model, facts };
    complaint(&asked).map(|complaint| complaint.worded(house, protocol))
}

/// The first thing that is wrong, in the order in which most makers look: the shape, the words of
/// the conversation, then what goes with what.
fn complaint(asked: &RawRequest<'_>) -> Option<Complaint> {
    members::check(asked)
        .or_else(|| history::check(asked))
        .or_else(|| media::check(asked))
        .or_else(|| sampling::check(asked))
        .or_else(|| thinking::check(asked))
        .or_else(|| tools::check(asked))
        .or_else(|| schema::check(asked))
        .or_else(|| bedrock::check(asked))
}
