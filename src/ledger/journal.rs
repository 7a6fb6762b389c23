//! The journal: settlements written to a file of this node at once, and posted to the store a page
//! at a time, behind the requests' backs.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::posting::{adopting, post_leftovers, posting, remove, syncing};
use super::segment::Segment;
use super::{Page, Settlement};
use crate::store::{AllowanceOf, Store, StoreError};

/// Lines of one transaction, at most.
pub(super) const PAGE_LINES: u64 = 4_000;
/// A file larger than this is closed, and goes once it is posted.
const SEGMENT_BYTES: u64 = 32 << 20;
/// After no file could be made.
const NEXT_TRY: Duration = Duration::from_secs(1);
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

/// What `append` gives: says how far things have to come for the line to be safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a settlement counts once its receipt says so"]
pub struct Receipt(Safe);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Safe {
    Now,
    /// Once so many lines are in the file.
    Written(u64),
    /// Once so many lines are on the disk.
    Synced(u64),
    /// Once so many lines are in the store.
    Posted(u64),
}

impl Receipt {
    /// Nothing to wait for.
    pub fn safe() -> Self {
        Self(Safe::Now)
    }

    #[must_use]
    pub fn is_safe(self) -> bool {
        self.0 == Safe::Now
    }
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
    pub synced: watch::Sender<u64>,
    pub posted: watch::Sender<u64>,
}

pub(super) struct State {
    /// `None` where no file can be written: lines then are safe once the store has them.
    pub segment: Option<Segment>,
    /// The segment's name when there is no file.
    pub nameless: Arc<str>,
    pub nameless_lines: u64,
    pub waiting: VecDeque<Waiting>,
    pub waiting_lines: usize,
    /// Lines ever appended by this process.
    pub lines: u64,
    /// So many of them are in a file.
    pub written: u64,
    /// No new file is tried for before.
    again_at: Option<Instant>,
    /// So many of them no file took: the store has to do for these.
    pub refused: u64,
    /// Files that are full, with the number of the line after their last.
    pub full: Vec<(PathBuf, u64)>,
}

/// Lines in a row of one segment, not yet posted.
pub(super) struct Waiting {
    /// How many lines this process had appended before.
    pub before: u64,
    pub lines: Lines,
}

pub(super) enum Lines {
    Here(Box<Page>),
    /// In the file, where memory would have run over.
    InFile(Stretch),
}

/// A part of a file.
pub(super) struct Stretch {
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
                let stretch = Stretch { segment, first_line, path, offset, bytes, count: 1 };
                self.waiting.push_back(Waiting { before, lines: Lines::InFile(stretch) });
            }
            (Some(Lines::Here(page)), None) if page.lines < PAGE_LINES => {
                page.add(settlement, line);
            }
            (_, None) => {
                let mut page = Page::new(segment, first_line);
                page.add(settlement, line);
                self.waiting.push_back(Waiting { before, lines: Lines::Here(Box::new(page)) });
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
                    self.refused = self.lines;
                    // Its pages end here; what comes goes by another name.
                    if let Some(segment) = self.segment.take() {
                        self.full.push((segment.path, self.lines));
                    }
                    self.nameless = uuid::Uuid::now_v7().simple().to_string().into();
                    self.nameless_lines = 0;
                }
                None => self.refused = self.lines,
            }
            self.written = self.lines;
        }
        lines > self.refused
    }

    /// Goes on in another file when this one is large.
    fn turn(&mut self, folder: &Path) {
        let large = self.segment.as_ref().is_none_or(|segment| segment.bytes > SEGMENT_BYTES);
        if !large || self.again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let lines = self.lines;
        self.write_down(lines);
        match Segment::create(folder) {
            Ok(fresh) => {
                if let Some(old) = self.segment.replace(fresh) {
                    self.full.push((old.path, self.lines));
                }
            }
            Err(why) => {
                tracing::error!(%why, "the journal cannot go on in another file");
                self.again_at = Some(Instant::now() + NEXT_TRY);
            }
        }
    }
}

impl Journal {
    /// Posts what earlier processes left in `folder`, then starts a file of its own there.
    ///
    /// # Errors
    /// When the folder cannot be used, or what is in it cannot be posted.
    pub async fn open(
        folder: PathBuf,
        durability: Durability,
        store: Store,
        allowance_of: AllowanceOf,
    ) -> Result<Self, JournalError> {
        let unusable = |why| JournalError::Folder { folder: folder.clone(), why };
        std::fs::create_dir_all(&folder).map_err(unusable)?;
        post_leftovers(&folder, &store, &allowance_of).await?;
        let segment = Segment::create(&folder).map_err(unusable)?;
        let state = State {
            nameless: Arc::clone(&segment.name),
            segment: Some(segment),
            nameless_lines: 0,
            waiting: VecDeque::new(),
            waiting_lines: 0,
            lines: 0,
            written: 0,
            refused: 0,
            again_at: None,
            full: Vec::new(),
        };
        let journal = Self(Arc::new(Inner {
            folder,
            durability,
            store,
            allowance_of,
            state: Mutex::new(state),
            appended: Notify::new(),
            unsynced: Notify::new(),
            hurry: Notify::new(),
            synced: watch::Sender::new(0),
            posted: watch::Sender::new(0),
        }));
        // They end with the process; `close` waits for the last page.
        tokio::spawn(posting(journal.clone()));
        tokio::spawn(adopting(journal.clone()));
        if durability == Durability::Power {
            tokio::spawn(syncing(journal.clone()));
        }
        Ok(journal)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did so between two lines.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a settlement down.
    pub fn append(&self, settlement: &Settlement) -> Receipt {
        let mut line = Vec::with_capacity(640);
        settlement.write(&mut line);
        let mut state = self.state();
        state.push(settlement, &line);
        state.turn(&self.0.folder);
        let lines = state.lines;
        drop(state);
        self.0.appended.notify_one();
        match self.0.durability {
            Durability::Process => Receipt(Safe::Written(lines)),
            Durability::Power => {
                self.0.unsynced.notify_one();
                Receipt(Safe::Synced(lines))
            }
            Durability::Store => Receipt(Safe::Posted(lines)),
        }
    }

    /// Waits until what the receipt is for is safe.
    pub async fn safe(&self, receipt: Receipt) {
        let (mut seen, lines) = match receipt.0 {
            Safe::Now => return,
            Safe::Written(lines) => {
                // Whatever else this worker is about to settle goes with it.
                tokio::task::yield_now().await;
                if self.state().write_down(lines) {
                    return;
                }
                (self.0.posted.subscribe(), lines)
            }
            Safe::Synced(lines) => (self.0.synced.subscribe(), lines),
            Safe::Posted(lines) => {
                self.0.hurry.notify_one();
                (self.0.posted.subscribe(), lines)
            }
        };
        // The sender lives as long as we do.
        let _closed = seen.wait_for(|seen| *seen >= lines).await;
    }

    /// Waits until all that has been appended is in the store, but not for ever.
    pub async fn flush(&self, patience: Duration) -> bool {
        let lines = self.state().lines;
        if *self.0.posted.borrow() >= lines {
            return true;
        }
        tokio::time::timeout(patience, self.safe(Receipt(Safe::Posted(lines)))).await.is_ok()
    }

    /// Lines that are not in the store yet.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        let lines = self.state().lines;
        lines.saturating_sub(*self.0.posted.borrow())
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
