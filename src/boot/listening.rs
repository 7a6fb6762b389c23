//! Where requests come in: an address with a port, or a socket in the file system.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::config::Listen;

/// Who may connect to a socket: its owner and its group.
const MODE: u32 = 0o660;

/// Something that is listened at.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What is to be removed from the file system when nobody listens any more.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// What tells it from one that another process has put in its place.
    mark: Mark,
}

/// A file's number, which may be given again, and when it was last changed.
type Mark = (u64, i64, i64);

fn mark(path: &Path) -> io::Result<Mark> {
    let there = std::fs::symlink_metadata(path)?;
    Ok((there.ino(), there.ctime(), there.ctime_nsec()))
}

/// Where a node is, as others are told.
#[derive(Debug, Clone)]
pub(super) enum NodeAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Begins to listen.
///
/// # Errors
/// When somebody else listens there, or it is no place to listen at.
pub(super) fn bind(at: &str) -> io::Result<(Listener, Option<SocketFile>)> {
    match Listen::of(at) {
        Listen::Address(address) => Ok((Listener::Tcp(TcpListener::bind(address)?), None)),
        Listen::Socket(path) => {
            clear(&path)?;
            let listener = UnixListener::bind(&path)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(MODE))?;
            let mark = mark(&path)?;
            Ok((Listener::Unix(listener), Some(SocketFile { path, mark })))
        }
    }
}

/// Takes away a socket that a process has left behind which is gone. Nothing else is ever removed.
fn clear(path: &Path) -> io::Result<()> {
    let there = match std::fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(why),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there")),
        Err(why) if why.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(why) => Err(why),
    }
}

impl Listener {
    /// Where it is.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn place(&self) -> io::Result<NodeAddress> {
        match self {
            Self::Tcp(listener) => Ok(NodeAddress::Tcp(listener.local_addr()?)),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(NodeAddress::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = mark(&self.path).is_ok_and(|now| now == self.mark);
        if ours && let Err(why) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %why, "the socket cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_nobody_listens_at_is_taken_over_and_a_file_never() {
        let folder = std::env::temp_dir().join(format!("optimux-socket-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.sock");
        let at = format!("unix:{}", path.display());
        let (first, file) = bind(&at).unwrap();
        assert_eq!(first.place().unwrap().to_string(), at);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(bind(&at).unwrap_err().kind(), ErrorKind::AddrInUse);
        // As after a kill: the file is there, and nobody behind it.
        drop(first);
        let (_second, second_file) = bind(&at).unwrap();
        // Whoever was there before takes away nothing of another's.
        drop(file);
        assert!(path.exists());
        drop(second_file);
        assert!(!path.exists());
        std::fs::write(&path, "words").unwrap();
        assert_eq!(bind(&at).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "words");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
