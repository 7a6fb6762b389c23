//! The journal: settlements written to a file of this node at once, and posted to the store a page
//! at a time, behind the requests' backs.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::segment::{self, Segment, remove};
use super::{JournalPage, Settlement};
use crate::store::{AllowanceOf, Store, StoreError};

/// Lines of one transaction, at most.
pub(super) const PAGE_LINES: u64 = 4_000;
/// A file larger than this is closed, and goes once it is posted.
const SEGMENT_BYTES: u64 = 32 << 20;
/// After no file could be made.
pub(super) const NEXT_TRY: Duration = Duration::from_secs(1);
/// A store that refuses for less is not yet taken to be away.
const HICCUP: Duration = Duration::from_secs(1);
/// Lines kept in memory while the store is away; what is beyond is read back from the file.
const WAITING_LINES: usize = 100_000;

/// When a settlement counts as written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The operating system has it: it survives the process.
    #[default]
    Process,
    /// The disk has it: it survives the machine's power.
    Power,
    /// The store has it: it survives this node.
    Store,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal's folder {} cannot be used: {why}", folder.display())]
    Folder { folder: PathBuf, why: io::Error },
    #[error("what is in the journal cannot be posted: {0}")]
    Store(#[from] StoreError),
}

impl JournalError {
    /// Whether waiting may help.
    fn passes(&self) -> bool {
        match self {
            Self::Folder { why, .. } => segment::passes(why),
            Self::Store(why) => matches!(why, StoreError::Unavailable { .. }),
        }
    }

    /// What passes by itself is tried again later: nothing has been done so far.
    pub(super) fn put_off<T: Default>(self) -> Result<T, Self> {
        if !self.passes() {
            return Err(self);
        }
        tracing::error!(why = %self, "the journal is not ready yet");
        Ok(T::default())
    }
}

/// How far lines have to be written for a settlement to be safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a settlement counts once it is safe"]
pub(super) enum SafePoint {
    /// Once so many lines are in the file.
    Written(u64),
    /// Once so many lines are on the disk.
    Synced(u64),
    /// Once so many lines are in the store.
    Posted(u64),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Journal(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub folder: PathBuf,
    pub durability: Durability,
    pub store: Store,
    pub allowance_of: AllowanceOf,
    pub state: Mutex<State>,
    pub appended: Notify,
    pub unsynced: Notify,
    pub hurry: Notify,
    /// Whether what is delivered now can be made safe, as far as is known.
    pub able: AtomicBool,
    pub synced: watch::Sender<u64>,
    pub posted: watch::Sender<u64>,
}

pub(super) struct State {
    /// `None` where no file can be written: lines then are safe once the store has them.
    pub segment: Option<Segment>,
    /// The segment's name when there is no file.
    pub nameless: Arc<str>,
    pub nameless_lines: u64,
    pub waiting: VecDeque<WaitingLines>,
    pub waiting_lines: usize,
    /// Lines ever appended by this process.
    pub lines: u64,
    /// So many of them are in a file.
    pub written: u64,
    /// No new file is tried for before.
    again_at: Option<Instant>,
    /// Lines up to this number may be missing from the file: the store must have them.
    pub refused: u64,
    /// Files that are closed, until all that is in them is posted.
    pub closed: Vec<Closed>,
    /// Since when the store has refused the page that is to be posted.
    pub failing: Option<Instant>,
    /// Since when the lines that are being posted have waited.
    pub being_posted: Option<Instant>,
}

/// A file that is not written to any more.
pub(super) struct Closed {
    /// Keeps its lock: nobody else must post what is in it.
    pub file: Arc<File>,
    pub path: PathBuf,
    /// The number of the line after its last.
    pub end: u64,
    /// The disk may not have taken all of it yet.
    pub unsynced: bool,
}

/// Lines in a row of one segment that are not in the store yet.
pub(super) struct WaitingLines {
    /// How many lines this process had appended before.
    pub before: u64,
    /// When the first of them came.
    pub since: Instant,
    pub lines: Lines,
}

pub(super) enum Lines {
    Here(Box<JournalPage>),
    /// In the file, where memory would have run over.
    InFile(FileRange),
}

/// A range of bytes of a file, and the lines in it.
pub(super) struct FileRange {
    pub segment: Arc<str>,
    pub first_line: u64,
    pub path: PathBuf,
    pub offset: u64,
    pub bytes: u64,
    pub count: u64,
}

impl Lines {
    pub fn count(&self) -> u64 {
        match self {
            Self::Here(page) => page.lines,
            Self::InFile(stretch) => stretch.count,
        }
    }

    fn is_of(&self, segment: &Arc<str>) -> bool {
        match self {
            Self::Here(page) => Arc::ptr_eq(&page.segment, segment),
            Self::InFile(stretch) => Arc::ptr_eq(&stretch.segment, segment),
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl State {
    /// Nothing is written down yet.
    pub fn new(segment: Option<Segment>) -> Self {
        Self {
            nameless: uuid::Uuid::now_v7().simple().to_string().into(),
            segment,
            nameless_lines: 0,
            waiting: VecDeque::new(),
            waiting_lines: 0,
            lines: 0,
            written: 0,
            refused: 0,
            again_at: None,
            closed: Vec::new(),
            failing: None,
            being_posted: None,
        }
    }

    /// Adds a line to the file, and to what waits to be posted.
    fn push(&mut self, settlement: &Settlement, line: &[u8]) {
        let before = self.lines;
        let crowded = self.waiting_lines >= WAITING_LINES;
        let (segment, first_line, offset) = self.place(line);
        self.lines += 1;
        self.waiting_lines += 1;
        // Only what is in the file need not be in memory.
        let offset = offset.filter(|_| crowded && self.write_down(before + 1));
        let last = self.waiting.back_mut().map(|last| &mut last.lines);
        match (last.filter(|last| last.is_of(&segment)), offset) {
            (Some(Lines::InFile(stretch)), Some(_)) => {
                stretch.bytes += line.len() as u64;
                stretch.count += 1;
            }
            (_, Some(offset)) => {
                let path = self.segment.as_ref().map(|own| own.path.clone()).unwrap_or_default();
                let bytes = line.len() as u64;
                let stretch = FileRange { segment, first_line, path, offset, bytes, count: 1 };
                let (since, lines) = (Instant::now(), Lines::InFile(stretch));
                self.waiting.push_back(WaitingLines { before, since, lines });
            }
            (Some(Lines::Here(page)), None) if page.lines < PAGE_LINES => {
                page.add(settlement, line);
            }
            (_, None) => {
                let mut page = JournalPage::new(segment, first_line);
                page.add(settlement, line);
                let (since, lines) = (Instant::now(), Lines::Here(Box::new(page)));
                self.waiting.push_back(WaitingLines { before, since, lines });
            }
        }
    }

    /// The line's place: in which segment, as which of its lines, and where in its file, if it has one.
    fn place(&mut self, line: &[u8]) -> (Arc<str>, u64, Option<u64>) {
        if let Some(segment) = &mut self.segment {
            let (number, offset) = (segment.lines, segment.bytes);
            segment.add(line);
            return (Arc::clone(&segment.name), number, Some(offset));
        }
        let number = self.nameless_lines;
        self.nameless_lines += 1;
        (Arc::clone(&self.nameless), number, None)
    }

    /// Writes what is pending, for all who wait. Whether the first `lines` of this process are in a
    /// file.
    pub fn write_down(&mut self, lines: u64) -> bool {
        if self.written < self.lines {
            match self.segment.as_mut().map(Segment::write) {
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    tracing::error!(%why, "the journal cannot be written: the store has to do");
                    self.give_up();
                }
                None => self.refused = self.lines,
            }
            self.written = self.lines;
        }
        lines > self.refused
    }

    /// Stops using this file, which failed: new lines get a new segment's name, and lines that it may not have
    /// must be in the store.
    pub fn give_up(&mut self) {
        self.refused = self.lines;
        self.again_at = Some(Instant::now() + NEXT_TRY);
        self.nameless = uuid::Uuid::now_v7().simple().to_string().into();
        self.nameless_lines = 0;
        let Some(segment) = self.segment.take() else { return };
        if segment.is_empty() {
            remove(&segment.path);
        } else {
            self.close(segment, false);
        }
    }

    fn close(&mut self, segment: Segment, unsynced: bool) {
        let Segment { file, path, .. } = segment;
        self.closed.push(Closed { file, path, end: self.lines, unsynced });
    }

    /// Goes on in another file when this one is large, or there is none.
    pub fn turn(&mut self, folder: &Path) {
        let large = self.segment.as_ref().is_none_or(|segment| segment.bytes > SEGMENT_BYTES);
        if !large || self.again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let lines = self.lines;
        self.write_down(lines);
        match std::fs::create_dir_all(folder).and_then(|()| Segment::create(folder)) {
            Ok(fresh) => {
                self.again_at = None;
                if let Some(old) = self.segment.replace(fresh) {
                    self.close(old, true);
                }
            }
            Err(why) => {
                tracing::error!(%why, "the journal cannot go on in another file");
                self.again_at = Some(Instant::now() + NEXT_TRY);
            }
        }
    }

    /// What is delivered now can be made safe, as far as is known.
    fn is_able(&self, durability: Durability) -> bool {
        let posts = self.failing.is_none_or(|since| since.elapsed() < HICCUP);
        posts || (durability != Durability::Store && self.segment.is_some())
    }
}

impl Journal {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did so between two lines.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the file and the store what they can have now: lines that nobody waited for are written,
    /// a file is made where there is none. Says anew whether what is delivered can be made safe.
    pub(super) fn tend(&self, failing: bool) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let lines = state.lines;
        state.write_down(lines);
        state.turn(&self.0.folder);
        state.failing = failing.then(|| state.failing.unwrap_or_else(Instant::now));
        let able = state.is_able(self.0.durability);
        if self.0.able.swap(able, Ordering::AcqRel) != able {
            if able {
                tracing::info!("what is delivered can be written down again");
            } else {
                tracing::error!("what is delivered cannot be written down: requests are refused");
            }
        }
        state
    }

    /// Whether what is delivered now can be made safe, as far as is known. Where it cannot, nothing
    /// should be asked of a provider.
    #[must_use]
    pub fn is_able(&self) -> bool {
        self.0.able.load(Ordering::Acquire)
    }

    /// Writes a settlement down.
    pub(super) fn append(&self, settlement: &Settlement) -> SafePoint {
        let mut line = Vec::with_capacity(640);
        settlement.write(&mut line);
        let mut state = self.state();
        state.push(settlement, &line);
        state.turn(&self.0.folder);
        let lines = state.lines;
        drop(state);
        self.0.appended.notify_one();
        match self.0.durability {
            Durability::Process => SafePoint::Written(lines),
            Durability::Power => {
                self.0.unsynced.notify_one();
                SafePoint::Synced(lines)
            }
            Durability::Store => SafePoint::Posted(lines),
        }
    }

    /// Waits until a line is safe, but not longer than `patience`. Whether it is.
    pub(super) async fn safe(&self, place: SafePoint, patience: Duration) -> bool {
        // Mostly there is nothing to wait for, and no timer to be made.
        if let SafePoint::Written(lines) = place {
            // Whatever else this worker is about to settle goes with it.
            tokio::task::yield_now().await;
            if self.state().write_down(lines) {
                return true;
            }
        }
        tokio::time::timeout(patience, self.reached(place)).await.is_ok()
    }

    async fn reached(&self, place: SafePoint) {
        let lines = match place {
            SafePoint::Written(lines) => lines,
            SafePoint::Synced(lines) => {
                // The sender lives as long as we do.
                let mut synced = self.0.synced.subscribe();
                let _closed = synced.wait_for(|seen| *seen >= lines).await;
                if lines > self.state().refused {
                    return;
                }
                lines
            }
            SafePoint::Posted(lines) => lines,
        };
        // No file is to be relied on: the store has to do.
        self.0.hurry.notify_one();
        let mut posted = self.0.posted.subscribe();
        let _closed = posted.wait_for(|seen| *seen >= lines).await;
    }

    /// Waits until all that has been appended is in the store, but not for ever.
    pub async fn flush(&self, patience: Duration) -> bool {
        let lines = self.state().lines;
        if *self.0.posted.borrow() >= lines {
            return true;
        }
        self.safe(SafePoint::Posted(lines), patience).await
    }

    /// Lines that are not in the store yet.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        let lines = self.state().lines;
        lines.saturating_sub(*self.0.posted.borrow())
    }

    /// For how long the oldest line that is not in the store has been waiting.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let state = self.state();
        let waiting = state.waiting.front().map(|next| next.since);
        state.being_posted.or(waiting).map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Posts the last page and leaves nothing behind, if the store lets it.
    pub async fn close(&self, patience: Duration) {
        if self.flush(patience).await {
            let mut state = self.state();
            let (lines, segment) = (state.lines, state.segment.take());
            if *self.0.posted.borrow() >= lines
                && let Some(segment) = segment
            {
                remove(&segment.path);
            }
        }
    }
}
