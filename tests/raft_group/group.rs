//! A group of real processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::time::{Duration, Instant};

use ferrymq_proto::net::Client;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::frame::{FRAME_HEADER_BYTES, FrameHeader};
use rustix::process::Signal;
use tempfile::TempDir;

use super::clients::status;
use crate::alone::{NameServer, broker_port, freeze, own_address, peer_port, signal, thaw};

pub const NODES: usize = 3;
pub const QUEUES: i32 = 4;
pub const TOPIC: &str = "orders";
/// Small, so that a test sees segments end and checkpoints made.
pub const SEGMENT_BYTES: u64 = 1 << 20;
/// Nothing takes so long unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a node's log that are shown when a test fails.
const LAST_WORDS: usize = 60;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

pub struct Group {
    processes: Vec<Option<Child>>,
    /// Of this group alone. While a node is away nobody else takes its ports, least of all a node of another test's group.
    home: Ipv4Addr,
    settings: String,
    folder: TempDir,
    /// For the command line.
    name_server: Option<NameServer>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (0..self.processes.len()).for_each(|number| self.print_last_words(number));
        }
        for process in self.processes.iter_mut().flatten() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Group {
    pub fn new(settings: &str) -> Self {
        Self::at(own_address(), settings)
    }

    fn at(home: Ipv4Addr, settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let group = Self {
            processes: (0..NODES).map(|_| None).collect(),
            home,
            settings: settings.to_owned(),
            folder,
            name_server: None,
        };
        let all: Vec<_> = (0..NODES).collect();
        all.iter().for_each(|number| group.configure(*number, &all));
        group
    }

    /// As [`started`](Self::started), known to a name server.
    pub fn known(settings: &str) -> Self {
        let mut group = Self::known_at_rest(settings);
        (0..NODES).for_each(|number| group.start(number));
        group
    }

    /// As [`known`](Self::known), of which no node runs yet.
    pub fn known_at_rest(settings: &str) -> Self {
        let home = own_address();
        let name_server = NameServer::start(home);
        let mut group = Self::at(home, &format!("namesrvAddr={}\n{settings}", name_server.address));
        group.name_server = Some(name_server);
        group
    }

    /// The file of a node's configuration.
    pub fn configuration(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}.conf"))
    }

    pub fn name_server(&self) -> &str {
        &self.name_server.as_ref().unwrap().address
    }

    /// Runs `ferrymq raft`, and says what it has printed if it ended well, and else what it complains of, too.
    pub fn raft(&self, arguments: &[&str]) -> Result<String, String> {
        self.tool(&[&["raft"], arguments].concat())
    }

    /// As [`raft`](Self::raft), for any other command.
    pub fn tool(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_ferrymq"));
        let output = command.args(arguments).args(["-n", self.name_server()]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }

    /// As [`raft`](Self::raft), again and again until it succeeds.
    pub async fn raft_at_last(&self, arguments: &[&str]) -> String {
        self.tool_at_last(&[&["raft"], arguments].concat()).await
    }

    pub async fn tool_at_last(&self, arguments: &[&str]) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.tool(arguments) {
                Ok(output) => return output,
                Err(complaint) => assert!(Instant::now() < until, "{arguments:?}: {complaint}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many nodes there are, whether they run or not.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    pub fn runs(&self, number: usize) -> bool {
        self.processes[number].is_some()
    }

    /// Removes all that a node has.
    pub fn wipe(&self, number: usize) {
        assert!(!self.runs(number));
        fs::remove_dir_all(self.store(number)).unwrap();
    }

    /// The address at which a node speaks to the others.
    pub fn peer_address(&self, number: usize) -> String {
        format!("{}:{}", self.home, peer_port(number))
    }

    /// Writes the configuration of a node with these peers.
    pub fn configure(&self, number: usize, peers: &[usize]) {
        let peers: Vec<_> =
            peers.iter().map(|peer| format!("n{peer}-{}", self.peer_address(*peer))).collect();
        let home = self.home;
        let text = format!(
            "brokerClusterName=c\nbrokerName=g\nbindAddress={home}\nbrokerIP1={home}\nlistenPort={}\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog={SEGMENT_BYTES}\nenableDLegerCommitLog=true\ndLegerGroup=g\ndLegerPeers={}\n\
             dLegerSelfId=n{number}\n{}\n",
            broker_port(number),
            self.store(number).display(),
            peers.join(";"),
            self.settings,
        );
        fs::write(self.configuration(number), text).unwrap();
    }

    /// Writes something else into a node's configuration.
    pub fn amend(&self, number: usize, from: &str, to: &str) {
        let text = fs::read_to_string(self.configuration(number)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.configuration(number), text.replace(from, to)).unwrap();
    }

    /// Starts a node that does not want to, and says why.
    pub fn complaint(&self, number: usize) -> String {
        let mut process = self.spawn(number, Stdio::null());
        let until = Instant::now() + PATIENCE;
        while process.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = process.kill();
        let ended = process.wait().unwrap();
        assert_ne!(ended.code(), Some(0), "n{number} has started and ended in order");
        assert!(ended.code().is_some(), "n{number} has started:\n{}", self.words(number));
        self.words(number)
    }

    /// Another node, which only knows itself and the first one, and does not run yet.
    pub fn add(&mut self) -> usize {
        let number = self.processes.len();
        self.processes.push(None);
        self.configure(number, &[number, 0]);
        number
    }

    /// For whoever looks into a failure that does not come again.
    fn print_last_words(&self, number: usize) {
        let words = self.words(number);
        let lines: Vec<&str> = words.lines().collect();
        println!("--- n{number}, runs: {}", self.runs(number));
        lines.iter().skip(lines.len().saturating_sub(LAST_WORDS)).for_each(|line| println!("{line}"));
    }

    /// What a node has logged.
    pub fn words(&self, number: usize) -> String {
        fs::read_to_string(self.log_file(number)).unwrap_or_default()
    }

    /// Starts a node, without waiting for anything.
    pub fn launch(&mut self, number: usize) {
        let child = self.spawn(number, Stdio::null());
        self.processes[number] = Some(child);
    }

    /// The segments of a node's log, the oldest first.
    pub fn segments(&self, number: usize) -> Vec<PathBuf> {
        segments(&self.store(number))
    }

    pub fn started(settings: &str) -> Self {
        let mut group = Self::new(settings);
        (0..NODES).for_each(|number| group.start(number));
        group
    }

    pub fn store(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("s{number}"))
    }

    fn log_file(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}.log"))
    }

    /// Starts a node, and waits until it listens.
    pub fn start(&mut self, number: usize) {
        let mut process = self.spawn(number, Stdio::piped());
        let output = BufReader::new(process.stdout.take().unwrap());
        let is_ready = output.lines().map_while(Result::ok).any(|line| line.contains("boot success"));
        assert!(is_ready, "n{number} did not start:\n{}", self.words(number));
        self.processes[number] = Some(process);
    }

    fn spawn(&self, number: usize, output: Stdio) -> Child {
        let log = fs::File::options().create(true).append(true).open(self.log_file(number)).unwrap();
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_ferrymq"));
        command.args(["broker", "-c", &format!("n{number}.conf")]).current_dir(self.folder.path());
        command.stdout(output).stderr(log).spawn().unwrap()
    }

    pub fn kill(&mut self, number: usize) {
        let mut process = self.processes[number].take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Lets a node do nothing more.
    pub fn freeze(&self, number: usize) {
        freeze(self.processes[number].as_ref().unwrap());
    }

    pub fn thaw(&self, number: usize) {
        thaw(self.processes[number].as_ref().unwrap());
    }

    /// Stops a node in order.
    pub fn stop(&mut self, number: usize) {
        let mut process = self.processes[number].take().unwrap();
        signal(&process, Signal::TERM);
        assert!(process.wait().unwrap().success(), "n{number} did not stop in order");
    }

    pub fn clients(&self) -> Vec<Client> {
        let address = |number| format!("{}:{}", self.home, broker_port(number));
        (0..self.processes.len()).map(|number| Client::new(address(number), ANSWER_TIMEOUT)).collect()
    }

    /// Compares the logs up to where the shortest one ends, and says how long that is.
    pub fn compare_logs(&self) -> u64 {
        let logs: Vec<Vec<u8>> = (0..NODES).map(|number| read_log(&self.store(number))).collect();
        let end = logs.iter().map(|log| end_of(log)).min().unwrap();
        compare(&logs, end)
    }

    /// Compares the logs of nodes that run, up to what is final on all of them.
    pub async fn compare_confirmed(&self) -> u64 {
        let mut end = i64::MAX;
        for client in &self.clients()[..NODES] {
            end = end.min(status(client).await.confirmed.0);
        }
        let logs: Vec<Vec<u8>> = (0..NODES).map(|number| read_log(&self.store(number))).collect();
        compare(&logs, usize::try_from(end).unwrap())
    }
}

fn compare(logs: &[Vec<u8>], end: usize) -> u64 {
    for (number, log) in logs.iter().enumerate() {
        let (one, other) = (&logs[0][..end], &log[..end]);
        if one != other {
            let first = one.iter().zip(other).position(|(one, other)| one != other);
            panic!("the logs of n0 and n{number} differ at {first:?}, before {end}");
        }
    }
    end as u64
}

fn segments(store: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(store.join("commitlog")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.len() == 20));
    files.sort();
    files
}

fn read_log(store: &Path) -> Vec<u8> {
    segments(store).iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

/// Behind the last frame.
fn end_of(log: &[u8]) -> usize {
    let mut at = 0;
    while let Some(head) = log.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_BYTES>()) {
        match FrameHeader::decode(head) {
            Ok(header) if header.offset == LogOffset(at as i64) => at += header.frame_bytes() as usize,
            _ => {
                let next = (at as u64 / SEGMENT_BYTES + 1) * SEGMENT_BYTES;
                let follows = log.get(next as usize..).and_then(|rest| rest.first_chunk());
                let follows = follows.is_some_and(|head| FrameHeader::decode(head).is_ok());
                if !follows {
                    break;
                }
                at = next as usize;
            }
        }
    }
    at
}
