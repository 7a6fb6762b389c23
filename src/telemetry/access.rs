//! The access log: a line for every request, written at its end by a thread of its own, many at a
//! time. Never a prompt, a key or an address: those may hold both.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use prometheus::IntCounter;
use serde_json::{Map, Number, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log::Escaped;
use super::metrics::Metrics;
use super::otlp::Exporter;
use super::traceparent::Hex;
use super::trail::Trail;

/// Requests that may wait to be told of. What comes beyond is counted and left out.
const WAITING: usize = 16_384;
/// How long lines are gathered: one that wakes the thread costs its worker more than all others.
const GATHERING: Duration = Duration::from_millis(20);
/// The target under which a filter finds the lines.
const TARGET: &str = "optimux::access";

/// How the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
}

/// Where requests are told of that have ended. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Teller {
    to: Option<SyncSender<Told>>,
    dropped: IntCounter,
}

enum Told {
    Trail(Box<Trail>),
    /// Nothing comes any more.
    Over,
}

/// The thread that tells.
#[derive(Debug)]
pub struct Telling {
    teller: Teller,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    /// Tells nobody.
    #[must_use]
    pub fn silent(metrics: &Metrics) -> Self {
        Self { to: None, dropped: dropped(metrics) }
    }

    /// Never waits.
    pub fn tell(&self, trail: Box<Trail>) {
        if let Some(to) = &self.to
            && let Err(TrySendError::Full(_)) = to.try_send(Told::Trail(trail))
        {
            self.dropped.inc();
        }
    }
}

fn dropped(metrics: &Metrics) -> IntCounter {
    metrics.telemetry_dropped.with_label_values(&["access"])
}

/// Starts the thread. `lines` is the form of the access log, if there is one; `exporter` takes what
/// is traced.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start(
    metrics: &Metrics,
    lines: Option<Form>,
    exporter: Option<Exporter>,
) -> io::Result<(Teller, Telling)> {
    if lines.is_none() && exporter.is_none() {
        let teller = Teller::silent(metrics);
        return Ok((teller.clone(), Telling { teller, thread: None }));
    }
    let (to, from) = sync_channel(WAITING);
    let teller = Teller { to: Some(to), dropped: dropped(metrics) };
    let thread = std::thread::Builder::new()
        .name("optimux-telling".to_owned())
        .spawn(move || tell(&from, lines, exporter.as_ref()))?;
    Ok((teller.clone(), Telling { teller, thread: Some(thread) }))
}

impl Telling {
    /// Waits until all that ended before has been told.
    pub fn finish(self) {
        if let (Some(to), Some(thread)) = (&self.teller.to, self.thread) {
            // It ends only here, and what it could die of is written by the panic itself.
            let _gone = to.send(Told::Over);
            let _panicked = thread.join();
        }
    }
}

fn tell(from: &Receiver<Told>, lines: Option<Form>, exporter: Option<&Exporter>) {
    let mut text = String::new();
    let mut over = false;
    while !over && let Ok(first) = from.recv() {
        let logs = tracing::enabled!(target: TARGET, tracing::Level::INFO);
        for told in std::iter::once(first).chain(from.try_iter()) {
            let Told::Trail(trail) = told else {
                over = true;
                continue;
            };
            match lines.filter(|_| logs) {
                Some(Form::Text) => as_text(&trail, &mut text),
                Some(Form::Json) => as_json(&trail, &mut text),
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
    Amount(f64),
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
        #[expect(clippy::cast_precision_loss, reason = "a request costs less than 2^53 nano-USD")]
        put("cost_usd", Field::Amount(bill.cost.0 as f64 / 1e9));
        put("stream", Field::Word(if bill.streamed { "true" } else { "false" }));
        put("outcome", Field::Word(bill.outcome));
    } else if trail.left.as_ref().is_some_and(|left| !left.whole) {
        put("outcome", Field::Word("left"));
    }
    if let Some(met) = &trail.guardrails {
        put("guardrails", Field::Said(met));
    }
    if let Some(first) = trail.first_byte() {
        put("first_byte_ms", Field::Amount(milliseconds(first)));
    }
    put("ms", Field::Amount(milliseconds(trail.lasted())));
    if let Some(overhead) = trail.overhead() {
        put("overhead_ms", Field::Amount(milliseconds(overhead)));
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// When a line is written, as the rest of the log has it.
fn moment(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let to_the_micro = at.replace_nanosecond(at.nanosecond() / 1_000 * 1_000).unwrap_or(at);
    to_the_micro.format(&Rfc3339).unwrap_or_default()
}

// Writing to a String cannot fail.
fn as_text(trail: &Trail, out: &mut String) {
    let _infallible = write!(out, "{}  INFO answered", moment(trail.wall_at(trail.ended)));
    fields(trail, |name, field| {
        out.push(' ');
        out.push_str(name);
        out.push('=');
        let _infallible = match field {
            Field::Word(word) => out.write_str(word),
            Field::Said(said) if is_plain(said) => out.write_str(said),
            Field::Said(said) => write!(Escaped(out), "{said:?}"),
            Field::Count(count) => write!(out, "{count}"),
            Field::Amount(amount) => write!(out, "{amount}"),
        };
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

fn as_json(trail: &Trail, out: &mut String) {
    let mut all = Map::new();
    all.insert("message".to_owned(), Value::from("answered"));
    fields(trail, |name, field| {
        let value = match field {
            Field::Word("true") => Value::Bool(true),
            Field::Word("false") => Value::Bool(false),
            Field::Word(word) => Value::from(word),
            Field::Said(said) => Value::from(said),
            Field::Count(count) => Value::from(count),
            Field::Amount(amount) => Number::from_f64(amount).map_or(Value::Null, Value::Number),
        };
        all.insert(name.to_owned(), value);
    });
    if let Some(context) = &trail.context {
        all.insert("trace".to_owned(), Value::from(Hex(&context.trace).to_string()));
    }
    let at = moment(trail.wall_at(trail.ended));
    let line = serde_json::json!({
        "timestamp": at, "level": "INFO", "fields": all, "target": TARGET,
    });
    let _infallible = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::super::trail::tests::answered;
    use super::*;

    #[test]
    fn a_line_says_what_was_asked_answered_and_paid() {
        let mut text = String::new();
        as_text(&answered(), &mut text);
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
        as_json(&answered(), &mut text);
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
        let teller = Teller { to: Some(to), dropped: dropped(&metrics) };
        teller.tell(Box::new(answered()));
        teller.tell(Box::new(answered()));
        assert_eq!(teller.dropped.get(), 1);
    }
}
