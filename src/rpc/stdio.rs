//! JSON-RPC, or MCP, over this process's standard input and output.
//!
//! 1. Only lines of JSON are written to standard output; bytes count as written when the system accepted them.
//! 2. What another process may share, the open file behind a stream, is left as it was found.
//!
//! In reading order: `direct` for pipes and sockets, which is what a host gives a program; `threads` for everything else.
//!
//! Not here: serving (`connection.rs`, `mcp/`).

mod direct;
mod threads;

use super::connection::{Ended, Limits, serve};
use super::framing::{LineSink, WriterSink};
use super::mcp;
use super::module::Module;
use std::fs::File;
use std::os::fd::AsFd;
use threads::{ThreadReader, ThreadSink};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

/// Serves the host on standard input and output until the input ends, the output fails or `stop` becomes true.
///
/// # Errors
/// When standard input or output is closed from the start, or a thread cannot be started.
pub async fn serve_stdio(module: &Module, limits: &Limits, stop: watch::Receiver<bool>) -> std::io::Result<Ended> {
    let (input, output) = open()?;
    Ok(serve(&module.over("stdio"), input, output, limits, stop).await)
}

/// Serves an MCP host on standard input and output; see [`mcp::serve`].
///
/// # Errors
/// As [`serve_stdio`].
pub async fn serve_mcp(
    limits: &Limits,
    tools: mcp::ToolSet,
    attachment: watch::Receiver<mcp::Attachment>,
    notices: mpsc::Receiver<mcp::HostNotice>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<Ended> {
    Ok(mcp::serve(open()?, limits, tools, attachment, notices, stop).await)
}
/// Standard input and output as streams. Each can be opened once.
fn open() -> std::io::Result<(Input, Output)> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let input: Input = match direct::input(stdin.as_fd()) {
        Some(input) => input,
        None => Box::new(ThreadReader::start(File::from(stdin.as_fd().try_clone_to_owned()?))?),
    };
    let output = match direct::output(stdout.as_fd()) {
        Some(output) => Output::Direct(WriterSink(output)),
        None => Output::Thread(ThreadSink::start(File::from(stdout.as_fd().try_clone_to_owned()?))?),
    };
    Ok((input, output))
}
type Input = Box<dyn AsyncRead + Send + Unpin>;

enum Output {
    Direct(WriterSink<Box<dyn AsyncWrite + Send + Unpin>>),
    Thread(ThreadSink),
}
impl LineSink for Output {
    async fn write_lines(&mut self, lines: Vec<u8>) -> std::io::Result<()> {
        match self {
            Self::Direct(sink) => sink.write_lines(lines).await,
            Self::Thread(sink) => sink.write_lines(lines).await,
        }
    }
}
