//! A broker and its name server, in processes of their own, and what the broker has said.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::fields::Fields;
use ferrymq_proto::net::Client;
use tempfile::TempDir;

use crate::alone::{NameServer, broker_port, own_address};
use crate::resources;

/// Nothing takes so long unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_ferrymq");

pub struct Broker {
    process: Child,
    pub home: Ipv4Addr,
    pub address: String,
    pub name_server: NameServer,
    pub folder: TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Broker {
    pub fn start(settings: &[&str]) -> Self {
        Self::start_in(settings, &[])
    }

    /// With these variables around it.
    pub fn start_in(settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let home = own_address();
        let name_server = NameServer::start(home);
        let folder = TempDir::new().unwrap();
        let (port, names) = (broker_port(0), &name_server.address);
        let own = format!(
            "brokerName=b\nbindAddress={home}\nbrokerIP1={home}\nlistenPort={port}\nnamesrvAddr={names}\n\
             storePathRootDir={}\ndiskSpaceWarningLevelRatio=99\nmappedFileSizeCommitLog=67108864\n",
            folder.path().join("store").display()
        );
        let conf = folder.path().join("broker.conf");
        fs::write(&conf, own + &settings.join("\n") + "\n").unwrap();
        let mut process = program(folder.path(), environment)
            .args(["broker", "-c", conf.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let broker = Self { process, home, address: format!("{home}:{port}"), name_server, folder };
        assert!(line.contains("boot success"), "{line}{}", broker.log());
        broker
    }

    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("broker.conf")
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap()).into_owned()
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address, PATIENCE)
    }

    pub fn resident(&self) -> usize {
        resources::resident(self.process.id())
    }

    /// All that a command of ours prints.
    pub fn says(&self, arguments: &[&str]) -> String {
        let mut command = program(self.folder.path(), &[("NAMESRV_ADDR", &self.name_server.address)]);
        let output = command.args(arguments).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The processes that it has started.
    pub fn children(&self) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok()).collect()
    }
}

fn program(home: &Path, environment: &[(&str, &str)]) -> Program {
    let mut command = Program::new(BINARY);
    command.env_clear().env("HOME", home).envs(environment.iter().copied());
    command
}

/// Any request, with any fields.
pub fn request(code: i32, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Command {
    let mut request = Command::request(RequestCode(code)).with_body(body);
    request.fields = Fields::empty();
    for (name, value) in fields {
        request.fields.push((*name).to_owned(), *value);
    }
    request
}

/// The request that sends a message to a queue, its properties as `name=value,name=value`.
pub fn send(topic: &str, queue: i32, properties: &str, flag: i32, body: impl Into<Bytes>) -> Command {
    let properties = properties.replace('=', "\u{1}").replace(',', "\u{2}");
    let (queue, flag) = (queue.to_string(), flag.to_string());
    let fields = [
        ("a", "p"),
        ("b", topic),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", queue.as_str()),
        ("f", flag.as_str()),
        ("g", "1700000000000"),
        ("h", "0"),
        ("i", properties.as_str()),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    request(310, &fields, body)
}

/// The request for messages of a queue from an offset on; it waits for the first one.
pub fn pull(topic: &str, queue: &str, offset: &str, expression: (&str, &str)) -> Command {
    let fields = [
        ("consumerGroup", "TOOLS_CONSUMER"),
        ("topic", topic),
        ("queueId", queue),
        ("queueOffset", offset),
        ("maxMsgNums", "1"),
        // It may wait, and brings its subscription along.
        ("sysFlag", "6"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", &PATIENCE.as_millis().to_string()),
        ("subVersion", "1"),
        ("expressionType", expression.0),
        ("subscription", expression.1),
    ];
    request(11, &fields, Bytes::new())
}

pub fn field(answer: &Command, name: &str) -> String {
    let mut found = String::new();
    answer.fields.for_each(|field, value| {
        if field == name {
            found = value.to_string();
        }
    });
    found
}

/// All of an answer as text.
pub fn said(answer: &Command) -> String {
    let mut said = answer.remark.as_deref().unwrap_or_default().to_owned();
    answer.fields.for_each(|name, value| said.push_str(&format!("\n{name}={value}")));
    said + "\n" + &String::from_utf8_lossy(&answer.body)
}
