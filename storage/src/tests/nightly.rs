//! What nightly runs are told by variables.

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// How many images of crashes to try.
pub fn images(variable: &str, default: usize) -> usize {
    number(variable).and_then(|images| images.try_into().ok()).unwrap_or(default)
}

/// Of the first script to crash: so that a long run may be made in several parts.
pub fn first_seed() -> u64 {
    number("FERRYMQ_CRASH_SEED").unwrap_or(0)
}
