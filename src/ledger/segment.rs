//! A file of the journal: settlements line by line, and a lock that says whose it is. The lock is
//! the operating system's, so it ends with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Settlement;

const ENDING: &str = "journal";
/// A new file must have room for so many bytes. What is tried with less would be refused at once.
const ROOM: usize = 64 << 10;

/// The file that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub name: Arc<str>,
    pub path: PathBuf,
    pub file: Arc<File>,
    pub lines: u64,
    pub bytes: u64,
    /// Lines that the file does not have yet, at its end.
    pending: Vec<u8>,
}

/// Whether an error of a disk may pass by itself: it is full, or does not take writes.
pub(super) fn passes(why: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(why.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

impl Segment {
    /// A new file, locked.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let name: Arc<str> = uuid::Uuid::now_v7().simple().to_string().into();
        let path = folder.join(format!("{name}.{ENDING}"));
        // Under another name until it is locked: nobody must take it for left behind.
        let unlocked = path.with_extension("new");
        let file = OpenOptions::new().create_new(true).read(true).append(true).open(&unlocked)?;
        let made = file.lock().and_then(|()| has_room(&file));
        if let Err(why) = made.and_then(|()| std::fs::rename(&unlocked, &path)) {
            let _left_behind = std::fs::remove_file(&unlocked);
            return Err(why);
        }
        Ok(Self { name, path, file: Arc::new(file), lines: 0, bytes: 0, pending: Vec::new() })
    }

    /// Adds a line, to be written with the next ones.
    pub fn add(&mut self, line: &[u8]) {
        self.pending.extend_from_slice(line);
        self.bytes += line.len() as u64;
        self.lines += 1;
    }

    /// No line is in the file.
    pub fn is_empty(&self) -> bool {
        self.bytes == self.pending.len() as u64
    }

    /// Writes what is pending: all of it or nothing. From here on it survives the process, though
    /// not the machine.
    pub fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(why) = (&*self.file).write_all(&self.pending) {
            // A part of it may be there: the next line must not stand behind it.
            self.file.set_len(self.bytes - self.pending.len() as u64)?;
            return Err(why);
        }
        self.pending.clear();
        Ok(())
    }
}

/// Whether the disk takes anything at all: an empty file can be made on a full one.
fn has_room(mut file: &File) -> io::Result<()> {
    file.write_all(&vec![0; ROOM])?;
    file.set_len(0)
}

/// A file that some process left behind, now ours.
#[derive(Debug)]
pub(super) struct Orphan {
    pub name: Arc<str>,
    pub path: PathBuf,
    file: File,
}

/// Files in `folder` that no living process has locked.
pub(super) fn orphans(folder: &Path) -> io::Result<Vec<Orphan>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).map(Arc::from) else {
            continue;
        };
        // It may have gone meanwhile, with whoever posted it.
        let Ok(file) = File::open(&path) else { continue };
        match file.try_lock() {
            Ok(()) => found.push(Orphan { name, path, file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(why)) => return Err(why),
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

impl Orphan {
    /// What is in it, and whether something of it cannot be read. A last line that was cut off was
    /// never acknowledged, and is left out.
    pub fn read(&mut self) -> io::Result<(Vec<Settlement>, bool)> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let mut all = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            match Settlement::read(whole) {
                Ok(one) => all.push(one),
                Err(why) => {
                    // Only a failing disk changes a line in the middle.
                    tracing::error!(segment = %self.name, line = all.len(), %why, "the journal is damaged");
                    return Ok((all, true));
                }
            }
        }
        Ok((all, false))
    }

    /// All of it that can be is posted. What is damaged stays, under another name, for people.
    pub fn done(self, damaged: bool) -> io::Result<()> {
        if damaged {
            return std::fs::rename(&self.path, self.path.with_extension("damaged"));
        }
        std::fs::remove_file(&self.path)
    }
}

/// A part of the file that is being written, read back.
pub(super) fn read_back(path: &Path, offset: u64, length: u64) -> io::Result<Vec<Settlement>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Settlement::read(line).map_err(io::Error::other))
        .collect()
}

/// Takes away a file of which all lines are posted.
pub(super) fn remove(path: &Path) {
    if let Err(why) = std::fs::remove_file(path) {
        // It is posted: the next process finds nothing new in it.
        tracing::warn!(%why, "a posted file of the journal cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::super::settlement::tests::settlement;
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("optimux-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_a_process_leaves_is_read_up_to_where_it_was_cut() {
        let folder = folder("segment");
        let mut segment = Segment::create(&folder).unwrap();
        for number in 0..3 {
            let mut line = Vec::new();
            settlement(number).write(&mut line);
            segment.add(&line);
            segment.write().unwrap();
        }
        assert!(orphans(&folder).unwrap().is_empty(), "it is locked");
        (&*segment.file).write_all(b"0123abcd {\"id\":").unwrap();
        let path = segment.path.clone();
        drop(segment);
        let mut found = orphans(&folder).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, path);
        let (read, damaged) = found[0].read().unwrap();
        assert_eq!(read, (0..3).map(settlement).collect::<Vec<_>>());
        assert!(!damaged, "it was only cut");
        found.remove(0).done(damaged).unwrap();
        assert!(!path.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_damaged_is_kept() {
        let folder = folder("damaged");
        let mut segment = Segment::create(&folder).unwrap();
        for number in 0..3 {
            let mut line = Vec::new();
            settlement(number).write(&mut line);
            if number == 1 {
                line[40] ^= 1;
            }
            segment.add(&line);
        }
        segment.write().unwrap();
        drop(segment);
        let mut orphan = orphans(&folder).unwrap().remove(0);
        let (read, damaged) = orphan.read().unwrap();
        assert_eq!((read.len(), damaged), (1, true));
        let kept = orphan.path.with_extension("damaged");
        orphan.done(damaged).unwrap();
        assert!(kept.exists() && orphans(&folder).unwrap().is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_part_is_read_back() {
        let folder = folder("part");
        let mut segment = Segment::create(&folder).unwrap();
        let mut offsets = vec![0];
        for number in 0..3 {
            let mut line = Vec::new();
            settlement(number).write(&mut line);
            segment.add(&line);
            segment.write().unwrap();
            offsets.push(segment.bytes);
        }
        let read = read_back(&segment.path, offsets[1], offsets[3] - offsets[1]).unwrap();
        assert_eq!(read, vec![settlement(1), settlement(2)]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
