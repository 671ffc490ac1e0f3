//! Chance that a seed repeats: SplitMix64.

/// A source of numbers that depends on nothing but its seed.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `from..to`; `from` when the range is empty.
    pub(crate) fn range(&mut self, from: u64, to: u64) -> u64 {
        if to <= from { from } else { from + self.next() % (to - from) }
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.range(0, end as u64)).unwrap_or(0)
    }

    /// True in `of` out of a thousand cases.
    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.range(0, 1000) < of
    }
}
