//! Standard streams that can only be used by blocking calls: terminals, files, and what could not be opened again.
//!
//! 1. A read or write that blocks for ever blocks neither the runtime nor the end of the process: each stream has a thread
//!    of its own, which is never joined.
//! 2. The queues between the threads and the runtime are bounded.
//!
//! Not here: pipes and sockets (`direct.rs`).

use crate::rpc::framing::LineSink;
use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, oneshot};

const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_QUEUED: usize = 4;
const NON_BLOCKING_PAUSE: Duration = Duration::from_millis(2);

/// Whether an error is not a failure. A host may share the stream with a program that made it non-blocking; then the only
/// remedy is to try again after a pause.
fn passes(error: &std::io::Error) -> bool {
    match error.kind() {
        std::io::ErrorKind::Interrupted => true,
        std::io::ErrorKind::WouldBlock => {
            std::thread::sleep(NON_BLOCKING_PAUSE);
            true
        }
        _ => false,
    }
}

fn write_all(output: &mut impl Write, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if passes(&error) => {}
            Err(error) => return Err(error),
        }
    }
    output.flush()
}

/// The bytes of a blocking reader, read on a thread of its own.
pub(super) struct ThreadReader {
    chunks: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    used: usize,
}

impl ThreadReader {
    pub(super) fn start(mut input: impl Read + Send + 'static) -> std::io::Result<Self> {
        let (tx, chunks) = mpsc::channel(CHUNKS_QUEUED);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                let chunk = match input.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(read) => Ok(buffer[..read].to_vec()),
                    Err(error) if passes(&error) => continue,
                    Err(error) => Err(error),
                };
                let failed = chunk.is_err();
                if tx.blocking_send(chunk).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, chunk: Vec::new(), used: 0 })
    }
}

impl AsyncRead for ThreadReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.used == self.chunk.len() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(Ok(chunk)) => (self.chunk, self.used) = (chunk, 0),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = buffer.remaining().min(self.chunk.len() - self.used);
        buffer.put_slice(&self.chunk[self.used..self.used + count]);
        self.used += count;
        Poll::Ready(Ok(()))
    }
}

type Written = oneshot::Sender<std::io::Result<()>>;

/// Writes lines to a blocking writer on a thread of its own.
pub(super) struct ThreadSink {
    lines: mpsc::Sender<(Vec<u8>, Written)>,
}

impl ThreadSink {
    pub(super) fn start(mut output: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (lines, mut queue) = mpsc::channel::<(Vec<u8>, Written)>(1);
        std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            while let Some((line, written)) = queue.blocking_recv() {
                let outcome = write_all(&mut output, &line);
                let failed = outcome.is_err();
                // The caller may be gone; the line was written anyway.
                drop(written.send(outcome));
                if failed {
                    return;
                }
            }
        })?;
        Ok(Self { lines })
    }
}

impl LineSink for ThreadSink {
    async fn write_lines(&mut self, lines: Vec<u8>) -> std::io::Result<()> {
        let closed = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let (written, outcome) = oneshot::channel();
        self.lines.send((lines, written)).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn bytes_pass_through_the_threads_unchanged() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sink = ThreadSink::start(writer).unwrap();
        let mut input = ThreadReader::start(reader).unwrap();
        let long = format!("\"{}\"", "x".repeat(300_000));
        let (text, ()) = tokio::join!(
            async {
                let mut text = vec![0; long.len() + 1];
                input.read_exact(&mut text).await.unwrap();
                text
            },
            async { sink.write_line(&long).await.unwrap() }
        );
        assert_eq!(text, format!("{long}\n").into_bytes());
        drop(sink);
        assert_eq!(input.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_an_error() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sink = ThreadSink::start(writer).unwrap();
        drop(reader);
        assert!(sink.write_line("1").await.is_err());
        assert!(sink.write_line("2").await.is_err());
    }
}
