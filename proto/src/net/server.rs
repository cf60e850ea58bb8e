//! Accepting connections, bounding them, and ending them all.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{Connection, ConnectionId, Service};
use super::limits::{Held, Limits};
use super::session;

/// Connections the kernel holds for us before we accept them.
const BACKLOG: u32 = 1024;
/// How long to wait when the process has no more file handles: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// Another port for the same service.
    second: Option<TcpListener>,
    limits: Arc<Limits>,
    open: Arc<OpenConnections>,
    held: Arc<Held>,
}

impl Server {
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            listener: listen(address)?,
            second: None,
            limits: Arc::new(limits),
            open: Arc::default(),
            held: Arc::default(),
        })
    }

    /// Serves at this address too.
    pub fn bind_second(&mut self, address: SocketAddr) -> io::Result<()> {
        self.second = Some(listen(address)?);
        Ok(())
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` turns true (or its sender is gone), then closes every connection and returns.
    pub async fn run(self, service: Arc<dyn Service>, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                accepted = self.accept() => match accepted {
                    Ok((stream, peer)) => self.open(stream, peer, &service, &mut tasks),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task failed");
                    }
                }
            }
        }
        self.open.close_all();
        while tasks.join_next().await.is_some() {}
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.second {
            None => self.listener.accept().await,
            Some(second) => tokio::select! {
                accepted = self.listener.accept() => accepted,
                accepted = second.accept() => accepted,
            },
        }
    }

    fn open(&self, stream: TcpStream, peer: SocketAddr, service: &Arc<dyn Service>, tasks: &mut JoinSet<()>) {
        let Some(place) = OpenConnections::enter(&self.open, peer.ip(), &self.limits) else {
            tracing::warn!(%peer, "connection refused: too many are open");
            return;
        };
        let service = Arc::clone(service);
        let (limits, held) = (Arc::clone(&self.limits), Arc::clone(&self.held));
        tasks.spawn(async move {
            session::run(stream, service, limits, held, |connection| place.name(connection)).await;
            drop(place);
        });
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could stop us otherwise.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The connections that are open now.
#[derive(Debug, Default)]
struct OpenConnections(Mutex<OpenTable>);

#[derive(Debug, Default)]
struct OpenTable {
    /// Including those that have no handle yet.
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    handles: HashMap<ConnectionId, Connection>,
    /// No connection may start any more; one that was accepted just now is closed as soon as it has a handle.
    ending: bool,
}

impl OpenConnections {
    fn table(&self) -> MutexGuard<'_, OpenTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(open: &Arc<Self>, address: IpAddr, limits: &Limits) -> Option<Place> {
        let mut table = open.table();
        let from_address = table.by_address.get(&address).copied().unwrap_or_default();
        if table.count >= limits.connections_max || from_address >= limits.connections_per_address_max {
            return None;
        }
        table.count += 1;
        table.by_address.insert(address, from_address + 1);
        Some(Place { open: Arc::clone(open), address, id: Mutex::new(None) })
    }

    fn close_all(&self) {
        let mut table = self.table();
        table.ending = true;
        table.handles.values().for_each(Connection::close);
    }
}

/// A connection's place among the open ones; dropping it makes room.
struct Place {
    open: Arc<OpenConnections>,
    address: IpAddr,
    id: Mutex<Option<ConnectionId>>,
}

impl Place {
    fn name(&self, connection: Connection) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.id());
        let mut table = self.open.table();
        if table.ending {
            connection.close();
        }
        table.handles.insert(connection.id(), connection);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.open.table();
        table.count -= 1;
        if let Some(id) = *self.id.lock().unwrap_or_else(PoisonError::into_inner) {
            table.handles.remove(&id);
        }
        match table.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(table.by_address.remove(&self.address)),
        }
    }
}
