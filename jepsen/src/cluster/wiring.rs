//! The links between the parts of a cluster: where each stands, and what passes it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use super::crossing::Crossing;
use super::link::{Alias, Behaviour, Link};
use super::{Cluster, LinkName, Maker, Replication};
use crate::dice::Dice;
use crate::history::{Flow, NodeId};

impl Cluster {
    pub(super) async fn open_links(&mut self) -> io::Result<()> {
        let nodes: Vec<NodeId> = self.all().collect();
        let mut wanted = vec![(
            LinkName::ClientsToNameServer,
            self.addresses.name_server_for_clients(),
            self.addresses.name_server(),
        )];
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for node in &nodes {
            wanted.push((
                LinkName::ClientsTo(*node),
                self.addresses.advertised(*node),
                self.addresses.broker(*node),
            ));
            let vip = (self.addresses.advertised_vip(*node), self.addresses.broker_vip(*node));
            wanted.push((LinkName::CopiersTo(*node), vip.0, vip.1));
            let for_node = self.addresses.name_server_for(*node);
            wanted.push((LinkName::ToNameServer(*node), for_node, self.addresses.name_server()));
            match self.blueprint.system.replication {
                Replication::Raft if self.blueprint.system.maker == Maker::Ferrymq => {}
                Replication::Raft => {
                    let others = nodes.iter().filter(|peer| *peer != node);
                    wanted.extend(
                        others.map(|peer| (LinkName::Peers(*node, *peer), any, self.addresses.peer(*peer))),
                    );
                }
                // Whoever is the master now, another may be later.
                Replication::MasterSlave => {
                    let masters = nodes.iter().filter(|master| *master != node);
                    wanted.extend(masters.map(|master| {
                        let home = self.addresses.replication_at_home(*master);
                        (LinkName::Replication(*node, *master), any, home)
                    }));
                }
            }
        }
        // Where slaves find their master must be known before the master says where it is.
        wanted.sort_by_key(|(name, ..)| !matches!(name, LinkName::Replication(..)));
        let mut dice = Dice::derive(self.blueprint.seed, "links");
        for (name, listen, target) in wanted {
            let link = match self.alias_at(name) {
                Some(alias) => Link::open_with_alias(listen, target, dice.throw(), alias).await?,
                None => Link::open(listen, target, dice.throw()).await?,
            };
            match name {
                LinkName::Peers(from, to) => drop(self.peer_links.insert((from, to), link.listens)),
                LinkName::Replication(slave, master) => {
                    self.master_links.insert((slave, master), link.listens);
                }
                _ => {}
            }
            self.links.insert(name, link);
        }
        if self.blueprint.system.replication == Replication::Raft
            && self.blueprint.system.maker == Maker::Ferrymq
        {
            self.open_crossings(&mut dice).await?;
        }
        Ok(())
    }

    pub(super) fn master_link(&self, node: NodeId) -> Option<SocketAddr> {
        let is_told = self.blueprint.system.maker == Maker::Ferrymq;
        self.master_links.get(&(node, self.master)).copied().filter(|_| is_told)
    }

    /// Apache's slaves forget the `haMasterAddress` of their configuration before they use it, and go where the name server says
    /// that their master is. What it hears there is the link to the master.
    fn alias_at(&self, name: LinkName) -> Option<Alias> {
        let LinkName::ToNameServer(own) = name else { return None };
        let of_own = self.master_links.iter().find(|((_, master), _)| *master == own);
        let (_, link) = of_own.filter(|_| self.blueprint.system.maker == Maker::Apache)?;
        Alias::new(self.addresses.replication(own), *link)
    }

    async fn open_crossings(&mut self, dice: &mut Dice) -> io::Result<()> {
        for to in self.all() {
            let (listens, target) = (self.addresses.peer_crossing(to), self.addresses.peer_at_home(to));
            let mut links = BTreeMap::new();
            for from in self.all().filter(|from| *from != to) {
                let (link, hand_over) = Link::behind(listens, target, dice.throw());
                self.peer_links.insert((from, to), listens);
                self.links.insert(LinkName::Peers(from, to), link);
                links.insert(from, hand_over);
            }
            self.peer_links.insert((to, to), listens);
            self.crossings.push(Crossing::open(listens, self.residents.clone(), links).await?);
        }
        Ok(())
    }

    /// The ends of the links that carry from one node to another, and which way.
    fn ways(&self, flow: Flow) -> impl Iterator<Item = (&Link, bool)> {
        let Flow { from, to } = flow;
        let forth = [LinkName::Peers(from, to), LinkName::Replication(from, to)];
        let back = [LinkName::Peers(to, from), LinkName::Replication(to, from)];
        let find = |names: [LinkName; 2], forth| {
            names.into_iter().filter_map(move |name| self.links.get(&name).map(|link| (link, forth)))
        };
        find(forth, true).chain(find(back, false))
    }

    /// Lets nothing pass from one node to another, or lets it again.
    pub fn cut(&self, flow: Flow, cut: bool) {
        for (link, forth) in self.ways(flow) {
            link.change(|behaviour| if forth { behaviour.forth.cut = cut } else { behaviour.back.cut = cut });
        }
    }

    /// Ends the connections between two nodes. What a cut has held back is lost with them.
    pub fn reset(&self, flow: Flow) {
        for (link, _) in self.ways(flow) {
            link.reset();
        }
    }

    /// Bytes that have passed from one node to another, and disturbances on their links, since the beginning.
    pub fn flow_traffic(&self, flow: Flow) -> (u64, u64) {
        self.ways(flow).fold((0, 0), |(passed, disturbed), (link, forth)| {
            let traffic = link.traffic();
            let carried = if forth { traffic.passed_forth } else { traffic.passed_back };
            (passed + carried, disturbed + traffic.disturbed)
        })
    }

    /// Makes all links behave. Connections stay.
    pub fn heal_links(&self) {
        for link in self.links.values() {
            link.change(|now| *now = Behaviour { generation: now.generation, ..Behaviour::default() });
        }
    }
}
