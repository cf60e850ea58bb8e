//! A development group, and asking it.
#![allow(dead_code, reason = "each test needs another part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::{self, BINARY, Outcome, outcome};

const PATIENCE: Duration = Duration::from_secs(30);

/// A development group on ports of its own. Dropping it ends it.
pub struct Dev {
    child: Child,
    pub folder: TempDir,
    pub name_server: String,
    http: String,
}

impl Dev {
    pub fn start(nodes: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["dev", "--free-ports", "--nodes", nodes];
        let mut command = program::program(Path::new(BINARY), &arguments, folder.path());
        // Where it notes what runs: each group in a place of its own.
        command.env("XDG_RUNTIME_DIR", folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut welcome = Vec::new();
        for line in &mut lines {
            welcome.push(line.unwrap());
            if welcome.last().unwrap().starts_with("end it:") {
                break;
            }
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let after = |mark: &str| {
            let line = welcome.iter().find(|line| line.contains(mark)).unwrap();
            line.split(mark).nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
        };
        let http = after("http://").trim_end_matches("/metrics").to_owned();
        Self { name_server: after("NAMESRV_ADDR="), http, child, folder }
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::program(Path::new(BINARY), arguments, self.folder.path());
        command.env("XDG_RUNTIME_DIR", self.folder.path()).env("NAMESRV_ADDR", &self.name_server);
        command
    }

    /// What a command prints that does not end by itself. Dropping it ends the command.
    pub fn lines(&self, line: &str) -> impl Iterator<Item = String> {
        let mut command = self.command(&line.split_whitespace().collect::<Vec<_>>());
        let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
        std::iter::from_fn(move || {
            let _ends_with_it = &mut running;
            lines.next().map(Result::unwrap)
        })
    }

    /// What a command prints that must succeed.
    pub fn ok(&self, line: &str) -> String {
        let run = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(run.code, 0, "ferrymq {line}: {}{}", run.output, run.complaint);
        run.output
    }

    pub fn code(&self, line: &str) -> i32 {
        self.run(&line.split_whitespace().collect::<Vec<_>>()).code
    }

    /// The status and the body of an HTTP answer.
    pub fn get(&self, request: &str, host: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It ends its children, and removes its folder.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

pub fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(100));
    }
}
