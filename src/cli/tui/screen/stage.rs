//! The screen with its keys and signals, which a view runs on.
//!
//! 1. While the process is stopped (Ctrl-Z) the terminal belongs to the shell; `fg` restores the view.
//! 2. A process that was stopped and continued from outside sets up the terminal again, because a shell may have changed it.
//!
//! Not here: the drawing and the meaning of keys (the views).

use super::keys::{Keys, Typed};
use super::signals::{Asked, Signals, stop_group, stop_here};
use super::terminal::Screen;
use crate::cli::outcome::Failure;
use crate::cli::{Environment, charset};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use std::io::IsTerminal;

/// An input of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ViewInput {
    /// A key for the view.
    Key(KeyEvent),
    /// The view must be redrawn: the size changed, or the process was continued.
    Redraw,
    /// The view must end: with a signal's exit code; `None` for Ctrl-C or a terminal that is gone.
    End(Option<u8>),
}

impl ViewInput {
    /// The outcome of a view that ends.
    ///
    /// # Errors
    /// [`Failure::Reported`] with a signal's exit code.
    pub(crate) fn outcome(code: Option<u8>) -> Result<(), Failure> {
        code.map_or(Ok(()), |code| Err(Failure::Reported(code)))
    }
}

/// See the module's text.
pub(crate) struct Stage {
    /// `None` while the process is stopped.
    screen: Option<Screen>,
    keys: Keys,
    signals: Signals,
    /// The command to recommend when the terminal cannot show the view.
    instead: &'static str,
    /// Whether the terminal shows ASCII only.
    ascii: bool,
}

impl Stage {
    /// Whether standard input and output are a terminal that can be drawn on: a dumb one, as in an editor, cannot.
    #[must_use]
    pub(crate) fn is_possible(environment: &Environment) -> bool {
        let dumb = environment.get("TERM") == Some("dumb");
        !dumb && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
    }

    /// Sets up the terminal. `instead`: the command to recommend if that fails.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) fn open(signals: Signals, instead: &'static str, environment: &Environment) -> Result<Self, Failure> {
        let screen = Screen::open(instead)?;
        let ascii = !charset::is_utf8(environment);
        Ok(Self { screen: Some(screen), keys: Keys::read()?, signals, instead, ascii })
    }

    /// Draws; does nothing while the process is stopped.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        let ascii = self.ascii;
        let picture = |frame: &mut Frame<'_>| {
            picture(frame);
            if ascii {
                to_ascii(frame.buffer_mut());
            }
        };
        self.screen.as_mut().map_or(Ok(()), |screen| screen.draw(picture))
    }

    /// The size of the terminal: columns and rows.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn size(&self) -> Result<(u16, u16), Failure> {
        self.screen.as_ref().map_or(Ok((0, 0)), Screen::size)
    }

    /// Waits for the next input. Cancel safe: no input is lost when the future is dropped.
    ///
    /// # Errors
    /// When the terminal cannot be set up again after a stop.
    pub(crate) async fn next(&mut self) -> Result<ViewInput, Failure> {
        loop {
            tokio::select! {
                typed = self.keys.next() => match typed {
                    Typed::Key(key) if is_control(&key, 'c') => return Ok(ViewInput::End(None)),
                    Typed::Key(key) if is_control(&key, 'z') => { stop_group(); }
                    Typed::Key(key) => return Ok(ViewInput::Key(key)),
                    Typed::Resized => return Ok(ViewInput::Redraw),
                    Typed::Lost => return Ok(ViewInput::End(None)),
                },
                asked = self.signals.next() => match asked {
                    Asked::End(code) => return Ok(ViewInput::End(Some(code))),
                    Asked::Stop => {
                        self.screen = None;
                        stop_here();
                    }
                    Asked::Continued => {
                        // Restores it first, so that the modes to restore later are the shell's.
                        self.screen = None;
                        self.screen = Some(Screen::open(self.instead)?);
                        return Ok(ViewInput::Redraw);
                    }
                },
            }
        }
    }
}

/// Replaces what a terminal without UTF-8 cannot show. A wide character becomes one character and a space.
fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let shown = cell.symbol().chars().next().map_or(' ', charset::ascii);
            cell.set_char(shown);
        }
    }
}

fn is_control(key: &KeyEvent, letter: char) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_utf_8_gets_one_character_for_each() {
        let mut buffer = Buffer::with_lines(["─ lease ██░ 漢 ·"]);
        to_ascii(&mut buffer);
        assert_eq!(buffer, Buffer::with_lines(["- lease ##. ?  ."]));
    }
}
