//! Views in a terminal: `top` and `demo`, and the screen that both use.

pub(crate) mod demo;
pub(crate) mod screen;
pub(crate) mod top;
