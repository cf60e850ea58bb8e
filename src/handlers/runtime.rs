//! The vital signs of a broker, under the names that Apache's tools and exporters look for.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::bodies::KvTable;
use ferrymq_proto::command::Command;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::SystemTopic;
use ferrymq_proto::net::Connection;
use ferrymq_proto::position::QueueId;
use ferrymq_proto::version;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::replication::pair::Pair;
use crate::requests::{Answer, Reply};
use crate::services::archive::Archive;
use crate::services::posting;
use crate::services::stats::Days;
use crate::services::vitals::space;

type Table = BTreeMap<String, String>;

/// 28.
pub async fn info(broker: &Arc<Broker>, _request: &Command, _connection: &Connection) -> Answer {
    let mut table = Table::new();
    identity(broker, &mut table);
    traffic(broker, &mut table);
    days(broker, &mut table);
    waiting(broker, &mut table);
    master(broker, &mut table);
    let levels = delay_progress(broker);
    let measure = Arc::clone(broker);
    let measured = broker.archive.patiently(move |archive| store(&measure, archive, &levels)).await?;
    table.extend(measured);
    Ok(Reply::body(json::to_string(&KvTable { table }, Dialect::Fastjson)))
}

fn put(table: &mut Table, name: &str, value: impl Display) {
    table.insert(name.to_owned(), value.to_string());
}

fn identity(broker: &Broker, table: &mut Table) {
    let opens_at = broker.desk.value("startAcceptSendRequestTimeStamp").unwrap_or_else(|| "0".to_owned());
    put(table, "brokerActive", broker.writer.is_leader());
    put(table, "brokerVersion", version::OURS);
    put(table, "brokerVersionDesc", version::OURS_NAME);
    put(table, "bootTimestamp", broker.vitals.boot);
    put(table, "runtime", running_for(broker.vitals.running_for()));
    put(table, "startAcceptSendRequestTimeStamp", opens_at);
}

/// As Java words it.
fn running_for(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    format!("[ {days} days, {hours} hours, {} minutes, {} seconds ]", seconds / 60 % 60, seconds % 60)
}

fn traffic(broker: &Broker, table: &mut Table) {
    let traffic = broker.statistics.traffic();
    // Java never says that nothing was stored.
    let times = traffic.totals().stored.max(1);
    put(table, "putMessageTimesTotal", times);
    put(table, "putMessageSizeTotal", traffic.stored_bytes());
    put(table, "putMessageAverageSize", decimal(traffic.stored_bytes() as f64 / times as f64));
    put(table, "putMessageFailedTimes", traffic.failed());
    put(table, "putMessageEntireTimeMax", traffic.store_ms_max());
    put(table, "getMessageEntireTimeMax", traffic.pull_ms_max());
    put(table, "putMessageDistributeTime", traffic.distribution());
    put(table, "putLatency99", format!("{:.2}", traffic.within(0.99)));
    put(table, "putLatency999", format!("{:.2}", traffic.within(0.999)));
    let rates = [
        ("putTps", traffic.rates(|totals| totals.stored)),
        ("getFoundTps", traffic.rates(|totals| totals.found)),
        ("getMissTps", traffic.rates(|totals| totals.missed)),
        ("getTotalTps", traffic.rates(|totals| totals.found + totals.missed)),
        ("getTransferredTps", traffic.rates(|totals| totals.handed_out)),
    ];
    for (name, rates) in rates {
        put(table, name, rates.map(decimal).join(" "));
    }
}

fn days(broker: &Broker, table: &mut Table) {
    let both = [("Put", broker.statistics.put_days()), ("Get", broker.statistics.got_days())];
    for (what, Days { yesterday_morning, this_morning, now }) in both {
        put(table, &format!("msg{what}TotalYesterdayMorning"), yesterday_morning);
        put(table, &format!("msg{what}TotalTodayMorning"), this_morning);
        put(table, &format!("msg{what}TotalTodayNow"), now);
    }
}

/// Where Java has queues before its thread pools, nothing waits here.
fn waiting(broker: &Broker, table: &mut Table) {
    for pool in ["send", "pull", "litePull", "query", "ack"] {
        let capacity = broker.desk.value(&format!("{pool}ThreadPoolQueueCapacity"));
        put(table, &format!("{pool}ThreadPoolQueueSize"), 0);
        put(table, &format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), 0);
        put(table, &format!("{pool}ThreadPoolQueueCapacity"), capacity.unwrap_or_else(|| "0".to_owned()));
    }
    let capacity = broker.desk.value("endTransactionPoolQueueCapacity");
    put(table, "EndTransactionQueueSize", 0);
    put(table, "EndTransactionThreadPoolQueueCapacity", capacity.unwrap_or_else(|| "0".to_owned()));
    put(table, "pageCacheLockTimeMills", 0);
    put(table, "dispatchMaxBuffer", 0);
    // Without a pool of buffers Java says that there is no end to them.
    put(table, "remainTransientStoreBufferNumbs", i32::MAX);
    // Java's wheel turns slot by slot; a timer here fires when it is due.
    put(table, "timerReadBehind", 0);
    put(table, "timerCongestNum", broker.delays.timers().map_or(0, |timers| timers.waiting()));
    put(table, "timerEnqueueTps", "0.0");
    put(table, "timerDequeueTps", "0.0");
}

/// What a slave knows of its master. Apache's has no such names.
fn master(broker: &Broker, table: &mut Table) {
    let Pair::Slave(following) = broker.writer.pair() else { return };
    let facts = following.facts();
    put(table, "haFollowing", following.is_following());
    if let Some(end) = facts.master_end {
        put(table, "haMasterLogMaxOffset", end);
    }
    if let Some(copies) = facts.master_copies {
        put(table, "haMasterInSyncReplicas", copies.demanded);
        put(table, "haMasterTotalReplicas", copies.all);
    }
}

/// The delay levels that have delivered something, and the next offset of each.
fn delay_progress(broker: &Broker) -> Vec<(i32, i64)> {
    broker.delays.level_offsets().into_iter().map(|(level, next)| (level.0, next.0)).collect()
}

/// What has to be looked up on the disk.
fn store(broker: &Broker, archive: &Archive, levels: &[(i32, i64)]) -> Result<Table, Refusal> {
    let mut table = Table::new();
    let schedule = SystemTopic::Schedule.into();
    for (level, next) in levels {
        let end = archive.span(&schedule, QueueId(level - 1))?.unwrap_or_default().max;
        put(&mut table, &format!("scheduleMessageOffset_{level}"), format!("{next},{end}"));
    }
    let timers = posting::timer_topic()?;
    let timers_end = archive.span(&timers, QueueId(0))?.unwrap_or_default().max;
    let timers_read = broker.delays.timers().map_or(timers_end, |timers| timers.read_to());
    put(&mut table, "timerOffsetBehind", (timers_end.0 - timers_read.0).max(0));
    let log = archive.log();
    let behind = log.confirmed().offset.0 - archive.derived().position().0;
    put(&mut table, "dispatchBehindBytes", behind.max(0));
    put(&mut table, "commitLogMinOffset", log.start());
    // A slave must not take its master for shorter than what it was sent.
    let end = match broker.writer.pair() {
        Pair::Master(followers) => followers.end(),
        _ => log.confirmed().offset,
    };
    put(&mut table, "commitLogMaxOffset", end);
    put(&mut table, "earliestMessageTimeStamp", archive.earliest_time().map_or(-1, |time| time.0));
    let unsynced = u64::try_from(log.written().0 - log.durable().0).unwrap_or_default();
    put(&mut table, "remainHowManyDataToFlush", readable_bytes(unsynced));
    let vitals = &broker.vitals;
    // As in Java -1 stands for what cannot be told.
    let used = |space: Option<_>| {
        space.map_or("-1.0".to_owned(), |space: ferrymq_storage::disk::Space| space.used().to_string())
    };
    let log_disk = used(space(&vitals.log_folder));
    put(&mut table, &format!("commitLogDiskRatio_{}", vitals.log_folder.display()), &log_disk);
    put(&mut table, "commitLogDiskRatio", log_disk);
    let root = space(&vitals.root);
    put(&mut table, "consumeQueueDiskRatio", used(root));
    if let Some(root) = root {
        let (total, free) = (readable_bytes(root.total), readable_bytes(root.free));
        put(&mut table, "commitLogDirCapacity", format!("Total : {total}, Free : {free}."));
    }
    Ok(table)
}

/// As Java writes a fraction: always with a point.
fn decimal(number: f64) -> String {
    format!("{number:?}")
}

/// As Java writes bytes for people.
fn readable_bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut number = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_java() {
        let bytes = [0, 1023, 1024, 1536, 10 << 30, u64::MAX].map(readable_bytes);
        assert_eq!(bytes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10.0 GiB", "16.0 EiB"]);
        assert_eq!([0.0, 2.5, 1e6].map(decimal), ["0.0", "2.5", "1000000.0"]);
        let time = Duration::from_secs(2 * 86_400 + 3 * 3600 + 4 * 60 + 5);
        assert_eq!(running_for(time), "[ 2 days, 3 hours, 4 minutes, 5 seconds ]");
    }
}
