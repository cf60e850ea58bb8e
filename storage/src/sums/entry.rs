//! The form of a sidecar: one entry for each block of its segment. Pure.

use ferrymq_proto::position::LogOffset;

/// What one checksum covers: small enough to say where the damage is, large enough to cost a thousandth of the log.
pub(crate) const BLOCK_BYTES: u64 = 16 << 10;
pub(crate) const ENTRY_BYTES: usize = 16;

const VERSION: u32 = 1;

/// The checksum of the first bytes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Fewer than a block has only in the last one.
    pub bytes: u32,
    pub crc: u32,
}

/// Which block of which segment an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockId {
    pub segment: LogOffset,
    pub number: u64,
}

impl BlockId {
    /// Of the block's first byte in its segment.
    pub fn position(self) -> u64 {
        self.number * BLOCK_BYTES
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Entry(Entry),
    Empty,
    Damaged,
}

impl Entry {
    pub fn encode(self, block: BlockId) -> [u8; ENTRY_BYTES] {
        let [version, bytes, crc] = [VERSION, self.bytes, self.crc].map(u32::to_be_bytes);
        let check = self.check(block).to_be_bytes();
        let mut out = [0; ENTRY_BYTES];
        for (field, value) in out.chunks_exact_mut(4).zip([version, bytes, crc, check]) {
            field.copy_from_slice(&value);
        }
        out
    }

    /// Of the entry itself, and of where it belongs.
    fn check(self, block: BlockId) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&block.segment.0.to_be_bytes());
        hasher.update(&block.number.to_be_bytes());
        hasher.update(&VERSION.to_be_bytes());
        hasher.update(&self.bytes.to_be_bytes());
        hasher.update(&self.crc.to_be_bytes());
        hasher.finalize()
    }
}

impl Slot {
    pub fn decode(slot: &[u8; ENTRY_BYTES], block: BlockId) -> Self {
        if *slot == [0; ENTRY_BYTES] {
            return Self::Empty;
        }
        let mut fields = slot.chunks_exact(4).filter_map(|field| field.first_chunk().copied());
        let mut next = || fields.next().map(u32::from_be_bytes).unwrap_or_default();
        let (_version, bytes, crc) = (next(), next(), next());
        let entry = Entry { bytes, crc };
        if entry.encode(block) == *slot && u64::from(bytes) <= BLOCK_BYTES {
            Self::Entry(entry)
        } else {
            Self::Damaged
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: BlockId = BlockId { segment: LogOffset(1 << 30), number: 7 };

    #[test]
    fn an_entry_holds_only_as_it_is_and_where_it_is() {
        let entry = Entry { bytes: 16384, crc: 0xDEAD_BEEF };
        let bytes = entry.encode(BLOCK);
        assert_eq!(Slot::decode(&bytes, BLOCK), Slot::Entry(entry));
        assert_eq!(Slot::decode(&[0; ENTRY_BYTES], BLOCK), Slot::Empty);
        for other in [BlockId { number: 8, ..BLOCK }, BlockId { segment: LogOffset(0), ..BLOCK }] {
            assert_eq!(Slot::decode(&bytes, other), Slot::Damaged);
        }
        for bit in 0..ENTRY_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::decode(&bytes, BLOCK), Slot::Damaged, "bit {bit}");
        }
        let long = Entry { bytes: 16385, ..entry }.encode(BLOCK);
        assert_eq!(Slot::decode(&long, BLOCK), Slot::Damaged);
    }
}
