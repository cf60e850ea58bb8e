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
