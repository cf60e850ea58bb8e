//! The attributes of topics: which there are, and how a request changes them. Pure; the rules and texts are Apache's.

use std::collections::BTreeMap;

pub type Attributes = BTreeMap<String, String>;

pub const MESSAGE_TYPE: &str = "message.type";
pub const MIXED: &str = "MIXED";

/// An attribute that a topic may have.
struct Attribute {
    name: &'static str,
    /// Whether a topic that exists may get another value.
    may_change: bool,
    values: Values,
}

enum Values {
    OneOf(&'static [&'static str]),
    /// Any number from here on.
    From(i64),
}

static ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "queue.type", may_change: false, values: Values::OneOf(&["SimpleCQ", "BatchCQ"]) },
    Attribute { name: "cleanup.policy", may_change: false, values: Values::OneOf(&["DELETE", "COMPACTION"]) },
    Attribute {
        name: MESSAGE_TYPE,
        may_change: true,
        values: Values::OneOf(&[
            "UNSPECIFIED",
            "NORMAL",
            "FIFO",
            "DELAY",
            "TRANSACTION",
            "PRIORITY",
            "LITE",
            MIXED,
        ]),
    },
    Attribute { name: "reserve.time", may_change: true, values: Values::From(-1) },
    Attribute { name: "lite.topic.expiration", may_change: true, values: Values::From(-1) },
];

/// Why attributes cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    #[error("add/alter attribute format is wrong: {0}")]
    NotAdded(String),
    #[error("delete attribute format is wrong: {0}")]
    NotDeleted(String),
    #[error("key duplication: {0}")]
    Twice(String),
    #[error("kv string format wrong.")]
    NoName,
    #[error("only add attribute is supported while creating topic. key: {0}")]
    NothingToDelete(String),
    #[error("wrong format key: {0}")]
    NoSign(String),
    #[error("attempt to delete a nonexistent key: {0}")]
    Missing(String),
    #[error("unsupported key: {0}")]
    Unknown(String),
    #[error("attempt to update an unchangeable attribute. key: {0}")]
    Unchangeable(String),
    #[error("value is not in set: {0:?}")]
    NotInSet(&'static [&'static str]),
    #[error("value is not in range(from {0} on)")]
    NotInRange(i64),
}

/// Reads changes as a header has them: `+key=value,-other`. The keys keep their signs.
pub fn read_changes(text: &str) -> Result<Attributes, AttributeError> {
    let mut changes = Attributes::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) if key.contains('+') => (key, value),
            Some((key, _)) => return Err(AttributeError::NotAdded(key.to_owned())),
            None if part.contains('-') => (part, ""),
            None => return Err(AttributeError::NotDeleted(part.to_owned())),
        };
        if changes.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(AttributeError::Twice(key.to_owned()));
        }
    }
    Ok(changes)
}

/// The attributes after the changes. `present` are those of a topic that exists.
pub fn changed(present: Option<&Attributes>, changes: &Attributes) -> Result<Attributes, AttributeError> {
    let mut attributes = present.cloned().unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in changes {
        let (is_added, name) = match (key.strip_prefix('+'), key.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (_, Some(name)) => (false, name),
            _ => return Err(AttributeError::NoSign(key.clone())),
        };
        if name.is_empty() || name.contains(['+', '-']) {
            return Err(AttributeError::NoName);
        }
        if seen.contains(&name) {
            return Err(AttributeError::Twice(name.to_owned()));
        }
        seen.push(name);
        let unknown = || AttributeError::Unknown(name.to_owned());
        match (is_added, present) {
            (false, None) => return Err(AttributeError::NothingToDelete(name.to_owned())),
            (false, Some(present)) if !present.contains_key(name) => {
                return Err(AttributeError::Missing(name.to_owned()));
            }
            _ => {}
        }
        let attribute = ATTRIBUTES.iter().find(|attribute| attribute.name == name).ok_or_else(unknown)?;
        if present.is_some() && !attribute.may_change {
            return Err(AttributeError::Unchangeable(name.to_owned()));
        }
        if is_added {
            attribute.values.check(value)?;
            attributes.insert(name.to_owned(), value.clone());
        } else {
            attributes.remove(name);
        }
    }
    Ok(attributes)
}

impl Values {
    fn check(&self, value: &str) -> Result<(), AttributeError> {
        match self {
            Self::OneOf(values) if values.contains(&value) => Ok(()),
            Self::OneOf(values) => Err(AttributeError::NotInSet(values)),
            Self::From(least) => match value.parse::<i64>() {
                Ok(number) if number >= *least => Ok(()),
                _ => Err(AttributeError::NotInRange(*least)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(present: Option<&str>, changes: &str) -> String {
        let present = present.map(|text| {
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Attributes>()
        });
        match read_changes(changes).and_then(|changes| changed(present.as_ref(), &changes)) {
            Ok(attributes) => {
                let lines: Vec<_> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
                lines.join(",")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn attributes_change_as_apaches() {
        let cases = [
            (None, "", ""),
            (None, "+message.type=FIFO", "message.type=FIFO"),
            (None, "+message.type=FIFO,+queue.type=BatchCQ", "message.type=FIFO,queue.type=BatchCQ"),
            (None, "message.type=FIFO", "add/alter attribute format is wrong: message.type"),
            (None, "message.type", "delete attribute format is wrong: message.type"),
            (None, "+message.type=FIFO,+message.type=DELAY", "key duplication: +message.type"),
            (
                None,
                "-message.type",
                "only add attribute is supported while creating topic. key: message.type",
            ),
            (None, "+unheard=of", "unsupported key: unheard"),
            (None, "+=x", "kv string format wrong."),
            (None, "+cleanup.policy=KEEP", "value is not in set: [\"DELETE\", \"COMPACTION\"]"),
            (None, "+reserve.time=-2", "value is not in range(from -1 on)"),
            (Some("message.type=FIFO"), "", "message.type=FIFO"),
            (Some("message.type=FIFO"), "+message.type=DELAY", "message.type=DELAY"),
            (Some("message.type=FIFO"), "-message.type", ""),
            (Some("message.type=FIFO"), "-message.type,+message.type=DELAY", "key duplication: message.type"),
            (Some(""), "-message.type", "attempt to delete a nonexistent key: message.type"),
            (Some(""), "+queue.type=BatchCQ", "attempt to update an unchangeable attribute. key: queue.type"),
        ];
        for (present, changes, expected) in cases {
            assert_eq!(outcome(present, changes), expected, "{present:?} {changes}");
        }
    }
}
