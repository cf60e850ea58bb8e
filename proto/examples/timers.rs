//! Very many messages that wait for their time: sends them and ends. Beside `crowd`, for `tests/bench/scale`.
//!
//! ```text
//! timers ADDRESS COUNT
//! ```
//! They are due in an hour and over the day that follows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ferrymq_proto::headers::SendMessageV2;
use ferrymq_proto::net::Client;
use ferrymq_proto::position::{QueueId, Timestamp};
use tokio::task::JoinSet;

const CALL_MAX: Duration = Duration::from_secs(60);
const IN_FLIGHT: u64 = 256;
const BODY: [u8; 100] = [b'x'; 100];
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count: u64 = arguments[1].parse().expect("a number");
    let client = Arc::new(Client::new(&arguments[0], CALL_MAX));
    let began = Instant::now();
    let mut sending = JoinSet::new();
    for slot in 0..IN_FLIGHT {
        let client = Arc::clone(&client);
        sending.spawn(async move {
            for number in (slot..count).step_by(IN_FLIGHT as usize) {
                let sent = client.call(&timer(number), Bytes::from_static(&BODY)).await;
                sent.expect("an acknowledgement");
            }
        });
    }
    sending.join_all().await;
    println!("{count} timers sent in {:.1} s", began.elapsed().as_secs_f64());
}

fn timer(number: u64) -> SendMessageV2 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64;
    // Spread as chance would do it.
    let due = now + HOUR_MS + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % DAY_MS;
    SendMessageV2 {
        producer_group: "timers".into(),
        topic: "timers".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: QueueId((number % 4) as i32),
        sys_flag: 0,
        born_timestamp: Timestamp(now as i64),
        flag: 0,
        properties: Some(format!("TIMER_DELIVER_MS\u{1}{due}\u{2}").into()),
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}
