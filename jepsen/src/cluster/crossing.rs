//! Where all peers of a node connect.
//!
//! The nodes of a group must agree on the address of each, so they cannot each have an address of their own for it. Who it is
//! that connects shows the kernel: it knows which process owns the other end. From here the connection goes to the link of that
//! pair.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::history::NodeId;

/// A connection is in the kernel's table a moment after it was accepted.
const TRIES: u32 = 5;
const RETRY: Duration = Duration::from_millis(10);

/// The processes of the nodes that run. A handle: clones share it.
#[derive(Clone, Debug, Default)]
pub struct Residents(Arc<Mutex<BTreeMap<NodeId, u32>>>);

impl Residents {
    pub fn moved_in(&self, node: NodeId, process: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node, process);
    }

    fn all(&self) -> BTreeMap<NodeId, u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
pub struct Crossing {
    task: AbortHandle,
}

impl Crossing {
    /// Listens in the place of a node. `links` are those of its peers.
    pub async fn open(
        listen: SocketAddr,
        residents: Residents,
        links: BTreeMap<NodeId, mpsc::Sender<TcpStream>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, from)) = listener.accept().await else { continue };
                tokio::spawn(direct(stream, (from, listen), residents.clone(), links.clone()));
            }
        });
        Ok(Self { task: task.abort_handle() })
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection of somebody unknown is closed: its owner has ended meanwhile.
async fn direct(
    stream: TcpStream,
    ends: (SocketAddr, SocketAddr),
    residents: Residents,
    links: BTreeMap<NodeId, mpsc::Sender<TcpStream>>,
) {
    for _ in 0..TRIES {
        let all = residents.all();
        let owner = tokio::task::spawn_blocking(move || owner(ends, &all)).await;
        if let Ok(Some(owner)) = owner {
            if let Some(link) = links.get(&owner) {
                let _ = link.send(stream).await;
            }
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Which node's process has the socket at the first of two connected ends.
fn owner(ends: (SocketAddr, SocketAddr), residents: &BTreeMap<NodeId, u32>) -> Option<NodeId> {
    let (SocketAddr::V4(own), SocketAddr::V4(other)) = ends else { return None };
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let link = format!("socket:[{}]", inode(&table, own, other)?);
    let has = |process: &u32| {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target == Path::new(&link))
    };
    residents.iter().find(|(_, process)| has(process)).map(|(node, _)| *node)
}

/// The number of the socket between two ends, in Linux's table of connections.
fn inode(table: &str, own: SocketAddrV4, other: SocketAddrV4) -> Option<&str> {
    // Addresses stand there as a number in the machine's own order.
    let shown =
        |end: SocketAddrV4| format!("{:08X}:{:04X}", u32::from_ne_bytes(end.ip().octets()), end.port());
    let (own, other) = (shown(own), shown(other));
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let found = words.nth(1)? == own && words.next()? == other;
        // Behind the ends: state, queues, timer, retransmissions, user and timeout.
        if found { words.nth(6).filter(|inode| *inode != "0") } else { None }
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn a_line_of_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0A165B7F:5BB4 64165B7F:972B 01 00000000:00000000 00:00000000 00000000     0        0 77123 1 0\n";
        let own = "127.91.22.10:23476".parse().expect("an address");
        let other = "127.91.22.100:38699".parse().expect("an address");
        assert_eq!(inode(table, own, other), Some("77123"));
        assert_eq!(inode(table, other, own), None);
    }

    /// What this process connects is taken for the node that this process is said to be.
    #[tokio::test]
    async fn a_connection_goes_to_the_link_of_its_owner() {
        let address =
            TcpListener::bind("127.0.0.1:0").await.and_then(|free| free.local_addr()).expect("a port");
        let residents = Residents::default();
        residents.moved_in(NodeId(0), 1);
        residents.moved_in(NodeId(2), std::process::id());
        let (first, mut other) = mpsc::channel(1);
        let (second, mut handed) = mpsc::channel(1);
        let links = BTreeMap::from([(NodeId(0), first), (NodeId(2), second)]);
        let _crossing = Crossing::open(address, residents, links).await.expect("a crossing");
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let arrived = handed.recv().await.expect("a stream");
        assert_eq!(arrived.peer_addr().ok(), stream.local_addr().ok());
        assert!(other.try_recv().is_err());
        drop(arrived);
        assert_eq!(stream.read(&mut [0; 1]).await.expect("an end"), 0);
    }
}
