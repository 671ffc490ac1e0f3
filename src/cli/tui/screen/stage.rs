//! A screen with its keys and signals: what a view runs on.
//!
//! 1. While the process is stopped (Ctrl-Z) the terminal is the shell's; the view comes back with `fg`.
//! 2. A process that was stopped and continued from outside takes the terminal again, as a shell may have changed it.
//!
//! Not here: what is drawn and what the keys mean (the views).

use super::keys::{Keys, Typed};
use super::signals::{Asked, Signals, stop_group, stop_here};
use super::terminal::Screen;
use crate::cli::outcome::Failure;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use std::io::IsTerminal;

/// What came to a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ViewInput {
    /// A key for the view.
    Key(KeyEvent),
    /// The picture must be drawn again: another size, or back from a stop.
    Redraw,
    /// The view shall end; a signal's exit code, `None` for Ctrl-C and a terminal that is gone.
    End(Option<u8>),
}

impl ViewInput {
    /// What a view that ends returns.
    ///
    /// # Errors
    /// [`Failure::Said`] with a signal's exit code.
    pub(crate) fn outcome(code: Option<u8>) -> Result<(), Failure> {
        code.map_or(Ok(()), |code| Err(Failure::Said(code)))
    }
}

/// See the module's text.
pub(crate) struct Stage {
    /// None while the process is stopped.
    screen: Option<Screen>,
    keys: Keys,
    signals: Signals,
    instead: &'static str,
}

impl Stage {
    /// Whether this process has a terminal to show a view on.
    #[must_use]
    pub(crate) fn is_possible() -> bool {
        std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
    }

    /// Takes the terminal. `instead`: the command to name where that does not work.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) fn open(signals: Signals, instead: &'static str) -> Result<Self, Failure> {
        let screen = Screen::open(instead)?;
        Ok(Self { screen: Some(screen), keys: Keys::read()?, signals, instead })
    }

    /// Draws, but nothing while the process is being stopped.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.screen.as_mut().map_or(Ok(()), |screen| screen.draw(picture))
    }

    /// The size of the terminal: columns and rows.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn size(&self) -> Result<(u16, u16), Failure> {
        self.screen.as_ref().map_or(Ok((0, 0)), Screen::size)
    }

    /// Waits for what comes next. Nothing is lost when this is given up.
    ///
    /// # Errors
    /// When the terminal cannot be taken again after a stop.
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
                        // Given back first: its modes are those that the shell will find again.
                        self.screen = None;
                        self.screen = Some(Screen::open(self.instead)?);
                        return Ok(ViewInput::Redraw);
                    }
                },
            }
        }
    }
}

fn is_control(key: &KeyEvent, letter: char) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char(letter)
}
