//! The negative controls: ways to be wrong on purpose, and what must be found then. `NEGATIVE_CONTROLS.md` is this table.

use crate::run::OWN_MODES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    pub number: &'static str,
    /// What the broker is told by `--unsafe`; `None` when a setting that is allowed is wrong enough.
    pub mode: Option<&'static str>,
    /// What is wrong then.
    pub wrong: &'static str,
    /// The rest of the command line.
    pub arguments: &'static str,
    /// One of these must be found.
    pub expected: &'static [&'static str],
}

/// Declares the controls.
macro_rules! controls {
    ($($number:literal $mode:expr, $wrong:literal, $arguments:literal => $($expected:literal)*;)*) => {
        pub const CONTROLS: &[Control] = &[$(Control {
            number: $number,
            mode: $mode,
            wrong: $wrong,
            arguments: $arguments,
            expected: &[$($expected),*],
        },)*];
    };
}

controls! {
    "NC1" None, "acknowledged by one node, in memory",
        "--system ferrymq-classic --nodes 1 --mode async-ms --flush async --nemesis powercut-primary" => "lost";
    "NC2" Some("ack-before-quorum"), "acknowledged before a quorum has it",
        "--nemesis partition-primary" => "ack-without-quorum" "lost";
    "NC3" Some("skip-fsync"), "the log is never flushed",
        "--nemesis powercut-all --nemesis-interval 4 --time-limit 5" => "lost" "zombie-tail";
    "NC4" Some("skip-vote-fsync"), "a vote never reaches the disk",
        "--nemesis powercut-voter --time-limit 28" => "split-brain" "divergence" "lost" "inconsistent-offset";
    "NC6" Some("unlocked-append"), "two appends take the same place",
        "--nemesis none --concurrency 8n --rate 1500" => "reorder" "gap" "inconsistent-offset" "duplicate";
    "NC7" Some("blind-resend"), "a message whose answer was lost is sent again (the harness's own)",
        "--nemesis drop-replies" => "duplicate";
    "NC8" Some("serve-uncommitted"), "reads see what no quorum has",
        "--nemesis partition-primary --nemesis-interval 5 --concurrency 8n --rate 1500" => "dirty-read" "inconsistent-offset";
    "NC9" Some("skip-crc"), "checksums are not checked",
        "--nemesis corrupt-flip --nemesis-interval 3 --time-limit 24" => "corrupt" "divergence";
    "NC10" Some("truncate-at-bad-crc"), "a damaged log is cut off instead of fetched",
        "--nemesis corrupt-dance --time-limit 20" => "lost" "divergence" "inconsistent-offset";
    "NC13" Some("commit-ahead"), "a consumer commits before it delivers (the harness's own)",
        "--workload group --nemesis client-crash" => "undelivered" "poll-skip";
    "NC14" Some("forget-halves"), "nobody is ever asked how an open transaction ended",
        "--workload tx --nemesis kill-primary" => "tx-stuck" "tx-early";
    "NC16" Some("ignore-leases"), "a lock is granted while another's lease is valid",
        "--workload orderly --nemesis none" => "double-owner";
    "NC17" Some("rejoin-as-voter"), "a node that lost everything votes as if it had not",
        "--nemesis wipe-dance --time-limit 20" => "lost" "divergence" "inconsistent-offset";
    "NC19" Some("ack-before-slave"), "a master that waits for its slave acknowledges before the slave has it",
        "--system ferrymq-classic --nodes 2 --mode sync-ms --workload masterslave --nemesis promote-cut" => "lost";
}

/// Of load, for whatever names no time of its own. What is wrong shows soon.
const SECONDS: u32 = 15;
/// Operations each second: enough for something to go wrong, and little enough for several runs at a time.
const RATE: u32 = 400;
const QUIET_SECONDS: u32 = 2;
/// A group that was broken on purpose need not become whole.
const FINAL_SECONDS: u32 = 20;

impl Control {
    /// Whether the broker must be built with the feature `unsafe-modes`.
    pub fn needs_wrong_broker(&self) -> bool {
        self.mode.is_some_and(|mode| !OWN_MODES.contains(&mode))
    }

    /// The words of `jepsen test` for this control.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.arguments.split_whitespace().map(str::to_owned).collect();
        let common = [
            ("--time-limit", SECONDS),
            ("--final-time-limit", FINAL_SECONDS),
            ("--rate", RATE),
            ("--initial-quiet", QUIET_SECONDS),
        ];
        for (option, number) in common {
            if !words.iter().any(|word| word == option) {
                words.extend([option.to_owned(), number.to_string()]);
            }
        }
        if let Some(mode) = self.mode {
            words.extend(["--unsafe".to_owned(), mode.to_owned()]);
        }
        words.extend(["--expect".to_owned(), format!("invalid:{}", self.expected.join("|"))]);
        words
    }
}

/// The table as Markdown.
pub fn as_markdown() -> String {
    let mut table = String::from(
        "| control | `--unsafe` | what is wrong | the run | must be found |\n|---|---|---|---|---|\n",
    );
    for control in CONTROLS {
        let mode = control.mode.map_or("none is needed".to_owned(), |mode| format!("`{mode}`"));
        let expected: Vec<String> = control.expected.iter().map(|name| format!("`{name}`")).collect();
        table.push_str(&format!(
            "| {} | {mode} | {} | `{}` | {} |\n",
            control.number,
            control.wrong,
            control.arguments,
            expected.join(" or ")
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers;

    /// The document is the table.
    #[test]
    fn negative_controls_md_is_this_table() {
        let document = include_str!("../NEGATIVE_CONTROLS.md");
        let table = as_markdown();
        assert!(document.ends_with(&table), "NEGATIVE_CONTROLS.md must end with:\n{table}");
    }

    #[test]
    fn what_is_expected_can_be_found() {
        for control in CONTROLS {
            for name in control.expected {
                assert!(checkers::is_anomaly(name), "{}: {name}", control.number);
            }
        }
    }
}
