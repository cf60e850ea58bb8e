//! The tables of a slave: copies of its master's, fetched again and again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::TimerCheckpoint;
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::net::{CallError, Client};
use ferrymq_proto::position::LogOffset;
use ferrymq_proto::text::Text;
use ferrymq_storage::Log;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::asking;
use super::slave::{Following, Slave};
use crate::replication::NotStored;
use crate::services::topics::Topics;
use crate::state::files::{ConfigFile, ContentError};
use crate::state::{Copy, Reply, Stamp};

/// Apache's slaves ask every 10 seconds. What is committed in between is lost with the master, so ours ask more often.
const INTERVAL: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);
/// For the messages that the tables speak of.
const MESSAGES_WAIT: Duration = Duration::from_secs(5);
const MESSAGES_TICK: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
enum NotCopied {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("request {code} was refused with {answer}: {remark}")]
    Refused { code: i32, answer: i32, remark: Text },
    #[error("the answer to request {code} cannot be read: {source}")]
    Content { code: i32, source: ContentError },
    #[error(transparent)]
    NotStored(#[from] NotStored),
    #[error("the progress of timers cannot be kept: {0}")]
    Timers(std::io::Error),
}

/// What is asked for, and which table the answer is.
const SHAPE: [(RequestCode, ConfigFile); 2] = [
    (RequestCode::GET_ALL_TOPIC_CONFIG, ConfigFile::Topics),
    (RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, ConfigFile::Groups),
];
/// These speak of messages, so they count once the messages are here.
const PROGRESS: [(RequestCode, ConfigFile); 2] = [
    (RequestCode::GET_ALL_CONSUMER_OFFSET, ConfigFile::Offsets),
    (RequestCode::GET_ALL_DELAY_OFFSET, ConfigFile::Delays),
];

pub struct TableCopies {
    pub following: Arc<Following>,
    pub slave: Arc<Slave>,
    pub log: Log,
    pub topics: Arc<Topics>,
    /// Apache's file of how far timers are (`config/timercheck`).
    pub timer_checkpoint: PathBuf,
}

impl TableCopies {
    /// Copies until it is dropped.
    pub async fn run(self) {
        let mut masters = self.following.masters();
        let mut trouble = None;
        loop {
            let address = masters.borrow_and_update().address.clone();
            if let Some(address) = address {
                let client = Client::new(address.as_str(), PATIENCE);
                let copied = self.copy(&client).await;
                client.close().await;
                let reason = copied.err().map(|error| error.to_string());
                if let Some(reason) = reason.as_ref().filter(|_| reason != trouble) {
                    tracing::warn!(
                        master = address,
                        reason,
                        "the master's tables are not copied; trying again"
                    );
                }
                trouble = reason;
            }
            tokio::select! {
                () = sleep(INTERVAL) => {}
                Ok(()) = masters.changed() => {}
            }
        }
    }

    async fn copy(&self, client: &Client) -> Result<(), NotCopied> {
        let mut copy = begin();
        for (code, file) in SHAPE {
            add(&mut copy, code, file, &ask(client, code).await?)?;
        }
        self.keep(copy).await?;
        let mut copy = begin();
        // Ours first: offsets must not be newer than the registers that belong to them.
        let is_ours = match ask(client, RequestCode::GET_OWN_TABLES).await {
            Ok(body) => {
                add(&mut copy, RequestCode::GET_OWN_TABLES, ConfigFile::Own, &body)?;
                true
            }
            Err(NotCopied::Refused { answer, .. })
                if answer == ResponseCode::REQUEST_CODE_NOT_SUPPORTED.0 =>
            {
                false
            }
            Err(error) => return Err(error),
        };
        if !is_ours {
            // Apache's master knows nothing of our registers, so ours of another time count no more.
            copy.forget_registers();
            self.keep_timers(client).await?;
        }
        for (code, file) in PROGRESS {
            add(&mut copy, code, file, &ask(client, code).await?)?;
        }
        // Before its end: what was acknowledged from now on lies behind that, or has so many copies.
        let settings = asking::settings(client).await?;
        settings.inspect(|settings| self.following.learned_copies(settings.copies()));
        let extent = asking::extent(client).await?;
        extent.inspect(|extent| self.following.learned_end(extent.end));
        match extent {
            Some(extent) if !self.has(extent.end).await => {
                tracing::debug!(
                    "what the master has consumed and delivered is not copied: its messages are not here yet"
                );
                Ok(())
            }
            _ => self.keep(copy).await,
        }
    }

    /// Waits until everything before `end` is here, but not for long.
    async fn has(&self, end: LogOffset) -> bool {
        let deadline = Instant::now() + MESSAGES_WAIT;
        while self.log.confirmed().offset < end && Instant::now() < deadline {
            sleep(MESSAGES_TICK).await;
        }
        self.log.confirmed().offset >= end
    }

    async fn keep(&self, copy: Copy) -> Result<(), NotCopied> {
        let (sender, receiver) = oneshot::channel();
        self.slave.copy(copy, Box::new(move |reply| drop(sender.send(reply))));
        let reply = receiver.await.unwrap_or(Err(NotStored::Stopping))?;
        if reply == Reply::Changed {
            self.topics.announce();
        }
        Ok(())
    }

    /// Keeps Apache's note of its timers where it lies in Apache's store, for the day on which this slave becomes the master.
    async fn keep_timers(&self, client: &Client) -> Result<(), NotCopied> {
        // A master without timers refuses.
        let Ok(body) = ask(client, RequestCode::GET_TIMER_CHECK_POINT).await else { return Ok(()) };
        let Some(checkpoint) = TimerCheckpoint::decode(&body) else { return Ok(()) };
        let path = self.timer_checkpoint.clone();
        let write = move || ferrymq_namesrv::stored_file::replace(&path, &checkpoint.encode());
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(std::io::Error::other).and_then(|written| written).map_err(NotCopied::Timers)
    }
}

fn begin() -> Copy {
    Copy::begin(Stamp { at: crate::clock::now(), term: 0 })
}

fn add(copy: &mut Copy, code: RequestCode, file: ConfigFile, body: &[u8]) -> Result<(), NotCopied> {
    copy.add(file, body).map_err(|source| NotCopied::Content { code: code.0, source })
}

async fn ask(client: &Client, code: RequestCode) -> Result<Bytes, NotCopied> {
    let answer = client.exchange(Command::request(code)).await?;
    if answer.code == ResponseCode::SUCCESS.0 {
        return Ok(answer.body);
    }
    let remark = answer.remark.unwrap_or_default();
    Err(NotCopied::Refused { code: code.0, answer: answer.code, remark })
}
