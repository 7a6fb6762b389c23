//! The requests of an account, newest first, by what is kept of each of them for lists.

use std::time::Duration;

use tokio::time::Instant;

use super::usage;
use crate::admit::{Caller, Scope};
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::ledger::head::Head;

/// So many are shown at once, if nothing else is asked for, and at most.
const PAGE: usize = 50;
const MOST: usize = 200;
/// Rows of the store that are read at once.
const ROWS: i64 = 16;
/// A search that finds little is given up after this; whoever wants can go on from there.
const PATIENCE: Duration = Duration::from_millis(200);

/// Which requests are asked for; what is not given is not looked at.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub key: Option<String>,
    pub model: Option<String>,
    pub provider: Option<String>,
    /// As [`crate::ledger::Outcome::as_str`] has it.
    pub status: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    pub limit: Option<usize>,
}

impl Search {
    fn finds(&self, head: &Head) -> bool {
        let is = |wanted: &Option<String>, names: &[&str]| {
            wanted.as_ref().is_none_or(|wanted| names.contains(&wanted.as_str()))
        };
        is(&self.key, &[&head.api_key_id])
            && is(&self.model, &[&head.model, &head.model_requested])
            && is(&self.provider, &[&head.provider])
            && is(&self.status, &[&head.status])
            && self.start.is_none_or(|start| start <= head.at_ms)
            && self.end.is_none_or(|end| head.at_ms < end)
    }
}

/// A page of the list of requests.
#[derive(Debug)]
pub struct RequestPage {
    pub heads: Vec<Head>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
    /// How far back it was looked.
    pub looked_back_to: Timestamp,
}

/// A place in the list: the row that was read last, how many rows of the same moment were read before
/// it, and how many of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: Timestamp,
    rows: i64,
    lines: usize,
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        Some(Self {
            at: Timestamp(parts.next()?.parse().ok()?),
            rows: parts.next()?.parse().ok().filter(|rows| (0..1_000_000).contains(rows))?,
            lines: parts.next()?.parse().ok()?,
        })
    }

    fn written(self) -> String {
        format!("{}-{}-{}", self.at.0, self.rows, self.lines)
    }
}

/// `GET /v1/requests`. What is still on its way to the books is not in the list yet.
///
/// # Errors
/// [`Kind::Malformed`] for a place that is none; what the store says.
pub async fn list(app: &App, caller: &Caller, search: &Search) -> Result<RequestPage, Error> {
    caller.must_be_for(Scope::Usage)?;
    let limit = search.limit.unwrap_or(PAGE).clamp(1, MOST);
    let keys = usage::visible_keys(app, caller).await?;
    let now = app.shared.clock.now();
    let mut place = match search.after.as_deref() {
        Some(text) => Place::read(text).ok_or_else(|| {
            Error::new(Kind::Malformed, "'after' has to be the 'next' of another page.").at("after")
        })?,
        // Clocks of nodes differ a little.
        None => {
            let latest = now.after(Duration::from_secs(60));
            // A page of the journal is written within minutes of the first request on it.
            let end = search.end.map(|end| end.after(Duration::from_secs(3_600)));
            Place { at: end.map_or(latest, |end| end.min(latest)), rows: 0, lines: 0 }
        }
    };
    let since = search.start.unwrap_or(Timestamp(0));
    let began = Instant::now();
    let mut heads = Vec::new();
    loop {
        let store = &app.shared.store;
        let rows = store.heads(caller.account.clone(), since, place.at, place.rows, ROWS).await;
        let rows = rows.map_err(Error::internal)?;
        let last = i64::try_from(rows.len()).unwrap_or(0) < ROWS;
        for row in rows {
            if row.at != place.at {
                place = Place { at: row.at, rows: 0, lines: 0 };
            }
            // Within a page of the journal the newest are last.
            for line in row.body.lines().rev().skip(place.lines) {
                if heads.len() == limit {
                    let next = Some(place.written());
                    return Ok(RequestPage { heads, next, looked_back_to: row.at });
                }
                place.lines += 1;
                let Some(mut head) = Head::read(line) else { continue };
                head.cost_nano_usd = head.cost_nano_usd.filter(|_| caller.sees_cost());
                let visible = keys.as_ref().is_none_or(|keys| keys.contains(&head.api_key_id));
                if visible && search.finds(&head) {
                    heads.push(head);
                }
            }
            place = Place { rows: place.rows + 1, lines: 0, ..place };
        }
        if last {
            return Ok(RequestPage { heads, next: None, looked_back_to: since });
        }
        if began.elapsed() > PATIENCE {
            return Ok(RequestPage {
                heads,
                next: Some(place.written()),
                looked_back_to: place.at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_it_was_written() {
        let place = Place { at: Timestamp(1_775_001_600_123), rows: 2, lines: 17 };
        assert_eq!(Place::read(&place.written()), Some(place));
        for text in ["", "1", "1-2", "a-0-0", "1--1-0", "1-0--1"] {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
