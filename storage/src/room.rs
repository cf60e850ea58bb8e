//! Whether there is room for more.
//!
//! Two say no. The disk itself does, to a write or to the next segment: that is only remembered here, for whoever asks, and
//! every append tries again, so that writing goes on by itself once there is room. And retention does, before it comes to that:
//! then the broker asks here before it takes a message.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::disk::Percent;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// The disk is fuller than the settings allow. New messages are to be refused.
    Short {
        used: Percent,
    },
    /// The disk has refused the last write. The next one may succeed.
    None,
}

impl Room {
    /// Whether a new message should be tried.
    pub fn is_writable(self) -> bool {
        !matches!(self, Self::Short { .. })
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enough => f.write_str("there is room on the disk"),
            Self::Short { used } => write!(f, "the disk is nearly full: {}% of it is used", used.0),
            Self::None => f.write_str("the disk is full"),
        }
    }
}

/// Whether an error means that there was no room.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What is known of the room for a log.
#[derive(Debug, Default)]
pub(crate) struct RoomState {
    /// A write found none.
    is_refused: AtomicBool,
    /// How much is used, if that is too much.
    short_at: AtomicU8,
}

impl RoomState {
    pub fn get(&self) -> Room {
        match self.short_at.load(Ordering::Relaxed) {
            _ if self.is_refused.load(Ordering::Relaxed) => Room::None,
            0 => Room::Enough,
            used => Room::Short { used: Percent(used) },
        }
    }

    /// Hears how a write ended.
    pub fn wrote(&self) {
        // Nearly always it is not: this line of memory should stay shared.
        if self.is_refused.load(Ordering::Relaxed) {
            self.is_refused.store(false, Ordering::Relaxed);
            tracing::info!("there is room on the disk again");
        }
    }

    /// Hears of an error of a write.
    pub fn failed(&self, error: &io::Error) {
        if is_no_room(error) && !self.is_refused.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the disk is full: messages are refused until there is room");
        }
    }

    /// Hears whether too much is used.
    pub fn set_short(&self, used: Option<Percent>) {
        let short_at = used.map_or(0, |used| used.0.max(1));
        let before = self.short_at.swap(short_at, Ordering::Relaxed);
        match (before, used) {
            (0, Some(used)) => {
                tracing::error!(
                    used = used.0,
                    "the disk is nearly full: messages are refused until there is room"
                );
            }
            (1.., None) => tracing::info!("there is enough room on the disk again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_write_is_remembered_until_one_succeeds() {
        let room = RoomState::default();
        room.failed(&io::ErrorKind::PermissionDenied.into());
        assert_eq!(room.get(), Room::Enough);
        room.set_short(Some(Percent(91)));
        assert_eq!(room.get(), Room::Short { used: Percent(91) });
        assert_eq!(room.get().to_string(), "the disk is nearly full: 91% of it is used");
        assert!(!room.get().is_writable());
        // ENOSPC and EDQUOT
        for code in [28, 122] {
            room.failed(&io::Error::from_raw_os_error(code));
            assert_eq!(room.get(), Room::None);
            assert!(room.get().is_writable(), "only a try shows that there is room");
            room.wrote();
            assert_eq!(room.get(), Room::Short { used: Percent(91) });
        }
        room.set_short(None);
        assert_eq!(room.get(), Room::Enough);
    }
}
