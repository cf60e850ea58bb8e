//! The processes of `ferrymq dev`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use crate::cli::remote::Failure;

pub const NAME_SERVER: &str = "name server";
/// What a server prints when it can be reached. Apache's sentence, which scripts look for.
const READY: &str = "boot success";
/// Tells a server that it is to end with the process that started it.
pub const ENDS_WITH_PARENT: &str = "FERRYMQ_ENDS_WITH_PARENT";

#[derive(Debug)]
pub struct Child {
    name: String,
    process: tokio::process::Child,
    output: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

#[derive(Debug, Default)]
pub struct Children {
    running: Vec<Child>,
    /// When each that ended is to start again.
    away: BTreeMap<String, Instant>,
}

impl Child {
    /// What it has to say goes into a file beside the others'.
    fn spawn(name: &str, arguments: Vec<String>, folder: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::operation(format!("{name} could not be started: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        let written = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(written)
            .kill_on_drop(true);
        // A Ctrl-C is for us alone: we end the others in order.
        command.process_group(0).env(ENDS_WITH_PARENT, "true").env_remove("NAMESRV_ADDR");
        let mut process = command.spawn().map_err(failed)?;
        let output = process.stdout.take().map(BufReader::new);
        Ok(Self { name: name.to_owned(), process, output, log })
    }

    /// Starts it, and waits until it says that it can be reached.
    pub async fn start(
        name: &str,
        arguments: Vec<String>,
        folder: &Path,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let mut child = Self::spawn(name, arguments, folder)?;
        child.ready(patience).await?;
        Ok(child)
    }

    async fn ready(&mut self, patience: Duration) -> Result<(), Failure> {
        let Some(output) = self.output.as_mut() else { return Ok(()) };
        let found = timeout(patience, async {
            let mut line = String::new();
            loop {
                line.clear();
                if output.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return false;
                }
                if line.contains(READY) {
                    return true;
                }
            }
        });
        match found.await {
            Ok(true) => {
                self.drain();
                Ok(())
            }
            Ok(false) => {
                Err(Failure::operation(format!("{} did not start:\n{}", self.name, self.last_words())))
            }
            Err(_) => Err(Failure::operation(format!("{} was not ready within {patience:?}", self.name))),
        }
    }

    /// The end of its log. The folder may be gone before anybody can look.
    fn last_words(&self) -> String {
        const LINES: usize = 10;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
    }

    /// Nobody needs what it prints from now on, but it must not wait for a reader.
    fn drain(&mut self) {
        if let Some(mut output) = self.output.take() {
            tokio::spawn(async move {
                let mut line = String::new();
                while output.read_line(&mut line).await.unwrap_or(0) > 0 {
                    line.clear();
                }
            });
        }
    }

    fn id(&self) -> Option<u32> {
        self.process.id()
    }

    fn ask_to_end(&self) {
        let pid = self.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Children {
    pub fn add(&mut self, child: Child) {
        self.running.push(child);
    }

    pub fn add_starting(&mut self, name: &str, arguments: Vec<String>, folder: &Path) -> Result<(), Failure> {
        self.away.remove(name);
        self.running.push(Child::spawn(name, arguments, folder)?);
        Ok(())
    }

    pub async fn all_ready(&mut self, patience: Duration) -> Result<(), Failure> {
        for child in &mut self.running {
            child.ready(patience).await?;
        }
        Ok(())
    }

    /// Those that ended since the last time, and how.
    pub fn ended(&mut self) -> Vec<(String, String)> {
        let mut ended = Vec::new();
        self.running.retain_mut(|child| match child.process.try_wait() {
            Ok(Some(status)) => {
                ended.push((child.name.clone(), how(status)));
                false
            }
            _ => true,
        });
        // Whoever came later prints on.
        self.running.iter_mut().for_each(Child::drain);
        ended
    }

    pub fn away(&mut self, name: String, until: Instant) {
        self.away.insert(name, until);
    }

    pub fn is_away(&self, name: &str) -> bool {
        self.away.contains_key(name)
    }

    pub fn due(&self, now: Instant) -> Vec<String> {
        self.away.iter().filter(|(_, until)| **until <= now).map(|(name, _)| name.clone()).collect()
    }

    pub fn id(&self, name: &str) -> Option<u32> {
        self.running.iter().find(|child| child.name == name).and_then(Child::id)
    }

    /// Ends the brokers, and then the name server, which they still tell that they go.
    pub async fn end(&mut self, patience: Duration) {
        let (first, last): (Vec<Child>, Vec<Child>) =
            self.running.drain(..).partition(|child| child.name != NAME_SERVER);
        for mut group in [first, last] {
            group.iter().for_each(Child::ask_to_end);
            for child in &mut group {
                // What is left is killed when it is dropped.
                let _ = timeout(patience, child.process.wait()).await;
            }
        }
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "killed".to_owned(),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
