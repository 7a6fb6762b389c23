//! From the journal to the store, a page at a time, behind the requests' backs; and from the files
//! that other processes have left.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::journal::{
    Closed, Durability, Inner, Journal, JournalError, Lines, NEXT_TRY, PAGE_LINES, State,
};
use super::segment::{Segment, orphans, read_back, remove};
use super::{JournalPage, Settlement};
use crate::store::{AllowanceOf, Store};

/// A page is given so long to fill, unless somebody waits for what is on it.
const GATHERING: Duration = Duration::from_secs(1);
/// After the store has failed.
const RETRY: Duration = Duration::from_millis(250);
/// How often files of processes that are gone are looked for.
const ADOPTION: Duration = Duration::from_secs(2);

/// The pages of lines that were read back.
fn pages(segment: &Arc<str>, first_line: u64, settlements: &[Settlement]) -> Vec<JournalPage> {
    let mut pages: Vec<JournalPage> = Vec::new();
    for (number, one) in (first_line..).zip(settlements) {
        let mut line = Vec::new();
        one.write(&mut line);
        match pages.last_mut().filter(|page| page.lines < PAGE_LINES) {
            Some(page) => page.add(one, &line),
            None => {
                let mut page = JournalPage::new(Arc::clone(segment), number);
                page.add(one, &line);
                pages.push(page);
            }
        }
    }
    pages
}

/// Posts a page, however long it takes.
async fn post(journal: &Journal, page: JournalPage) {
    let Inner { store, allowance_of, .. } = &*journal.0;
    let posted = page.posted();
    while let Err(why) = store.post_page(&posted, allowance_of).await {
        tracing::error!(%why, lines = posted.row.lines, "a page cannot be posted yet");
        drop(journal.tend(true));
        tokio::time::sleep(RETRY).await;
    }
}

/// Posts what is waiting, in order, for ever.
async fn posting(journal: Journal) {
    let inner = &journal.0;
    loop {
        let (next, filed) = {
            let mut state = journal.tend(false);
            let next = state.waiting.pop_front();
            state.being_posted = next.as_ref().map(|next| next.since);
            (next, state.segment.is_some())
        };
        let Some(next) = next else {
            if filed {
                inner.appended.notified().await;
            } else {
                // A file is tried for again, whether anything comes or not.
                let _either = tokio::time::timeout(NEXT_TRY, inner.appended.notified()).await;
            }
            continue;
        };
        let (before, count) = (next.before, next.lines.count());
        match next.lines {
            Lines::Here(page) => post(&journal, *page).await,
            Lines::InFile(stretch) => {
                let settlements = loop {
                    match read_back(&stretch.path, stretch.offset, stretch.bytes) {
                        Ok(all) => break all,
                        Err(why) => {
                            tracing::error!(%why, "the journal cannot be read back yet");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                };
                for page in pages(&stretch.segment, stretch.first_line, &settlements) {
                    post(&journal, page).await;
                }
            }
        }
        let posted = before + count;
        let done = {
            let mut state = journal.state();
            state.waiting_lines =
                state.waiting_lines.saturating_sub(usize::try_from(count).unwrap_or(0));
            state.being_posted = None;
            let (done, rest): (Vec<Closed>, Vec<Closed>) =
                state.closed.drain(..).partition(|closed| closed.end <= posted);
            state.closed = rest;
            done
        };
        for closed in &done {
            // Before its lock goes with it.
            remove(&closed.path);
        }
        inner.posted.send_replace(posted);
        let next = journal.state().waiting.front().map(|next| next.lines.count());
        if next.is_none_or(|count| count < PAGE_LINES) {
            // Fewer, larger pages cost less: more lines may come. Whoever waits is not kept.
            let _either = tokio::time::timeout(GATHERING, inner.hurry.notified()).await;
        }
    }
}

/// What the disk has to take for all lines so far to be safe.
struct Unsynced {
    lines: u64,
    /// Closed ones first, then the one that is written to.
    files: Vec<Arc<File>>,
    current: Option<Arc<File>>,
}

fn unsynced(journal: &Journal) -> Unsynced {
    let mut state = journal.state();
    let lines = state.lines;
    state.write_down(lines);
    let current = state.segment.as_ref().map(|segment| Arc::clone(&segment.file));
    let closed = state.closed.iter_mut().filter(|closed| closed.unsynced);
    let files = closed
        .map(|closed| {
            closed.unsynced = false;
            Arc::clone(&closed.file)
        })
        .chain(current.clone())
        .collect();
    Unsynced { lines, files, current }
}

/// Has the disk take what is written, for many lines at once. What no file took is passed over:
/// whoever waits for it goes by the store.
async fn syncing(journal: Journal) {
    let mut synced = 0;
    // The file whose name the folder is known to hold on the disk.
    let mut named: Option<Arc<File>> = None;
    loop {
        let Unsynced { lines, files, current } = unsynced(&journal);
        if lines == synced {
            journal.0.unsynced.notified().await;
            continue;
        }
        let is_new = match (&current, &named) {
            (Some(current), Some(named)) => !Arc::ptr_eq(current, named),
            (current, _) => current.is_some(),
        };
        let folder = is_new.then(|| journal.0.folder.clone());
        let done = tokio::task::spawn_blocking(move || {
            for file in files {
                file.sync_data()?;
            }
            // A file that no folder names is not found after the power was gone.
            folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        })
        .await;
        match done {
            Ok(Ok(())) => named = current,
            Ok(Err(why)) => {
                // What the disk did not take once, it may drop while it says that all is well.
                tracing::error!(%why, "the disk does not take the journal: the store has to do");
                journal.state().give_up();
                named = None;
            }
            // The runtime ends.
            Err(_) => return,
        }
        synced = lines;
        journal.0.synced.send_replace(lines);
    }
}

/// Looks for files of processes that are gone.
async fn adopting(journal: Journal) {
    loop {
        tokio::time::sleep(ADOPTION).await;
        let Inner { folder, store, allowance_of, .. } = &*journal.0;
        if !folder.is_dir() {
            continue;
        }
        if let Err(why) = post_leftovers(folder, store, allowance_of).await {
            tracing::error!(%why, "what another process left in the journal is not posted yet");
        }
    }
}

impl Journal {
    /// Posts what earlier processes left in `folder`, then starts a file of its own there. Where the
    /// disk is full or the store away, both are tried again as long as the process runs.
    ///
    /// # Errors
    /// When the folder cannot be used, or what is in it cannot be posted, and waiting does not help.
    pub async fn open(
        folder: PathBuf,
        durability: Durability,
        store: Store,
        allowance_of: AllowanceOf,
    ) -> Result<Self, JournalError> {
        let unusable = |why| JournalError::Folder { folder: folder.clone(), why };
        std::fs::create_dir_all(&folder).map_err(unusable).or_else(JournalError::put_off)?;
        if folder.is_dir() {
            let posted = post_leftovers(&folder, &store, &allowance_of).await;
            posted.or_else(JournalError::put_off)?;
        }
        let made = Segment::create(&folder).map_err(unusable).map(Some);
        let segment = made.or_else(JournalError::put_off)?;
        let state = State::new(segment);
        let journal = Self(Arc::new(Inner {
            folder,
            durability,
            store,
            allowance_of,
            state: Mutex::new(state),
            appended: Notify::new(),
            unsynced: Notify::new(),
            hurry: Notify::new(),
            able: AtomicBool::new(true),
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
}

/// Posts what processes that are gone have left in `folder`.
///
/// # Errors
/// When the folder or the store cannot be used.
pub async fn post_leftovers(
    folder: &Path,
    store: &Store,
    allowance_of: &AllowanceOf,
) -> Result<(), JournalError> {
    let unusable = |why| JournalError::Folder { folder: folder.to_owned(), why };
    for mut orphan in orphans(folder).map_err(unusable)? {
        let (settlements, damaged) = orphan.read().map_err(unusable)?;
        let posted = store.posted_lines(orphan.name.to_string()).await?;
        let start = usize::try_from(posted).unwrap_or(usize::MAX).min(settlements.len());
        let rest = settlements.get(start..).unwrap_or_default();
        for page in pages(&orphan.name, posted, rest) {
            store.post_page(&page.posted(), allowance_of).await?;
        }
        let found = rest.len();
        if found > 0 {
            tracing::warn!(segment = %orphan.name, lines = found, "posted what a process had left in the journal");
        }
        orphan.done(damaged).map_err(unusable)?;
    }
    Ok(())
}
