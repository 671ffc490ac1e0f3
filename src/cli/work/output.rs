//! What a command writes, as much of it as is of use.
//!
//! 1. A pipe is read to its end, so that the command never waits for a reader; what is kept is bounded.
//!
//! Not here: what it means (`job.rs`).

use tokio::io::{AsyncRead, AsyncReadExt};

/// The kept part of what a command wrote.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

/// Reads a pipe to its end and keeps the first `most` bytes, or with `last` the last ones.
pub(super) async fn collect<R: AsyncRead + Unpin>(pipe: Option<R>, most: usize, last: bool) -> Tail {
    let mut tail = Tail::default();
    let Some(mut pipe) = pipe else { return tail };
    let mut chunk = vec![0; 16 << 10];
    while let Ok(size @ 1..) = pipe.read(&mut chunk).await {
        let fresh = chunk.get(..size).unwrap_or_default();
        if last {
            tail.bytes.extend_from_slice(fresh);
            let over = tail.bytes.len().saturating_sub(most);
            tail.cut |= over > 0;
            tail.bytes.drain(..over);
        } else {
            let room = most.saturating_sub(tail.bytes.len());
            tail.cut |= size > room;
            tail.bytes.extend_from_slice(fresh.get(..room.min(size)).unwrap_or_default());
        }
    }
    tail
}

impl Tail {
    /// All of it as text; `None` when something was cut off.
    pub(super) fn whole(&self) -> Option<String> {
        (!self.cut).then(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }

    /// The last lines that say something, at most three of them.
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
        let first = collect(Some(&b"abcdef"[..]), 4, false).await;
        assert_eq!((first.bytes.as_slice(), first.whole()), (&b"abcd"[..], None));
        let last = collect(Some(&b"one\n\ntwo\nthree\nfour\n\n"[..]), 18, true).await;
        assert_eq!(last.last_lines().as_deref(), Some("two\nthree\nfour"));
        let all = collect(Some(&b"x\n"[..]), 4, false).await;
        assert_eq!(all.whole().as_deref(), Some("x\n"));
        assert_eq!(collect(None::<&[u8]>, 4, true).await.last_lines(), None);
    }
}
