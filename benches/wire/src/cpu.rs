//! Processor time of other processes and of this one.
//!
//! Not here: what it is divided by.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// User and system time of all running threads of a process; zero where it is gone.
///
/// The scheduler counts it in nanoseconds, where the time that `stat` tells comes in hundredths of a second.
pub fn of(pid: u32) -> Duration {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let times = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

/// The processor time of this process.
pub fn own() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// User and system time of the children that ended and were waited for, in hundredths of a second.
pub fn ended_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [13, 14].iter().map(|&at: &usize| fields[at].parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
