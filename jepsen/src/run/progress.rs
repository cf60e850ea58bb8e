//! Tells how a run goes, on one line that is written over.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::client::Directory;
use crate::history::Recorder;

const EVERY: Duration = Duration::from_secs(1);
/// Where nobody looks at a terminal, a line now and then is enough.
const LINE_EVERY: u64 = 10;

pub(super) async fn tell(recorder: Arc<Recorder>, directory: Directory) {
    let terminal = std::io::stderr().is_terminal();
    for second in 1_u64.. {
        tokio::time::sleep(EVERY).await;
        let tally = recorder.tally();
        let leader = directory.leader().map_or("nobody".to_owned(), |leader| leader.to_string());
        let line = format!(
            "{:5.0} s  acknowledged {}  failed {}  unknown {}  faults {}  anomalies so far {}  leader {leader} (changed {} times)",
            recorder.now().seconds(),
            tally.acknowledged,
            tally.failed,
            tally.unknown,
            tally.faults,
            tally.anomalies,
            tally.leader_changes.saturating_sub(1),
        );
        // A terminal that is gone is no reason to stop.
        let mut out = std::io::stderr();
        let _ = if terminal {
            write!(out, "\r{line}  ")
        } else if second % LINE_EVERY == 0 {
            writeln!(out, "{line}")
        } else {
            Ok(())
        };
        let _ = out.flush();
    }
}
