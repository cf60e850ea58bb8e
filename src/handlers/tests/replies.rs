//! Replies find their requesters, and traces their topic.

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::header::{Header, Request};
use ferrymq_proto::headers::PushReply;
use ferrymq_proto::record::{Properties, property};
use tokio::sync::mpsc;

use super::*;

/// A requester that hands on what it is given, and says that it has it.
struct Requester {
    given: mpsc::UnboundedSender<Command>,
    says: ResponseCode,
}

impl Service for Requester {
    fn serve(&self, call: Call) {
        // It hears of other things, too.
        if call.request.code == PushReply::CODE.0 {
            drop(self.given.send(call.request.clone()));
        }
        let answer = call.request.answer(self.says);
        call.answer(answer);
    }
}

const REPLY: &str = "a=p b=DefaultCluster_REPLY_TOPIC c=TBW102 d=4 e=0 f=0 g=17 h=3 j=0 k=false m=false i=";

fn properties(requester: &str) -> String {
    format!("MSG_TYPE\u{1}reply\u{2}CORRELATION_ID\u{1}7\u{2}REPLY_TO_CLIENT\u{1}{requester}\u{2}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_goes_to_who_asked_and_is_stored() {
    let (given, mut replies) = mpsc::unbounded_channel();
    let requester = Arc::new(Requester { given, says: ResponseCode::SUCCESS });
    let broker = Running::start_with(&[], requester).await;
    let (known, away) = (properties("c1"), properties("c2"));
    broker
        .play(&format!(
            r#"
            325 {REPLY}{known} | hello -> 1 push reply message fail, channel of <c1> not found.
            34 | {CONSUMER} -> 0
            325 {REPLY}{known} | hello -> 0 queueId=0 queueOffset=1 MSG_REGION=DefaultRegion TRACE_ON=true
            325 {REPLY}{away} | hello -> 1 channel of <c2> not found.
            325 {REPLY}MSG_TYPE -> 1 reply message properties[REPLY_TO_CLIENT] is null
            325 a=p b=nowhere c=other d=4 e=0 f=0 g=17 h=3 i={known} -> 17 not exist
            325 a=p b=TRANS_CHECK_MAX_TIME_TOPIC c=other d=4 e=0 f=0 g=17 h=3 i={known} -> 16 forbidden
            325 a=p b=DefaultCluster_REPLY_TOPIC c=TBW102 d=4 e=9 f=0 g=17 h=3 i={known} -> 29 is illegal
            325 b=x -> 1
            324 producerGroup=p topic=DefaultCluster_REPLY_TOPIC defaultTopic=TBW102 defaultTopicQueueNums=4 queueId=0 sysFlag=0 bornTimestamp=17 flag=3 properties={known} | hello -> 0 queueOffset=4
            "#
        ))
        .await;
    let pushed = replies.recv().await.expect("a reply");
    assert_eq!((pushed.code, pushed.is_one_way(), &pushed.body[..]), (326, false, &b"hello"[..]));
    let header = PushReply::decode(&pushed.fields).expect("a header");
    assert_eq!((header.producer_group.as_ref(), header.flag, header.born_timestamp.0), ("p", 3, 17));
    assert_eq!(header.store_host.split(':').next(), Some("127.0.0.1"));
    let pushed = header.properties.expect("properties");
    let pushed = Properties::new(pushed.as_bytes());
    assert_eq!(pushed.get(property::CORRELATION_ID).as_deref(), Some("7"));
    assert!(pushed.get(property::REPLY_PUSH_TIME).is_some());
    assert!(replies.recv().await.is_some());
    assert!(replies.try_recv().is_err());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_refused_or_not_stored() {
    let (given, _replies) = mpsc::unbounded_channel();
    let refusing = Arc::new(Requester { given: given.clone(), says: ResponseCode::SYSTEM_ERROR });
    let broker = Running::start_with(&[], refusing).await;
    let known = properties("c1");
    broker
        .play(&format!(
            r#"
            34 | {CONSUMER} -> 0
            325 {REPLY}{known} | hello -> 1 push reply message to c1fail.
            "#
        ))
        .await;
    broker.stop().await;

    let requester = Arc::new(Requester { given, says: ResponseCode::SUCCESS });
    let broker = Running::start_with(&["storeReplyMessageEnable=false"], requester).await;
    broker
        .play(&format!(
            r#"
            34 | {CONSUMER} -> 0
            325 {REPLY}{known} | hello -> 0 msgId=0 queueId=0 queueOffset=0
            30 topic=DefaultCluster_REPLY_TOPIC queueId=0 -> 0 offset=0
            "#
        ))
        .await;
    broker.stop().await;
}

const TRACE: &str =
    "310 a=_INNER_TRACE_PRODUCER b=RMQ_SYS_TRACE_TOPIC d=4 e=0 f=0 g=17 h=0 i=KEYS\u{1}k\u{2}";

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_taken_with_and_without_a_topic_of_their_own() {
    let script = format!("{TRACE} c=TBW102 | Pub -> 0 MSG_REGION=DefaultRegion TRACE_ON=true");
    for settings in [&["traceTopicEnable=true"][..], &[][..]] {
        let broker = Running::start_with(settings, Arc::new(NoService)).await;
        broker.play(&script).await;
        broker.stop().await;
    }
    let broker = Running::start_with(&["traceOn=false"], Arc::new(NoService)).await;
    broker.play(&format!("{TRACE} c=TBW102 | Pub -> 0 TRACE_ON=false")).await;
    broker.stop().await;
    let broker = Running::start_with(&["autoCreateTopicEnable=false"], Arc::new(NoService)).await;
    broker.play(&format!("{TRACE} c=TBW102 | Pub -> 17 not exist")).await;
    broker.stop().await;
}
