//! Recognises that the private server ends because it cannot read its own data, and says how to repair them.
//!
//! 1. Nothing is repaired or removed here: a repair drops writes, so it is the user's decision.
//!
//! Not here: starting it (`server.rs`).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The most of the log that is read.
const TAIL_BYTES: u64 = 4096;

/// Parts of the log lines with which Redis and Valkey end over data that they cannot read.
const SIGNS: [&str; 8] = [
    "-check-aof",
    "-check-rdb",
    "Bad file format reading the append only file",
    "Unexpected end of file reading the append only file",
    "Unrecoverable error reading the append only file",
    "Error reading the append only file",
    "Short read or OOM loading DB",
    "Wrong signature trying to load DB",
];

/// The last part of a log that was written behind `from`, at most 4 KiB.
pub(super) fn tail(log: &Path, from: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    // A log that is shorter than before was begun anew.
    let from = if from > length { 0 } else { from };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES)))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    Some(String::from_utf8_lossy(&tail).into_owned())
}

/// The line of a log that says that the data cannot be read, without its time and process id.
pub(super) fn damage(tail: &str) -> Option<String> {
    let line = tail.lines().rfind(|line| SIGNS.iter().any(|sign| line.contains(sign)))?;
    let text = line.split_once(" # ").or_else(|| line.split_once(" * ")).map_or(line, |(_, text)| text);
    Some(text.trim().to_owned())
}

/// The command that repairs the data in the server's folder.
pub(super) fn repair(folder: &Path) -> String {
    let manifest = folder.join("appendonlydir/appendonly.aof.manifest");
    let file = if manifest.exists() { manifest } else { folder.join("appendonly.aof") };
    format!("redis-check-aof --fix {}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_about_the_data_is_found() {
        let log = "1:M 30 Nov 2026 08:00:03.148 * Done loading RDB, keys loaded: 0.\n\
                   1:M 30 Nov 2026 08:00:03.148 # Bad file format reading the append only file x.aof: make a backup\n";
        assert_eq!(damage(log).as_deref(), Some("Bad file format reading the append only file x.aof: make a backup"));
        assert_eq!(damage("1:M 30 Nov 2026 08:00:03.148 * Ready to accept connections\n"), None);
    }
}
