//! What tools ask and demand of a broker.

use super::Running;

/// A message to a queue, its keys between unit separators as the wire has them.
fn send(topic: &str, queue: i32, properties: &str, body: &str) -> String {
    let properties = properties.replace('=', "\u{1}").replace(',', "\u{2}");
    format!(
        "310 a=p b={topic} c=TBW102 d=8 e={queue} f=0 g=1700000000000 h=0 i={properties} j=0 k=false m=false | {body}"
    )
}

impl Running {
    /// Waits until all that was sent can be found.
    async fn send(&self, topic: &str, queue: i32, properties: &str, body: &str) {
        self.play(&format!("{} -> 0", send(topic, queue, properties, body))).await;
    }
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
            21 topicSeq=0 maxTopicNum=1 -> 0 "BenchmarkTest"
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
    broker.play(&format!("{} -> 0 queueOffset=0", send("t", 0, "", "three"))).await;
    broker.play("30 topic=t queueId=0 -> 0 offset=1").await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found() {
    let broker = Running::start().await;
    broker.send("t", 0, "UNIQ_KEY=0A0B,KEYS=red\u{20}", "first").await;
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
