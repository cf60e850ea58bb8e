//! The broker: its services side by side, each in a field of its own.
//!
//! `node` opens the store, puts the services together and runs them; handlers find here what they hand a request to.

use std::net::SocketAddr;
use std::sync::Arc;

use ferrymq_proto::net::Connection;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::config::broker::Identity;
use crate::config::desk::BrokerDesk;
use crate::config::live::Live;
use crate::handlers::pull::PullRules;
use crate::replication::{SharedTables, Writer};
use crate::services::archive::Archive;
use crate::services::arrivals::Arrivals;
use crate::services::assignment::Assignment;
use crate::services::clients::Clients;
use crate::services::consumption::Consumption;
use crate::services::courier::Courier;
use crate::services::delays::Delays;
use crate::services::filters::Filters;
use crate::services::groups::Groups;
use crate::services::keeping::Keeping;
use crate::services::offsets::Offsets;
use crate::services::order_locks::OrderLocks;
use crate::services::produce::Produce;
use crate::services::pull::Pull;
use crate::services::query::Query;
use crate::services::recall::Recall;
use crate::services::replies::Replies;
use crate::services::retries::Retries;
use crate::services::stats::Statistics;
use crate::services::topics::Topics;
use crate::services::transactions::Transactions;
use crate::services::vitals::Vitals;

pub struct Broker {
    pub identity: Identity,
    /// Where clients find it, and what message ids hold.
    pub address: SocketAddr,
    pub tables: SharedTables,
    pub writer: Writer,
    pub archive: Archive,
    pub topics: Arc<Topics>,
    pub groups: Arc<Groups>,
    pub clients: Arc<Clients>,
    pub offsets: Arc<Offsets>,
    pub locks: Arc<OrderLocks>,
    pub assignment: Assignment,
    pub produce: Produce,
    pub retries: Retries,
    pub recall: Recall,
    pub delays: Arc<Delays>,
    pub pull: Pull,
    pub pull_rules: Live<PullRules>,
    pub filters: Filters,
    pub query: Query,
    pub consumption: Consumption,
    pub statistics: Arc<Statistics>,
    pub keeping: Arc<Keeping>,
    pub vitals: Vitals,
    /// The configuration that holds, for those who look at it and change it.
    pub desk: Arc<BrokerDesk>,
    pub arrivals: Arc<Arrivals>,
    pub transactions: Arc<Transactions>,
    pub replies: Replies,
    /// In a group that elects its leader: what brings messages there.
    pub courier: Option<Arc<Courier>>,
    /// Of the threads that serve clients.
    pub runtime: Handle,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({})", self.identity.name)
    }
}

impl Broker {
    /// Begins what goes on beside the requests. It ends with the runtime.
    pub fn start_services(self: &Arc<Self>) -> JoinSet<()> {
        let mut running = JoinSet::new();
        let clients = Arc::clone(&self.clients);
        running.spawn(async move { clients.run().await });
        let offsets = Arc::clone(&self.offsets);
        running.spawn(async move { offsets.run().await });
        let locks = Arc::clone(&self.locks);
        running.spawn(async move { locks.run().await });
        let transactions = Arc::clone(&self.transactions);
        running.spawn(async move { transactions.run().await });
        let statistics = Arc::clone(&self.statistics);
        running.spawn(async move { statistics.run().await });
        let keeping = Arc::clone(&self.keeping);
        running.spawn(async move { keeping.run().await });
        let delays = Arc::clone(&self.delays);
        running.spawn(async move { delays.run().await });
        running
    }

    /// A client is gone.
    pub fn connection_closed(&self, connection: &Connection) {
        self.clients.connection_closed(connection);
    }
}
