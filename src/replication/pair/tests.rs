//! What a master believes, and what a slave takes over.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_storage::disk::SimulatedDisk;
use ferrymq_storage::{BootId, FatalHook, FlushMode, Layout, Mark, Settings, recovery};

use super::Copied;
use super::asking::Extent;
use super::followers::{Demand, Followers, Place};
use super::intake::Intake;
use super::wire::{Header, NotOurs, read_report};
use crate::replication::drill::Site;
use crate::state::files::{self, ConfigFile};
use crate::state::{
    Command, Copy, DelayLevel, OffsetChange, QueueLine, Register, Reply, Stamp, Tables, Topic,
};

const LAG_BYTES_MAX: usize = 1000;

fn followers(copies: usize, adapts: bool) -> Arc<Followers> {
    let demand = Demand { copies, copies_min: 1, adapts, patience: Duration::from_secs(3600) };
    Arc::new(Followers::new(Site::new().archive.log().clone(), Some(demand).into(), false, LAG_BYTES_MAX))
}

/// A slave on a machine of its own.
fn enter(followers: &Arc<Followers>, has: i64) -> Place {
    enter_from(followers, followers.standings().len() as u8 + 1, has)
}

fn enter_from(followers: &Arc<Followers>, machine: u8, has: i64) -> Place {
    let address = SocketAddr::from(([127, 0, 0, machine], 1));
    followers.enter(address, LogOffset(has), LogOffset(has)).expect("room")
}

/// What a sender hears, once it does.
fn wait(followers: &Followers, end: i64) -> Arc<Mutex<Option<Copied>>> {
    let heard = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&heard);
    followers.wait(LogOffset(end), Box::new(move |copied| *hears.lock().expect("a lock") = Some(copied)));
    heard
}

fn heard(by: &Mutex<Option<Copied>>) -> Option<Copied> {
    *by.lock().expect("a lock")
}

#[test]
fn a_header_is_apaches() {
    let header = Header { offset: LogOffset(0x0102_0304_0506_0708), bytes: 32_768 };
    let encoded = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x80, 0];
    assert_eq!((header.encode(), Header::decode(encoded)), (encoded, Ok(header)));
    assert_eq!(Header::decode([0xFF; 12]), Err(NotOurs::Header { offset: -1, bytes: -1 }));
    assert_eq!(read_report([0, 0, 0, 0, 0, 0, 1, 0]), Ok(LogOffset(256)));
    assert_eq!(read_report([0x80; 8]), Err(NotOurs::Report(i64::from_be_bytes([0x80; 8]))));
}

#[test]
fn a_sender_hears_when_enough_have_it() {
    let followers = followers(3, false);
    let (one, other) = (enter(&followers, 0), enter(&followers, 0));
    let (first, second) = (wait(&followers, 100), wait(&followers, 200));
    one.sends(LogOffset(200));
    one.reports(LogOffset(200)).expect("believed");
    assert_eq!((heard(&first), heard(&second)), (None, None), "two of three have it");
    other.sends(LogOffset(150));
    other.reports(LogOffset(150)).expect("believed");
    assert_eq!((heard(&first), heard(&second)), (Some(Copied::Enough), None));
    followers.close();
    assert_eq!(heard(&second), Some(Copied::Late));
    assert_eq!(heard(&wait(&followers, 300)), Some(Copied::Late), "nobody waits any more");
}

/// Its old connection is dead, but nobody has noticed.
#[test]
fn a_slave_that_comes_again_is_one() {
    let followers = followers(3, false);
    let old = enter_from(&followers, 1, 0);
    let waits = wait(&followers, 100);
    assert_eq!(heard(&waits), Some(Copied::TooFew), "there is one slave");
    let new = enter_from(&followers, 1, 0);
    let waits = wait(&followers, 100);
    for place in [&old, &new] {
        place.sends(LogOffset(100));
        place.reports(LogOffset(100)).expect("believed");
    }
    assert_eq!(heard(&waits), Some(Copied::Enough), "two on one machine, and both have it");
    let again = enter_from(&followers, 1, 100);
    let waits = [wait(&followers, 100), wait(&followers, 200)];
    drop(new);
    again.sends(LogOffset(200));
    again.reports(LogOffset(200)).expect("believed");
    old.reports(LogOffset(100)).expect("believed");
    assert_eq!(
        waits.each_ref().map(|waits| heard(waits)),
        [None, None],
        "what came late on the old connection"
    );
    old.sends(LogOffset(200));
    old.reports(LogOffset(200)).expect("believed");
    assert_eq!(waits.each_ref().map(|waits| heard(waits)), [Some(Copied::Enough); 2], "it is another one");
}

#[test]
fn a_slave_is_believed_what_it_was_sent() {
    let followers = followers(2, false);
    let slave = enter(&followers, 50);
    let waits = wait(&followers, 100);
    let said = slave.reports(LogOffset(100)).expect_err("it was sent nothing");
    assert_eq!((said.said, said.sent), (LogOffset(100), LogOffset(50)));
    assert_eq!(heard(&waits), None);
    slave.sends(LogOffset(100));
    slave.reports(LogOffset(60)).expect("believed");
    // What it said once holds.
    slave.reports(LogOffset(10)).expect("believed");
    assert_eq!(followers.standings()[0].acknowledged, LogOffset(60));
    slave.reports(LogOffset(100)).expect("believed");
    assert_eq!(heard(&waits), Some(Copied::Enough));
}

#[test]
fn nobody_waits_in_vain() {
    let strict = followers(2, false);
    assert_eq!(heard(&wait(&strict, 10)), Some(Copied::TooFew), "there is no slave");
    let far = enter(&strict, 0);
    assert_eq!(heard(&wait(&strict, LAG_BYTES_MAX as i64)), Some(Copied::TooFew), "it is too far behind");
    assert_eq!(heard(&wait(&strict, 10)), None, "it is near enough");
    drop(far);
    assert_eq!(heard(&wait(&strict, 10)), Some(Copied::TooFew), "it is gone");
    let adapting = followers(2, true);
    assert_eq!(heard(&wait(&adapting, 10)), Some(Copied::Enough), "as many as there are");
    let slave = enter(&adapting, 0);
    let waits = wait(&adapting, 10);
    assert_eq!(heard(&waits), None, "there is one more now");
    slave.sends(LogOffset(10));
    slave.reports(LogOffset(10)).expect("believed");
    assert_eq!(heard(&waits), Some(Copied::Enough));
    assert!(!followers(1, false).are_awaited(), "the master itself is enough");
}

/// Its first message was not whole yet when the connection ended, and the master has dropped it since.
#[test]
fn a_slave_that_has_nothing_begins_where_the_master_does() {
    let settings = Settings {
        folder: "/store".into(),
        layout: Layout::Classic,
        segment_bytes: 4096,
        mode: FlushMode::Sync,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot: BootId([1; 16]),
        on_fatal: FatalHook::new(|_| ()),
    };
    let mut appender =
        recovery::open(Arc::new(SimulatedDisk::default()), settings).expect("a store").appender;
    let log = appender.log().clone();
    let master = |start, end| Some(Extent { start: LogOffset(start), end: LogOffset(end) });
    let asked = |master| Intake::begin(&log, master).expect("it can follow").1;
    assert_eq!(asked(master(0, 9000)), LogOffset(1), "not 0, for which Apache's master sends its last file");
    assert_eq!((asked(master(0, 0)), asked(None)), (LogOffset(0), LogOffset(0)));
    assert_eq!(asked(master(4096, 9000)), LogOffset(4096));
    appender.reset(Mark { offset: LogOffset(4096), ..Mark::default() }).expect("an empty log");
    assert_eq!((asked(master(0, 9000)), asked(master(4096, 9000))), (LogOffset(4096), LogOffset(4096)));
    assert_eq!(asked(master(8192, 9000)), LogOffset(8192));
}

fn topic(name: &str) -> Topic {
    Topic::of_queues(TopicName::parse(name).expect("a name"), 4, 6)
}

fn commit(group: &str, next: i64, stamp: Stamp) -> Command {
    let lines = vec![QueueLine { queue: QueueId(0), next: QueueOffset(next) }];
    let (group, topic) = (GroupName::parse(group).expect("a name"), TopicName::parse("t").expect("a name"));
    Command::CommitOffsets { changes: vec![OffsetChange { group, topic, queues: lines }], stamp }
}

fn told(by: &Tables, with_own: bool) -> Copy {
    let mut copy = Copy::begin(Stamp { at: Timestamp(9), term: 0 });
    for file in ConfigFile::ALL.into_iter().filter(|file| with_own || *file != ConfigFile::Own) {
        copy.add(file, files::body(file, by).as_bytes()).expect("a table");
    }
    copy
}

#[test]
fn a_slave_takes_over_its_masters_tables() {
    let stamp = Stamp { at: Timestamp(5), term: 0 };
    let mut master = Tables::default();
    master.apply(Command::CreateTopics { topics: vec![topic("t"), topic("u")], stamp });
    master.apply(commit("g", 7, stamp));
    let number = |number| Some(Register::Number(number));
    let delay = vec![(DelayLevel(3), QueueOffset(4))];
    master.apply(Command::Advance { delay, registers: vec![("r".into(), number(1))] });
    let mut slave = Tables::default();
    slave.apply(Command::CreateTopics { topics: vec![topic("gone")], stamp });
    slave.apply(commit("g", 3, stamp));
    slave.apply(commit("only-here", 2, stamp));
    slave.apply(Command::Advance { delay: Vec::new(), registers: vec![("old".into(), number(2))] });
    let before = slave.offsets().version().clone();

    assert_eq!(slave.take_over(told(&master, true)), Reply::Changed);
    assert_eq!(slave.topics(), master.topics());
    let next = |group: &str| slave.offsets().find(group, "t", QueueId(0));
    assert_eq!((next("g"), next("only-here")), (Some(QueueOffset(7)), Some(QueueOffset(2))));
    assert_ne!(*slave.offsets().version(), before, "its file must be written again");
    assert_eq!(slave.progress(), master.progress());
    assert_eq!(slave.take_over(told(&master, true)), Reply::Unchanged);

    // Apache's master knows no registers: those that are here are of another time.
    let mut copy = told(&master, false);
    copy.forget_registers();
    slave.take_over(copy);
    assert_eq!(slave.progress().number("r"), None);
    assert_eq!(slave.progress().delay(DelayLevel(3)), QueueOffset(4));
}
