//! Keeps what the router read of requests of `auto`, for replays: numbers in a file of the node, a line a
//! request. Off unless the configuration names a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::router::RequestFeatures;

/// Lines that may wait for the disk; what is beyond is not kept.
const WAITING: usize = 1_024;
/// A file that is larger is put aside as `FILE.1`, in the place of the one before.
const LARGEST_BYTES: u64 = 64 << 20;
/// A line is shorter, mostly.
const LINE_BYTES: usize = 3_000;

/// Where features go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    to: SyncSender<Box<RequestFeatures>>,
    path: Arc<Path>,
}

impl Recorder {
    /// Opens the file, and a thread that writes to it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let kept: Arc<Path> = path.as_path().into();
        let file = Growing::open(path)?;
        let (sender, receiver) = sync_channel(WAITING);
        // It ends when the last sender is gone.
        std::thread::Builder::new().name("features".to_owned()).spawn(move || {
            if let Err(why) = write(file, &receiver) {
                tracing::error!(%why, "features of requests cannot be kept any more");
            }
        })?;
        Ok(Self { to: sender, path: kept })
    }

    /// Keeps one, if there is room.
    pub fn keep(&self, features: Box<RequestFeatures>) {
        if self.to.try_send(features).is_err() {
            tracing::debug!("features of a request were not kept: too many wait");
        }
    }
}

impl Recorder {
    /// The newest that are kept in this node's file, oldest first, at most so many. What cannot be read is
    /// left out.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<RequestFeatures> {
        let end = tail(&self.path, most.saturating_mul(LINE_BYTES) as u64).unwrap_or_default();
        let lines: Vec<&str> = end.lines().collect();
        let newest = lines.get(lines.len().saturating_sub(most)..).unwrap_or_default();
        newest.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// The last so many bytes of a file, from the first line that is whole.
fn tail(path: &Path, most: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let cut = length > most;
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let whole = end.split_once('\n').filter(|_| cut).map_or(&*end, |(_, whole)| whole);
    Ok(whole.to_owned())
}

/// A file that is put aside when it has grown.
struct Growing {
    path: PathBuf,
    out: BufWriter<File>,
    bytes: u64,
}

impl Growing {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, out: BufWriter::new(file), bytes })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes > LARGEST_BYTES {
            self.out.flush()?;
            std::fs::rename(&self.path, aside(&self.path))?;
            *self = Self::open(std::mem::take(&mut self.path))?;
        }
        self.out.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

fn write(mut file: Growing, receiver: &Receiver<Box<RequestFeatures>>) -> io::Result<()> {
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        while let Some(features) = next {
            if let Ok(mut line) = serde_json::to_vec(&features) {
                line.push(b'\n');
                file.line(&line)?;
            }
            next = receiver.try_recv().ok();
        }
        file.out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_file_begins_with_a_whole_line() {
        let folder = std::env::temp_dir().join(format!("optimux-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("features.jsonl");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&path, 100).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(tail(&path, 9).unwrap(), "three\n");
        assert!(tail(&folder.join("none"), 9).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_has_grown_is_put_aside() {
        let folder = std::env::temp_dir().join(format!("optimux-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("features.jsonl");
        let mut file = Growing::open(path.clone()).unwrap();
        file.line(b"one\n").unwrap();
        file.bytes = LARGEST_BYTES + 1;
        file.line(b"two\n").unwrap();
        file.out.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(std::fs::read_to_string(aside(&path)).unwrap(), "one\n");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
