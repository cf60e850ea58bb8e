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
