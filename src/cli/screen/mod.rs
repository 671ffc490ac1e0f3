//! What every view in a terminal is made of; `top` and `demo` are such views.
//!
//! 1. The terminal is restored on every way out: a key, a signal, an error, a panic, and, by `keeper.rs`, also `kill -9`.
//! 2. A view is a picture, pure, and a drawing of it that changes nothing; keys and news come in between two drawings.
//!
//! `picture.rs` what is known of the cluster · `events.rs` the newest events · `paint.rs` the parts that are drawn ·
//! `nodes.rs` the table of nodes · `stage.rs` the screen with its keys and signals, from `terminal.rs`, `keys.rs`, `signals.rs`.
//!
//! Not here: where the news comes from, and what the keys do (`crate::cli::top`, `crate::cli::demo`).

mod events;
mod keeper;
mod keys;
mod nodes;
mod paint;
mod picture;
mod signals;
mod stage;
mod terminal;

pub(super) use keeper::keep;
pub(super) use nodes::{Column, NodeTable};
pub(super) use paint::{Theme, event_list, key_line, lease_line, takeover_line};
#[cfg(test)]
pub(super) use picture::tests as samples;
pub(super) use picture::{Picture, Row};
pub(super) use signals::Signals;
pub(super) use stage::{Happening, Stage};
