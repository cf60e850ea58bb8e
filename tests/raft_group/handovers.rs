//! Leaders that stop, freeze or are told to give way: how long senders wait for the next one.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::group::Group;
use super::load::{Acked, Load, check, make_readers};

pub fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!("{what}: {} times, p50 {:?}, p99 {:?}, max {:?}", times.len(), at(0.5), at(0.99), at(1.0));
}

/// How many leaders go.
pub fn rounds() -> usize {
    std::env::var("FERRYMQ_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// From the last acknowledgement of one node to the first one of another.
fn gap(acked: &[Acked], from: usize, since: usize, first: &Acked) -> Duration {
    let before =
        acked.iter().skip(since.saturating_sub(100)).filter(|acked| acked.by == from && acked.at < first.at);
    before.map(|acked| acked.at).max().map(|last| first.at - last).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_stop_hand_over_first() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::start(&group);
    let (mut times, mut gaps, mut checked) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds() {
        load.wait_for_more(100).await;
        let leader = load.leader.load(Ordering::Relaxed);
        let (since, stopped) = (load.count(), Instant::now());
        group.stop(leader);
        let first = load.first_not_by(leader, since).await;
        times.push(first.at.saturating_duration_since(stopped));
        gaps.push(gap(&load.acked.lock().unwrap(), leader, since, &first));
        group.start(leader);
        load.wait_for_more(50).await;
        load.check_round(&group, &mut checked).await;
    }
    let acked = load.end().await;
    check(&group, &acked).await;
    report("stop to next acknowledgement elsewhere", times);
    report("without an acknowledgement at a stop", gaps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_gives_way_when_it_is_told_to() {
    let group = Group::known("");
    make_readers(&group).await;
    let load = Load::start(&group);
    let (mut gaps, mut checked) = (Vec::new(), 0);
    for _ in 0..rounds() {
        load.wait_for_more(100).await;
        let leader = load.leader.load(Ordering::Relaxed);
        let since = load.count();
        group.raft_at_last(&["transfer-leader"]).await;
        let first = load.first_not_by(leader, since).await;
        gaps.push(gap(&load.acked.lock().unwrap(), leader, since, &first));
        load.wait_for_more(50).await;
        load.check_round(&group, &mut checked).await;
    }
    let acked = load.end().await;
    check(&group, &acked).await;
    report("without an acknowledgement at a transfer", gaps);
}

/// Who is drained passes on what is still sent to it, and senders learn from each answer who took it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_send_fails_when_a_drained_leader_stops() {
    let mut group = Group::known("");
    make_readers(&group).await;
    let load = Load::start(&group);
    let mut checked = 0;
    for _ in 0..rounds() {
        load.wait_for_more(100).await;
        // While it was looked for who leads, some sends went wrong.
        load.failures();
        let leader = load.leader.load(Ordering::Relaxed);
        let since = load.count();
        group.tool_at_last(&["node", "drain", &format!("n{leader}"), "--wait", "0"]).await;
        load.first_not_by(leader, since).await;
        load.wait_for_more(50).await;
        group.stop(leader);
        load.wait_for_more(50).await;
        assert_eq!(load.failures(), Vec::<String>::new());
        group.start(leader);
        load.wait_for_more(50).await;
        assert_eq!(load.failures(), Vec::<String>::new());
        load.check_round(&group, &mut checked).await;
    }
    let acked = load.end().await;
    check(&group, &acked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_freezes_is_replaced_and_does_no_harm_when_it_thaws() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::start(&group);
    let (mut times, mut checked) = (Vec::new(), 0);
    for _ in 0..rounds() {
        load.wait_for_more(100).await;
        let leader = load.leader.load(Ordering::Relaxed);
        let (since, frozen) = (load.count(), Instant::now());
        group.freeze(leader);
        times.push(load.first_not_by(leader, since).await.at.saturating_duration_since(frozen));
        load.wait_for_more(50).await;
        group.thaw(leader);
        load.wait_for_more(50).await;
        load.check_round(&group, &mut checked).await;
    }
    let acked = load.end().await;
    check(&group, &acked).await;
    (0..super::group::NODES).for_each(|number| group.stop(number));
    group.compare_logs();
    report("freeze to next acknowledgement", times);
}
