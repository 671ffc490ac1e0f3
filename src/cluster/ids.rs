//! The names and numbers of the cluster, each a type of its own.
//!
//! 1. A `NodeId`, `ClusterName` or `LeaseName` is checked when it is created: it is safe in a Redis key, a file name and a
//!    log line.
//! 2. `Term`, `Incarnation`, `EventSeq` and `MessageSeq` stay below 2^53, so that JSON readers keep them exact.
//!
//! Not here: the meaning of the numbers for a leader (`lease/leadership.rs`) or a message (`messages/message.rs`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// The characters that a name may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Letters, digits, `.`, `_` and `-`; `.` and `-` not at the beginning.
    Plain,
    /// Those of `Plain`, and `:`, `/`, `@`, `+` and spaces, as account names and addresses have them; no space at either end.
    Account,
    /// All printable ASCII characters except space.
    Graphic,
}

impl Alphabet {
    fn holds(self, text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match self {
            Self::Plain => text.chars().all(plain) && !text.starts_with(['.', '-']),
            Self::Account => {
                let more = |c: char| matches!(c, ':' | '/' | '@' | '+' | ' ');
                text.chars().all(|c| plain(c) || more(c)) && !text.starts_with(['.', '-', ' ']) && !text.ends_with(' ')
            }
            Self::Graphic => text.bytes().all(|b| b.is_ascii_graphic()),
        }
    }
}

impl fmt::Display for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "characters of a-z, A-Z, 0-9, '.', '_', '-' (not starting with '.' or '-')",
            Self::Account => {
                "characters of a-z, A-Z, 0-9, '.', '_', '-', ':', '/', '@', '+' and spaces (not starting with '.' or '-', no space \
                 at either end)"
            }
            Self::Graphic => "printable ASCII characters without spaces",
        })
    }
}

/// Why a text is not a valid id; the message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not allowed: use 1 to {max} {alphabet}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    max: usize,
    alphabet: Alphabet,
}

pub(super) fn check(what: &'static str, text: &str, max: usize, alphabet: Alphabet) -> Result<(), InvalidId> {
    if !text.is_empty() && text.len() <= max && alphabet.holds(text) {
        return Ok(());
    }
    let shown: String = text.chars().take(80).collect();
    Err(InvalidId { what, text: shown, max, alphabet })
}

/// Defines a type for a text that is checked when it is created. A clone shares the text: each message has the ids of its sender.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $alphabet:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks a text and converts it.
            ///
            /// # Errors
            /// [`InvalidId`](crate::cluster::ids::InvalidId) when the text is empty, too long or contains a character that
            /// is not allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, $crate::cluster::ids::InvalidId> {
                let text = text.into();
                $crate::cluster::ids::check($what, &text, $max, $crate::cluster::ids::Alphabet::$alphabet)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::cluster::ids::InvalidId;
            fn try_from(text: String) -> Result<Self, $crate::cluster::ids::InvalidId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::cluster::ids::InvalidId;
            fn from_str(text: &str) -> Result<Self, $crate::cluster::ids::InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

pub(super) use checked_text;

checked_text!(
    /// The stable name of a node, at most 64 characters; it survives restarts of the process.
    NodeId, "node id", 64, Plain
);
checked_text!(
    /// The name of a cluster, at most 64 characters; it separates two clusters on one Redis.
    ClusterName, "cluster name", 64, Plain
);
checked_text!(
    /// A random text of 1 to 64 characters that identifies one process, one presence connection, one producer or one
    /// renewal.
    Nonce, "nonce", 64, Plain
);
checked_text!(
    /// The name of a lease, at most 128 characters; `leader` is the leadership.
    LeaseName, "lease name", 128, Account
);
checked_text!(
    /// The name of a rate limit or of a semaphore: 1 to 128 printable ASCII characters without spaces.
    LimitName, "name", 128, Graphic
);

impl LeaseName {
    /// The name of the leadership, which is granted by its own rules.
    pub const LEADER: &'static str = "leader";

    /// Whether this is the leadership.
    #[must_use]
    pub fn is_leadership(&self) -> bool {
        self.as_str() == Self::LEADER
    }
}

impl Nonce {
    /// A nonce of 32 hexadecimal digits from 16 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The term of a leader; it rises with every grant and is the fencing token of the lease named `leader`. 0: none yet.
    Term
);
number!(
    /// The number of a node's incarnation; it rises with every start of its process. 0: never joined.
    Incarnation
);
number!(
    /// The position of an event in the order that all nodes see; contiguous within a data epoch.
    EventSeq
);
number!(
    /// The position of a message in the order that all nodes see; contiguous within a data epoch.
    MessageSeq
);

number!(
    /// The token under which a task was claimed; it rises with every claim, from the same counter as the terms. 0: never
    /// claimed.
    TaskToken
);

macro_rules! entry_id {
    ($name:ident) => {
        impl $name {
            /// The text form for clients, `<seq>-0`.
            #[must_use]
            pub fn entry_id(self) -> String {
                format!("{}-0", self.0)
            }

            /// Parses the text form; `None`: the text is not one.
            #[must_use]
            pub fn from_entry_id(text: &str) -> Option<Self> {
                let digits = text.strip_suffix("-0")?;
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let seq: u64 = if plain { digits.parse().ok()? } else { return None };
                (seq < 1 << 53).then_some(Self(seq))
            }

            /// The next position.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

entry_id!(EventSeq);
entry_id!(MessageSeq);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_break_a_key_a_path_or_a_log_line_are_refused() {
        for bad in ["", "..", ".hidden", "-flag", "a b", "a/b", "a{b}", "a\nb", "ü", &"x".repeat(65)] {
            assert!(NodeId::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["a", "node-1", "gw.eu_west-2", &"x".repeat(64)] {
            assert_eq!(NodeId::new(good).map(String::from), Ok(good.to_owned()));
        }
    }

    #[test]
    fn the_name_of_a_lease_may_have_parts() {
        for bad in ["", " a", "a ", "a\tb", "a\nb", "a,b", "a'b", "a{b}", "-a", &"x".repeat(129)] {
            assert!(LeaseName::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["bot:telegram/main", "+49 151 1234567", "bot@example.net", "Ada Lovelace"] {
            assert!(LeaseName::new(good).is_ok_and(|name| !name.is_leadership()), "{good}");
        }
        assert!(LeaseName::new("a*b").is_err_and(|why| why.to_string().contains("'@', '+' and spaces (not")));
    }

    #[test]
    fn entry_ids_come_back_and_others_are_refused() {
        assert_eq!(MessageSeq::from_entry_id("17-0"), Some(MessageSeq(17)));
        for bad in ["17", "17-1", "-0", "+1-0", "1e3-0", "99999999999999999999-0", "9007199254740992-0"] {
            assert_eq!(MessageSeq::from_entry_id(bad), None, "{bad}");
        }
    }
}
