//! Ways to be wrong on purpose, so that the fault harness can show that it finds each of them.
//!
//! They exist only in builds with the feature `unsafe-modes`: without it nothing can turn one on, and what is asked here is
//! always answered with no. `jepsen/NEGATIVE_CONTROLS.md` says which mode must be found by which run.

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsafeMode {
    /// A peer that does not answer counts as one that has everything.
    AckBeforeQuorum,
    /// The log is never flushed.
    SkipFsync,
    /// A vote never reaches the disk.
    SkipVoteFsync,
    /// Now and then two records get the same offset, as from two threads without a lock.
    UnlockedAppend,
    /// Reads see what is not final.
    ServeUncommitted,
    /// Checksums are not checked.
    SkipCrc,
    /// A damaged log is cut off where it is damaged, whatever was final.
    TruncateAtBadCrc,
    /// Nobody is ever asked how an open transaction ended.
    ForgetHalves,
    /// Locks are granted, whoever holds them.
    IgnoreLeases,
    /// A node that lost everything votes as if it had not.
    RejoinAsVoter,
    /// A master that waits for its slaves does not.
    AckBeforeSlave,
}

/// Whether this process was told to be wrong in this way.
#[cfg(not(feature = "unsafe-modes"))]
#[inline]
pub const fn is_on(_: UnsafeMode) -> bool {
    false
}

#[cfg(feature = "unsafe-modes")]
pub use switches::{find, is_on, turn_on};

#[cfg(feature = "unsafe-modes")]
mod switches {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::UnsafeMode;

    /// By their names on the command line.
    const NAMES: &[(&str, UnsafeMode)] = &[
        ("ack-before-quorum", UnsafeMode::AckBeforeQuorum),
        ("skip-fsync", UnsafeMode::SkipFsync),
        ("skip-vote-fsync", UnsafeMode::SkipVoteFsync),
        ("unlocked-append", UnsafeMode::UnlockedAppend),
        ("serve-uncommitted", UnsafeMode::ServeUncommitted),
        ("skip-crc", UnsafeMode::SkipCrc),
        ("truncate-at-bad-crc", UnsafeMode::TruncateAtBadCrc),
        ("forget-halves", UnsafeMode::ForgetHalves),
        ("ignore-leases", UnsafeMode::IgnoreLeases),
        ("rejoin-as-voter", UnsafeMode::RejoinAsVoter),
        ("ack-before-slave", UnsafeMode::AckBeforeSlave),
    ];

    /// One bit for each mode. Of the whole process: to hand them to every place that can be wrong would change all of them.
    static ON: AtomicU32 = AtomicU32::new(0);

    fn bit(mode: UnsafeMode) -> u32 {
        1 << mode as u32
    }

    pub fn find(name: &str) -> Option<UnsafeMode> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    pub fn turn_on(mode: UnsafeMode) {
        ON.fetch_or(bit(mode), Ordering::Relaxed);
    }

    pub fn is_on(mode: UnsafeMode) -> bool {
        ON.load(Ordering::Relaxed) & bit(mode) != 0
    }
}
