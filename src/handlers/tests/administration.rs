//! What tools ask and demand of a broker.

use ferrymq_proto::command::Command;

use super::{Running, said};

impl Running {
    /// Sends a message, its properties as `name=value,name=value`, and waits until it can be found. Gives its queue offset.
    async fn send(&self, topic: &str, queue: i32, properties: &str, body: &str) -> i64 {
        let properties = properties.replace('=', "\u{1}").replace(',', "\u{2}");
        let head = "a=p c=TBW102 d=8 f=0 g=1700000000000 h=0 j=0 k=false m=false";
        let fields = format!("{head} b={topic} e={queue} i={properties}");
        let sent = self.ask(310, &fields, body.to_owned()).await;
        assert_eq!(sent.code, 0, "{}", said(&sent));
        let offset = number(&sent, "queueOffset");
        let end = format!("topic={topic} queueId={queue}");
        while number(&self.ask(30, &end, "").await, "offset") <= offset {
            tokio::task::yield_now().await;
        }
        offset
    }
}

fn number(answer: &Command, name: &str) -> i64 {
    let mut found = None;
    answer.fields.for_each(|field, value| {
        if field == name {
            found = value.parse().ok();
        }
    });
    found.expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_administered() {
    let broker = Running::start().await;
    let put = "defaultTopic=TBW102 topicFilterType=SINGLE_TAG order=false";
    broker
        .play(&format!(
            r#"
            351 topic=t -> 17
            17 topic=t readQueueNums=4 writeQueueNums=3 perm=6 {put} -> 0
            351 topic=t -> 0 "readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"t","topicSysFlag":0,"writeQueueNums":3
            17 topic=t readQueueNums=4 writeQueueNums=4 perm=4 {put} attributes=+message.type=FIFO -> 0
            351 topic=t -> 0 {{"attributes":{{"message.type":"FIFO"}}
            17 topic=t readQueueNums=4 writeQueueNums=4 perm=4 {put} attributes=-message.type -> 0
            351 topic=t -> 0 {{"attributes":{{}}
            17 topic=t readQueueNums=4 writeQueueNums=4 perm=4 {put} attributes=+unheard=of -> 1 unsupported key: unheard
            17 topic=t readQueueNums=4 writeQueueNums=4 perm=4 {put} attributes=+message.type=MIXED -> 29 MIXED
            17 topic=bad/name readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 29
            17 topic=t readQueueNums=-1 writeQueueNums=4 perm=6 {put} -> 29 readQueueNums
            17 topic=t readQueueNums=4 writeQueueNums=2147483647 perm=6 {put} -> 29 writeQueueNums
            17 topic=t readQueueNums=4 writeQueueNums=4 perm=64 {put} -> 29 permission
            17 topic=TBW102 readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 29 conflict with system topic
            17 topic=DefaultCluster readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 29 conflict with system topic
            17 topic=rmq_sys_own readQueueNums=4 writeQueueNums=4 perm=6 {put} -> 29 conflict with system topic
            18 | {{"topicConfigList":[{{"topicName":"u"}},{{"topicName":"bad name"}}]}} -> 29
            351 topic=u -> 17
            18 | {{"topicConfigList":[{{"topicName":"u","perm":2}},{{"topicName":"v"}}]}} -> 0
            351 topic=u -> 0 "perm":2
            21 -> 0 "v":{{
            21 topicSeq=0 maxTopicNum=1 -> 0 totalTopicNum=
            305 -> 0 "DefaultCluster"
            215 topic=u -> 0
            215 topic=u -> 0
            215 topic=TBW102 -> 29 conflict with system topic
            215 topic=../etc -> 29
            351 topic=u -> 17
            316 -> 0
            "#
        ))
        .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_begins_anew() {
    let broker = Running::start().await;
    broker.send("t", 0, "", "one").await;
    broker.send("t", 0, "", "two").await;
    broker
        .play(
            r#"
            34 | {"clientID":"c1","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"subString":"*","subVersion":5,"topic":"t"}]}],"producerDataSet":[]} -> 0
            15 consumerGroup=g topic=t queueId=0 commitOffset=2 -> 0
            30 topic=t queueId=0 -> 0 offset=2
            215 topic=t -> 0
            30 topic=t queueId=0 -> 0 offset=0
            14 consumerGroup=g topic=t queueId=0 setZeroIfNotFound=false -> 22
            "#,
        )
        .await;
    assert_eq!(broker.send("t", 0, "", "three").await, 0);
    broker.play("30 topic=t queueId=0 -> 0 offset=1").await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found() {
    let broker = Running::start().await;
    broker.send("t", 0, "UNIQ_KEY=0A0B,KEYS=red", "first").await;
    broker.send("t", 0, "UNIQ_KEY=0A0C,KEYS=blue", "second").await;
    broker.send("t", 1, "UNIQ_KEY=0A0D,KEYS=blue", "third").await;
    let span = "beginTimestamp=0 endTimestamp=9223372036854775807";
    broker
        .play(&format!(
            r#"
            12 topic=t key=blue maxNum=32 {span} -> 0 second
            12 topic=t key=blue maxNum=32 {span} -> 0 third
            12 topic=t key=red maxNum=32 {span} -> 0 first
            12 topic=t key=red maxNum=0 {span} -> 22 can not find message
            12 topic=t key=red maxNum=-5 {span} -> 22
            12 topic=t key=red maxNum=32 beginTimestamp=0 endTimestamp=5 -> 22 time range
            12 topic=t key=0A0D maxNum=32 {span} _UNIQUE_KEY_QUERY=true -> 0 third
            12 topic=u key=blue maxNum=32 {span} -> 22
            12 topic=../u key=blue maxNum=32 {span} -> 29
            12 topic=t key=green maxNum=32 {span} -> 22
            33 offset=0 -> 0 first
            33 offset=1 -> 1 can not find message by the offset, 1
            33 offset=-1 -> 1
            33 offset=9223372036854775807 -> 1
            321 topic=t queueId=0 index=0 count=10 -> 0 "maxQueueIndex":2,"minQueueIndex":0,"queueData":[{{
            321 topic=t queueId=0 index=1 count=1 consumerGroup=g -> 0 g@t is not online!
            321 topic=t queueId=0 index=5 count=1 -> 0 Index 5 of 0@t is not exist!
            321 topic=t queueId=7 index=0 count=1 -> 1 7@t is not exist!
            321 topic=t queueId=0 index=0 count=-1 -> 0 "queueData":[]
            "#
        ))
        .await;
    broker.stop().await;
}

const CONSUMER: &str = r#"{"clientID":"c1","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"CLUSTERING","subscriptionDataSet":[{"subString":"*","subVersion":5,"topic":"t"}]}],"producerDataSet":[]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn tools_see_how_far_all_is() {
    let broker = Running::start().await;
    broker.send("t", 0, "", "one").await;
    broker.send("t", 0, "", "two").await;
    broker.send("t", 1, "", "three").await;
    let pull = "11 consumerGroup=g topic=t queueId=0 queueOffset=0 maxMsgNums=32 sysFlag=0 commitOffset=0 suspendTimeoutMillis=0 subVersion=5";
    let queue = r#"{"brokerName":""#;
    broker
        .play(&format!(
            r#"
            34 | {CONSUMER} -> 0
            {pull} -> 0 FOUND
            15 consumerGroup=g topic=t queueId=0 commitOffset=1 -> 0
            202 topic=nowhere -> 17
            202 topic=t -> 0 {{"offsetTable":{{{queue}
            202 topic=t -> 0 "maxOffset":2,"minOffset":0
            208 consumerGroup=nobody -> 0 {{"consumeTps":0.0,"offsetTable":{{}}}}
            208 consumerGroup=g -> 0 "brokerOffset":2,"consumerOffset":1
            208 consumerGroup=g -> 0 "pullOffset":2
            208 consumerGroup=g topic=other -> 0 "offsetTable":{{}}
            208 consumerGroup=g topicList=t;nowhere;../etc -> 0 "consumerOffset":1
            317 isOrder=false -> 0 {{"g":[{{"consumeTps":0.0
            317 isOrder=false -> 0 "totalDiff":2,"totalInflightDiff":1
            317 isOrder=true -> 0 {{"g":[]}}
            303 topic=nowhere group=g -> 17
            303 topic=t group=g -> 0 "delayTime":
            315 statsName=TOPIC_PUT_NUMS statsKey=t -> 0 {{"statsDay":{{"avgpt":0.0,"sum":0,"tps":0.0}},"statsHour"
            315 statsName=GROUP_GET_NUMS statsKey=t@g -> 0 "statsMinute"
            315 statsName=BROKER_PUT_NUMS statsKey=DefaultCluster -> 0 "statsMinute"
            315 statsName=TOPIC_PUT_NUMS statsKey=nowhere -> 1 The stats <TOPIC_PUT_NUMS> <nowhere> not exist
            315 statsName=NO_SUCH statsKey=t -> 1 not exist
            28 -> 0 "brokerVersionDesc":"V5_
            28 -> 0 "msgPutTotalTodayNow":"3"
            28 -> 0 "msgGetTotalTodayNow":"2"
            28 -> 0 "commitLogDiskRatio":"0.
            28 -> 0 "sendThreadPoolQueueCapacity":"10000"
            907 -> 0 "master":true
            306 -> 0
            329 -> 0
            "#
        ))
        .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_changes_by_request_where_it_may() {
    let broker = Running::start().await;
    broker
        .play(
            r#"
            26 -> 0 version={"counter":0,"stateVersion":0,"timestamp":0}
            26 -> 0 autoCreateTopicEnable=true
            25 -> 0
            25 | noSuchKey=1 -> 16 unknown key
            25 | storePathRootDir=/tmp -> 16 cannot be changed by request
            25 | brokerPermission=many -> 1 brokerPermission cannot be
            310 a=p b=first c=TBW102 d=8 e=0 f=0 g=1 h=0 j=0 | body -> 0
            25 | autoCreateTopicEnable=false -> 0
            26 -> 0 autoCreateTopicEnable=false
            26 -> 0 "counter":1
            310 a=p b=second c=TBW102 d=8 e=0 f=0 g=1 h=0 j=0 | body -> 17
            17 topic=o readQueueNums=1 writeQueueNums=1 perm=6 defaultTopic=TBW102 topicFilterType=SINGLE_TAG order=true -> 0
            25 | brokerPermission=4 -> 0
            310 a=p b=o c=TBW102 d=8 e=0 f=0 g=1 h=0 j=0 | body -> 16 forbidden
            25 | brokerPermission=6 -> 0
            310 a=p b=o c=TBW102 d=8 e=0 f=0 g=1 h=0 j=0 | body -> 0
            "#,
        )
        .await;
    broker.stop().await;
}
