//! Gemini's stream for those who do not ask for server-sent events: one JSON array, written as its
//! items come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use crate::wire::frame::sse::Splitter;

/// Larger than any event that a relay lets through.
const EVENT_BYTES: usize = 64 << 20;

/// Server-sent events, rewritten as items of an array.
pub struct ArrayBody<B> {
    events: B,
    splitter: Splitter,
    begun: bool,
    ended: bool,
}

impl<B: MessageBody<Error = Infallible> + Unpin> ArrayBody<B> {
    pub fn new(events: B) -> Self {
        Self { events, splitter: Splitter::new(EVENT_BYTES), begun: false, ended: false }
    }

    /// The items that a chunk completes; all that is left, and the end, for `None`.
    fn rewrite(&mut self, chunk: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        let begun = &mut self.begun;
        let mut item = |data: &[u8]| {
            out.extend_from_slice(if *begun { b",\r\n" } else { b"[" });
            *begun = true;
            out.extend_from_slice(data);
        };
        match chunk {
            Some(chunk) => {
                if self.splitter.feed(chunk, |frame| item(frame.data)).is_err() {
                    // The relay has the smaller limit, so this cannot come; an array that ends is
                    // the least bad thing to say.
                    self.ended = true;
                }
            }
            None => {
                self.splitter.finish(|frame| item(frame.data));
                self.ended = true;
            }
        }
        if self.ended {
            out.extend_from_slice(if self.begun { b"]" } else { b"[]" });
        }
        out
    }
}

impl<B: MessageBody<Error = Infallible> + Unpin> MessageBody for ArrayBody<B> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        while !self.ended {
            let Poll::Ready(next) = Pin::new(&mut self.events).poll_next(cx) else {
                return Poll::Pending;
            };
            let chunk = next.and_then(Result::ok);
            let out = self.rewrite(chunk.as_deref());
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Bytes::from(out))));
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_items() {
        let mut body = ArrayBody::new(String::new());
        let mut all = body.rewrite(Some(b"data: {\"a\":1}\n\nda"));
        all.extend(body.rewrite(Some(b"ta: {\"a\":2}\n\n")));
        all.extend(body.rewrite(None));
        assert_eq!(all, b"[{\"a\":1},\r\n{\"a\":2}]");
        assert_eq!(ArrayBody::new(String::new()).rewrite(None), b"[]");
    }
}
