//! What the operating system says of this process.

use std::fs;

/// Ticks of the processor's time in a second, as Linux tells them to all programs (`USER_HZ`).
const TICKS: f64 = 100.0;

/// How much the process has of the machine. What the system does not tell is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    pub resident_bytes: u64,
    pub cpu_seconds: f64,
    pub open_files: u64,
    pub most_open_files: u64,
    pub threads: u64,
}

impl Process {
    /// Reads `/proc/self`.
    #[must_use]
    pub fn read() -> Self {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let mut process = Self::of(&read("status"), &read("stat"), &read("limits"));
        process.open_files = fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64);
        process
    }

    fn of(status: &str, stat: &str, limits: &str) -> Self {
        let status = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // What follows the name, which may hold blanks; see proc_pid_stat(5).
        let fields = || stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = |place| fields().nth(place).and_then(|field| field.parse::<f64>().ok());
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let most = files.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self {
            resident_bytes: status("VmRSS:").unwrap_or(0).saturating_mul(1_024),
            threads: status("Threads:").unwrap_or(0),
            cpu_seconds: (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS,
            open_files: 0,
            most_open_files: most.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read_right() {
        let status = "Name:\toptimux\nVmRSS:\t   2048 kB\nThreads:\t7\n";
        let stat = "9 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   4096   files\n";
        let process = Process::of(status, stat, limits);
        assert_eq!((process.resident_bytes, process.threads), (2 << 20, 7));
        assert!((process.cpu_seconds - 2.0).abs() < 1e-9, "{process:?}");
        assert_eq!(process.most_open_files, 1_024);
        let own = Process::read();
        assert!(own.resident_bytes > 1 << 20 && own.open_files > 2, "{own:?}");
    }
}
