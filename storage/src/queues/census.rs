//! The census: which queues there are, and how far each reaches. It is kept with the checkpoint, so that a queue that was not
//! asked for yet can be told from one whose files are lost.

use std::collections::{BTreeMap, HashMap};

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset};

/// Of one queue, at the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub begin: QueueOffset,
    /// Its files have all entries from `begin` to here.
    pub next: QueueOffset,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census(pub HashMap<TopicName, BTreeMap<QueueId, Known>>);

impl Census {
    pub fn get(&self, topic: &TopicName, queue: QueueId) -> Option<Known> {
        self.0.get(topic)?.get(&queue).copied()
    }

    pub fn set(&mut self, topic: &TopicName, queue: QueueId, known: Known) {
        match self.0.get_mut(topic) {
            Some(queues) => drop(queues.insert(queue, known)),
            None => drop(self.0.insert(topic.clone(), BTreeMap::from([(queue, known)]))),
        }
    }

    pub fn queues_of(&self, topic: &str) -> impl Iterator<Item = QueueId> {
        self.0.get(topic).into_iter().flat_map(|queues| queues.keys().copied())
    }

    /// Whether any queue must have files.
    pub fn has_entries(&self) -> bool {
        self.0.values().flat_map(BTreeMap::values).any(|known| known.begin < known.next)
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend((self.0.len() as u32).to_be_bytes());
        for (topic, queues) in &self.0 {
            let name = topic.as_str().as_bytes();
            // Names are shorter than what fits.
            out.extend((name.len() as u16).to_be_bytes());
            out.extend(name);
            out.extend((queues.len() as u32).to_be_bytes());
            for (queue, known) in queues {
                out.extend(queue.0.to_be_bytes());
                out.extend(known.begin.0.to_be_bytes());
                out.extend(known.next.0.to_be_bytes());
            }
        }
    }

    /// `None` when the bytes are no census.
    pub fn decode(rest: &mut &[u8]) -> Option<Self> {
        let mut census = Self::default();
        for _ in 0..u32::from_be_bytes(take(rest)?) {
            let bytes = usize::from(u16::from_be_bytes(take(rest)?));
            let (name, behind) = rest.split_at_checked(bytes)?;
            *rest = behind;
            let topic = TopicName::parse(std::str::from_utf8(name).ok()?).ok()?;
            let mut queues = BTreeMap::new();
            for _ in 0..u32::from_be_bytes(take(rest)?) {
                let queue = QueueId(i32::from_be_bytes(take(rest)?));
                let begin = QueueOffset(i64::from_be_bytes(take(rest)?));
                let next = QueueOffset(i64::from_be_bytes(take(rest)?));
                queues.insert(queue, Known { begin, next });
            }
            census.0.insert(topic, queues);
        }
        Some(census)
    }
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*field)
}
