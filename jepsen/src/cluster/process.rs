//! Child processes: each leads a process group of its own, writes to a log, and dies with the harness, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a process may take to leave after SIGKILL. One that writes to a frozen disk leaves when it thaws.
const LEAVE_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// What a process is started with.
#[derive(Clone, Debug)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub log: PathBuf,
}

/// A process that was started. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    log: PathBuf,
    /// Where in the log its own output begins.
    log_start: u64,
}

impl Process {
    /// Must be called from a thread that lives as long as the harness: Linux ends the child with the thread that started it.
    pub fn start(launch: &Launch) -> io::Result<Self> {
        if let Some(folder) = launch.log.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&launch.log)?;
        let log_start = log.metadata()?.len();
        // setpriv asks for the death signal and then becomes the program: the process id stays.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&launch.program)
            .args(&launch.arguments)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(Self { child, group, log: launch.log.clone(), log_start })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs. A paused process does.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL to its whole group; returns when it is gone.
    pub async fn kill(&mut self) -> io::Result<()> {
        // It may be gone already, and its group with it.
        let _ = kill_process_group(self.group, Signal::KILL);
        let deadline = tokio::time::Instant::now() + LEAVE_MAX;
        while self.is_alive() {
            if tokio::time::Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the process did not leave after SIGKILL",
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    pub fn pause(&self) -> io::Result<()> {
        Ok(kill_process_group(self.group, Signal::STOP)?)
    }

    pub fn resume(&self) -> io::Result<()> {
        Ok(kill_process_group(self.group, Signal::CONT)?)
    }

    /// The letter that Linux gives its state: `T` when it is paused. `None` when it is gone.
    pub fn state(&self) -> Option<char> {
        state_in(&fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?)
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        read_from(&self.log, self.log_start).unwrap_or_default()
    }
}

/// The state is behind the name, which stands in parentheses and may hold anything.
fn state_in(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn read_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(folder: &Path, script: &str) -> Launch {
        Launch {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("WORD".into(), "ready".into())],
            log: folder.join("log"),
        }
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..2000 {
            if condition() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("never: {what}");
    }

    #[tokio::test]
    async fn is_paused_resumed_and_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        // The shell itself must be what stops: one that just starts a program in the foreground waits (vfork) for a child that
        // may have been stopped before it became that program.
        let script = "sleep 60 & echo $WORD; wait";
        let mut process = Process::start(&launch(folder.path(), script)).expect("started");
        until("its output", || process.output() == "ready\n").await;
        process.pause().expect("paused");
        until("paused", || process.state() == Some('T')).await;
        assert!(process.is_alive());
        process.resume().expect("resumed");
        until("resumed", || process.state() != Some('T')).await;
        process.kill().await.expect("gone");
        assert!(!process.is_alive());
    }

    #[tokio::test]
    async fn output_begins_with_each_start() {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            let mut process = Process::start(&launch(folder.path(), "echo $WORD")).expect("started");
            until("its output", || process.output() == "ready\n").await;
            process.kill().await.expect("gone");
        }
    }

    #[test]
    fn a_program_that_does_not_exist() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = Launch { program: folder.path().join("none"), ..launch(folder.path(), "") };
        let mut process = Process::start(&missing).expect("setpriv itself starts");
        let _ = process.child.wait();
        assert!(!process.is_alive());
        assert!(process.output().contains("none"), "{}", process.output());
    }

    #[test]
    fn states() {
        assert_eq!(state_in("17 (a) b) T 1 2"), Some('T'));
        assert_eq!(state_in(""), None);
    }
}
