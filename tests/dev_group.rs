//! The command line against a running group: `ferrymq dev` with three nodes, and everything that can be asked of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use dev::{Dev, until};

#[path = "dev_group/dev.rs"]
mod dev;
#[allow(dead_code, reason = "other tests need the rest")]
mod program;

#[test]
fn a_group_is_used_broken_and_watched() {
    let dev = Dev::start("3");
    topics_and_messages(&dev);
    groups(&dev);
    dead_letters(&dev);
    configuration(&dev);
    this_machine(&dev);
    http(&dev);
    health(&dev);
    a_leader_dies(&dev);
}

fn topics_and_messages(dev: &Dev) {
    dev.ok("topic create orders --queues 4");
    assert_eq!(dev.code("topic create orders"), 1, "it is there already");
    until("the route", || dev.code("topic route orders") == 0);
    assert!(dev.ok("topic list").contains("orders"));
    assert!(dev.ok("topic list -o json").contains("\"schema\":\"ferrymq.topic.list/1\""));
    dev.ok("topic produce orders one --tag A --key k1");
    dev.ok("topic produce orders two three --tag B");
    let peeked = dev.ok("topic peek orders");
    for text in ["one", "two", "three"] {
        assert!(peeked.contains(text), "{peeked}");
    }
    let described = dev.ok("topic describe orders -o json");
    assert_eq!(described.matches("\"queue\":").count(), 4, "{described}");
    assert!(dev.ok("message query --topic orders --key k1").contains("one"));
    assert_eq!(dev.code("message query --topic orders --key nobody"), 6);
    dev.ok("topic update orders --permission r");
    assert_ne!(dev.code("topic produce orders four"), 0, "it may only be read");
    dev.ok("topic update orders --permission rw");
    resending(dev);
    apaches_verbs(dev);
    assert_eq!(dev.code("topic delete orders"), 5, "not without --yes");
    assert_eq!(dev.code("topic describe nothing"), 6);
    dev.ok("topic create brief");
    dev.ok("topic delete brief --yes");
    assert_eq!(dev.code("topic describe brief"), 6);
}

/// To one consumer of a group: `push-to-consumer` of the interop suite, with an official client.
fn resending(dev: &Dev) {
    dev.ok("topic create again --queues 1");
    until("the route", || dev.code("topic route again") == 0);
    let sent = dev.ok("topic produce again once --key k5");
    let id = sent.lines().nth(1).unwrap().split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(dev.code(&format!("message resend {id} --topic again")), 5, "not without --yes");
    assert_eq!(dev.code(&format!("message resend {id}")), 2, "which topic?");
    assert_eq!(dev.code("message resend ABCD --topic again --yes"), 6);
    assert_eq!(dev.code(&format!("message resend {id} --topic again --group nobody")), 6);
    dev.ok(&format!("message resend {id} --topic again --yes"));
    until("both are there", || dev.ok("topic consume again") == "once\nonce\n");
    let again = dev.ok("topic peek again -o json");
    assert_eq!((again.matches(&id).count(), again.matches("\"k5\"").count()), (2, 2), "{again}");
}

/// `ferrymq admin`: what each verb prints, `mqadmin-own` of the interop suite compares with Apache's.
fn apaches_verbs(dev: &Dev) {
    let listed = dev.ok("admin clusterList");
    assert_eq!(listed.matches("DefaultCluster").count(), 3, "{listed}");
    assert!(dev.ok("admin topicList").lines().any(|topic| topic == "orders"));
    dev.ok("admin updateTopic -t by-admin -c DefaultCluster -r 2 -w 2");
    until("the route", || dev.code("admin topicRoute -t by-admin") == 0);
    dev.ok("admin sendMessage -t by-admin -p hello -k k7");
    until("it is found", || dev.code("admin queryMsgByKey -t by-admin -k k7") == 0);
    assert!(dev.ok("admin printMsg -t by-admin").contains("BODY: hello"));
    dev.ok("admin deleteTopic -t by-admin -c DefaultCluster");
    for (wrong, code) in [
        ("admin topicStatus -t no-such-topic", 6),
        ("admin consumerProgress -g no-such-group", 6),
        ("admin topicStatus", 2),
        ("admin topicStatus -t", 2),
        ("admin topicStatsu -t orders", 2),
        ("admin deleteTopic -t orders -c NoSuchCluster", 4),
        ("admin electMaster -b a", 2),
    ] {
        assert_eq!(dev.code(wrong), code, "{wrong}");
    }
}

fn groups(dev: &Dev) {
    let consumed = dev.ok("topic consume orders");
    let mut bodies: Vec<&str> = consumed.lines().collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["one", "three", "two"]);
    dev.ok("group create readers --retries 3");
    assert!(dev.ok("group list").contains("readers"));
    assert_eq!(dev.code("group reset-offset readers orders --to earliest"), 5, "not without --yes");
    dev.ok("group reset-offset readers orders --to earliest --yes");
    until("it is behind", || dev.ok("group lag readers").contains("behind by 3 messages"));
    dev.ok("group skip readers orders --yes");
    until("it is not", || dev.ok("group lag readers").contains("behind by 0 messages"));
    assert_eq!(dev.code("group describe readers"), 6, "nobody is connected");
    assert_eq!(dev.code("group delete readers"), 5);
    dev.ok("group delete readers --yes");
    assert!(!dev.ok("group list").contains("readers"));
    dev.ok("dlq list");
    assert_eq!(dev.code("dlq resend readers --yes"), 6, "it has none");
    assert_eq!(dev.code("dlq purge readers --yes"), 6);
}

/// A group of dead letters, made by hand: `retry-to-dead-letter` of the interop suite has true ones.
fn dead_letters(dev: &Dev) {
    dev.ok("topic create %DLQ%workers --queues 1");
    dev.ok("topic create %RETRY%workers --queues 1");
    dev.ok("group create workers");
    until("the routes", || {
        dev.code("topic route %DLQ%workers") == 0 && dev.code("topic route %RETRY%workers") == 0
    });
    dev.ok("topic produce %DLQ%workers letter --property DLQ_ORIGIN_TOPIC=orders --key k9");
    assert!(dev.ok("dlq peek workers").contains("letter"));
    assert_eq!(dev.code("dlq resend workers"), 5);
    dev.ok("dlq resend workers --yes");
    let again = dev.ok("topic peek %RETRY%workers -o json");
    assert!(again.contains("\"letter\"") && again.contains("\"k9\""), "{again}");
    dev.ok("dlq purge workers --yes");
    assert_eq!(dev.code("dlq peek workers"), 6);
}

fn configuration(dev: &Dev) {
    assert_eq!(dev.code("config diff"), 0);
    let leader = dev.ok("config get listenPort fileReservedTime -o json");
    assert_eq!(leader.matches("\"fileReservedTime\"").count(), 3, "{leader}");
    dev.ok("config set fileReservedTime 48 --group RaftNode00");
    assert_eq!(dev.ok("config get fileReservedTime").matches(" 48").count(), 3);
    let address =
        dev.ok("config get listenPort").lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    dev.ok(&format!("config set fileReservedTime 24 --broker {address}"));
    assert_eq!(dev.code("config diff"), 3);
    dev.ok("config set fileReservedTime 72");
    assert_eq!(dev.code("config diff"), 0);
    assert_eq!(dev.code("config set fileReservedTime soon"), 1);
    assert_eq!(dev.code("config get nonsense"), 6);
    assert_eq!(dev.code("config set logFilter debgu"), 1);
    let record = std::fs::read_to_string(dev.folder.path().join("ferrymq-dev.json")).unwrap();
    let nodes = record.split("\"folder\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let log_path = format!("{nodes}/n0.log");
    let log = || std::fs::read_to_string(&log_path).unwrap();
    assert!(!log().contains(" DEBUG "), "{}", log());
    dev.ok("config set logFilter debug");
    until("n0 logs more", || log().contains(" DEBUG "));
    dev.ok("config set logFilter info");
    let conf = dev.folder.path().join("some.conf");
    std::fs::write(&conf, "flushDiskTpye=ASYNC_FLUSH\n").unwrap();
    assert_eq!(dev.code("config lint some.conf"), 3);
    std::fs::write(&conf, "flushDiskType=ASYNC_FLUSH\n").unwrap();
    assert_eq!(dev.code("config lint some.conf"), 0);
    assert!(dev.ok("config dump -c some.conf").contains("some.conf:1"));
}

fn this_machine(dev: &Dev) {
    // Whether this machine is fit is not the question; that it says so is.
    let doctor = dev.run(&["doctor", "--store", "."]);
    assert!([0, 3].contains(&doctor.code), "{}", doctor.complaint);
    for check in ["open files", "disk space", "disk sync", "name server", "broker"] {
        assert!(doctor.output.lines().any(|line| line.starts_with(check)), "{}", doctor.output);
    }
    assert!(doctor.output.lines().filter(|line| line.starts_with("broker")).all(|line| line.contains("yes")));
    assert!(dev.ok("generate completion bash").contains("_ferrymq"));
    assert!(dev.ok("generate man").contains(".TH ferrymq 1"));
    assert!(dev.ok("generate systemd").contains("ExecStart="));
    assert!(dev.ok("generate compose").contains("services:"));
    assert!(dev.ok("generate compose --groups 2").contains("RaftNode01"));
}

fn http(dev: &Dev) {
    assert_eq!(dev.get("GET /livez", "localhost"), (200, "ok\n".to_owned()));
    let (code, ready) = dev.get("GET /readyz?verbose", "anything.example");
    assert_eq!(code, 200, "{ready}");
    assert!(ready.contains("[+] leader: ") && ready.ends_with("\nready\n"), "{ready}");
    let (code, status) = dev.get("GET /api/v1/status", "127.0.0.1:1");
    assert_eq!(code, 200);
    assert!(
        status.starts_with("{\"schema\":\"ferrymq.status/1\"") && status.contains("\"raft\":{"),
        "{status}"
    );
    assert_eq!(dev.get("GET /api/v1/status", "evil.example.com").0, 421);
    assert_eq!(dev.get("GET /../../etc/passwd", "localhost").0, 404);
    assert_eq!(dev.get("POST /metrics", "localhost").0, 405);
    let (code, metrics) = dev.get("GET /metrics", "n0:5557");
    assert_eq!(code, 200);
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(
            sample.contains("{cluster=\"DefaultCluster\",node_type=\"broker\"") && sample.ends_with('}'),
            "{line}"
        );
        value.parse::<f64>().unwrap();
    }
    assert!(metrics.contains("rocketmq_topic_number") && metrics.contains("ferrymq_raft_term"), "{metrics}");
}

fn health(dev: &Dev) {
    let status = dev.ok("cluster status --exit-when-healthy --min-nodes 3");
    assert_eq!(
        (status.matches(" leader ").count(), status.matches(" follower ").count()),
        (1, 2),
        "{status}"
    );
    assert_eq!(dev.code("cluster status --exit-when-healthy --min-nodes 4 --patience 1"), 3);
    assert_eq!(dev.code("cluster health --min-nodes 4"), 3);
    assert_eq!(dev.code("cluster health --min-nodes 4 --accept-degraded"), 0);
    // Again and again, until it is ended.
    let tables = dev.lines("cluster status --watch").filter(|line| line.starts_with("GROUP"));
    assert_eq!(tables.take(3).count(), 3);
    assert_eq!(
        dev.code("cluster status -n 127.0.0.1:1 --exit-when-healthy --patience 1"),
        4,
        "nobody is there"
    );
}

fn a_leader_dies(dev: &Dev) {
    let leader = || {
        let status = dev.ok("raft status -o json");
        let end = status.find("\"role\":\"leader\"").unwrap();
        let start = status[..end].rfind("\"node\":\"").unwrap() + "\"node\":\"".len();
        status[start..].split('"').next().unwrap().to_owned()
    };
    assert_eq!(dev.code("cluster health"), 0);
    let first = leader();
    let list = dev.ok("node list");
    let mut line = list.lines().filter(|line| line.contains(&first));
    let line = line.next().unwrap_or_else(|| panic!("{first} is not there:\n{list}"));
    assert!(line.contains("leader") && list.lines().count() == 4, "{list}");
    let process = line.split_whitespace().last().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{process}")).exists(), "{list}");
    let described = dev.ok(&format!("node describe {first} -o json"));
    assert!(
        described.contains("\"role\":\"leader\"") && described.contains("\"serves\":true"),
        "{described}"
    );
    assert!(described.contains("ferrymq.node.describe/1"), "{described}");
    assert_eq!(dev.code("node describe n9"), 6);
    dev.ok(&format!("node drain {first} --wait 0"));
    let second = leader();
    assert_ne!(second, first);
    dev.ok("topic produce orders meanwhile");
    let first = second;
    dev.ok(&format!("node kill {first}"));
    // The command itself waits for the next leader.
    dev.ok("topic produce orders after --tag C");
    assert_ne!(leader(), first);
    let peeked = dev.ok("topic peek orders");
    for text in ["one", "two", "three", "meanwhile", "after"] {
        assert!(peeked.contains(text), "{peeked}");
    }
    dev.ok("cluster status --exit-when-healthy --min-nodes 3");
}

#[test]
fn one_node_alone() {
    let dev = Dev::start("1");
    dev.ok("topic produce hello world");
    assert!(dev.ok("topic consume hello").contains("world"));
    let (code, metrics) = dev.get("GET /metrics", "localhost");
    assert_eq!(code, 200);
    let stored =
        metrics.lines().find(|line| line.starts_with("rocketmq_messages_in_total") && line.contains("hello"));
    assert!(
        stored.is_some_and(|line| line.contains("message_type=\"normal\"") && line.ends_with(" 1")),
        "{metrics}"
    );
    assert!(!metrics.contains("ferrymq_raft"), "{metrics}");
}
