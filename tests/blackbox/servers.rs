//! Private Redis and PostgreSQL servers on free ports.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::house::eventually;

/// A private Redis server without a memory of its own, gone when dropped.
pub struct Redis {
    pub url: String,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|found| found.success()) {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { url: format!("redis://127.0.0.1:{port}"), port, child: None };
        server.start_again();
        Some(server)
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn start_again(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--bind", "127.0.0.1"])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("Redis answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A private PostgreSQL server, gone when dropped.
pub struct Postgres {
    pub url: String,
    folder: PathBuf,
    tools: PathBuf,
    port: u16,
    child: Child,
}

/// PostgreSQL refuses to run as root.
fn run(tools: &Path, tool: &str) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(tools.join(tool));
        command
    } else {
        Command::new(tools.join(tool))
    };
    command.current_dir("/tmp").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Postgres {
    /// `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let tools = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .chain(std::env::split_paths(&std::env::var_os("PATH")?))
            .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())?;
        let folder = std::env::temp_dir().join(format!("optimux-pg-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            let done = Command::new("chown").arg("postgres").arg(&folder).status().unwrap();
            assert!(done.success());
        }
        let data = folder.join("data");
        let made = run(&tools, "initdb")
            .args(["-U", "optimux", "-A", "trust", "-N", "-D"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success(), "initdb");
        let url = format!("postgres://optimux@127.0.0.1:{port}/postgres");
        let child = Self::spawn(&tools, &folder, port);
        let server = Self { url, folder, tools, port, child };
        server.is_there();
        Some(server)
    }

    fn spawn(tools: &Path, folder: &Path, port: u16) -> Child {
        run(tools, "postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-k",
            ])
            .arg(folder)
            .spawn()
            .unwrap()
    }

    fn is_there(&self) {
        eventually("PostgreSQL answers", || {
            run(&self.tools, "psql")
                .args([&self.url, "-c", "SELECT 1"])
                .status()
                .is_ok_and(|done| done.success())
        });
    }

    /// Ends it at once, with all that it has not written down.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        let sent = Command::new("kill").args(["-KILL", pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        // Its children may need a moment to see that it is gone, and it will not start before.
        eventually("PostgreSQL starts again", || {
            self.child = Self::spawn(&self.tools, &self.folder, self.port);
            let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
            while std::time::Instant::now() < until && self.child.try_wait().unwrap().is_none() {
                let asked = run(&self.tools, "psql").args([&self.url, "-c", "SELECT 1"]).status();
                if asked.is_ok_and(|done| done.success()) {
                    return true;
                }
            }
            false
        });
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // runuser passes the signal on.
        let _stopped = Command::new("kill").arg(self.child.id().to_string()).status();
        let _reaped = self.child.wait();
        let _cleared = std::fs::remove_dir_all(&self.folder);
    }
}

/// A disk of its own, small enough to fill, gone when dropped.
pub struct SmallDisk {
    pub folder: PathBuf,
}

impl SmallDisk {
    /// `None` where nothing can be mounted: only root may.
    pub fn mount(name: &str, bytes: u64) -> Option<Self> {
        let folder =
            std::env::temp_dir().join(format!("optimux-disk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={bytes}");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status();
        if done.is_ok_and(|done| done.success()) {
            return Some(Self { folder });
        }
        std::fs::remove_dir(&folder).unwrap();
        None
    }

    /// Takes all that is left of it.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file =
            std::fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        // To the last byte: what is smaller than a block may still fit.
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Gives back what was taken.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.folder).status();
        let _cleared = std::fs::remove_dir(&self.folder);
    }
}
