//! Every command of the pages in docs/ and of the README is executed, or says why it is not.
//!
//! A block of `sh` holds `ferrymq` commands. A comment in the line before it may say `not run: REASON`, or `ends with CODES:
//! REASON` where a command need not end with 0, or `at last: REASON` where it is repeated until it does. A comment `file: NAME` before any other block makes it a file there. What is no
//! block of `sh` must be of a language that is no command.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::path::{Path, PathBuf};

use dev::{Dev, until};

#[path = "dev_group/dev.rs"]
mod dev;
#[allow(dead_code, reason = "other tests need the rest")]
mod program;

/// Blocks that nobody types. `console` blocks are those of tests/readme.rs, with what the commands print.
const NOT_TYPED: [&str; 8] = ["java", "go", "python", "properties", "text", "console", "yaml", "json"];
/// Made from the program, and compared with it by tests of their own.
const GENERATED: [&str; 2] = ["cli.md", "config.md"];

#[derive(Debug)]
struct Block {
    language: String,
    /// The comment before it.
    note: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.retain(|page| !GENERATED.iter().any(|name| page.ends_with(name)));
    pages.extend(["README.md", "README.zh-CN.md", "examples/README.md"].map(|name| root().join(name)));
    pages.sort();
    pages
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut is_open, mut note) = (false, String::new());
    for line in page.lines() {
        match (line.strip_prefix("```"), is_open) {
            (Some(language), false) => {
                is_open = true;
                let note = std::mem::take(&mut note);
                blocks.push(Block { language: language.to_owned(), note, text: String::new() });
            }
            (Some(_), true) => is_open = false,
            (None, true) => blocks.last_mut().unwrap().text += &format!("{line}\n"),
            (None, false) => {
                let comment = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
                note = comment.unwrap_or_default().to_owned();
            }
        }
    }
    assert!(!is_open, "a block does not end");
    blocks
}

impl Block {
    /// What follows `word` in the note.
    fn says(&self, word: &str) -> Option<&str> {
        let rest = self.note.strip_prefix(word)?.trim();
        assert!(!rest.is_empty(), "no reason: {:?}", self.note);
        Some(rest)
    }

    fn codes(&self) -> Vec<i32> {
        let Some(said) = self.says("ends with") else { return vec![0] };
        let (codes, reason) = said.split_once(':').unwrap();
        assert!(!reason.trim().is_empty(), "no reason: {said}");
        codes.split(',').map(|code| code.trim().parse().unwrap()).collect()
    }
}

#[test]
fn every_block_is_of_a_known_kind() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text) {
            let is_known = block.language == "sh" || NOT_TYPED.contains(&block.language.as_str());
            assert!(is_known, "{}: a block of {:?}: {}", page.display(), block.language, block.text);
            if block.language == "sh" && block.says("not run:").is_none() {
                for line in block.text.lines() {
                    assert!(line.starts_with("ferrymq "), "{}: no command of ours: {line}", page.display());
                }
            }
        }
    }
}

/// A page's commands, in their order, against a group of three of its own.
fn typed(page: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let dev = Dev::start("3");
    let mut run = 0;
    for block in blocks(&text) {
        if let Some(name) = block.says("file:") {
            fs::write(dev.folder.path().join(name), &block.text).unwrap();
        }
        if block.language != "sh" || block.says("not run:").is_some() {
            continue;
        }
        for line in block.text.lines() {
            // What follows a blank and # is for the reader.
            let command = line.split(" #").next().unwrap().strip_prefix("ferrymq ").unwrap();
            if block.says("at last:").is_some() {
                until(command, || dev.code(command) == 0);
            }
            let code = dev.code(command);
            // Whether the machine of the test is fit for a broker is not the question.
            let usual = if command.starts_with("doctor") { vec![0, 3] } else { block.codes() };
            assert!(usual.contains(&code), "{page}: ferrymq {command} ended with {code}");
            run += 1;
            if let Some(topic) = command.strip_prefix("topic create ") {
                let topic = topic.split(' ').next().unwrap();
                until("the route", || dev.code(&format!("topic route {topic}")) == 0);
            }
        }
    }
    assert!(run > 0, "{page} has no command");
}

#[test]
fn the_tutorial_is_typed() {
    typed("docs/tutorial.md");
}

#[test]
fn the_guide_is_typed() {
    typed("docs/how-to.md");
}

#[test]
fn the_runbook_is_typed() {
    typed("docs/runbook.md");
}

#[test]
fn the_readme_is_typed() {
    typed("README.md");
}

#[test]
fn the_chinese_readme_shows_the_same_commands() {
    let shown = |page: &str| {
        let text = fs::read_to_string(root().join(page)).unwrap();
        blocks(&text).into_iter().map(|block| block.text).collect::<Vec<_>>()
    };
    assert_eq!(shown("README.md"), shown("README.zh-CN.md"));
}

/// Every metric that a broker tells is on the page, and every one on the page is told or named as missing.
#[test]
fn every_metric_is_described() {
    let dev = Dev::start("3");
    dev.ok("topic produce described message");
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let (code, told) = dev.get("GET /metrics", "localhost");
    assert_eq!(code, 200);
    let names: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 10, "{told}");
    for name in names {
        let total = format!("{name}_total");
        assert!(page.contains(name) || page.contains(&total), "docs/metrics.md does not describe {name}");
    }
}
