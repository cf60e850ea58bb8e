use super::*;

fn half(root: i64, queue_offset: i64) -> Half {
    Half {
        root: Root(LogOffset(root)),
        queue_offset: QueueOffset(queue_offset),
        log_offset: LogOffset(if queue_offset < 100 { root } else { root + 1000 }),
        born: Timestamp(0),
        checks: 0,
        immunity_ms: None,
    }
}
