//! Looking for damage in what nobody reads: a disk spoils what is old without a word, until the one who needs it finds out.

use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::mend::UnitsError;
use ferrymq_storage::{Log, ReadError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Injury;

/// What is read at once.
const PART_BYTES: usize = 1 << 20;
/// Between two reads: 20 MB/s leave the disk to others.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two rounds through the log.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Reads all that is final, again and again. Never ends.
pub(crate) async fn run(log: Log, injuries: mpsc::Sender<Injury>) {
    loop {
        let mut at = log.start();
        while let Some(next) = inspect(&log, at, &injuries).await {
            at = next;
            sleep(PAUSE).await;
        }
        sleep(INTERVAL).await;
    }
}

/// Says where to go on. `None` at the end.
async fn inspect(log: &Log, at: LogOffset, injuries: &mpsc::Sender<Injury>) -> Option<LogOffset> {
    let reader = log.clone();
    let read = spawn_blocking(move || {
        reader.final_units(at, PART_BYTES).map(|units| reader.behind_units(at, &units))
    });
    match read.await.ok()? {
        Ok(next) => Some(next),
        Err(UnitsError::Log(ReadError::BeforeStart { start, .. })) => Some(start),
        Err(UnitsError::Log(ReadError::PastEnd { .. })) => None,
        Err(UnitsError::Log(error)) => {
            tracing::warn!(%at, %error, "cannot read the log to look for damage");
            None
        }
        Err(UnitsError::Damaged { .. }) => {
            let (mended, is_mended) = oneshot::channel();
            injuries.send(Injury { offset: at, mended }).await.ok()?;
            is_mended.await.ok()?;
            Some(at)
        }
    }
}
