//! The official Java client in the place of our own: a process that carries out calls, one line each. See `java/Driver.java`.
//!
//! It finds the brokers by its own route table, so who was asked is known only from what a send is answered.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::net::CallError;
use ferrymq_proto::position::{QueueId, QueueOffset};
use ferrymq_proto::text::Text;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::calls::{Outgoing, Pulled};
use crate::cluster::{GROUP, Programs};
use crate::history::Seen;
use crate::message;

/// A virtual machine boots for a while.
const READY_MAX: Duration = Duration::from_secs(60);
/// Calls that wait to be written.
const CALLS_MAX: usize = 1024;
/// Longer than the client itself waits: it says how a call ended.
const PATIENCE: u32 = 3;

type Waiting = Arc<Mutex<Calls>>;

#[derive(Debug, Default)]
struct Calls {
    newest: u64,
    open: HashMap<u64, oneshot::Sender<String>>,
}

/// A handle: clones share the process, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Java {
    /// Guards the calls that wait for their answers, by their numbers.
    waiting: Waiting,
    lines: mpsc::Sender<String>,
    call_max: Duration,
    _process: Arc<Child>,
}

impl Java {
    /// Starts the process and waits until it is ready.
    pub async fn start(
        programs: &Programs,
        name_server: &str,
        topic: &str,
        call_max: Duration,
    ) -> io::Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "java", "-Xmx512m", "-XX:+UseSerialGC"]);
        command.args(["-cp", &programs.java_client_class_path, "Driver", name_server, topic, GROUP]);
        command.arg(call_max.as_millis().to_string());
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the Java client has no pipes"));
        };
        let mut answers = BufReader::new(output);
        let ready = timeout(READY_MAX, is_ready(&mut answers)).await;
        if !matches!(ready, Ok(Ok(true))) {
            return Err(io::Error::other("the Java client did not start"));
        }
        let waiting = Waiting::default();
        let (lines, calls) = mpsc::channel(CALLS_MAX);
        tokio::spawn(write(calls, input));
        tokio::spawn(read(answers, Arc::clone(&waiting)));
        Ok(Self { waiting, lines, call_max, _process: Arc::new(process) })
    }

    /// Returns the words of the answer behind `ok`.
    async fn call(&self, words: &str) -> Result<String, CallError> {
        let (answer, answered) = oneshot::channel();
        let number = {
            let mut calls = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            calls.newest += 1;
            let number = calls.newest;
            calls.open.insert(number, answer);
            number
        };
        let address = || "the Java client".to_owned();
        let closed = || CallError::Closed { address: address() };
        self.lines.send(format!("{number} {words}\n")).await.map_err(|_| closed())?;
        let answer = timeout(self.call_max * PATIENCE, answered).await;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&number);
        let late = || CallError::Timeout { address: address(), after: self.call_max };
        let answer = answer.map_err(|_| late())?.map_err(|_| closed())?;
        let (kind, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        match kind {
            "ok" => Ok(rest.to_owned()),
            "late" => Err(late()),
            "unconnected" => Err(CallError::Connect {
                address: address(),
                source: io::ErrorKind::ConnectionRefused.into(),
            }),
            "refused" => {
                let (code, remark) = rest.split_once(' ').unwrap_or((rest, ""));
                let code = ResponseCode(code.parse().unwrap_or(ResponseCode::SYSTEM_ERROR.0));
                Err(CallError::Refused { code, remark: Text::from(remark) })
            }
            _ => Err(closed()),
        }
    }

    /// Where the first message lies, and the id that the broker gave it.
    pub async fn send(
        &self,
        queue: QueueId,
        messages: &[Outgoing],
    ) -> Result<(QueueOffset, String), CallError> {
        let mut words = format!("send {queue}");
        for message in messages {
            // Writing to a string cannot fail; here and below.
            let _ = write!(words, " {} ", message.id);
            for byte in &message.body {
                let _ = write!(words, "{byte:02x}");
            }
        }
        let answer = self.call(&words).await?;
        let (offset, id) = answer.split_once(' ').ok_or_else(unreadable)?;
        Ok((number(Some(offset))?, id.to_owned()))
    }

    pub async fn pull(&self, queue: QueueId, offset: QueueOffset) -> Result<Pulled, CallError> {
        let answer = self.call(&format!("pull {queue} {offset}")).await?;
        let mut words = answer.split(' ');
        let mut pulled =
            Pulled { next: number(words.next())?, max: number(words.next())?, ..Pulled::default() };
        while let Some(offset) = words.next() {
            let key = words.next().ok_or_else(unreadable)?;
            let body =
                words.next().and_then(|word| bytes_of(word.strip_suffix('.')?)).ok_or_else(unreadable)?;
            pulled.seen.push(Seen {
                id: message::id_in(&body).unwrap_or_default(),
                hash: message::hash(&body, key),
                offset: number(Some(offset))?,
            });
        }
        Ok(pulled)
    }

    pub async fn commit(&self, group: &str, queue: QueueId, offset: QueueOffset) -> Result<(), CallError> {
        self.call(&format!("commit {queue} {group} {offset}")).await.map(drop)
    }

    /// `None`: the broker knows of no offset. This client asks for 0 in that case, and nobody ever commits 0.
    pub async fn fetch(&self, group: &str, queue: QueueId) -> Result<Option<QueueOffset>, CallError> {
        let offset = number(Some(&self.call(&format!("fetch {queue} {group}")).await?))?;
        Ok(Some(offset).filter(|offset| offset.0 > 0))
    }
}

fn unreadable() -> CallError {
    CallError::Closed { address: "the Java client".to_owned() }
}

fn number(word: Option<&str>) -> Result<QueueOffset, CallError> {
    word.and_then(|word| word.parse().ok()).map(QueueOffset).ok_or_else(unreadable)
}

fn bytes_of(digits: &str) -> Option<Bytes> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Reads until the process says that it is ready; its libraries may speak first. False when it has ended.
async fn is_ready(answers: &mut BufReader<ChildStdout>) -> io::Result<bool> {
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        if answers.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn write(mut calls: mpsc::Receiver<String>, mut input: ChildStdin) {
    while let Some(line) = calls.recv().await {
        if input.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Hands answers over, until the process ends: then whoever waits hears that.
async fn read(mut answers: BufReader<ChildStdout>, waiting: Waiting) {
    let mut line = String::new();
    loop {
        line.clear();
        if !answers.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).open.clear();
            return;
        }
        let Some((number, answer)) = line.trim_end().split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        let waiter = waiting.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&number);
        // Whoever asked may have been told to forget it.
        let _ = waiter.map(|waiter| waiter.send(answer.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        assert_eq!(bytes_of("00ff7a"), Some(Bytes::from_static(&[0, 255, 0x7A])));
        assert_eq!(bytes_of(""), Some(Bytes::new()));
        assert_eq!(bytes_of("0g"), None);
        assert_eq!(bytes_of("0é"), None);
    }
}
