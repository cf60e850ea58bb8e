//! Telling the name servers what this broker has: at once when it changes, and again and again so that they know it lives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::{MemberGroupReply, Registration as RegistrationBody, TopicConfig};
use ferrymq_proto::headers::{GetMemberGroup, RegisterBroker, UnregisterBroker};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::{CallError, Client};
use ferrymq_proto::text::Text;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::announcements::Place;
use super::topics::{Permission, Topics};
use crate::replication::SharedTables;
use crate::replication::pair::Following;

/// After a registration that failed.
const RETRY: Duration = Duration::from_secs(1);

/// How this node is called. As a leader its id is 0.
#[derive(Clone, Debug)]
pub struct OwnName {
    pub cluster: String,
    pub broker: String,
    pub address: String,
    pub ha_address: String,
}

/// The place of this node in its group: the leader's id is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub id: i64,
    /// In which it has it; 0 where there are no terms.
    pub term: i64,
}

#[derive(Clone, Debug)]
pub struct RegistrationRules {
    pub period: Duration,
    pub silence_max: Duration,
    pub has_acting_master: bool,
}

#[derive(Debug)]
pub struct Registration {
    own: OwnName,
    rules: RegistrationRules,
    tables: SharedTables,
    topics: Arc<Topics>,
    /// None: this node shall not be found now.
    seat: watch::Receiver<Option<Seat>>,
    name_servers: Vec<Arc<Client>>,
    /// Of a slave, which learns here where its master is.
    following: Option<Arc<Following>>,
}

impl Registration {
    pub fn new(
        own: OwnName,
        rules: RegistrationRules,
        tables: SharedTables,
        topics: Arc<Topics>,
        seat: watch::Receiver<Option<Seat>>,
        name_servers: Vec<Arc<Client>>,
    ) -> Self {
        Self { own, rules, tables, topics, seat, name_servers, following: None }
    }

    /// Tells a slave where its master is, whenever a name server says so.
    pub fn telling(mut self, following: Option<Arc<Following>>) -> Self {
        self.following = following;
        self
    }

    /// Registers until `stop` turns true, and then unregisters. With each name server by itself: one that is away keeps
    /// no other waiting.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let own = Arc::new(self);
        let mut tasks = JoinSet::new();
        for name_server in &own.name_servers {
            let place = own.topics.announcements().enter();
            tasks.spawn(Arc::clone(&own).keep_registered(Arc::clone(name_server), place, stop.clone()));
        }
        // Who knows no name server goes on as long as the others.
        stopped(&mut stop).await;
        while tasks.join_next().await.is_some() {}
    }

    async fn keep_registered(
        self: Arc<Self>,
        name_server: Arc<Client>,
        place: Place,
        mut stop: watch::Receiver<bool>,
    ) {
        let announcements = self.topics.announcements();
        let mut latest = announcements.subscribe();
        let mut seat = self.seat.clone();
        let mut is_away = false;
        loop {
            let edition = *latest.borrow_and_update();
            let taken = *seat.borrow_and_update();
            let mut pause = self.rules.period;
            if let Some(taken) = taken {
                self.look_for_rival(&name_server, taken).await;
                let outcome = self.register(&name_server, taken).await;
                match &outcome {
                    Ok(()) if is_away => tracing::info!(?name_server, "registered again"),
                    Ok(()) => tracing::debug!(?name_server, "registered"),
                    Err(error) if is_away => tracing::debug!(?name_server, %error, "still not registered"),
                    Err(error) => {
                        tracing::warn!(?name_server, %error, "this broker could not be registered; trying again");
                    }
                }
                is_away = outcome.is_err();
                announcements.tell(place, outcome.ok().map(|()| edition));
                // Clients find nothing until it worked, and a connection that was idle for long fails only when it is used.
                pause = if is_away { RETRY.min(pause) } else { pause };
            } else {
                announcements.tell(place, None);
            }
            tokio::select! {
                () = stopped(&mut stop) => break,
                () = tokio::time::sleep(pause) => {}
                Ok(()) = latest.changed() => {}
                Ok(()) = seat.changed() => {}
            }
        }
        let taken = *seat.borrow();
        if let Some(Seat { id, .. }) = taken
            && let Err(error) = self.unregister(&name_server, id).await
        {
            tracing::warn!(?name_server, %error, "this broker could not be unregistered");
        }
    }

    async fn register(&self, name_server: &Client, seat: Seat) -> Result<(), CallError> {
        let body = self.body(seat);
        let header = RegisterBroker {
            broker_name: self.own.broker.as_str().into(),
            broker_addr: self.own.address.as_str().into(),
            cluster_name: self.own.cluster.as_str().into(),
            ha_server_addr: self.own.ha_address.as_str().into(),
            broker_id: seat.id,
            // Without heartbeats beside the registrations, the name server's own patience counts.
            heartbeat_timeout_millis: i64::try_from(self.rules.silence_max.as_millis())
                .ok()
                .filter(|_| self.rules.has_acting_master),
            enable_acting_master: Some(self.rules.has_acting_master),
            compressed: false,
            body_crc32: crc32(&body),
            zone_name: None,
        };
        let (reply, _) = name_server.call(&header, body).await?;
        if let Some(following) = &self.following {
            let known = |address: Option<Text>| {
                address
                    .map(|address| address.to_string())
                    .filter(|address| !address.is_empty() && *address != self.own.address)
            };
            following.found(known(reply.ha_server_addr), known(reply.master_addr));
        }
        Ok(())
    }

    /// Two slaves with one id take its place from each other again and again: consumers find now the one, now the other.
    async fn look_for_rival(&self, name_server: &Client, seat: Seat) {
        let Some(following) = &self.following else { return };
        let request = GetMemberGroup {
            cluster_name: self.own.cluster.as_str().into(),
            broker_name: self.own.broker.as_str().into(),
        };
        // Older name servers do not know the request.
        let Ok((_, body)) = name_server.call(&request, Bytes::new()).await else { return };
        let members =
            json::from_slice::<MemberGroupReply>(&body).ok().and_then(|reply| reply.broker_member_group);
        let holder = members.and_then(|members| members.broker_addrs.get(&seat.id).cloned());
        following.has_rival(holder.filter(|holder| *holder != self.own.address), seat.id);
    }

    async fn unregister(&self, name_server: &Client, id: i64) -> Result<(), CallError> {
        let header = UnregisterBroker {
            broker_name: self.own.broker.as_str().into(),
            broker_addr: self.own.address.as_str().into(),
            cluster_name: self.own.cluster.as_str().into(),
            broker_id: id,
        };
        name_server.call(&header, Bytes::new()).await.map(drop)
    }

    fn body(&self, seat: Seat) -> Bytes {
        let permission = self.topics.broker_permission();
        let mut topics = self.tables.read().topics().body(0, usize::MAX);
        // Of two that claim the same place the name server believes the one of the later term.
        topics.data_version.state_version = topics.data_version.state_version.max(seat.term);
        topics.topic_config_table.values_mut().for_each(|topic| mask(topic, permission));
        let body = RegistrationBody { filter_server_list: Vec::new(), topics };
        Bytes::from(json::to_string(&body, Dialect::Fastjson))
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could stop us otherwise.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A topic is not open for what its broker is closed for.
fn mask(topic: &mut TopicConfig, permission: Permission) {
    const BOTH: i32 = crate::state::permission::READ | crate::state::permission::WRITE;
    topic.perm &= permission.0 | !BOTH;
}

/// As Java computes it: without the sign.
fn crc32(body: &[u8]) -> i32 {
    ferrymq_proto::record::checksum(body)
}
