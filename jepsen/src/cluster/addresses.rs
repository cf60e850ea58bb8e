//! Who listens where.
//!
//! A broker tells clients one address, `brokerIP1:listenPort`, so a link in front of it must listen on the same port. Linux
//! has a whole network of loopback addresses: a node listens on one of them, and its link on another.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::history::NodeId;

/// Below the ports that the system hands out to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..31_000;
/// A broker also listens on port − 2.
const VIP_DISTANCE: u16 = 2;

/// Where a run finds its brokers and their name server.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Past all links, for the observer.
    pub name_server: SocketAddr,
    pub name_server_for_clients: SocketAddr,
    /// As clients find them.
    pub brokers: Vec<SocketAddr>,
}

#[derive(Clone, Debug)]
pub struct Addresses {
    /// The second and third byte of all addresses of this run.
    network: (u8, u8),
    /// Of every broker, each on an address of its own.
    pub broker_port: u16,
    pub name_server_port: u16,
    /// Of each node, for its peers; some brokers bind it on all addresses.
    pub peer_ports: Vec<u16>,
    /// Of each node, for its slaves; the same.
    pub replication_ports: Vec<u16>,
}

impl Addresses {
    /// Finds a network and ports that nobody uses now.
    pub fn choose(nodes: u8) -> io::Result<Self> {
        let start = u64::from(std::process::id())
            ^ std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64);
        let mut dice = crate::dice::Dice::new(start);
        let network = (dice.between(20, 250), dice.between(1, 250));
        let network = (u8::try_from(network.0).unwrap_or(20), u8::try_from(network.1).unwrap_or(1));
        let mut taken = Vec::new();
        let mut free_port = || {
            for _ in 0..PORTS.len() {
                let port = PORTS.start + u16::try_from(dice.below(PORTS.len() as u64)).unwrap_or_default();
                let far = taken.iter().all(|other: &u16| other.abs_diff(port) > VIP_DISTANCE);
                let free = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
                if far && free(port) && free(port - VIP_DISTANCE) {
                    taken.push(port);
                    return Ok(port);
                }
            }
            Err(io::Error::new(io::ErrorKind::AddrInUse, "there are no free ports"))
        };
        Ok(Self {
            network,
            broker_port: free_port()?,
            name_server_port: free_port()?,
            peer_ports: (0..nodes).map(|_| free_port()).collect::<io::Result<_>>()?,
            replication_ports: (0..nodes).map(|_| free_port()).collect::<io::Result<_>>()?,
        })
    }

    fn host(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.network.0, self.network.1, last)
    }

    /// Where a node itself listens.
    pub fn broker_host(&self, node: NodeId) -> Ipv4Addr {
        self.host(10 + node.0)
    }

    /// Where clients find it: the link.
    pub fn advertised_host(&self, node: NodeId) -> Ipv4Addr {
        self.host(100 + node.0)
    }

    pub fn broker(&self, node: NodeId) -> SocketAddr {
        (self.broker_host(node), self.broker_port).into()
    }

    pub fn advertised(&self, node: NodeId) -> SocketAddr {
        (self.advertised_host(node), self.broker_port).into()
    }

    /// Where a node listens for those whom nobody may hold up: its slaves among them.
    pub fn broker_vip(&self, node: NodeId) -> SocketAddr {
        (self.broker_host(node), self.broker_port - VIP_DISTANCE).into()
    }

    pub fn advertised_vip(&self, node: NodeId) -> SocketAddr {
        (self.advertised_host(node), self.broker_port - VIP_DISTANCE).into()
    }

    pub fn name_server(&self) -> SocketAddr {
        (self.host(1), self.name_server_port).into()
    }

    /// Where clients find the name server.
    pub fn name_server_for_clients(&self) -> SocketAddr {
        (self.host(200), self.name_server_port).into()
    }

    /// Where a node finds the name server.
    pub fn name_server_for(&self, node: NodeId) -> SocketAddr {
        (self.host(210 + node.0), self.name_server_port).into()
    }

    /// Where a node listens for its peers, if it listens for them where it listens for clients.
    pub fn peer_at_home(&self, node: NodeId) -> SocketAddr {
        (self.broker_host(node), self.peer(node).port()).into()
    }

    /// Where all its peers find it then.
    pub fn peer_crossing(&self, node: NodeId) -> SocketAddr {
        (self.advertised_host(node), self.peer(node).port()).into()
    }

    /// Where a node listens for its peers.
    pub fn peer(&self, node: NodeId) -> SocketAddr {
        let port = self.peer_ports.get(usize::from(node.0)).copied().unwrap_or_default();
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Where a master listens for its slaves, whether it listens there on all addresses or on its own.
    pub fn replication_at_home(&self, node: NodeId) -> SocketAddr {
        (self.broker_host(node), self.replication(node).port()).into()
    }

    /// Where a master says that it listens for its slaves.
    pub fn replication(&self, node: NodeId) -> SocketAddr {
        let port = self.replication_ports.get(usize::from(node.0)).copied().unwrap_or_default();
        (Ipv4Addr::LOCALHOST, port).into()
    }
}
