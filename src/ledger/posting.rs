//! From the journal to the store, a page at a time, behind the requests' backs; and from the files
//! that other processes have left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::journal::{Inner, Journal, JournalError, Lines, PAGE_LINES};
use super::segment::{orphans, read_back};
use super::{Page, Settlement};
use crate::store::{AllowanceOf, Store};

/// Under load a page is given so long to fill.
const GATHERING: Duration = Duration::from_millis(150);
/// After the store has failed.
const RETRY: Duration = Duration::from_millis(250);
/// How often files of processes that are gone are looked for.
const ADOPTION: Duration = Duration::from_secs(2);

pub(super) fn remove(path: &Path) {
    if let Err(why) = std::fs::remove_file(path) {
        // It is posted: the next process finds nothing new in it.
        tracing::warn!(%why, "a posted file of the journal cannot be removed");
    }
}

/// The pages of lines that were read back.
fn pages(segment: &Arc<str>, first_line: u64, settlements: &[Settlement]) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    for (number, one) in (first_line..).zip(settlements) {
        let mut line = Vec::new();
        one.write(&mut line);
        match pages.last_mut().filter(|page| page.lines < PAGE_LINES) {
            Some(page) => page.add(one, &line),
            None => {
                let mut page = Page::new(Arc::clone(segment), number);
                page.add(one, &line);
                pages.push(page);
            }
        }
    }
    pages
}

/// Posts a page, however long it takes.
async fn post(inner: &Inner, page: Page) {
    let posted = page.posted();
    while let Err(why) = inner.store.post_page(&posted, &inner.allowance_of).await {
        tracing::error!(%why, lines = posted.row.lines, "a page cannot be posted yet");
        tokio::time::sleep(RETRY).await;
    }
}

/// Posts what is waiting, in order, for ever.
pub(super) async fn posting(journal: Journal) {
    let inner = &journal.0;
    loop {
        let next = {
            let mut state = journal.state();
            // Those that nobody waited for.
            let lines = state.lines;
            state.write_down(lines);
            state.waiting.pop_front()
        };
        let Some(next) = next else {
            inner.appended.notified().await;
            continue;
        };
        let (before, count) = (next.before, next.lines.count());
        match next.lines {
            Lines::Here(page) => post(inner, *page).await,
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
                    post(inner, page).await;
                }
            }
        }
        let posted = before + count;
        let done: Vec<PathBuf> = {
            let mut state = journal.state();
            state.waiting_lines =
                state.waiting_lines.saturating_sub(usize::try_from(count).unwrap_or(0));
            let (done, full) = state.full.drain(..).partition(|(_, end)| *end <= posted);
            state.full = full;
            let done: Vec<(PathBuf, u64)> = done;
            done.into_iter().map(|(path, _)| path).collect()
        };
        for path in &done {
            remove(path);
        }
        inner.posted.send_replace(posted);
        let next = journal.state().waiting.front().map(|next| next.lines.count());
        if count > 1 && next.is_none_or(|count| count < PAGE_LINES) {
            // More are on their way: fewer, larger pages cost less. Whoever waits is not kept.
            let _either = tokio::time::timeout(GATHERING, inner.hurry.notified()).await;
        }
    }
}

/// Has the disk take what is written, for many lines at once.
pub(super) async fn syncing(journal: Journal) {
    let mut synced = 0;
    loop {
        let (file, lines) = {
            let mut state = journal.state();
            let lines = state.lines;
            state.write_down(lines);
            (state.segment.as_ref().map(|segment| Arc::clone(&segment.file)), state.lines)
        };
        if lines == synced {
            journal.0.unsynced.notified().await;
            continue;
        }
        let Some(file) = file else { continue };
        let done = tokio::task::spawn_blocking(move || file.sync_data()).await;
        match done {
            Ok(Ok(())) => {
                synced = lines;
                journal.0.synced.send_replace(lines);
            }
            Ok(Err(why)) => {
                tracing::error!(%why, "the disk does not take the journal");
                tokio::time::sleep(RETRY).await;
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}

/// Looks for files of processes that are gone.
pub(super) async fn adopting(journal: Journal) {
    loop {
        tokio::time::sleep(ADOPTION).await;
        let Inner { folder, store, allowance_of, .. } = &*journal.0;
        if let Err(why) = post_leftovers(folder, store, allowance_of).await {
            tracing::error!(%why, "what another process left in the journal is not posted yet");
        }
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
