//! Links: every connection between two parts of the cluster passes through one, and a link can misbehave.
//!
//! A link listens in the place of its target and carries bytes both ways. What it does to them is set from outside at any time
//! and is the same for all its connections. It knows no protocol; at most it lets one address be taken for another of the same
//! length, where a part of the cluster cannot be told where to say that it is found. What a cut holds back is delivered when the cut ends, as TCP
//! would; a reset loses it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::dice::Dice;

/// How long a connection to the target may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
const BUFFER_BYTES: usize = 64 << 10;
/// Connections that were handed over and not taken yet.
const HANDED_MAX: usize = 64;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Nothing passes; what comes waits.
    pub cut: bool,
    /// What comes is thrown away.
    pub discard: bool,
    pub delay_ms: u64,
    pub jitter_ms: u64,
    /// 0: no limit.
    pub bytes_per_second: u64,
    /// Each connection is reset after this many bytes.
    pub reset_after: Option<u64>,
}

/// How a link behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// From the one who connects to the target.
    pub forth: Way,
    pub back: Way,
    /// New connections are reset.
    pub refuse: bool,
    /// Connections of an earlier generation are reset.
    pub generation: u64,
}

/// In what is carried forth, one text stands in the place of another that is as long, so that lengths in frames stay true.
#[derive(Clone, Debug)]
pub struct Alias {
    own: Vec<u8>,
    alias: Vec<u8>,
}

impl Alias {
    /// `None` for addresses whose texts differ in length.
    pub fn new(own: SocketAddr, alias: SocketAddr) -> Option<Self> {
        let (own, alias) = (own.to_string().into_bytes(), alias.to_string().into_bytes());
        (own.len() == alias.len()).then_some(Self { own, alias })
    }

    /// An address that is cut in two by the end of a read is missed: senders write a frame at once.
    fn put_on(&self, bytes: &mut [u8]) {
        for at in 0..bytes.len() {
            if let Some(place) = bytes.get_mut(at..at + self.own.len()).filter(|place| **place == *self.own) {
                place.copy_from_slice(&self.alias);
            }
        }
    }
}

/// What a link has seen since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub passed_forth: u64,
    pub passed_back: u64,
    /// Times that a cut held something back, that bytes were thrown away, or that a connection was refused or reset.
    pub disturbed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    passed_forth: AtomicU64,
    passed_back: AtomicU64,
    disturbed: AtomicU64,
}

#[derive(Debug)]
pub struct Link {
    pub listens: SocketAddr,
    behaviour: watch::Sender<Behaviour>,
    counters: Arc<Counters>,
    task: AbortHandle,
}

impl Link {
    /// Listens on `listen` and carries to `target`. The seed gives the jitter.
    pub async fn open(listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let listens = listener.local_addr()?;
        Ok(Self::start(listens, Arrivals::Accepted(listener), target, seed, None))
    }

    /// The same, and whoever connects is known by another address to those on the other side.
    pub async fn open_with_alias(
        listen: SocketAddr,
        target: SocketAddr,
        seed: u64,
        alias: Alias,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let listens = listener.local_addr()?;
        Ok(Self::start(listens, Arrivals::Accepted(listener), target, seed, Some(alias)))
    }

    /// Carries to `target` the connections that somebody hands over who listens at `listens`.
    pub fn behind(listens: SocketAddr, target: SocketAddr, seed: u64) -> (Self, mpsc::Sender<TcpStream>) {
        let (sender, handed) = mpsc::channel(HANDED_MAX);
        (Self::start(listens, Arrivals::Handed(handed), target, seed, None), sender)
    }

    fn start(
        listens: SocketAddr,
        arrivals: Arrivals,
        target: SocketAddr,
        seed: u64,
        alias: Option<Alias>,
    ) -> Self {
        let (behaviour, watched) = watch::channel(Behaviour::default());
        let counters = Arc::new(Counters::default());
        let end = End { target, alias: alias.map(Arc::new) };
        let task = tokio::spawn(accept(arrivals, end, watched, Arc::clone(&counters), Dice::new(seed)));
        Self { listens, behaviour, counters, task: task.abort_handle() }
    }

    pub fn behaviour(&self) -> Behaviour {
        *self.behaviour.borrow()
    }

    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        self.behaviour.send_modify(change);
    }

    /// Resets every connection that is open now.
    pub fn reset(&self) {
        self.change(|behaviour| behaviour.generation += 1);
    }

    pub fn traffic(&self) -> Traffic {
        Traffic {
            passed_forth: self.counters.passed_forth.load(Ordering::Relaxed),
            passed_back: self.counters.passed_back.load(Ordering::Relaxed),
            disturbed: self.counters.disturbed.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where connections go.
#[derive(Clone)]
struct End {
    target: SocketAddr,
    alias: Option<Arc<Alias>>,
}

/// Where connections come from.
enum Arrivals {
    Accepted(TcpListener),
    Handed(mpsc::Receiver<TcpStream>),
}

impl Arrivals {
    async fn next(&mut self) -> Option<TcpStream> {
        match self {
            Self::Accepted(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
            Self::Handed(handed) => match handed.recv().await {
                Some(stream) => Some(stream),
                // Nobody hands anything over any more.
                None => std::future::pending().await,
            },
        }
    }
}

async fn accept(
    mut arrivals: Arrivals,
    end: End,
    behaviour: watch::Receiver<Behaviour>,
    counters: Arc<Counters>,
    mut dice: Dice,
) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            arrived = arrivals.next() => {
                let Some(stream) = arrived else { continue };
                let dice = Dice::new(dice.throw());
                connections.spawn(carry(stream, end.clone(), behaviour.clone(), Arc::clone(&counters), dice));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(
    client: TcpStream,
    end: End,
    mut behaviour: watch::Receiver<Behaviour>,
    counters: Arc<Counters>,
    mut dice: Dice,
) {
    let at_start = *behaviour.borrow();
    if at_start.refuse {
        counters.disturbed.fetch_add(1, Ordering::Relaxed);
        return reset(client);
    }
    if at_start.forth.cut || at_start.back.cut {
        // A handshake would not get through either.
        counters.disturbed.fetch_add(1, Ordering::Relaxed);
        let passes = |now: &Behaviour| {
            !(now.forth.cut || now.back.cut) || now.refuse || now.generation != at_start.generation
        };
        if behaviour.wait_for(passes).await.is_err() {
            return;
        }
    }
    let generation = at_start.generation;
    let connected = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(end.target)).await;
    let Ok(Ok(server)) = connected else { return reset(client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let forth = Pump {
        behaviour: behaviour.clone(),
        counters: &counters,
        forth: true,
        alias: end.alias.as_deref(),
        dice: Dice::new(dice.throw()),
    };
    let back = Pump { behaviour: behaviour.clone(), counters: &counters, forth: false, alias: None, dice };
    let both =
        async { tokio::join!(forth.run(client_reads, server_writes), back.run(server_reads, client_writes)) };
    let ended = behaviour.wait_for(|now| now.generation != generation);
    let (forth, back) = tokio::select! {
        // A reset first: what a cut has held back is lost, also where the cut ends at the same moment.
        biased;
        _ = ended => {
            counters.disturbed.fetch_add(1, Ordering::Relaxed);
            // The halves are dropped with data unread or unsent, which the system answers with a reset.
            return;
        }
        ends = both => ends,
    };
    // Whoever is not reset already hears an orderly end.
    drop((forth, back));
}

/// Closes a connection without the courtesy of an end.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

struct Pump<'c> {
    behaviour: watch::Receiver<Behaviour>,
    counters: &'c Counters,
    forth: bool,
    alias: Option<&'c Alias>,
    dice: Dice,
}

impl Pump<'_> {
    fn way(&self) -> Way {
        let behaviour = self.behaviour.borrow();
        if self.forth { behaviour.forth } else { behaviour.back }
    }

    fn disturbed(&self) {
        self.counters.disturbed.fetch_add(1, Ordering::Relaxed);
    }

    /// Moves bytes until one side ends. Returns the halves, so that they are closed together.
    async fn run(
        mut self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> (OwnedReadHalf, OwnedWriteHalf) {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut carried = 0_u64;
        loop {
            if from.readable().await.is_err() {
                break;
            }
            if self.way().cut {
                self.disturbed();
                let forth = self.forth;
                let opened =
                    self.behaviour.wait_for(|now| if forth { !now.forth.cut } else { !now.back.cut });
                if opened.await.is_err() {
                    break;
                }
            }
            let Ok(read @ 1..) = from.read(&mut buffer).await else { break };
            if let Some(alias) = self.alias {
                alias.put_on(buffer.get_mut(..read).unwrap_or_default());
            }
            let way = self.way();
            self.linger(way, read).await;
            if way.discard {
                self.disturbed();
                continue;
            }
            let allowed = way.reset_after.map_or(u64::MAX, |limit| limit.saturating_sub(carried));
            let passing = read.min(usize::try_from(allowed).unwrap_or(usize::MAX));
            carried += passing as u64;
            let written = to.write_all(buffer.get(..passing).unwrap_or_default()).await;
            let passed = if self.forth { &self.counters.passed_forth } else { &self.counters.passed_back };
            passed.fetch_add(passing as u64, Ordering::Relaxed);
            if passing < read {
                self.disturbed();
                break;
            }
            if written.is_err() {
                break;
            }
        }
        // The other direction learns of it: a link whose one end is gone is no use.
        let _ = to.shutdown().await;
        (from, to)
    }

    async fn linger(&mut self, way: Way, bytes: usize) {
        let mut wait = way.delay_ms + self.dice.below(way.jitter_ms + 1);
        wait += (bytes as u64 * 1000).checked_div(way.bytes_per_second).unwrap_or_default();
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}

#[cfg(test)]
mod tests;
