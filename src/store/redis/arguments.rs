//! The arguments of a script, each with the name by which the script reads it.
//!
//! 1. A name stands in one place, beside its value: the script writes `ARGV.ttl`, and [`Arguments::resolve`] makes that
//!    `ARGV[7]`. No position is counted by hand.
//! 2. A script with a name that has no value, or a value that no script reads, fails in a debug build, with its first call.

use crate::cluster::ids::{Incarnation, LeaseName, LimitName, MessageSeq, NodeId, Nonce, TaskToken, Term};
use crate::cluster::protocol::{Instance, Numbers, Owner};
use crate::cluster::task::{ScheduleId, TaskId, TaskKind};
use crate::cluster::time::millis;
use std::time::Duration;

/// A value that a script gets as a text.
pub(super) trait Argument {
    fn text(&self) -> String;
}

macro_rules! displayed {
    ($($type:ty),+) => {
        $(impl Argument for $type {
            fn text(&self) -> String {
                self.to_string()
            }
        })+
    };
}

displayed!(str, &str, String, u16, u32, u64, usize, i64);
displayed!(Incarnation, LeaseName, LimitName, MessageSeq, NodeId, Nonce, ScheduleId, TaskId, TaskKind, TaskToken, Term);

impl Argument for bool {
    fn text(&self) -> String {
        u8::from(*self).to_string()
    }
}

/// In milliseconds.
impl Argument for Duration {
    fn text(&self) -> String {
        millis(*self).to_string()
    }
}

/// Empty if there is none.
impl<T: Argument> Argument for Option<T> {
    fn text(&self) -> String {
        self.as_ref().map(Argument::text).unwrap_or_default()
    }
}

impl<T: Argument> Argument for &Option<T> {
    fn text(&self) -> String {
        (*self).text()
    }
}

/// The items at the end of the arguments: a name for all, and one for each part of an item.
#[derive(Debug, Clone, Copy)]
struct List {
    name: &'static str,
    parts: &'static [&'static str],
}

/// The arguments of one call; see the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    names: Vec<&'static str>,
    list: Option<List>,
    values: Vec<String>,
}

impl Arguments {
    /// Adds a value. All come before the [list](Self::list), and each is always there, so that its position is the same
    /// in every call.
    pub(super) fn put<T: Argument + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.names.push(name);
        self.values.push(value.text());
    }

    /// Adds `node_id` and `incarnation`.
    pub(super) fn put_instance(&mut self, instance: &Instance) {
        self.put("node_id", &instance.node_id);
        self.put("incarnation", &instance.incarnation);
    }

    /// Adds `node_id`, `incarnation` and `presence`.
    pub(super) fn put_owner(&mut self, owner: &Owner) {
        self.put("node_id", &owner.node_id);
        self.put("incarnation", &owner.incarnation);
        self.put("presence", &owner.presence);
    }

    /// Adds the highest numbers that the caller has seen, and the epoch for an empty data set.
    pub(super) fn put_known(&mut self, known: &Numbers, fresh_epoch: &Nonce) {
        self.put("known_token", &known.token);
        self.put("known_event", &known.event);
        self.put("known_message", &known.message);
        self.put("fresh_epoch", fresh_epoch);
    }

    /// Adds the items at the end, each with the same parts.
    pub(super) fn list<const N: usize>(
        &mut self,
        name: &'static str,
        parts: &'static [&'static str; N],
        items: impl IntoIterator<Item = [String; N]>,
    ) {
        self.list = Some(List { name, parts });
        self.values.extend(items.into_iter().flatten());
    }

    /// The values, in order.
    pub(super) fn values(&self) -> &[String] {
        &self.values
    }

    /// Replaces the names in a script: `ARGV.<name>` by the value, `ARGV.<list>.first` and `ARGV.<list>.size` by the position of
    /// the first item and the number of its parts, `ARGV[<at>].<part>` by a part of the item that begins at `<at>`.
    pub(super) fn resolve(&self, script: &str) -> String {
        let mut resolved = String::with_capacity(script.len());
        let mut rest = script;
        let mut read = Vec::new();
        while let Some(at) = rest.find("ARGV") {
            let (before, after) = rest.split_at(at + "ARGV".len());
            resolved.push_str(before);
            rest = match self.reference(after) {
                Some((name, text, len)) => {
                    resolved.truncate(resolved.len() - if text.starts_with('[') { 0 } else { "ARGV".len() });
                    resolved.push_str(&text);
                    read.push(name);
                    &after[len..]
                }
                None => after,
            };
        }
        resolved.push_str(rest);
        debug_assert!(!resolved.contains("ARGV."), "a script reads an argument without a value: {resolved}");
        // The only part of an item may be read by its position.
        let parts =
            self.list.iter().flat_map(|list| list.parts).filter(|_| self.list.is_some_and(|list| list.parts.len() > 1));
        let unread: Vec<&&str> = self.names.iter().chain(parts).filter(|name| !read.contains(*name)).collect();
        debug_assert!(unread.is_empty(), "no script reads {unread:?}: {resolved}");
        resolved
    }

    /// The name after `ARGV`, what replaces it, and its length.
    fn reference(&self, after: &str) -> Option<(&'static str, String, usize)> {
        let word = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        if let Some(item) = after.strip_prefix('[') {
            let (at, rest) = item.split_once(']')?;
            let part = rest.strip_prefix('.')?;
            let part = &part[..word(part)];
            let offset = self.list?.parts.iter().position(|known| *known == part)?;
            return Some((self.list?.parts[offset], format!("[{at} + {offset}]"), at.len() + part.len() + 3));
        }
        let name = after.strip_prefix('.')?;
        let name = &name[..word(name)];
        if let Some(position) = self.names.iter().position(|known| *known == name) {
            return Some((self.names[position], format!("[{}]", position + 1), name.len() + 1));
        }
        let list = self.list.filter(|list| list.name == name)?;
        let rest = &after[name.len() + 1..];
        let first = (list.name, (self.names.len() + 1).to_string(), name.len() + 1 + ".first".len());
        let size = (list.name, list.parts.len().to_string(), name.len() + 1 + ".size".len());
        rest.starts_with(".first").then_some(first).or(rest.starts_with(".size").then_some(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        let mut arguments = Arguments::default();
        arguments.put("node_id", "a");
        arguments.put("ttl", &Duration::from_secs(2));
        arguments.list("tasks", &["id", "kind"], [["1".to_owned(), "x".to_owned()]]);
        arguments
    }

    #[test]
    fn names_become_positions() {
        let script = "local id, ttl = ARGV.node_id, tonumber(ARGV.ttl)\n\
                      for at = ARGV.tasks.first, #ARGV, ARGV.tasks.size do f(ARGV[at].id, ARGV[at].kind, ARGV[at]) end";
        let resolved = "local id, ttl = ARGV[1], tonumber(ARGV[2])\n\
                        for at = 3, #ARGV, 2 do f(ARGV[at + 0], ARGV[at + 1], ARGV[at]) end";
        assert_eq!(arguments().resolve(script), resolved);
        assert_eq!(arguments().values(), ["a", "2000", "1", "x"]);
    }

    #[test]
    #[should_panic(expected = "without a value")]
    fn a_name_without_a_value_is_noticed() {
        arguments().resolve("f(ARGV.node_id, ARGV.ttl, ARGV.grace, ARGV[at].id, ARGV[at].kind)");
    }

    #[test]
    #[should_panic(expected = "no script reads [\"ttl\"]")]
    fn a_value_that_nothing_reads_is_noticed() {
        arguments().resolve("f(ARGV.node_id, ARGV[at].id, ARGV[at].kind)");
    }
}
