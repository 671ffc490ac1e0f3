//! The guardian: the process between the owner and the command.
//!
//! 1. It starts the command only if the limits have not passed, and signals it when they pass, whatever the owner is doing.
//! 2. The command is reaped only after all its descendants are gone, so that its process group id is not reused.
//! 3. Signals to the guardian itself have no effect: the owner forwards signals that are meant for the command.
//! 4. It has its own process group: a shell or terminal that stops the owner's group does not stop it.
//! 5. If the owner dies while the guardian is stopped, the kernel continues the guardian.
//!
//! Not here: when to signal (`stop_schedule.rs`), finding processes (`descendants.rs`).

use super::descendants::{self, inherit_orphans};
use super::handing;
use super::launcher::launcher;
use super::signals::Signals;
use super::terminal::Terminal;
use crate::clock;
use crate::cluster::lease::holder::Limits;
use crate::cluster::time::Moment;
use crate::guard::messages::{Ending, Order, Report};
use crate::guard::stop_schedule::{StopAction, StopSchedule};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, set_parent_process_death_signal, waitid,
};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};

/// How often the remaining descendants of an ended command are checked.
const DESCENDANTS_POLL: Duration = Duration::from_millis(20);
/// The longest sleep: during a suspend of the host a timer's clock stops, but the limits' clock does not.
const MAX_SLEEP: Duration = Duration::from_millis(250);
/// The least interval between two searches for ended orphans while the command runs.
const REAP_INTERVAL: Duration = Duration::from_secs(1);
/// SIGTSTP, what Ctrl-Z sends.
const STOPPED_BY_TERMINAL: i32 = 20;
/// SIGTTIN and SIGTTOU, which stop a background process that uses the terminal.
const STOPPED_IN_BACKGROUND: [i32; 2] = [21, 22];

/// Guards a command until it and all its descendants are gone. `stop_timeout`: how long it may take to stop after SIGTERM; `home`:
/// the owner's process group.
///
/// # Errors
/// When this process was not started by an owner, or the command cannot be started.
pub async fn guard(stop_timeout: Duration, home: i32, command: &[OsString]) -> io::Result<()> {
    inherit_orphans()?;
    set_parent_process_death_signal(Some(Signal::CONT))?;
    let mut ignored = Signals::listen()?;
    let mut children = signal(SignalKind::child())?;
    let socket = handing::from_stdin()?;
    let input = handing::take(&socket)?;
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    let mut lines = BufReader::new(reader).lines();
    let Some(limits) = first_limits(&mut lines).await else { return Ok(()) };
    let home = Pid::from_raw(home);
    let terminal = home.map(|home| Ok::<_, io::Error>(Terminal::of(input.try_clone()?, io::stdout(), home)));
    let terminal = terminal.transpose()?.flatten();
    let mut guardian = Guardian {
        leader: start(command, &input, terminal.as_ref())?,
        schedule: StopSchedule::new(limits, stop_timeout),
        terminal,
        owner: Some(writer),
        reaped_at: clock::now(),
        wants_terminal: false,
    };
    drop(input);
    let started = Report::Started(guardian.leader.as_raw_nonzero().get());
    guardian.report(started).await;
    while !guardian.step().await {
        let longest = if guardian.schedule.ending().is_some() { DESCENDANTS_POLL } else { MAX_SLEEP };
        let wait = guardian.schedule.wake_at().since(clock::now()).clamp(Duration::from_millis(1), longest);
        tokio::select! {
            line = next_line(&mut lines, guardian.owner.is_some()) => match line {
                Some(line) => guardian.follow_order(&line).await,
                None => guardian.owner_gone().await,
            },
            _ = children.recv() => {}
            _ = ignored.next() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}

async fn first_limits(lines: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Limits> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(Order::Until(limits)) = Order::read(&line) {
            return (limits.terminate_at > clock::now()).then_some(limits);
        }
    }
    None
}

async fn next_line(lines: &mut Lines<BufReader<OwnedReadHalf>>, open: bool) -> Option<String> {
    if !open {
        return std::future::pending().await;
    }
    lines.next_line().await.ok().flatten()
}

/// Starts the launcher in its own process group, gives it the terminal, and passes it its standard input.
fn start(command: &[OsString], input: &OwnedFd, terminal: Option<&Terminal>) -> io::Result<Pid> {
    let (mut process, here) = launcher(command)?;
    let pid = Pid::from_child(&process.spawn()?);
    if let Some(terminal) = terminal {
        terminal.lend(pid);
    }
    handing::hand(&here, input)?;
    Ok(pid)
}

struct Guardian {
    leader: Pid,
    schedule: StopSchedule,
    terminal: Option<Terminal>,
    owner: Option<OwnedWriteHalf>,
    reaped_at: Moment,
    /// Whether the command was stopped because it used the terminal from the background.
    wants_terminal: bool,
}

impl Guardian {
    /// Sends a report to the owner, if it is still there; waits at most [`MAX_SLEEP`].
    async fn report(&mut self, report: Report) {
        if let Some(owner) = &mut self.owner {
            // The reading half notices that the owner is gone. Reports are few and fit into the socket's buffer.
            let line = report.line();
            let _ = tokio::time::timeout(MAX_SLEEP, owner.write_all(line.as_bytes())).await;
        }
    }

    async fn follow_order(&mut self, line: &str) {
        let action = match Order::read(line) {
            Some(Order::Until(limits)) => {
                self.schedule.limit(limits);
                None
            }
            Some(Order::Signal(number)) => {
                self.pass_on(number);
                None
            }
            Some(Order::Stop(within)) => self.schedule.stop(clock::now(), within),
            Some(Order::Kill) => self.schedule.kill(),
            Some(Order::Foreground) => {
                self.lend_terminal();
                None
            }
            None => None,
        };
        self.perform(action).await;
    }

    async fn owner_gone(&mut self) {
        self.owner = None;
        let action = self.schedule.owner_gone(clock::now());
        self.perform(action).await;
    }

    async fn perform(&mut self, action: Option<StopAction>) {
        match action {
            None => {}
            Some(StopAction::Terminate) => {
                self.signal(Signal::TERM);
                // A stopped process receives SIGTERM only after SIGCONT.
                self.signal(Signal::CONT);
                if self.schedule.ending().is_none() {
                    self.report(Report::Terminating).await;
                }
            }
            Some(StopAction::Kill) => {
                self.signal(Signal::KILL);
                if self.schedule.ending().is_some() {
                    descendants::kill_all_but(&[self.leader]);
                }
            }
        }
    }

    /// Signals the command's process group; its id is valid until the command is reaped.
    fn signal(&self, signal: Signal) {
        // It fails only if the group has no living members.
        let _ = kill_process_group(self.leader, signal);
        if self.schedule.ending().is_some() {
            for child in descendants::children() {
                if child.pid != self.leader && !child.ended {
                    descendants::signal(child, signal);
                }
            }
        }
    }

    fn pass_on(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            // It fails only if the group has no living members.
            let _ = kill_process_group(self.leader, signal);
        }
    }

    fn lend_terminal(&mut self) {
        if let Some(terminal) = &self.terminal
            && terminal.lend(self.leader)
        {
            self.wants_terminal = false;
            self.pass_on(Signal::CONT.as_raw());
        }
    }

    /// Checks clock and processes, and acts. Returns true once the command and its descendants are gone.
    async fn step(&mut self) -> bool {
        let due = self.schedule.due(clock::now());
        self.perform(due).await;
        if self.schedule.ending().is_none() {
            self.check_leader().await;
            self.reap_orphans();
            if self.wants_terminal {
                // A shell sends no signal when it moves a running job to the foreground.
                self.lend_terminal();
            }
        }
        let Some((how, asked)) = self.schedule.ending() else { return false };
        let mut others = descendants::children();
        others.retain(|child| child.pid != self.leader && !(child.ended && descendants::reap(child.pid)));
        if !others.is_empty() {
            return false;
        }
        if let Some(terminal) = &self.terminal {
            terminal.take_back(self.leader);
        }
        descendants::reap(self.leader);
        // Processes that were missed because they moved while the list was read.
        while !descendants::kill_all_but(&[]) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.report(Report::Ended { how, asked }).await;
        true
    }

    async fn check_leader(&mut self) {
        let leader = WaitId::Pid(self.leader);
        let status = waitid(leader, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        match status {
            Ok(Some(status)) => {
                let how = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ending::Exited(code),
                    (None, signal) => Ending::Signalled(signal.unwrap_or(9)),
                };
                self.schedule.ended(how);
                let due = self.schedule.due(clock::now());
                self.perform(due).await;
            }
            Ok(None) => self.check_stopped().await,
            // Does not happen, because nothing else reaps it; it would mean that the command is gone.
            Err(_) => self.schedule.ended(Ending::Signalled(9)),
        }
    }

    /// Continues a command that Ctrl-Z stopped: otherwise the owner would lose its lease, and the command would be killed.
    async fn check_stopped(&mut self) {
        let stopped = waitid(WaitId::Pid(self.leader), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
        let Ok(Some(status)) = stopped else { return };
        self.wants_terminal |= status.stopping_signal().is_some_and(|signal| STOPPED_IN_BACKGROUND.contains(&signal));
        let lent = self.terminal.as_ref().is_some_and(|terminal| terminal.is_lent_to(self.leader));
        if lent && status.stopping_signal() == Some(STOPPED_BY_TERMINAL) && !self.schedule.is_ending() {
            self.pass_on(Signal::CONT.as_raw());
            self.report(Report::NotSuspended).await;
        }
    }

    fn reap_orphans(&mut self) {
        let now = clock::now();
        if now.since(self.reaped_at) < REAP_INTERVAL {
            return;
        }
        self.reaped_at = now;
        for child in descendants::children() {
            if child.ended && child.pid != self.leader {
                descendants::reap(child.pid);
            }
        }
    }
}
