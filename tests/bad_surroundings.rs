//! A broker in surroundings that are not as they should be: it says what is wrong and what to do, or waits and goes on.
//!
//! Wrong words in files are in tests/cli, a taken port in tests/broker_cli.rs, foreign `Host` headers and path tricks in
//! tests/dev_group.rs, old clients in tests/interop (4.9.8), a disk without room in `jepsen` (disk-full).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use program::{BINARY, Outcome, outcome};
use tempfile::TempDir;

#[allow(dead_code, reason = "other tests need the rest")]
mod program;

const PATIENCE: Duration = Duration::from_secs(30);
/// A user without any rights.
const NOBODY: u32 = 65_534;

/// The settings of a broker on this machine alone.
const ALONE: [&str; 3] = ["bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "listenPort=0"];

/// A server, and what it says. Dropping it ends it.
struct Running {
    process: Child,
    said: Receiver<String>,
}

impl Running {
    fn start(home: &TempDir, arguments: &[&str]) -> Self {
        let mut command = program::program(Path::new(BINARY), arguments, home.path());
        command.env("HOME", home.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (tell, said) = channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(process.stdout.take().unwrap()), Box::new(process.stderr.take().unwrap())];
        for stream in streams {
            let tell = tell.clone();
            std::thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
            });
        }
        Self { process, said }
    }

    fn broker(home: &TempDir, settings: &[&str]) -> Self {
        let settings = ALONE.iter().chain(settings).flat_map(|setting| ["--set", setting]);
        Self::start(home, &["broker"].into_iter().chain(settings).collect::<Vec<_>>())
    }

    fn wait_for(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut all = String::new();
        while let Ok(line) = self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(text) {
                return line;
            }
            all += &format!("{line}\n");
        }
        panic!("never said: {text}\n{all}")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn broker(home: &TempDir, more: &[&str]) -> Outcome {
    let usual = ["broker", "--set", "bindAddress=127.0.0.1", "--set", "listenPort=0"];
    let arguments: Vec<&str> = usual.iter().chain(more).copied().collect();
    let mut command = program::program(Path::new(BINARY), &arguments, home.path());
    outcome(command.env("HOME", home.path()))
}

fn refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!((outcome.code, outcome.output.as_str()), (1, ""), "{}", outcome.complaint);
    for part in parts {
        assert!(outcome.complaint.contains(part), "{part}: {}", outcome.complaint);
    }
}

#[test]
fn a_name_server_that_is_down_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let names = format!("namesrvAddr={address}");
    let broker = Running::broker(&home, &["registerNameServerPeriod=10000", &names]);
    let complaint = broker.wait_for("this broker could not be registered; trying again");
    assert!(complaint.contains(&address), "{complaint}");
    let server_home = tempfile::tempdir().unwrap();
    let listen = format!("listenPort={port}");
    let server =
        Running::start(&server_home, &["namesrv", "--set", "bindAddress=127.0.0.1", "--set", &listen]);
    server.wait_for("boot success");
    broker.wait_for("registered again");
    let mut status = Command::new(BINARY);
    let status = outcome(status.args(["cluster", "status", "-n", &address]));
    assert!(status.code == 0 && status.output.contains(" leader "), "{status:?}");
}

#[test]
fn an_advertised_name_that_nobody_knows_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let said = broker(&home, &["--set", "brokerIP1=no.such.host.invalid"]);
    refused(&said, &["error[F2002]: brokerIP1=no.such.host.invalid", " help: set brokerIP1 to an address"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().unwrap();
    // Whoever runs the tests, root too, can make no folder below a file.
    fs::write(home.path().join("file"), "").unwrap();
    let folder = home.path().join("file/store");
    let setting = format!("storePathRootDir={}", folder.display());
    let said = broker(&home, &["--set", "brokerIP1=127.0.0.1", "--set", &setting]);
    refused(&said, &["error[F2005]: ", folder.to_str().unwrap(), " help: "]);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("theirs");
    fs::create_dir(&folder).unwrap();
    let may = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    may(&folder, 0o555);
    let setting = format!("storePathRootDir={}/store", folder.display());
    let mut binary = PathBuf::from(BINARY);
    // Root may write anywhere. Then somebody else starts it, from where he may read it.
    let is_root = fs::write(folder.join("probe"), "").is_ok();
    if is_root {
        binary = home.path().join("ferrymq");
        fs::copy(BINARY, &binary).unwrap();
        may(home.path(), 0o755);
    }
    let arguments = ["broker", "--set", "listenPort=0", "--set", "brokerIP1=127.0.0.1", "--set", &setting];
    let mut command = program::program(&binary, &arguments, home.path());
    command.env("HOME", home.path());
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let said = outcome(&mut command);
    refused(&said, &["error[F2005]: ", "ermission denied", " help: "]);
}

#[test]
fn a_disk_that_is_nearly_full_refuses_sends_and_says_why() {
    let home = tempfile::tempdir().unwrap();
    let server_home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let (listen, names) = (format!("listenPort={port}"), format!("namesrvAddr=127.0.0.1:{port}"));
    let server =
        Running::start(&server_home, &["namesrv", "--set", "bindAddress=127.0.0.1", "--set", &listen]);
    server.wait_for("boot success");
    let broker = Running::broker(&home, &["diskSpaceWarningLevelRatio=1", &names]);
    broker.wait_for("boot success");
    let address = format!("127.0.0.1:{port}");
    let until = Instant::now() + PATIENCE;
    let complaint = loop {
        let mut send = Command::new(BINARY);
        let sent = outcome(send.args(["topic", "produce", "full", "text", "-n", &address]));
        // The disk is looked at a moment after the start.
        if sent.complaint.contains("disk") {
            assert_ne!(sent.code, 0);
            break sent.complaint;
        }
        assert!(Instant::now() < until, "{sent:?}");
    };
    assert!(complaint.contains("service not available now") && complaint.contains(" help: "), "{complaint}");
}
