//! A node that was away for a while catches up, and those who send hardly notice.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clients::wait_for_end;
use super::group::{Group, NODES, PATIENCE};
use super::handovers::report;
use super::load::{Acked, Load, check_newest, make_readers};

const MESSAGE_BYTES: usize = 10_000;

/// How much is written meanwhile.
fn missed_bytes() -> usize {
    let mib = std::env::var("FERRYMQ_AWAY_MIB").ok().and_then(|text| text.parse().ok());
    mib.unwrap_or(16_usize) << 20
}

/// How long each sender waited, from one acknowledgement to the next.
fn waits(acked: &[Acked], from: Instant, until: Instant) -> Vec<Duration> {
    let mut last: HashMap<&str, Instant> = HashMap::new();
    let mut waits = Vec::new();
    for acked in acked.iter().filter(|acked| (from..until).contains(&acked.at)) {
        let (sender, _) = acked.body.split_once('/').unwrap();
        if let Some(before) = last.insert(sender, acked.at) {
            waits.push(acked.at - before);
        }
    }
    waits
}

async fn wait_for_bytes(load: &Load, bytes: usize) {
    let wanted = load.count() + bytes / MESSAGE_BYTES;
    while load.count() < wanted {
        load.wait_for_more(100).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_while_others_send() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::of(&group, MESSAGE_BYTES);
    load.wait_for_more(100).await;
    let began = Instant::now();
    wait_for_bytes(&load, missed_bytes() / 4).await;
    let away = (load.leader.load(Ordering::Relaxed) + 1) % NODES;
    group.kill(away);
    let went = Instant::now();
    let had = load.count();
    wait_for_bytes(&load, missed_bytes()).await;
    let missed = (load.count() - had) * MESSAGE_BYTES;
    let ends = load.ends();
    let back = Instant::now();
    group.start(away);
    let started = Instant::now();
    for (queue, end) in ends {
        wait_for_end(&group.clients()[away], queue, end, started + PATIENCE * 10).await;
    }
    let caught_up = Instant::now();
    let acked = load.end().await;
    let took = (caught_up - started).as_secs_f64();
    println!(
        "{} MiB missed; there after {took:.2} s: {:.0} MB/s beside what is sent meanwhile",
        missed >> 20,
        missed as f64 / 1e6 / took
    );
    report("a send to three nodes", waits(&acked, began, went));
    report("a send while one node is away", waits(&acked, went, back));
    report("a send while it catches up", waits(&acked, started, caught_up));
    check_newest(&group, &acked).await;
}
