//! Disks that spoil what a node has promised to keep.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clients::insist;
use super::group::{Group, NODES, PATIENCE};
use super::load::{Load, check, make_readers};

/// Flips one bit of a node's log.
fn flip(group: &Group, number: usize, segment: usize, at: u64) {
    let path = &group.segments(number)[segment];
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 16], at).unwrap();
    file.sync_all().unwrap();
}

/// The last segment of a node's log in which there is anything, and how much.
fn written(group: &Group, number: usize) -> (usize, u64) {
    let last = |path| fs::read(path).unwrap().iter().rposition(|byte| *byte != 0);
    let segments = group.segments(number);
    let found = segments.iter().enumerate().rev().find_map(|(place, path)| Some((place, last(path)? as u64)));
    found.unwrap()
}

pub async fn wait_until(what: &str, is_true: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stops one of a group's nodes, flips a bit in the last segment of its log, and starts it again under load.
async fn spoil(group: &mut Group, load: &Load, number: usize, is_killed: bool) {
    load.wait_for_more(100).await;
    // What is flipped shall be final.
    while written(group, number).1 < 100_000 {
        load.wait_for_more(10).await;
    }
    if is_killed {
        group.kill(number);
    } else {
        group.stop(number);
    }
    load.wait_for_more(50).await;
    let (segment, end) = written(group, number);
    flip(group, number, segment, end / 4);
    let before = group.words(number).len();
    group.start(number);
    let words = group.words(number)[before..].to_owned();
    assert!(words.contains("is damaged at byte"), "n{number} must say so:\n{words}");
    assert!(words.contains("took the log of another node"), "n{number} must say so:\n{words}");
    load.wait_for_more(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_mended_by_another_node() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::start(&group);
    load.wait_for_more(100).await;
    for is_killed in [false, true] {
        let follower = (load.leader.load(Ordering::Relaxed) + 1) % NODES;
        spoil(&mut group, &load, follower, is_killed).await;
        let leader = load.leader.load(Ordering::Relaxed);
        spoil(&mut group, &load, leader, is_killed).await;
    }
    let acked = load.end().await;
    check(&group, &acked).await;
    (0..NODES).for_each(|number| group.stop(number));
    group.compare_logs();
}

/// Nobody leads yet: the others still give what they know to be final.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_node_is_no_part_of_a_majority() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::start(&group);
    load.wait_for_more(300).await;
    let acked = load.end().await;
    (0..NODES).for_each(|number| group.stop(number));
    let (segment, end) = written(&group, 0);
    flip(&group, 0, segment, end / 4);
    group.launch(0);
    wait_until("the complaint of n0", || group.words(0).contains("this one waits for it")).await;
    group.start(1);
    wait_until("the mended log", || group.words(0).contains("took the log of another node")).await;
    insist(&group.clients(), 1, 0, "with two of three").await;
    group.start(2);
    check(&group, &acked).await;
    group.kill(0);
    group.start(0);
    (0..NODES).for_each(|number| group.stop(number));
    group.compare_logs();
}

/// Of an old segment nobody reads anything but those who look for damage, and nodes that were away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_damage_is_found_while_the_node_runs() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::of(&group, 10_000);
    load.wait_for_more(500).await;
    let acked = load.end().await;
    for number in 0..NODES {
        group.stop(number);
        // Each has another one.
        flip(&group, number, number + 1, 100_000 * (number as u64 + 1));
        group.start(number);
    }
    for number in 0..NODES {
        wait_until("the mended log", || group.words(number).contains("the log is mended")).await;
    }
    check(&group, &acked).await;
    (0..NODES).for_each(|number| group.stop(number));
    group.compare_logs();
}
