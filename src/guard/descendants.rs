//! Finds, kills and reaps the processes that a command leaves behind.
//!
//! 1. Only children of this process are considered. A child that is not reaped keeps its process id, so no signal reaches another
//!    process.
//! 2. A child subreaper inherits every orphan among its descendants: killing children until there are none kills all descendants,
//!    also those that left the process group.
//!
//! Not here: when to kill (`stop_schedule.rs`).

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, kill_process_group, set_child_subreaper, waitpid,
};

/// A child of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) pid: Pid,
    /// `None`: the group is outside this process's namespace.
    group: Option<Pid>,
    /// Whether it has ended and waits to be reaped.
    pub(super) ended: bool,
}

/// Makes this process a child subreaper: it inherits orphans among its descendants.
pub(super) fn inherit_orphans() -> rustix::io::Result<()> {
    set_child_subreaper(Some(getpid()))
}

/// All children of this process.
pub(super) fn children() -> Vec<Child> {
    let own = getpid().as_raw_nonzero().get();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let child = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, parent, group) = parse(&stat)?;
        let (pid, group) = (Pid::from_raw(pid)?, Pid::from_raw(group));
        (parent == own).then_some(Child { pid, group, ended: matches!(state, 'Z' | 'X') })
    };
    numbers.filter_map(child).collect()
}

/// Reads state, parent and process group from `/proc/<pid>/stat`; the name in it may contain any character.
fn parse(stat: &str) -> Option<(char, i32, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Sends a signal to a child and to its process group, unless that is this process's own group.
pub(super) fn signal(child: Child, signal: Signal) {
    // It fails if the child has ended or changed its user; the next check shows which.
    if let Some(group) = child.group.filter(|group| *group != getpgrp()) {
        let _ = kill_process_group(group, signal);
    }
    let _ = kill_process(child.pid, signal);
}

/// Reaps a child if it has ended; returns false while it runs.
pub(super) fn reap(pid: Pid) -> bool {
    !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None) | Err(Errno::INTR))
}

/// Kills and reaps all children except `spared`, and the orphans they leave. Returns true once there are none.
pub(super) fn kill_all_but(spared: &[Pid]) -> bool {
    let left: Vec<Child> = children().into_iter().filter(|child| !spared.contains(&child.pid)).collect();
    for child in &left {
        if !child.ended {
            signal(*child, Signal::KILL);
        }
        reap(child.pid);
    }
    left.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_hides_nothing() {
        assert_eq!(parse("17 (a) b (c)) S 3 17 1 0 -1"), Some(('S', 3, 17)));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn a_child_is_seen_and_reaped_once_it_has_ended() {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        let pid = Pid::from_child(&child);
        let end = crate::clock::now() + std::time::Duration::from_secs(20);
        while !children().iter().any(|known| known.pid == pid && known.ended) {
            assert!(crate::clock::now() < end, "the end of the child is not seen");
        }
        assert!(reap(pid));
        assert!(!children().iter().any(|known| known.pid == pid));
        assert!(child.wait().is_err(), "nothing is left to wait for");
    }
}
