//! What others call themselves, write and answer, where a person reads it: in the log, and in what our commands print. It is
//! no command to a terminal, and no line of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::net::{Call, Client, Limits, Server, Service};
use tokio::sync::watch;

use crate::alone::{broker_port, own_address};
use crate::broker::{Broker, field, pull, request, said, send};

/// Clears the screen, names the window, and pretends to be an event.
const EVIL: &str = "x\u{1b}[2J\u{1b}]0;x\u{7}\r\n2026-11-22T00:00:00.000000Z  INFO forged\u{9b}2J";
/// The same within JSON.
const EVIL_JSON: &str =
    "x\\u001b[2J\\u001b]0;x\\u0007\\r\\n2026-11-22T00:00:00.000000Z  INFO forged\\u009b2J";
const FORGED: &str = "2026-11-22T00:00:00.000000Z";

/// Every name that a field has in a request with a name in it.
const FIELDS: [&str; 25] = [
    "topic",
    "b",
    "group",
    "consumerGroup",
    "groupName",
    "producerGroup",
    "a",
    "srcGroup",
    "destGroup",
    "compareGroup",
    "originTopic",
    "clientId",
    "clientID",
    "key",
    "defaultTopic",
    "c",
    "requestTopic",
    "originMsgId",
    "msgId",
    "transactionId",
    "subscription",
    "expressionType",
    "attributes",
    "recallHandle",
    "i",
];
/// What says how many, which and when, so that no request ends at a field that is not there.
const NUMBERS: &str = "queueId=0 queueOffset=0 maxMsgNums=1 sysFlag=4 commitOffset=0 suspendTimeoutMillis=0 subVersion=1 offset=0 \
    timestamp=0 delayLevel=1 maxNum=1 beginTimestamp=0 endTimestamp=1 index=0 count=1 readQueueNums=1 writeQueueNums=1 perm=6 \
    topicFilterType=SINGLE_TAG order=false isForce=true d=1 e=0 f=0 g=0 h=0 tranStateTableOffset=0 commitLogOffset=0 \
    commitOrRollback=8 defaultTopicQueueNums=1 bornTimestamp=0 flag=0 statsName=x statsKey=x";

fn is_harmless(what: &str, text: &str) {
    for line in text.lines() {
        assert!(!line.starts_with(FORGED), "{what} has a line of somebody else's: {line:?}");
        let command = line.find(|character: char| character.is_control() && character != '\t');
        assert_eq!(command, None, "{what} tells the terminal something: {line:?}");
    }
}

/// Calls everything what it should not be called, whatever it is asked, and answers with what is no answer.
struct Liar {
    address: SocketAddr,
}

impl Service for Liar {
    fn serve(&self, call: Call) {
        let (evil, address) = (EVIL_JSON, self.address);
        let body = match RequestCode(call.request.code) {
            RequestCode::GET_ROUTEINFO_BY_TOPIC => format!(
                r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"{address}"}},"brokerName":"{evil}","cluster":"{evil}"}}],"filterServerTable":{{}},"queueDatas":[{{"brokerName":"{evil}","perm":6,"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1}}]}}"#
            ),
            RequestCode::GET_BROKER_CLUSTER_INFO => format!(
                r#"{{"brokerAddrTable":{{"{evil}":{{"brokerAddrs":{{0:"{address}",1:"{evil}"}},"brokerName":"{evil}","cluster":"{evil}"}}}},"clusterAddrTable":{{"{evil}":["{evil}"]}}}}"#
            ),
            RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => {
                format!(r#"{{"topicList":["{evil}","%RETRY%{evil}","%DLQ%{evil}"]}}"#)
            }
            RequestCode::GET_BROKER_RUNTIME_INFO => {
                format!(r#"{{"table":{{"{evil}":"{evil}","brokerVersionDesc":"{evil}","putTps":"{evil}"}}}}"#)
            }
            RequestCode::GET_BROKER_CONFIG => format!("brokerName={EVIL}\n{EVIL}={EVIL}\n"),
            RequestCode::GET_CONSUMER_RUNNING_INFO => format!(
                r#"{{"properties":{{"{evil}":"{evil}","PROP_CLIENT_VERSION":"{evil}"}},"jstack":"{evil}","subscriptionSet":[{{"topic":"{evil}","subString":"{evil}","subVersion":1}}],"mqTable":{{{{"brokerName":"{evil}","queueId":0,"topic":"{evil}"}}:{{"commitOffset":1}}}},"statusTable":{{"{evil}":{{"pullRT":1.0}}}}}}"#
            ),
            RequestCode::GET_CONSUMER_CONNECTION_LIST => format!(
                r#"{{"connectionSet":[{{"clientId":"{evil}","clientAddr":"{evil}","language":"JAVA","version":500}}],"subscriptionTable":{{"{evil}":{{"topic":"{evil}","subString":"{evil}"}}}}}}"#
            ),
            _ => {
                let answer = call.request.answer(ResponseCode::SYSTEM_ERROR).with_remark(EVIL);
                return call.answer(answer);
            }
        };
        let answer = call.request.answer(ResponseCode::SUCCESS).with_remark(EVIL).with_body(body);
        call.answer(answer);
    }
}

/// Asks for everything, in evil words.
async fn curse(client: &Client) {
    for code in RequestCode::ALL {
        let mut fields: Vec<(&str, &str)> = FIELDS.iter().map(|field| (*field, EVIL)).collect();
        fields.extend(NUMBERS.split_whitespace().filter_map(|field| field.split_once('=')));
        let body = format!(
            r#"{{"clientID":"{EVIL_JSON}","clientId":"{EVIL_JSON}","consumerGroup":"{EVIL_JSON}","groupName":"{EVIL_JSON}","group":"{EVIL_JSON}","topicName":"{EVIL_JSON}","topic":"{EVIL_JSON}","mqSet":[{{"topic":"{EVIL_JSON}","brokerName":"{EVIL_JSON}","queueId":0}}],"topicConfigList":[{{"topicName":"{EVIL_JSON}"}}],"groupConfigList":[{{"groupName":"{EVIL_JSON}"}}],"strategyName":"{EVIL_JSON}","mode":"{EVIL_JSON}"}}"#
        );
        for body in [body, format!("brokerPermission={EVIL}\n{EVIL}=1"), EVIL.to_owned()] {
            client.exchange(request(code.0, &fields, body)).await.unwrap();
        }
    }
}

/// A member of a group that subscribes to evil things.
async fn join(client: &Client) {
    let body = format!(
        r#"{{"clientID":"c1","consumerDataSet":[{{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{{"topic":"{EVIL_JSON}","subString":"{EVIL_JSON}","subVersion":1,"expressionType":"{EVIL_JSON}"}},{{"topic":"t","subString":"{EVIL_JSON}","subVersion":1}}]}}],"producerDataSet":[{{"groupName":"p"}},{{"groupName":"{EVIL_JSON}"}}]}}"#
    );
    let answer = client.exchange(request(34, &[], body)).await.unwrap();
    assert_eq!(answer.code, 0, "{}", said(&answer));
}

pub async fn nobody_else_speaks_there() {
    let liar =
        Server::bind(SocketAddr::new(IpAddr::V4(own_address()), broker_port(9)), Limits::default()).unwrap();
    let lies = liar.local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(liar.run(Arc::new(Liar { address: lies }), stopped));
    let lies = lies.to_string();

    let broker = Broker::start_in(&["enablePropertyFilter=true"], &[("FERRYMQ_LOG", "trace")]);
    // Its name server lies to it.
    let names = [("FERRYMQ_LOG", "trace"), ("FERRYMQ_BROKER_NAMESRV_ADDR", &lies)];
    let deceived = Broker::start_in(&[], &names);
    let client = broker.client().with_service(Arc::new(Liar { address: lies.parse().unwrap() }));
    join(&client).await;
    let properties = format!("KEYS=k {EVIL},TAGS={EVIL},UNIQ_KEY={EVIL},mine={EVIL},{EVIL}=mine");
    let sent = client.exchange(send("t", 0, &properties, 0, EVIL)).await.unwrap();
    assert_eq!(sent.code, 0, "{}", said(&sent));
    let id = field(&sent, "msgId");
    let found = client.exchange(pull("t", "0", "0", ("TAG", "*"))).await.unwrap();
    assert!(String::from_utf8_lossy(&found.body).contains(EVIL), "it is stored as it was sent");
    client
        .exchange(request(36, &[("group", "g"), ("offset", "0"), ("delayLevel", "-1")], Bytes::new()))
        .await
        .unwrap();
    curse(&client).await;
    join(&client).await;

    for command in [
        "topic list",
        "topic describe t",
        "topic route t",
        "topic peek t",
        "topic peek t -o json",
        "message query --topic t --key k",
        "message query --topic t --key k -o json",
        &format!("message print {id}"),
        "group list",
        "group describe g",
        "group describe g -o json",
        "group lag g",
        "dlq list",
        "dlq peek g",
        "cluster status",
        "node list",
        "config get brokerName",
        "doctor",
        "admin clusterList",
        "admin topicList",
        "admin topicList -c",
        "admin topicStatus -t t",
        "admin topicRoute -t t",
        "admin consumerConnection -g g",
        "admin consumerStatus -g g",
        "admin consumerStatus -g g -i c1 -s",
        "admin consumerProgress -g g -s true",
        "admin producerConnection -g p -t t",
        "admin printMsg -t t",
        "admin consumeMessage -t t",
        &format!("admin queryMsgById -i {id} -t t"),
        "admin queryMsgByKey -t t -k k",
        "admin queryMsgByOffset -t t -b b -i 0 -o 0",
        "admin statsAll",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let printed = broker.says(&words);
        assert!(!printed.is_empty(), "{command}");
        is_harmless(command, &printed);
        // The same about brokers that lie.
        let printed = broker.says(&[&words[..], &["-n", &lies]].concat());
        is_harmless(&format!("{command} of a liar"), &printed);
    }
    let connections = broker.says(&["admin", "consumerConnection", "-g", "g"]);
    assert!(connections.contains("INFO forged"), "what is looked for is not there: {connections}");

    let store = broker.folder.path().join("store");
    for command in ["dump", "inspect", "verify"] {
        is_harmless(command, &broker.says(&["store", command, store.to_str().unwrap()]));
    }
    for (what, broker) in [("the log", &broker), ("the log of one that was lied to", &deceived)] {
        let log = broker.log();
        is_harmless(what, &log);
        assert!(log.contains("INFO forged"), "what is looked for is not in {what}:\n{log}");
        for line in log.lines() {
            assert!(
                line.starts_with("20") && line.get(10..11) == Some("T"),
                "{what} has a line of its own: {line}"
            );
        }
    }
}
