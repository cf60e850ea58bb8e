//! What cannot be is refused with one sentence and the right exit code, and whatever was started is ended, however it ends.

#![allow(clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const UNKNOWN: i32 = 2;
const BAD_ARGUMENTS: i32 = 254;
/// For something to happen that must happen.
const SOON: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

fn jepsen(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jepsen"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// It ended with this code, and said this in one sentence.
fn assert_refused(output: &Output, code: i32, sentence: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains(sentence), "{said}");
}

/// A program in the place of a broker's: it leaves its process id and does what it is told.
fn broker_that(folder: &Path, does: &str) -> PathBuf {
    let path = folder.join("broker");
    let script = format!("#!/bin/sh\necho $$ >> {}\n{does}\n", pids(folder).display());
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("allowed");
    path
}

fn pids(folder: &Path) -> PathBuf {
    folder.join("pids")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(POLL);
    }
}

/// Starts a run whose brokers never serve, and waits until one of its processes is there.
fn hanging_run(folder: &Path, words: &[&str]) -> (Child, u32) {
    let broker = broker_that(folder, "exec sleep 600");
    let run = jepsen(words).arg("--ferrymq").arg(broker).current_dir(folder).spawn().expect("started");
    let child = until("a process", || fs::read_to_string(pids(folder)).ok()?.lines().next()?.parse().ok());
    (run, child)
}

fn signal(process: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(process.id()).expect("an id")).expect("an id");
    kill_process(id, signal).expect("it is there");
}

fn is_gone(process: u32) -> bool {
    // One that has ended and that nobody has asked for yet is gone as well.
    fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn what_does_not_exist() {
    let cases = [
        ("test --workload chess", "there is no workload chess"),
        ("test --nemesis earthquake", "there is no fault earthquake"),
        ("test --system ferrymq-classic --nodes 2 --nemesis wipe-dance", "for groups that elect a leader"),
        ("test --system ferrymq-raft --mode sync-ms", "has no mode sync-ms"),
        ("test --backend compose --nemesis disk-full-one", "cannot be done to containers"),
        ("test --expect invalid:found", "no checker reports found"),
        ("test-all --suite pr --system kafka", "there is no system kafka"),
        ("check --history none.jsonl", "none.jsonl"),
        ("check --history none.jsonl --checker chess", "none.jsonl"),
        ("replay --plan none.json", "cannot read none.json"),
        ("report none", "cannot read none/plan.json"),
        ("export --history none.jsonl", "none.jsonl"),
    ];
    for (line, sentence) in cases {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_refused(&jepsen(&words).output().expect("started"), BAD_ARGUMENTS, sentence);
    }
    assert_eq!(jepsen(&["tset"]).output().expect("started").status.code(), Some(BAD_ARGUMENTS));
}

#[test]
fn damaged_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged");
    let shown = path.display().to_string();
    let begin =
        r#"{"index":0,"time":1,"process":"observer","type":"info","f":"phase","value":{"phase":"load"}}"#;
    let cases = [
        ("{".to_owned(), "line 1 of the history is no event"),
        ("\u{0}\u{1}".to_owned(), "line 1 of the history is no event"),
        (format!("{begin}\n{{\"index\":1,\"ti\n{begin}\n"), "line 2 of the history is no event"),
        (format!("{begin}\n{begin}\n"), "line 2 of the history is out of order"),
    ];
    for (damaged, sentence) in cases {
        fs::write(&path, damaged).expect("written");
        for words in [["check", "--history", &shown], ["export", "--history", &shown]] {
            assert_refused(&jepsen(&words).output().expect("started"), BAD_ARGUMENTS, sentence);
        }
    }
    // Cut off at the end of a line, or before the first: nothing contradicts it, and it shows too little.
    for cut_off in [String::new(), format!("{begin}\n")] {
        fs::write(&path, cut_off).expect("written");
        let checked = jepsen(&["check", "--history", &shown]).output().expect("started");
        assert_eq!(checked.status.code(), Some(UNKNOWN));
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(said.contains("unknown because the final reads were not completed"), "{said}");
    }
    for (damaged, sentence) in
        [("{", "cannot be read"), (r#"{"system":"kafka"}"#, "there is no system kafka")]
    {
        fs::write(&path, damaged).expect("written");
        assert_refused(
            &jepsen(&["replay", "--plan", &shown]).output().expect("started"),
            BAD_ARGUMENTS,
            sentence,
        );
    }
}

#[test]
fn a_system_that_never_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker_that(folder.path(), "echo no licence; exit 3");
    let store = folder.path().join("store").display().to_string();
    let run = jepsen(&["test", "--store", &store, "--ferrymq"]).arg(&broker).output().expect("started");
    assert_refused(&run, UNKNOWN, "did not start: no licence");
    let missing = jepsen(&["test", "--ferrymq", "nowhere"]).output().expect("started");
    assert_refused(&missing, UNKNOWN, "there is no nowhere");
}

#[test]
fn a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker_that(folder.path(), "exit 3");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let run =
        jepsen(&["test", "--ferrymq"]).arg(&broker).arg("--store").arg(&file).output().expect("started");
    assert_refused(&run, UNKNOWN, "the run cannot be written to");
}

/// On a file system that is full, which only root can make.
#[test]
fn a_folder_without_room() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nothing to see");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker_that(folder.path(), "exit 3");
    let full = folder.path().join("full");
    fs::create_dir(&full).expect("made");
    let script = "mount -t tmpfs -o size=64k none \"$1\" || exit 99; head -c 1m /dev/zero >\"$1/ballast\" 2>/dev/null; \
                  exec \"$2\" test --ferrymq \"$3\" --store \"$1/store\"";
    let mut run = Command::new("unshare");
    run.args(["--mount", "--propagation", "private", "--", "sh", "-c", script, "sh"]);
    run.arg(&full).arg(env!("CARGO_BIN_EXE_jepsen")).arg(&broker);
    assert_refused(&run.output().expect("started"), UNKNOWN, "the run cannot be written to");
}

#[test]
fn nothing_goes_on_after_an_interruption() {
    for (number, expected) in
        [(Signal::INT, Some(UNKNOWN)), (Signal::TERM, Some(UNKNOWN)), (Signal::KILL, None)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, child) = hanging_run(folder.path(), &["test"]);
        signal(&run, number);
        let ended = run.wait_with_output().expect("ended");
        assert_eq!(ended.status.code(), expected, "{number:?}");
        if expected.is_some() {
            assert_refused(&ended, UNKNOWN, "interrupted");
        }
        until("the end of its process", || is_gone(child).then_some(()));
    }
}

#[test]
fn nothing_of_a_suite_goes_on_either() {
    for number in [Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, child) = hanging_run(folder.path(), &["test-all", "--suite", "pr"]);
        signal(&run, number);
        run.wait_with_output().expect("ended");
        until("the end of its process", || is_gone(child).then_some(()));
    }
}

/// With file systems of its own, which only root can have.
#[test]
fn nothing_stays_mounted_after_an_interruption() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/loop-control").exists() {
        eprintln!("no file systems of our own: nothing to see");
        return;
    }
    for number in [Signal::INT, Signal::KILL] {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, child) = hanging_run(folder.path(), &["test", "--nemesis", "powercut-all"]);
        signal(&run, number);
        run.wait_with_output().expect("ended");
        until("the end of its process", || is_gone(child).then_some(()));
        let own = folder.path().display().to_string();
        until("the end of its file systems", || {
            let mounts = fs::read_to_string("/proc/mounts").expect("a table");
            let loops = Command::new("losetup").arg("--list").output().expect("a list");
            let kept = mounts.contains(&own) || String::from_utf8_lossy(&loops.stdout).contains(&own);
            (!kept).then_some(())
        });
    }
}
