//! Metrics of the process, under the names of Prometheus' client libraries. On Linux only, from `/proc`.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use super::gauge;

/// The unit of times in `/proc`, per second. The same on every Linux system that Rust's standard library supports.
const TICKS: f64 = 100.0;

/// Reads the state of the process at each collection. Unreadable values are omitted.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            let help = "User and system CPU time spent in seconds.";
            let name = "process_cpu_seconds";
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(seconds).encode(encoder)?;
        }
        let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
        let max_files = number_after(&limits, "Max open files");
        let start = start_time(&stat, &system);
        let (resident, virtual_memory) = (bytes(&status, "VmRSS:"), bytes(&status, "VmSize:"));
        let since_epoch = "Start time of the process since the Unix epoch in seconds.";
        let gauges = [
            ("process_start_time_seconds", since_epoch, start),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                resident,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                virtual_memory,
            ),
            ("process_open_fds", "Number of open file descriptors.", files),
            ("process_max_fds", "Maximum number of open file descriptors.", max_files),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                gauge(&mut encoder, name, help, value)?;
            }
        }
        Ok(())
    }
}

/// A field of `/proc/self/stat`, by its number in proc(5). The program's name, in parentheses, may contain spaces.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, from_third) = stat.rsplit_once(')')?;
    from_third.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start_time(stat: &str, system: &str) -> Option<f64> {
    Some(number_after(system, "btime")? + field(stat, 22)? / TICKS)
}

fn bytes(status: &str, name: &str) -> Option<f64> {
    number_after(status, name).map(|kilobytes| kilobytes * 1024.0)
}

/// The number after `name` at the start of a line.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{bytes, cpu_seconds, number_after, start_time};

    #[test]
    fn numbers_are_read_from_proc() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 5 0 0 0 150 50 0 0 20 0 4 0 12345 1 2 3\n";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(start_time(stat, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_123.45));
        assert_eq!(bytes("VmSize:\t  20 kB\nVmRSS:\t  10 kB\n", "VmRSS:"), Some(10_240.0));
        assert_eq!(
            number_after("Max open files            1024    4096  files\n", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(
            number_after(
                "Max open files            unlimited unlimited files\n",
                "Max open files"
            ),
            None
        );
        assert_eq!(cpu_seconds(""), None);
    }
}
