//! Pipes and stream sockets, which the runtime waits for itself: without a thread in between a message is not handed over twice.
//!
//! 1. The open file that other processes may share stays blocking: a pipe is opened once more, and each call on a socket asks not to block.
//! 2. A stream is only used in the direction in which it was given: the other end of a pipe is not opened.
//!
//! Not here: what cannot be used so, also a pipe that cannot be opened once more, or whose end would not be noticed then (`threads.rs`).

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::net::{RecvFlags, SendFlags, SocketType, recv, send, sockopt};
use std::io::Result;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::unix::pipe;

/// The stream of an input; `None`: it is not of a kind that can be waited for.
pub(super) fn input(fd: BorrowedFd<'_>) -> Option<Box<dyn AsyncRead + Send + Unpin>> {
    match kind(fd, OFlags::WRONLY)? {
        FileType::Fifo if !is_unnamed(fd) => None,
        FileType::Fifo => Some(Box::new(pipe::OpenOptions::new().open_receiver(path(fd)).ok()?)),
        FileType::Socket => Some(Box::new(Socket::new(fd, Interest::READABLE)?)),
        _ => None,
    }
}

/// The stream of an output; `None`: it is not of a kind that can be waited for.
pub(super) fn output(fd: BorrowedFd<'_>) -> Option<Box<dyn AsyncWrite + Send + Unpin>> {
    match kind(fd, OFlags::RDONLY)? {
        FileType::Fifo => Some(Box::new(pipe::OpenOptions::new().open_sender(path(fd)).ok()?)),
        FileType::Socket => Some(Box::new(Socket::new(fd, Interest::WRITABLE)?)),
        _ => None,
    }
}

/// What it is, unless it is only for the other direction.
fn kind(fd: BorrowedFd<'_>, other: OFlags) -> Option<FileType> {
    let way = fcntl_getfl(fd).ok()? & OFlags::ACCMODE;
    (way != other).then_some(FileType::from_raw_mode(fstat(fd).ok()?.st_mode))
}

/// Whether a pipe has no name. Of one with a name that was opened once more, Linux tells the end only if a writer was there since.
fn is_unnamed(fd: BorrowedFd<'_>) -> bool {
    std::fs::read_link(path(fd)).is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"pipe:["))
}

/// The path under which Linux opens a pipe once more, with flags of its own; elsewhere there is none.
fn path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// One direction of a stream socket.
struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    fn new(fd: BorrowedFd<'_>, way: Interest) -> Option<Self> {
        let is_stream = sockopt::socket_type(fd).is_ok_and(|kind| kind == SocketType::STREAM);
        let fd = is_stream.then(|| fd.try_clone_to_owned().ok())??;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for the sake of other types; this one keeps its descriptor open"
        )]
        let watched = AsyncFd::with_interest(fd, way);
        watched.ok().map(Self)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let free = buffer.initialize_unfilled();
            let outcome = ready.try_io(|fd| Ok(recv(fd, &mut *free, RecvFlags::DONTWAIT)?.1));
            match outcome {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                // Not ready after all; the next look waits.
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(cx))?;
            let outcome = ready.try_io(|fd| Ok(send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?));
            match outcome {
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(outcome) => return Poll::Ready(outcome),
                Err(_) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::framing::{LineSink, WriterSink};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use tokio::io::AsyncReadExt;

    async fn pass(reader: BorrowedFd<'_>, writer: OwnedFd) {
        let mut input = input(reader).unwrap();
        let mut sink = WriterSink(output(writer.as_fd()).unwrap());
        let long = format!("\"{}\"", "x".repeat(3_000_000));
        let (text, ()) = tokio::join!(
            async {
                let mut text = vec![0; long.len() + 1];
                input.read_exact(&mut text).await.unwrap();
                text
            },
            async { sink.write_line(&long).await.unwrap() }
        );
        assert_eq!(text, format!("{long}\n").into_bytes());
        for fd in [reader, writer.as_fd()] {
            assert!(!fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK), "others share it");
        }
        drop((sink, writer));
        assert_eq!(input.read(&mut [0; 1]).await.unwrap(), 0, "the end of the input");
    }

    #[tokio::test]
    async fn bytes_pass_through_a_socket_unchanged() {
        let (reader, writer) = UnixStream::pair().unwrap();
        pass(reader.as_fd(), writer.into()).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn bytes_pass_through_a_pipe_unchanged() {
        let (reader, writer) = std::io::pipe().unwrap();
        pass(reader.as_fd(), writer.into()).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_pipe_with_a_name_is_left_to_a_thread_which_sees_its_end() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        assert!(input(file.as_fd()).is_none());
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_an_error() {
        let (reader, writer) = UnixStream::pair().unwrap();
        let mut sink = WriterSink(output(writer.as_fd()).unwrap());
        drop(reader);
        assert!(sink.write_line("1").await.is_err());
    }

    #[tokio::test]
    async fn what_cannot_be_waited_for_is_left_to_a_thread() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(input(file.as_fd()).is_none() && output(file.as_fd()).is_none());
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(input(writer.as_fd()).is_none(), "reading from it would take what is meant for the other end");
        assert!(output(reader.as_fd()).is_none());
    }
}
