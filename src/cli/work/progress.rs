//! A progress line that is overwritten while work goes on.
//!
//! 1. It goes to standard error, so that standard output stays clean, and is overwritten only on a terminal.
//!
//! Not here: what is shown.

use crate::cli::Environment;
use crate::config::escape_json_lines;
use std::io::{IsTerminal, Write};

/// The progress line.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    shown: String,
}

impl Progress {
    /// An empty line.
    #[must_use]
    pub(crate) fn new(environment: &Environment) -> Self {
        let terminal = std::io::stderr().is_terminal() && environment.get("TERM") != Some("dumb");
        Self { terminal, shown: String::new() }
    }

    /// Replaces the shown text; without a terminal, prints a new line if the text changed.
    pub(crate) fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        let text = &escape_json_lines(text);
        let line = if self.terminal { format!("\r\u{1b}[2K{text}") } else { format!("{text}\n") };
        Self::write(&line);
        text.clone_into(&mut self.shown);
    }

    /// Like [`Self::show`], but only on a terminal.
    pub(crate) fn show_on_terminal(&mut self, text: &str) {
        if self.terminal {
            self.show(text);
        }
    }

    /// Removes the line, so that other output can be written.
    pub(crate) fn clear(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            Self::write("\r\u{1b}[2K");
        }
        self.shown.clear();
    }

    fn write(text: &str) {
        let mut stderr = std::io::stderr().lock();
        // It fails only when standard error is closed.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}
