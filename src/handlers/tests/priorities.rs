//! Which queue a message with a priority goes to.

use super::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_priority_is_the_number_of_a_queue() {
    let broker = Running::start().await;
    let put = "defaultTopic=TBW102 topicFilterType=SINGLE_TAG order=false perm=6";
    broker.play(&format!("17 topic=t readQueueNums=4 writeQueueNums=3 {put} -> 0")).await;
    let head = "a=p b=t c=TBW102 d=4 f=0 g=1700000000000 h=0 j=0 k=false";
    for (properties, queue) in [
        ("_SYS_MSG_PRIORITY_=0", 0),
        ("_SYS_MSG_PRIORITY_=2", 2),
        ("_SYS_MSG_PRIORITY_=3", 2),
        ("_SYS_MSG_PRIORITY_=2147483647", 2),
        ("_SYS_MSG_PRIORITY_=-1", 1),
        ("_SYS_MSG_PRIORITY_=2147483648", 1),
        ("_SYS_MSG_PRIORITY_=high", 1),
        ("_SYS_MSG_PRIORITY_=2,DELAY=1", 1),
        ("_SYS_MSG_PRIORITY_=2,TIMER_DELAY_MS=1000", 1),
        ("_SYS_MSG_PRIORITY_=2,__SHARDINGKEY=k", 1),
        ("_SYS_MSG_PRIORITY_=2,TRAN_MSG=true", 1),
        ("_SYS_MSG_PRIORITY_=2,TRAN_MSG=false", 2),
    ] {
        let written = properties.replace('=', "\u{1}").replace(',', "\u{2}");
        broker.play(&format!("310 {head} e=1 m=false i={written} | x -> 0 queueId={queue} ")).await;
    }
    // Nothing may be written into the topic, or only into one queue.
    for (queues, queue) in [(0, 0), (1, 0)] {
        broker.play(&format!("17 topic=t readQueueNums=4 writeQueueNums={queues} {put} -> 0")).await;
        let priority = "_SYS_MSG_PRIORITY_\u{1}2";
        broker.play(&format!("310 {head} e=1 m=false i={priority} | x -> 0 queueId={queue} ")).await;
    }
    broker.stop().await;
}
