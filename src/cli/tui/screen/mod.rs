//! The parts of every view in a terminal; `top` and `demo` are such views.
//!
//! 1. The terminal is restored however the view ends: by a key, a signal, an error, a panic, and, through `restorer.rs`, `kill -9`.
//! 2. A view is a pure picture, and a drawing of it without side effects; keys and news change the picture between two drawings.
//!
//! `picture.rs` the state of the cluster · `events.rs` the newest events · `paint.rs` parts of the drawing · `nodes.rs` the table of
//! nodes · `stage.rs` the screen with keys and signals, from `terminal.rs`, `keys.rs`, `signals.rs` · `restorer.rs` restores the
//! terminal of a killed view.
//!
//! Not here: the source of the news, and what keys do (`crate::cli::tui::top`, `crate::cli::tui::demo`).

mod events;
mod keys;
mod nodes;
mod paint;
mod picture;
pub(crate) mod restorer;
mod signals;
mod stage;
mod terminal;

pub(crate) use nodes::{Column, NodeTable};
pub(crate) use paint::{Theme, event_list, key_line, lease_line, takeover_line};
#[cfg(test)]
pub(crate) use picture::tests as samples;
pub(crate) use picture::{Picture, Row};
pub(crate) use restorer::run_restorer;
pub(crate) use signals::Signals;
pub(crate) use stage::{Stage, ViewInput};
