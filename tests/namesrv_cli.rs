//! The real binary, from outside: what it prints, how it ends, and what it leaves on disk.
//!
//! `tests/cli/*.conf` are checked, plainly and with --strict, and the outcome is compared with the `.txt` beside each.
//! After a wanted change: `UPDATE=1 cargo test -p ferrymq --test namesrv_cli`, and read the difference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use program::{BINARY, Outcome, checked_files, noticed_typos, outcome, recorded_codes, scripts};
use tempfile::TempDir;

mod program;

fn program(binary: &Path, arguments: &[&str]) -> Command {
    program::program(binary, arguments, &scripts())
}

fn ferrymq(arguments: &[&str]) -> Command {
    program(Path::new(BINARY), arguments)
}

fn run(arguments: &[&str]) -> Outcome {
    outcome(&mut ferrymq(arguments))
}

#[test]
fn files_are_checked() {
    assert!(checked_files("namesrv", &scripts(), &[]) >= 8);
}

#[test]
fn every_typo_is_noticed() {
    assert_eq!(noticed_typos("namesrv", &scripts(), "typos.conf"), 50);
}

#[test]
fn version_explain_and_usage() {
    let version = run(&["version"]);
    assert_eq!(
        (version.code, version.output.as_str()),
        (0, concat!("ferrymq ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    assert_eq!(run(&["--version"]).output, version.output);

    let page = run(&["explain", "f1010"]);
    assert_eq!(page.code, 0);
    assert!(
        page.output.starts_with("F1010: a key is unknown\n\nKeys are spelled as in Apache RocketMQ"),
        "{page:?}"
    );

    let missing = run(&["explain", "F9999"]);
    assert_eq!((missing.code, missing.output.as_str()), (6, ""));
    assert!(
        missing.complaint.starts_with("error: nothing has the code \"F9999\"\n help: there are F1001, "),
        "{missing:?}"
    );

    for arguments in [
        &[][..],
        &["brokre"],
        &["explain"],
        &["namesrv", "--chek"],
        &["namesrv", "-c"],
        &["namesrv", "--origin"],
    ] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
}

/// Every code that a recorded check shows can be looked up.
#[test]
fn every_code_that_is_shown_can_be_explained() {
    let codes = recorded_codes(&scripts());
    assert!(codes.len() >= 5, "{codes:?}");
    for code in codes {
        assert_eq!(run(&["explain", &code]).code, 0, "{code}");
    }
}

#[test]
fn print_shows_all_keys_and_their_origins() {
    let printed =
        run(&["namesrv", "-c", "controller.conf", "-p", "--set", "enableControllerInNamesrv=false"]);
    assert_eq!((printed.code, printed.output.as_str()), (1, ""), "the file still asks for a controller");

    let set = ["--set", "connectionsMax=100", "--set", "scanNotActiveBrokerInterval=2s"];
    let printed = run(&[&["namesrv", "-p", "-n", "127.0.0.1:9876"], &set[..]].concat());
    assert_eq!((printed.code, printed.complaint.as_str()), (0, ""));
    let lines: Vec<&str> = printed.output.lines().collect();
    for line in [
        "listenPort=9876",
        "connectionsMax=100",
        "scanNotActiveBrokerInterval=2000",
        "kvConfigPath=/home/me/namesrv/kvConfig.json",
        "configStorePath=/home/me/namesrv/namesrv.properties",
        "serverWorkerThreads=8",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{}", printed.output);
    }
    assert!(lines.is_sorted() && lines.len() == 45, "{}", printed.output);

    let command = ["namesrv", "-c", "apache-written.conf", "-p", "--origin"];
    let printed = outcome(ferrymq(&[&command, &set[..]].concat()).env("FERRYMQ_NAMESRV_LISTEN_PORT", "7"));
    let origin = |key: &str| {
        let line = printed.output.lines().find(|line| line.starts_with(key)).unwrap();
        line.split("  ").last().unwrap().trim().to_string()
    };
    assert_eq!(origin("listenPort=7"), "environment FERRYMQ_NAMESRV_LISTEN_PORT");
    assert_eq!(origin("connectionsMax=100"), "command line");
    assert_eq!(origin("enableTopicList=true"), "apache-written.conf:13");
    assert_eq!(origin("frameBytesMax=16777216"), "built in");
}

#[test]
fn what_it_is_called_by_may_be_apaches_command() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("mqnamesrv");
    std::os::unix::fs::symlink(BINARY, &link).unwrap();
    let expected = run(&["namesrv", "-p"]).output;
    assert!(expected.contains("listenPort=9876\n"));
    assert_eq!(outcome(&mut program(&link, &["-p"])).output, expected);
    assert_eq!(outcome(&mut program(&link, &["--printConfigItem", "-n", "a:1;b:2", "c:3"])).output, expected);
    assert_eq!(run(&["mqnamesrv", "-p"]).output, expected);
}

#[test]
fn security_in_javas_options_is_not_lost() {
    let java = |options: &str| outcome(ferrymq(&["namesrv", "--check"]).env("JAVA_OPT_EXT", options));
    assert_eq!(java("-Xmx4g -Dtls.server.mode=permissive -Drocketmq.x=y").code, 0);
    let refused = java("-Xmx4g -Dtls.server.mode=enforcing");
    assert_eq!(refused.code, 3);
    assert!(refused.complaint.contains("--> environment JAVA_OPT_EXT"), "{}", refused.complaint);
}

/// A name server in a home folder of its own, on a free port of the loopback.
struct NameServer {
    process: Child,
    output: BufReader<ChildStdout>,
    home: TempDir,
    port: u16,
}

impl NameServer {
    fn start(text: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("n.conf"), text).unwrap();
        Self::start_in(home)
    }

    fn start_in(home: TempDir) -> Self {
        let arguments =
            ["namesrv", "-c", "n.conf", "--set", "bindAddress=127.0.0.1", "--set", "listenPort=0"];
        let mut command = ferrymq(&arguments);
        command
            .current_dir(home.path())
            .env("HOME", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let line = next_line(&mut output);
        let sentence = "The Name Server boot success. serializeType=JSON, address 127.0.0.1:";
        let port = line.strip_prefix(sentence).and_then(|port| port.parse().ok());
        NameServer { process, output, home, port: port.unwrap_or_else(|| panic!("not ready: {line:?}")) }
    }

    fn file(&self) -> String {
        fs::read_to_string(self.home.path().join("n.conf")).unwrap()
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    fn ask(&self, code: u16, body: &str) -> (String, String) {
        ask(&mut self.connect(), code, body)
    }

    /// Sends a signal and waits for the end: the exit code, the log, and the home folder for the next start.
    fn end(mut self, signal: &str) -> (Option<i32>, String, TempDir) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let code = self.process.wait().unwrap().code();
        let mut log = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        (code, log, home)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request without header fields; gives its answer's header as text and the body.
fn ask(stream: &mut TcpStream, code: u16, body: &str) -> (String, String) {
    let header = format!(
        r#"{{"code":{code},"flag":0,"language":"JAVA","opaque":1,"serializeTypeCurrentRPC":"JSON","version":0}}"#
    );
    let mut frame = Vec::new();
    frame.extend(u32::try_from(4 + header.len() + body.len()).unwrap().to_be_bytes());
    frame.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend(header.bytes().chain(body.bytes()));
    stream.write_all(&frame).unwrap();
    let mut number = [0; 4];
    stream.read_exact(&mut number).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(number) as usize];
    stream.read_exact(&mut answer).unwrap();
    let header_length = u32::from_be_bytes(answer[..4].try_into().unwrap()) as usize & 0xff_ffff;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&answer[4..4 + header_length]), text(&answer[4 + header_length..]))
}

fn next_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_string()
}

#[test]
fn a_server_says_that_it_is_ready_and_stops_when_it_is_told() {
    for signal in ["-TERM", "-INT"] {
        let mut server = NameServer::start("enableTopicList=false\nshutdownWaitTimeSeconds=2\n");
        let line = next_line(&mut server.output);
        let (start, rest) = line.split_once(" ready in ").unwrap();
        assert_eq!(start, concat!("ferrymq ", env!("CARGO_PKG_VERSION"), " name server"));
        let expected = format!(
            " ms, listening on 127.0.0.1:{}, configuration n.conf, key-value table {}/namesrv/kvConfig.json",
            server.port,
            server.home.path().display()
        );
        assert!(rest.ends_with(&expected), "{rest}");
        // A connection that stays open does not hold it up.
        let mut connection = server.connect();
        assert!(ask(&mut connection, 319, "").1.contains("enableTopicList=false"));
        let (code, log, _) = server.end(signal);
        assert_eq!(code, Some(0), "{log}");
        let received = log.find(&format!("SIG{} received: closing all connections", &signal[1..]));
        let stopped = log.find(" stopped\n");
        assert!(received.is_some() && received < stopped, "{log}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = tempfile::tempdir().unwrap();
    let setting = format!("listenPort={port}");
    let mut command = ferrymq(&["namesrv", "--set", "bindAddress=127.0.0.1", "--set", &setting]);
    let refused = outcome(command.env("HOME", home.path()));
    assert_eq!((refused.code, refused.output.as_str()), (1, ""));
    assert!(
        refused.complaint.starts_with(&format!(
            "error[F2001]: port {port} of 127.0.0.1 is in use by another program\n help: "
        )),
        "{}",
        refused.complaint
    );
}

#[test]
fn a_damaged_table_is_not_started_over() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("kv"), "{").unwrap();
    let mut command = ferrymq(&["namesrv", "--set", "kvConfigPath=~/kv", "--set", "listenPort=0"]);
    let refused = outcome(command.env("HOME", home.path()));
    assert_eq!((refused.code, refused.output.as_str()), (1, ""));
    assert!(refused.complaint.starts_with("error[F2004]: "), "{}", refused.complaint);
    assert_eq!(fs::read_to_string(home.path().join("kv")).unwrap(), "{");
}

/// Requests 318 and 319 on the wire: the file keeps what may change, and nothing else does.
#[test]
fn a_change_by_request_outlives_a_restart() {
    let server = NameServer::start("# mine\nenableTopicList = true\nbogus=1\n");
    let (header, _) = server.ask(318, "enableTopicList=false\nscanNotActiveBrokerInterval=4s");
    assert!(header.contains(r#""code":0"#), "{header}");
    let changed = "# mine\nenableTopicList = false\nbogus=1\nscanNotActiveBrokerInterval=4000\n";
    assert_eq!(server.file(), changed);

    let before = server.ask(319, "").1;
    for poc in [
        "configStorePath=/tmp/x",
        "kvConfigPath=/tmp/x",
        "rocketmqHome=/tmp/x",
        "configBlackList=x",
        "listenPort=1",
        "productEnvName=*/1 * * * * root touch /tmp/x",
        "enableTopicList=true\nconfigStorePath=/tmp/x",
        "filterServerNums=1\nrocketmqHome=-c $@|sh . echo touch /tmp/x;",
    ] {
        let (header, _) = server.ask(318, poc);
        assert!(
            header.contains(r#""code":16"#) && header.contains("Can not update config in black list."),
            "{poc}: {header}"
        );
        assert_eq!(server.ask(319, "").1, before, "{poc}");
        assert_eq!(server.file(), changed, "{poc}");
    }

    let (code, _, home) = server.end("-TERM");
    assert_eq!(code, Some(0));
    let shown = NameServer::start_in(home).ask(319, "").1;
    assert!(
        shown.contains("\nenableTopicList=false\n") && shown.contains("\nscanNotActiveBrokerInterval=4000\n"),
        "{shown}"
    );
}
