//! From the store of a classic broker to a group: every message at its queue and offset, whatever happens on the way.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::headers::{GetMinOffset, QueryConsumerOffset, UpdateConsumerOffset};
use ferrymq_proto::net::Client;
use ferrymq_proto::position::{QueueId, QueueOffset};
use rustix::process::Signal;
use tempfile::TempDir;

use super::clients::{insist, message, read_from, read_queue, send, wait_for_end};
use super::group::{Group, NODES, PATIENCE, QUEUES, SEGMENT_BYTES, TOPIC};
use crate::alone::{broker_port, own_address, signal};

/// Of each queue.
const MESSAGES: usize = 600;
const PADDING: usize = 4096;
const READERS: &str = "readers";
/// So often a migration is killed before it may end.
const KILLS: usize = 3;

/// A classic broker.
struct Old {
    folder: TempDir,
    home: Ipv4Addr,
    process: Option<Child>,
}

impl Drop for Old {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn body(queue: i32, number: usize) -> String {
    format!("{queue}/{number}:{}", "x".repeat(PADDING))
}

impl Old {
    fn start() -> Self {
        let mut old = Self { folder: TempDir::new().unwrap(), home: own_address(), process: None };
        old.restart();
        old
    }

    fn restart(&mut self) {
        let (home, store) = (self.home, self.store());
        let text = format!(
            "brokerClusterName=c\nbrokerName=old\nbindAddress={home}\nbrokerIP1={home}\nlistenPort={}\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog={SEGMENT_BYTES}\n",
            broker_port(0),
            store.display()
        );
        fs::write(self.configuration(), text).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_ferrymq"))
            .arg("broker")
            .arg("-c")
            .arg(self.configuration())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("boot success"), "{line}");
        self.process = Some(process);
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("old.conf")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn client(&self) -> Client {
        Client::new(format!("{}:{}", self.home, broker_port(0)), Duration::from_secs(5))
    }

    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        signal(&process, Signal::TERM);
        assert!(process.wait().unwrap().success());
    }

    /// Messages of all queues, one that waits, and a group that has consumed some.
    async fn fill(&self) {
        let client = self.client();
        for number in 0..MESSAGES {
            for queue in 0..QUEUES {
                let reply = send(&client, queue, &body(queue, number)).await.unwrap();
                assert_eq!(reply.queue_offset, QueueOffset(number as i64));
            }
        }
        // The group comes with its first reader.
        read_queue(&client, 0, 1).await;
        let offset = UpdateConsumerOffset {
            consumer_group: READERS.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(1),
            commit_offset: QueueOffset(123),
        };
        client.call(&offset, Bytes::new()).await.unwrap();
        // Long enough that the broker is stopped before it is due.
        let waiting = message(2, 0, &[("DELAY", "3")]);
        client.call(&waiting, Bytes::from_static(b"at last")).await.unwrap();
    }

    async fn filled() -> Self {
        let mut old = Self::start();
        old.fill().await;
        old.stop();
        old
    }

    /// As a store of Apache's of which retention has dropped the first files.
    fn forget_beginning(&self) {
        let store = self.store();
        for name in ["store.meta", "lock", "derived.synced", "derived.written"] {
            fs::remove_file(store.join(name)).unwrap();
        }
        for base in [0, SEGMENT_BYTES] {
            fs::remove_file(store.join(format!("commitlog/{base:020}"))).unwrap();
        }
    }

    fn migration(&self, group: &Group, nodes: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferrymq"));
        command.arg("migrate").arg("--from").arg(self.store()).arg("--to");
        command.args((0..nodes).map(|number| group.configuration(number)));
        command
    }

    fn migrate(&self, group: &Group, nodes: usize) -> String {
        succeeded(&self.migration(group, nodes).output().unwrap())
    }

    /// What a migration complains of that is refused.
    fn refusal(&self, group: &Group, nodes: usize) -> String {
        let output = self.migration(group, nodes).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{complaint}");
        complaint
    }
}

fn succeeded(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn is_empty(folder: &PathBuf) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

/// Every node has all messages from `first` on, and the group goes on behind them.
async fn check(group: &Group, nodes: usize, first: impl Fn(i32) -> usize) {
    let clients = group.clients();
    let (leader, _) = insist(&clients[..nodes], 0, 3, "new").await;
    for client in &clients[..nodes] {
        for queue in 0..QUEUES {
            let first = first(queue);
            let expected: Vec<_> = (first..MESSAGES).map(|number| body(queue, number)).collect();
            let found = read_from(client, queue, first as i64, expected.len()).await;
            assert!(found[..expected.len()] == expected, "queue {queue}");
        }
        let until = Instant::now() + PATIENCE;
        wait_for_end(client, 3, MESSAGES as i64 + 1, until).await;
        // What waited for its time.
        wait_for_end(client, 2, MESSAGES as i64 + 1, until).await;
        let waited = read_from(client, 2, MESSAGES as i64, 1).await;
        assert_eq!(waited, ["at last"]);
    }
    let question = QueryConsumerOffset {
        consumer_group: READERS.into(),
        topic: TOPIC.into(),
        queue_id: QueueId(1),
        set_zero_if_not_found: None,
    };
    let (reply, _) = clients[leader].call(&question, Bytes::new()).await.unwrap();
    assert_eq!(reply.offset, QueueOffset(123));
}

/// Nothing in a node's folder is wrong.
fn verify(group: &Group, number: usize) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrymq"));
    succeeded(&command.args(["store", "verify"]).arg(group.store(number)).output().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_store_becomes_a_group() {
    let old = Old::filled().await;
    let mut group = Group::new("");
    let mut check_only = old.migration(&group, NODES);
    let said =
        succeeded(&check_only.arg("--check").arg("--config-of").arg(old.configuration()).output().unwrap());
    assert!(said.contains(&format!("{} messages, 1 of delay levels", MESSAGES * QUEUES as usize)), "{said}");
    // However a folder is named, it is the same one.
    let mut from_within = Command::new(env!("CARGO_BIN_EXE_ferrymq"));
    from_within.current_dir(old.folder.path()).args([
        "migrate",
        "--check",
        "--from",
        "store",
        "--config-of",
        "old.conf",
    ]);
    from_within.arg("--to").args((0..NODES).map(|number| group.configuration(number)));
    succeeded(&from_within.output().unwrap());
    let named = fs::read_to_string(old.configuration()).unwrap();
    fs::write(old.configuration(), named.replace(old.store().to_str().unwrap(), "./../store/../store"))
        .unwrap();
    let mut from_beside = old.migration(&group, NODES);
    from_beside.current_dir(old.store()).arg("--check").arg("--config-of").arg(old.configuration());
    succeeded(&from_beside.output().unwrap());
    assert!(is_empty(&group.store(0)), "a check wrote something");

    let said = old.migrate(&group, NODES);
    assert!(said.contains("MB/s") && said.contains("the group can be started"), "{said}");
    (0..NODES).for_each(|number| verify(&group, number));
    let again = old.refusal(&group, NODES);
    assert!(again.contains("belongs to a node already"), "{again}");

    (0..NODES).for_each(|number| group.start(number));
    check(&group, NODES, |_| 0).await;
    // It is a group like any other.
    let (leader, _) = insist(&group.clients(), 0, 0, "who leads?").await;
    group.kill(leader);
    insist(&group.clients(), (leader + 1) % NODES, 0, "with two").await;
    group.start(leader);
    check(&group, NODES, |_| 0).await;
    (0..NODES).for_each(|number| group.stop(number));
    (0..NODES).for_each(|number| verify(&group, number));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_migration_goes_on() {
    let old = Old::filled().await;
    let mut group = Group::new("");
    let (mut kills, mut seen) = (0, 0);
    while kills < KILLS {
        let mut running =
            old.migration(&group, NODES).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Until it has written some more.
        let ended = loop {
            let segments = fs::read_dir(group.store(0).join("commitlog")).map_or(0, Iterator::count);
            if segments > seen {
                seen = segments;
                break None;
            }
            if let Some(ended) = running.try_wait().unwrap() {
                break Some(ended);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(ended, None, "it ended before it was killed {KILLS} times");
        running.kill().unwrap();
        running.wait().unwrap();
        kills += 1;
    }
    let unfinished = Command::new(env!("CARGO_BIN_EXE_ferrymq"))
        .arg("broker")
        .arg("-c")
        .arg(group.configuration(0))
        .output()
        .unwrap();
    assert!(!unfinished.status.success(), "a broker started on an unfinished migration");
    // And once more while the others get their copies.
    let mut running =
        old.migration(&group, NODES).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !group.store(2).join("commitlog").exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let is_over = group.store(0).join("raft.meta").exists();
    if !is_over {
        let said = old.migrate(&group, NODES);
        assert!(said.contains("an unfinished migration goes on"), "{said}");
    }
    (0..NODES).for_each(|number| verify(&group, number));
    (0..NODES).for_each(|number| group.start(number));
    check(&group, NODES, |_| 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_stay_where_the_beginning_is_gone_and_others_join() {
    let old = Old::filled().await;
    old.forget_beginning();
    let mut group = Group::known_at_rest("");
    // The first node alone, and then another one, which knows nothing.
    group.configure(0, &[0]);
    old.migrate(&group, 1);
    group.start(0);
    group.configure(1, &[1, 0]);
    group.start(1);
    let added = group.raft_at_last(&["add-learner", "n1", &group.peer_address(1)]).await;
    let number = added.split("as node ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    group.raft_at_last(&["promote", &number]).await;
    let first = first_there(&group.clients()[0], 0).await;
    assert!(first > 0, "nothing is gone");
    let mut firsts = Vec::new();
    for queue in 0..QUEUES {
        firsts.push(first_there(&group.clients()[0], queue).await);
    }
    check(&group, 2, |queue| firsts[queue as usize]).await;
    group.stop(0);
    group.stop(1);
    verify(&group, 0);
    verify(&group, 1);
}

/// The first message of a queue that is there.
async fn first_there(client: &Client, queue: i32) -> usize {
    let until = Instant::now() + PATIENCE;
    wait_for_end(client, queue, MESSAGES as i64, until).await;
    let question = GetMinOffset { topic: TOPIC.into(), queue_id: QueueId(queue) };
    let (reply, _) = client.call(&question, Bytes::new()).await.unwrap();
    usize::try_from(reply.offset.0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_refused_and_nothing_is_written() {
    let mut old = Old::filled().await;
    let group = Group::new("");

    old.restart();
    let complaint = old.refusal(&group, NODES);
    assert!(complaint.contains("is in use"), "{complaint}");
    old.stop();

    fs::create_dir_all(group.store(1)).unwrap();
    fs::write(group.store(1).join("holiday.jpg"), "sand").unwrap();
    let complaint = old.refusal(&group, NODES);
    assert!(complaint.contains("is not empty: there is holiday.jpg"), "{complaint}");
    fs::remove_file(group.store(1).join("holiday.jpg")).unwrap();

    // In the midst of some body.
    let segment = old.store().join(format!("commitlog/{SEGMENT_BYTES:020}"));
    let file = fs::File::options().read(true).write(true).open(&segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, SEGMENT_BYTES / 2).unwrap();
    file.write_all_at(&[byte[0] ^ 1], SEGMENT_BYTES / 2).unwrap();
    let complaint = old.refusal(&group, NODES);
    assert!(
        complaint.contains("is damaged at offset") && complaint.contains(segment.to_str().unwrap()),
        "{complaint}"
    );
    file.write_all_at(&byte, SEGMENT_BYTES / 2).unwrap();

    let missing = old.store().join("commitlog/hidden");
    fs::rename(&segment, &missing).unwrap();
    let complaint = old.refusal(&group, NODES);
    assert!(complaint.contains(&format!("{} is missing", segment.display())), "{complaint}");
    fs::rename(&missing, &segment).unwrap();

    fs::write(old.store().join("config/topics.json"), "{").unwrap();
    let _ = fs::remove_file(old.store().join("config/topics.json.bak"));
    let complaint = old.refusal(&group, NODES);
    assert!(complaint.contains("topics.json is damaged"), "{complaint}");

    let nowhere = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrymq"));
    command.arg("migrate").arg("--from").arg(nowhere.path()).arg("--to").arg(group.configuration(0));
    assert_eq!(command.output().unwrap().status.code(), Some(5));
    assert!((0..NODES).all(|number| is_empty(&group.store(number))), "something was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_has_changed_is_not_gone_on_with() {
    let mut old = Old::filled().await;
    let mut group = Group::new("");
    group.configure(0, &[0]);
    let mut running = old.migration(&group, 1).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while fs::read_dir(group.store(0).join("commitlog")).map_or(0, Iterator::count) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.kill().unwrap();
    running.wait().unwrap();
    old.restart();
    send(&old.client(), 0, "one more").await.unwrap();
    old.stop();
    let complaint = old.refusal(&group, 1);
    assert!(complaint.contains("has changed since"), "{complaint}");
    fs::remove_dir_all(group.store(0)).unwrap();
    old.migrate(&group, 1);
    group.start(0);
    let clients = group.clients();
    let (_, offset) = insist(&clients[..1], 0, 0, "new").await;
    assert_eq!(offset, QueueOffset(MESSAGES as i64 + 1));
    assert_eq!(read_queue(&clients[0], 0, MESSAGES + 2).await.last().unwrap(), "new");
}
