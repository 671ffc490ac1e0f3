//! The rows of unsent messages: packed entries, and single messages that an older version wrote.
//!
//! 1. A row is byte for byte what goes into the stream.
//! 2. Single messages come before packed ones: this version writes only packed ones.
//!
//! Not here: adding rows (`transaction.rs`).

use super::memory::Unsent;
use super::tables::{NUMBERS, PACKED, UNSENT};
use crate::cluster::messages::message::Message;
use crate::cluster::messages::packing::bytes_of;
use crate::cluster::protocol::Packed;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table};

/// Entries for one write to the stream.
#[derive(Debug)]
pub(super) struct Batch {
    entries: Vec<Packed>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

impl Batch {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self { entries: Vec::new(), bytes: 0, max_entries, max_bytes }
    }

    /// Adds an entry, to the last one if it fits into it; returns it if the batch is full.
    pub(super) fn add(&mut self, entry: Packed) -> Option<Packed> {
        let bytes = self.bytes + entry.body.len();
        if bytes > self.max_bytes && !self.entries.is_empty() {
            return Some(entry);
        }
        let apart = match self.entries.last_mut() {
            Some(last) => last.join(entry),
            None => Some(entry),
        };
        if let Some(entry) = apart {
            if self.entries.len() >= self.max_entries {
                return Some(entry);
            }
            self.entries.push(entry);
        }
        self.bytes = bytes;
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn finish(self) -> Vec<Packed> {
        self.entries
    }
}

/// A single message of an older version as an entry; `None`: it cannot be read. It stays in the file for analysis: blocking all later
/// messages would be worse.
pub(super) fn single(seq: u64, json: &[u8]) -> Option<Packed> {
    let text = std::str::from_utf8(json).unwrap_or_default();
    match serde_json::from_str::<Message>(text) {
        Ok(_) => Some(Packed { first: seq, count: 1, body: format!("[{text}]") }),
        Err(error) => {
            tracing::error!(seq, %error, "cannot read an unsent message in the outbox; it is skipped and not sent");
            None
        }
    }
}

/// A packed row as an entry.
pub(super) fn packed(first: u64, (count, body): (u64, &[u8])) -> Result<Packed, redb::Error> {
    let body = String::from_utf8(body.to_vec())
        .map_err(|_| redb::Error::Corrupted(format!("the messages from {first} on are not UTF-8")))?;
    Ok(Packed { first, count, body })
}

/// The unsent messages after a producer sequence.
pub(super) fn read_batch(database: &Database, after: u64, mut batch: Batch) -> Result<Vec<Packed>, redb::Error> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    let transaction = database.begin_read()?;
    for row in transaction.open_table(UNSENT)?.range(first..)? {
        let (seq, json) = row?;
        if single(seq.value(), json.value()).is_some_and(|entry| batch.add(entry).is_some()) {
            return Ok(batch.finish());
        }
    }
    let table = transaction.open_table(PACKED)?;
    // A row may begin before the message that is asked for.
    let reaching = table.range(..first)?.next_back().transpose()?;
    if let Some((seq, value)) = reaching
        && seq.value() + value.value().0 > first
        && let Some(rest) = packed(seq.value(), value.value())?.after(after)
    {
        // A batch takes at least one entry.
        let _ = batch.add(rest);
    }
    for row in table.range(first..)? {
        let (seq, value) = row?;
        if batch.add(packed(seq.value(), value.value())?).is_some() {
            break;
        }
    }
    Ok(batch.finish())
}

/// Removes the messages of a range, and returns how many there were, and their bytes.
pub(super) fn remove(
    singles: &mut Table<'_, u64, &'static [u8]>,
    rows: &mut Table<'_, u64, (u64, &'static [u8])>,
    (first, last): (u64, u64),
) -> Result<(u64, u64), redb::Error> {
    let (mut messages, mut bytes) = (0, 0);
    if !singles.is_empty()? {
        for row in singles.extract_from_if(first..=last, |_, _| true)? {
            messages += 1;
            bytes += row?.1.value().len() as u64;
        }
    }
    let mut rest = None;
    let mut take = |(count, body): (u64, &[u8])| {
        messages += count;
        bytes += bytes_of(count, body.len());
    };
    for row in rows.extract_from_if(first..=last, |_, _| true)? {
        let (seq, value) = row?;
        let (count, body) = value.value();
        take((count, body));
        if seq.value() + count > last + 1 {
            rest = packed(seq.value(), (count, body))?.after(last);
        }
    }
    // Only a part of the row was sent: the rest becomes a row.
    if let Some(rest) = rest {
        messages -= rest.count;
        bytes -= rest.message_bytes();
        rows.insert(rest.first, (rest.count, rest.body.as_bytes()))?;
    }
    Ok((messages, bytes))
}

/// The number of messages in both tables, and their bytes.
pub(super) fn count(
    singles: &impl ReadableTable<u64, &'static [u8]>,
    rows: &impl ReadableTable<u64, (u64, &'static [u8])>,
) -> Result<(u64, u64), redb::Error> {
    let (mut messages, mut bytes) = (0, 0);
    for row in singles.iter()? {
        messages += 1;
        bytes += row?.1.value().len() as u64;
    }
    for row in rows.iter()? {
        let row = row?;
        let (count, body) = row.1.value();
        messages += count;
        bytes += bytes_of(count, body.len());
    }
    Ok((messages, bytes))
}

/// The amount of unsent messages in a file that is opened.
pub(super) fn load_unsent(transaction: &redb::ReadTransaction) -> Result<Unsent, redb::Error> {
    let numbers = transaction.open_table(NUMBERS)?;
    let number =
        |name: &str| -> Result<Option<u64>, redb::Error> { Ok(numbers.get(name)?.map(|number| number.value())) };
    let (singles, rows) = (transaction.open_table(UNSENT)?, transaction.open_table(PACKED)?);
    let mut unsent = Unsent {
        messages: number("unsent_messages")?.unwrap_or(0),
        bytes: number("unsent_bytes")?.unwrap_or(0),
        // An earlier process may have sent what it reserved.
        last_accepted_seq: number("last_seq")?.max(number("reserved_seq")?).unwrap_or(0),
    };
    // One transaction wrote them all, so they differ only in a damaged file; the tables count. Format 1 had no number of rows.
    if singles.len()? + rows.len()? != number("unsent_rows")?.unwrap_or(unsent.messages) {
        (unsent.messages, unsent.bytes) = count(&singles, &rows)?;
    }
    let last = singles.last()?.map_or(0, |(seq, _)| seq.value());
    let last_packed = rows.last()?.map_or(0, |(seq, row)| (seq.value() + row.value().0).saturating_sub(1));
    unsent.last_accepted_seq = unsent.last_accepted_seq.max(last).max(last_packed);
    Ok(unsent)
}
