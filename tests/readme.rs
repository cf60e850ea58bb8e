//! The examples of the README do what they show.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The `$` lines of console blocks, each with the lines shown below it.
fn examples() -> Vec<(String, Vec<String>)> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut examples = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => examples.push((command.to_owned(), Vec::new())),
                None => examples.last_mut().unwrap().1.push(line.to_owned()),
            }
        }
    }
    examples
}

#[test]
fn what_is_run_prints_what_is_shown() {
    let examples = examples();
    let ours: Vec<_> = examples
        .iter()
        .filter_map(|(command, shown)| Some((command.strip_prefix("cargo run --release -- ")?, shown)))
        .collect();
    assert!(!ours.is_empty(), "{examples:?}");
    for (arguments, shown) in ours {
        let home = tempfile::tempdir().unwrap();
        // Ports of its own, so that tests may run beside a real server; the rest is as the reader types it.
        let mut process = Command::new(env!("CARGO_BIN_EXE_ferrymq"))
            .args(arguments.split(' '))
            .arg("--free-ports")
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let printed: Vec<_> = output.lines().take(shown.len()).map(Result::unwrap).collect();
        let group = Command::new("kill").arg(process.id().to_string()).status().unwrap();
        assert!(group.success() && process.wait().unwrap().success());
        // How long it took is another time each time.
        let untimed = |line: &String| {
            let words = line.split(' ');
            words.filter(|word| word.parse::<f64>().is_err()).collect::<Vec<_>>().join(" ")
        };
        let printed: Vec<_> = printed.iter().map(untimed).collect();
        assert_eq!(printed, shown.iter().map(untimed).collect::<Vec<_>>(), "{arguments}");
    }
}

#[test]
fn the_test_command_is_the_one_that_ci_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tested =
        examples().into_iter().map(|(command, _)| command).find(|command| command.starts_with("cargo test"));
    let ci = fs::read_to_string(root.join(".ci/run")).unwrap();
    assert!(
        ci.lines().any(|line| line.starts_with(&tested.clone().unwrap())),
        "{tested:?} is not in .ci/run"
    );
}
