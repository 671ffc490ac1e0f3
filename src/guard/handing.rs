//! The sockets between owner, guardian and launcher: each is the process's standard input and transfers the command's real one.
//!
//! 1. A process gets its socket as standard input: it inherits nothing else, and nothing leaks into the command.
//! 2. The command's standard input is passed over the socket, with the first byte.
//!
//! Not here: the lines that follow (`messages.rs`).

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The byte that is sent with a file.
const MARK: u8 = b'!';

/// This process's socket to the process that started it: its standard input.
///
/// # Errors
/// When standard input cannot be duplicated or is not a unix socket.
pub(super) fn from_stdin() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails if a user runs the hidden command by hand.
    socket.local_addr()?;
    Ok(socket)
}

/// Passes an open file to the process at the other end.
pub(super) fn hand(socket: &UnixStream, file: impl AsFd) -> io::Result<()> {
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    sendmsg(socket, &[IoSlice::new(&[MARK])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives the file that the other end passes; waits for it.
///
/// # Errors
/// [`ErrorKind::UnexpectedEof`] when the other end is gone.
pub(super) fn take(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut mark = [0];
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut mark)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message
            && let Some(file) = files.next()
        {
            return Ok(file);
        }
    }
    Err(ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_file_arrives_with_its_content_and_an_end_is_told() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        hand(&here, &reader).expect("handed over");
        writer.write_all(b"hello").expect("written");
        drop((writer, reader));
        let mut text = String::new();
        std::fs::File::from(take(&there).expect("a file")).read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello");
        drop(here);
        assert_eq!(take(&there).map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    }
}
