//! Lines of an MCP host, for the fuzz target.
//!
//! Not here: the targets' names (`crate::fuzz`).

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::transport::Lines;
use crate::rpc::connection::Limits;
use crate::rpc::framing::LineSink;
use rmcp::transport::Transport;
use tokio::sync::watch;

/// Takes every line, and looks that each is one JSON text.
struct Checked;

impl LineSink for Checked {
    async fn write_lines(&mut self, lines: Vec<u8>) -> std::io::Result<()> {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok());
        }
        Ok(())
    }
}

/// Every text is a message, is refused or is passed over, and the input comes to its end.
pub(crate) async fn lines(data: &[u8]) {
    let (_stop, stopped) = watch::channel(false);
    let limits = Limits { max_line_bytes: 4096, ..Limits::default() };
    let (mut lines, end) = Lines::new(std::io::Cursor::new(data.to_vec()), Checked, &limits, stopped);
    while lines.receive().await.is_some() {}
    drop(end);
}
