//! Members of a file that this version does not know. Files of newer brokers have them, and so have files that were mended by
//! hand: who mistyped a member would otherwise wonder why it has no effect.

use std::collections::BTreeSet;

use ferrymq_proto::bodies::{ConsumerOffsets, DelayOffsets, GroupConfig, GroupTable, TopicConfig};
use ferrymq_proto::json::{JsonError, Reader};

use super::ConfigFile;
use super::own::OwnTables;
use super::tables::TopicsFile;

/// Members of Apache's file that are computed from the others, or that it forgets in a restart itself.
const DERIVED: [&str; 3] = ["groupTopicMap", "pullOffsetTable", "resetOffsetTable"];

/// The unknown members of a file, with the member of the file they are below.
pub fn members(file: ConfigFile, text: &str) -> Result<BTreeSet<String>, JsonError> {
    let (known, below): (_, Option<(&str, &[&str])>) = match file {
        ConfigFile::Topics => (TopicsFile::KEYS, Some(("topicConfigTable", TopicConfig::KEYS))),
        ConfigFile::Groups => (GroupTable::KEYS, Some(("subscriptionGroupTable", GroupConfig::KEYS))),
        ConfigFile::Offsets => (ConsumerOffsets::KEYS, None),
        ConfigFile::Delays => (DelayOffsets::KEYS, None),
        ConfigFile::Own => (OwnTables::KEYS, None),
    };
    let mut unknown = BTreeSet::new();
    Reader::new(text).object(|reader, key| {
        let key = key.as_str();
        match below {
            Some((table, known)) if table == key => members_of_entries(reader, table, known, &mut unknown)?,
            _ => {
                let derived = file == ConfigFile::Offsets && DERIVED.contains(&key);
                if !derived && !known.contains(&key) {
                    unknown.insert(key.to_owned());
                }
                reader.skip()?;
            }
        }
        Ok::<(), JsonError>(())
    })?;
    Ok(unknown)
}

fn members_of_entries(
    reader: &mut Reader<'_>,
    table: &str,
    known: &[&str],
    unknown: &mut BTreeSet<String>,
) -> Result<(), JsonError> {
    if reader.null()? {
        return Ok(());
    }
    reader.object(|reader, _| {
        if reader.null()? {
            return Ok(());
        }
        reader.object(|reader, key| {
            if !known.contains(&key.as_str()) {
                unknown.insert(format!("{table}.*.{}", key.as_str()));
            }
            reader.skip()
        })
    })
}
