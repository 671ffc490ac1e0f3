//! Reading and writing lines: one JSON text per line, UTF-8, ended by `
//! `.
//!
//! 1. A reader holds at most one line of the allowed length plus one read buffer.
//! 2. A line that is too long is reported once, as soon as that is known; the rest of it is skipped.
//! 3. A written line contains no character that some reader could treat as a line end.
//! 4. A byte order mark at the start of a line is skipped: some shells and editors put one before the first.
//! 5. Reading is cancel safe: the bytes read so far stay in the reader.
//!
//! Not here: the meaning of a line (`request.rs`).

use memchr::{memchr, memchr3};
use std::borrow::Cow;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// The default maximum length of a line to a server, in bytes without its line end.
pub const DEFAULT_MAX_LINE_BYTES: usize = 4 << 20;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

const READ_BUFFER_BYTES: usize = 64 << 10;

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its line end, not blank.
    Complete(Vec<u8>),
    /// The last bytes of the input, without a line end.
    Unfinished(Vec<u8>),
    /// A line over the allowed length; the next read skips the rest of it.
    TooLong,
}

impl Line {
    /// The number of bytes in it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Complete(bytes) | Self::Unfinished(bytes) => bytes.len(),
            Self::TooLong => 0,
        }
    }
}

/// Splits a stream of bytes into lines.
pub(crate) struct LineReader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    skipping: bool,
    max_bytes: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader with a maximum line length of `max_bytes`.
    pub(crate) fn new(input: R, max_bytes: usize) -> Self {
        let input = BufReader::with_capacity(READ_BUFFER_BYTES, input);
        Self { input, line: Vec::new(), skipping: false, max_bytes }
    }

    /// The next line that is not blank; `None` at the end of the input. Cancel safe.
    ///
    /// # Errors
    /// The error of the input.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let chunk = self.input.fill_buf().await?;
            if chunk.is_empty() {
                let rest = unmarked(std::mem::take(&mut self.line));
                let ignored = self.skipping || is_blank(&rest);
                return Ok((!ignored).then_some(Line::Unfinished(rest)));
            }
            let end = memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            // One byte more than allowed: the carriage return before a line's end does not count.
            let fits = self.line.len() + part.len() <= self.max_bytes + 1;
            if fits && !self.skipping {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);

            if self.skipping {
                self.skipping = end.is_none();
                continue;
            }
            if !fits {
                self.line = Vec::new();
                self.skipping = end.is_none();
                return Ok(Some(Line::TooLong));
            }
            if end.is_some() {
                let mut line = unmarked(std::mem::take(&mut self.line));
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                if line.len() > self.max_bytes {
                    return Ok(Some(Line::TooLong));
                }
                if !is_blank(&line) {
                    return Ok(Some(Line::Complete(line)));
                }
            }
        }
    }
}

/// A line without the byte order mark at its start.
fn unmarked(mut line: Vec<u8>) -> Vec<u8> {
    if line.starts_with(BYTE_ORDER_MARK) {
        line.drain(..BYTE_ORDER_MARK.len());
    }
    line
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// A JSON text as one line for any reader. Line ends between tokens become spaces; U+2028 and U+2029, which some readers
/// treat as line ends and which occur only inside strings, are escaped. The value stays the same.
pub(crate) fn one_line(json: &str) -> Cow<'_, str> {
    // U+2028 and U+2029 begin with this byte in UTF-8.
    if memchr3(b'\n', b'\r', 0xE2, json.as_bytes()).is_none() {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\n' | '\r' => line.push(' '),
            '\u{2028}' => line.push_str("\\u2028"),
            '\u{2029}' => line.push_str("\\u2029"),
            other => line.push(other),
        }
    }
    Cow::Owned(line)
}

/// Appends a JSON text as a line of its own.
pub(crate) fn push_line(lines: &mut Vec<u8>, json: &str) {
    lines.extend_from_slice(one_line(json).as_bytes());
    lines.push(b'\n');
}

/// A JSON text as a line of its own, without a copy where the text is one line already.
pub(crate) fn into_line(json: String) -> Vec<u8> {
    let mut line = match one_line(&json) {
        Cow::Borrowed(_) => json,
        Cow::Owned(line) => line,
    };
    line.push('\n');
    line.into_bytes()
}

/// Where lines are written. A line counts as written when the other side can read it.
pub trait LineSink: Send + 'static {
    /// Writes whole lines and flushes them.
    ///
    /// # Errors
    /// The error of the output; after one, nothing more can be written.
    fn write_lines(&mut self, lines: Vec<u8>) -> impl Future<Output = std::io::Result<()>> + Send;

    /// Writes one JSON text as a line and flushes it.
    ///
    /// # Errors
    /// The error of the output; after one, nothing more can be written.
    fn write_line(&mut self, json: &str) -> impl Future<Output = std::io::Result<()>> + Send {
        let mut lines = Vec::with_capacity(json.len() + 1);
        push_line(&mut lines, json);
        self.write_lines(lines)
    }
}

/// Writes lines to any asynchronous writer.
#[derive(Debug)]
pub struct WriterSink<W>(pub W);

impl<W: AsyncWrite + Unpin + Send + 'static> LineSink for WriterSink<W> {
    async fn write_lines(&mut self, lines: Vec<u8>) -> std::io::Result<()> {
        self.0.write_all(&lines).await?;
        self.0.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(input: &[u8], max: usize) -> Vec<Line> {
        let mut reader = LineReader::new(input, max);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    fn complete(text: &str) -> Line {
        Line::Complete(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn line_ends_and_blank_lines() {
        let lines = read_all(b"a\r\n\n  \r\nb\nc", 10).await;
        assert_eq!(lines, [complete("a"), complete("b"), Line::Unfinished(b"c".to_vec())]);
        assert_eq!(read_all(b"", 10).await, []);
        assert_eq!(read_all(b"\n \n  ", 10).await, []);
    }

    #[tokio::test]
    async fn a_long_line_is_reported_once_and_skipped() {
        assert_eq!(
            read_all(b"12345\n123456\n12345\r\n", 5).await,
            [complete("12345"), Line::TooLong, complete("12345")]
        );
        let long = [vec![b'x'; 1 << 20], b"\nok\n".to_vec()].concat();
        assert_eq!(read_all(&long, 5).await, [Line::TooLong, complete("ok")]);
        assert_eq!(read_all(&vec![b'x'; 1 << 20], 5).await, [Line::TooLong]);
    }

    #[tokio::test]
    async fn an_endless_line_takes_no_more_memory_than_one_that_is_allowed() {
        use tokio::io::AsyncReadExt;
        let max = 1 << 20;
        let input = tokio::io::repeat(b'x').take(100 << 20).chain(&b"\nok\n"[..]);
        let mut reader = LineReader::new(input, max);
        assert_eq!(reader.next().await.unwrap(), Some(Line::TooLong));
        assert_eq!(reader.line.capacity(), 0);
        assert!(reader.input.get_ref().get_ref().0.limit() > 98 << 20, "reported late");
        assert_eq!(reader.next().await.unwrap(), Some(complete("ok")));
        assert!(reader.line.capacity() < 1_000);
    }

    #[test]
    fn a_written_line_stays_one_line_for_every_reader() {
        let text = "{\"a\":\r\n\"x\u{2028}y\u{2029}é€\"}";
        let line = one_line(text);
        assert_eq!(line, "{\"a\":  \"x\\u2028y\\u2029é€\"}");
        let (a, b): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&line).unwrap());
        assert_eq!(a, b);
        assert!(matches!(one_line("{}"), Cow::Borrowed(_)));
    }
}
