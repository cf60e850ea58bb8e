//! Verbs that move consumer groups.

use bytes::Bytes;
use ferrymq_proto::bodies::QueueOffsets;
use ferrymq_proto::headers::ResetOffset;
use ferrymq_proto::position::{QueueId, Timestamp};

use super::options::Given;
use crate::cli::print;
use crate::cli::remote::{Failure, Remote, parsed};

const TO_THE_END: Timestamp = Timestamp(-1);

pub async fn reset(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (group, topic) = (given.text('g'), given.text('t'));
    let time = given.time('s')?.unwrap_or_default();
    let force = given.truth('f').unwrap_or(true);
    if let (Some(broker), Some(queue)) = (given.get('b'), given.number('q')?) {
        print(&format!(
            "start reset consumer offset by specified, group[{group}], topic[{topic}], queueId[{queue}], broker[{broker}], \
             timestamp(string)[{}], timestamp(long)[{}]\n",
            given.text('s'),
            time.0
        ));
        let request = ResetOffset {
            topic: topic.into(),
            group: group.into(),
            timestamp: time,
            is_force: force,
            queue_id: QueueId(queue),
            offset: given.number('o')?.map(ferrymq_proto::position::QueueOffset),
        };
        for (_, _, offset) in moved(remote, broker, &request).await? {
            print(&format!("reset consumer offset to {offset}\n"));
        }
        return Ok(());
    }
    print(&format!(
        "start reset consumer offset by specified, group[{group}], topic[{topic}], force[{force}], timestamp(string)[{}], \
         timestamp(long)[{}]\n",
        given.text('s'),
        time.0
    ));
    everywhere(remote, given, time, force).await
}

pub async fn skip(remote: &Remote, given: &Given) -> Result<(), Failure> {
    everywhere(remote, given, TO_THE_END, given.truth('f').unwrap_or(true)).await
}

async fn everywhere(remote: &Remote, given: &Given, time: Timestamp, force: bool) -> Result<(), Failure> {
    let mut text = format!("{:<40}  {:<40}  {:<40}\n", "#brokerName", "#queueId", "#offset");
    for address in super::topics::holders(remote, given.text('t')).await? {
        let request = ResetOffset {
            topic: given.text('t').into(),
            group: given.text('g').into(),
            timestamp: time,
            is_force: force,
            queue_id: QueueId(-1),
            offset: None,
        };
        for (broker, queue, offset) in moved(remote, &address, &request).await? {
            text += &format!("{broker:<40}  {queue:<40}  {offset:<40}\n");
        }
    }
    print(&text);
    Ok(())
}

async fn moved(
    remote: &Remote,
    address: &str,
    request: &ResetOffset,
) -> Result<Vec<(String, i32, i64)>, Failure> {
    let (_, body) = remote.ask(address, request, Bytes::new()).await?;
    let moved: QueueOffsets = parsed(address, &body)?;
    let place = |(queue, offset): (ferrymq_proto::bodies::MessageQueue, _)| {
        let ferrymq_proto::position::QueueOffset(offset) = offset;
        (queue.broker_name, queue.queue_id.0, offset)
    };
    Ok(moved.offset_table.into_iter().map(place).collect())
}
