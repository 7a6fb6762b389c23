//! Faults and delays on demand: by a header of one request, or by a script for a model.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

/// A fault that a scripted answer of the simulator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum InjectedFault {
    /// An error status, with a wait if one is given, in seconds.
    Status {
        status: u16,
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// No answer, ever.
    Hang,
    /// The connection breaks after so many pieces of a stream.
    Cut { after: usize },
    /// The stream ends cleanly, but too early.
    End { after: usize },
    /// Silence after so many pieces.
    Stall { after: usize },
    /// One event of broken JSON after so many pieces, and the rest.
    Garble { after: usize },
    /// An error event after so many pieces.
    ErrorEvent { after: usize },
}

/// What one answer is to suffer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    pub fault: Option<InjectedFault>,
    pub latency: Option<Duration>,
    pub chunk_gap: Option<Duration>,
}

/// `POST /sim/scripts`
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Script {
    #[serde(default)]
    pub fault: Option<InjectedFault>,
    #[serde(default)]
    pub latency_ms: Option<u64>,
    #[serde(default)]
    pub chunk_gap_ms: Option<u64>,
    /// How many answers it holds for; all, if not given.
    #[serde(default)]
    pub times: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub struct NewScript {
    /// The model's name at this provider, or `*`.
    model: String,
    #[serde(flatten)]
    script: Script,
}

/// Scripts by model.
#[derive(Debug, Default)]
pub struct Scripts(Mutex<HashMap<String, Script>>);

impl Scripts {
    /// What happens to this request. Headers: `x-sim-fault` (a status), `x-sim-latency-ms`,
    /// `x-sim-chunk-gap-ms`.
    #[must_use]
    pub fn plan(&self, request: &HttpRequest, model: &str) -> Plan {
        let number = |name: &str| -> Option<u64> {
            request.headers().get(name)?.to_str().ok()?.parse().ok()
        };
        let scripted = self.take(model);
        let millis = |header: &str, script: Option<u64>| {
            number(header).or(script).map(Duration::from_millis)
        };
        Plan {
            fault: number("x-sim-fault")
                .and_then(|status| u16::try_from(status).ok())
                .map(|status| InjectedFault::Status { status, retry_after: None })
                .or(scripted.and_then(|script| script.fault)),
            latency: millis("x-sim-latency-ms", scripted.and_then(|script| script.latency_ms)),
            chunk_gap: millis(
                "x-sim-chunk-gap-ms",
                scripted.and_then(|script| script.chunk_gap_ms),
            ),
        }
    }

    fn take(&self, model: &str) -> Option<Script> {
        let mut scripts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if scripts.is_empty() {
            return None;
        }
        let name = if scripts.contains_key(model) { model } else { "*" };
        let script = scripts.get_mut(name)?;
        let now = *script;
        if let Some(times) = &mut script.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                scripts.remove(name);
            }
        }
        Some(now)
    }
}

pub async fn post(scripts: Data<Scripts>, new: Json<NewScript>) -> HttpResponse {
    let NewScript { model, script } = new.into_inner();
    scripts.0.lock().unwrap_or_else(PoisonError::into_inner).insert(model, script);
    HttpResponse::NoContent().finish()
}

pub async fn clear(scripts: Data<Scripts>) -> HttpResponse {
    scripts.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    HttpResponse::NoContent().finish()
}
