//! Carries out the effects of a lease holder: calls, a presence connection of its own, a guarded command.
//!
//! 1. The loop never waits: calls and pings run beside it, and the guardian has a clock of its own.
//! 2. A guardian that does not end the command in time is killed, and the command with it.
//! 3. The process does not join the cluster: its lease depends on its own presence.
//!
//! Not here: the rules (`crate::cluster::lease::holder`), processes (`crate::guard`), reports to people (`crate::cli`).

use crate::clock;
use crate::cluster::ids::Term;
use crate::cluster::lease::holder::{Effect, End, Holder, Input, News, Terms};
use crate::cluster::protocol::{Call, Fault, LeaseCall, Reply};
use crate::cluster::time::Moment;
use crate::engine::presence::{self, Report as Connection};
use crate::guard::{Forwarded, GuardError, Guarded, Launch, Owner, Report, Signals};
use crate::signals::exit_code;
use crate::store::Store;
use crate::store::redis::{Notice, RedisStore};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The longest sleep: a timer's clock may stop while the boot clock continues.
const MAX_SLEEP: Duration = Duration::from_millis(500);
/// The environment variable with the fencing token.
const TOKEN: &str = "CLAWSTER_LEASE_TOKEN";

type Answered = (Moment, Result<(Reply, crate::cluster::protocol::ServerId), Fault>);

/// Runs the command while this process holds the lease, until the command ends by itself or there is nothing more to do.
/// Call it on the thread that called [`Owner::prepare`].
///
/// # Errors
/// When no guardian can be started; the lease is then released.
pub async fn hold(
    owner: Owner,
    store: Arc<RedisStore>,
    terms: Terms,
    launch: Launch,
    mut signals: Signals,
    report: impl FnMut(&News),
) -> Result<End, GuardError> {
    let (commands, wanted) = mpsc::channel(8);
    let (reports, mut inputs) = mpsc::channel(64);
    let mut beside = JoinSet::new();
    beside.spawn(presence::run(Arc::clone(&store), wanted, reports, heard));
    let mut work = Work {
        holder: Holder::new(terms),
        owner,
        store,
        presence: commands,
        calls: JoinSet::new(),
        launch,
        guarded: None,
        force_at: None,
        broken: None,
        end: None,
        report,
    };
    work.step(Input::Wake).await;
    while work.end.is_none() {
        let now = clock::now();
        let due = work.holder.wake_at().into_iter().chain(work.force_at).min();
        let wait = due.map_or(MAX_SLEEP, |at| at.since(now).clamp(Duration::from_millis(1), MAX_SLEEP));
        let input = tokio::select! {
            Some(input) = inputs.recv() => Some(input),
            Some(done) = work.calls.join_next() => done.ok().and_then(answer),
            report = next_report(&mut work.guarded) => work.reported(report),
            signal = signals.next() => work.signalled(signal),
            () = tokio::time::sleep(wait) => Some(Input::Wake),
        };
        work.force_if_due();
        if let Some(input) = input {
            work.step(input).await;
        }
    }
    match (work.broken, work.end) {
        (Some(error), _) => Err(error),
        (None, end) => Ok(end.unwrap_or(End::Code(1))),
    }
}

/// What a report of the presence connection means to the holder.
fn heard(report: Connection) -> Option<Input> {
    match report {
        Connection::Up(nonce) => Some(Input::PresenceUp(nonce)),
        Connection::Down(nonce) => Some(Input::PresenceDown(nonce)),
        Connection::Refused { nonce, error } => Some(Input::PresenceRefused { nonce, error }),
        Connection::Pong { nonce, sent } => Some(Input::Pong { nonce, sent }),
        Connection::Notice(Notice::Lease(ticket)) => Some(Input::Called(ticket)),
        Connection::Notice(Notice::Drain) => Some(Input::Drained),
        Connection::Notice(Notice::Register) => Some(Input::CalledToRegister),
        // Only for leaders.
        Connection::Notice(Notice::HandOver | Notice::Schedule) | Connection::LeaderChannelHeld(_) => None,
    }
}

async fn next_report(guarded: &mut Option<Guarded>) -> Report {
    match guarded {
        Some(guarded) => guarded.next().await,
        None => std::future::pending().await,
    }
}

fn answer((sent, answered): Answered) -> Option<Input> {
    let answer = match answered {
        Ok((Reply::Lease(reply), server)) => Ok((reply, server)),
        Ok(_) => Err(Fault::Refused("unexpected reply to a lease call".to_owned())),
        Err(fault) => Err(fault),
    };
    Some(Input::Answered { sent, answer })
}

struct Work<S> {
    holder: Holder,
    owner: Owner,
    store: Arc<RedisStore>,
    presence: mpsc::Sender<presence::Command>,
    calls: JoinSet<Answered>,
    launch: Launch,
    guarded: Option<Guarded>,
    /// When to kill a guardian that was asked to kill the command.
    force_at: Option<Moment>,
    broken: Option<GuardError>,
    end: Option<End>,
    report: S,
}

impl<S: FnMut(&News)> Work<S> {
    async fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.holder.step(clock::now(), input) {
                inputs.extend(self.carry_out(effect).await);
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Call(call) => self.call(*call),
            Effect::OpenPresence(nonce) => self.tell_presence(presence::Command::Open(nonce)).await,
            Effect::ClosePresence => self.tell_presence(presence::Command::Close).await,
            Effect::Ping(nonce, deadline) => self.tell_presence(presence::Command::Ping(nonce, deadline)).await,
            Effect::Start { token, limits } => {
                let launch = self.launch_with(token);
                match Guarded::start(&self.owner, &launch, limits) {
                    Ok(guarded) => self.guarded = Some(guarded),
                    Err(error) => {
                        self.broken = Some(error);
                        return Some(Input::Ended { code: 126, asked: false });
                    }
                }
            }
            Effect::Limit(limits) => {
                if let Some(guarded) = &self.guarded {
                    guarded.limit(limits);
                }
            }
            Effect::Stop(within) => {
                if let Some(guarded) = &self.guarded {
                    guarded.stop(within);
                }
            }
            Effect::Kill => {
                if let Some(guarded) = &self.guarded {
                    guarded.kill();
                    self.force_at = Some(clock::now() + self.holder.grace() / 20);
                }
            }
            Effect::Report(news) => (self.report)(&news),
            Effect::Finish(end) => self.end = Some(end),
        }
        None
    }

    fn launch_with(&self, token: Term) -> Launch {
        let mut launch = self.launch.clone();
        launch.variables.push((TOKEN.to_owned(), token.to_string()));
        launch
    }

    fn call(&mut self, call: LeaseCall) {
        let store = Arc::clone(&self.store);
        self.calls.spawn(async move {
            let sent = clock::now();
            let answer = store.call(Call::Lease(Box::new(call))).await;
            (sent, answer.map(|answer| (answer.reply, answer.server)))
        });
    }

    async fn tell_presence(&self, command: presence::Command) {
        // The receiver ends only with this loop, and at most one ping and one opening are under way.
        let _ = self.presence.send(command).await;
    }

    fn reported(&mut self, report: Report) -> Option<Input> {
        match report {
            Report::Started(_) => None,
            Report::Terminating => Some(Input::Terminating),
            Report::NotSuspended => {
                (self.report)(&News::NotSuspended);
                None
            }
            Report::Ended { how, asked } => {
                self.guarded = None;
                self.force_at = None;
                Some(Input::Ended { code: how.code(), asked })
            }
        }
    }

    fn signalled(&mut self, signal: Forwarded) -> Option<Input> {
        match (signal, &self.guarded) {
            (Forwarded::Signal(number), Some(guarded)) => guarded.signal(number),
            (Forwarded::Continued, Some(guarded)) => guarded.foreground(),
            (_, None) => {}
        }
        match signal {
            Forwarded::Signal(number) if signal.ends() => Some(Input::Quit { code: exit_code(number) }),
            _ => None,
        }
    }

    fn force_if_due(&mut self) {
        if let Some(guarded) = &mut self.guarded
            && self.force_at.take_if(|at| *at <= clock::now()).is_some()
        {
            guarded.force();
        }
    }
}
