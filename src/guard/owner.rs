//! The owner's end: starts a guardian with a command, gives it limits and orders, and cleans up after it.
//!
//! 1. Nothing here waits for a guardian that stands still: limits are replaced by newer ones, and orders that it does not
//!    take are dropped with it.
//! 2. Once [`Guarded::next`] has said how the command ended, nothing of it is left.
//!
//! Not here: the guardian (`guardian.rs`).

use super::terminal::Terminal;
use super::{GUARD_COMMAND, descendants, handing, terminal};
use crate::cluster::lease::holder::Limits;
use crate::guard::messages::{Ending, Order, Report};
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How often what a killed guardian left behind is looked at.
const ORPHANS_POLL: Duration = Duration::from_millis(10);
/// Orders that a guardian has not taken yet.
const ORDERS: usize = 64;

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Variables for it, besides the owner's own.
    pub variables: Vec<(String, String)>,
    /// Variables of the owner that it does not get: they hold secrets.
    pub hidden: Vec<String>,
    /// How long it may take to end once it was asked to.
    pub patience: Duration,
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the guardian of the command: {0}")]
pub struct GuardError(#[from] io::Error);

/// A process that can own commands.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Children that were there before (a script that started something and became this process): nobody's command.
    spared: Vec<Pid>,
}

impl Owner {
    /// Makes this process one: it inherits the orphans of its descendants, and may touch the terminal from the background.
    /// To be called before the first start, on the thread that starts commands and lives as long as the process.
    ///
    /// # Errors
    /// Of the system calls.
    pub fn prepare() -> io::Result<Self> {
        descendants::inherit_orphans()?;
        terminal::block_background_stops()?;
        Ok(Self { spared: descendants::children().iter().map(|child| child.pid).collect() })
    }
}

/// A command under guard.
#[derive(Debug)]
pub struct Guarded {
    owner: Owner,
    guardian: Child,
    pid: Option<Pid>,
    lines: Lines<BufReader<OwnedReadHalf>>,
    limits: watch::Sender<Limits>,
    orders: mpsc::Sender<Order>,
    ended: Option<(Ending, bool)>,
    terminal: Option<Terminal>,
    leader: Option<Pid>,
    _writer: JoinSet<()>,
}

impl Guarded {
    /// Starts a command. Must be called on the thread that called [`Owner::prepare`].
    ///
    /// # Errors
    /// When the guardian cannot be started; that the command itself cannot is how it ends, with 126 or 127.
    pub fn start(owner: &Owner, launch: &Launch, limits: Limits) -> Result<Self, GuardError> {
        let (here, there) = Socket::pair()?;
        let mut guardian = Command::new("/proc/self/exe");
        let (patience, home) = (launch.patience.as_millis().to_string(), getpgrp());
        guardian.arg0("clawster").args([GUARD_COMMAND, &patience, &home.as_raw_nonzero().to_string(), "--"]);
        guardian.process_group(0);
        guardian.args(&launch.command).stdin(Stdio::from(OwnedFd::from(there)));
        guardian.envs(launch.variables.iter().map(|(name, value)| (name, value)));
        for name in &launch.hidden {
            guardian.env_remove(name);
        }
        let child = guardian.spawn()?;
        drop(guardian);
        handing::hand(&here, io::stdin().as_fd())?;
        here.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(here)?.into_split();
        let (limits, changes) = watch::channel(limits);
        let (orders, taken) = mpsc::channel(ORDERS);
        let mut tasks = JoinSet::new();
        tasks.spawn(write(writer, changes, taken));
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let lines = BufReader::new(reader).lines();
        let terminal = Terminal::of(io::stdin().as_fd().try_clone_to_owned()?, io::stdout(), home);
        let (ended, leader) = (None, None);
        let owner = owner.clone();
        Ok(Self { owner, guardian: child, pid, lines, limits, orders, ended, terminal, leader, _writer: tasks })
    }

    /// Gives the command more time, or less.
    pub fn limit(&self, limits: Limits) {
        self.limits.send_replace(limits);
    }

    /// Passes a signal on to the command's process group.
    pub fn signal(&self, number: i32) {
        self.order(Order::Signal(number));
    }

    /// Asks the command to end; it is killed after this time.
    pub fn stop(&self, within: Duration) {
        self.order(Order::Stop(within));
    }

    /// Kills the command and all its descendants.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Gives the command the terminal, if this process has it in its foreground.
    pub fn foreground(&self) {
        self.order(Order::Foreground);
    }

    fn order(&self, order: Order) {
        // A guardian that was stopped takes it once it goes on; when it does not take even that, its limits end the command.
        let _ = self.orders.try_send(order);
        self.wake();
    }

    fn wake(&self) {
        if self.guardian.id().is_some()
            && let Some(pid) = self.pid
        {
            // It is this process's child and was not reaped, so nobody else has its number.
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// The next report; a guardian that died without one is reported as the command's end, after nothing of it is left.
    /// Nothing is lost when this is given up and called again.
    pub async fn next(&mut self) -> Report {
        loop {
            if let Some((how, asked)) = self.ended {
                self.end().await;
                return Report::Ended { how, asked };
            }
            match self.lines.next_line().await {
                Ok(Some(line)) => match Report::read(&line) {
                    Some(Report::Ended { how, asked }) => self.ended = Some((how, asked)),
                    Some(Report::Started(pid)) => {
                        self.leader = Pid::from_raw(pid);
                        return Report::Started(pid);
                    }
                    Some(report) => return report,
                    None => {}
                },
                Ok(None) | Err(_) => {
                    // It is dead, or does not talk any more, which is as bad.
                    self.force();
                    self.end().await;
                    self.ended = Some((Ending::Signalled(9), true));
                }
            }
        }
    }

    /// Kills the guardian, and with it the command: for one that stands still. [`Self::next`] tells when all is gone.
    pub fn force(&mut self) {
        // Fails only when it has ended already.
        let _ = self.guardian.start_kill();
    }

    /// Reaps the guardian, kills what it left behind, and takes the terminal back.
    async fn end(&mut self) {
        // Fails only when it was reaped already.
        let _ = self.guardian.wait().await;
        while !descendants::kill_all_but(&self.owner.spared) {
            tokio::time::sleep(ORPHANS_POLL).await;
        }
        if let (Some(terminal), Some(leader)) = (&self.terminal, self.leader) {
            terminal.take_back(leader);
        }
    }
}

/// Writes the newest limits and all orders for as long as the guardian takes them.
async fn write(mut writer: OwnedWriteHalf, mut limits: watch::Receiver<Limits>, mut orders: mpsc::Receiver<Order>) {
    limits.mark_changed();
    loop {
        let order = tokio::select! {
            biased;
            changed = limits.changed() => match changed {
                Ok(()) => Order::Until(*limits.borrow_and_update()),
                Err(_) => return,
            },
            order = orders.recv() => match order {
                Some(order) => order,
                None => return,
            },
        };
        if writer.write_all(order.line().as_bytes()).await.is_err() {
            return;
        }
    }
}
