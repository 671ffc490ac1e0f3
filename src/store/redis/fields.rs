//! Reads the answers of Redis field by field, without trusting them.
//!
//! 1. A missing field, or one of another type, is an error that names the field, never a panic.
//!
//! Not here: the fields of each reply (`transitions/`).

use crate::cluster::protocol::Identity;
use crate::cluster::time::ServerTime;
use redis::Value;

/// A reply in another form than the script's header says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected data in Redis: {0}")]
pub(crate) struct Malformed(pub(super) String);

/// The fields of a list, read one after the other.
pub(crate) struct Fields {
    values: std::vec::IntoIter<Value>,
}

impl Fields {
    pub(super) fn of(what: &str, value: Value) -> Result<Self, Malformed> {
        match value {
            Value::Array(values) => Ok(Self { values: values.into_iter() }),
            other => Err(Malformed(format!("{what} must be a list, not {}", kind(&other)))),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    fn take(&mut self, what: &str) -> Result<Value, Malformed> {
        self.values.next().ok_or_else(|| Malformed(format!("{what} is missing")))
    }

    pub(super) fn list(&mut self, what: &str) -> Result<Self, Malformed> {
        let value = self.take(what)?;
        Self::of(what, value)
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, Malformed> {
        match self.take(what)? {
            Value::BulkString(bytes) => {
                String::from_utf8(bytes).map_err(|_| Malformed(format!("{what} is not valid UTF-8")))
            }
            Value::SimpleString(text) => Ok(text),
            Value::Int(number) => Ok(number.to_string()),
            other => Err(Malformed(format!("{what} must be a string, not {}", kind(&other)))),
        }
    }

    /// A text that another program may have written; `None`: it is not valid UTF-8.
    pub(super) fn foreign_text(&mut self, what: &str) -> Result<Option<String>, Malformed> {
        match self.take(what)? {
            Value::BulkString(bytes) => Ok(String::from_utf8(bytes).ok()),
            other => Err(Malformed(format!("{what} must be a string, not {}", kind(&other)))),
        }
    }

    pub(super) fn optional(&mut self, what: &str) -> Result<Option<String>, Malformed> {
        let text = self.text(what)?;
        Ok((!text.is_empty()).then_some(text))
    }

    pub(super) fn signed(&mut self, what: &str) -> Result<i64, Malformed> {
        let text = self.text(what)?;
        let shown = || text.chars().take(40).collect::<String>();
        text.parse().map_err(|_| Malformed(format!("{what} must be a number, not {:?}", shown())))
    }

    pub(super) fn number(&mut self, what: &str) -> Result<u64, Malformed> {
        Ok(u64::try_from(self.signed(what)?).unwrap_or(0))
    }

    pub(super) fn flag(&mut self, what: &str) -> Result<bool, Malformed> {
        Ok(self.number(what)? > 0)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "a list",
        _ => "another type",
    }
}

pub(super) fn time(f: &mut Fields) -> Result<ServerTime, Malformed> {
    f.number("time").map(ServerTime)
}

pub(super) fn identity(f: &mut Fields) -> Result<Identity, Malformed> {
    named_identity(&f.text("status")?)
}

pub(super) fn named_identity(status: &str) -> Result<Identity, Malformed> {
    Ok(match status {
        "ok" => Identity::Ok,
        "unknown" => Identity::Unknown,
        "replaced" => Identity::Replaced,
        "gone" => Identity::Gone,
        "epoch" => Identity::Epoch,
        other => return Err(Malformed(format!("unknown status {other:?}"))),
    })
}
