//! The history of a run: every operation of every client, every fault, in the order in which they happened.
//!
//! A history is a list of events, strictly ordered by index. A process asks (`invoke`) and then hears (`ok`, `fail`) or never
//! learns (`info`); it has at most one operation open. `fail` promises that the operation has no effect; whatever leaves a
//! doubt is `info`, and its process ends. On disk it is one JSON object a line. The history is the authority: checkers see
//! nothing else, so old runs can be judged again by newer checkers.

mod calls;
mod glance;
mod read;
mod recorder;
mod values;

use std::fmt;

use ferrymq_proto::json::{FromJson, JsonError, Kind as JsonKind, Reader, ToJson, Writer};

pub use calls::{Call, Outcome, calls};
pub use read::{HistoryError, load};
pub use recorder::{Recorder, Tally};
pub use values::*;

use crate::message::json_text;

/// Nanoseconds since the run began, of one monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// Position of an event in its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIndex(pub u64);

/// One member of the group under test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    Client(u32),
    /// Installs and heals faults.
    Nemesis,
    /// Looks at the cluster from outside.
    Observer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Invoke,
    Ok,
    /// It did not happen and never will.
    Fail,
    /// It may have happened, or may still happen. Also marks what nobody asked for.
    Info,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub index: EventIndex,
    pub time: Nanos,
    pub process: Process,
    pub kind: EventType,
    pub op: Op,
}

impl Nanos {
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e9) as u64)
    }
}

impl fmt::Display for EventIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => number.fmt(f),
            Self::Nemesis => f.write_str("nemesis"),
            Self::Observer => f.write_str("observer"),
        }
    }
}

json_text!(NodeId, |text| text.strip_prefix('n')?.parse().ok().map(NodeId), "a node");

impl FromJson for Process {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let at = reader.position();
        if reader.kind()? == JsonKind::Number {
            return FromJson::read(reader).map(Self::Client);
        }
        match reader.string()?.as_ref() {
            "nemesis" => Ok(Self::Nemesis),
            "observer" => Ok(Self::Observer),
            _ => Err(JsonError::Expected { expected: "a process", at }),
        }
    }
}

impl ToJson for Process {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Client(number) => writer.integer(i64::from(*number)),
            other => writer.string(&other.to_string()),
        }
    }
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Invoke, Self::Ok, Self::Fail, Self::Info].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl ToJson for Event {
    fn write(&self, writer: &mut Writer) {
        writer.object(|writer| {
            writer.key("index");
            writer.integer(self.index.0.cast_signed());
            writer.key("time");
            writer.integer(self.time.0.cast_signed());
            writer.key("process");
            self.process.write(writer);
            writer.key("type");
            writer.string(self.kind.as_str());
            writer.key("f");
            writer.string(self.op.f());
            writer.key("value");
            self.op.write_value(writer);
        });
    }
}

impl FromJson for Event {
    /// The members must come in written order: the value can be read only when `f` is known.
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let (mut index, mut time, mut process, mut kind, mut f, mut op) =
            (None, None, None, None, None, None);
        reader.object(|reader, key| {
            let at = reader.position();
            match key.as_str() {
                "index" => index = Some(i64::read(reader)?),
                "time" => time = Some(i64::read(reader)?),
                "process" => process = Some(Process::read(reader)?),
                "type" => kind = EventType::parse(&reader.string()?),
                "f" => f = Some(reader.string()?.into_owned()),
                "value" => {
                    let unknown = JsonError::Expected { expected: "a known f before its value", at };
                    op = Some(Op::read_value(f.as_deref().unwrap_or_default(), reader)?.ok_or(unknown)?);
                }
                _ => reader.skip()?,
            }
            Ok::<(), JsonError>(())
        })?;
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let event = || {
            Some(Self {
                index: EventIndex(number(index)?),
                time: Nanos(number(time)?),
                process: process?,
                kind: kind?,
                op: op?,
            })
        };
        event().ok_or(JsonError::Expected { expected: "an event", at: reader.position() })
    }
}

#[cfg(test)]
mod tests;
