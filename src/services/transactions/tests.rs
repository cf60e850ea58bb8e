//! Transactions on a whole broker, as scripts: what producers say, what they are asked, what consumers would find, and what is
//! left of it after a crash in between.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{CheckTransaction, EndTransaction, SendMessage, SendReply};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::{Call, Client, Service};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::record::{Record, property};
use ferrymq_storage::Window;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::TransactionRules;
use super::questions::{Step, step};
use super::table::{Half, Root};
use crate::broker::Broker;
use crate::clock;
use crate::config::broker::{BROKER, BrokerConfig};
use crate::config::desk::BrokerDesk;
use crate::config::sources::{Sources, load};
use crate::node::Node;

const TOPIC: &str = "orders";

/// Nothing happens by itself; a question is due after a second.
const SETTINGS: &[&str] = &[
    "brokerIP1=127.0.0.1",
    "mappedFileSizeCommitLog=1048576",
    "flushIntervalCommitLog=3600000",
    "messageIndexEnable=false",
    "mappedFileSizeConsumeQueue=20000",
    "transactionTimeOut=1000",
    "transactionCheckInterval=86400000",
    "transactionCheckMax=3",
    "transactionOpBatchInterval=600000",
    // Many brokers run beside each other, on a disk that may be rather full.
    "mappedFileSizeCommitLog=4194304",
    "diskSpaceWarningLevelRatio=99",
    "transactionOpMsgMaxSize=1048576",
];

#[derive(Clone, Copy, Debug)]
struct Place {
    queue_offset: QueueOffset,
    log_offset: LogOffset,
}

/// A producer: hands on what it is asked.
struct Producer(mpsc::UnboundedSender<Command>);

impl Service for Producer {
    fn serve(&self, call: Call) {
        drop(self.0.send(call.request.clone()));
    }
}

struct Stage {
    broker: Arc<Broker>,
    client: Client,
    questions: mpsc::UnboundedReceiver<Command>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// Where the producer knows its halves to be, the first one first.
    places: BTreeMap<String, Vec<Place>>,
    folders: Vec<TempDir>,
    root: PathBuf,
}

impl Stage {
    async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let root = folder.path().to_owned();
        let mut stage = Self::open(&root).await;
        stage.folders.push(folder);
        stage
    }

    async fn open(root: &Path) -> Self {
        let settings = SETTINGS.iter().map(ToString::to_string);
        let settings = settings.chain([format!("storePathRootDir={}", root.display())]).collect();
        let loaded = load(&BROKER, &Sources { settings, ..Sources::default() });
        let mut config: BrokerConfig = loaded.written.config().clone();
        config.network.bind_address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        config.network.listen_port = 0;
        let desk = Arc::new(BrokerDesk::new(&BROKER, loaded.written));
        let node = Node::start(&config, desk).await.expect("a node");
        let (asked, questions) = mpsc::unbounded_channel();
        let client = Client::new(node.address().to_string(), Duration::from_secs(30));
        let client = client.with_service(Arc::new(Producer(asked)));
        let broker = Arc::clone(node.broker());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(node.run(stopped));
        let heartbeat = r#"{"clientID":"p1","producerDataSet":[{"groupName":"p"}]}"#;
        let heartbeat = Command::request(RequestCode::HEART_BEAT).with_body(heartbeat);
        assert_eq!(client.exchange(heartbeat).await.expect("an answer").code, 0);
        let root = root.to_owned();
        Self { broker, client, questions, stop, task, places: BTreeMap::new(), folders: vec![], root }
    }

    async fn half(&mut self, name: &str, more: &str) {
        let mut properties = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}UNIQ_KEY\u{1}{name}\u{2}");
        for property in more.split_whitespace() {
            properties.push_str(&property.replace('=', "\u{1}"));
            properties.push('\u{2}');
        }
        let header = SendMessage {
            producer_group: "p".into(),
            topic: TOPIC.into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 1,
            queue_id: QueueId(0),
            sys_flag: 4,
            born_timestamp: clock::now(),
            flag: 7,
            properties: Some(properties.into()),
            reconsume_times: 0,
            unit_mode: false,
            batch: false,
            max_reconsume_times: None,
            broker_name: None,
        };
        let (reply, _): (SendReply, _) =
            self.client.call(&header, name.to_owned().into()).await.expect("an answer");
        let id = OffsetMessageId::parse(&reply.message_id).expect("an id");
        let place = Place { queue_offset: reply.queue_offset, log_offset: id.log_offset };
        self.places.entry(name.to_owned()).or_default().push(place);
    }

    /// The code and the words of the answer. `name` is `half`, or `half@0` for where it was at first.
    async fn end(&self, name: &str, outcome: i32, group: &str) -> String {
        let (name, copy) = name.split_once('@').unwrap_or((name, ""));
        let places = &self.places[name];
        let place = copy.parse().map_or_else(|_| places[places.len() - 1], |copy: usize| places[copy]);
        self.end_place(place, outcome, group, places.len() > 1).await
    }

    async fn end_place(&self, place: Place, outcome: i32, group: &str, asked: bool) -> String {
        let header = EndTransaction {
            topic: None,
            producer_group: group.into(),
            transaction_table_offset: place.queue_offset,
            commit_log_offset: place.log_offset,
            commit_or_rollback: outcome,
            from_transaction_check: asked,
            message_id: "".into(),
            transaction_id: None,
            broker_name: None,
        };
        let mut request = Command::request(RequestCode::END_TRANSACTION);
        request.fields = header.to_fields();
        let answer = self.client.exchange(request).await.expect("an answer");
        format!("{} {}", answer.code, answer.remark.unwrap_or_default()).trim().to_owned()
    }

    /// Who is asked when so many milliseconds have passed, and how often it was asked now.
    async fn ask(&mut self, after: i64) -> String {
        // What is in no queue yet is asked for in the next round.
        self.found(TOPIC);
        let now = Timestamp(clock::now().0 + after);
        self.broker.transactions.ask_all(now).await.expect("questions");
        // What is answered later was pushed later.
        let header = Command::request(RequestCode::GET_BROKER_CONFIG);
        self.client.exchange(header).await.expect("an answer");
        let mut asked = Vec::new();
        while let Ok(question) = self.questions.try_recv() {
            let header = CheckTransaction::decode(&question.fields).expect("a header");
            let (record, _) = Record::decode(&question.body).expect("a message");
            let name = String::from_utf8_lossy(record.body).into_owned();
            assert_eq!((record.topic, record.queue_id, record.flag), (TOPIC, QueueId(0), 7));
            assert_eq!(record.log_offset, header.commit_log_offset);
            assert_eq!(header.transaction_id.as_deref(), Some(name.as_str()));
            let checks = record.properties.get(property::TRANSACTION_CHECK_TIMES).expect("a count");
            asked.push(format!("{name}:{checks}"));
            let (queue_offset, log_offset) = (header.transaction_table_offset, header.commit_log_offset);
            self.places.entry(name).or_default().push(Place { queue_offset, log_offset });
        }
        asked.join(" ")
    }

    /// The bodies in a topic.
    fn found(&self, topic: &str) -> String {
        let archive = &self.broker.archive;
        let end = archive.log().confirmed().offset;
        assert!(archive.derived().wait_dispatched(end, Duration::from_secs(30)));
        let topic = TopicName::parse(topic).expect("a topic");
        let entries = archive.entries(&topic, QueueId(0), QueueOffset(0), 1000).expect("entries");
        let body = |offset| {
            let bytes = archive.record(offset).expect("a record");
            String::from_utf8_lossy(Record::decode(&bytes).expect("a record").0.body).into_owned()
        };
        entries.iter().map(|entry| body(entry.log_offset)).collect::<Vec<_>>().join(" ")
    }

    fn progress(&self) -> String {
        let progress = self.broker.transactions.stored_progress();
        format!("halves {} marks {}", progress.halves, progress.marks)
    }

    /// Goes on with what a killed process would have left behind, or a machine that lost the last `torn` records.
    async fn crash(self, torn: usize) -> Self {
        let copy = TempDir::new().expect("a folder");
        let end = self.records().into_iter().rev().nth(torn).expect("so many records");
        copy_folder(&self.root, copy.path());
        if torn > 0 {
            cut_log(copy.path(), end);
        }
        let (places, mut folders) = (self.places.clone(), vec![copy]);
        let root = folders[0].path().to_owned();
        folders.extend(self.stop().await);
        Self { places, folders, ..Self::open(&root).await }
    }

    /// Where the records of the log begin, and its end.
    fn records(&self) -> Vec<LogOffset> {
        let (log, mut at, mut begins) = (self.broker.archive.log(), LogOffset(0), vec![]);
        let end = log.confirmed().offset;
        while at < end {
            let window = Window::read(log, at, end).expect("records");
            let mut pieces = window.pieces();
            while let Some(record) = pieces.next_record().expect("records") {
                begins.push(record.offset);
            }
            at = pieces.position();
        }
        begins.push(end);
        begins
    }

    async fn restart(self) -> Self {
        let (places, root) = (self.places.clone(), self.root.clone());
        let folders = self.stop().await;
        Self { places, folders, ..Self::open(&root).await }
    }

    async fn stop(self) -> Vec<TempDir> {
        self.stop.send_replace(true);
        self.task.await.expect("a clean end");
        self.folders
    }

    async fn mark(&self) {
        self.broker.transactions.flush().await;
        self.broker.offsets.flush().await;
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Leaves nothing of the log behind `end`, nor what would tell that there was more.
fn cut_log(store: &Path, end: LogOffset) {
    let segment = store.join("commitlog").join("00000000000000000000");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[end.0 as usize..].fill(0);
    std::fs::write(&segment, bytes).expect("a segment");
    for derived in ["store.meta", "derived.written", "derived.synced", "checkpoint"] {
        drop(std::fs::remove_file(store.join(derived)));
    }
    drop(std::fs::remove_dir_all(store.join("consumequeue")));
}

/// Plays lines of `command -> what it says`.
async fn play(script: &str) {
    let mut stage = Stage::new().await;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, expected) = line.split_once(" ->").unwrap_or((line, ""));
        let (verb, rest) = command.trim().split_once(' ').unwrap_or((command.trim(), ""));
        let (name, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let group = if more.is_empty() { "p" } else { more };
        let said = match verb {
            "half" => {
                stage.half(name, more).await;
                String::new()
            }
            "commit" => stage.end(name, 8, group).await,
            "rollback" => stage.end(name, 12, group).await,
            "unknown" => stage.end(name, 0, group).await,
            "ask" => stage.ask(name.parse().expect("milliseconds")).await,
            "found" => stage.found(if name.is_empty() { TOPIC } else { name }),
            "progress" => stage.progress(),
            "mark" => {
                stage.mark().await;
                String::new()
            }
            "crash" => {
                stage = stage.crash(name.parse().unwrap_or_default()).await;
                String::new()
            }
            "restart" => {
                stage = stage.restart().await;
                String::new()
            }
            _ => panic!("{line}: no such command"),
        };
        assert_eq!(said, expected.trim(), "{line}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_becomes_a_message_or_nothing() {
    play(
        "
        half a
        half b
        half c
        found ->
        commit a -> 0
        rollback b -> 0
        unknown c -> 0
        found -> a
        commit a -> 0
        rollback a -> 0
        commit b -> 0
        found -> a
        progress -> halves 0 marks 0
        mark
        found RMQ_SYS_TRANS_OP_HALF_TOPIC -> 0,1,
        progress -> halves 2 marks 1
        commit c -> 0
        mark
        progress -> halves 3 marks 2
        commit a -> 0
        commit b -> 0
        found -> a c
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_it_must_be_who_began_it() {
    play(
        "
        half a
        commit a other -> 1 The producer group wrong
        rollback a other -> 1 The producer group wrong
        found ->
        commit a -> 0
        found -> a
        ",
    )
    .await;
    let mut stage = Stage::new().await;
    stage.half("a", "").await;
    let a = stage.places["a"][0];
    let mut cases = vec![
        (Place { queue_offset: QueueOffset(9), ..a }, "1 The transaction state table offset wrong"),
        (Place { log_offset: LogOffset(-1), ..a }, "1 Find prepared transaction message failed"),
        (Place { log_offset: LogOffset(i64::MAX), ..a }, "1 Find prepared transaction message failed"),
        (
            Place { log_offset: LogOffset(a.log_offset.0 + 1), ..a },
            "1 Find prepared transaction message failed",
        ),
    ];
    assert_eq!(stage.end_place(a, 8, "p", false).await, "0");
    stage.found(TOPIC);
    // A message that is no half, though it has all of its properties.
    let topic = TopicName::parse(TOPIC).expect("a topic");
    let entries = stage.broker.archive.entries(&topic, QueueId(0), QueueOffset(0), 1).expect("entries");
    let log_offset = entries[0].log_offset;
    let message = Place { queue_offset: QueueOffset(0), log_offset };
    cases.push((message, "1 Find prepared transaction message failed"));
    for (place, expected) in cases {
        assert_eq!(stage.end_place(place, 8, "p", false).await, expected, "{place:?}");
    }
    assert_eq!(stage.found(TOPIC), "a");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_are_asked_until_it_is_given_up() {
    play(
        "
        half a
        half b
        ask 0 ->
        ask 2000 -> a:1 b:1
        mark
        progress -> halves 2 marks 1
        commit b -> 0
        ask 2000 -> a:2
        ask 2000 -> a:3
        found TRANS_CHECK_MAX_TIME_TOPIC ->
        ask 2000 ->
        found TRANS_CHECK_MAX_TIME_TOPIC -> a
        ask 2000 ->
        commit a -> 0
        found -> b
        found TRANS_CHECK_MAX_TIME_TOPIC -> a
        half c
        ask 300000000 ->
        found TRANS_CHECK_MAX_TIME_TOPIC -> a c
        ",
    )
    .await;
}

#[test]
fn what_is_due_for_a_half() {
    let rules = TransactionRules {
        timeout_ms: 6_000,
        check_interval: Duration::ZERO,
        checks_max: 15,
        kept_ms: 100_000,
        marks_bytes_max: 0,
        marks_interval: Duration::ZERO,
    };
    // Age, questions asked, immunity, how many later halves wait for it.
    let cases = [
        (6_000, 0, None, 0, None),
        (6_001, 0, None, 0, Some(Step::Ask)),
        (6_001, 14, None, 0, Some(Step::Ask)),
        (0, 15, None, 0, Some(Step::GiveUp)),
        (100_001, 0, None, 0, Some(Step::GiveUp)),
        (100_001, 0, Some(i64::MAX), 0, Some(Step::GiveUp)),
        (-1, 0, None, 0, Some(Step::Ask)),
        (1_001, 0, Some(1_000), 0, Some(Step::Ask)),
        (20_000, 0, Some(20_000), 10_000, None),
        (20_000, 0, Some(20_000), 10_001, Some(Step::Move)),
        (20_001, 0, Some(20_000), 0, Some(Step::Ask)),
    ];
    for (age, checks, immunity_ms, later, due) in cases {
        let (queue_offset, log_offset) = (QueueOffset(0), LogOffset(0));
        let half = Half {
            root: Root(log_offset),
            queue_offset,
            log_offset,
            born: Timestamp(1_000_000),
            checks,
            immunity_ms,
        };
        let now = Timestamp(1_000_000 + age);
        assert_eq!(step(&rules, &half, now, later), due, "{age} {checks} {immunity_ms:?} {later}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_and_the_answer_to_a_question_are_one() {
    play(
        "
        half a
        half b
        ask 2000 -> a:1 b:1
        commit a@0 -> 0
        commit a@1 -> 0
        rollback b@1 -> 0
        commit b@0 -> 0
        found -> a
        ask 2000 ->
        crash
        commit a@0 -> 0
        commit a@1 -> 0
        commit b@0 -> 0
        ask 2000 ->
        found -> a
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_left_alone_is() {
    play(
        "
        half a CHECK_IMMUNITY_TIME_IN_SECONDS=20
        half b CHECK_IMMUNITY_TIME_IN_SECONDS=20
        ask 2000 ->
        ask 21000 -> a:1 b:1
        commit a -> 0
        found -> a
        ",
    )
    .await;
    let mut stage = Stage::new().await;
    let now = clock::now();
    stage.half("a", "CHECK_IMMUNITY_TIME_IN_SECONDS=0").await;
    let half = stage.places["a"][0];
    // It can be ended for as long as the others can, too: a second.
    while clock::now().0 <= now.0 + 1500 {
        tokio::task::yield_now().await;
    }
    let said = stage.end_place(half, 8, "p", false).await;
    assert!(said.starts_with("604 "), "{said}");
    assert_eq!(stage.found(TOPIC), "");
    assert_eq!(stage.end_place(half, 8, "p", true).await, "0");
    assert_eq!(stage.found(TOPIC), "a");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_forgotten_or_done_twice_after_a_crash() {
    play(
        "
        half a
        half b
        half c
        half d
        crash
        commit a -> 0
        rollback b -> 0
        crash
        found RMQ_SYS_TRANS_OP_HALF_TOPIC ->
        commit a -> 0
        found -> a
        ask 2000 -> b:1 c:1 d:1
        crash
        ask 2000 -> b:2 c:2 d:2
        rollback b -> 0
        commit c@1 -> 0
        crash
        commit c@0 -> 0
        commit c -> 0
        ask 2000 -> b:3 d:3
        mark
        crash
        commit d -> 0
        restart
        commit d@0 -> 0
        rollback b@0 -> 0
        ask 2000 ->
        found -> a c d
        found TRANS_CHECK_MAX_TIME_TOPIC ->
        ",
    )
    .await;
}

/// A classic log may end within a batch.
#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_written_together_any_part_may_be_lost() {
    play(
        "
        half a
        half b
        ask 2000 -> a:1 b:1
        found RMQ_SYS_TRANS_HALF_TOPIC -> a b a b
        crash 1
        found RMQ_SYS_TRANS_HALF_TOPIC -> a b a b
        found RMQ_SYS_TRANS_OP_HALF_TOPIC ->
        commit a@0 -> 0
        commit a@1 -> 0
        found -> a
        ask 2000 -> b:2
        crash 1
        commit a@0 -> 0
        crash 2
        ask 2000 -> b:2
        commit b@0 -> 0
        commit a@1 -> 0
        found -> a b
        crash 1
        found -> a
        ask 2000 -> b:3
        commit b -> 0
        found -> a b
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_begins_with_the_commit() {
    play(
        "
        half a DELAY=1
        found RMQ_SYS_TRANS_HALF_TOPIC -> a
        found SCHEDULE_TOPIC_XXXX ->
        commit a -> 0
        found SCHEDULE_TOPIC_XXXX -> a
        crash
        ask 2000 ->
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_can_be_resumed() {
    let mut stage = Stage::new().await;
    stage.half("a", "").await;
    for asked in ["a:1", "a:2", "a:3", ""] {
        assert_eq!(stage.ask(2000).await, asked);
    }
    assert_eq!(stage.found("TRANS_CHECK_MAX_TIME_TOPIC"), "a");
    let topic = TopicName::parse("TRANS_CHECK_MAX_TIME_TOPIC").expect("a topic");
    let entries = stage.broker.archive.entries(&topic, QueueId(0), QueueOffset(0), 1).expect("entries");
    let id = |log_offset| OffsetMessageId { store_host: stage.broker.address, log_offset }.to_string();
    let given_up = id(entries[0].log_offset);
    let half = id(stage.places["a"][0].log_offset);
    let transactions = &stage.broker.transactions;
    for id in [half.as_str(), "", "junk"] {
        let refusal = transactions.resume(id).await.expect_err("nothing to resume").to_string();
        assert!(refusal.contains("failed"), "{refusal}");
    }
    transactions.resume(&given_up).await.expect("resumed");
    transactions.resume(&given_up).await.expect("resumed already");
    assert_eq!(stage.ask(2000).await, "a:1");
    assert_eq!(stage.end("a", 8, "p").await, "0");
    let mut stage = stage.crash(0).await;
    assert_eq!(stage.ask(2000).await, "");
    assert_eq!(stage.found(TOPIC), "a");
    stage.stop().await;
}
