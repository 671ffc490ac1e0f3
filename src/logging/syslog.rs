//! Sends lines to the system's log: RFC 3164 datagrams on its unix socket.
//!
//! 1. If the daemon is away or slow, only its lines are lost.
//!
//! Not here: the file (`rotate.rs`).

use super::line::Line;
use crate::clock;
use crate::cluster::time::Moment;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;
use tracing::Level;

/// The facility "daemon" of RFC 3164.
const FACILITY: u8 = 3;

/// The longest datagram in bytes; local daemons accept at least this much.
const MAX_BYTES: usize = 8 * 1024;

/// The pause before the connection to a missing daemon is retried.
const RECONNECT_DELAY: Duration = Duration::from_secs(10);

/// A connection to the daemon, opened again when it was lost.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    pid: u32,
    socket: Option<UnixDatagram>,
    failed_at: Option<Moment>,
}

impl Syslog {
    pub(super) fn new(path: PathBuf, pid: u32) -> Self {
        Self { path, pid, socket: None, failed_at: None }
    }

    /// Sends a line, with one new connection if the old one is gone.
    pub(super) fn write(&mut self, line: &Line) {
        let text = self.datagram(line);
        if self.socket.as_ref().is_some_and(|socket| sent(socket, text.as_bytes())) {
            return;
        }
        self.socket = None;
        if self.failed_at.is_some_and(|at| clock::now().since(at) < RECONNECT_DELAY) {
            return;
        }
        match self.connect() {
            Ok(socket) if sent(&socket, text.as_bytes()) => {
                self.failed_at = None;
                self.socket = Some(socket);
            }
            _ => self.failed_at = Some(clock::now()),
        }
    }

    fn connect(&self) -> std::io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }

    fn datagram(&self, line: &Line) -> String {
        let severity = match line.level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let (priority, stamp) = (FACILITY * 8 + severity, line.syslog_stamp());
        let mut text = format!("<{priority}>{stamp} clawster[{}]: {}", self.pid, line.body());
        let mut end = MAX_BYTES.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }
}

/// Whether the connection still works; if the daemon's queue is full, the line is dropped and the connection kept.
fn sent(socket: &UnixDatagram, bytes: &[u8]) -> bool {
    match socket.send(bytes) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_arrives_as_rfc_3164_with_the_tag_also_after_the_daemon_restarted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let receive = |daemon: &UnixDatagram| {
            daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut bytes = [0; 9000];
            let count = daemon.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..count].to_vec()).unwrap()
        };
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(path.clone(), 42);
        syslog.write(&Line::warning("a\nb".into()));
        let text = receive(&daemon);
        assert!(text.starts_with("<28>") && text.ends_with(" clawster[42]: a\\nb"), "{text}");
        assert_eq!(text.as_bytes()[7], b' ', "{text}");
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.write(&Line::warning("x".repeat(100_000)));
        assert_eq!(receive(&daemon).len(), MAX_BYTES);
    }

    #[test]
    fn without_a_daemon_lines_are_dropped() {
        let mut syslog = Syslog::new(PathBuf::from("/nonexistent/log"), 1);
        syslog.write(&Line::warning("a".into()));
        syslog.write(&Line::warning("b".into()));
        assert!(syslog.socket.is_none());
    }
}
