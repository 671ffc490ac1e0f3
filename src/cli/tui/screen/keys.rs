//! The keys, read on a thread of its own, as reading blocks.
//!
//! 1. The thread ends with what this returns, and does not read while nobody takes what it has read.
//!
//! Not here: what keys mean (the views).

use crate::cli::outcome::Failure;
use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

const KEY_WAIT: Duration = Duration::from_millis(50);
const QUEUED: usize = 64;

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A key.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// There will be no more.
    Lost,
}

/// The keys that come in.
#[derive(Debug)]
pub(crate) struct Keys {
    typed: mpsc::Receiver<Typed>,
    over: Arc<AtomicBool>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Keys {
    /// Reads from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn read() -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let (sender, typed) = mpsc::channel(QUEUED);
        let seen = Arc::clone(&over);
        let read = move || {
            while !seen.load(Ordering::Relaxed) {
                let typed = match event::poll(KEY_WAIT) {
                    Ok(false) => continue,
                    Ok(true) => event::read().map_or(Some(Typed::Lost), |event| read_event(&event)),
                    // The terminal is gone.
                    Err(_) => Some(Typed::Lost),
                };
                let Some(typed) = typed else { continue };
                let last = typed == Typed::Lost;
                if sender.blocking_send(typed).is_err() || last {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("keys".to_owned()).spawn(read);
        started.map(|_| Self { typed, over }).map_err(|error| Failure::Failed(format!("cannot read keys: {error}")))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Typed {
        self.typed.recv().await.unwrap_or(Typed::Lost)
    }
}

fn read_event(event: &Event) -> Option<Typed> {
    match event {
        Event::Resize(..) => Some(Typed::Resized),
        // A key that is held down is a key that is pressed often.
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Typed::Key(*key)),
        _ => None,
    }
}
