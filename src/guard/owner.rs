//! The owner's side: starts a guardian with a command, sends it limits and orders, and cleans up after it.
//!
//! 1. Nothing here waits for a guardian that is stopped: newer limits replace older ones, and orders that do not fit into the queue
//!    are dropped.
//! 2. Once [`Guarded::next`] has reported the end of the command, no process of it is left.
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

/// How often the processes that a killed guardian left behind are checked.
const ORPHANS_POLL: Duration = Duration::from_millis(10);
/// The most orders that wait for the guardian to read them.
const MAX_ORDERS: usize = 64;

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Environment variables to add to the owner's own.
    pub variables: Vec<(String, String)>,
    /// Environment variables to remove, because they hold secrets.
    pub hidden: Vec<String>,
    /// How long the command may take to stop after SIGTERM before it is killed.
    pub stop_timeout: Duration,
}

/// Why the guardian could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the guardian of the command: {0}")]
pub struct GuardError(#[from] io::Error);

/// A process that can own commands.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Children from before (of a script that started something and then became this process): they belong to no command.
    spared: Vec<Pid>,
}

impl Owner {
    /// Prepares this process: it inherits orphans among its descendants and may change the terminal from the background. Call it before
    /// the first start, on the thread that starts commands; that thread must live as long as the process.
    ///
    /// # Errors
    /// Of the system calls.
    pub fn prepare() -> io::Result<Self> {
        descendants::inherit_orphans()?;
        terminal::block_background_stops()?;
        Ok(Self { spared: descendants::children().iter().map(|child| child.pid).collect() })
    }
}

/// A guarded command.
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
    /// When the guardian cannot be started. If the command itself cannot be started, it ends with 126 or 127.
    pub fn start(owner: &Owner, launch: &Launch, limits: Limits) -> Result<Self, GuardError> {
        let (here, there) = Socket::pair()?;
        let mut guardian = Command::new("/proc/self/exe");
        let (stop_timeout, home) = (launch.stop_timeout.as_millis().to_string(), getpgrp());
        guardian.arg0("clawster").args([GUARD_COMMAND, &stop_timeout, &home.as_raw_nonzero().to_string(), "--"]);
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
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        let mut tasks = JoinSet::new();
        tasks.spawn(write(writer, changes, taken));
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let lines = BufReader::new(reader).lines();
        let terminal = Terminal::of(io::stdin().as_fd().try_clone_to_owned()?, io::stdout(), home);
        let (ended, leader) = (None, None);
        let owner = owner.clone();
        Ok(Self { owner, guardian: child, pid, lines, limits, orders, ended, terminal, leader, _writer: tasks })
    }

    /// Sets new limits, later or earlier ones.
    pub fn limit(&self, limits: Limits) {
        self.limits.send_replace(limits);
    }

    /// Forwards a signal to the command's process group.
    pub fn signal(&self, number: i32) {
        self.order(Order::Signal(number));
    }

    /// Sends SIGTERM to the command, and SIGKILL after this time.
    pub fn stop(&self, within: Duration) {
        self.order(Order::Stop(within));
    }

    /// Kills the command and all its descendants.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Gives the command the terminal, if this process is in the foreground.
    pub fn foreground(&self) {
        self.order(Order::Foreground);
    }

    fn order(&self, order: Order) {
        // A stopped guardian reads it after SIGCONT. If the queue is full, the limits still end the command.
        let _ = self.orders.try_send(order);
        self.wake();
    }

    fn wake(&self) {
        if self.guardian.id().is_some()
            && let Some(pid) = self.pid
        {
            // It is a child that is not reaped, so its process id is valid.
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Waits for the next report. The death of the guardian is reported as the end of the command, after all its processes are gone.
    /// Cancel safe: no report is lost when the future is dropped.
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
                    // The guardian is dead, or its connection is broken: kill it.
                    self.force();
                    self.end().await;
                    self.ended = Some((Ending::Signalled(9), true));
                }
            }
        }
    }

    /// Kills a guardian that does not react, and with it the command. [`Self::next`] reports when all processes are gone.
    pub fn force(&mut self) {
        // It fails only if the guardian has ended already.
        let _ = self.guardian.start_kill();
    }

    /// Reaps the guardian, kills what it left behind, and takes the terminal back.
    async fn end(&mut self) {
        // It fails only if the guardian was reaped already.
        let _ = self.guardian.wait().await;
        while !descendants::kill_all_but(&self.owner.spared) {
            tokio::time::sleep(ORPHANS_POLL).await;
        }
        if let (Some(terminal), Some(leader)) = (&self.terminal, self.leader) {
            terminal.take_back(leader);
        }
    }
}

/// Writes the newest limits and all orders to the guardian until its socket is closed.
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
