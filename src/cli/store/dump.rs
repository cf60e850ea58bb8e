//! `ferrymq store dump FOLDER`: the contents of a store.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ferrymq_proto::json::{Dialect, Writer};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};
use ferrymq_proto::record::{Record, property};
use ferrymq_storage::look::Look;
use ferrymq_storage::look::dump::{self, IndexItem, Item, LogFilter, Next, QueueItem};
use ferrymq_storage::{LogSpan, OpenError};

use super::{IndexSizes, Output, Target, integer, string};

const SCHEMA: &str = "ferrymq.store.dump/1";
/// Of a body that is no text, or is too long to be read.
const BODY_BYTES_SHOWN: usize = 256;

/// Show what a store holds, a line for each thing, as text or as one JSON object a line.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    index: IndexSizes,

    /// What to show.
    #[arg(long, value_enum, default_value = "log")]
    of: Part,

    /// Begin at this offset of the log; of queues, at this offset of each.
    #[arg(long, default_value_t = 0)]
    offset: i64,

    /// Show so many things at most.
    #[arg(long)]
    count: Option<u64>,

    /// Only of this topic.
    #[arg(long)]
    topic: Option<String>,

    /// Only of this queue.
    #[arg(long)]
    queue: Option<i32>,

    /// Show the beginning of each body, too.
    #[arg(long)]
    body: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Log,
    Queues,
    Index,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, OpenError> {
    let look = arguments.target.open_with_warning()?;
    let mut printer = Printer {
        output: arguments.target.output,
        left: arguments.count.unwrap_or(u64::MAX),
        with_body: arguments.body,
    };
    if printer.left > 0 {
        show(arguments, &look, &mut printer)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &Arguments, look: &Look, printer: &mut Printer) -> Result<(), OpenError> {
    let (topic, queue) = (arguments.topic.clone(), arguments.queue.map(QueueId));
    match arguments.of {
        Part::Log => {
            let filter = LogFilter { from: LogOffset(arguments.offset), topic, queue };
            dump::log(look, &filter, &mut |item| printer.log(&item))
        }
        Part::Queues => {
            let from = QueueOffset(arguments.offset);
            dump::queues(look, topic.as_deref(), queue, from, &mut |item| printer.queue(&item))
        }
        Part::Index => {
            let sizes = (arguments.index.index_slots, arguments.index.index_entries);
            dump::index(look, sizes, &mut |item| {
                if item.record < LogOffset(arguments.offset) { Next::More } else { printer.index(&item) }
            })
        }
    }
}

struct Printer {
    output: Output,
    left: u64,
    with_body: bool,
}

impl Printer {
    fn line(&mut self, text: &str, kind: &str, members: impl FnOnce(&mut Writer)) -> Next {
        match self.output {
            Output::Text => super::print(&format!("{text}\n")),
            Output::Json => {
                let mut writer = Writer::new(Dialect::Standard);
                writer.object(|writer| {
                    string(writer, "schema", SCHEMA);
                    string(writer, "kind", kind);
                    members(writer);
                });
                super::print(&(writer.finish() + "\n"));
            }
        }
        self.left -= 1;
        if self.left == 0 { Next::Enough } else { Next::More }
    }

    fn log(&mut self, item: &Item<'_>) -> Next {
        match item {
            Item::Record { span, record } => self.record(*span, record),
            Item::Frame { span, header } => {
                let LogSpan { start, bytes } = *span;
                let kind = format!("{:?}", header.kind).to_lowercase();
                let text = format!(
                    "{start} frame {kind}, index {}, term {}, {} records, {bytes} bytes, appended {} ms",
                    header.index, header.term, header.records, header.appended_at.0
                );
                self.line(&text, "frame", |writer| {
                    place(writer, *span);
                    string(writer, "frameKind", &kind);
                    integer(writer, "index", header.index.0);
                    integer(writer, "term", header.term.0);
                    integer(writer, "records", header.records);
                    integer(writer, "appendedAt", header.appended_at.0);
                    integer(writer, "bodyCrc", header.body_crc);
                    integer(writer, "previousHeaderCrc", header.previous_crc);
                })
            }
            Item::Blank { span } => {
                let text = format!("{} blank of {} bytes", span.start, span.bytes);
                self.line(&text, "blank", |writer| place(writer, *span))
            }
            Item::Damaged { offset, damage } => {
                self.line(&format!("{offset} DAMAGED: {damage}"), "damaged", |writer| {
                    integer(writer, "offset", offset.0);
                    string(writer, "problem", &damage.to_string());
                })
            }
        }
    }

    fn record(&mut self, span: LogSpan, record: &Record<'_>) -> Next {
        let named = |name: &str| record.properties.get(name).map(|value| value.into_owned());
        let labels = [
            ("tags", named(property::TAGS)),
            ("keys", named(property::KEYS)),
            ("uniqueKey", named(property::UNIQUE_KEY)),
        ];
        let body = self.with_body.then(|| shown(record.body));
        let mut text = format!(
            "{} record {}/{} at {}, {} bytes, body {}, stored {} ms, flags {:#x}",
            span.start,
            record.topic.escape_debug(),
            record.queue_id,
            record.queue_offset,
            span.bytes,
            record.body.len(),
            record.store_timestamp.0,
            record.sys_flag.0
        );
        for (name, value) in &labels {
            if let Some(value) = value {
                text += &format!(", {name} {}", value.escape_debug());
            }
        }
        if let Some(body) = &body {
            text += &format!(": {body}");
        }
        self.line(&text, "record", |writer| {
            place(writer, span);
            string(writer, "topic", record.topic);
            integer(writer, "queue", record.queue_id.0);
            integer(writer, "queueOffset", record.queue_offset.0);
            integer(writer, "storeTime", record.store_timestamp.0);
            integer(writer, "bornTime", record.born_timestamp.0);
            string(writer, "bornHost", &record.born_host.to_string());
            string(writer, "storeHost", &record.store_host.to_string());
            integer(writer, "flag", record.flag);
            integer(writer, "sysFlag", record.sys_flag.0);
            integer(writer, "reconsumeTimes", record.reconsume_times);
            integer(writer, "preparedOffset", record.prepared_offset.0);
            integer(writer, "bodyBytes", record.body.len() as u64);
            integer(writer, "bodyCrc", record.body_crc);
            writer.key("properties");
            writer.object(|writer| {
                for (name, value) in record.properties.iter() {
                    string(writer, &name, &value);
                }
            });
            if let Some(body) = &body {
                string(writer, "body", body);
            }
        })
    }

    fn queue(&mut self, item: &QueueItem<'_>) -> Next {
        let (topic, queue, offset) = (item.topic, item.queue, item.offset);
        let LogSpan { start, bytes } = item.record;
        let text = format!(
            "{topic}/{queue} at {offset}: record {start}, {bytes} bytes, tags code {}",
            item.tags_code.0
        );
        self.line(&text, "queue-entry", |writer| {
            string(writer, "topic", topic.as_str());
            integer(writer, "queue", queue.0);
            integer(writer, "queueOffset", offset.0);
            place(writer, item.record);
            integer(writer, "tagsCode", item.tags_code.0);
        })
    }

    fn index(&mut self, item: &IndexItem<'_>) -> Next {
        let text = format!(
            "{} entry {}: hash {}, record {}, stored {} ms, before it {}",
            item.file, item.number, item.hash, item.record, item.time.0, item.previous
        );
        self.line(&text, "index-entry", |writer| {
            string(writer, "file", item.file);
            integer(writer, "number", item.number);
            integer(writer, "hash", item.hash);
            integer(writer, "offset", item.record.0);
            integer(writer, "storeTime", item.time.0);
            integer(writer, "previous", item.previous);
        })
    }
}

fn place(writer: &mut Writer, span: LogSpan) {
    integer(writer, "offset", span.start.0);
    integer(writer, "bytes", span.bytes);
}

/// The beginning of a body, with all that is no text escaped.
fn shown(body: &[u8]) -> String {
    let beginning = body.get(..BODY_BYTES_SHOWN).unwrap_or(body);
    beginning.escape_ascii().to_string()
}
