//! What was received, for those who look at it afterwards, and whether it is refused.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::known::FactsIndex;
use super::strict::{House, MakerRefusal, refusal};
use crate::wire::vocab::Protocol;

/// Whether the simulator refuses what the real models refuse.
#[derive(Debug)]
pub enum Strictness {
    /// Anything goes.
    Lenient,
    /// As the makers do, by what is known of their models.
    Strict(FactsIndex),
}

/// How many requests are remembered.
const REMEMBERED: usize = 512;

/// The newest requests that the simulator was sent, and facts of models where it is strict.
#[derive(Debug)]
pub struct ReceivedRequests {
    known: Option<FactsIndex>,
    bodies: Mutex<VecDeque<Bytes>>,
}

impl ReceivedRequests {
    pub fn new(manners: Strictness) -> Self {
        let known = match manners {
            Strictness::Lenient => None,
            Strictness::Strict(known) => Some(known),
        };
        Self { known, bodies: Mutex::default() }
    }

    /// Why a request is refused, if it is. `model` is the address's word for it.
    pub fn refusal(
        &self,
        protocol: Protocol,
        provider: Option<&str>,
        model: Option<&str>,
        body: &Bytes,
    ) -> Option<MakerRefusal> {
        let known = self.known.as_ref()?;
        let asked: Value = serde_json::from_slice(body).ok()?;
        {
            let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
            bodies.truncate(REMEMBERED - 1);
            bodies.push_front(body.clone());
        }
        let model = model.or_else(|| asked.get("model")?.as_str()).unwrap_or_default();
        let facts = known.facts(provider, model);
        refusal(House::of(provider, protocol, model), protocol, &asked, model, &facts)
    }
}

/// `GET /sim/received?holding=TEXT`
#[derive(Debug, Deserialize)]
pub struct ReceivedQuery {
    holding: String,
}

/// The bodies that hold a text, the newest first.
pub async fn received(heard: Data<ReceivedRequests>, sought: Query<ReceivedQuery>) -> HttpResponse {
    let finder = memchr::memmem::Finder::new(sought.holding.as_bytes());
    let bodies = heard.bodies.lock().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<Value> = bodies
        .iter()
        .filter(|body| finder.find(body).is_some())
        .filter_map(|body| serde_json::from_slice(body).ok())
        .collect();
    HttpResponse::Ok().json(json!({ "received": found }))
}
