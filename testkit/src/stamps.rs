//! The history of a lease's commands, and what it must be like.
//!
//! 1. A command leaves stamps of one clock that all processes of the host share.
//! 2. One holder: whoever left a stamp after another command's first one leaves none before that command's last one.
//! 3. Tokens rise: each command's is above all earlier ones, but for one that the same wrapper starts again.
//!
//! Not here: the processes (`wrapper.rs`).

use crate::Stamp;
use std::time::Duration;

/// A sign of life of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// When.
    pub at: Stamp,
    /// Under which token.
    pub token: u64,
    /// By which process.
    pub pid: i32,
    /// Under which wrapper.
    pub wrapper: String,
}

impl Stamped {
    /// Reads a file of stamps; a last line that is not whole is left out.
    pub fn all(text: &str) -> Vec<Self> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| Self::read(line).unwrap_or_else(|| panic!("no stamp: {line:?}"))).collect()
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let at = Duration::from_nanos(words.next()?.parse().ok()?);
        let (token, pid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { at, token, pid, wrapper: words.next()?.to_owned() })
    }
}

/// One command from its first to its last stamp.
#[derive(Debug, Clone)]
struct Instance {
    first: Stamp,
    last: Stamp,
    token: u64,
    pid: i32,
    wrapper: String,
}

/// How many commands there were; or what is wrong with the history.
pub fn one_after_the_other(stamps: &[Stamped]) -> Result<usize, String> {
    judged(stamps, true)
}

/// The same, where tokens need not rise: the clock of Redis went back, and then Redis lost them.
pub fn never_beside_each_other(stamps: &[Stamped]) -> Result<usize, String> {
    judged(stamps, false)
}

fn judged(stamps: &[Stamped], rising: bool) -> Result<usize, String> {
    let mut lives: Vec<Instance> = Vec::new();
    for stamp in stamps {
        match lives.iter_mut().find(|instance| instance.pid == stamp.pid && instance.token == stamp.token) {
            Some(instance) => {
                instance.first = instance.first.min(stamp.at);
                instance.last = instance.last.max(stamp.at);
            }
            None => lives.push(Instance {
                first: stamp.at,
                last: stamp.at,
                token: stamp.token,
                pid: stamp.pid,
                wrapper: stamp.wrapper.clone(),
            }),
        }
    }
    lives.sort_by_key(|instance| instance.first);
    for pair in lives.windows(2) {
        let [old, new] = pair else { continue };
        if new.first <= old.last {
            return Err(format!("two holders at a time: {old:?} and {new:?}"));
        }
        let again = new.token == old.token && new.wrapper == old.wrapper;
        if rising && new.token <= old.token && !again {
            return Err(format!("the token did not rise: {old:?} and then {new:?}"));
        }
    }
    // A life that spans several others is caught by the pair that it begins.
    Ok(lives.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ms: u64, token: u64, pid: i32, wrapper: &str) -> Stamped {
        Stamped { at: Duration::from_millis(ms), token, pid, wrapper: wrapper.to_owned() }
    }

    #[test]
    fn a_proper_history_passes() {
        let history = [
            stamp(1, 5, 100, "a"),
            stamp(9, 5, 100, "a"),
            stamp(10, 5, 101, "a"),
            stamp(20, 7, 102, "b"),
            stamp(30, 7, 102, "b"),
        ];
        assert_eq!(one_after_the_other(&history), Ok(3));
        assert_eq!(one_after_the_other(&[]), Ok(0));
    }

    #[test]
    fn two_holders_at_a_time_are_refused() {
        let overlap = [stamp(1, 5, 100, "a"), stamp(10, 7, 102, "b"), stamp(11, 5, 100, "a")];
        assert!(one_after_the_other(&overlap).is_err_and(|why| why.contains("two holders")));
        let around = [stamp(1, 5, 1, "a"), stamp(5, 6, 2, "b"), stamp(8, 7, 3, "c"), stamp(50, 5, 1, "a")];
        assert!(one_after_the_other(&around).is_err());
        let same_wrapper = [stamp(1, 5, 1, "a"), stamp(5, 5, 2, "a"), stamp(6, 5, 1, "a")];
        assert!(one_after_the_other(&same_wrapper).is_err());
    }

    #[test]
    fn tokens_that_do_not_rise_are_refused() {
        for (first, second) in [(7, 7), (7, 6)] {
            let history = [stamp(1, first, 100, "a"), stamp(10, second, 102, "b")];
            assert!(one_after_the_other(&history).is_err_and(|why| why.contains("did not rise")), "{first} {second}");
        }
    }

    #[test]
    fn a_line_that_is_not_whole_is_left_out() {
        assert_eq!(Stamped::all("5 7 9 a\n6 7").len(), 1);
    }
}
