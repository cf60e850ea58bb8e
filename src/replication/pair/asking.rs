//! What a slave asks its master for: how long its log is, what it was told, and whom it waits for.

use bytes::Bytes;
use ferrymq_proto::bodies::KvTable;
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::json;
use ferrymq_proto::net::{CallError, Client};
use ferrymq_proto::position::LogOffset;

/// What a master says of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub start: LogOffset,
    pub end: LogOffset,
}

/// How many nodes have a message before a master acknowledges it, the master among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// At least.
    pub demanded: usize,
    /// As many as there are.
    pub all: usize,
}

/// A master's settings, as far as it says them.
#[derive(Clone, Debug)]
pub struct Settings(String);

impl Settings {
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
    }

    pub fn copies(&self) -> Copies {
        let number = |key: &str| self.value(key).and_then(|text| text.parse().ok()).unwrap_or(1);
        let demanded = match (self.value("brokerRole"), self.value("enableAutoInSyncReplicas")) {
            (Some("SYNC_MASTER"), Some("true")) => number("minInSyncReplicas"),
            (Some("SYNC_MASTER"), _) => number("inSyncReplicas"),
            _ => 1,
        };
        Copies { demanded, all: number("totalReplicas") }
    }
}

/// None where a master does not say.
pub async fn settings(client: &Client) -> Result<Option<Settings>, CallError> {
    let text = body(client, RequestCode::GET_BROKER_CONFIG).await?;
    Ok(text.map(|text| Settings(String::from_utf8_lossy(&text).into_owned())))
}

/// From where to where a master's log reaches, if it says so.
pub async fn extent(client: &Client) -> Result<Option<Extent>, CallError> {
    let info = body(client, RequestCode::GET_BROKER_RUNTIME_INFO).await?;
    let table = info.and_then(|body| json::from_slice::<KvTable>(&body).ok()).unwrap_or_default().table;
    let number = |key: &str| table.get(key).and_then(|text| text.parse().ok()).map(LogOffset);
    let extent = number("commitLogMinOffset").zip(number("commitLogMaxOffset"));
    // Without a log Apache's broker says that it begins before 0.
    Ok(extent.map(|(start, end)| Extent { start: start.max(LogOffset(0)), end }))
}

/// What is answered to a request without fields. None: it is refused.
async fn body(client: &Client, code: RequestCode) -> Result<Option<Bytes>, CallError> {
    let answer = client.exchange(Command::request(code)).await?;
    Ok((answer.code == ResponseCode::SUCCESS.0).then_some(answer.body))
}
