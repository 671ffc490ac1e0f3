//! What every view in a terminal is made of; `top` and `demo` are such views.
//!
//! 1. The terminal is restored on every way out: a key, a signal, an error, a panic, and, by `keeper.rs`, also `kill -9`.
//! 2. A view is a picture, pure, and a drawing of it that changes nothing; keys and news come in between two drawings.
//!
//! `picture.rs` what is known of the cluster · `events.rs` the newest events · `paint.rs` the parts that are drawn ·
//! `nodes.rs` the table of nodes · `stage.rs` the screen with its keys and signals, from `terminal.rs`, `keys.rs`, `signals.rs`.
//!
//! Not here: where the news comes from, and what the keys do (`crate::cli::tui::top`, `crate::cli::tui::demo`).

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
pub(crate) use restorer::keep;
pub(crate) use signals::Signals;
pub(crate) use stage::{Stage, ViewInput};
