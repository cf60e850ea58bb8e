//! Where messages lie, and what was ever seen or acknowledged there.

use ferrymq_proto::position::{QueueId, QueueOffset};

use crate::history::EventIndex;
use crate::message::MessageId;

/// Where a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub queue: QueueId,
    pub offset: QueueOffset,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "queue {} offset {}", self.queue, self.offset)
    }
}

/// A message was seen in a place, or acknowledged for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    pub place: Place,
    pub id: MessageId,
    /// The first event that shows it.
    pub event: EventIndex,
}

/// `L_q(o)`: what each place was ever seen to hold. Different messages in one place are an anomaly.
#[derive(Debug, Default)]
pub struct Holdings {
    held: Vec<Held>,
}

/// Below this it is not worth while to look for repetitions.
const COMPACT_MIN: usize = 1 << 16;

impl Holdings {
    /// The same message is read over and over: one witness is enough, so repetitions are dropped while they are gathered.
    pub fn gather(sightings: impl Iterator<Item = Held>) -> Self {
        let mut held = Vec::new();
        let mut limit = COMPACT_MIN;
        for sighting in sightings {
            if held.len() >= limit {
                compact(&mut held);
                limit = (held.len() * 2).max(COMPACT_MIN);
            }
            held.push(sighting);
        }
        compact(&mut held);
        held.shrink_to_fit();
        Self { held }
    }

    /// The places that ever held something, in their order, each with all that it held.
    pub fn by_place(&self) -> impl DoubleEndedIterator<Item = (Place, &[Held])> {
        self.held
            .chunk_by(|one, other| one.place == other.place)
            .filter_map(|here| Some((here.first()?.place, here)))
    }

    /// The messages that were in more than one place, with all their places.
    pub fn scattered(&self) -> Vec<Vec<Held>> {
        let mut by_id: Vec<Held> = self.held.clone();
        by_id.sort_unstable_by_key(|held| (held.id, held.place));
        let same = by_id.chunk_by(|one, other| one.id == other.id);
        same.filter(|places| places.len() > 1).map(<[Held]>::to_vec).collect()
    }
}

/// Sorts, and leaves of each message in each place the first sighting. What was compacted before is one sorted run.
fn compact(held: &mut Vec<Held>) {
    held.sort();
    held.dedup_by_key(|held| (held.place, held.id));
}
