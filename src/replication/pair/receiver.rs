//! The slave's side: it finds its master, asks for the log from where its own ends, and says how far it has come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ferrymq_proto::net::{CallError, Client};
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::{Chain, FlushMode, Log, Mark};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::asking::{self, Extent};
use super::intake::{Intake, NotTaken};
use super::sender::StreamRules;
use super::slave::{Following, Master, Shelf};

/// What is taken off the socket at once.
const READ_BYTES: usize = 1 << 20;
/// While the rest of a part is on its way, so much may be here without a word.
const UNREPORTED_BYTES_MAX: i64 = 1 << 20;
/// Until the next try.
const PAUSE: Duration = Duration::from_secs(1);
/// After something that will not pass by itself.
const LONG_PAUSE: Duration = Duration::from_secs(10);
/// To connect, and to be answered.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why this slave follows no longer.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0} closed the connection")]
    Closed(String),
    #[error("{address}: {source}")]
    Io { address: String, source: io::Error },
    #[error("{address} was silent for {silence:?}")]
    Silent { address: String, silence: Duration },
    #[error("the master cannot be asked: {0}")]
    Unknown(#[from] CallError),
    #[error("{address} is {found}, but this slave belongs to {own}")]
    OtherGroup { address: String, found: String, own: String },
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    #[error("this node stops")]
    Stopping,
}

impl Ended {
    fn pause(&self) -> Duration {
        match self {
            Self::NotTaken(reason) if !reason.may_pass() => LONG_PAUSE,
            Self::OtherGroup { .. } => LONG_PAUSE,
            _ => PAUSE,
        }
    }
}

/// Whom a slave belongs to.
#[derive(Clone, Debug)]
pub struct OwnGroup {
    pub cluster: String,
    pub broker: String,
}

#[derive(Debug)]
pub struct Receiver {
    pub log: Log,
    pub shelf: Arc<Shelf>,
    pub following: Arc<Following>,
    pub mode: FlushMode,
    pub rules: StreamRules,
    pub own: OwnGroup,
}

impl Receiver {
    /// Follows the master, whoever it is, until it is dropped.
    pub async fn run(self) {
        let mut masters = self.following.masters();
        loop {
            let master = masters.borrow_and_update().clone();
            let Some(ha_address) = master.ha_address.clone() else {
                // An error says that nobody is left who could find a master.
                if masters.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let Err(reason) = self.follow(&ha_address, &master).await;
            if matches!(reason, Ended::Stopping) {
                return;
            }
            self.following.ended(&reason.to_string());
            tokio::select! {
                () = sleep(reason.pause()) => {}
                Ok(()) = masters.changed() => {}
            }
        }
    }

    async fn follow(&self, address: &str, master: &Master) -> Result<std::convert::Infallible, Ended> {
        let extent = match &master.address {
            Some(broker) => match self.meet(broker).await {
                // Nobody has said that it is there. Whoever has nothing waits until somebody does: without the beginning of
                // the master's log it would be sent only the last segment, as by Apache's master, and lack all before.
                Err(Ended::Unknown(_)) if master.is_guess && !self.has_nothing() => None,
                met => met?,
            },
            None => None,
        };
        let failed = |source| Ended::Io { address: address.to_owned(), source };
        let connecting = timeout(PATIENCE, TcpStream::connect(address)).await;
        let stream = connecting.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (intake, first) = Intake::begin(&self.log, extent)?;
        let (reading, mut writing) = stream.into_split();
        writing.write_all(&first.0.to_be_bytes()).await.map_err(failed)?;
        let mut link =
            Link { receiver: self, address, writing, intake, reported: first, wrote: Instant::now() };
        link.run(reading).await
    }

    fn has_nothing(&self) -> bool {
        self.log.written() == self.log.start()
    }

    /// Asks the master who it is, and how far its log reaches. None where it does not say.
    async fn meet(&self, address: &str) -> Result<Option<Extent>, Ended> {
        let client = Client::new(address, PATIENCE);
        let met = self.ask(&client, address).await;
        client.close().await;
        met
    }

    async fn ask(&self, client: &Client, address: &str) -> Result<Option<Extent>, Ended> {
        if let Some(settings) = asking::settings(client).await? {
            let (cluster, broker) = (settings.value("brokerClusterName"), settings.value("brokerName"));
            let is_other = |found: Option<&str>, own: &str| found.is_some_and(|found| found != own);
            if is_other(cluster, &self.own.cluster) || is_other(broker, &self.own.broker) {
                let name = |cluster: &str, broker: &str| format!("{broker} of {cluster}");
                return Err(Ended::OtherGroup {
                    address: address.to_owned(),
                    found: name(cluster.unwrap_or_default(), broker.unwrap_or_default()),
                    own: name(&self.own.cluster, &self.own.broker),
                });
            }
            self.following.learned_copies(settings.copies());
        }
        let extent = asking::extent(client).await?;
        extent.inspect(|extent| self.following.learned_end(extent.end));
        Ok(extent)
    }
}

/// One connection to a master.
struct Link<'a> {
    receiver: &'a Receiver,
    address: &'a str,
    writing: OwnedWriteHalf,
    intake: Intake,
    reported: LogOffset,
    wrote: Instant,
}

impl Link<'_> {
    async fn run(&mut self, mut reading: OwnedReadHalf) -> Result<std::convert::Infallible, Ended> {
        let following = &self.receiver.following;
        let rules = self.receiver.rules;
        let mut come = BytesMut::with_capacity(READ_BYTES);
        let mut heard = Instant::now();
        let mut is_told = false;
        loop {
            come.reserve(READ_BYTES.saturating_sub(come.len()));
            tokio::select! {
                read = reading.read_buf(&mut come) => match read {
                    Ok(0) => return Err(Ended::Closed(self.address.to_owned())),
                    Ok(bytes) => {
                        heard = Instant::now();
                        following.heard(bytes);
                        self.take(&mut come)?;
                    }
                    Err(source) => return Err(self.failed(source)),
                },
                () = following.advanced() => {}
                () = sleep_until(self.wrote + rules.heartbeat_interval) => self.report(self.reported).await?,
                () = sleep_until(heard + rules.silence_max) => {
                    let (address, silence) = (self.address.to_owned(), rules.silence_max);
                    return Err(Ended::Silent { address, silence });
                }
            }
            if !is_told && self.intake.has_compared() {
                is_told = true;
                following.follows(self.address);
            }
            let has = if is_told { following.acknowledged() } else { self.intake.compared() };
            let waits = self.intake.is_amid_part() && has.0 - self.reported.0 < UNREPORTED_BYTES_MAX;
            if has > self.reported && !waits {
                self.report(has).await?;
            }
        }
    }

    fn failed(&self, source: io::Error) -> Ended {
        Ended::Io { address: self.address.to_owned(), source }
    }

    async fn report(&mut self, has: LogOffset) -> Result<(), Ended> {
        let written = self.writing.write_all(&has.0.to_be_bytes()).await;
        written.map_err(|source| self.failed(source))?;
        self.reported = has;
        self.wrote = Instant::now();
        self.receiver.following.said();
        Ok(())
    }

    /// Puts what has come into the log. The master hears of it when it is as safe as the settings say.
    fn take(&mut self, come: &mut BytesMut) -> Result<(), Ended> {
        let Receiver { log, shelf, following, mode, .. } = self.receiver;
        let before = log.written();
        let taken = shelf.with(|appender| self.intake.take(come, appender)).ok_or(Ended::Stopping)?;
        let end = log.written();
        if end > before {
            match mode {
                FlushMode::Async => {
                    log.confirm(mark(end));
                    following.acknowledge(end);
                }
                FlushMode::Sync => {
                    let (log, following) = (log.clone(), Arc::clone(following));
                    let durable = self.receiver.log.clone();
                    durable.when_durable(
                        end,
                        Box::new(move |result| {
                            if result.is_ok() {
                                log.confirm(mark(end));
                                following.acknowledge(end);
                            }
                        }),
                    );
                }
            }
        }
        Ok(taken?)
    }
}

fn mark(offset: LogOffset) -> Mark {
    Mark { offset, chain: Chain::default() }
}
