//! One line that is written over while something goes on.
//!
//! 1. On a terminal only, and on standard error: what a program reads stays free of it.
//!
//! Not here: what is shown.

use crate::cli::Environment;
use crate::cli::terminal::escape_lines;
use std::io::{IsTerminal, Write};

/// The line.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    shown: String,
}

impl Progress {
    /// A line that shows nothing yet.
    #[must_use]
    pub(crate) fn new(environment: &Environment) -> Self {
        let terminal = std::io::stderr().is_terminal() && environment.get("TERM") != Some("dumb");
        Self { terminal, shown: String::new() }
    }

    /// Shows a text in place of the one before; where there is no terminal, as a line of its own when it is another one.
    pub(crate) fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        let text = &escape_lines(text);
        let line = if self.terminal { format!("\r\u{1b}[2K{text}") } else { format!("{text}\n") };
        Self::write(&line);
        text.clone_into(&mut self.shown);
    }

    /// The same, on a terminal only.
    pub(crate) fn show_on_terminal(&mut self, text: &str) {
        if self.terminal {
            self.show(text);
        }
    }

    /// Takes the line away, so that something else can be written.
    pub(crate) fn clear(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            Self::write("\r\u{1b}[2K");
        }
        self.shown.clear();
    }

    fn write(text: &str) {
        let mut stderr = std::io::stderr().lock();
        // A closed one leaves nobody to show anything to.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}
