//! What a run went through: how often each fault happened and each rule applied.
//!
//! 1. A name that is listed in `EXPECTED` and was never seen in a large run fails it: a fault that never happens, or a rule
//!    that never applies, is not tested.
//!
//! Not here: whether what happened was right (`checks.rs` and its siblings).

use crate::expected::EXPECTED;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A name of the table: a group, a colon, and what it was.
pub(crate) type Name = Cow<'static, str>;

/// How often each thing was seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Coverage {
    seen: BTreeMap<Name, u64>,
}

impl Coverage {
    pub(crate) fn see(&mut self, name: &'static str) {
        *self.seen.entry(Cow::Borrowed(name)).or_default() += 1;
    }

    /// A name that is put together; costs a text each time.
    pub(crate) fn see_text(&mut self, name: String) {
        *self.seen.entry(Cow::Owned(name)).or_default() += 1;
    }

    pub(crate) fn take_in(&mut self, other: Self) {
        for (name, count) in other.seen {
            *self.seen.entry(name).or_default() += count;
        }
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.seen.get(name).copied().unwrap_or(0)
    }

    /// A line for each name, those that were expected and not seen among them.
    pub(crate) fn table(&self) -> String {
        let mut all: BTreeMap<&str, u64> = self.seen.iter().map(|(name, count)| (name.as_ref(), *count)).collect();
        for name in EXPECTED {
            all.entry(name).or_default();
        }
        all.iter().map(|(name, count)| format!("{count:>12}  {name}\n")).collect()
    }

    /// What was expected and not seen.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        EXPECTED.iter().copied().filter(|name| self.count(name) == 0).collect()
    }
}
