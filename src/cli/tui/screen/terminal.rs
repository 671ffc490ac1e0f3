//! Sets up the terminal for a view and restores it.
//!
//! 1. The terminal is restored once per setup: by the end of the view, by a stop, or by a panic of any thread, whichever is first.
//! 2. On a panic the terminal is restored before the message is printed.
//!
//! Not here: keys (`keys.rs`), the case that the process is killed (`restorer.rs`).

use crate::cli::outcome::Failure;
use crate::cli::tui::screen::restorer::TerminalRestorer;
use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::style::ResetColor;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is set up for a view; a process has only one.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether a thread panicked while a view was open.
static PANICKED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The view's screen; dropping this restores the terminal.
pub(crate) struct Screen {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    // Dropped after the terminal was restored, so that the restorer does not restore it a second time.
    _restorer: Option<TerminalRestorer>,
}

impl Screen {
    /// Sets up the terminal. `instead`: the command to recommend if it cannot show a view.
    ///
    /// # Errors
    /// [`Failure::Failed`] with that command.
    pub(crate) fn open(instead: &str) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::Failed(format!("this terminal cannot show the view: {error}; use `{instead}`"));
        HOOK.call_once(|| {
            let print_panic = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if TAKEN.load(Ordering::SeqCst) {
                    PANICKED.store(true, Ordering::SeqCst);
                    restore();
                }
                print_panic(panic);
            }));
        });
        // Without a restorer the view works, too; only `kill -9` leaves the terminal changed.
        let restorer = TerminalRestorer::start().ok();
        enable_raw_mode().map_err(failed)?;
        TAKEN.store(true, Ordering::SeqCst);
        // Nothing here queries the terminal: the answer would mix with the keys, and some terminals give none.
        let opened = execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All), Hide)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())));
        match opened {
            Ok(terminal) => Ok(Self { terminal, _restorer: restorer }),
            Err(error) => {
                restore();
                Err(failed(error))
            }
        }
    }

    /// Draws; only changed cells are written.
    ///
    /// # Errors
    /// When the terminal is gone, or a thread of this process has panicked.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        if PANICKED.load(Ordering::SeqCst) {
            return Err(Failure::Failed(
                "internal error: a thread of this program panicked; its message is above".to_owned(),
            ));
        }
        self.terminal.draw(picture)?;
        Ok(())
    }

    /// The terminal's size: columns and rows.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn size(&self) -> Result<(u16, u16), Failure> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves the view's screen and modes. It fails only if the terminal is gone.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), ResetColor, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
