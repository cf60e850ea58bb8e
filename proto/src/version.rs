//! Client and server versions: ordinals of a list in which every release takes two places.

/// What we call ourselves. Clients refuse features to servers that look old, and 5.3.3 speaks everything we do.
pub const OURS: i32 = 479;
/// The same for people.
pub const OURS_NAME: &str = "V5_3_3";

/// Before this (3.0.11), a broker registers with a bare table of topics.
pub const V3_0_11: i32 = 37;
/// From this on (4.9.4), a client reads routes in standard JSON.
pub const V4_9_4: i32 = 401;
/// From this on (5.0.0), a compressed registration ends with queue mappings.
pub const V5_0_0: i32 = 413;

/// The first of the regular part of the list (4.0.0 before its release), and the one past its end.
const V4_0_0_SNAPSHOT: i32 = 212;
const PAST_END: i32 = 612;

/// A version as Apache's tools write it.
pub fn name(version: i32) -> String {
    if version >= PAST_END {
        return "HIGHER_VERSION".to_owned();
    }
    if version < V4_0_0_SNAPSHOT {
        return format!("V3 ({version})");
    }
    let place = version - V4_0_0_SNAPSHOT;
    let (release, suffix) = (place / 2, if place % 2 == 0 { "_SNAPSHOT" } else { "" });
    format!("V{}_{}_{}{suffix}", 4 + release / 100, release / 10 % 10, release % 10)
}

#[cfg(test)]
mod tests {
    use super::{OURS, OURS_NAME, V4_9_4, V5_0_0, name};

    #[test]
    fn versions_have_names() {
        for (version, written) in [
            (OURS, OURS_NAME),
            (V4_9_4, "V4_9_4"),
            (V5_0_0, "V5_0_0"),
            (212, "V4_0_0_SNAPSHOT"),
            (513, "V5_5_0"),
            (611, "V5_9_9"),
            (612, "HIGHER_VERSION"),
            (37, "V3 (37)"),
        ] {
            assert_eq!(name(version), written);
        }
    }
}
