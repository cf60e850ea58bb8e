//! Runs the scripts in `testscripts/`: blocks of commands, then `---`, then what they print. `UPDATE=1` writes the output anew.
//!
//! Offsets are relative to a segment: `2+128` is byte 128 of the third one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::str::SplitWhitespace;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Fault;
use crate::segment::Segment;
use crate::*;

struct Script {
    disk: SimulatedDisk,
    layout: Layout,
    boot: u8,
    writer: Option<Writer>,
    units: BTreeMap<String, Unit>,
    held: Option<Arc<Segment>>,
}

fn place(offset: LogOffset) -> String {
    format!("{}+{}", offset.0 / SEGMENT_BYTES as i64, offset.0 % SEGMENT_BYTES as i64)
}

fn offset(text: &str) -> LogOffset {
    let (segment, within) = text.split_once('+').expect("segment+byte");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    LogOffset(number(segment) * SEGMENT_BYTES as i64 + number(within))
}

fn said<E: std::fmt::Display>(result: Result<(), E>) -> String {
    result.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}

impl Script {
    fn new() -> Self {
        let (disk, units) = (SimulatedDisk::default(), BTreeMap::new());
        Self { disk, layout: Layout::Framed, boot: 1, writer: None, units, held: None }
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("an open log")
    }

    fn run(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let command = words.next().expect("a command");
        match command {
            "append" => return self.append(words),
            "open" => return self.open(),
            "flush" => {
                let durable = self.writer().flush();
                return durable
                    .map_or("nobody was told".to_owned(), |end| format!("durable to {}", place(end)));
            }
            "close" => return said(self.writer.take().expect("an open log").close()),
            "files" => return self.files(),
            "marks" => return self.marks(),
            "classic" => self.layout = Layout::Classic,
            "reboot" => self.boot += 1,
            "prepare" => self.writer().log().prepare_segment(),
            "kill" => self.writer = None,
            "hold" => {
                let first = self.writer().log().core.segments().front().cloned();
                self.held = first;
            }
            _ => return self.run_with(command, words.next().expect("a word more"), words.next()),
        }
        String::new()
    }

    fn run_with(&mut self, command: &str, word: &str, last: Option<&str>) -> String {
        match command {
            "confirm" => {
                let mark = self.units[word].end;
                self.writer().log().confirm(mark);
            }
            "truncate" => {
                let mark = self.units[word].end;
                return said(self.writer().truncate(mark));
            }
            "drop" => {
                let dropped = self.writer().log().drop_before(offset(word));
                return dropped.map_or_else(|error| error.to_string(), |count| format!("dropped {count}"));
            }
            "read" => return self.read(word),
            "read-at" => return said(self.writer().log().read(offset(word), 1).map(|_| ())),
            "read-held" => {
                let mut bytes = [0; 8];
                self.held.as_ref().expect("held").read(offset(word), &mut bytes).unwrap();
                return format!("{bytes:02x?}");
            }
            "power-loss" => {
                self.writer = None;
                self.disk = self.disk.power_loss(word.parse().expect("a seed"));
                self.boot += 1;
            }
            "fail" => self.fail(word, last.expect("how")),
            "flip" => {
                let at = offset(word).0 as u64;
                assert!(self.disk.flip_bit(&segment_path(at / SEGMENT_BYTES), at % SEGMENT_BYTES * 8));
            }
            other => panic!("no command {other}"),
        }
        String::new()
    }

    fn open(&mut self) -> String {
        match Writer::open(&self.disk, settings(self.layout, self.boot)) {
            Err(error) => error.to_string(),
            Ok((writer, report)) => {
                self.writer = Some(writer);
                let Report { last_stop, walked_from, end, cut, removed } = report;
                let (from, end) = (place(walked_from), place(end.offset));
                let mut out = format!("last stop {last_stop:?}, walked from {from} to {end}");
                if let Some(Cut { damage, .. }) = cut {
                    write!(out, ", cut there: {damage}").unwrap();
                }
                for path in removed {
                    write!(out, ", removed {}", path.file_name().unwrap().display()).unwrap();
                }
                out
            }
        }
    }

    /// `name:bytes`, each a record with a body of so many bytes.
    fn append(&mut self, words: SplitWhitespace<'_>) -> String {
        let mut out = Vec::new();
        for word in words {
            let (name, bytes) = word.split_once(':').expect("name:bytes");
            let mut body = name.as_bytes().to_vec();
            body.resize(bytes.parse().expect("a number"), b'.');
            out.push(match self.writer().append(&body) {
                Err(error) => format!("{name}: {error}"),
                Ok(unit) => {
                    let said = format!("{name}@{}", place(unit.span.start));
                    self.units.insert(name.to_owned(), unit);
                    said
                }
            });
        }
        out.join("\n")
    }

    fn read(&mut self, name: &str) -> String {
        let unit = self.units[name].clone();
        match self.writer().log().read(unit.span.start, unit.bytes.len()) {
            Err(error) => error.to_string(),
            Ok(bytes) if bytes == unit.bytes => "as it was".to_owned(),
            Ok(bytes) => format!("{} other bytes", bytes.len()),
        }
    }

    /// The next call but so many others.
    fn fail(&mut self, others: &str, how: &str) {
        let fault = match how {
            "io" => Fault::Io,
            "no-room" => Fault::NoRoom,
            "misdirected" => Fault::Misdirected(512),
            other => panic!("no fault {other}"),
        };
        self.disk.fail_call(self.disk.calls() + others.parse::<u64>().expect("a number"), fault);
    }

    fn files(&self) -> String {
        let files = self.disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/commitlog"));
        let files = files.map(|(path, bytes)| {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            format!("{} {used} of {}", path.file_name().unwrap().display(), bytes.len())
        });
        files.collect::<Vec<_>>().join("\n")
    }

    fn marks(&mut self) -> String {
        let log = self.writer().log();
        let (start, confirmed) = (place(log.start()), place(log.confirmed().offset));
        let (durable, written) = (place(log.durable()), place(log.written()));
        format!("start {start} confirmed {confirmed} durable {durable} written {written}")
    }
}

fn run_script(text: &str) -> String {
    let mut script = Script::new();
    let mut output = String::new();
    for block in text.split_terminator("\n\n") {
        let commands = block.split("---").next().unwrap_or_default();
        writeln!(output, "{}\n---", commands.trim()).unwrap();
        for line in commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let printed = script.run(line);
            if !printed.is_empty() {
                writeln!(output, "{printed}").unwrap();
            }
        }
        output.push('\n');
    }
    output
}

#[test]
fn scripts_print_what_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/testscripts");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let output = run_script(&text);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &output).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), output, "{}", path.display());
        count += 1;
    }
    assert!(count >= 8, "only {count} scripts were found");
}
