//! What the tests stand on: a broker that is nothing but its state, and groups of nodes in one process.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{self, NewRecord, Record, SysFlag};
use ferrymq_storage::clock::RealClock;
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use ferrymq_storage::stamp::StampError;
use ferrymq_storage::{
    AppendedFrame, BootId, FatalHook, FlushMode, FramedAppender, Index, Layout, Log, Mark, NewFrame,
    OpenError, OpenLog, Settings, Term, recovery,
};

use super::disk::{BROKEN, FailingDisk};
use crate::{
    App, At, Group, GroupHandle, GroupSettings, Leadership, LogKept, LogParts, Member, Outcome, Proposal,
    ProposeError, Stamps, StartError, Timing,
};

pub const SEGMENT_BYTES: u64 = 64 << 10;
/// No test waits so long unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn try_open_log(
    disk: Arc<dyn Disk>,
    folder: &Path,
    mode: FlushMode,
    boot: BootId,
) -> Result<OpenLog, OpenError> {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Framed,
        segment_bytes: SEGMENT_BYTES,
        mode,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot,
        on_fatal: FatalHook::new(|error| {
            // A test has broken the disk.
            assert_eq!(error.source.raw_os_error(), Some(BROKEN), "{error}");
        }),
    };
    recovery::open(disk, settings)
}

pub fn open_log(disk: Arc<dyn Disk>, folder: &Path, mode: FlushMode) -> OpenLog {
    try_open_log(disk, folder, mode, BootId([1; 16])).unwrap()
}

pub fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

type QueueEnds = BTreeMap<(String, i32), i64>;

/// Gives queue offsets from a table of its own.
#[derive(Debug, Default)]
pub struct TestStamps {
    pub next: QueueEnds,
}

impl Stamps for TestStamps {
    fn append(
        &mut self,
        appender: &mut FramedAppender,
        frame: NewFrame,
        body: &mut [u8],
    ) -> Result<AppendedFrame, StampError> {
        let place = appender.place(body.len() as u64)?;
        let mut at = 0;
        let mut next = self.next.clone();
        for _ in 0..frame.records {
            let (record, bytes) = Record::decode(&body[at..]).unwrap();
            let end = next.entry((record.topic.to_owned(), record.queue_id.0)).or_default();
            let log_offset = LogOffset(place.body_offset().0 + at as i64);
            record::stamp(&mut body[at..], QueueOffset(*end), log_offset, frame.appended_at).unwrap();
            *end += 1;
            at += bytes;
        }
        let appended = place.write(frame, body)?;
        self.next = next;
        Ok(appended)
    }
}

/// What a broker would have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestState {
    pub commands: Vec<(At, Bytes)>,
    /// Derived from the log, up to the offset.
    pub queues: QueueEnds,
    pub derived_to: i64,
}

#[derive(Debug, Default)]
pub struct TestApp {
    /// None for a state machine without a log.
    pub log: Option<Log>,
    pub state: Mutex<TestState>,
    pub changes: Mutex<Vec<Leadership>>,
    pub restored: Mutex<Vec<LogKept>>,
}

impl TestApp {
    pub fn of(log: Log) -> Self {
        let state = TestState { derived_to: log.start().0, ..TestState::default() };
        Self { log: Some(log), state: Mutex::new(state), ..Self::default() }
    }

    /// Derives what lies before an offset.
    pub fn derive(&self, to: LogOffset) {
        let Some(log) = &self.log else { return };
        let mut state = self.state.lock().unwrap();
        for (header, body) in frames_of(log, LogOffset(state.derived_to), to) {
            let mut rest = &body[..];
            let records = if header.kind == FrameKind::Messages { header.records } else { 0 };
            for _ in 0..records {
                let (record, size) = Record::decode(rest).unwrap();
                let end = state.queues.entry((record.topic.to_owned(), record.queue_id.0)).or_default();
                assert_eq!(record.queue_offset.0, *end, "{header:?}");
                *end += 1;
                rest = &rest[size..];
            }
        }
        state.derived_to = state.derived_to.max(to.0);
    }
}

/// The frames that lie between two offsets.
pub fn frames_of(log: &Log, from: LogOffset, to: LogOffset) -> Vec<(FrameHeader, Bytes)> {
    let mut frames = Vec::new();
    let mut at = from;
    while at < to {
        let next_segment = LogOffset((at.0 / SEGMENT_BYTES as i64 + 1) * SEGMENT_BYTES as i64);
        let head = log.read_confirmed(at, FRAME_HEADER_BYTES).unwrap_or_default();
        let Some(header) = head.first_chunk().and_then(|head| FrameHeader::decode(head).ok()) else {
            at = next_segment;
            continue;
        };
        let bytes = log.read_confirmed(at, header.frame_bytes() as usize).unwrap();
        frames.push((header, bytes.slice(FRAME_HEADER_BYTES..)));
        at = LogOffset(at.0 + header.frame_bytes() as i64);
    }
    frames
}

impl App for TestApp {
    fn apply(&self, at: At, command: &[u8]) -> io::Result<Bytes> {
        let mut state = self.state.lock().unwrap();
        state.commands.push((at, Bytes::copy_from_slice(command)));
        Ok(Bytes::from(format!("{} commands", state.commands.len())))
    }

    fn checkpoint(&self, confirmed: Mark) -> io::Result<Vec<u8>> {
        self.derive(confirmed.offset);
        let state = self.state.lock().unwrap();
        let commands = state.commands.iter().map(|(at, command)| {
            format!("command {} {} {}\n", at.index, at.term, String::from_utf8_lossy(command))
        });
        let queues =
            state.queues.iter().map(|((topic, queue), end)| format!("queue {topic} {queue} {end}\n"));
        Ok(commands.chain(queues).collect::<String>().into_bytes())
    }

    fn restore(&self, bytes: &[u8], mark: Mark, kept: LogKept) -> io::Result<()> {
        let mut state = TestState { derived_to: mark.offset.0, ..TestState::default() };
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
                ["command", index, term, command] => {
                    let at = At { index: Index(index.parse().unwrap()), term: Term(term.parse().unwrap()) };
                    state.commands.push((at, Bytes::copy_from_slice(command.as_bytes())));
                }
                ["queue", topic, queue, end] => {
                    state.queues.insert((topic.into(), queue.parse().unwrap()), end.parse().unwrap());
                }
                _ => panic!("{line}"),
            }
        }
        *self.state.lock().unwrap() = state;
        self.restored.lock().unwrap().push(kept);
        Ok(())
    }

    fn prepare(&self, _: Term, confirmed: Mark) -> io::Result<Box<dyn Stamps>> {
        self.derive(confirmed.offset);
        Ok(Box::new(TestStamps { next: self.state.lock().unwrap().queues.clone() }))
    }

    fn leadership(&self, change: &Leadership) {
        self.changes.lock().unwrap().push(change.clone());
    }
}

/// A message as a broker would encode it.
pub fn message(topic: &str, queue: i32, body: &str) -> BytesMut {
    let host: SocketAddr = "127.0.0.1:10911".parse().unwrap();
    let record = NewRecord {
        topic: TopicName::parse(topic).unwrap(),
        queue_id: QueueId(queue),
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(1),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(0),
        properties: Bytes::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let mut out = BytesMut::new();
    record.encode(4 << 20, &mut out).unwrap();
    out
}

/// Comes back until it is true.
pub fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub struct Node {
    pub group: Option<Group>,
    pub app: Arc<TestApp>,
    pub log: Log,
}

impl Node {
    pub fn handle(&self) -> GroupHandle {
        self.group.as_ref().unwrap().handle()
    }
}

pub struct Cluster {
    pub nodes: Vec<Option<Node>>,
    pub members: Vec<Member>,
    pub mode: FlushMode,
    pub boot: BootId,
    pub disks: Vec<FailingDisk>,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    /// With addresses for so many nodes, of which none is started.
    pub fn new(nodes: usize, mode: FlushMode) -> Self {
        let listeners: Vec<_> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let member = |(number, listener): (usize, &TcpListener)| Member {
            name: format!("n{number}"),
            address: listener.local_addr().unwrap().to_string(),
        };
        let members = listeners.iter().enumerate().map(member).collect();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            nodes: (0..nodes).map(|_| None).collect(),
            members,
            mode,
            boot: BootId([1; 16]),
            disks: (0..nodes).map(|_| FailingDisk::default()).collect(),
            folder,
            runtime,
        }
    }

    pub fn started(nodes: usize, mode: FlushMode) -> Self {
        let mut cluster = Self::new(nodes, mode);
        (0..nodes).for_each(|number| cluster.start(number));
        cluster
    }

    pub fn folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}"))
    }

    pub fn settings(&self, number: usize) -> GroupSettings {
        GroupSettings {
            cluster: "DefaultCluster".into(),
            group: "broker-a".into(),
            name: self.members[number].name.clone(),
            peers: self.members.clone(),
            listen: self.members[number].address.parse().unwrap(),
            folder: self.folder(number),
            boot: self.boot,
            mode: self.mode,
            timing: Timing::default(),
            preferred_leader: None,
        }
    }

    pub fn start(&mut self, number: usize) {
        let settings = self.settings(number);
        self.try_start(number, settings).unwrap();
    }

    pub fn try_start(&mut self, number: usize, settings: GroupSettings) -> Result<(), StartError> {
        let folder = settings.folder.clone();
        let disk: Arc<dyn Disk> = Arc::new(self.disks[number].clone());
        let opened = try_open_log(Arc::clone(&disk), &folder, self.mode, self.boot);
        let (appender, report) = opened.unwrap().framed();
        let log = appender.log().clone();
        let app = Arc::new(TestApp::of(log.clone()));
        let parts = LogParts { disk, clock: Arc::new(RealClock::new()), appender, report };
        let group = Group::start(settings, parts, app.clone())?;
        self.nodes[number] = Some(Node { group: Some(group), app, log });
        Ok(())
    }

    /// As if its process had died.
    pub fn kill(&mut self, number: usize) {
        drop(self.nodes[number].take());
    }

    pub fn stop(&mut self, number: usize) {
        let mut node = self.nodes[number].take().unwrap();
        node.group.take().unwrap().stop().unwrap();
    }

    pub fn node(&self, number: usize) -> &Node {
        self.nodes[number].as_ref().unwrap()
    }

    pub fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(number, node)| Some((number, node.as_ref()?)))
    }

    pub fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(task)
    }

    /// The node that takes proposals.
    pub fn leader(&self) -> usize {
        self.leader_among(&self.running().map(|(number, _)| number).collect::<Vec<_>>())
    }

    pub fn leader_among(&self, numbers: &[usize]) -> usize {
        let mut found = None;
        wait_for("a leader", || {
            let writable = |number: &&usize| self.node(**number).handle().status().is_writable;
            found = numbers.iter().find(writable).copied();
            found.is_some()
        });
        found.unwrap()
    }

    /// Proposes until it happens, as a client that tries again.
    pub fn send(&self, topic: &str, queue: i32, body: &str) -> Outcome {
        self.insist(&Proposal { records: message(topic, queue, body), command: None })
    }

    pub fn command(&self, text: &str) -> Outcome {
        self.insist(&Proposal {
            records: BytesMut::new(),
            command: Some(Bytes::copy_from_slice(text.as_bytes())),
        })
    }

    fn insist(&self, proposal: &Proposal) -> Outcome {
        let until = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader();
            match self.propose(leader, proposal.clone()) {
                Ok(outcome) => return outcome,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        }
    }

    pub fn propose(&self, number: usize, proposal: Proposal) -> Result<Outcome, ProposeError> {
        let handle = self.node(number).handle();
        self.block_on(async move { handle.proposer().submit(proposal).await })
    }

    /// Waits until all that run have applied the same, and compares their logs and their states.
    pub fn settle(&self) {
        wait_for("the same on all nodes", || {
            let statuses: Vec<_> = self.running().map(|(_, node)| node.handle().status()).collect();
            let last = statuses.iter().map(|status| status.last).max();
            statuses.iter().all(|status| Some(status.applied) == last)
        });
        let mut nodes = self.running();
        let Some((_, first)) = nodes.next() else { return };
        let end = first.log.confirmed();
        first.app.derive(end.offset);
        for (number, node) in nodes {
            assert_eq!(node.log.confirmed(), end, "n{number}");
            node.app.derive(end.offset);
            let start = first.log.start().max(node.log.start());
            assert_same_bytes(&first.log, &node.log, start, end.offset);
            let (one, other) = (first.app.state.lock().unwrap(), node.app.state.lock().unwrap());
            assert_eq!(one.commands, other.commands, "n{number}");
            assert_eq!(one.queues, other.queues, "n{number}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.clear();
    }
}

/// Enough messages for a few segments.
pub fn fill(cluster: &Cluster, segments: u64) {
    let body = "x".repeat(8 << 10);
    for _ in 0..segments * SEGMENT_BYTES / (8 << 10) {
        cluster.send("orders", 0, &body);
    }
}

pub fn assert_same_bytes(one: &Log, other: &Log, from: LogOffset, to: LogOffset) {
    let mut at = from;
    while at < to {
        let bytes = (to.0 - at.0).min(1 << 16) as usize;
        let (one, other) = (one.read_confirmed(at, bytes).unwrap(), other.read_confirmed(at, bytes).unwrap());
        assert_eq!(one, other, "from {at} on");
        at = LogOffset(at.0 + one.len() as i64);
    }
}
