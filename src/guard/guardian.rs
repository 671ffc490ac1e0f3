//! The process that stands between the owner and the command.
//!
//! 1. It starts the command only under limits that have not passed, and signals it when they do, whatever the owner is doing.
//! 2. The command's process id is not reaped before all of its descendants are gone, so its group's number is not reused.
//! 3. Signals that reach the guardian itself end nothing: the owner passes on what is meant for the command.
//! 4. It is in a process group of its own: whoever stops the owner's group (a shell, a terminal) does not stop it.
//! 5. When the owner dies while the guardian is stopped, the kernel continues the guardian.
//!
//! Not here: when to signal (`schedule.rs`), which processes there are (`descendants.rs`).

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

/// How often what is left of a command is looked at.
const DESCENDANTS_POLL: Duration = Duration::from_millis(20);
/// The longest sleep: a timer's clock may stand still where the limits' clock does not.
const NAP: Duration = Duration::from_millis(250);
/// How often orphans that ended beside a running command are reaped at most.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// SIGTSTP, what Ctrl-Z sends.
const STOPPED_BY_TERMINAL: i32 = 20;
/// SIGTTIN and SIGTTOU, which stop whoever uses the terminal from the background.
const STOPPED_IN_BACKGROUND: [i32; 2] = [21, 22];

/// Guards a command until it and all its descendants are gone. `patience`: how long it may take to end once it was asked to;
/// `home`: the owner's process group.
///
/// # Errors
/// When this process was not started by an owner, or the command cannot be started.
pub async fn guard(patience: Duration, home: i32, command: &[OsString]) -> io::Result<()> {
    inherit_orphans()?;
    set_parent_process_death_signal(Some(Signal::CONT))?;
    let mut swallowed = Signals::listen()?;
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
        schedule: StopSchedule::new(limits, patience),
        terminal,
        owner: Some(writer),
        reaped_at: clock::now(),
        wants_terminal: false,
    };
    drop(input);
    let started = Report::Started(guardian.leader.as_raw_nonzero().get());
    guardian.tell(started).await;
    while !guardian.look().await {
        let nap = if guardian.schedule.ending().is_some() { DESCENDANTS_POLL } else { NAP };
        let wait = guardian.schedule.wake_at().since(clock::now()).clamp(Duration::from_millis(1), nap);
        tokio::select! {
            line = next_line(&mut lines, guardian.owner.is_some()) => match line {
                Some(line) => guardian.obey(&line).await,
                None => guardian.owner_gone().await,
            },
            _ = children.recv() => {}
            _ = swallowed.next() => {}
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

/// Starts the launcher in a process group of its own, lends it the terminal, and hands it its standard input.
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
    /// The command was stopped because it used the terminal from the background.
    wants_terminal: bool,
}

impl Guardian {
    /// Tells the owner, if it still listens; waits for nobody.
    async fn tell(&mut self, report: Report) {
        if let Some(owner) = &mut self.owner {
            // An owner that is gone is seen at the other half. Reports are few: they fit into the socket's buffer.
            let line = report.line();
            let _ = tokio::time::timeout(NAP, owner.write_all(line.as_bytes())).await;
        }
    }

    async fn obey(&mut self, line: &str) {
        let act = match Order::read(line) {
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
        self.act(act).await;
    }

    async fn owner_gone(&mut self) {
        self.owner = None;
        let act = self.schedule.owner_gone(clock::now());
        self.act(act).await;
    }

    async fn act(&mut self, act: Option<StopAction>) {
        match act {
            None => {}
            Some(StopAction::Terminate) => {
                self.signal(Signal::TERM);
                // Who is stopped gets it only once it goes on.
                self.signal(Signal::CONT);
                if self.schedule.ending().is_none() {
                    self.tell(Report::Terminating).await;
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

    /// Signals the command's process group, whose number is its own until the command is reaped.
    fn signal(&self, signal: Signal) {
        // A group without living members takes none.
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
            // As above.
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

    /// Looks at clock and processes. True once all is over.
    async fn look(&mut self) -> bool {
        let due = self.schedule.due(clock::now());
        self.act(due).await;
        if self.schedule.ending().is_none() {
            self.look_at_leader().await;
            self.reap_orphans();
            if self.wants_terminal {
                // A shell that brings a running job to the foreground tells nobody.
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
        // Whoever was not seen because it moved while the list was read.
        while !descendants::kill_all_but(&[]) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.tell(Report::Ended { how, asked }).await;
        true
    }

    async fn look_at_leader(&mut self) {
        let leader = WaitId::Pid(self.leader);
        let looked = waitid(leader, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        match looked {
            Ok(Some(status)) => {
                let how = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ending::Exited(code),
                    (None, signal) => Ending::Signalled(signal.unwrap_or(9)),
                };
                self.schedule.ended(how);
                let due = self.schedule.due(clock::now());
                self.act(due).await;
            }
            Ok(None) => self.look_whether_stopped().await,
            // Nobody else reaps it, so this does not happen; it is gone then.
            Err(_) => self.schedule.ended(Ending::Signalled(9)),
        }
    }

    /// A command that Ctrl-Z stopped goes on: stopped with it, the owner would lose what it holds, and the command its life.
    async fn look_whether_stopped(&mut self) {
        let stopped = waitid(WaitId::Pid(self.leader), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG);
        let Ok(Some(status)) = stopped else { return };
        self.wants_terminal |= status.stopping_signal().is_some_and(|signal| STOPPED_IN_BACKGROUND.contains(&signal));
        let lent = self.terminal.as_ref().is_some_and(|terminal| terminal.is_lent_to(self.leader));
        if lent && status.stopping_signal() == Some(STOPPED_BY_TERMINAL) && !self.schedule.is_ending() {
            self.pass_on(Signal::CONT.as_raw());
            self.tell(Report::NotSuspended).await;
        }
    }

    fn reap_orphans(&mut self) {
        let now = clock::now();
        if now.since(self.reaped_at) < REAP_EVERY {
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
