//! A running broker node: its store is opened, its services are put together, it registers and serves until it is told to stop.
//!
//! The order counts. Before the first request everything that is stored was dispatched; at the end the name servers hear first
//! that the node goes, then its connections end, then what was taken is written, and last the store is closed.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::net::{self, Client};
use ferrymq_storage::cold::ColdReads;
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::dispatch::{
    Arrival, Arrivals as Dispatched, Derived, DerivedSettings, DerivedThreads, DispatchError,
    OpenDerivedError,
};
use ferrymq_storage::queues::DelayLevels;
use ferrymq_storage::{FatalHook, FlushMode, Layout, Log, LogThreads, Mark, OpenError, Settings, recovery};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::config::broker::{BrokerConfig, Endpoint, FlushDisk, Mode};
use crate::config::desk::BrokerDesk;
use crate::config::live::Live;
use crate::handlers::pull::PullRules;
use crate::replication::classic::{self, Classic};
use crate::replication::{NotStored, Replicator, SharedTables, Writer};
use crate::server::Counter;
use crate::services::archive::Archive;
use crate::services::arrivals::{self, Arrivals};
use crate::services::assignment::Assignment;
use crate::services::clients::Clients;
use crate::services::filters::Filters;
use crate::services::message::MessageLimits;
use crate::services::posting::{Posting, TimerRules};
use crate::services::produce::{Marks, Produce, ProduceRules};
use crate::services::pull::{Portion, Pull};
use crate::services::query::{Query, QueryRules};
use crate::services::recall::Recall;
use crate::services::registration::{OwnName, Registration, RegistrationRules};
fn transaction_rules(config: &BrokerConfig) -> TransactionRules {
    let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let rules = &config.transactions;
    TransactionRules {
        timeout_ms: milliseconds(rules.timeout),
        check_interval: rules.check_interval,
        checks_max: u32::try_from(rules.checks_max).unwrap_or(u32::MAX),
        kept_ms: milliseconds(config.retention.kept_for),
        marks_bytes_max: rules.decisions_bytes_max,
        marks_interval: rules.decisions_interval,
