//! Server-sent events, read at any chunk boundary. Lines end in LF, CRLF or CR; comments are
//! skipped; several `data` lines join with LF; a byte order mark may come first. An event without
//! its blank line at the end of the connection counts, because providers send such errors.
//! Source: WHATWG HTML, "Interpreting an event stream".

use memchr::memchr2;

use super::Broken;

/// One event. `event` is empty where the stream names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub event: &'a str,
    pub data: &'a [u8],
}

/// Cuts bytes into events.
#[derive(Debug)]
pub struct Splitter {
    line: Vec<u8>,
    data: Vec<u8>,
    event: String,
    has_data: bool,
    after_cr: bool,
    at_start: bool,
    limit_bytes: usize,
}

impl Splitter {
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            event: String::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            limit_bytes,
        }
    }

    /// Feeds a chunk and hands each event that it completes to `each`.
    ///
    /// # Errors
    /// [`Broken`] when an event outgrows the limit.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), Broken> {
        self.feed_at(chunk, |frame, _| each(frame))
    }

    /// The same, with the place in the chunk behind each event's last line.
    ///
    /// # Errors
    /// As [`Splitter::feed`].
    pub fn feed_at(
        &mut self,
        whole: &[u8],
        mut each: impl FnMut(Frame<'_>, usize),
    ) -> Result<(), Broken> {
        let mut chunk = whole;
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = memchr2(b'\n', b'\r', chunk) {
            let (line, rest) = chunk.split_at(end);
            let (ending, rest) = rest.split_at(1);
            chunk = rest;
            if ending == b"\r" {
                match chunk.strip_prefix(b"\n") {
                    Some(rest) => chunk = rest,
                    None => self.after_cr = chunk.is_empty(),
                }
            }
            let at = whole.len() - chunk.len();
            let mut each = |frame: Frame<'_>| each(frame, at);
            // A line that came whole in one chunk is read where it lies.
            if self.line.is_empty() {
                self.take_line(line, &mut each);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole, &mut each);
                whole.clear();
                self.line = whole;
            }
            self.check()?;
        }
        self.line.extend_from_slice(chunk);
        self.check()
    }

    /// Nothing of an event is pending: here something may be put in between.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.event.is_empty()
    }

    /// The connection ended: what was not yet ended by a blank line is an event all the same.
    pub fn finish(&mut self, mut each: impl FnMut(Frame<'_>)) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, &mut each);
        }
        self.dispatch(&mut each);
    }

    fn check(&self) -> Result<(), Broken> {
        if self.line.len() + self.data.len() > self.limit_bytes {
            return Err(Broken::TooLong { limit_bytes: self.limit_bytes });
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], each: &mut impl FnMut(Frame<'_>)) {
        let line =
            if self.at_start { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) } else { line };
        self.at_start = false;
        if line.is_empty() {
            return self.dispatch(each);
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => return,
            Some(colon) => {
                let value = line.get(colon + 1..).unwrap_or_default();
                (line.get(..colon).unwrap_or_default(), value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.event.clear();
                self.event.push_str(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, each: &mut impl FnMut(Frame<'_>)) {
        if self.has_data {
            each(Frame { event: &self.event, data: &self.data });
        }
        self.has_data = false;
        self.data.clear();
        self.event.clear();
    }
}

/// Writes one event, its data in as many lines as it has. `event` may be empty.
pub fn write(out: &mut Vec<u8>, event: &str, data: &[u8]) {
    if !event.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut splitter = Splitter::new(1 << 20);
        let mut seen = Vec::new();
        let mut note = |frame: Frame<'_>| {
            seen.push((frame.event.to_owned(), String::from_utf8_lossy(frame.data).into_owned()));
        };
        for chunk in chunks {
            splitter.feed(chunk, &mut note).unwrap();
        }
        splitter.finish(&mut note);
        seen
    }

    fn pair(event: &str, data: &str) -> (String, String) {
        (event.to_owned(), data.to_owned())
    }

    #[test]
    fn reads_every_line_ending_comments_and_a_missing_last_blank() {
        let text = b"\xEF\xBB\xBF: hi\r\ndata: a\rdata:b\n\nevent: x\r\ndata: c\r\n\r\nid: 4\ndata";
        assert_eq!(read(&[text]), [pair("", "a\nb"), pair("x", "c"), pair("", "")]);
    }

    #[test]
    fn an_event_is_written_as_it_is_read() {
        let mut out = Vec::new();
        write(&mut out, "x", b"{\n  1\n}");
        assert_eq!(read(&[&out]), [pair("x", "{\n  1\n}")]);
    }

    #[test]
    fn an_event_ends_behind_its_blank_line() {
        let (mut splitter, mut ends) = (Splitter::new(1 << 20), Vec::new());
        for chunk in [&b"data: a\n\ndata: b\r\n\r\nda"[..], b"ta: c\n\n: x\n\n"] {
            splitter.feed_at(chunk, |_, end| ends.push(end)).unwrap();
        }
        assert_eq!(ends, [9, 20, 7]);
    }

    #[test]
    fn unicode_line_separators_are_ordinary_characters() {
        assert_eq!(read(&["data: \u{2028}\u{85}\n\n".as_bytes()]), [pair("", "\u{2028}\u{85}")]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut splitter = Splitter::new(16);
        assert!(splitter.feed(b"data: 0123456789abcdef0", |_| {}).is_err());
    }

    proptest! {
        #[test]
        fn the_cut_does_not_matter(
            text in "(data: ?[a-z\u{e9}]{0,5}(\r\n|\n|\r)|event: x(\n|\r\n)|: c\n|\n|\r\n|\r){0,20}",
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in at {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(read(&chunks), read(&[bytes]));
        }
    }
}
