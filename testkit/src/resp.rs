//! A Redis client of the smallest kind, so that the tests need no `redis-cli` and trust no library under test.
//!
//! 1. Every call has a deadline; an error reply is text that starts with `(error)`.
//!
//! Not here: starting servers (`redis_server.rs`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects.
    pub fn connect(port: u16) -> io::Result<Self> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Waits for a reply at most this long from now on.
    pub fn within(&mut self, deadline: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(deadline))
    }

    /// Sends one command and returns its reply as text, nested replies one line per element.
    pub fn call(&mut self, args: &[&str]) -> io::Result<String> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n{arg}\r\n", arg.len()).as_bytes());
        }
        self.stream.get_mut().write_all(&request)?;
        self.reply()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn reply(&mut self) -> io::Result<String> {
        let line = self.line()?;
        let (kind, rest) = line.split_at(1);
        let size = || rest.parse::<i64>().map_err(|_| io::Error::other(format!("no length: {line:?}")));
        match kind {
            "+" | ":" => Ok(rest.to_owned()),
            "-" => Ok(format!("(error) {rest}")),
            "$" if size()? < 0 => Ok("(nil)".to_owned()),
            "$" => {
                let mut text = vec![0; usize::try_from(size()?).unwrap() + 2];
                self.stream.read_exact(&mut text)?;
                text.truncate(text.len() - 2);
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            "*" if size()? < 0 => Ok("(nil)".to_owned()),
            "*" => {
                let parts: io::Result<Vec<String>> = (0..size()?).map(|_| self.reply()).collect();
                Ok(parts?.join("\n"))
            }
            _ => Err(io::Error::other(format!("no reply of Redis: {line:?}"))),
        }
    }
}
