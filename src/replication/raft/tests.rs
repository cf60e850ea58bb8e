use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_raft::ProposeError;
use ferrymq_storage::dispatch::QueueEnd;

use super::checkpoint::Checkpoint;
use super::not_stored;

fn end(topic: &str, queue: i32, next: i64) -> QueueEnd {
    QueueEnd { topic: TopicName::parse(topic).unwrap(), queue: QueueId(queue), next: QueueOffset(next) }
}

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let checkpoint = || Checkpoint {
        tables: vec![1, 2, 3],
        ends: vec![end("a", 0, 7), end("a", 3, 0), end("b", 0, i64::MAX)],
        last_store_time: Timestamp(1_700_000_000_000),
    };
    assert_eq!(Checkpoint::decode(&checkpoint().encode()).unwrap(), checkpoint());
    assert!(Checkpoint::decode(&[0xff; 7]).is_err());
}

#[test]
fn what_a_sender_may_try_again_has_a_code_that_clients_try_again() {
    let errors = [
        ProposeError::NotLeader { leader: None },
        ProposeError::Discarded,
        ProposeError::Stopping,
        ProposeError::NoRoom("full".into()),
    ];
    for error in errors {
        assert_eq!(not_stored(error.clone()).code().0, 14, "{error}");
    }
    assert_eq!(not_stored(ProposeError::Full { bytes: 1 }).code().0, 2);
    assert_eq!(not_stored(ProposeError::TooLong { bytes: 2, max: 1 }).code().0, 13);
}
