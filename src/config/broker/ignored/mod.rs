//! Keys of Apache RocketMQ 5.5.0 that are known and have no effect here, each with the reason.

mod broker;
mod others;
mod store;

use super::rows::Row;
use crate::config::keys::{Ignored, Key};

pub(super) static BROKER: &[Row] = broker::KEYS;
pub(super) static STORE: &[Row] = store::KEYS;
pub(super) static OTHERS: &[Row] = others::KEYS;

/// A key that Apache's tools expect to see.
const fn listed(name: &'static str, default: &'static str, family: &'static Ignored) -> Row {
    Key::ignored(name, default, family).listed()
}

/// A key without a value of its own, or with one that depends on the number of cores.
const fn unset(name: &'static str, family: &'static Ignored) -> Row {
    Key::ignored(name, "", family).listed_if_set()
}

/// A key that tools do not hear of.
const fn hidden(name: &'static str, default: &'static str, family: &'static Ignored) -> Row {
    Key::ignored(name, default, family)
}

static AUTH: Ignored = Ignored {
    plural: "authentication details",
    reason: "they only refine authentication and authorization, which are not offered yet",
};

static CLIENT: Ignored =
    Ignored { plural: "client keys", reason: "the broker's own connections need no tuning" };

static COLD: Ignored = Ignored {
    plural: "cold-data keys",
    reason: "reads from disk have threads of their own, which hold up nobody else",
};

static COMPACTION: Ignored = Ignored {
    plural: "compaction keys",
    reason: "topics are not compacted, and batches are stored message by message",
};

static CONTAINER: Ignored =
    Ignored { plural: "container keys", reason: "each broker is a process of its own" };

static CONTROLLER: Ignored = Ignored {
    plural: "controller keys",
    reason: "there is no controller: a ferrymq broker group elects its leader by itself",
};

static FILTER: Ignored = Ignored {
    plural: "filter-bitmap keys",
    reason: "expressions are evaluated when a message is read; nothing is computed ahead of it",
};

static FIXED: Ignored =
    Ignored { plural: "keys of fixed behaviour", reason: "what they switch is always the same here" };

static FLUSHING: Ignored = Ignored {
    plural: "flushing details",
    reason: "flushIntervalCommitLog and flushDiskType say when the log is written to disk; what is derived from it follows by itself",
};

static HOME: Ignored = Ignored {
    plural: "keys of the Java installation",
    reason: "nothing is looked up in an installation folder",
};

static LITE: Ignored =
    Ignored { plural: "light-queue keys", reason: "light topics and queues are not offered" };

static LOGGING: Ignored = Ignored { plural: "logging keys", reason: "FERRYMQ_LOG says what is logged" };

static MAPPED: Ignored = Ignored {
    plural: "memory-mapping keys",
    reason: "files are read and written with plain calls: nothing is mapped, warmed, swapped or pooled, and the log has one writer",
};

static MEMBERS: Ignored = Ignored {
    plural: "keys of acting masters",
    reason: "an acting master only serves consumers, and registers often instead of sending heartbeats",
};

static METRICS: Ignored = Ignored {
    plural: "metrics keys",
    reason: "metrics are exported in one way, metricsExporterType=PROM, and always whole",
};

static NAMES: Ignored =
    Ignored { plural: "keys of name-server lookup", reason: "the name servers are those of namesrvAddr" };

static NETTY: Ignored = Ignored {
    plural: "Netty keys",
    reason: "there is no Netty; buffers and queues have fixed bounds, and a stop always closes connections in order",
};

static OLDER: Ignored =
    Ignored { plural: "keys of older versions", reason: "Apache RocketMQ has them no more" };

static POP: Ignored = Ignored { plural: "POP keys", reason: "POP consumption is not offered yet" };

static PROXY: Ignored =
    Ignored { plural: "proxy keys", reason: "they serve Apache's proxy, which is not supported yet" };

static RAFT: Ignored = Ignored {
    plural: "DLedger details",
    reason: "the log of the group is the commit log itself, and entries are always sent in batches",
};

static RECOVERY: Ignored = Ignored {
    plural: "recovery and dispatch details",
    reason: "the log is always checked in full where it may be damaged, and what is derived from it is rebuilt as needed",
};

static REPLICATION: Ignored =
    Ignored { plural: "replication details", reason: "master and slave pace themselves" };

static RETENTION: Ignored = Ignored {
    plural: "retention details",
    reason: "fileReservedTime and the disk ratios say what is deleted",
};

static ROCKSDB: Ignored = Ignored { plural: "RocksDB keys", reason: "there is no RocksDB" };

static STATISTICS: Ignored = Ignored { plural: "statistics keys", reason: "statistics are always kept" };

static THREADS: Ignored = Ignored {
    plural: "thread-pool keys",
    reason: "half as many threads as there are cores serve all requests; there are no pools and no queues in front of them",
};

static TIERED: Ignored = Ignored { plural: "tiered-store keys", reason: "there is no tiered store" };

static TIMER: Ignored = Ignored {
    plural: "timer and schedule details",
    reason: "the timer is built differently and sizes itself",
};

static TLS: Ignored =
    Ignored { plural: "TLS keys", reason: "they only refine TLS, which is not offered yet" };

static WAITING: Ignored = Ignored {
    plural: "keys of waiting sends",
    reason: "the one writer of the log takes whatever has come, each send is answered when it is as safe as flushDiskType says, and past 64 MiB that wait further ones are refused as busy",
};
