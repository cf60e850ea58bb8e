//! Servers that one test has for itself.
//!
//! A node that is killed and started again needs the port that it had. Were it one that the system gives away, somebody else might
//! have it by then: at worst a node of another test, which would answer in its place.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Below those that the system gives away.
const FIRST_PORT: u16 = 21_000;
/// A broker also takes the port two below its own, and a master the one above.
const APART: u16 = 4;
const NAME_SERVER_PORT: u16 = FIRST_PORT - APART;
/// The system needs moments for it, unless the machine has no time.
const FREEZE_MAX: Duration = Duration::from_secs(60);

/// The port of a broker at such an address.
pub fn broker_port(number: usize) -> u16 {
    FIRST_PORT + APART * number as u16
}

/// And where the other nodes of its group find it: no node of a group is such a master.
pub fn peer_port(number: usize) -> u16 {
    broker_port(number) + 1
}

/// An address of this machine that nobody else has, in this process or another one that runs.
pub fn own_address() -> Ipv4Addr {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, GIVEN.fetch_add(1, Ordering::Relaxed))
}

/// Lets a process do nothing more. The system stops each of its threads a moment after it was told, and this waits for the last.
pub fn freeze(process: &Child) {
    signal(process, Signal::STOP);
    let tasks = format!("/proc/{}/task", process.id());
    let state = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).unwrap_or_default();
    // The state stands behind the name, which is in brackets.
    let is_stopped = |stat: String| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"));
    let until = Instant::now() + FREEZE_MAX;
    while !fs::read_dir(&tasks).unwrap().all(|task| is_stopped(state(task.unwrap()))) {
        assert!(Instant::now() < until, "{} goes on", process.id());
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn thaw(process: &Child) {
    signal(process, Signal::CONT);
}

pub fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

/// A name server at such an address.
pub struct NameServer {
    process: Child,
    pub address: String,
}

impl NameServer {
    pub fn start(home: Ipv4Addr) -> Self {
        let settings = [format!("bindAddress={home}"), format!("listenPort={NAME_SERVER_PORT}")];
        let mut process = Command::new(env!("CARGO_BIN_EXE_ferrymq"))
            .args(["namesrv", "--set", &settings[0], "--set", &settings[1]])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("boot success"), "{line}");
        Self { process, address: format!("{home}:{NAME_SERVER_PORT}") }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
