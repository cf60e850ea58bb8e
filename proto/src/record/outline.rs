//! A record cut into its parts, but not read.

use super::layout::{
    MAGIC_AT, SYS_FLAG_AT, SysFlag, Version, bytes_at, i8_length, i16_length, i32_at, i32_length, i64_at,
    take_part,
};

/// Why bytes do not begin with a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Misfit {
    Truncated { needed: usize },
    BadMagic(i32),
    BadSize(i32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Outline<'a> {
    pub version: Version,
    pub sys_flag: SysFlag,
    pub size: usize,
    /// All before the length of the body. Invariant: it ends where `sys_flag` says.
    fixed: &'a [u8],
    pub body: &'a [u8],
    pub topic: &'a [u8],
    pub properties: &'a [u8],
}

impl<'a> Outline<'a> {
    /// Cuts the record at the front of `bytes`, whose parts must add up to the size it claims.
    pub fn cut(bytes: &'a [u8]) -> Result<Self, Misfit> {
        let (Some(size), Some(magic)) = (i32_at(bytes, 0), i32_at(bytes, MAGIC_AT)) else {
            return Err(Misfit::Truncated { needed: MAGIC_AT + size_of::<i32>() });
        };
        let version = Version::from_magic(magic).ok_or(Misfit::BadMagic(magic))?;
        let needed = usize::try_from(size).map_err(|_| Misfit::BadSize(size))?;
        let record = bytes.get(..needed).ok_or(Misfit::Truncated { needed })?;
        Self::parts(version, record).ok_or(Misfit::BadSize(size))
    }

    fn parts(version: Version, record: &'a [u8]) -> Option<Self> {
        let sys_flag = SysFlag(i32_at(record, SYS_FLAG_AT)?);
        let (fixed, mut rest) = record.split_at_checked(sys_flag.body_length_at())?;
        let body = take_part(&mut rest, i32_length)?;
        let topic = match version {
            Version::V1 => take_part(&mut rest, i8_length)?,
            Version::V2 => take_part(&mut rest, i16_length)?,
        };
        let properties = take_part(&mut rest, i16_length)?;
        let outline = Self { version, sys_flag, size: record.len(), fixed, body, topic, properties };
        rest.is_empty().then_some(outline)
    }

    /// The fixed field at `at`, which must be one of the places that `sys_flag` or the layout gives.
    pub fn i32(&self, at: usize) -> i32 {
        i32_at(self.fixed, at).unwrap_or_default()
    }

    /// As [`Self::i32`].
    pub fn i64(&self, at: usize) -> i64 {
        i64_at(self.fixed, at).unwrap_or_default()
    }

    /// As [`Self::i32`].
    pub fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        bytes_at(self.fixed, at).unwrap_or([0; N])
    }
}
