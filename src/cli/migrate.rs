//! `ferrymq migrate`: takes another broker's store to a group of ours.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ferrymq_storage::look::Progress;

use super::server::Options;
use super::store::progress::Bar;
use super::{REFUSED_FOR_SAFETY, WRONG_CALL, complain, logs, print};
use crate::config::broker::{self, BROKER, BrokerConfig, Mode, RaftGroup};
use crate::config::sources::load;
use crate::migration::source::{Ending, SourceError, place};
use crate::migration::survey::Counts;
use crate::migration::{Group, Migration, MigrationError, Node, Order, Watcher};
use crate::raft_node::member;
use crate::store;

/// Take the store of another broker, which does not run, to a group that elects its leader: a classic broker's, Apache's or ours,
/// or that of an Apache DLedger node. The old store stays as it is. What is interrupted goes on when it is called again.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the store to read: storePathRootDir of its broker. Of a DLedger group the folders of all nodes that are
    /// at hand: the one that has most is read.
    #[arg(long, value_name = "FOLDER", num_args = 1.., required = true)]
    from: Vec<PathBuf>,

    /// The configuration of its broker, to be compared with the new one.
    #[arg(long, value_name = "FILE")]
    config_of: Option<PathBuf>,

    /// The configuration of each node of the group: what it names as storePathRootDir is made here, one with the store and
    /// the others with a copy of it. With one alone the group begins with this node, and others are added when it runs.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    to: Vec<PathBuf>,

    /// Only read the store, and say what there is and what cannot be moved.
    #[arg(long)]
    check: bool,

    /// Of a DLedger node, also take entries that are not known to be committed. Without it they are left out: a node that was
    /// killed may not have noted the last ones that it had acknowledged.
    #[arg(long)]
    with_tail: bool,

    /// Take a torn record at the end of the last file for what a crash left there, and leave it out, as its broker would.
    #[arg(long)]
    cut_torn: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    logs::start();
    let order = match arguments.order() {
        Ok(order) => order,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(WRONG_CALL);
        }
    };
    match arguments.migrate(order) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error}\n help: {}\n", help(&error)));
            if error.is_refusal() { ExitCode::from(REFUSED_FOR_SAFETY) } else { ExitCode::FAILURE }
        }
    }
}

impl Arguments {
    fn migrate(&self, order: Order) -> Result<(), MigrationError> {
        let nodes: Vec<String> = order
            .to
            .nodes
            .iter()
            .map(|node| format!("{} in {}", node.member.name, node.folder.display()))
            .collect();
        let mut clock = Clock::default();
        let migration = Migration::check(order, &mut clock)?;
        print(&report(&migration, &clock));
        migration.verdict()?;
        if self.check {
            print("nothing stands in the way; nothing was written\n");
            return Ok(());
        }
        let outcome = migration.run(&mut clock)?;
        let (records, megabytes) = (outcome.records, outcome.bytes as f64 / 1e6);
        print(&format!("moved {records} records, {megabytes:.1} MB{}\n", clock.rates("moving")));
        if nodes.len() > 1 {
            print(&format!("copied the store{}\n", clock.rates("copying")));
        }
        print(&format!("the group can be started: {}\n", nodes.join(", ")));
        Ok(())
    }

    fn order(&self) -> Result<Order, String> {
        let old = self.config_of.as_deref().map(configuration).transpose()?;
        let configs = self.to.iter().map(|file| configuration(file)).collect::<Result<Vec<_>, _>>()?;
        let to = group(&self.to, &configs)?;
        if let Some(old) = &old {
            self.compare(old, configs.first())?;
        }
        Ok(Order {
            from: self.from.clone(),
            segment_bytes: old.map(|old| old.store.segment_bytes as u64),
            ending: Ending { with_tail: self.with_tail, cut_torn: self.cut_torn },
            to,
        })
    }

    /// What the old configuration says must fit the new one.
    fn compare(&self, old: &BrokerConfig, new: Option<&BrokerConfig>) -> Result<(), String> {
        let log = place(&old.store.log_folder);
        let is_inside = self.from.iter().any(|folder| log == place(&folder.join("commitlog")));
        if !is_inside && !matches!(old.mode, Mode::Raft(_)) {
            return Err(format!(
                "error: the old broker keeps its log in {}\n help: link it into the folder of --from as commitlog\n",
                old.store.log_folder.display()
            ));
        }
        let Some(new) = new else { return Ok(()) };
        if old.delay.levels != new.delay.levels {
            return Err("error: messageDelayLevel is another one in the old configuration and in the new one: what waits would come at \
                        another time\n help: set it to the old value\n"
                .to_owned());
        }
        Ok(())
    }
}

/// What a configuration file says, if it says nothing wrong.
fn configuration(file: &Path) -> Result<BrokerConfig, String> {
    let mut loaded = load(&BROKER, &Options::of_file(file));
    if loaded.report.errors() > 0 {
        return Err(loaded.report.to_string());
    }
    broker::choose_flush(&mut loaded.written);
    Ok(loaded.written.config().clone())
}

/// The group of which these are all nodes, or the first one.
fn group(files: &[PathBuf], configs: &[BrokerConfig]) -> Result<Group, String> {
    let mut group: Option<Group> = None;
    for (file, config) in files.iter().zip(configs) {
        let wrong = |problem: &str| format!("error: {}: {problem}\n", file.display());
        let Mode::Raft(raft) = &config.mode else {
            return Err(wrong(
                "it is of no group that elects its leader: enableDLegerCommitLog=true makes it one",
            ));
        };
        let node = node(raft, config).ok_or_else(|| wrong("dLegerSelfId is not among dLegerPeers"))?;
        let found = Group {
            cluster: config.identity.cluster.to_string(),
            name: raft.name.clone(),
            nodes: Vec::new(),
            segment_bytes: config.store.segment_bytes as u64,
            derived: store::derived_settings(config),
            mode: store::flush_mode(config),
        };
        let group = group.get_or_insert(found.clone());
        let same = (&group.cluster, &group.name, group.segment_bytes)
            == (&found.cluster, &found.name, found.segment_bytes);
        if !same {
            return Err(wrong(
                "brokerClusterName, dLegerGroup and mappedFileSizeCommitLog must be the same on all nodes",
            ));
        }
        let is_twice = |other: &Node| other.member.name == node.member.name || other.folder == node.folder;
        if group.nodes.iter().any(is_twice) {
            return Err(wrong("another node has the same dLegerSelfId, or the same storePathRootDir"));
        }
        if files.len() > 1 && files.len() != raft.peers.len() {
            let peers = raft.peers.len();
            return Err(wrong(&format!(
                "the group has {peers} nodes: name the configurations of all of them, or of one"
            )));
        }
        group.nodes.push(node);
    }
    group.ok_or_else(|| "error: --to names no configuration\n".to_owned())
}

fn node(raft: &RaftGroup, config: &BrokerConfig) -> Option<Node> {
    let own = raft.peers.iter().find(|peer| peer.id == raft.own_id)?;
    Some(Node { member: member(own), folder: place(&config.store.root) })
}

fn report(migration: &Migration, clock: &Clock) -> String {
    let (source, survey) = (migration.source(), migration.survey());
    let mut text = format!(
        "{} in {}\n  {} records, {:.1} MB, from offset {} to {}{}\n",
        source.kind(),
        source.folder.display(),
        survey.records,
        survey.bytes as f64 / 1e6,
        survey.start,
        survey.end,
        clock.rates("checking"),
    );
    text += &format!("  {}\n", kinds(survey.counts));
    text += &format!(
        "  {} queues of {} topics with messages; {} topics and {} groups\n",
        survey.queue_count(),
        survey.topic_count(),
        migration.topics(),
        migration.groups(),
    );
    if let Some(ledger) = source.ledger() {
        text += &format!("  its last committed entry is {}\n", ledger.committed());
    }
    if migration.is_resumed() {
        text += "  an unfinished migration goes on\n";
    }
    for line in left_out(migration) {
        text += &format!("left out: {line}\n");
    }
    for line in migration.not_moved() {
        text += &format!("not moved: {line}\n");
    }
    for note in migration.notes() {
        text += &format!("note: {note}\n");
    }
    text
}

fn kinds(counts: Counts) -> String {
    let Counts { messages, retries, dead, delayed, timers, halves, decisions } = counts;
    let named = [
        (retries, "to be tried again"),
        (dead, "given up (DLQ)"),
        (delayed, "of delay levels"),
        (timers, "of timers"),
        (halves, "halves of transactions"),
        (decisions, "decisions on them"),
    ];
    let mut parts = vec![format!("{messages} messages")];
    parts.extend(named.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}

fn left_out(migration: &Migration) -> Vec<String> {
    let out = &migration.survey().left_out;
    let mut lines: Vec<String> = [
        (out.of_no_topic, "records of topics that were deleted"),
        (out.of_former_topic, "records from before their topic was deleted and made again"),
        (out.repeated, "records whose offset their queue had given before"),
        (out.unreadable, "records that nobody can read"),
        (out.lost, "messages at the ends of queues that the log does not have: a crash may leave that. Later ones get their offsets"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if migration.tail() > 0 {
        lines.push(format!(
            "{} entries that are not known to be committed; if the nodes were killed, the last of them may have been acknowledged: \
             --with-tail takes them",
            migration.tail()
        ));
    }
    if migration.with_tail() {
        lines.push("nothing: entries that are not known to be committed are taken as well".to_owned());
    }
    lines
}

fn help(error: &MigrationError) -> &'static str {
    match error {
        MigrationError::Source(SourceError::InUse(_)) => "stop the broker in order, and call this again",
        MigrationError::Source(SourceError::NoStore(_)) => "name storePathRootDir of the old broker",
        MigrationError::Source(SourceError::OfGroup(_)) => {
            "a new node gets what the group has when it is added: `ferrymq raft add-learner`"
        }
        MigrationError::Source(SourceError::Reading(_)) => {
            "nothing was written. What a crash left at the end is cut off by the old broker when it starts, or by --cut-torn; else \
             restore the file from a copy or a slave"
        }
        MigrationError::Source(SourceError::Ledger(_)) => {
            "nothing was written; read another node of the DLedger group"
        }
        MigrationError::Source(SourceError::Open(_)) | MigrationError::Tables(_) => {
            "nothing was written; the old broker would not start on it either"
        }
        MigrationError::Changed(_) => {
            "a broker has run on it since; remove the folders of the new nodes and begin anew"
        }
        MigrationError::OtherMigration { .. } => "finish that one, or remove the folder and begin anew",
        MigrationError::Taken(_) | MigrationError::NotEmpty { .. } => {
            "a new node needs an empty folder: name another one as storePathRootDir"
        }
        MigrationError::NoRoom { .. } => "make room, or name another folder",
        MigrationError::Obstacles(_) => "nothing was written; docs/how-to.md says what can be done",
        _ => "the old store is as it was; call this again to go on",
    }
}

/// Shows a bar for each part, and keeps how long it took.
#[derive(Default)]
struct Clock {
    bar: Option<Bar>,
    part: Option<(&'static str, u64, Instant)>,
    done: u64,
    taken: Vec<(&'static str, u64, Duration)>,
}

impl Clock {
    /// In how much time a part was done, and how fast.
    fn rates(&self, what: &str) -> String {
        let of_part = self.taken.iter().filter(|(part, ..)| *part == what);
        let (bytes, time) = of_part
            .fold((0, Duration::ZERO), |(bytes, time), (_, more, longer)| (bytes + more, time + *longer));
        if time.is_zero() {
            return String::new();
        }
        let seconds = time.as_secs_f64();
        format!(", in {seconds:.1} s: {:.0} MB/s", bytes as f64 / 1e6 / seconds)
    }
}

impl Watcher for Clock {
    fn begins(&mut self, what: &'static str, bytes: u64) {
        complain(&format!("{what} …\n"));
        self.bar = Some(Bar::new());
        self.part = Some((what, bytes, Instant::now()));
        self.done = 0;
    }

    fn has_come(&mut self, bytes: u64) {
        self.done = bytes;
        if let (Some(bar), Some((_, total, _))) = (&mut self.bar, self.part) {
            bar.show(Progress { bytes_done: bytes, bytes_total: total.max(bytes) });
        }
    }

    fn ends(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.end();
        }
        if let Some((what, _, begun)) = self.part.take() {
            self.taken.push((what, self.done, begun.elapsed()));
        }
    }
}
