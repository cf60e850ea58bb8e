//! With the threads: nobody steps anything.

use std::sync::mpsc;
use std::time::Duration;

use ferrymq_proto::position::{LogOffset, QueueId};

use ferrymq_proto::record::property;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::dispatch::*;
use crate::*;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Sender(mpsc::Sender<i64>);

impl Arrivals for Sender {
    fn arrived(&mut self, arrival: &Arrival<'_>) {
        let _ = self.0.send(arrival.queue_offset.0);
    }
}

#[test]
fn what_is_confirmed_arrives_and_is_found() {
    let disk = SimulatedDisk::default();
    let (sender, arrived) = mpsc::channel();
    let store = Store::open(&disk, Layout::Classic, 1, settings(), Box::new(Sender(sender))).unwrap();
    let (mut store, dispatcher) = store.split();
    let threads = DerivedThreads::start(&store.derived, dispatcher).unwrap();
    let (done, dispatched) = mpsc::channel();
    for round in 0..20 {
        let stamped = store.send(&vec![message("orders", 0); 3], START_TIME).unwrap();
        let end = stamped[2].span.end();
        let done = done.clone();
        store.derived.when_dispatched(end, Box::new(move || done.send(end).unwrap()));
        store.confirm();
        // Whoever hears of a message finds it.
        for offset in round * 3..round * 3 + 3 {
            assert_eq!(arrived.recv_timeout(PATIENCE), Ok(offset));
            let range = store.derived.queues().range(&topic("orders"), QueueId(0)).unwrap().unwrap();
            assert!(range.max.0 > offset);
        }
        assert_eq!(dispatched.recv_timeout(PATIENCE), Ok(end));
        assert!(store.derived.position() >= end);
    }
    assert!(store.derived.wait_dispatched(store.log().written(), PATIENCE));
    assert!(!store.derived.wait_dispatched(LogOffset(i64::MAX), Duration::ZERO));
    drop(threads);
    store.close().unwrap();
    let store = Store::open(&disk, Layout::Classic, 1, settings(), Box::new(NoArrivals)).unwrap();
    let range = store.derived.queues().range(&topic("orders"), QueueId(0)).unwrap().unwrap();
    assert_eq!((range.min.0, range.max.0), (0, 60));
    assert_eq!(store.derived.position(), store.log().written());
}

/// Dispatch waits while more is in memory than may be, and goes on when it was written.
#[test]
fn memory_is_bounded() {
    let disk = SimulatedDisk::default();
    let bounded = DerivedSettings { unwritten_bytes_max: 200, ..settings() };
    let mut store = Store::open(&disk, Layout::Classic, 1, bounded, Box::new(NoArrivals)).unwrap();
    for number in 0..100 {
        let mut one = message("orders", number % 7);
        one.properties.push((property::KEYS, format!("k{number}")));
        store.send(&[one], START_TIME).unwrap();
        store.confirm();
        store.dispatch().unwrap();
        // One entry more of each kind may come at once.
        let of_queues = store.derived.queues().tail_bytes();
        let of_index = store.derived.index().pending_bytes();
        assert!(of_queues <= 200 + 20 && of_index <= 50 + 32, "{of_queues} and {of_index}");
    }
    assert_eq!(store.derived.queues().queues_of(&topic("orders")).unwrap().len(), 7);
}
