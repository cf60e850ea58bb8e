//! How full a file system is.

use std::fmt;

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What is not taken, with the part that only the system may take.
    pub free: u64,
    /// What this process may take.
    pub available: u64,
}

/// Of a whole, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

impl Space {
    /// The used part of what this process may ever use, as Apache's broker and `df` count it.
    pub fn used(self) -> Percent {
        let used = u128::from(self.total.saturating_sub(self.free));
        let whole = used + u128::from(self.available);
        let percent = if whole == 0 { 0 } else { (used * 100).div_ceil(whole) };
        Percent(u8::try_from(percent).unwrap_or(100))
    }
}

/// As Apache writes it: a part of 1.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_is_what_df_says() {
        let space = |total, free, available| Space { total, free, available }.used();
        assert_eq!(space(0, 0, 0), Percent(0));
        assert_eq!(space(100, 100, 90), Percent(0));
        assert_eq!(space(1000, 499, 499), Percent(51), "rounded up");
        assert_eq!(space(1000, 200, 100), Percent(89), "what the system keeps for itself is no room");
        assert_eq!(space(1000, 50, 0), Percent(100));
        assert_eq!(space(u64::MAX, 0, 0), Percent(100));
        assert_eq!([Percent(7), Percent(100)].map(|used| used.to_string()), ["0.07", "1.00"]);
    }
}
