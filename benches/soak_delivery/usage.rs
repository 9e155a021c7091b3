//! The memory, threads and sockets of this process.

use std::{fmt, fs};

/// Memory, threads and sockets, from Linux's `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Resident bytes.
    pub(crate) memory: usize,
    pub(crate) threads: usize,
    pub(crate) sockets: usize,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).expect("a number")
        };
        let files = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
        let is_socket = |file: &fs::DirEntry| {
            fs::read_link(file.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
        };
        Self { memory: number("VmRSS:") << 10, threads: number("Threads:"), sockets: files.filter(is_socket).count() }
    }

    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            threads: self.threads.max(other.threads),
            sockets: self.sockets.max(other.sockets),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.memory as f64 / f64::from(1 << 20);
        write!(f, "VmRSS {mib:6.1} MiB  threads {:2}  sockets {:3}", self.threads, self.sockets)
    }
}
