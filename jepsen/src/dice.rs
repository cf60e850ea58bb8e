//! Seeded randomness: one seed gives one plan, on every machine and in every version of the libraries.

/// SplitMix64. Small, and good enough for choices.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own for a part of the run, so that one more throw in one part changes nothing in another.
    pub fn derive(seed: u64, part: &str) -> Self {
        let mut dice = Self::new(seed ^ crate::message::fnv1a(part.as_bytes()));
        dice.throw();
        dice
    }

    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `sides` − 1; 0 for dice without sides.
    pub fn below(&mut self, sides: u64) -> u64 {
        if sides == 0 { 0 } else { self.throw() % sides }
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.index(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed of an old plan must mean the same for ever.
    #[test]
    fn throws_of_a_seed_never_change() {
        let mut dice = Dice::new(42);
        let throws: Vec<u64> = (0..5).map(|_| dice.below(1000)).collect();
        assert_eq!(throws, [413, 291, 858, 764, 250]);
    }

    #[test]
    fn shuffled_is_a_permutation() {
        let mut list: Vec<u32> = (0..50).collect();
        Dice::new(7).shuffle(&mut list);
        assert_ne!(list, (0..50).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..50).collect::<Vec<_>>());
    }
}
