//! Requests that a whole broker answers: what it says to strange ones, and what is left of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::bodies::{ConsumerConnections, HeartbeatData};
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::fields::Fields;
use ferrymq_proto::json;
use ferrymq_proto::net::{Call, Client, Service};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::broker::{BROKER, BrokerConfig};
use crate::config::desk::BrokerDesk;
use crate::config::sources::{Sources, load};
use crate::node::Node;

mod administration;
mod hostile;
mod priorities;
mod replies;
mod timers;

/// Of a client that hears nothing.
struct NoService;

impl Service for NoService {
    fn serve(&self, call: Call) {
        let answer = call.request.answer(ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
        call.answer(answer.with_remark("not supported"));
    }
}

/// A broker of its own, and a connection to it.
struct Running {
    client: Client,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _store: TempDir,
}

impl Running {
    async fn start() -> Self {
        Self::start_with(&[], Arc::new(NoService)).await
    }

    /// With these settings, and a client that serves what it is asked.
    async fn start_with(more: &[&str], service: Arc<dyn Service>) -> Self {
        let store = TempDir::new().expect("a folder");
        // Many brokers run beside each other, on a disk that may be rather full.
        let room = ["mappedFileSizeCommitLog=1048576", "diskSpaceWarningLevelRatio=99"];
        let settings = [&["brokerIP1=127.0.0.1", "enablePropertyFilter=true"], &room[..], more].concat();
        let root = format!("storePathRootDir={}", store.path().display());
        let file = format!("brokerConfigPath={}/broker.properties", store.path().display());
        let settings = settings.iter().map(ToString::to_string).chain([root, file]).collect();
        let loaded = load(&BROKER, &Sources { settings, ..Sources::default() });
        let mut config: BrokerConfig = loaded.written.config().clone();
        config.network.bind_address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        config.network.listen_port = 0;
        let node =
            Node::start(&config, Arc::new(BrokerDesk::new(&BROKER, loaded.written))).await.expect("a node");
        let client = Client::new(node.address().to_string(), Duration::from_secs(30)).with_service(service);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(node.run(stopped));
        Self { client, stop, task, _store: store }
    }

    /// Asks with fields written as `name=value name=value`.
    async fn ask(&self, code: i32, fields: &str, body: impl Into<bytes::Bytes>) -> Command {
        let mut request = Command::request(RequestCode(code)).with_body(body);
        request.fields = Fields::empty();
        for field in fields.split_whitespace() {
            let (name, value) = field.split_once('=').expect("a field");
            request.fields.push(name.to_owned(), value);
        }
        self.client.exchange(request).await.expect("an answer")
    }

    /// Plays lines of `code fields | body -> code what`; `what` is a part of the answer: of its fields, remark or body.
    async fn play(&self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (request, expected) = line.rsplit_once(" -> ").expect("an arrow");
            let (head, body) = request.split_once('|').unwrap_or((request, ""));
            let (code, fields) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
            let answer = self.ask(code.parse().expect("a code"), fields, body.trim().to_owned()).await;
            let (code, what) = expected.split_once(' ').unwrap_or((expected, ""));
            let said = said(&answer);
            assert_eq!(answer.code.to_string(), code, "{line}: {said}");
            assert!(said.contains(what), "{line}: {said}");
        }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("a clean end");
    }
}

fn said(answer: &Command) -> String {
    let mut said = String::new();
    answer.fields.for_each(|name, value| said.push_str(&format!("{name}={value} ")));
    said.push_str(answer.remark.as_deref().unwrap_or_default());
    said.push(' ');
    said.push_str(&String::from_utf8_lossy(&answer.body));
    said
}

const CONSUMER: &str = r#"{"clientID":"c1","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"subString":"a || b","subVersion":5,"topic":"TBW102"}]}],"producerDataSet":[{"groupName":"p"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_known_by_their_heartbeats() {
    let broker = Running::start().await;
    broker
        .play(&format!(
            r#"
            38 consumerGroup=g -> 1 no consumer for this group
            203 consumerGroup=g -> 206 not online
            204 producerGroup=p -> 1 not exist
            34 | {CONSUMER} -> 0 IS_SUPPORT_HEART_BEAT_V2=true IS_SUB_CHANGE=true
            38 consumerGroup=g -> 0 {{"consumerIdList":["c1"]}}
            203 consumerGroup=g -> 0 "subString":"a || b","subVersion":5
            204 producerGroup=p -> 0 "clientId":"c1"
            328 -> 0 "p":[{{"clientId":"c1"
            345 group=g topic=TBW102 -> 0 "subVersion":5
            345 group=g topic=other -> 0 "group":"g"
            300 topic=TBW102 -> 0 {{"groupList":["g"]}}
            352 group=g -> 0 "groupName":"g"
            352 group=other -> 26
            35 clientID=somebody producerGroup=other consumerGroup=other -> 0
            38 consumerGroup=g -> 0 c1
            35 clientID=forged producerGroup=p consumerGroup=g -> 0
            38 consumerGroup=g -> 1 no consumer for this group
            204 producerGroup=p -> 1 not exist
            "#
        ))
        .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_heartbeats_do_no_harm() {
    let broker = Running::start().await;
    broker
        .play(
            r#"
            34 -> 1 cannot be read
            34 | {"clientID":"c","consumerDataSet":7} -> 1 cannot be read
            34 | {"clientID":"","consumerDataSet":[]} -> 29 client id
            34 | {"clientID":"c\nd","consumerDataSet":[]} -> 29 control characters
            34 | {"clientID":"c","consumerDataSet":[{"groupName":"../etc"},{"groupName":""},{"groupName":"with blank"}]} -> 0
            34 | {"clientID":"c","producerDataSet":[{"groupName":"../etc"}]} -> 0
            203 consumerGroup=../etc -> 206
            46 -> 0
            46 | {"clientId":"c","group":"g","subscriptionData":{"expressionType":"TAG","subString":"||"}} -> 0
            46 | {"clientId":"c","group":"g","subscriptionData":{"expressionType":"SQL92","subString":"a > 1"}} -> 0
            46 | {"clientId":"c","group":"g","subscriptionData":{"expressionType":"SQL92","subString":"a >"}} -> 23
            46 | {"clientId":"c","group":"g","subscriptionData":{"expressionType":"LUA","subString":"a"}} -> 23
            "#,
        )
        .await;
    let long = format!(r#"{{"clientID":"{}"}}"#, "c".repeat(5000));
    assert_eq!(broker.ask(34, "", long).await.code, 29);
    let objects = format!(r#"{{"clientID":"c","consumerDataSet":[{}]}}"#, "{},".repeat(200_000) + "{}");
    assert_eq!(broker.ask(34, "", objects).await.code, 29);

    let topics: Vec<_> = (0..10_000)
        .map(|topic| format!(r#"{{"topic":"t{topic}","subString":"*","subVersion":1}}"#))
        .collect();
    let many = format!(
        r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"many","subscriptionDataSet":[{}]}}]}}"#,
        topics.join(",")
    );
    assert!(json::from_str::<HeartbeatData>(&many).is_ok());
    assert_eq!(broker.ask(34, "", many).await.code, 0);
    let connections = broker.ask(203, "consumerGroup=many", "").await;
    let connections: ConsumerConnections = json::from_slice(&connections.body).expect("connections");
    assert_eq!((connections.connections.len(), connections.subscriptions.len()), (1, 10_000));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_and_reset() {
    let broker = Running::start().await;
    broker
        .play(&format!(
            r#"
            30 topic=TBW102 queueId=0 -> 0 offset=0
            31 topic=nowhere queueId=-5 -> 0 offset=0
            29 topic=nowhere queueId=0 timestamp=5 -> 0 offset=0
            32 topic=TBW102 queueId=0 -> 0 timestamp=-1
            30 topic=../../etc queueId=0 -> 29
            14 consumerGroup=g topic=TBW102 queueId=0 -> 22
            15 consumerGroup=g topic=TBW102 queueId=0 commitOffset=5 -> 26
            34 | {CONSUMER} -> 0
            15 consumerGroup=g topic=nowhere queueId=0 commitOffset=5 -> 17
            15 consumerGroup=g topic=TBW102 queueId=-1 commitOffset=5 -> 29
            15 consumerGroup=g topic=TBW102 queueId=2147483647 commitOffset=5 -> 29
            15 consumerGroup=g topic=TBW102 queueId=0 commitOffset=-1 -> 29
            15 consumerGroup=g topic=TBW102 queueId=0 commitOffset=5 -> 0
            14 consumerGroup=g topic=TBW102 queueId=0 -> 0 offset=5
            343 group=g -> 0 "topicList":["TBW102"]
            308 compareGroup=g topic=TBW102 -> 0 {{"correctionOffsets":{{0:5}}}}
            314 srcGroup=g destGroup=h topic=TBW102 -> 0
            14 consumerGroup=h topic=TBW102 queueId=0 -> 0 offset=5
            222 topic=nowhere group=g timestamp=-1 isForce=true -> 17
            222 topic=TBW102 group=nobody timestamp=-1 isForce=true -> 26
            222 topic=TBW102 group=g timestamp=-1 isForce=true queueId=99 -> 29
            222 topic=TBW102 group=g timestamp=-1 isForce=true queueId=0 offset=7 -> 1 not in consume queue range
            222 topic=TBW102 group=g timestamp=-1 isForce=true queueId=0 offset=0 -> 0 "queueId":0,"topic":"TBW102"}}:0
            14 consumerGroup=g topic=TBW102 queueId=0 -> 0 offset=0
            15 consumerGroup=g topic=TBW102 queueId=0 commitOffset=5 -> 0 Offset has been previously reset
            14 consumerGroup=g topic=TBW102 queueId=0 -> 0 offset=0
            207 groupName=g cleanOffset=true -> 0
            14 consumerGroup=g topic=TBW102 queueId=0 setZeroIfNotFound=false -> 22
            "#
        ))
        .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_locked_and_dealt_out() {
    let broker = Running::start().await;
    let queue = |queue: i32| format!(r#"{{"brokerName":"b","queueId":{queue},"topic":"TBW102"}}"#);
    let (first, all) = (queue(0), [queue(0), queue(1), queue(99)].join(","));
    broker
        .play(&format!(
            r#"
            41 | {{"clientId":"c1","consumerGroup":"g","mqSet":[{first}]}} -> 0 {{"lockOKMQSet":[]}}
            34 | {CONSUMER} -> 0
            41 | {{"clientId":"","consumerGroup":"g","mqSet":[{first}]}} -> 29
            41 | {{"clientId":"c1","consumerGroup":"../g","mqSet":[{first}]}} -> 29
            41 | {{"clientId":"c1","consumerGroup":"g","mqSet":[{first}]}} -> 0 {{"lockOKMQSet":[{first}]}}
            41 | {{"clientId":"c2","consumerGroup":"g","mqSet":[{first}]}} -> 0 {{"lockOKMQSet":[]}}
            42 | {{"clientId":"c2","consumerGroup":"g","mqSet":[{first}]}} -> 0
            41 | {{"clientId":"c2","consumerGroup":"g","mqSet":[{all}]}} -> 0 {{"lockOKMQSet":[{{"brokerName":"b","queueId":1,"topic":"TBW102"}}]}}
            42 | {{"clientId":"c1","consumerGroup":"g","mqSet":[{first}]}} -> 0
            41 | {{"clientId":"c2","consumerGroup":"g","mqSet":[{first}]}} -> 0 {{"lockOKMQSet":[{first}]}}
            400 | {{"clientId":"c1","consumerGroup":"g","messageModel":"CLUSTERING","strategyName":"AVG","topic":"TBW102"}} -> 0 "mode":"PULL"
            400 | {{"clientId":"c1","consumerGroup":"g","messageModel":"CLUSTERING","strategyName":"OWN","topic":"TBW102"}} -> 0 {{}}
            400 | {{"clientId":"c1","consumerGroup":"g","messageModel":"CLUSTERING","strategyName":"AVG","topic":"nowhere"}} -> 0 {{}}
            401 | {{"consumerGroup":"g","mode":"PULL","popShareQueueNum":0,"topic":"%RETRY%g"}} -> 16
            401 | {{"consumerGroup":"g","mode":"PULL","popShareQueueNum":0,"topic":"nowhere"}} -> 17
            401 | {{"consumerGroup":"nobody","mode":"PULL","popShareQueueNum":0,"topic":"TBW102"}} -> 26
            401 | {{"consumerGroup":"g","mode":"POP","popShareQueueNum":0,"topic":"TBW102"}} -> 1 POP
            401 | {{"consumerGroup":"g","mode":"PULL","popShareQueueNum":0,"topic":"TBW102"}} -> 0
            402 -> 0 {{"messageRequestModeMap":{{"TBW102":{{"g":{{"consumerGroup":"g","mode":"PULL"
            "#
        ))
        .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_administered_and_questions_relayed() {
    let broker = Running::start().await;
    broker
        .play(&format!(
            r#"
            200 | {{"groupName":"bad name"}} -> 29
            200 | {{"groupName":"ok","retryMaxTimes":3}} -> 0
            200 | {{"groupName":"ok","attributes":{{"+unheard":"of"}}}} -> 1 unsupported key: unheard
            352 group=ok -> 0 "retryMaxTimes":3
            225 | {{"groupConfigList":[{{"groupName":"a"}},{{"groupName":"bad name"}}]}} -> 29
            352 group=a -> 26
            225 | {{"groupConfigList":[{{"groupName":"a"}},{{"groupName":"b"}}]}} -> 0
            201 -> 0 "ok":{{
            201 groupSeq=-4 maxGroupNum=-1 -> 0 "subscriptionGroupTable":{{}}
            353 group=a topic=TBW102 -> 0 "readable":true
            353 group=a topic=TBW102 readable=false -> 0 "readable":false
            353 group=a topic=TBW102 readable=true -> 0 "readable":true
            353 group=nobody topic=TBW102 readable=false -> 26
            307 consumerGroup=g clientId=c1 -> 1 The Consumer <g> <c1> not online
            309 consumerGroup=g clientId=c1 msgId=junk -> 1
            309 consumerGroup=g clientId=c1 msgId=7F00000100002A9F0000000000000064 -> 1 can not find message
            223 topic=TBW102 group=g -> 1 No Any Consumer online
            34 | {CONSUMER} -> 0
            307 consumerGroup=g clientId=c1 -> 3 not supported
            223 topic=TBW102 group=g -> 0 {{"consumerTable":{{}},"messageQueueTable":{{}}}}
            "#
        ))
        .await;
    broker.stop().await;
}
