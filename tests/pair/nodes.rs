//! A master and its slave as real processes, with a name server, and a client that knows both.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command as Program, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::bodies::{HaStatus, TopicRoute};
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::fields::Fields;
use ferrymq_proto::json;
use ferrymq_proto::net::{CallError, Client};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::alone::{NameServer, broker_port, freeze, own_address, signal, thaw};

/// Nothing takes so long unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const TOPIC: &str = "orders";
/// Small, so that a test sees segments end.
const SEGMENT_BYTES: u64 = 1 << 20;

pub struct Node {
    process: Option<Child>,
    pub folder: PathBuf,
    home: Ipv4Addr,
    port: u16,
    settings: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

impl Node {
    pub fn start(&mut self) {
        fs::create_dir_all(&self.folder).unwrap();
        fs::write(self.file(), &self.settings).unwrap();
        self.restart_with_its_file();
    }

    fn file(&self) -> PathBuf {
        self.folder.join("broker.conf")
    }

    /// With what stands in its file now, whoever has written it.
    pub fn restart_with_its_file(&mut self) {
        assert!(self.process.is_none());
        let file = self.file();
        let log = fs::File::options().create(true).append(true).open(self.folder.join("out")).unwrap();
        let mut process = Program::new(env!("CARGO_BIN_EXE_ferrymq"))
            .args(["broker".as_ref(), "-c".as_ref(), file.as_os_str()])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("boot success"), "{line}{}", self.said());
        self.process = Some(process);
    }

    /// What it has logged since it was made.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.join("out")).unwrap_or_default()
    }

    /// With a setting changed from the next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings += &format!("{setting}\n");
    }

    /// Lets it do nothing more.
    pub fn freeze(&self) {
        freeze(self.process.as_ref().unwrap());
    }

    pub fn thaw(&self) {
        thaw(self.process.as_ref().unwrap());
    }

    pub fn end(&mut self, how: Signal) {
        let Some(mut process) = self.process.take() else { return };
        signal(&process, how);
        process.wait().unwrap();
    }

    pub fn client(&self) -> Client {
        Client::new(self.address(), Duration::from_secs(5))
    }

    pub fn address(&self) -> String {
        format!("{}:{}", self.home, self.port)
    }

    pub fn ha_address(&self) -> String {
        format!("{}:{}", self.home, self.port + 1)
    }

    /// How it is as a master, or as a slave.
    pub async fn status(&self) -> HaStatus {
        let answer = self.ask(RequestCode::GET_BROKER_HA_STATUS, "", "").await.unwrap();
        json::from_slice(&answer.body).unwrap()
    }

    /// Where its log ends.
    pub async fn end_of_log(&self) -> i64 {
        let status = self.status().await;
        if status.master { status.master_log_max_offset.0 } else { status.client.max_offset.0 }
    }

    /// With fields written as `name=value name=value`.
    pub async fn ask(&self, code: RequestCode, fields: &str, body: &str) -> Result<Command, CallError> {
        exchange(&self.client(), code, fields, body).await
    }

    /// Sends a message, and says with which code it was answered.
    pub async fn send(&self, client: &Client, queue: usize, body: &str) -> Option<i32> {
        let mut request =
            Command::request(RequestCode::SEND_MESSAGE).with_body(Bytes::copy_from_slice(body.as_bytes()));
        request.fields = Fields::empty();
        let queue = queue.to_string();
        let fields = [
            ("producerGroup", "producers"),
            ("topic", TOPIC),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", &queue),
            ("sysFlag", "0"),
            ("bornTimestamp", "1"),
            ("flag", "0"),
            ("reconsumeTimes", "0"),
        ];
        for (name, value) in fields {
            request.fields.push(name.to_owned(), value);
        }
        client.exchange(request).await.ok().map(|answer| answer.code)
    }

    /// Sends so many messages of one KiB, one after the other, and says what they were answered with.
    pub async fn send_many(&self, count: usize) -> Vec<i32> {
        let client = self.client();
        let mut codes = Vec::new();
        for number in 0..count {
            codes.extend(self.send(&client, number % 4, &format!("{number:01024}")).await);
        }
        codes
    }

    /// All of its log, file by file.
    pub fn log_files(&self) -> Vec<(String, Vec<u8>)> {
        let folder = self.folder.join("store/commitlog");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_none() && path.is_file())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
            .collect();
        files.sort();
        // One may have prepared its next file already.
        while files.len() > 1 && files.last().is_some_and(|(_, bytes)| bytes.iter().all(|byte| *byte == 0)) {
            files.pop();
        }
        files
    }
}

async fn exchange(
    client: &Client,
    code: RequestCode,
    fields: &str,
    body: &str,
) -> Result<Command, CallError> {
    let mut request = Command::request(code).with_body(Bytes::copy_from_slice(body.as_bytes()));
    request.fields = Fields::empty();
    for field in fields.split_whitespace() {
        let (name, value) = field.split_once('=').unwrap();
        request.fields.push(name.to_owned(), value);
    }
    client.exchange(request).await
}

pub struct Pair {
    pub master: Node,
    pub slave: Node,
    home: Ipv4Addr,
    name_server: NameServer,
    folder: TempDir,
}

/// Which ports a node has: one, and the next one for slaves.
#[derive(Clone, Copy)]
enum Seat {
    Master,
    Slave,
    AnotherSlave,
}

const OF_SLAVE: &str = "brokerRole=SLAVE\nbrokerId=1";

fn node(
    folder: &TempDir,
    name_server: &NameServer,
    (home, seat): (Ipv4Addr, Seat),
    name: &str,
    more: &str,
) -> Node {
    let (folder, port) = (folder.path().join(name), broker_port(seat as usize));
    let settings = format!(
        "brokerClusterName=c\nbrokerName=g\nbrokerIP1={home}\nbrokerIP2={home}\nbindAddress={home}\n\
         listenPort={port}\nnamesrvAddr={}\nregisterNameServerPeriod=10000\nstorePathRootDir={}\n\
         mappedFileSizeCommitLog={SEGMENT_BYTES}\ndiskSpaceWarningLevelRatio=99\n{more}\n",
        name_server.address,
        folder.join("store").display()
    );
    Node { process: None, folder, home, port, settings }
}

impl Pair {
    /// Not started yet.
    pub fn new(of_both: &str, of_master: &str) -> Self {
        let home = own_address();
        let name_server = NameServer::start(home);
        let folder = TempDir::new().unwrap();
        let master =
            node(&folder, &name_server, (home, Seat::Master), "master", &format!("{of_both}\n{of_master}"));
        let slave =
            node(&folder, &name_server, (home, Seat::Slave), "slave", &format!("{of_both}\n{OF_SLAVE}"));
        Self { master, slave, home, name_server, folder }
    }

    /// With the id of the first one. Not started yet.
    pub fn another_slave(&self, name: &str) -> Node {
        node(&self.folder, &self.name_server, (self.home, Seat::AnotherSlave), name, OF_SLAVE)
    }

    /// Both run, and the slave follows.
    pub async fn started(of_both: &str, of_master: &str) -> Self {
        let mut pair = Self::new(of_both, of_master);
        pair.master.start();
        pair.slave.start();
        pair.follows().await;
        pair
    }

    pub async fn follows(&self) {
        let has_slave = async || self.master.status().await.in_sync_slave_nums == 1;
        eventually("the slave follows", async || {
            has_slave().await && self.slave.status().await.client.activated == Some(true)
        })
        .await;
    }

    /// Whom a client finds that asks a name server for the topic: id and address.
    pub async fn routed(&self) -> BTreeMap<i64, String> {
        let name_server = Client::new(self.name_server.address.clone(), Duration::from_secs(5));
        let topic = format!("topic={TOPIC}");
        let answer = exchange(&name_server, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic, "").await.unwrap();
        let route = json::from_slice::<TopicRoute>(&answer.body).unwrap_or_default();
        route.broker_datas.into_iter().next().map(|broker| broker.broker_addrs).unwrap_or_default()
    }

    /// What `ferrymq broker promote` says: of a success, or of a refusal.
    pub fn promote_slave(&self, more: &[&str]) -> Result<String, String> {
        let output = Program::new(env!("CARGO_BIN_EXE_ferrymq"))
            .args(["broker", "promote", "-n", &self.name_server.address, "-c"])
            .arg(self.slave.file())
            .args(more)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Waits until the slave has everything.
    pub async fn is_level(&self) {
        self.is_level_within(PATIENCE).await;
    }

    pub async fn is_level_within(&self, patience: Duration) {
        let is_level = async || self.master.end_of_log().await == self.slave.end_of_log().await;
        within(patience, "the slave has everything", is_level).await;
    }
}

/// Returns when it is so.
pub async fn eventually(what: &str, is_so: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, is_so).await;
}

async fn within(patience: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + patience;
    while !is_so().await {
        assert!(Instant::now() < until, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
