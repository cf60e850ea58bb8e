//! The real binary, called from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const BINARY: &str = env!("CARGO_BIN_EXE_ferrymq");

/// `tests/cli`.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

/// A binary in a clean environment.
pub fn program(binary: &Path, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().env("HOME", "/home/me").current_dir(folder);
    command
}

#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub output: String,
    pub complaint: String,
}

pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        output: String::from_utf8(output.stdout).unwrap(),
        complaint: String::from_utf8(output.stderr).unwrap(),
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// Checks each `*.conf` of `folder`, plainly and with --strict, and compares the outcome with the `.txt` beside it, or writes
/// that with `UPDATE=1`. Gives how many there are.
pub fn checked_files(command: &str, folder: &Path, more: &[&str]) -> usize {
    let mut different = Vec::new();
    let files = files(folder, "conf");
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut text = String::new();
        for strict in [&[][..], &["--strict"]] {
            let words = [&[command, "-c", name, "--check"][..], strict].concat();
            let run = [&words, more].concat();
            let Outcome { code, output, complaint } = outcome(&mut program(Path::new(BINARY), &run, folder));
            text += &format!("$ ferrymq {}\n{complaint}{output}=> {code}\n\n", words.join(" "));
        }
        // The absolute path of a file is another on each machine.
        let text = text.replace(folder.to_str().unwrap(), "…");
        let recorded = file.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&recorded, &text).unwrap();
        }
        if fs::read_to_string(&recorded).unwrap_or_default() != text {
            different.push(format!("{}:\n{text}", recorded.display()));
        }
    }
    assert!(different.is_empty(), "not as recorded:\n{}", different.join("\n"));
    files.len()
}

/// The codes that the recorded checks of `folder` show.
pub fn recorded_codes(folder: &Path) -> std::collections::BTreeSet<String> {
    let text: String = files(folder, "txt").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    text.split("ferrymq explain ")
        .skip(1)
        .filter_map(|rest| rest.lines().next().map(str::to_string))
        .collect()
}

/// How many lines `KEY=1` of the file each get a warning that names the nearest key. Panics at one that gets none.
pub fn noticed_typos(command: &str, folder: &Path, file: &str) -> usize {
    let typos = fs::read_to_string(folder.join(file)).unwrap();
    let recorded =
        outcome(&mut program(Path::new(BINARY), &[command, "-c", file, "--check"], folder)).complaint;
    let typos = typos.lines().filter_map(|line| line.strip_suffix("=1"));
    typos
        .map(|typo| {
            let warning = recorded.lines().find(|line| line.contains(&format!("\"{typo}\"")));
            assert!(warning.is_some_and(|warning| warning.contains("did you mean")), "{typo}: {warning:?}");
        })
        .count()
}
