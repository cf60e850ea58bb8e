//! `ferrymq broker` from outside: what it prints, and how it ends.
//!
//! `tests/cli/broker/*.conf` are checked, plainly and with --strict, and the outcome is compared with the `.txt` beside each.
//! After a wanted change: `UPDATE=1 cargo test -p ferrymq --test broker_cli`, and read the difference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use program::{BINARY, checked_files, noticed_typos, outcome, program, recorded_codes};
use tempfile::TempDir;

mod program;

fn scripts() -> PathBuf {
    program::scripts().join("broker")
}

fn broker(arguments: &[&str]) -> Command {
    program(Path::new(BINARY), &[&["broker"], arguments].concat(), &scripts())
}

/// Set everywhere, since each machine has other ones built in.
const OF_THIS_MACHINE: [&str; 4] = ["--set", "brokerIP1=10.0.0.1", "--set", "brokerIP2=10.0.0.1"];

#[test]
fn files_are_checked() {
    assert!(checked_files("broker", &scripts(), &[]) >= 16);
}

#[test]
fn every_typo_is_noticed() {
    assert_eq!(noticed_typos("broker", &scripts(), "typos.conf"), 50);
}

#[test]
fn every_code_that_is_shown_can_be_explained() {
    let codes = recorded_codes(&scripts());
    assert!(codes.len() >= 5, "{codes:?}");
    for code in codes {
        let explained = outcome(&mut program(Path::new(BINARY), &["explain", &code], &scripts()));
        assert_eq!(explained.code, 0, "{code}");
    }
}

#[test]
fn a_secret_is_in_no_message() {
    let checked = outcome(&mut broker(&["-c", "security.conf", "--check", "--strict"]));
    assert_eq!(checked.code, 3);
    assert!(!checked.complaint.contains("hunter2"), "{}", checked.complaint);
}

/// As Apache does: the command line, else the file, else the variable.
#[test]
fn where_the_name_servers_come_from() {
    let name_servers = |arguments: &[&str]| {
        let mut command = broker(&[arguments, &["-p", "--origin"], &OF_THIS_MACHINE].concat());
        let printed = outcome(command.env("NAMESRV_ADDR", "variable:1"));
        assert_eq!(printed.code, 0, "{}", printed.complaint);
        let line = printed.output.lines().find(|line| line.starts_with("namesrvAddr")).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(name_servers(&["-c", "single.conf"]), "namesrvAddr=variable:1 environment NAMESRV_ADDR");
    assert_eq!(name_servers(&["-c", "raft-n0.conf"]), "namesrvAddr=127.0.0.1:9876 raft-n0.conf:5");
    assert_eq!(name_servers(&["-c", "raft-n0.conf", "-n", "a:1;b:2"]), "namesrvAddr=a:1;b:2 command line");
    assert_eq!(name_servers(&["-n", "a:1", "b:2"]), "namesrvAddr=a:1;b:2 command line");

    let slave = |more: &[&str]| outcome(&mut broker(&[&["-c", "slave.conf", "--check"], more].concat())).code;
    assert_eq!((slave(&[]), slave(&["-n", "127.0.0.1:9876"])), (3, 0));
}

#[test]
fn print_and_print_important() {
    let file = ["-c", "single.conf"];
    let printed = outcome(&mut broker(&[&file[..], &["-p"], &OF_THIS_MACHINE].concat()));
    assert_eq!((printed.code, printed.complaint.as_str()), (0, ""));
    let all: Vec<&str> = printed.output.lines().collect();
    for line in [
        "brokerName=broker-a",
        "fileReservedTime=48",
        "listenPort=10911",
        "storePathRootDir=/home/me/store",
        "popPollingSize=1024",
        "brokerIP1=10.0.0.1",
    ] {
        assert!(all.contains(&line), "{line} is not in\n{}", printed.output);
    }
    assert!(all.is_sorted() && all.len() > 480, "{}", all.len());

    let printed = outcome(&mut broker(&[&file[..], &["-m"], &OF_THIS_MACHINE].concat()));
    assert_eq!((printed.code, printed.complaint.as_str()), (0, ""));
    let important: Vec<&str> = printed.output.lines().collect();
    assert!(important.contains(&"fileReservedTime=48") && !important.contains(&"popPollingSize=1024"));
    assert!(important.iter().all(|line| all.contains(line)) && important.len() > 30, "{important:?}");

    assert_eq!(outcome(&mut broker(&["-p", "-m"])).code, 2);
    assert_eq!(outcome(&mut broker(&["--origin"])).code, 2);
}

#[test]
fn what_it_is_called_by_may_be_apaches_command() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("mqbroker");
    std::os::unix::fs::symlink(BINARY, &link).unwrap();
    let expected = outcome(&mut broker(&["-c", "single.conf", "-m"])).output;
    assert!(expected.contains("brokerName=broker-a\n"));
    for arguments in
        [&["-c", "single.conf", "-m"][..], &["--configFile", "single.conf", "--printImportantConfig"]]
    {
        assert_eq!(outcome(&mut program(&link, arguments, &scripts())).output, expected);
    }
    let arguments = ["mqbroker", "-c", "single.conf", "-m"];
    assert_eq!(outcome(&mut program(Path::new(BINARY), &arguments, &scripts())).output, expected);
}

/// A broker in a home folder of its own, on a free port of the loopback.
struct Broker {
    process: Child,
    output: BufReader<ChildStdout>,
    home: TempDir,
    sentence: String,
    port: u16,
}

impl Broker {
    fn start(home: TempDir, more: &[&str]) -> Self {
        let arguments = ["broker", "--set", "bindAddress=127.0.0.1", "--set", "brokerIP1=127.0.0.1"];
        let arguments =
            [&arguments[..], &["--set", "brokerName=broker-a", "--set", "listenPort=0"], more].concat();
        let mut command = program(Path::new(BINARY), &arguments, home.path());
        command.env("HOME", home.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let sentence = next_line(&mut output);
        let rest = sentence.strip_prefix("The broker[broker-a, 127.0.0.1:").unwrap_or_default();
        let port = rest.split(']').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| {
            let mut log = String::new();
            process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("not ready: {sentence:?}\n{log}")
        });
        Broker { process, output, home, sentence, port }
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

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn next_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_string()
}

#[test]
fn a_broker_says_that_it_is_ready_and_stops_when_it_is_told() {
    let mut home = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut broker = Broker::start(home, &[]);
        let ending = "] boot success. serializeType=JSON";
        assert!(broker.sentence.ends_with(ending), "{}", broker.sentence);
        let line = next_line(&mut broker.output);
        let (start, rest) = line.split_once(" ready in ").unwrap();
        assert_eq!(start, concat!("ferrymq ", env!("CARGO_PKG_VERSION"), " broker"));
        let expected = format!(
            " ms, listening on 127.0.0.1:{}, built-in configuration, store {}/store",
            broker.port,
            broker.home.path().display()
        );
        assert!(rest.ends_with(&expected), "{rest}");
        // A connection that stays open does not hold it up.
        let _connection = TcpStream::connect(("127.0.0.1", broker.port)).unwrap();
        let (code, log, left) = broker.end(signal);
        assert_eq!(code, Some(0), "{log}");
        let received = log.find(&format!("SIG{} received: closing all connections", &signal[1..]));
        let stopped = log.find(" stopped\n");
        assert!(received.is_some() && received < stopped, "{log}");
        home = left;
    }
}

#[test]
fn apaches_sentence_names_the_name_servers_as_they_are_written() {
    // Nobody listens there: the broker starts all the same.
    let broker = Broker::start(tempfile::tempdir().unwrap(), &["-n", "127.0.0.1:1;127.0.0.1:2"]);
    let ending = "] boot success. serializeType=JSON and name server is 127.0.0.1:1;127.0.0.1:2";
    assert!(broker.sentence.ends_with(ending), "{}", broker.sentence);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = tempfile::tempdir().unwrap();
    let setting = format!("listenPort={port}");
    let mut command = broker(&["--set", "bindAddress=127.0.0.1", "--set", &setting]);
    let refused = outcome(command.env("HOME", home.path()));
    assert_eq!((refused.code, refused.output.as_str()), (1, ""));
    let expected = format!("error[F2001]: port {port} of 127.0.0.1 is in use by another program\n help: ");
    assert!(refused.complaint.contains(&expected), "{}", refused.complaint);
    // Who cannot have the port does not touch the store.
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("store/config")).unwrap();
    fs::write(home.path().join("store/config/topics.json"), "{").unwrap();
    let mut command = broker(&["--set", "bindAddress=127.0.0.1", "--set", "listenPort=0"]);
    let refused = outcome(command.env("HOME", home.path()));
    assert_eq!((refused.code, refused.output.as_str()), (1, ""));
    assert!(refused.complaint.contains("error[F2005]: "), "{}", refused.complaint);
    assert!(refused.complaint.contains("topics.json"), "{}", refused.complaint);
    assert_eq!(fs::read_to_string(home.path().join("store/config/topics.json")).unwrap(), "{");
}
