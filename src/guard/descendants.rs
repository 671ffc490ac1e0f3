//! The processes that a command leaves behind: found, killed and reaped.
//!
//! 1. Only children of this process are looked at. A child that was not reaped keeps its number, so no signal reaches a
//!    stranger.
//! 2. Whoever is a child subreaper inherits every orphan among its descendants: killing children until there are none kills
//!    them all, also those that left the process group.
//!
//! Not here: when to kill (`schedule.rs`).

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, kill_process_group, set_child_subreaper, waitpid,
};

/// A child of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) pid: Pid,
    group: Pid,
    /// It has ended and waits to be reaped.
    pub(super) ended: bool,
}

/// Makes this process the heir of all its descendants.
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
        let (pid, group) = (Pid::from_raw(pid)?, Pid::from_raw(group)?);
        (parent == own).then_some(Child { pid, group, ended: matches!(state, 'Z' | 'X') })
    };
    numbers.filter_map(child).collect()
}

/// State, parent and process group from a line of `/proc/<pid>/stat`; the name in it may hold anything.
fn parse(stat: &str) -> Option<(char, i32, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Sends a signal to a child and the process group it is in, unless that is this process's own.
pub(super) fn signal(child: Child, signal: Signal) {
    // Who ended meanwhile, or became another user, takes no signal; the next look shows it.
    if child.group != getpgrp() {
        let _ = kill_process_group(child.group, signal);
    }
    let _ = kill_process(child.pid, signal);
}

/// Reaps a child if it has ended; false while it runs.
pub(super) fn reap(pid: Pid) -> bool {
    !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None) | Err(Errno::INTR))
}

/// Kills and reaps all children but these, and those that they leave behind. True once there are none.
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
