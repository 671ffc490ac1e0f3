//! The tables of a node's file, defined once.
//!
//! 1. A change of a table's meaning raises [`FORMAT`]; a file of a later format is set aside, not read.
//!
//! Not here: reading (`database.rs`) and writing (`transaction.rs`).

use redb::{TableDefinition, TableError};

/// The newest format of the file that this version reads, and the one of a file with packed messages.
pub(super) const FORMAT: u64 = 2;

/// The format of a file without packed messages: the version before reads it, so that a downgrade keeps ids, marks and cursor.
pub(super) const FORMAT_WITHOUT_PACKED: u64 = 1;

/// Counters by name: `format`, `last_seq`, `reserved_seq` (see `ahead.rs`), `unsent_messages`, `unsent_bytes`, `unsent_rows`.
pub(super) const NUMBERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("numbers");

/// Texts by name: `producer`, `saved` (JSON).
pub(super) const TEXTS: TableDefinition<'static, &'static str, &'static str> = TableDefinition::new("texts");

/// Unsent messages, packed as in the stream, by the producer sequence of the first one: their number, and their JSON array.
pub(super) const PACKED: TableDefinition<'static, u64, (u64, &'static [u8])> = TableDefinition::new("packed");

/// Unsent single messages of format 1, as JSON, by producer sequence.
pub(super) const UNSENT: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("unsent");

/// A client's message id → producer sequence, wall time in milliseconds, position in the stream or [`NO_ENTRY`].
pub(super) const IDS: TableDefinition<'static, &'static str, (u64, u64, u64)> = TableDefinition::new("ids");

/// Producer sequence → a client's message id, to find the oldest id.
pub(super) const RECENT: TableDefinition<'static, u64, &'static str> = TableDefinition::new("recent");

/// Producer → its mark, and when it was last updated, as a rising number.
pub(super) const MARKS: TableDefinition<'static, &'static str, (u64, u64)> = TableDefinition::new("marks");

/// Unsent messages that were imported from another store, packed, by its producer and the sequence of the first one.
pub(super) const ADOPTED_PACKED: TableDefinition<'static, (&'static str, u64), (u64, &'static [u8])> =
    TableDefinition::new("adopted_packed");

/// Unsent single messages of format 1 that were imported from another store, by its producer and sequence.
pub(super) const ADOPTED_UNSENT: TableDefinition<'static, (&'static str, u64), &'static [u8]> =
    TableDefinition::new("adopted_unsent");

/// A message id that an imported store remembered → wall time in milliseconds, position in the stream or [`NO_ENTRY`].
pub(super) const ADOPTED_IDS: TableDefinition<'static, &'static str, (u64, u64)> = TableDefinition::new("adopted_ids");

/// Means that the position in the stream is unknown.
pub(super) const NO_ENTRY: u64 = u64::MAX;

/// Treats a table that an older version did not create as empty.
pub(super) fn or_empty<T>(table: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
