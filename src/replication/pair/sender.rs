//! The master's side: it listens for slaves, and sends each of them the log from where it has come to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::{Log, ReadError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::followers::{Followers, Next, Place, TooMany, Unbelievable};
use super::wire::{self, Header, NotOurs, REPORT_BYTES};

/// What is read of the log at once.
const READ_BYTES: usize = 1 << 20;
/// Who is further behind has what it needs read where that may wait for the disk.
const HOT_BYTES: i64 = 8 << 20;
/// Of slaves, and of whoever has not said yet that he is one. The next one is closed.
const CONNECTIONS_MAX: usize = 256;
/// More than has ever come at once: so one read takes all there is, and sees that it is all.
const REPORTS_BYTES: usize = 64 * REPORT_BYTES;
/// After an error of the socket that listens, and between two tries to have it.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub struct StreamRules {
    pub heartbeat_interval: Duration,
    /// A peer that is silent for so long is gone.
    pub silence_max: Duration,
    /// Sent behind one header.
    pub part_bytes_max: usize,
}

/// Why a slave is no longer sent anything.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the connection is closed")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("it was silent for {0:?}")]
    Silent(Duration),
    #[error("{0}; whoever connects to this port must be a slave")]
    NotOurs(#[from] NotOurs),
    #[error(
        "it has {has} bytes, but this master's log ends at {end}: this master has lost what the slave has, or the slave belongs to \
         another one; make that slave the master, or move its store away and let it begin anew"
    )]
    Ahead { has: LogOffset, end: LogOffset },
    #[error(
        "it wants the log from {from} on, which begins at {start} now: move its store away and let it begin anew"
    )]
    Dropped { from: LogOffset, start: LogOffset },
    #[error(transparent)]
    Unbelievable(#[from] Unbelievable),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("the log cannot be read: {0}")]
    Log(ReadError),
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::BeforeStart { offset, start } => Self::Dropped { from: offset, start },
            other => Self::Log(other),
        }
    }
}

type Reports = BufReader<OwnedReadHalf>;

/// Where slaves connect.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// None: somebody else has it still.
    listener: Option<TcpListener>,
}

impl Port {
    /// Port 0 means any.
    pub async fn bind(wanted: SocketAddr) -> Self {
        match TcpListener::bind(wanted).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(wanted);
                Self { address, listener: Some(listener) }
            }
            Err(error) => {
                tracing::warn!(address = %wanted, %error, "slaves cannot connect before this port is free; trying again");
                Self { address: wanted, listener: None }
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves slaves until it is dropped.
    pub async fn run(self, followers: Arc<Followers>, log: Log, rules: StreamRules) {
        let listener = match self.listener {
            Some(listener) => listener,
            None => loop {
                sleep(PAUSE).await;
                if let Ok(listener) = TcpListener::bind(self.address).await {
                    break listener;
                }
            },
        };
        let mut serving = JoinSet::new();
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "slaves cannot connect");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            while serving.try_join_next().is_some() {}
            if serving.len() >= CONNECTIONS_MAX {
                tracing::warn!(%address, "a connection to the port for slaves is closed: there are {CONNECTIONS_MAX}");
                continue;
            }
            let (followers, log) = (Arc::clone(&followers), log.clone());
            serving.spawn(async move {
                let Err(reason) = serve(stream, address, followers, log, rules).await;
                match reason {
                    Ended::Closed | Ended::Io(_) | Ended::Silent(_) => {
                        tracing::info!(%address, %reason, "a slave is gone");
                    }
                    _ => tracing::error!(%address, %reason, "a slave is turned away"),
                }
            });
        }
    }
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    followers: Arc<Followers>,
    log: Log,
    rules: StreamRules,
) -> Result<Infallible, Ended> {
    stream.set_nodelay(true)?;
    let (reading, writing) = stream.into_split();
    let mut reading = BufReader::with_capacity(REPORTS_BYTES, reading);
    let first = report(&mut reading, rules).await?;
    let (from, has) = beginning(first, log.start(), followers.end())?;
    let place = followers.enter(address, from, has)?;
    tracing::info!(%address, %from, "a slave follows");
    tokio::select! {
        heard = hear(reading, &place, rules) => heard,
        sent = send(writing, from, &place, &followers, &log, rules) => sent,
    }
}

/// From where on a slave is sent the log, and what it has, by its first report. Apache's slave that has nothing takes what it is
/// sent, wherever that begins; so it gets everything, and not only the last segment, as from Apache's master.
fn beginning(first: LogOffset, start: LogOffset, end: LogOffset) -> Result<(LogOffset, LogOffset), Ended> {
    if first > end {
        return Err(Ended::Ahead { has: first, end });
    }
    if first == LogOffset(0) {
        return Ok((start, first));
    }
    if first < start {
        return Err(Ended::Dropped { from: first, start });
    }
    Ok((first, first))
}

async fn report(reading: &mut Reports, rules: StreamRules) -> Result<LogOffset, Ended> {
    let mut encoded = [0; REPORT_BYTES];
    match timeout(rules.silence_max, reading.read_exact(&mut encoded)).await {
        Err(_) => Err(Ended::Silent(rules.silence_max)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Ended::Closed),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(_)) => Ok(wire::read_report(encoded)?),
    }
}

async fn hear(mut reading: Reports, place: &Place, rules: StreamRules) -> Result<Infallible, Ended> {
    loop {
        let said = report(&mut reading, rules).await?;
        place.reports(said)?;
    }
}

async fn send(
    mut writing: OwnedWriteHalf,
    mut next: LogOffset,
    place: &Place,
    followers: &Followers,
    log: &Log,
    rules: StreamRules,
) -> Result<Infallible, Ended> {
    let mut written = Instant::now();
    loop {
        let mut moved = std::pin::pin!(followers.moved());
        moved.as_mut().enable();
        let behind = match place.next() {
            Next::Send(behind) => behind,
            Next::Wait(until) => {
                tokio::select! {
                    () = moved => {}
                    () = sleep_until(until.map_or(written + rules.heartbeat_interval, Instant::from_std)) => {
                        if until.is_none() {
                            let header = Header { offset: next, bytes: 0 };
                            writing.write_all(&header.encode()).await?;
                            written = Instant::now();
                        }
                    }
                }
                continue;
            }
        };
        let wanted = usize::try_from(behind).unwrap_or(READ_BYTES).min(READ_BYTES);
        let bytes = if behind > HOT_BYTES {
            let log = log.clone();
            let read = spawn_blocking(move || log.read(next, wanted)).await;
            read.map_err(io::Error::other)??
        } else {
            log.read(next, wanted)?
        };
        next = send_parts(&mut writing, next, bytes, rules.part_bytes_max, place).await?;
        written = Instant::now();
    }
}

/// Each part goes behind its header; all of them are written at once.
async fn send_parts(
    writing: &mut OwnedWriteHalf,
    offset: LogOffset,
    mut bytes: Bytes,
    part_bytes_max: usize,
    place: &Place,
) -> Result<LogOffset, Ended> {
    let mut end = offset;
    let mut pieces = VecDeque::with_capacity(2 * bytes.len().div_ceil(part_bytes_max));
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(part_bytes_max));
        let header = Header { offset: end, bytes: u32::try_from(part.len()).unwrap_or(u32::MAX) };
        end = LogOffset(end.0 + i64::from(header.bytes));
        pieces.push_back(Bytes::copy_from_slice(&header.encode()));
        pieces.push_back(part);
    }
    // Before the slave can say that it has it.
    place.sends(end);
    writing.write_all_buf(&mut Pieces(pieces)).await?;
    Ok(end)
}

/// Written one behind the other.
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.0).map(|(slice, piece)| *slice = IoSlice::new(piece));
        filled.count()
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.0.front_mut() {
            if bytes < piece.len() {
                return piece.advance(bytes);
            }
            bytes -= piece.len();
            self.0.pop_front();
        }
    }
}
