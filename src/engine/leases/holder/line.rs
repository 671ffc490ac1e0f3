//! The presence connection of a process that is not a member.
//!
//! 1. There is one connection at a time; a command for another one is dropped.
//! 2. Every ping leads to a pong or to the end of the connection.
//!
//! Not here: when to open and to ping (`crate::cluster::lease::holder`).

use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::lease::holder::Input;
use crate::store::redis::{Notice, PresenceNotices, PresenceSink, RedisStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A command of the holder.
#[derive(Debug)]
pub(super) enum Command {
    Open(Nonce),
    Close,
    Ping(Nonce, Duration),
}

struct Standing {
    nonce: Nonce,
    sink: PresenceSink,
    notices: PresenceNotices,
}

/// Serves commands until the holder is gone.
pub(super) async fn run(store: Arc<RedisStore>, mut commands: mpsc::Receiver<Command>, holder: mpsc::Sender<Input>) {
    let mut standing: Option<Standing> = None;
    loop {
        let input = match standing.as_mut() {
            None => match commands.recv().await {
                Some(command) => obey(&store, &mut standing, command).await,
                None => return,
            },
            Some(open) => tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => obey(&store, &mut standing, command).await,
                    None => return,
                },
                notice = open.notices.next() => match notice {
                    Some(Notice::Lease(ticket)) => Some(Input::Called(ticket)),
                    Some(Notice::Drain) => Some(Input::Drained),
                    Some(Notice::Register) => Some(Input::CalledToRegister),
                    Some(Notice::HandOver) => None,
                    None => standing.take().map(|open| Input::PresenceDown(open.nonce)),
                },
            },
        };
        if let Some(input) = input
            && holder.send(input).await.is_err()
        {
            return;
        }
    }
}

async fn obey(store: &RedisStore, standing: &mut Option<Standing>, command: Command) -> Option<Input> {
    match command {
        Command::Open(nonce) => {
            *standing = None;
            match store.presence(&nonce).await {
                Ok((sink, notices)) => {
                    *standing = Some(Standing { nonce: nonce.clone(), sink, notices });
                    Some(Input::PresenceUp(nonce))
                }
                Err(why) => Some(Input::PresenceRefused { nonce, error: why.to_string() }),
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
                Ok(()) => Some(Input::Pong { nonce, sent }),
                Err(_) => standing.take().map(|open| Input::PresenceDown(open.nonce)),
            }
        }
    }
}
