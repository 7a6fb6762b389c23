//! The frames of a caller's socket, watched as they arrive. The server's own codec looks at a frame's
//! size when the frame is whole; what is announced too large has to be refused by its header, before
//! anything is gathered.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::web::Payload;
use actix_web::{FromRequest, HttpRequest};
use actix_ws::ProtocolError;
use bytes::Bytes;
use futures_core::Stream;

use crate::admit::Share;

/// RFC 6455, 5.2: two bytes, up to eight of length, four of mask.
const HEADER_BYTES: usize = 14;
/// RFC 6455, 5.5: of pings, pongs and closes.
const CONTROL_BYTES: u64 = 125;

/// The payload of a socket, which ends with [`PayloadError::Overflow`] where a frame announces, or a
/// message gathers, more than `largest` bytes, or more than `share` can cover.
pub async fn bounded(
    request: &HttpRequest,
    payload: Payload,
    largest: usize,
    share: Share,
) -> Result<Payload, actix_web::Error> {
    let watched = Watched { payload: payload.into_inner(), frames: Frames::new(largest), share };
    let watched: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(watched);
    Payload::from_request(request, &mut dev::Payload::from(watched)).await
}

/// Whether a socket ended because of what it was sent.
#[must_use]
pub fn is_too_large(why: &ProtocolError) -> bool {
    match why {
        ProtocolError::Overflow => true,
        ProtocolError::Io(why) => why
            .get_ref()
            .and_then(|why| why.downcast_ref::<PayloadError>())
            .is_some_and(|why| matches!(why, PayloadError::Overflow)),
        _ => false,
    }
}

struct Watched {
    payload: dev::Payload,
    frames: Frames,
    share: Share,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let chunk = match Pin::new(&mut this.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => chunk,
            other => return other,
        };
        let Ok(gathered) = this.frames.pass(&chunk) else {
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        };
        if gathered == 0 {
            this.share.release();
        } else if this.share.cover(gathered).is_err() {
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

/// Where in a stream of frames we are.
#[derive(Debug)]
struct Frames {
    largest: u64,
    at: At,
    /// Bytes of the message that is not whole yet, without its frame under way.
    message: u64,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// So many bytes of a header have come.
    Header {
        bytes: [u8; HEADER_BYTES],
        len: usize,
    },
    Body {
        size: u64,
        left: u64,
        last: bool,
        control: bool,
    },
}

const START: At = At::Header { bytes: [0; HEADER_BYTES], len: 0 };

/// A frame or a message is larger than it may be.
#[derive(Debug, PartialEq, Eq)]
struct TooLarge;

impl Frames {
    fn new(largest: usize) -> Self {
        Self { largest: largest as u64, at: START, message: 0 }
    }

    /// Looks at what has come; how many bytes the receiver has to keep until a message is whole.
    fn pass(&mut self, mut chunk: &[u8]) -> Result<usize, TooLarge> {
        loop {
            match &mut self.at {
                At::Header { bytes, len } => {
                    let Some((first, rest)) = chunk.split_first() else { break };
                    chunk = rest;
                    if let Some(place) = bytes.get_mut(*len) {
                        *place = *first;
                    }
                    *len += 1;
                    if let Some(body) = read_header(bytes, *len) {
                        self.begin(body)?;
                    }
                }
                At::Body { left, .. } => {
                    let some = (*left).min(chunk.len() as u64);
                    chunk = usize::try_from(some)
                        .ok()
                        .and_then(|some| chunk.get(some..))
                        .unwrap_or_default();
                    *left -= some;
                    if *left > 0 {
                        break;
                    }
                    self.end();
                }
            }
        }
        let under_way = match self.at {
            At::Body { size, left, .. } => size - left,
            At::Header { .. } => 0,
        };
        Ok(usize::try_from(self.message + under_way).unwrap_or(usize::MAX))
    }

    fn begin(&mut self, frame: Frame) -> Result<(), TooLarge> {
        let Frame { size, last, control } = frame;
        let most = if control { CONTROL_BYTES } else { self.largest.saturating_sub(self.message) };
        if size > most {
            return Err(TooLarge);
        }
        self.at = At::Body { size, left: size, last, control };
        if size == 0 {
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        if let At::Body { size, last, control: false, .. } = self.at {
            self.message = if last { 0 } else { self.message + size };
        }
        self.at = START;
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    size: u64,
    /// No continuation follows.
    last: bool,
    control: bool,
}

/// Reads the header of a frame once all `len` bytes of it are there.
fn read_header(bytes: &[u8; HEADER_BYTES], len: usize) -> Option<Frame> {
    let [first, second, long @ ..] = bytes;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (size, before) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes([long[0], long[1]])), 4),
        127 => {
            let eight = [long[0], long[1], long[2], long[3], long[4], long[5], long[6], long[7]];
            (u64::from_be_bytes(eight), 10)
        }
        short => (u64::from(short), 2),
    };
    (len == before + mask).then_some(Frame {
        size,
        last: first & 0x80 != 0,
        control: first & 0x08 != 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A masked frame, as callers send them.
    fn frame(first: u8, announced: u64, body: usize) -> Vec<u8> {
        let mut all = vec![first];
        match u16::try_from(announced) {
            Ok(short) if short < 126 => all.push(0x80 | u8::try_from(short).unwrap()),
            Ok(short) => {
                all.push(0xfe);
                all.extend(short.to_be_bytes());
            }
            Err(_) => {
                all.push(0xff);
                all.extend(announced.to_be_bytes());
            }
        }
        all.extend([1, 2, 3, 4]);
        all.extend(std::iter::repeat_n(0, body));
        all
    }

    const TEXT: u8 = 0x81;
    const BEGUN: u8 = 0x01;
    const MORE: u8 = 0x00;
    const END: u8 = 0x80;
    const PING: u8 = 0x89;

    #[test]
    fn what_is_announced_too_large_is_refused_by_its_header() {
        for announced in [1_001, 1 << 40, u64::MAX] {
            assert_eq!(Frames::new(1_000).pass(&frame(TEXT, announced, 0)), Err(TooLarge));
        }
        assert_eq!(Frames::new(1_000).pass(&frame(TEXT, 1_000, 0)), Ok(0));
        assert_eq!(Frames::new(1_000).pass(&frame(PING, 126, 0)), Err(TooLarge));
    }

    #[test]
    fn continuations_count_together() {
        let mut frames = Frames::new(1_000);
        assert_eq!(frames.pass(&frame(BEGUN, 600, 600)), Ok(600));
        // A ping may come between, and is no part of the message.
        assert_eq!(frames.pass(&frame(PING, 5, 5)), Ok(600));
        assert_eq!(frames.pass(&frame(MORE, 401, 0)), Err(TooLarge));
        let mut frames = Frames::new(1_000);
        assert_eq!(frames.pass(&frame(BEGUN, 600, 600)), Ok(600));
        assert_eq!(frames.pass(&frame(END, 400, 400)), Ok(0));
        assert_eq!(frames.pass(&frame(TEXT, 1_000, 10)), Ok(10));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_it_is_cut(
            sizes in prop::collection::vec(0_usize..70_000, 1..5),
            cut in 1_usize..5_000,
        ) {
            let all: Vec<u8> = sizes.iter().flat_map(|size| frame(TEXT, *size as u64, *size)).collect();
            let mut frames = Frames::new(70_000);
            let mut last = 0;
            for chunk in all.chunks(cut) {
                last = frames.pass(chunk).unwrap();
            }
            prop_assert_eq!(last, 0);
        }
    }
}
