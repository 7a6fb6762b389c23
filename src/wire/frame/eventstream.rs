//! AWS event streams: binary frames with two checksums. Source: the Smithy specification's
//! "Amazon Event Stream", and the recordings.
//!
//! ```text
//! total length u32 │ headers' length u32 │ CRC of both │ headers │ payload │ CRC of all
//! header = name length u8 │ name │ type u8 │ value
//! ```

use super::Broken;
use super::sse::Frame;

const PRELUDE: usize = 12;
const TRAILER: usize = 4;

/// Cuts bytes into frames.
#[derive(Debug)]
pub struct Splitter {
    held: Vec<u8>,
    limit_bytes: usize,
}

impl Splitter {
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { held: Vec::new(), limit_bytes }
    }

    /// Feeds a chunk and hands each frame that it completes to `each`. A frame's `event` is its
    /// type; an exception's begins with `exception/`.
    ///
    /// # Errors
    /// [`Broken`] for a checksum that does not fit, and for a frame beyond the limit.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), Broken> {
        self.held.extend_from_slice(chunk);
        let mut used = 0;
        while let Some(rest) = self.held.get(used..).filter(|rest| rest.len() >= PRELUDE) {
            let total = number(rest, 0) as usize;
            if total > self.limit_bytes {
                return Err(Broken::TooLong { limit_bytes: self.limit_bytes });
            }
            let Some(frame) = rest.get(..total.max(PRELUDE)) else { break };
            read(frame, &mut each)?;
            used += frame.len();
        }
        self.held.drain(..used);
        Ok(())
    }

    #[must_use]
    pub fn is_between_events(&self) -> bool {
        self.held.is_empty()
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes)
}

fn read(frame: &[u8], each: &mut impl FnMut(Frame<'_>)) -> Result<(), Broken> {
    let damaged = || Broken::Damaged;
    let end = frame.len().checked_sub(TRAILER).filter(|end| *end >= PRELUDE).ok_or_else(damaged)?;
    let sound = crc32fast::hash(frame.get(..8).ok_or_else(damaged)?) == number(frame, 8)
        && crc32fast::hash(frame.get(..end).ok_or_else(damaged)?) == number(frame, end);
    let headers_end = PRELUDE.saturating_add(number(frame, 4) as usize);
    if !sound || headers_end > end {
        return Err(damaged());
    }
    let headers = frame.get(PRELUDE..headers_end).ok_or_else(damaged)?;
    let payload = frame.get(headers_end..end).ok_or_else(damaged)?;
    let (mut kind, mut event, mut exception) = ("", "", "");
    for_each_header(headers, |name, value| match name {
        ":message-type" => kind = value,
        ":event-type" => event = value,
        ":exception-type" | ":error-code" => exception = value,
        _ => {}
    })
    .ok_or_else(damaged)?;
    if kind == "event" {
        each(Frame { event, data: payload });
    } else {
        each(Frame { event: &format!("exception/{exception}"), data: payload });
    }
    Ok(())
}

/// The headers whose value is text; the others are passed over. `None` when they do not add up.
fn for_each_header<'a>(
    mut headers: &'a [u8],
    mut each: impl FnMut(&'a str, &'a str),
) -> Option<()> {
    while let Some((length, rest)) = headers.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kind, rest) = rest.split_first()?;
        let length =
            |rest: &[u8]| Some(usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)));
        let (skip, size) = match kind {
            0 | 1 => (0, 0),
            2 => (0, 1),
            3 => (0, 2),
            4 => (0, 4),
            5 | 8 => (0, 8),
            6 | 7 => (2, length(rest)?),
            9 => (0, 16),
            _ => return None,
        };
        let (value, rest) = rest.get(skip..)?.split_at_checked(size)?;
        if *kind == 7 {
            each(std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?);
        }
        headers = rest;
    }
    Some(())
}

/// One frame, for those who play a provider.
#[must_use]
pub fn write(kind: (&str, &str), event: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in
        [(":message-type", kind.0), (kind.1, event), (":content-type", "application/json")]
    {
        headers.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = Vec::new();
    frame.extend_from_slice(&word(PRELUDE + headers.len() + payload.len() + TRAILER));
    frame.extend_from_slice(&word(headers.len()));
    let prelude = crc32fast::hash(&frame);
    frame.extend_from_slice(&prelude.to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    let all = crc32fast::hash(&frame);
    frame.extend_from_slice(&all.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENT: (&str, &str) = ("event", ":event-type");

    fn read_all(chunks: &[&[u8]]) -> Result<Vec<(String, Vec<u8>)>, Broken> {
        let mut splitter = Splitter::new(1 << 20);
        let mut seen = Vec::new();
        for chunk in chunks {
            splitter
                .feed(chunk, |frame| seen.push((frame.event.to_owned(), frame.data.to_vec())))?;
        }
        Ok(seen)
    }

    proptest! {
        #[test]
        fn frames_are_found_at_any_cut(
            frames in prop::collection::vec(("[a-z]{0,9}", prop::collection::vec(any::<u8>(), 0..60)), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(event, data)| write(EVENT, event, data)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read_all(&chunks).unwrap(), frames);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _either = read_all(&[&bytes]);
        }
    }

    #[test]
    fn a_damaged_frame_is_refused() {
        let mut frame = write(EVENT, "x", b"payload");
        let last = frame.len() - 6;
        frame[last] ^= 1;
        assert_eq!(read_all(&[&frame]), Err(Broken::Damaged));
        let exception = write(("exception", ":exception-type"), "throttlingException", b"{}");
        assert_eq!(read_all(&[&exception]).unwrap()[0].0, "exception/throttlingException");
    }
}
