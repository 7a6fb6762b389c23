//! Where a node listens, as it is written.

use std::path::{Path, PathBuf};

/// What a socket in the file system is written with before its path.
const SOCKET: &str = "unix:";

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port: `0.0.0.0:8080`, `[::]:8080`.
    Address(String),
    /// A socket in the file system: `unix:/run/optimux/http.sock`.
    Socket(PathBuf),
}

impl Listen {
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.strip_prefix(SOCKET) {
            Some(path) => Self::Socket(Path::new(path).to_owned()),
            None => Self::Address(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_an_address() {
        for path in ["unix:/run/a.sock", "unix:///run/a.sock"] {
            assert_eq!(Listen::of(path), Listen::Socket("/run/a.sock".into()), "{path}");
        }
        for address in ["0.0.0.0:8080", "[::]:8080", "localhost:80", "unix.example:80"] {
            assert_eq!(Listen::of(address), Listen::Address(address.to_owned()));
        }
    }
}
