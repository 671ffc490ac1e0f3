//! The presence connection of a node, or of a process that is not a member, as the owner's commands want it.
//!
//! 1. There is one connection at a time; a command for another one is dropped.
//! 2. Every ping leads to a pong or to the end of the connection.
//!
//! Not here: when to open and to ping (`crate::cluster`), the connection itself (`crate::store::redis`).

use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::time::Moment;
use crate::store::redis::{Notice, PresenceNotices, PresenceSink, RedisStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A command of the owner.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open a connection under this nonce, in place of the previous one.
    Open(Nonce),
    /// Close the connection.
    Close,
    /// Ping; without an answer within this time the connection is down.
    Ping(Nonce, Duration),
    /// Hold the leader channel, or release it.
    Hold(Nonce, bool),
}

/// What happened to the connection.
#[derive(Debug)]
pub(crate) enum Report {
    Up(Nonce),
    Down(Nonce),
    Refused {
        nonce: Nonce,
        error: String,
    },
    Pong {
        nonce: Nonce,
        /// When the ping was sent, taken just before sending.
        sent: Moment,
    },
    LeaderChannelHeld(Nonce),
    Notice(Notice),
}

struct Standing {
    nonce: Nonce,
    sink: PresenceSink,
    notices: PresenceNotices,
}

/// Serves commands until the owner is gone. `input`: what a report means to it, if anything.
pub(crate) async fn run<I>(
    store: Arc<RedisStore>,
    mut commands: mpsc::Receiver<Command>,
    owner: mpsc::Sender<I>,
    input: impl Fn(Report) -> Option<I>,
) {
    let mut standing: Option<Standing> = None;
    loop {
        let notice = async {
            match standing.as_mut() {
                Some(open) => open.notices.next().await,
                None => std::future::pending().await,
            }
        };
        let report = tokio::select! {
            command = commands.recv() => match command {
                Some(command) => obey(&store, &mut standing, command).await,
                None => return,
            },
            notice = notice => match notice {
                Some(notice) => Some(Report::Notice(notice)),
                None => down(&mut standing),
            },
        };
        if let Some(input) = report.and_then(&input)
            && owner.send(input).await.is_err()
        {
            return;
        }
    }
}

fn down(standing: &mut Option<Standing>) -> Option<Report> {
    standing.take().map(|open| Report::Down(open.nonce))
}

async fn obey(store: &RedisStore, standing: &mut Option<Standing>, command: Command) -> Option<Report> {
    match command {
        Command::Open(nonce) => {
            *standing = None;
            match store.presence(&nonce).await {
                Ok((sink, notices)) => {
                    *standing = Some(Standing { nonce: nonce.clone(), sink, notices });
                    Some(Report::Up(nonce))
                }
                Err(why) => Some(Report::Refused { nonce, error: why.to_string() }),
            }
        }
        Command::Close => {
            *standing = None;
            None
        }
        Command::Ping(nonce, deadline) => {
            let open = standing.as_mut().filter(|open| open.nonce == nonce)?;
            let sent = clock::now();
            match open.sink.ping(deadline).await {
                Ok(()) => Some(Report::Pong { nonce, sent }),
                Err(_) => down(standing),
            }
        }
        Command::Hold(nonce, hold) => {
            let open = standing.as_mut().filter(|open| open.nonce == nonce)?;
            match open.sink.hold_leader_channel(hold).await {
                Ok(()) => hold.then_some(Report::LeaderChannelHeld(nonce)),
                Err(_) => down(standing),
            }
        }
    }
}
