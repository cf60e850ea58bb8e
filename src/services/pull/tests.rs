use ferrymq_proto::filter::TagFilter;

use super::*;
use crate::replication::Batch;
use crate::replication::drill::{self, Site};
use crate::services::message::MessageLimits;

fn send(site: &Site, topic: &TopicName) {
    let mut batch = Batch::default();
    drill::message(topic.as_str(), 0, "hello")
        .encode_into(&mut batch, MessageLimits { body_bytes_max: 1 << 20 })
        .unwrap();
    site.store(batch);
}

fn pulled(site: &Site, topic: &TopicName, offset: i64) -> (Status, QueueOffset, usize) {
    let portion = Portion { bytes_max: 1 << 20, messages_max: 32 };
    let portions = Portions { hot: portion, cold: portion, scanned_max: 100 };
    let pull = Pull::new(site.archive.clone(), Live::from(portions), 1 << 20);
    let filter = Arc::new(Filter::Tags(TagFilter::parse("*").unwrap()));
    let question = Question {
        topic: topic.clone(),
        queue: QueueId(0),
        offset: QueueOffset(offset),
        messages_max: 32,
        filter,
    };
    let pulled = pull.try_read(&question).unwrap().unwrap();
    (pulled.status, pulled.next, pulled.messages)
}

/// Whoever asks for what was acknowledged this moment is not sent back.
#[test]
fn what_is_on_its_way_to_its_queue_is_waited_for() {
    let (site, topic) = (Site::new(), TopicName::parse("orders").unwrap());
    site.drill.hold_dispatch();
    (0..3).for_each(|_| send(&site, &topic));
    assert_eq!(
        pulled(&site, &topic, 2),
        (Status::OffsetOverflowOne, QueueOffset(2), 0),
        "it has no queue yet"
    );
    site.drill.dispatch();
    assert_eq!(pulled(&site, &topic, 2), (Status::Found, QueueOffset(3), 1));

    site.drill.hold_dispatch();
    (0..3).for_each(|_| send(&site, &topic));
    assert_eq!(pulled(&site, &topic, 5), (Status::OffsetOverflowOne, QueueOffset(5), 0));
    let (status, next, _) = pulled(&site, &topic, 50);
    assert_eq!((status, next), (Status::OffsetOverflowBadly, QueueOffset(3)), "so many are not on their way");
    site.drill.dispatch();
    assert_eq!(pulled(&site, &topic, 5), (Status::Found, QueueOffset(6), 1));
    assert_eq!(
        pulled(&site, &topic, 7),
        (Status::OffsetOverflowBadly, QueueOffset(6), 0),
        "nothing is on its way"
    );
}
