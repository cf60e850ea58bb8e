//! A running name server, asked over loopback: each request code, and what a peer hears when it asks wrongly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ferrymq_namesrv::Server;
use ferrymq_namesrv::settings::{ConfigDesk, Settings, UpdateRefused};
use ferrymq_proto::bodies::{
    self, KvTable, MemberGroupReply, QueueData, TopicConfig, TopicList, TopicRoute, TopicTable,
};
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::{Command, HeaderForm};
use ferrymq_proto::headers::*;
use ferrymq_proto::json::{self, Dialect, FromJson};
use ferrymq_proto::net::{Call, CallError, Client, Limits, Service};
use tokio::sync::{mpsc, watch};

/// A desk whose text is what it was last told; it refuses one key.
struct FakeDesk {
    settings: Settings,
    text: Mutex<String>,
}

impl ConfigDesk for FakeDesk {
    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn update(&self, text: &str) -> Result<Settings, UpdateRefused> {
        if text.contains("kvConfigPath") {
            return Err(UpdateRefused::NotByRequest("kvConfigPath".to_owned()));
        }
        if !text.contains('=') {
            return Err(UpdateRefused::Malformed("no value".to_owned()));
        }
        *self.text.lock().unwrap() = text.to_owned();
        Ok(Settings { enable_all_topic_list: false, ..self.settings.clone() })
    }
}

struct Fixture {
    client: Client,
    address: String,
    folder: tempfile::TempDir,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

fn settings(kv_config_path: PathBuf) -> Settings {
    Settings {
        kv_config_path,
        order_message_enable: false,
        return_order_topic_config_to_broker: true,
        scan_not_active_broker_interval: Duration::from_millis(50),
        unregister_broker_queue_capacity: 3000,
        support_acting_master: false,
        enable_all_topic_list: true,
        enable_topic_list: true,
        notify_min_broker_id_changed: true,
        need_wait_for_service: false,
        wait_for_service: Duration::from_secs(45),
        delete_topic_with_broker_registration: false,
    }
}

fn start() -> Fixture {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut Settings)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path().join("kvConfig.json"));
    change(&mut settings);
    let desk = Arc::new(FakeDesk { settings: settings.clone(), text: Mutex::new("a=1\n".to_owned()) });
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), settings, Limits::default(), desk).unwrap();
    let address = server.local_addr().to_string();
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(server.run(stopped));
    Fixture { client: client(&address), address, folder, stop, server }
}

fn client(address: &str) -> Client {
    Client::new(address, Duration::from_secs(10))
}

fn read<T: FromJson>(body: &[u8]) -> T {
    json::from_slice(body).unwrap()
}

fn register(group: &str, id: i64, address: &str) -> RegisterBroker {
    RegisterBroker {
        broker_name: group.into(),
        broker_addr: address.into(),
        cluster_name: "c1".into(),
        ha_server_addr: "127.0.0.1:10912".into(),
        broker_id: id,
        heartbeat_timeout_millis: None,
        enable_acting_master: Some(false),
        compressed: false,
        body_crc32: 0,
        zone_name: None,
    }
}

fn registration(topics: &[&str]) -> bodies::Registration {
    let table = topics.iter().map(|name| {
        let config = TopicConfig { topic_name: (*name).to_owned(), ..TopicConfig::default() };
        ((*name).to_owned(), config)
    });
    bodies::Registration {
        topics: TopicTable { topic_config_table: table.collect(), ..TopicTable::default() },
        ..bodies::Registration::default()
    }
}

fn body(registration: &bodies::Registration) -> Bytes {
    json::to_string(registration, Dialect::Fastjson).into()
}

fn get_route(topic: &str) -> GetRoute {
    GetRoute { topic: topic.into(), accept_standard_json_only: None, zone_mode: None, zone_name: None }
}

fn code(result: Result<impl Sized, CallError>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(CallError::Refused { code, .. }) => code.0,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_registered_broker_is_found_and_forgotten_with_its_connection() {
    let fixture = start();
    assert_eq!(code(fixture.client.call(&get_route("T"), Bytes::new()).await), 17);
    for form in [HeaderForm::Json, HeaderForm::Binary] {
        let broker = client(&fixture.address).with_form(form);
        broker.call(&register("a", 0, "127.0.0.1:1"), body(&registration(&["T", "U"]))).await.unwrap();
        let (_, route) = fixture.client.call(&get_route("T"), Bytes::new()).await.unwrap();
        let route: TopicRoute = read(&route);
        assert_eq!(route.broker_datas[0].broker_addrs, BTreeMap::from([(0, "127.0.0.1:1".to_owned())]));
        broker.close().await;
        while code(fixture.client.call(&get_route("T"), Bytes::new()).await) != 17 {}
    }
}

#[tokio::test]
async fn a_compressed_and_checked_registration_is_read() {
    let fixture = start();
    let packed = Bytes::from(registration(&["T", "U"]).deflate().unwrap());
    let crc = ferrymq_proto::record::checksum(&packed);
    let header = RegisterBroker { compressed: true, body_crc32: crc, ..register("a", 0, "127.0.0.1:1") };
    fixture.client.call(&header, packed.clone()).await.unwrap();
    assert_eq!(code(fixture.client.call(&get_route("U"), Bytes::new()).await), 0);
    let wrong = RegisterBroker { body_crc32: crc ^ 1, ..header };
    let error = fixture.client.call(&wrong, packed).await.unwrap_err().to_string();
    assert!(error.starts_with("1 SYSTEM_ERROR: crc32 not match"), "{error}");
}

#[tokio::test]
async fn silent_brokers_are_closed_and_heartbeats_keep_them() {
    let fixture = start();
    let silent = client(&fixture.address);
    let header = RegisterBroker { heartbeat_timeout_millis: Some(300), ..register("a", 0, "127.0.0.1:1") };
    silent.call(&header, body(&registration(&["T", "U"]))).await.unwrap();
    let beating = client(&fixture.address);
    let header = RegisterBroker { heartbeat_timeout_millis: Some(300), ..register("b", 0, "127.0.0.1:2") };
    beating.call(&header, body(&registration(&["V", "W"]))).await.unwrap();
    let heartbeat = BrokerHeartbeat {
        cluster_name: "c1".into(),
        broker_addr: "127.0.0.1:2".into(),
        broker_name: "b".into(),
        broker_id: None,
        epoch: None,
        max_offset: None,
        confirm_offset: None,
        heartbeat_timeout_millis: None,
        election_priority: None,
    };
    while code(fixture.client.call(&get_route("T"), Bytes::new()).await) == 0 {
        beating.call(&heartbeat, Bytes::new()).await.unwrap();
    }
    beating.call(&heartbeat, Bytes::new()).await.unwrap();
    assert_eq!(code(fixture.client.call(&get_route("V"), Bytes::new()).await), 0);
}

#[tokio::test]
async fn unregistering_and_versions() {
    let fixture = start();
    let broker = client(&fixture.address);
    broker.call(&register("a", 0, "127.0.0.1:1"), body(&registration(&["T", "U"]))).await.unwrap();
    let query = QueryDataVersion {
        broker_name: "a".into(),
        broker_addr: "127.0.0.1:1".into(),
        cluster_name: "c1".into(),
        broker_id: 0,
    };
    let same = Bytes::from("{\"counter\":0,\"stateVersion\":0,\"timestamp\":0}");
    let (reply, known) = broker.call(&query, same.clone()).await.unwrap();
    assert_eq!((reply.changed, known), (false, same));
    let newer = Bytes::from("{\"counter\":1,\"stateVersion\":0,\"timestamp\":0}");
    assert!(broker.call(&query, newer).await.unwrap().0.changed);
    let leaving = UnregisterBroker {
        broker_name: "a".into(),
        broker_addr: "127.0.0.1:1".into(),
        cluster_name: "c1".into(),
        broker_id: 0,
    };
    broker.call(&leaving, Bytes::new()).await.unwrap();
    assert_eq!(code(broker.call(&get_route("T"), Bytes::new()).await), 17, "gone once it is answered");
    let (reply, known) = broker.call(&query, Bytes::from("{}")).await.unwrap();
    assert_eq!((reply.changed, known), (true, Bytes::new()));
}

#[tokio::test]
async fn key_values_survive_a_restart_and_reach_brokers() {
    let fixture = start_with(|settings| settings.order_message_enable = true);
    let put = PutKv { namespace: "ORDER_TOPIC_CONFIG".into(), key: "T".into(), value: "a:4".into() };
    fixture.client.call(&put, Bytes::new()).await.unwrap();
    let get = GetKv { namespace: put.namespace.clone(), key: put.key.clone() };
    assert_eq!(fixture.client.call(&get, Bytes::new()).await.unwrap().0.value.unwrap(), "a:4");
    let (_, table) = fixture
        .client
        .call(&register("a", 0, "127.0.0.1:1"), body(&registration(&["T", "U"])))
        .await
        .unwrap();
    assert_eq!(read::<KvTable>(&table).table, BTreeMap::from([("T".to_owned(), "a:4".to_owned())]));
    let (_, route) = fixture.client.call(&get_route("T"), Bytes::new()).await.unwrap();
    assert_eq!(read::<TopicRoute>(&route).order_topic_conf.as_deref(), Some("a:4"));

    let file = std::fs::read_to_string(fixture.folder.path().join("kvConfig.json")).unwrap();
    assert_eq!(file, r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"a:4"}}}"#);
    fixture.stop.send(true).unwrap();
    fixture.server.await.unwrap();
    let path = fixture.folder.path().join("kvConfig.json");
    let again = start_with(|settings| settings.kv_config_path = path);
    assert_eq!(again.client.call(&get, Bytes::new()).await.unwrap().0.value.unwrap(), "a:4");
    let delete = DeleteKv { namespace: put.namespace.clone(), key: put.key.clone() };
    again.client.call(&delete, Bytes::new()).await.unwrap();
    again.client.call(&delete, Bytes::new()).await.unwrap();
    let missing = again.client.call(&get, Bytes::new()).await.unwrap_err().to_string();
    assert_eq!(missing, "22 QUERY_NOT_FOUND: No config item, Namespace: ORDER_TOPIC_CONFIG Key: T");
    assert_eq!(code(again.client.call(&GetKvTable { namespace: "none".into() }, Bytes::new()).await), 22);
}

#[tokio::test]
async fn lists_permissions_and_topics() {
    let fixture = start();
    let client = &fixture.client;
    client.call(&register("a", 0, "127.0.0.1:1"), body(&registration(&["T", "U"]))).await.unwrap();
    let wiped = client.call(&WipeWritePerm { broker_name: "a".into() }, Bytes::new()).await.unwrap().0;
    assert_eq!(wiped.wipe_topic_count, 2);
    let added = client.call(&AddWritePerm { broker_name: "a".into() }, Bytes::new()).await.unwrap().0;
    assert_eq!(added.add_topic_count, 2);

    let queues = QueueData { broker_name: "a".to_owned(), perm: 6, ..QueueData::default() };
    let route = TopicRoute { queue_datas: vec![queues], ..TopicRoute::default() };
    let single = Bytes::from(json::to_string(&route, Dialect::Fastjson));
    client.call(&RegisterTopic { topic: "X".into() }, single.clone()).await.unwrap();
    let topics = |body: Bytes| read::<TopicList>(&body).topic_list.join(" ");
    assert_eq!(topics(client.call(&ListTopics {}, Bytes::new()).await.unwrap().1), "T U X");
    client
        .call(&DeleteRoute { topic: "X".into(), cluster_name: Some("c1".into()) }, Bytes::new())
        .await
        .unwrap();
    assert_eq!(
        topics(client.call(&ListClusterTopics { cluster: "c1".into() }, Bytes::new()).await.unwrap().1),
        "T U"
    );
    assert_eq!(topics(client.call(&ListSystemTopics {}, Bytes::new()).await.unwrap().1), "a c1");
    for list in [
        client.call(&ListUnitTopics {}, Bytes::new()).await,
        client.call(&ListUnitSubscribedTopics {}, Bytes::new()).await,
        client.call(&ListUnitSubscribedPlainTopics {}, Bytes::new()).await,
    ] {
        assert_eq!(list.unwrap().1, "{\"topicList\":[]}");
    }
    let (_, clusters) = client.call(&GetClusterInfo {}, Bytes::new()).await.unwrap();
    assert_eq!(
        clusters,
        r#"{"brokerAddrTable":{"a":{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"a","cluster":"c1","enableActingMaster":false}},"clusterAddrTable":{"c1":["a"]}}"#
    );
    let ask = GetMemberGroup { cluster_name: "c1".into(), broker_name: "a".into() };
    let members: MemberGroupReply = read(&client.call(&ask, Bytes::new()).await.unwrap().1);
    assert_eq!(members.broker_member_group.unwrap().broker_addrs[&0], "127.0.0.1:1");
}

#[tokio::test]
async fn configuration_is_shown_and_changed_where_it_may_be() {
    let fixture = start();
    let client = &fixture.client;
    assert_eq!(client.call(&GetNamesrvConfig {}, Bytes::new()).await.unwrap().1, "a=1\n");
    let refused = client.call(&UpdateNamesrvConfig {}, Bytes::from("kvConfigPath=/tmp/x")).await.unwrap_err();
    assert!(
        refused.to_string().starts_with("16 NO_PERMISSION: Can not update config in black list."),
        "{refused}"
    );
    assert_eq!(code(client.call(&UpdateNamesrvConfig {}, Bytes::from("nonsense")).await), 1);
    assert_eq!(code(client.call(&UpdateNamesrvConfig {}, Bytes::from(&b"a=\xff"[..])).await), 1);
    assert_eq!(code(client.call(&ListTopics {}, Bytes::new()).await), 0);
    client.call(&UpdateNamesrvConfig {}, Bytes::from("enableAllTopicList=false")).await.unwrap();
    let disabled = client.call(&ListTopics {}, Bytes::new()).await.unwrap_err().to_string();
    assert_eq!(disabled, "1 SYSTEM_ERROR: disable");
}

#[tokio::test]
async fn members_are_told_when_the_smallest_id_changes() {
    /// A broker that listens for notices.
    struct Listener(mpsc::UnboundedSender<Command>);

    impl Service for Listener {
        fn serve(&self, call: Call) {
            let _ = self.0.send(call.request.clone());
        }
    }

    let fixture = start();
    let (sender, mut notices) = mpsc::unbounded_channel();
    let listener =
        ferrymq_proto::net::Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(listener.run(Arc::new(Listener(sender)), stopped));
    let acting =
        |id, address: &str| RegisterBroker { enable_acting_master: Some(true), ..register("a", id, address) };
    let master = client(&fixture.address);
    master.call(&acting(0, "127.0.0.1:1"), body(&registration(&["T", "U"]))).await.unwrap();
    fixture.client.call(&acting(1, &address), body(&registration(&["T", "U"]))).await.unwrap();
    master.close().await;
    let notice = notices.recv().await.unwrap();
    assert_eq!((notice.code, notice.is_one_way()), (RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE.0, true));
    assert_eq!(notice.fields.get("minBrokerId").unwrap(), "1");
    assert_eq!(notice.fields.get("offlineBrokerAddr").unwrap(), "127.0.0.1:1");
}

#[tokio::test]
async fn a_new_server_may_ask_for_patience() {
    let fixture = start_with(|settings| settings.need_wait_for_service = true);
    let error = fixture.client.call(&get_route("T"), Bytes::new()).await.unwrap_err().to_string();
    assert_eq!(error, "1 SYSTEM_ERROR: name server not ready");
}

#[tokio::test]
async fn wrong_requests_get_the_right_code_and_change_nothing() {
    let fixture = start();
    let client = &fixture.client;
    let unknown = client.exchange(Command::request(RequestCode(9999))).await.unwrap();
    assert_eq!(unknown.code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED.0);
    assert_eq!(unknown.remark.unwrap(), " request type 9999 not supported");
    for served in ferrymq_namesrv::requests::served() {
        let needs_nothing = [106, 206, 304, 311, 312, 313, 318, 319].contains(&served.0);
        let answer = client.exchange(Command::request(served)).await.unwrap();
        assert_eq!(answer.code, i32::from(!needs_nothing), "{served} without fields: {:?}", answer.remark);
    }
    let topics = body(&registration(&["T", "U"]));
    let cases = [
        (register("../../a", 0, "127.0.0.1:1"), topics.clone(), 29),
        (register("a", 0, "no-port"), topics.clone(), 1),
        (register("a", 0, "127.0.0.1:1,2.2.2.2:2"), topics.clone(), 1),
        (
            RegisterBroker { cluster_name: "c/1".into(), ..register("a", 0, "127.0.0.1:1") },
            topics.clone(),
            29,
        ),
        (register("a", 0, "127.0.0.1:1"), Bytes::from("{\"topicConfigSerializeWrapper\":["), 1),
        (
            RegisterBroker { compressed: true, ..register("a", 0, "127.0.0.1:1") },
            Bytes::from("not deflated"),
            1,
        ),
    ];
    for (header, body, expected) in cases {
        assert_eq!(code(client.call(&header, body).await), expected, "{header:?}");
    }
    let (_, clusters) = client.call(&GetClusterInfo {}, Bytes::new()).await.unwrap();
    assert_eq!(clusters, "{\"brokerAddrTable\":{},\"clusterAddrTable\":{}}");
}

#[tokio::test]
async fn names_that_would_leave_a_directory_are_left_out() {
    let fixture = start();
    let topics = body(&registration(&["T", "U", "../../x", "a/b", "..", "nul\0"]));
    fixture.client.call(&register("a", 0, "127.0.0.1:1"), topics).await.unwrap();
    let (_, list) = fixture.client.call(&ListTopics {}, Bytes::new()).await.unwrap();
    assert_eq!(list, "{\"topicList\":[\"T\",\"U\"]}");
    let register = RegisterTopic { topic: "../../x".into() };
    assert_eq!(code(fixture.client.call(&register, Bytes::from("{}")).await), 29);
    assert_eq!(code(fixture.client.call(&get_route("../../x"), Bytes::new()).await), 17);
}
