//! The output of commands: tables, ages, colours, JSON.
//!
//! 1. Colour only on a terminal, and never if `NO_COLOR` is set.
//! 2. Text from the cluster is shown without control characters: a node's name cannot move the cursor.
//!
//! Not here: what is shown (the commands).

use crate::cli::{Environment, charset};
use crate::config::{escape_json_lines, is_unsafe};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// How much of a result is written at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Where a command writes its result.
pub(super) struct Output<'a> {
    writer: Box<dyn Write + Send + 'a>,
    colour: bool,
    /// Whether the output is a terminal.
    terminal: bool,
    /// Whether it is a terminal that shows ASCII only.
    ascii: bool,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("colour", &self.colour).finish_non_exhaustive()
    }
}

/// The colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    /// Default colour.
    Plain,
    /// Good.
    Green,
    /// Attention.
    Yellow,
    /// An error.
    Red,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

impl Tint {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Green => Some("32"),
            Self::Yellow => Some("33"),
            Self::Red => Some("31"),
            Self::Dim => Some("2"),
            Self::Bold => Some("1"),
        }
    }
}

impl<'a> Output<'a> {
    /// Standard output.
    #[must_use]
    pub(super) fn stdout(environment: &Environment) -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let dumb = environment.get("TERM") == Some("dumb");
        let colour = terminal && !dumb && environment.get("NO_COLOR").is_none();
        let ascii = terminal && !charset::is_utf8(environment);
        // A result is written at once: a reader that stops early, or reads while it is written, does not see a part of it.
        Self { writer: Box::new(BufWriter::with_capacity(BUFFER_BYTES, stdout)), colour, terminal, ascii }
    }

    /// Writes what is buffered. Commands that go on after an output call it; the others need not.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }

    /// Any writer, without colours.
    #[cfg(test)]
    pub(super) fn plain(writer: impl Write + Send + 'a) -> Self {
        Self { writer: Box::new(writer), colour: false, terminal: false, ascii: false }
    }

    /// The terminal's width in columns; `None` if the output is not a terminal.
    #[must_use]
    pub(super) fn width(&self) -> Option<usize> {
        let stdout = std::io::stdout();
        let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| self.terminal)?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> std::io::Result<()> {
        let text = text.as_ref();
        if self.ascii && !text.is_ascii() {
            let text: String = text.chars().map(charset::ascii).collect();
            return writeln!(self.writer, "{text}");
        }
        writeln!(self.writer, "{text}")
    }

    /// Writes bytes unchanged and flushes.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn json(&mut self, value: &impl Serialize) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        writeln!(self.writer, "{}", escape_json_lines(&text))
    }

    /// Writes the result of a command: as indented JSON, or as a line of text.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn result(&mut self, json: bool, value: &impl Serialize, text: String) -> std::io::Result<()> {
        if json { self.json(value) } else { self.line(text) }
    }

    /// Writes a value as one line of JSON and flushes.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> std::io::Result<()> {
        writeln!(self.writer, "{}", escape_json_lines(&serde_json::to_string(value)?))?;
        self.writer.flush()
    }

    /// Colours a text, if colours are in use.
    #[must_use]
    pub(super) fn paint(&self, tint: Tint, text: &str) -> String {
        match tint.code().filter(|_| self.colour) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.to_owned(),
        }
    }

    /// Writes rows under headings, in aligned columns.
    ///
    /// # Errors
    /// Of the writer.
    pub(super) fn table(&mut self, headings: &[&str], rows: &[Vec<(Tint, String)>]) -> std::io::Result<()> {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|(_, text)| text.chars().count());
            cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let heading: Vec<_> = headings.iter().map(|heading| (Tint::Dim, (*heading).to_owned())).collect();
        for row in std::iter::once(&heading).chain(rows) {
            let mut line = String::new();
            for (column, (tint, text)) in row.iter().enumerate() {
                line.push_str(&self.paint(*tint, text));
                if column + 1 < row.len() {
                    let missing = widths.get(column).unwrap_or(&0).saturating_sub(text.chars().count());
                    line.extend(std::iter::repeat_n(' ', missing + 2));
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}

/// Waits until the reader of standard output is gone (`| head -1`), which a command that waits for news would otherwise notice only
/// with the next line. For ever if there is no such reader, as with a file.
pub(super) async fn reader_gone() {
    let gone = std::io::stdout().as_fd().try_clone_to_owned().ok().and_then(|output| {
        let (tell, gone) = tokio::sync::oneshot::channel();
        let wait = move || {
            // Errors and hang-ups are reported without being asked for.
            let mut watched = [PollFd::new(&output, PollFlags::empty())];
            loop {
                match poll(&mut watched, None) {
                    Err(Errno::INTR) => {}
                    Ok(1..) => {
                        // It fails when the command has ended meanwhile.
                        let _ = tell.send(());
                        return;
                    }
                    Ok(0) | Err(_) => return,
                }
            }
        };
        // Never joined: the end of the process ends it.
        std::thread::Builder::new().name("reader".to_owned()).spawn(wait).ok()?;
        Some(gone)
    });
    let gone = match gone {
        Some(gone) => gone.await.is_ok(),
        None => false,
    };
    if !gone {
        std::future::pending::<()>().await;
    }
}

/// An age as text: `now`, `3 s ago`, `5 min ago`.
#[must_use]
pub(super) fn age(passed: Duration) -> String {
    if passed < Duration::from_secs(1) { "now".to_owned() } else { format!("{} ago", span(passed)) }
}

/// A duration in its largest unit, rounded down.
#[must_use]
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Replaces control characters in foreign text, and cuts it to `most` characters.
#[must_use]
pub(super) fn clean(text: &str, most: usize) -> String {
    let shown = text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c });
    if text.chars().count() <= most {
        return shown.collect();
    }
    shown.take(most.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

/// Escapes unsafe characters in JSON as `\uXXXX`, and replaces white space between tokens by blanks, so that the JSON is one line.
/// The value stays the same: JSON allows such characters only inside strings.
#[must_use]
pub(super) fn escape_json(json: &str) -> String {
    escape_json_lines(&json.replace(['\n', '\r', '\t'], " "))
}

/// A time on the Redis server's clock, in UTC; the epoch if the number is out of range.
#[must_use]
pub(super) fn utc(at_ms: u64) -> Zoned {
    let at = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// A time on the Redis server's clock as `HH:MM:SS.mmm` in UTC.
#[must_use]
pub(super) fn time_of_day(at_ms: u64) -> String {
    utc(at_ms).strftime("%H:%M:%S%.3f").to_string()
}

/// A number with its noun: `1 flap`, `2 flaps`.
pub(in crate::cli) fn many<N: std::fmt::Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_do_not_end_in_blanks() {
        let mut text = Vec::new();
        let cell = |text: &str| (Tint::Green, text.to_owned());
        let rows = [vec![cell("a"), cell("online"), cell("")], vec![cell("längere"), cell("x"), cell("y")]];
        Output::plain(&mut text).table(&["ID", "STATUS", "X"], &rows).expect("writes");
        let expected = "ID       STATUS  X\na        online\nlängere  x       y\n";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }

    #[test]
    fn a_terminal_without_utf_8_gets_ascii_and_json_stays() {
        let mut text = Vec::new();
        let mut output = Output { ascii: true, ..Output::plain(&mut text) };
        output.line("→ längere …").expect("writes");
        output.json(&"é").expect("writes");
        drop(output);
        assert_eq!(String::from_utf8(text).expect("text"), "> l?ngere .\n\"é\"\n");
    }

    #[test]
    fn ages_are_for_people() {
        let of = |millis: u64| age(Duration::from_millis(millis));
        assert_eq!([of(0), of(3_900), of(125_000), of(7_300_000)], ["now", "3 s ago", "2 min ago", "2 h ago"]);
        assert_eq!(span(Duration::from_millis(250)), "250 ms");
    }

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\n", 20), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(clean("abcdef", 4), "abc…");
    }

    #[test]
    fn a_payload_cannot_move_the_cursor_and_stays_the_same_json() {
        let nasty = "{\n\"a\": \"x\u{7f}\u{9b}2J\u{202e}é\"}";
        let shown = escape_json(nasty);
        assert_eq!(shown, "{ \"a\": \"x\\u007f\\u009b2J\\u202eé\"}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(parse(&shown), parse(nasty));
    }

    #[test]
    fn times_of_day_are_utc() {
        assert_eq!(time_of_day(1_700_000_000_123), "22:13:20.123");
    }
}
