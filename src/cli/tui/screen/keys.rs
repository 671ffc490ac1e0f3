//! Reads keys on a separate thread, because reading blocks.
//!
//! 1. The thread ends when [`Keys`] is dropped, and stops reading while its queue is full.
//!
//! Not here: what keys do (the views).

use crate::cli::outcome::Failure;
use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the thread checks whether [`Keys`] was dropped.
const KEY_POLL: Duration = Duration::from_millis(50);
/// The most keys that wait to be read.
const MAX_QUEUED: usize = 64;

/// What the terminal sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A key.
    Key(KeyEvent),
    /// The terminal's size changed.
    Resized,
    /// The terminal is gone; nothing more will come.
    Lost,
}

/// The reader of keys.
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
    /// Starts to read.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn read() -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let (sender, typed) = mpsc::channel(MAX_QUEUED);
        let seen = Arc::clone(&over);
        let read = move || {
            while !seen.load(Ordering::Relaxed) {
                let typed = match event::poll(KEY_POLL) {
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
        started
            .map(|_| Self { typed, over })
            .map_err(|error| Failure::Failed(format!("cannot start the thread that reads keys: {error}")))
    }

    /// Waits for the next input.
    pub(crate) async fn next(&mut self) -> Typed {
        self.typed.recv().await.unwrap_or(Typed::Lost)
    }
}

fn read_event(event: &Event) -> Option<Typed> {
    match event {
        Event::Resize(..) => Some(Typed::Resized),
        // A key that is held down counts as repeated presses.
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Typed::Key(*key)),
        _ => None,
    }
}
