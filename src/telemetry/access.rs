//! The access log: a line for every request, written at its end by a thread of its own, many at a
//! time. Never a prompt, a key or an address: those may hold both.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use prometheus::{IntCounter, IntGauge};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log::Escaped;
use super::metrics::Metrics;
use super::otlp::Exporter;
use super::traceparent::Hex;
use super::trail::Trail;
use crate::base::money::Nanos;

/// Requests that may wait to be told of. What comes beyond is counted and left out.
const WAITING: usize = 16_384;
/// How long lines are gathered: one that wakes the thread costs its worker more than all others.
const GATHERING: Duration = Duration::from_millis(20);
/// The target under which a filter finds the lines.
const TARGET: &str = "optimux::access";

/// The format of the lines of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    Text,
    Json,
}

/// Where ended requests are reported. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    to: Option<SyncSender<Told>>,
    dropped: IntCounter,
    /// How many wait to be told of.
    waiting: IntGauge,
}

enum Told {
    Trail(Box<Trail>),
    /// Nothing comes any more.
    Over,
}

/// The thread that writes the access log.
#[derive(Debug)]
pub struct AccessThread {
    teller: AccessLog,
    thread: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Tells nobody.
    #[must_use]
    pub fn silent(metrics: &Metrics) -> Self {
        Self { to: None, dropped: dropped(metrics), waiting: waiting(metrics) }
    }

    /// Never waits.
    pub fn tell(&self, trail: Box<Trail>) {
        let Some(to) = &self.to else { return };
        // Counted before it is sent, so that the gauge is never negative.
        self.waiting.inc();
        match to.try_send(Told::Trail(trail)) {
            Ok(()) => {}
            Err(why) => {
                self.waiting.dec();
                if matches!(why, TrySendError::Full(_)) {
                    self.dropped.inc();
                }
            }
        }
    }
}

fn dropped(metrics: &Metrics) -> IntCounter {
    metrics.telemetry_dropped.with_label_values(&["access"])
}

fn waiting(metrics: &Metrics) -> IntGauge {
    metrics.queue_length.with_label_values(&["access"])
}

/// Starts the thread. `lines` is the form of the access log, if there is one; `exporter` takes what
/// is traced.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start(
    metrics: &Metrics,
    lines: Option<LineFormat>,
    exporter: Option<Exporter>,
) -> io::Result<(AccessLog, AccessThread)> {
    if lines.is_none() && exporter.is_none() {
        let teller = AccessLog::silent(metrics);
        return Ok((teller.clone(), AccessThread { teller, thread: None }));
    }
    let (to, from) = sync_channel(WAITING);
    let waiting = waiting(metrics);
    let teller = AccessLog { to: Some(to), dropped: dropped(metrics), waiting: waiting.clone() };
    let thread = std::thread::Builder::new()
        .name("optimux-telling".to_owned())
        .spawn(move || tell(&from, &waiting, lines, exporter.as_ref()))?;
    Ok((teller.clone(), AccessThread { teller, thread: Some(thread) }))
}

impl AccessThread {
    /// Waits until all that ended before has been told.
    pub fn finish(self) {
        if let (Some(to), Some(thread)) = (&self.teller.to, self.thread) {
            // It ends only here, and what it could die of is written by the panic itself.
            let _gone = to.send(Told::Over);
            let _panicked = thread.join();
        }
    }
}

fn tell(
    from: &Receiver<Told>,
    waiting: &IntGauge,
    lines: Option<LineFormat>,
    exporter: Option<&Exporter>,
) {
    let (mut text, mut moments) = (String::new(), Moments::default());
    let mut over = false;
    while !over && let Ok(first) = from.recv() {
        let logs = tracing::enabled!(target: TARGET, tracing::Level::INFO);
        for told in std::iter::once(first).chain(from.try_iter()) {
            let Told::Trail(trail) = told else {
                over = true;
                continue;
            };
            waiting.dec();
            match lines.filter(|_| logs) {
                Some(LineFormat::Text) => as_text(&trail, &mut moments, &mut text),
                Some(LineFormat::Json) => as_json(&trail, &mut moments, &mut text),
                None => {}
            }
            if let Some(exporter) = exporter.filter(|_| trail.context.is_some()) {
                exporter.take(trail);
            }
        }
        // Nobody is left to tell when standard error is closed.
        let _closed = io::stderr().lock().write_all(text.as_bytes());
        text.clear();
        if !over {
            std::thread::sleep(GATHERING);
        }
    }
}

/// One field of a line.
enum Field<'a> {
    Word(&'static str),
    Said(&'a str),
    Count(u64),
    Time(Duration),
    Cost(Nanos),
}

/// The fields in their order.
fn fields<'a>(trail: &'a Trail, mut put: impl FnMut(&'static str, Field<'a>)) {
    put("request", Field::Said(trail.id.as_str()));
    if let Some(arrived) = trail.arrived {
        put("method", Field::Word(arrived.method));
    }
    match (&trail.arrived, &trail.bill) {
        (Some(arrived), _) => put("endpoint", Field::Word(arrived.surface)),
        (None, Some(bill)) => put("endpoint", Field::Said(&bill.surface)),
        (None, None) => {}
    }
    if let Some(left) = &trail.left {
        put("status", Field::Count(left.status.into()));
    }
    if let Some((account, key)) = &trail.caller {
        put("account", Field::Said(account.as_str()));
        put("key", Field::Said(key.as_str()));
    }
    if let Some(bill) = &trail.bill {
        put("asked", Field::Said(&bill.asked));
        if let (Some(model), Some(provider)) = (&bill.model, &bill.provider) {
            put("model", Field::Said(model));
            put("provider", Field::Said(provider));
        }
        put("attempts", Field::Count(bill.attempts.into()));
        put("tokens_in", Field::Count(bill.tokens.prompt()));
        put("tokens_cached", Field::Count(bill.tokens.cache_read));
        put("tokens_out", Field::Count(bill.tokens.completion()));
        put("cost_usd", Field::Cost(bill.cost));
        put("stream", Field::Word(if bill.streamed { "true" } else { "false" }));
        put("outcome", Field::Word(bill.outcome));
    } else if trail.left.as_ref().is_some_and(|left| !left.whole) {
        put("outcome", Field::Word("left"));
    }
    if let Some(met) = &trail.guardrails {
        put("guardrails", Field::Said(met));
    }
    if let Some(found) = &trail.moderation {
        put("moderation", Field::Said(found));
    }
    if let Some(first) = trail.first_byte() {
        put("first_byte_ms", Field::Time(first));
    }
    put("ms", Field::Time(trail.lasted()));
    if let Some(overhead) = trail.overhead() {
        put("overhead_ms", Field::Time(overhead));
    }
}

/// Writes moments as the rest of the log has them, to the microsecond. Most are in the second of the
/// one before.
#[derive(Default)]
struct Moments {
    second: i64,
    /// Up to its seconds, as RFC 3339 has it.
    text: String,
}

impl Moments {
    fn push(&mut self, at: SystemTime, out: &mut String) {
        let at = OffsetDateTime::from(at);
        if self.text.is_empty() || self.second != at.unix_timestamp() {
            self.second = at.unix_timestamp();
            let whole = at.replace_nanosecond(0).unwrap_or(at);
            self.text = whole.format(&Rfc3339).unwrap_or_default();
            self.text.truncate(self.text.len().saturating_sub(1));
        }
        out.push_str(&self.text);
        out.push('.');
        let mut digits = itoa::Buffer::new();
        // Six digits, the zeros in front among them.
        let micros = digits.format(1_000_000 + at.microsecond());
        out.push_str(micros.get(1..).unwrap_or_default());
        out.push('Z');
    }
}

/// A number of units, of which `one` make a whole: 304, of a thousand, is 0.304.
fn push_decimal(out: &mut String, units: u64, one: u64) {
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(units / one));
    if !units.is_multiple_of(one) {
        out.push('.');
        let rest = digits.format(one + units % one);
        out.push_str(rest.get(1..).unwrap_or_default().trim_end_matches('0'));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

// Writing to a String cannot fail. A line is written for every request: numbers go without the
// machinery of `write!`.
fn as_text(trail: &Trail, moments: &mut Moments, out: &mut String) {
    moments.push(trail.wall_at(trail.ended), out);
    out.push_str("  INFO answered");
    let mut digits = itoa::Buffer::new();
    fields(trail, |name, field| {
        out.push(' ');
        out.push_str(name);
        out.push('=');
        match field {
            Field::Word(word) => out.push_str(word),
            Field::Said(said) if is_plain(said) => out.push_str(said),
            Field::Said(said) => {
                let _infallible = write!(Escaped(out), "{said:?}");
            }
            Field::Count(count) => out.push_str(digits.format(count)),
            Field::Time(time) => push_decimal(out, micros(time), 1_000),
            Field::Cost(cost) => push_decimal(out, nanos(cost), 1_000_000_000),
        }
    });
    if let Some(context) = &trail.context {
        let _infallible = write!(out, " trace={}", Hex(&context.trace));
    }
    out.push('\n');
}

/// Needs no quotes to be read as one value.
fn is_plain(said: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:*@".contains(&byte);
    !said.is_empty() && said.bytes().all(plain)
}

/// A request costs nothing, or something.
fn nanos(cost: Nanos) -> u64 {
    u64::try_from(cost.0).unwrap_or(0)
}

fn as_json(trail: &Trail, moments: &mut Moments, out: &mut String) {
    let mut all = Map::new();
    all.insert("message".to_owned(), Value::from("answered"));
    fields(trail, |name, field| {
        let value = match field {
            Field::Word("true") => Value::Bool(true),
            Field::Word("false") => Value::Bool(false),
            Field::Word(word) => Value::from(word),
            Field::Said(said) => Value::from(said),
            Field::Count(count) => Value::from(count),
            Field::Time(time) => decimal(micros(time), 1_000),
            Field::Cost(cost) => decimal(nanos(cost), 1_000_000_000),
        };
        all.insert(name.to_owned(), value);
    });
    if let Some(context) = &trail.context {
        all.insert("trace".to_owned(), Value::from(Hex(&context.trace).to_string()));
    }
    let mut at = String::new();
    moments.push(trail.wall_at(trail.ended), &mut at);
    let line = serde_json::json!({
        "timestamp": at, "level": "INFO", "fields": all, "target": TARGET,
    });
    let _infallible = writeln!(out, "{line}");
}

/// A number of units, of which `one` make a whole, as JSON has it.
fn decimal(units: u64, one: u64) -> Value {
    let mut text = String::new();
    push_decimal(&mut text, units, one);
    text.parse().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::super::trail::tests::answered;
    use super::*;

    #[test]
    fn a_line_says_what_was_asked_answered_and_paid() {
        let mut text = String::new();
        as_text(&answered(), &mut Moments::default(), &mut text);
        assert_eq!(text.lines().count(), 1, "{text}");
        let (_, rest) = text.trim_end().split_once(' ').unwrap();
        assert_eq!(
            rest,
            " INFO answered request=req_a method=POST endpoint=openai-chat status=200 \
             account=acct_a key=key_a asked=\"auto\\u{1b}[2J\\n\" model=m provider=p1 attempts=2 \
             tokens_in=7 tokens_cached=4 tokens_out=3 cost_usd=0.000012345 stream=false \
             outcome=complete first_byte_ms=304 ms=310 overhead_ms=6"
        );
    }

    #[test]
    fn a_line_of_json_says_the_same() {
        let mut text = String::new();
        as_json(&answered(), &mut Moments::default(), &mut text);
        let line: Value = serde_json::from_str(&text).unwrap();
        let fields = &line["fields"];
        assert_eq!(line["target"], "optimux::access");
        assert_eq!((&fields["status"], &fields["stream"]), (&200.into(), &false.into()));
        assert_eq!(fields["cost_usd"], 0.000_012_345);
        assert_eq!(fields["asked"], "auto\u{1b}[2J\n");
        assert!(OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).is_ok());
    }

    #[test]
    fn what_nobody_takes_in_time_is_counted() {
        let metrics = Metrics::new().unwrap();
        let (to, _from) = sync_channel(1);
        let teller =
            AccessLog { to: Some(to), dropped: dropped(&metrics), waiting: waiting(&metrics) };
        teller.tell(Box::new(answered()));
        teller.tell(Box::new(answered()));
        assert_eq!(teller.dropped.get(), 1);
    }
}
