//! A request's place in a trace: read from its caller (W3C Trace Context, level 1), drawn where the
//! caller says nothing, and written for the provider.

use std::fmt;

/// One span's number; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// The trace that a request belongs to, and its own span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub trace: [u8; 16],
    /// The caller's span.
    pub parent: Option<SpanId>,
    pub span: SpanId,
}

impl Context {
    /// As the header says it, `span` being who calls.
    #[must_use]
    pub fn written(&self, span: SpanId) -> String {
        format!("00-{}-{}-01", Hex(&self.trace), Hex(&span.0))
    }
}

/// Bytes as lowercase hexadecimal digits.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which requests are traced.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// From 0 to 1, of requests whose callers do not say.
    ratio: f64,
    draws: fastrand::Rng,
}

impl Sampling {
    #[must_use]
    pub fn new(ratio: f64, seed: u64) -> Self {
        Self { ratio, draws: fastrand::Rng::with_seed(seed) }
    }

    /// A number for a span.
    pub fn span(&mut self) -> SpanId {
        SpanId(self.draws.u64(1..).to_be_bytes())
    }

    /// Where a request stands. `None` for one that is not traced: its caller decides, if it says so.
    pub fn context(&mut self, traceparent: Option<&str>) -> Option<Context> {
        match traceparent.and_then(read) {
            Some((_, _, false)) => None,
            Some((trace, parent, true)) => {
                Some(Context { trace, parent: Some(parent), span: self.span() })
            }
            None if self.draws.f64() < self.ratio => {
                let trace = self.draws.u128(1..).to_be_bytes();
                Some(Context { trace, parent: None, span: self.span() })
            }
            None => None,
        }
    }
}

/// The trace, the caller's span, and whether it is sampled. What is no such header is passed over.
fn read(header: &str) -> Option<([u8; 16], SpanId, bool)> {
    let mut parts = header.trim().split('-');
    let version: [u8; 1] = bytes(parts.next()?)?;
    let trace: [u8; 16] = bytes(parts.next()?)?;
    let parent: [u8; 8] = bytes(parts.next()?)?;
    let flags: [u8; 1] = bytes(parts.next()?)?;
    // Later versions may say more; this one may not, and 255 is no version.
    let sound = version != [0xff] && (version != [0] || parts.next().is_none());
    let named = trace != [0; 16] && parent != [0; 8];
    (sound && named).then_some((trace, SpanId(parent), flags[0] & 1 == 1))
}

/// Exactly `N` bytes in lowercase hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut all = [0; N];
    for (place, [high, low]) in all.iter_mut().zip(pairs) {
        *place = digit(*high)? << 4 | digit(*low)?;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_caller_decides_what_belongs_to_its_trace() {
        let mut never = Sampling::new(0.0, 1);
        assert_eq!(never.context(None), None);
        let context = never.context(Some(TOLD)).unwrap();
        assert_eq!(Hex(&context.trace).to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(Hex(&context.parent.unwrap().0).to_string(), "b7ad6b7169203331");
        let mut always = Sampling::new(1.0, 1);
        assert_eq!(always.context(Some(&TOLD.replace("-01", "-00"))), None);
        assert_eq!(always.context(None).unwrap().parent, None);
        let written = context.written(context.span);
        assert_eq!(read(&written), Some((context.trace, context.span, true)));
    }

    #[test]
    fn what_is_no_header_says_nothing() {
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert!(read("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
    }
}
