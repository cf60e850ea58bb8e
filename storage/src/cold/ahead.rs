//! Foresees what a reader will read next. Pure.

/// What the first look ahead takes, and the longest one. A disk gives megabytes in the time of one seek.
const WINDOW_BYTES_MIN: u64 = 256 << 10;
const WINDOW_BYTES_MAX: u64 = 4 << 20;
/// A reader may skip so much and still counts as one that reads on: the messages of a queue lie between those of others.
const GAP_BYTES_MAX: u64 = 256 << 10;

/// What one reader has read, as positions in whatever it reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadAhead {
    /// Behind the last read.
    next: u64,
    /// The reader has met the disk since it began to read on. One that follows the writer never does.
    is_cold: bool,
    /// How far ahead to look. 0 when nobody reads on.
    window: u64,
    /// Everything before it was asked for.
    asked: u64,
}

impl ReadAhead {
    /// Hears of a read, and whether it met the disk. Says what to bring into memory: position and bytes.
    pub fn read(&mut self, at: u64, bytes: u64, is_cold: bool) -> Option<(u64, u64)> {
        let end = at.saturating_add(bytes);
        let goes_on = at >= self.next && at - self.next <= GAP_BYTES_MAX && self.next > 0;
        self.next = end;
        if !goes_on {
            *self = Self { next: end, is_cold, window: 0, asked: end };
            return None;
        }
        self.is_cold |= is_cold;
        self.asked = self.asked.max(end);
        // Half of what was asked for is still ahead: time enough.
        if !self.is_cold || self.asked - end > self.window / 2 {
            return None;
        }
        self.window = (self.window * 2).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let from = self.asked;
        self.asked = end.saturating_add(self.window);
        Some((from, self.asked - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    #[test]
    fn who_reads_on_from_the_disk_is_foreseen_ever_farther() {
        let mut ahead = ReadAhead::default();
        let mut asked = Vec::new();
        for piece in 1..=400 {
            // What was asked for in time is not cold.
            let end = asked.last().map_or(0, |(at, bytes)| at + bytes);
            let at = piece * 64 * KIB;
            asked.extend(ahead.read(at, 64 * KIB, at + 64 * KIB > end));
        }
        let first: Vec<_> = asked.iter().take(4).map(|(at, bytes)| (at / KIB, bytes / KIB)).collect();
        assert_eq!(first, [(192, 256), (448, 384), (832, 768), (1600, 1536)]);
        for (one, next) in asked.iter().zip(&asked[1..]) {
            assert_eq!(one.0 + one.1, next.0, "nothing is left out, and nothing asked for twice");
        }
        assert!(asked.iter().all(|(_, bytes)| *bytes <= WINDOW_BYTES_MAX));
        assert!(asked.len() < 25, "{} times", asked.len());
    }

    #[test]
    fn who_follows_the_writer_or_jumps_is_not() {
        let mut follower = ReadAhead::default();
        assert!((0..100).all(|piece| follower.read(piece * KIB, KIB, false).is_none()));
        let mut jumper = ReadAhead::default();
        assert!((1..100).all(|piece| jumper.read(piece * 4096 * KIB, KIB, true).is_none()));
        let mut backwards = ReadAhead::default();
        assert!((1..100).rev().all(|piece| backwards.read(piece * KIB, KIB, true).is_none()));
        let mut skipping = ReadAhead::default();
        assert_eq!((1..3).filter_map(|piece| skipping.read(piece * 100 * KIB, KIB, true)).count(), 1);
        assert_eq!(skipping.read(u64::MAX, u64::MAX, true), None);
    }
}
