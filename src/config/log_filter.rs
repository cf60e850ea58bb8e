//! What a server logs, as `FERRYMQ_LOG` and the key `logFilter` say it.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub const EXPECTED: &str =
    "a level (off, error, warn, info, debug, trace), or target=level, more of them behind commas";
pub const ABOUT: &str =
    "What is logged: debug, or ferrymq=debug,warn. Nothing means what FERRYMQ_LOG said at the start.";

/// Whoever reaches the port may set one.
const BYTES_MAX: usize = 512;

/// The filter as it is kept. A level that is misspelt would be taken for the name of a target, so it is looked at twice.
pub fn parse(text: &str) -> Option<String> {
    let is_level = |part: &str| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        // The library takes nothing for a level too.
        !level.trim().is_empty() && level.trim().parse::<LevelFilter>().is_ok()
    };
    let is_filter = text.is_empty()
        || text.len() <= BYTES_MAX && text.split(',').all(is_level) && EnvFilter::try_new(text).is_ok();
    is_filter.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_a_filter() {
        for right in ["", "debug", "info,openraft=error", "ferrymq_raft::group=trace,warn", "off"] {
            assert_eq!(super::parse(right).as_deref(), Some(right));
        }
        assert_eq!(super::parse(&"a=debug,".repeat(100)), None);
        for wrong in ["debgu", "ferrymq=debgu", "info,,warn", "=", "info;warn"] {
            assert_eq!(super::parse(wrong), None, "{wrong}");
        }
    }
}
