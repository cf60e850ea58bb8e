//! A broker with a producer that says what a script tells it, and is killed in between.

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

use crate::broker::Broker;
use crate::clock;
use crate::config::broker::{BROKER, BrokerConfig};
use crate::config::desk::BrokerDesk;
use crate::config::sources::{Sources, load};
use crate::node::Node;

pub const TOPIC: &str = "orders";

/// Nothing happens by itself; a question is due after a second.
const SETTINGS: &[&str] = &[
    "brokerIP1=127.0.0.1",
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
pub struct Place {
    pub queue_offset: QueueOffset,
    pub log_offset: LogOffset,
}

/// A producer: hands on what it is asked.
struct Producer(mpsc::UnboundedSender<Command>);

impl Service for Producer {
    fn serve(&self, call: Call) {
        drop(self.0.send(call.request.clone()));
    }
}

pub struct Stage {
    pub broker: Arc<Broker>,
    pub client: Client,
    pub questions: mpsc::UnboundedReceiver<Command>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// Where the producer knows its halves to be, the first one first.
    pub places: BTreeMap<String, Vec<Place>>,
    folders: Vec<TempDir>,
    root: PathBuf,
}

impl Stage {
    pub async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let root = folder.path().to_owned();
        let mut stage = Self::open(&root).await;
        stage.folders.push(folder);
        stage
    }

    pub async fn open(root: &Path) -> Self {
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

    pub async fn half(&mut self, name: &str, more: &str) {
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
    pub async fn end(&self, name: &str, outcome: i32, group: &str) -> String {
        let (name, copy) = name.split_once('@').unwrap_or((name, ""));
        let places = &self.places[name];
        let place = copy.parse().map_or_else(|_| places[places.len() - 1], |copy: usize| places[copy]);
        self.end_place(place, outcome, group, places.len() > 1).await
    }

    pub async fn end_place(&self, place: Place, outcome: i32, group: &str, asked: bool) -> String {
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
    pub async fn ask(&mut self, after: i64) -> String {
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
    pub fn found(&self, topic: &str) -> String {
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

    pub fn progress(&self) -> String {
        let progress = self.broker.transactions.stored_progress();
        format!("halves {} marks {}", progress.halves, progress.marks)
    }

    /// Goes on with what a killed process would have left behind, or a machine that lost the last `torn` records.
    pub async fn crash(self, torn: usize) -> Self {
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
    pub fn records(&self) -> Vec<LogOffset> {
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

    pub async fn restart(self) -> Self {
        let (places, root) = (self.places.clone(), self.root.clone());
        let folders = self.stop().await;
        Self { places, folders, ..Self::open(&root).await }
    }

    pub async fn stop(self) -> Vec<TempDir> {
        self.stop.send_replace(true);
        self.task.await.expect("a clean end");
        self.folders
    }

    pub async fn mark(&self) {
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
            match std::fs::copy(entry.path(), target) {
                // It has taken the place of another file meanwhile. A crash before that leaves the other one.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => {
                    copied.expect("a copy");
                }
            }
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
pub async fn play(script: &str) {
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
