//! The terminal, taken for a view and given back.
//!
//! 1. Giving back happens once for each taking, by whoever comes first: the view's end, a stop, or a panic of any thread.
//! 2. A panic gives it back before it is told of.
//!
//! Not here: keys (`keys.rs`), what happens when the process is killed (`keeper.rs`).

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

/// Whether the terminal is taken; there is one for the process.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether a thread panicked while a view was open.
static PANICKED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The screen, given back when this is dropped.
pub(crate) struct Screen {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    // After the terminal: what gives it back must not be seen as the view's death.
    _keeper: Option<TerminalRestorer>,
}

impl Screen {
    /// Takes the terminal. `instead`: the command to name where it cannot show a view.
    ///
    /// # Errors
    /// [`Failure::Failed`] with that command.
    pub(crate) fn open(instead: &str) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::Failed(format!("this terminal cannot show the view: {error}; use `{instead}`"));
        HOOK.call_once(|| {
            let tell = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if TAKEN.load(Ordering::SeqCst) {
                    PANICKED.store(true, Ordering::SeqCst);
                    give_back();
                }
                tell(panic);
            }));
        });
        // A view without one works as well, but for `kill -9`.
        let keeper = TerminalRestorer::start().ok();
        enable_raw_mode().map_err(failed)?;
        TAKEN.store(true, Ordering::SeqCst);
        // Nothing here asks the terminal for an answer: it would come between the keys, and some give none.
        let opened = execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All), Hide)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())));
        match opened {
            Ok(terminal) => Ok(Self { terminal, _keeper: keeper }),
            Err(error) => {
                give_back();
                Err(failed(error))
            }
        }
    }

    /// Draws; what stays as it was is not written again.
    ///
    /// # Errors
    /// When the terminal is gone, or a thread of this process has panicked.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        if PANICKED.load(Ordering::SeqCst) {
            return Err(Failure::Failed("a part of this program has failed; what it said stands above".to_owned()));
        }
        self.terminal.draw(picture)?;
        Ok(())
    }

    /// How large it is.
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
        give_back();
    }
}

/// Leaves the view's screen and modes. What fails here fails because the terminal is gone.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), ResetColor, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
