//! Error bodies: `{"message"}`. Which exception it was stands in a header, and the status says as
//! much.

use serde_json::Value;

use crate::wire::vocab::{Fault, FaultKind};

pub(super) fn decode(status: u16, body: &[u8]) -> Fault {
    fault(FaultKind::of_status(Some(status)), Some(status), body)
}

/// An exception in a stream.
pub(super) fn of_exception(name: &str, body: &[u8]) -> Fault {
    let kind = match name {
        "throttlingException" => FaultKind::RateLimited,
        "validationException" => FaultKind::Refused,
        "serviceUnavailableException" => FaultKind::Overloaded,
        "modelTimeoutException" => FaultKind::Timeout,
        "accessDeniedException" => FaultKind::Credential,
        _ => FaultKind::Broken,
    };
    fault(kind, None, body)
}

fn fault(kind: FaultKind, status: Option<u16>, body: &[u8]) -> Fault {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = ["message", "Message"]
        .into_iter()
        .find_map(|name| value.get(name).and_then(Value::as_str))
        .unwrap_or_default()
        .to_owned();
    let says = |words: &str| message.contains(words);
    let kind = match kind {
        FaultKind::Refused if says("too long") || says("too many input tokens") => {
            FaultKind::ContextLength
        }
        FaultKind::Refused if says("model identifier") || says("on-demand throughput") => {
            FaultKind::ModelGone
        }
        // Our account there has not been given the model.
        FaultKind::Refused if message.trim_end_matches('.') == "Operation not allowed" => {
            FaultKind::Credential
        }
        // ModelNotReady and ModelError.
        _ if status == Some(424) => FaultKind::Broken,
        kind => kind,
    };
    Fault::told(kind, status, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_what_the_status_does_not() {
        for (status, message, kind) in [
            (400, "The provided model identifier is invalid.", FaultKind::ModelGone),
            (400, "Input is too long for requested model.", FaultKind::ContextLength),
            (400, "This model doesn't support the video content block.", FaultKind::Refused),
            (400, "Operation not allowed", FaultKind::Credential),
            (403, "Signature expired", FaultKind::Credential),
            (424, "The model errored", FaultKind::Broken),
            (429, "Too many requests", FaultKind::RateLimited),
        ] {
            let body = serde_json::json!({ "message": message }).to_string();
            let fault = decode(status, body.as_bytes());
            assert_eq!((fault.kind, fault.message.as_str()), (kind, message));
        }
    }
}
