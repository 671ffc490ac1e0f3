//! The messages of `run` on standard error: one line per change.
//!
//! 1. A reader that does not read blocks nothing: lines that do not fit into the queue are dropped.
//!
//! Not here: the changes (`crate::cluster::lease::holder`).

use crate::cluster::ids::LeaseName;
use crate::cluster::lease::holder::{News, Why};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// The most lines that wait to be written.
const QUEUE_LINES: usize = 64;
/// How long the last lines may take to be written at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module's text.
pub(super) struct RunReport {
    lease: LeaseName,
    quiet: bool,
    json: bool,
    lines: SyncSender<String>,
    written: Receiver<()>,
}

impl RunReport {
    pub(super) fn start(lease: &LeaseName, quiet: bool, json: bool) -> Self {
        let (lines, queue) = sync_channel::<String>(QUEUE_LINES);
        let (done, written) = sync_channel(1);
        let write = move || {
            for line in queue {
                // It fails only when standard error is closed.
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
            let _ = done.send(());
        };
        // Without a thread nothing is printed.
        let _ = std::thread::Builder::new().name("report".to_owned()).spawn(write);
        Self { lease: lease.clone(), quiet, json, lines, written }
    }

    /// Waits up to [`FLUSH_TIMEOUT`] until all lines are written.
    pub(super) fn end(self) {
        drop(self.lines);
        let _ = self.written.recv_timeout(FLUSH_TIMEOUT);
    }

    /// Reports a problem that does not stop `run`.
    pub(super) fn trouble(&self, text: &str) {
        self.line(if self.json { object(&self.lease, "trouble", &[("detail", json!(text))]) } else { plain(text) });
    }

    /// Reports that the lease excludes no other host.
    pub(super) fn not_shared(&self, text: &str) {
        if !self.quiet {
            self.line(if self.json {
                object(&self.lease, "not_shared", &[("detail", json!(text))])
            } else {
                plain(text)
            });
        }
    }

    pub(super) fn news(&self, news: &News) {
        let wrong = matches!(news, News::Away(_) | News::Stopping(Why::Silence | Why::Lost) | News::NotSuspended);
        if !self.quiet || wrong {
            self.line(if self.json { object_of(&self.lease, news) } else { plain(&sentence(&self.lease, news)) });
        }
    }

    fn line(&self, line: String) {
        // A full queue drops the line; see 1.
        let _ = self.lines.try_send(line);
    }
}

fn plain(text: &str) -> String {
    format!("clawster: {text}\n")
}

fn object(lease: &LeaseName, event: &str, more: &[(&str, Value)]) -> String {
    let mut fields = Map::from_iter([("event".to_owned(), json!(event)), ("lease".to_owned(), json!(lease.as_str()))]);
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    format!("{}\n", Value::Object(fields))
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Silence => "redis_unavailable",
        Why::Lost => "lost",
        Why::Drained => "drained",
        Why::Asked => "asked",
    }
}

fn object_of(lease: &LeaseName, news: &News) -> String {
    let token = |token: u64| ("token", json!(token));
    let (event, more) = match news {
        News::Waiting { holder, before } => {
            let holder = holder.as_ref().map(|id| id.as_str());
            ("waiting", vec![("holder", json!(holder)), ("before", json!(before))])
        }
        News::Draining => ("draining", vec![]),
        News::Away(why) => ("redis_unavailable", vec![("detail", json!(why))]),
        News::Granted(term) => ("granted", vec![token(term.0)]),
        News::Started(term) | News::Again(term) => ("started", vec![token(term.0)]),
        News::Stopping(why) => ("stopping", vec![("reason", json!(reason(*why)))]),
        News::Released(term) => ("released", vec![token(term.0)]),
        News::NotSuspended => ("not_suspended", vec![]),
    };
    object(lease, event, &more)
}

fn sentence(lease: &LeaseName, news: &News) -> String {
    match news {
        News::Waiting { holder: Some(holder), before: 0 } => {
            format!("waiting for lease {lease}, held by {holder}; next in the queue")
        }
        News::Waiting { holder: Some(holder), before } => {
            format!("waiting for lease {lease}, held by {holder}; {before} ahead in the queue")
        }
        News::Waiting { holder: None, .. } => format!("waiting for lease {lease}"),
        News::Draining => format!("this node is draining; waiting for lease {lease} until draining ends"),
        News::Away(why) => format!("cannot use Redis: {why}; trying again"),
        News::Granted(token) => format!("acquired lease {lease} (token {token})"),
        News::Started(token) => format!("starting the command with lease {lease} (token {token})"),
        News::Again(token) => {
            format!("Redis answers again; restarting the command with lease {lease} (token {token})")
        }
        News::Stopping(Why::Silence) => format!("stopping the command: Redis did not confirm lease {lease} in time"),
        News::Stopping(Why::Lost) => format!("stopping the command: lease {lease} was lost"),
        News::Stopping(Why::Drained) => "stopping the command: this node is draining".to_owned(),
        News::Stopping(Why::Asked) => "stopping the command, as requested".to_owned(),
        News::Released(token) => format!("released lease {lease} (token {token})"),
        News::NotSuspended => {
            "the command was not suspended, because it would lose its lease; use Ctrl-C to end it".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::{NodeId, Term};

    #[test]
    fn every_line_is_one_object_or_one_sentence() {
        let lease = LeaseName::new("bot").expect("a name");
        let holder = NodeId::new("b").ok();
        let all = [
            News::Waiting { holder, before: 1 },
            News::Draining,
            News::Away("gone".to_owned()),
            News::Granted(Term(7)),
            News::Stopping(Why::Lost),
            News::Released(Term(7)),
        ];
        for news in all {
            let object: Value = serde_json::from_str(&object_of(&lease, &news)).expect("JSON");
            assert_eq!(object["lease"], "bot", "{object}");
            assert!(object["event"].is_string(), "{object}");
            assert!(!sentence(&lease, &news).contains('\n'));
        }
        assert_eq!(sentence(&lease, &News::Granted(Term(7))), "acquired lease bot (token 7)");
    }
}
