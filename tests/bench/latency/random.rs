//! Numbers that look random and are the same in each run.

/// A xorshift generator (Marsaglia, 2003).
pub(crate) struct Random(u64);

impl Random {
    /// Streams of different seeds differ.
    pub(crate) fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed))
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        least + self.0 % (most - least + 1)
    }

    /// Another order of the same items.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.between((0, last as u64)) as usize);
        }
    }
}
