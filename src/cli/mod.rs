//! The command line: one file a noun.
//!
//! Called by one of Apache's names (a link `mqnamesrv`, `mqbroker` or `mqadmin` to the binary), the program is that command.
//! It ends with 0 if all is well; 1: the operation failed; 2: it was called wrongly; 3: a check failed; 4: nobody
//! answers, or there is no leader; 5: refused for safety; 6: nothing found.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod admin;
mod broker;
mod cluster;
mod config;
mod dev;
mod dlq;
mod doctor;
mod explain;
mod generate;
mod group;
mod logs;
mod message;
mod migrate;
mod namesrv;
mod node;
mod open_files;
mod ping;
mod raft;
mod remote;
mod server;
mod signals;
mod store;
mod topic;
mod version;

const WRONG_CALL: u8 = 2;
const CHECK_FAILED: u8 = 3;
const UNAVAILABLE: u8 = 4;
const REFUSED_FOR_SAFETY: u8 = 5;
const NOT_FOUND: u8 = 6;

/// A message broker and name server for Apache RocketMQ clients.
#[derive(Debug, Parser)]
#[command(name = "ferrymq", version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(alias = "mqnamesrv")]
    Namesrv(namesrv::Arguments),
    #[command(alias = "mqbroker")]
    Broker(broker::Arguments),
    Dev(dev::Arguments),
    Node(node::Arguments),
    Cluster(cluster::Arguments),
    Ping(ping::Arguments),
    Raft(raft::Arguments),
    #[command(alias = "mqadmin")]
    Admin(admin::Arguments),
    Topic(topic::Arguments),
    Group(group::Arguments),
    Message(message::Arguments),
    Dlq(dlq::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    #[command(subcommand)]
    Generate(generate::Command),
    #[command(subcommand)]
    Store(store::Command),
    Migrate(migrate::Arguments),
    /// Print the version.
    Version,
    #[command(subcommand)]
    Config(config::Command),
}

/// Does what the command line asks for.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match Line::parse_from(with_command(arguments)).command {
        Command::Namesrv(arguments) => namesrv::run(&arguments),
        Command::Broker(arguments) => broker::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Node(arguments) => node::run(&arguments),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Ping(arguments) => ping::run(&arguments),
        Command::Raft(arguments) => raft::run(&arguments),
        Command::Admin(arguments) => admin::run(&arguments),
        Command::Topic(arguments) => topic::run(&arguments),
        Command::Group(arguments) => group::run(&arguments),
        Command::Message(arguments) => message::run(&arguments),
        Command::Dlq(arguments) => dlq::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Generate(command) => generate::run(&command),
        Command::Store(command) => store::run(&command),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Version => version::run(),
        Command::Config(command) => config::run(&command),
    }
}

/// The arguments with the command in front that the program's own name stands for.
fn with_command(mut arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_os_string();
    let command = ["mqnamesrv", "mqbroker", "mqadmin"].iter().any(|known| name == *known).then_some(name);
    [OsString::from("ferrymq")].into_iter().chain(command).chain(arguments).collect()
}

/// Writes to standard output. That nobody reads it any more (`ferrymq … | head`) is no failure.
fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(harmless(text).as_bytes()).and_then(|()| output.flush());
}

/// Writes to standard error, which may be closed.
fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(harmless(text).as_bytes());
}

/// Lines as they are, for a terminal: whatever a server answered, it is not told to do anything.
fn harmless(text: &str) -> Cow<'_, str> {
    let commands = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mark = |character| if commands(character) { char::REPLACEMENT_CHARACTER } else { character };
    Cow::Owned(text.chars().map(mark).collect())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Line, with_command};

    #[test]
    fn the_command_line_is_well_formed() {
        Line::command().debug_assert();
    }

    const REFERENCE_OPENING: &str = "\
# Command line

Made from the program by `UPDATE=1 cargo test -p ferrymq the_manual_has`; do not edit.

Commands end with 0 if all is well; 1: the operation failed; 2: wrongly called; 3: a check failed, or something is wrong but
works; 4: nobody answers, or there is no leader; 5: refused for safety; 6: nothing found. With `-o json` they print an object
whose `schema` names its form.
";

    /// Every command with its help, as docs/cli.md shows it.
    fn reference(command: &mut clap::Command, name: &str, page: &mut String) {
        if command.is_hide_set() {
            return;
        }
        let help = command.render_long_help();
        page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.to_string().trim_end()));
        let subcommands: Vec<String> =
            command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for sub in subcommands.iter().filter(|sub| *sub != "help") {
            if let Some(command) = command.find_subcommand_mut(sub) {
                reference(command, &format!("{name} {sub}"), page);
            }
        }
    }

    #[test]
    fn the_manual_has_every_command() {
        let mut page = REFERENCE_OPENING.to_owned();
        let mut line = Line::command();
        line.build();
        reference(&mut line, "ferrymq", &mut page);
        let page: String = page.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/cli.md is out of date: run `UPDATE=1 cargo test -p ferrymq` and commit it"
        );
    }

    #[test]
    fn the_name_of_the_program_may_be_the_command() {
        for (called, meant) in [
            ("ferrymq namesrv -p", "ferrymq namesrv -p"),
            ("/usr/bin/ferrymq mqnamesrv", "ferrymq mqnamesrv"),
            ("/opt/bin/mqnamesrv -c f", "ferrymq mqnamesrv -c f"),
            ("mqnamesrv", "ferrymq mqnamesrv"),
            ("./mqbroker -c f -n a:1", "ferrymq mqbroker -c f -n a:1"),
            ("mqadmin topicList -n a:1", "ferrymq mqadmin topicList -n a:1"),
            ("xmqnamesrv version", "ferrymq version"),
            ("", "ferrymq"),
        ] {
            let words = called.split_whitespace().map(Into::into);
            assert_eq!(with_command(words).join(" ".as_ref()), meant, "{called}");
        }
    }
}
