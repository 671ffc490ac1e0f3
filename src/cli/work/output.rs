//! A command's output: the first or the last bytes of it.
//!
//! 1. A pipe is read while the command runs, so that the command never blocks on writing; the kept part is bounded.
//!
//! Not here: its meaning (`job.rs`).

use tokio::io::{AsyncRead, AsyncReadExt};

/// The kept part of a command's output.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
    most: usize,
    last: bool,
}

impl Tail {
    /// Keeps the first bytes, at most `most`.
    pub(super) fn first(most: usize) -> Self {
        Self { bytes: Vec::new(), cut: false, most, last: false }
    }

    /// Keeps the last bytes, at most `most`.
    pub(super) fn last(most: usize) -> Self {
        Self { last: true, ..Self::first(most) }
    }

    /// Reads a pipe to its end. If the future is dropped, what was read so far stays.
    pub(super) async fn collect<R: AsyncRead + Unpin>(&mut self, pipe: Option<R>) {
        let Some(mut pipe) = pipe else { return };
        let mut chunk = vec![0; 16 << 10];
        while let Ok(size @ 1..) = pipe.read(&mut chunk).await {
            self.take(chunk.get(..size).unwrap_or_default());
        }
    }

    fn take(&mut self, fresh: &[u8]) {
        if self.last {
            self.bytes.extend_from_slice(fresh);
            let over = self.bytes.len().saturating_sub(self.most);
            self.cut |= over > 0;
            self.bytes.drain(..over);
        } else {
            let room = self.most.saturating_sub(self.bytes.len());
            self.cut |= fresh.len() > room;
            self.bytes.extend_from_slice(fresh.get(..room.min(fresh.len())).unwrap_or_default());
        }
    }

    /// The whole output as text; `None` if it was cut.
    pub(super) fn whole(&self) -> Option<String> {
        (!self.cut).then(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }

    /// The last non-empty lines, at most three.
    pub(super) fn last_lines(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let from = lines.len().saturating_sub(3);
        let last = lines.get(from..).unwrap_or_default().join("\n");
        (!last.is_empty()).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_bytes_or_the_last_ones_are_kept() {
        let keep = async |mut tail: Tail, text: &'static str| {
            tail.collect(Some(text.as_bytes())).await;
            tail
        };
        let first = keep(Tail::first(4), "abcdef").await;
        assert_eq!((first.bytes.as_slice(), first.whole()), (&b"abcd"[..], None));
        let last = keep(Tail::last(18), "one\n\ntwo\nthree\nfour\n\n").await;
        assert_eq!(last.last_lines().as_deref(), Some("two\nthree\nfour"));
        let all = keep(Tail::first(4), "x\n").await;
        assert_eq!(all.whole().as_deref(), Some("x\n"));
        let mut none = Tail::last(4);
        none.collect(None::<&[u8]>).await;
        assert_eq!(none.last_lines(), None);
    }

    #[tokio::test]
    async fn what_was_read_stays_when_the_end_is_not_waited_for() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        writer.write_all(b"said").await.expect("room");
        let mut tail = Tail::first(64);
        let reading = tail.collect(Some(reader));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), reading).await.is_err());
        assert_eq!(tail.whole().as_deref(), Some("said"));
    }
}
