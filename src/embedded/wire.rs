//! Three questions to a Redis server over a blocking socket, in its inline form, so that no runtime is needed here.
//!
//! 1. Every wait has an end.
//! 2. At most 256 bytes of an answer are read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const ANSWER_WAIT: Duration = Duration::from_millis(1000);
const CONNECT_WAIT: Duration = Duration::from_millis(500);

/// What a PING led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It serves.
    Pong,
    /// It reads its data and will serve.
    Loading,
    /// It is a Redis that wants a password.
    WantsPassword,
    /// It is a Redis that refuses for another reason.
    Refuses,
    /// Something listens and says nothing in time.
    Silent,
    /// Nothing listens, or what listens is no Redis.
    Nothing,
}

impl Answer {
    /// Whether the private server counts as running.
    pub(super) fn is_up(self) -> bool {
        matches!(self, Self::Pong | Self::Loading)
    }

    /// Whether this is a Redis at all.
    pub(super) fn is_redis(self) -> bool {
        matches!(self, Self::Pong | Self::Loading | Self::WantsPassword | Self::Refuses)
    }
}

/// Asks a server on a unix socket.
pub(super) fn ping_socket(socket: &Path) -> Answer {
    let Ok(mut stream) = UnixStream::connect(socket) else { return Answer::Nothing };
    if stream.set_read_timeout(Some(ANSWER_WAIT)).is_err() || stream.set_write_timeout(Some(ANSWER_WAIT)).is_err() {
        return Answer::Nothing;
    }
    ping(&mut stream)
}

/// Asks a server on TCP.
pub(super) fn ping_tcp(address: SocketAddr) -> Answer {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, CONNECT_WAIT) else { return Answer::Nothing };
    if stream.set_read_timeout(Some(ANSWER_WAIT)).is_err() || stream.set_write_timeout(Some(ANSWER_WAIT)).is_err() {
        return Answer::Nothing;
    }
    ping(&mut stream)
}

/// Asks the server to save and stop; whether it does shows by its process ending.
pub(super) fn shutdown(socket: &Path) {
    let Ok(mut stream) = UnixStream::connect(socket) else { return };
    if stream.set_write_timeout(Some(ANSWER_WAIT)).is_ok() {
        // A failure here shows as a process that goes on, which the caller watches.
        let _ = stream.write_all(b"SHUTDOWN\r\n");
        let _ = stream.set_read_timeout(Some(ANSWER_WAIT));
        let _ = stream.read(&mut [0; 64]);
    }
}

fn ping(stream: &mut (impl Read + Write)) -> Answer {
    let slow =
        |error: &std::io::Error| matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
    match stream.write_all(b"PING\r\n") {
        Ok(()) => {}
        Err(error) if slow(&error) => return Answer::Silent,
        Err(_) => return Answer::Nothing,
    }
    let mut line = Vec::with_capacity(64);
    let mut chunk = [0_u8; 64];
    while !line.contains(&b'\n') && line.len() < 256 {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if slow(&error) => {
                return if line.is_empty() { Answer::Silent } else { Answer::Nothing };
            }
            Err(_) => return Answer::Nothing,
        }
    }
    read_answer(&line)
}

fn read_answer(line: &[u8]) -> Answer {
    const ERRORS: [&[u8]; 6] = [b"-ERR ", b"-DENIED ", b"-NOPERM ", b"-MASTERDOWN ", b"-BUSY ", b"-MISCONF "];
    if line.starts_with(b"+PONG") {
        Answer::Pong
    } else if line.starts_with(b"-LOADING ") {
        Answer::Loading
    } else if line.starts_with(b"-NOAUTH ") {
        Answer::WantsPassword
    } else if ERRORS.iter().any(|prefix| line.starts_with(prefix)) {
        Answer::Refuses
    } else {
        Answer::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(read_answer(b"+PONG\r\n"), Answer::Pong);
        assert_eq!(read_answer(b"-LOADING Redis is loading the dataset in memory\r\n"), Answer::Loading);
        assert_eq!(read_answer(b"-NOAUTH Authentication required.\r\n"), Answer::WantsPassword);
        assert_eq!(read_answer(b"-DENIED Redis is running in protected mode\r\n"), Answer::Refuses);
        assert_eq!(read_answer(b"HTTP/1.1 400 Bad Request\r\n"), Answer::Nothing);
        assert_eq!(read_answer(b""), Answer::Nothing);
    }

    #[test]
    fn a_listener_that_says_nothing_is_no_redis() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let answer = ping_tcp(listener.local_addr().expect("address"));
        assert_eq!(answer, Answer::Silent);
        assert!(!answer.is_redis());
    }
}
