//! Requests that mean harm: each is refused as Apache's broker would, and the broker goes on as if it had not come.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::{BufMut, BytesMut};

use super::*;
use crate::requests;

const SEND: &str = "a=p c=TBW102 d=4 f=0 g=1700000000000 h=0 j=0 k=false";
const PULL: &str =
    "consumerGroup=g commitOffset=0 subVersion=1 suspendTimeoutMillis=0 expressionType=TAG subscription=*";

/// Every folder and file below a folder.
fn all_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            if entry.file_type().expect("a type").is_dir() {
                left.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}

fn hostile_names() -> Vec<String> {
    let parts = [
        "../../etc/cron.d/x",
        "..",
        ".",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "%2e%2e%2f",
        "a\0b",
        "a\nb",
        "a\u{1b}[2J",
    ];
    let prefixes = ["", "%RETRY%", "%DLQ%", "%RETRY%%RETRY%", "..%RETRY%"];
    let mut names: Vec<_> =
        prefixes.iter().flat_map(|prefix| parts.iter().map(move |part| format!("{prefix}{part}"))).collect();
    names.extend(
        [
            "\u{1F980}",
            "ﬀ",
            "a b",
            "\u{202e}abc",
            "$(reboot)",
            "`id`",
            "${jndi:ldap://x}",
            "a;b",
            "a'b",
            "a\"b",
        ]
        .map(String::from),
    );
    names.extend([128, 256, 4096].map(|length| "n".repeat(length)));
    names
}

/// CVE-2019-17572: a name that leads out of the store, in whatever field of whatever request.
#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_anywhere() {
    let broker = Running::start().await;
    let folder = broker._store.path().to_owned();
    let outside = || {
        all_below(&folder)
            .into_iter()
            .filter(|path| !path.starts_with(folder.join("commitlog")))
            .collect::<BTreeSet<_>>()
    };
    broker.play(&format!("34 | {CONSUMER} -> 0")).await;
    let before = outside();
    let fields = [
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
    ];
    // What says how many, which and when, so that no request ends at a field that is not there.
    let numbers = "queueId=0 queueOffset=0 maxMsgNums=1 sysFlag=4 commitOffset=0 suspendTimeoutMillis=0 subVersion=1 offset=0 \
        timestamp=0 delayLevel=1 maxNum=1 beginTimestamp=0 endTimestamp=1 index=0 count=1 readQueueNums=1 writeQueueNums=1 perm=6 \
        topicFilterType=SINGLE_TAG order=false isForce=true d=1 e=0 f=0 g=0 h=0 tranStateTableOffset=0 commitLogOffset=0 \
        commitOrRollback=8 defaultTopicQueueNums=1 bornTimestamp=0 flag=0 statsName=x statsKey=x";
    for name in hostile_names() {
        for code in requests::served() {
            let mut request = Command::request(code);
            request.fields = Fields::empty();
            for field in fields {
                request.fields.push(field.to_owned(), name.as_str());
            }
            for (field, value) in numbers.split_whitespace().filter_map(|field| field.split_once('=')) {
                request.fields.push(field.to_owned(), value);
            }
            let answer = broker.client.exchange(request).await.expect("an answer");
            let said = said(&answer);
            assert!(!said.contains("dropped without an answer"), "{code:?} {name:?}: {said}");
        }
    }
    let is_legal =
        |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "%|_-.".contains(c)) && name != "..";
    for path in outside().difference(&before) {
        let below = path.strip_prefix(&folder).expect("below").to_str().expect("text");
        assert!(below.split('/').all(is_legal), "{below}");
    }
    for name in hostile_names().iter().filter(|name| name.contains('/') && !name.starts_with('/')) {
        assert!(
            !folder.join("consumequeue").join(name).exists() && !folder.join("config").join(name).exists(),
            "{name}"
        );
    }
    let tables = std::fs::read_to_string(folder.join("config/topics.json")).unwrap_or_default();
    assert!(!tables.contains("..") && !tables.contains("etc"), "{tables}");
    broker.play("35 clientID=c1 producerGroup=p consumerGroup=g -> 0").await;
    broker.stop().await;
}

/// Of one message in a batch.
fn entry(body_length: i32, body: &[u8], properties_length: i16, properties: &[u8]) -> BytesMut {
    let mut entry = BytesMut::new();
    entry.put_i32((22 + body.len() + properties.len()) as i32);
    entry.put_i32(0);
    entry.put_i32(0);
    entry.put_i32(0);
    entry.put_i32(body_length);
    entry.put_slice(body);
    entry.put_i16(properties_length);
    entry.put_slice(properties);
    entry
}

/// Lengths that are none, and lengths of what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn no_batch_is_believed() {
    let broker = Running::start().await;
    let put = "defaultTopic=TBW102 topicFilterType=SINGLE_TAG order=false";
    broker.play(&format!("17 topic=t readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 0")).await;
    let good = || entry(1, b"a", 0, b"");
    let with = |more: &[u8]| {
        let mut batch = good();
        batch.put_slice(more);
        batch
    };
    let cases = [
        ("nothing", BytesMut::new()),
        ("less than an entry", BytesMut::from(&b"\0\0\0"[..])),
        ("a negative body", entry(-1, b"a", 0, b"")),
        ("a body past the end", entry(i32::MAX, b"a", 0, b"")),
        ("negative properties", entry(1, b"a", -1, b"")),
        ("properties past the end", entry(1, b"a", i16::MAX, b"")),
        ("half an entry behind a good one", with(&good()[..9])),
        ("zeros behind a good one", with(&[0; 64])),
    ];
    for (what, body) in cases {
        let answer = broker.ask(320, &format!("{SEND} b=t e=0 m=true"), body.freeze()).await;
        assert!([1, 13].contains(&answer.code), "{what}: {} {}", answer.code, said(&answer));
    }
    // All or nothing: of a batch that is refused, nothing is there.
    broker.play("30 topic=t queueId=0 -> 0 offset=0").await;
    let answer = broker.ask(320, &format!("{SEND} b=t e=0 m=true"), with(&good()).freeze()).await;
    assert_eq!(answer.code, 0, "{}", said(&answer));
    broker.stop().await;
}

/// Nobody inflates what a client says is compressed, and a count, an offset or a time may be any number there is.
#[tokio::test(flavor = "multi_thread")]
async fn no_number_is_believed() {
    let broker = Running::start().await;
    let put = "defaultTopic=TBW102 topicFilterType=SINGLE_TAG order=false";
    broker
        .play(&format!(
            r#"
            17 topic=t readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 0
            17 topic=u readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 0
            34 | {CONSUMER} -> 0
            310 {SEND} b=t e=-1 m=false | any queue -> 0
            310 {SEND} b=t e=-2147483648 m=false | any queue -> 0
            310 {SEND} b=t e=2147483647 m=false | none -> 29
            310 a=p c=TBW102 d=-5 f=0 g=0 h=0 b=new1 e=0 | x -> 29
            310 a=p c=TBW102 d=2147483647 f=0 g=0 h=0 b=new2 e=0 | x -> 0
            351 topic=new2 -> 0 "writeQueueNums":8
            310 a=p c=TBW102 d=4 f=48 g=-1 h=-1 b=u e=2 i=broken j=-7 | addresses it does not have -> 0 queueOffset=0
            310 a=p c=TBW102 d=4 f=1 g=-1 h=-1 b=t e=3 | no zlib -> 0
            "#
        ))
        .await;
    for place in ["topic=u queueId=2", "topic=t queueId=3"] {
        while !said(&broker.ask(30, place, "").await).contains("offset=1") {
            tokio::task::yield_now().await;
        }
    }
    broker
        .play(&format!(
            r#"
            11 {PULL} topic=u queueId=2 queueOffset=0 sysFlag=4 maxMsgNums=1 -> 0 addresses it does not have
            11 {PULL} topic=t queueId=3 queueOffset=0 sysFlag=4 maxMsgNums=-1 -> 0 no zlib
            11 {PULL} topic=t queueId=3 queueOffset=0 sysFlag=4 maxMsgNums=0 -> 0 no zlib
            11 {PULL} topic=t queueId=3 queueOffset=0 sysFlag=4 maxMsgNums=2147483647 -> 0 no zlib
            11 {PULL} topic=t queueId=3 queueOffset=9223372036854775807 sysFlag=4 maxMsgNums=1 -> 21
            11 {PULL} topic=t queueId=3 queueOffset=-9223372036854775808 sysFlag=4 maxMsgNums=1 -> 21
            11 {PULL} topic=t queueId=3 queueOffset=9223372036854775808 sysFlag=4 maxMsgNums=1 -> 1
            12 topic=t key=k maxNum=-1 beginTimestamp=0 endTimestamp=9223372036854775807 -> 22
            12 topic=t key=k maxNum=2147483647 beginTimestamp=9223372036854775807 endTimestamp=-9223372036854775808 -> 22
            321 topic=t queueId=0 index=-1 count=2147483647 -> 0
            29 topic=t queueId=3 timestamp=-9223372036854775808 -> 0 offset=0
            29 topic=t queueId=3 timestamp=9223372036854775807 -> 0 offset=1
            33 offset=9223372036854775807 -> 1
            33 offset=-9223372036854775808 -> 1
            36 offset=9223372036854775807 group=g delayLevel=2147483647 -> 1
            36 offset=0 group=g delayLevel=-2147483648 maxReconsumeTimes=-1 -> 0
            310 {SEND} b=t e=0 m=false | still here -> 0
            "#
        ))
        .await;
    broker.stop().await;
}

/// Expressions that are long, deep or both: brought along with a pull, or stated before it, where Apache's broker has another code.
#[tokio::test(flavor = "multi_thread")]
async fn no_expression_is_too_much() {
    let broker = Running::start().await;
    let put = "defaultTopic=TBW102 topicFilterType=SINGLE_TAG order=false";
    broker
        .play(&format!(
            "17 topic=t readQueueNums=1 writeQueueNums=1 perm=6 {put} -> 0
            34 | {CONSUMER} -> 0
            310 {SEND} b=t e=0 m=false i=n\u{1}1 | x -> 0"
        ))
        .await;
    let long = |part: &str| part.repeat((1 << 20) / part.len());
    let (none, found) = ((23, 27), (0, 0));
    let bombs = [
        (format!("n = '{}' OR n = 1", long("x")), found),
        (format!("n = '1' /* {} */", long("x")), found),
        (format!("n CONTAINS '{}'", long("%")), (20, 20)),
        (long("("), none),
        (long("NOT ") + " a", none),
        (vec!["n = 1"; 5_000].join(" OR "), none),
        (format!("n IN ({})", vec!["'x'"; 10_000].join(",")), none),
        (long("-") + "1 < a", none),
        (format!("n > {}", long("9")), none),
        (format!("n = '{}", long("x")), none),
        ("x".repeat((2 << 20) + 1), none),
    ];
    for (number, (bomb, (brought, stated))) in bombs.into_iter().enumerate() {
        let start = bomb.get(..20).unwrap_or_default().to_owned();
        let heartbeat = format!(
            r#"{{"clientID":"c1","producerDataSet":[],"consumerDataSet":[{{"groupName":"bomb{number}","subscriptionDataSet":[{{"topic":"t","subString":"{bomb}","expressionType":"SQL92","subVersion":1}}]}}]}}"#
        );
        assert_eq!(broker.ask(34, "", heartbeat).await.code, 0, "{start}");
        let pull = |group: &str, flag, subscription: &str| {
            let mut request = Command::request(RequestCode(11));
            request.fields = Fields::empty();
            let fields = format!(
                "consumerGroup={group} topic=t queueId=0 queueOffset=0 maxMsgNums=1 sysFlag={flag} commitOffset=0 suspendTimeoutMillis=0 subVersion=1 expressionType=SQL92"
            );
            for (field, value) in fields.split_whitespace().filter_map(|field| field.split_once('=')) {
                request.fields.push(field.to_owned(), value);
            }
            request.fields.push("subscription".to_owned(), subscription);
            broker.client.exchange(request)
        };
        for (group, flag, subscription, code) in
            [("g".to_owned(), 4, bomb.as_str(), brought), (format!("bomb{number}"), 0, "", stated)]
        {
            let answer = pull(&group, flag, subscription).await.expect("an answer");
            assert_eq!(answer.code, code, "{start}… {group}: {}", said(&answer));
            let told = answer.remark.as_deref().unwrap_or_default();
            assert!(told.len() < 4096, "the refusal repeats all of it: {} bytes", told.len());
        }
    }
    broker.stop().await;
}
