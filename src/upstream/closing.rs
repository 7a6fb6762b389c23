//! The moment from which no stream goes on: each says so to its caller, in the caller's dialect.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;

/// Ends every stream of the process. Dropped, it ends none.
#[derive(Debug, Clone)]
pub struct StreamsEnd(Arc<watch::Sender<bool>>);

impl Default for StreamsEnd {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl StreamsEnd {
    /// From now on: those that are under way end with an error event, and take no credits: what
    /// providers charge for them is booked.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// Ready from the moment on.
    pub async fn over(&self) {
        let mut told = self.0.subscribe();
        // The sender is our own, so there is always one.
        while !*told.borrow_and_update() && told.changed().await.is_ok() {}
    }

    /// For the streams of a worker.
    #[must_use]
    pub fn watched(&self) -> Closing {
        Closing { told: self.0.subscribe(), waiting: None }
    }
}

type Waiting = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What a stream looks out for while it waits for its provider.
pub struct Closing {
    told: watch::Receiver<bool>,
    waiting: Option<Waiting>,
}

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Closing").field(&*self.told.borrow()).finish()
    }
}

impl Clone for Closing {
    fn clone(&self) -> Self {
        Self { told: self.told.clone(), waiting: None }
    }
}

impl Closing {
    /// Ready from the moment on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.waiting.get_or_insert_with(|| {
            let mut told = self.told.clone();
            Box::pin(async move { told.wait_for(|over| *over).await.is_ok() })
        });
        if ready!(waiting.as_mut().poll(cx)) {
            self.waiting = None;
            return Poll::Ready(());
        }
        // Nobody is left who could tell.
        self.waiting = Some(Box::pin(std::future::pending()));
        Poll::Pending
    }
}
