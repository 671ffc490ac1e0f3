//! The node's methods for hosts that use the Model Context Protocol (MCP), on standard input and output.
//!
//! In reading order: `tools` generates tools from the table of methods, `schemas` shortens what they say, `link` calls the
//! node, `record` keeps recent events and the host's subscriptions, `host_tasks` keeps calls that wait for long, `app` is a
//! page for the chat, `server` answers the host, `notifier` sends notifications to it, `transport` carries lines.
//!
//! 1. The node is reached only through its socket, even if this process runs it: its methods check, answer and refuse in
//!    the same way.
//! 2. The session outlives its node: without one, calls wait for a moment and then fail with a retryable error.
//! 3. Nothing that the host sends ends the session, except the end of its input.
//!
//! Not here: finding or running a node (`crate::cli`).

mod app;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod host_tasks;
mod link;
mod notifier;
mod record;
mod schemas;
mod server;
pub mod tools;
mod transport;

pub use link::{Attachment, Link};
pub use record::HostNotice;
pub(crate) use server::MayChange;
pub(crate) use server::Server as StatelessServer;
pub use tools::ToolSet;

use super::connection::{Ended, Limits};
use super::framing::LineSink;
use host_tasks::HostTasks;
use record::Record;
use rmcp::ServiceExt;
use server::Server;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, watch};
use transport::Lines;

/// The maximum number of notices that wait for a host that reads slowly.
pub const HAPPENINGS_QUEUED: usize = 256;

/// Serves one host over a pair of streams until its input ends, its output fails, or `stop` becomes true. Answers in flight
/// are then written for at most [`Limits::drain`].
///
/// `attachment` says which node calls go to; `notices` are the events of that node; `tools` says which methods are tools.
pub async fn serve<R, S>(
    (input, sink): (R, S),
    limits: &Limits,
    tools: ToolSet,
    attachment: watch::Receiver<Attachment>,
    notices: mpsc::Receiver<HostNotice>,
    stop: watch::Receiver<bool>,
) -> Ended
where
    R: AsyncRead + Unpin + Send + 'static,
    S: LineSink,
{
    let record = Arc::new(Record::default());
    let tasks = Arc::new(HostTasks::default());
    let (lines, ended) = Lines::new(input, sink, limits, stop);
    let server = Server::of_session(tools, attachment.clone(), Arc::clone(&record), Arc::clone(&tasks));
    let serving = async {
        match server.serve(lines).await {
            Ok(running) => drop(running.waiting().await),
            Err(error) => tracing::debug!(%error, "the host disconnected before it sent initialize"),
        }
    };
    let notifying = notifier::notify(&record, &attachment, notices);
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        never = notifying => match never {},
        () = ended.happened() => {
            if tokio::time::timeout(limits.drain, serving).await.is_err() {
                tracing::debug!("the session ended with unwritten answers");
            }
        }
    }
    tasks.end();
    ended.why()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::sync::Semaphore;

    /// A host that reads as many lines as there are permits.
    struct Reluctant {
        permits: Arc<Semaphore>,
        read: mpsc::Sender<String>,
    }

    impl LineSink for Reluctant {
        async fn write_lines(&mut self, lines: Vec<u8>) -> std::io::Result<()> {
            for line in String::from_utf8(lines).unwrap().lines() {
                self.permits.acquire().await.unwrap().forget();
                self.read.send(line.to_owned()).await.unwrap();
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_host_that_does_not_read_is_not_read_from_for_ever_and_gets_every_answer_later() {
        const ASKED: usize = 3_000;
        let hello = r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a test","version":"1"}}}"#;
        let (mut host, input) = tokio::io::duplex(1 << 10);
        let permits = Arc::new(Semaphore::new(1));
        let (read, mut lines) = mpsc::channel(1);
        let (_stop, stopped) = watch::channel(false);
        let (_attachment, attached) = watch::channel(Attachment::Seeking);
        let (_tell, notices) = mpsc::channel(1);
        let (sink, limits) = (Reluctant { permits: Arc::clone(&permits), read }, Limits::default());
        let mut session = tokio::task::JoinSet::new();
        session.spawn(async move { serve((input, sink), &limits, ToolSet::All, attached, notices, stopped).await });
        host.write_all(format!("{hello}\n").as_bytes()).await.unwrap();
        assert!(lines.recv().await.unwrap().contains("serverInfo"));
        let mut asking = tokio::task::JoinSet::new();
        asking.spawn(async move {
            host.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").await.unwrap();
            for id in 0..ASKED {
                let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}\n");
                host.write_all(line.as_bytes()).await.unwrap();
            }
            host
        });
        let early = tokio::time::timeout(Duration::from_secs(2), asking.join_next()).await;
        assert!(early.is_err(), "every request was taken, though no answer was read");
        permits.add_permits(ASKED);
        for _ in 0..ASKED {
            assert!(lines.recv().await.unwrap().contains("distributed_sync_messages"));
        }
    }
}
