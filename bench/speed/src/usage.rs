//! The CPU time and memory of processes, from /proc.

use std::{fs, io};

/// The length of a clock tick of /proc: Linux reports 100 in a second to programs, whatever its own rate.
pub const TICK_MICROSECONDS: f64 = 10_000.0;

/// The CPU time in clock ticks of a server and of its database.
#[derive(Clone, Copy, Default)]
pub struct Ticks {
    pub server: u64,
    pub database: u64,
}

/// The parent of a process, its CPU time, and that of its ended children.
fn times(pid: u32) -> io::Result<(u32, u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before it, in parentheses, can contain spaces.
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Ok((field(1) as u32, field(11) + field(12), field(13) + field(14)))
}

impl Ticks {
    /// Reads those of the process `server`, and of the PostgreSQL with this main process: it, the processes that it has
    /// started, and those that have ended.
    pub fn read(server: u32, postmaster: Option<u32>) -> io::Result<Self> {
        let (_, own, _) = times(server)?;
        let mut ticks = Self {
            server: own,
            database: 0,
        };
        if let Some(postmaster) = postmaster {
            let (_, own, ended) = times(postmaster)?;
            ticks.database = own + ended;
            for entry in fs::read_dir("/proc")? {
                let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                // A process can end meanwhile.
                if let Ok((parent, own, _)) = times(pid)
                    && parent == postmaster
                {
                    ticks.database += own;
                }
            }
        }
        Ok(ticks)
    }

    pub fn since(self, before: Self) -> Self {
        // A backend that ended between two looks at it is counted at the next reading.
        let database = self.database.saturating_sub(before.database);
        Self {
            server: self.server - before.server,
            database,
        }
    }
}

/// Forgets the peak of the memory of a process.
pub fn reset_peak(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// Returns the peak of the memory of a process in MiB.
pub fn peak(pid: u32) -> io::Result<f64> {
    memory(pid, "VmHWM:")
}

/// Returns the memory of a process in MiB.
pub fn resident(pid: u32) -> io::Result<f64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, name: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    Ok(kibibytes / 1024.0)
}
