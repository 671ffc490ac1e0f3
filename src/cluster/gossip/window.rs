//! Which datagrams of a sender were received already.
//!
//! 1. A number is accepted once. Numbers more than [`WIDTH`] below the highest accepted one are refused.
//!
//! Not here: who numbers the datagrams (`seal.rs`).

/// How far a datagram may be overtaken by later ones of its sender.
pub const WIDTH: u64 = 128;

/// The numbers that were accepted from one sender.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// One above the highest accepted number.
    next: u64,
    /// Bit `n`: the number `next - 1 - n` was accepted.
    seen: u128,
}

impl Window {
    /// Accepts a number; false: it was accepted before, or is too old to tell.
    pub fn accept(&mut self, number: u64) -> bool {
        if number >= self.next {
            let by = number - self.next + 1;
            self.seen = u32::try_from(by).ok().and_then(|by| self.seen.checked_shl(by)).unwrap_or(0) | 1;
            self.next = number.saturating_add(1);
            return true;
        }
        let back = self.next - 1 - number;
        let bit = u32::try_from(back).ok().and_then(|back| 1_u128.checked_shl(back)).unwrap_or(0);
        let fresh = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_accepted_once_in_any_order_within_the_window() {
        let mut window = Window::default();
        for number in [0, 2, 1, 130, 129] {
            assert!(window.accept(number), "{number}");
            assert!(!window.accept(number), "{number} again");
        }
        assert!(!window.accept(2), "older than the window");
        assert!(window.accept(3), "the oldest in the window");
        assert!(window.accept(u64::MAX - 1));
        assert!(!window.accept(3));
    }

    proptest! {
        #[test]
        fn no_number_is_accepted_twice_and_no_new_one_within_the_window_is_refused(
            numbers in prop::collection::vec(0_u64..400, 1..300),
        ) {
            let (mut window, mut taken) = (Window::default(), BTreeSet::new());
            for number in numbers {
                let highest = taken.last().copied().unwrap_or(0);
                let fresh = !taken.contains(&number) && (number + WIDTH > highest);
                prop_assert_eq!(window.accept(number), fresh);
                if fresh {
                    taken.insert(number);
                }
            }
        }
    }
}
