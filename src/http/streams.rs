//! How many requests of one connection are answered at once. Over HTTP/1.1 it is one; over HTTP/2 a client
//! could begin any number before the first is read, and each costs a task.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::ServiceRequest;
use actix_web::http::Version;

/// Requests of one connection of HTTP/2 that are answered at once; RFC 9113, 6.5.2, wants no fewer than 100
/// to be let through.
const MOST: usize = 256;

/// Whether HTTP/2 was ever spoken to this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Http2Seen(Arc<AtomicBool>);

impl Http2Seen {
    #[must_use]
    pub fn ever(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The requests under way of one connection: part of what is known of it.
#[derive(Debug, Clone)]
pub struct Streams {
    under_way: Rc<Cell<usize>>,
    spoken: Http2Seen,
}

/// A request under way; it makes room when it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Streams);

/// There are too many already.
#[derive(Debug)]
pub(super) struct TooMany;

impl Streams {
    /// Of a new connection.
    #[must_use]
    pub fn new(spoken: &Http2Seen) -> Self {
        Self { under_way: Rc::default(), spoken: spoken.clone() }
    }

    /// Lets a request begin; `None` for one that cannot be one of many.
    pub(super) fn begin(request: &ServiceRequest) -> Result<Option<UnderWay>, TooMany> {
        if request.version() < Version::HTTP_2 {
            return Ok(None);
        }
        let streams = request.conn_data::<Self>();
        if let Some(streams) = streams {
            streams.spoken.0.store(true, Ordering::Relaxed);
        }
        streams.map(Self::one_more).transpose()
    }

    fn one_more(&self) -> Result<UnderWay, TooMany> {
        if self.under_way.get() >= MOST {
            return Err(TooMany);
        }
        self.under_way.set(self.under_way.get() + 1);
        Ok(UnderWay(self.clone()))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let count = &self.0.under_way;
        count.set(count.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_there_may_be_is_refused_until_another_ends() {
        let streams = Streams::new(&Http2Seen::default());
        let mut all: Vec<UnderWay> = (0..MOST).map(|_| streams.one_more().unwrap()).collect();
        assert!(streams.one_more().is_err());
        all.pop();
        let _one = streams.one_more().unwrap();
        assert!(streams.one_more().is_err());
    }
}
