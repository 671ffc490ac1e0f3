//! Commands to a Redis server over a blocking socket, so that no async runtime is needed: PING and SHUTDOWN in inline form, and any
//! command over a connection to the private server.
//!
//! 1. Every wait has a timeout.
//! 2. At most 256 bytes of an answer to PING are read. The private server is trusted about the length of its answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer to PING may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1000);
/// How long one answer of the private server may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest line of an answer.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// How long a TCP connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The result of a PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Redis answers.
    Pong,
    /// Redis loads its data and will answer.
    Loading,
    /// Redis requires a password.
    WantsPassword,
    /// Redis refuses for another reason.
    Refuses,
    /// Something listens but does not answer in time.
    Silent,
    /// Nothing listens, or it is not a Redis.
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

/// Sends PING to a server on a unix socket.
pub(super) fn ping_socket(socket: &Path) -> Answer {
    let Ok(mut stream) = UnixStream::connect(socket) else { return Answer::Nothing };
    if stream.set_read_timeout(Some(ANSWER_TIMEOUT)).is_err() || stream.set_write_timeout(Some(ANSWER_TIMEOUT)).is_err()
    {
        return Answer::Nothing;
    }
    ping(&mut stream)
}

/// Sends PING to a server on TCP.
pub(super) fn ping_tcp(address: SocketAddr) -> Answer {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) else { return Answer::Nothing };
    if stream.set_read_timeout(Some(ANSWER_TIMEOUT)).is_err() || stream.set_write_timeout(Some(ANSWER_TIMEOUT)).is_err()
    {
        return Answer::Nothing;
    }
    ping(&mut stream)
}

/// Sends SHUTDOWN: save and stop. The caller sees by the end of the process whether it worked.
pub(super) fn shutdown(socket: &Path) {
    let Ok(mut stream) = UnixStream::connect(socket) else { return };
    if stream.set_write_timeout(Some(ANSWER_TIMEOUT)).is_ok() {
        // The caller watches the process, so errors are ignored here.
        let _ = stream.write_all(b"SHUTDOWN\r\n");
        let _ = stream.set_read_timeout(Some(ANSWER_TIMEOUT));
        let _ = stream.read(&mut [0; 64]);
    }
}

/// An answer of the private server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A status reply.
    Word(String),
    /// An error.
    Refusal(String),
    Number(i64),
    Text(Vec<u8>),
    Nothing,
    List(Vec<Reply>),
}

/// An open connection to the private server.
#[derive(Debug)]
pub(super) struct Talk(BufReader<UnixStream>);

impl Talk {
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a command and waits for the answer.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut text = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            text.extend(format!("${}\r\n", word.len()).into_bytes());
            text.extend_from_slice(word);
            text.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&text)?;
        read_reply(&mut self.0, 0)
    }

    /// Stops the server without saving, and waits until it has ended.
    pub(super) fn end(mut self, within: Duration) -> io::Result<()> {
        self.0.get_ref().set_read_timeout(Some(within))?;
        match self.ask(&[b"SHUTDOWN", b"NOSAVE"]) {
            Ok(refusal) => Err(io::Error::other(format!("it refuses to stop: {refusal:?}"))),
            // Its end closes the connection.
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn read_reply(input: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    let Some((kind, rest)) = line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) else {
        return Err(if line.is_empty() { io::ErrorKind::UnexpectedEof.into() } else { invalid() });
    };
    let rest = String::from_utf8_lossy(rest).into_owned();
    let number = || rest.parse::<i64>().map_err(|_| invalid());
    match kind {
        b'+' => Ok(Reply::Word(rest)),
        b'-' => Ok(Reply::Refusal(rest)),
        b':' => number().map(Reply::Number),
        b'$' => {
            let Ok(length) = u64::try_from(number()?) else { return Ok(Reply::Nothing) };
            let mut text = Vec::new();
            input.take(length.saturating_add(2)).read_to_end(&mut text)?;
            if text.len() as u64 != length.saturating_add(2) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            text.truncate(text.len() - 2);
            Ok(Reply::Text(text))
        }
        b'*' if depth == 0 => {
            let Ok(length) = u64::try_from(number()?) else { return Ok(Reply::Nothing) };
            (0..length).map(|_| read_reply(input, 1)).collect::<io::Result<_>>().map(Reply::List)
        }
        _ => Err(invalid()),
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
    fn replies_are_read_as_they_come_and_nonsense_is_an_error() {
        let read = |text: &[u8]| read_reply(&mut &*text, 0).map_err(|error| error.kind());
        assert_eq!(read(b"+OK\r\n"), Ok(Reply::Word("OK".into())));
        assert_eq!(read(b"-ERR no\r\n"), Ok(Reply::Refusal("ERR no".into())));
        assert_eq!(read(b":-2\r\n"), Ok(Reply::Number(-2)));
        assert_eq!(read(b"$-1\r\n"), Ok(Reply::Nothing));
        let list = Reply::List(vec![Reply::Text(b"a\r\nb".to_vec()), Reply::Text(Vec::new())]);
        assert_eq!(read(b"*2\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"), Ok(list));
        assert_eq!(read(b""), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(b"$5\r\nabc"), Err(io::ErrorKind::UnexpectedEof));
        for nonsense in [&b"?\r\n"[..], b":x\r\n", b"*1\r\n*1\r\n:1\r\n", b"+OK", b"\r\n"] {
            assert_eq!(read(nonsense), Err(io::ErrorKind::InvalidData), "{nonsense:?}");
        }
    }

    #[test]
    fn a_listener_that_says_nothing_is_no_redis() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let answer = ping_tcp(listener.local_addr().expect("address"));
        assert_eq!(answer, Answer::Silent);
        assert!(!answer.is_redis());
    }
}
