//! The tables as text: a line for each entry, sorted, with everything that is replicated and nothing else.

use std::fmt::{self, Write};

use ferrymq_proto::bodies::DataVersion;
use ferrymq_proto::json::{self, Dialect};

use super::{QueueLine, Register, Tables};

pub(super) fn write(tables: &Tables) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_configured(tables, &mut text).and_then(|()| write_moving(tables, &mut text));
    text
}

fn write_configured(tables: &Tables, text: &mut String) -> fmt::Result {
    writeln!(text, "topics {}", version(tables.topics.version()))?;
    for (name, config) in tables.topics.iter() {
        writeln!(text, "topic {name} {}", json::to_string(&**config, Dialect::Standard))?;
    }
    writeln!(text, "groups {}", version(tables.groups.version()))?;
    for (name, config) in tables.groups.iter() {
        writeln!(text, "group {name} {}", json::to_string(&**config, Dialect::Standard))?;
    }
    for (group, topic, bits) in tables.groups.all_forbidden() {
        writeln!(text, "forbidden {group} {topic} {bits:b}")?;
    }
    for (namespace, key, value) in tables.settings.iter() {
        writeln!(text, "setting {namespace:?} {key:?} {value:?}")?;
    }
    Ok(())
}

fn write_moving(tables: &Tables, text: &mut String) -> fmt::Result {
    writeln!(text, "offsets {}", version(tables.offsets.version()))?;
    for (group, topic, queues) in tables.offsets.iter() {
        writeln!(text, "offset {group} {topic}{}", Queues(queues))?;
    }
    for (group, topic, queues) in tables.offsets.resets() {
        writeln!(text, "reset {group} {topic}{}", Queues(queues))?;
    }
    writeln!(text, "locks last={}", tables.locks.last().0)?;
    for (group, queue, lock) in tables.locks.iter() {
        let (client, granted, number) = (&lock.client, lock.granted, lock.number.0);
        writeln!(text, "lock {group} {queue} {client:?} granted={granted} number={number}")?;
    }
    for (level, next) in tables.progress.delays() {
        writeln!(text, "delay {level} {next}")?;
    }
    for (name, register) in tables.progress.registers() {
        match register {
            Register::Number(number) => writeln!(text, "register {name:?} {number}")?,
            Register::Bytes(bytes) => writeln!(text, "register {name:?} {}", bytes.escape_ascii())?,
        }
    }
    Ok(())
}

fn version(version: &DataVersion) -> String {
    format!("counter={} term={} at={}", version.counter, version.state_version, version.timestamp)
}

struct Queues<'a>(&'a [QueueLine]);

impl fmt::Display for Queues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, " {}:{}", line.queue, line.next))
    }
}
