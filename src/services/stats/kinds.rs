//! What came into a topic since the start, by the kind of message, as Apache's metrics divide it. Pure.

use std::sync::atomic::{AtomicI64, Ordering};

use ferrymq_proto::record::{Properties, property};

use crate::services::message::DELAYS;

/// Sizes of messages are counted up to these bounds, as Apache's.
pub const SIZES: [i64; 6] = [1 << 10, 4 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Fifo,
    Delay,
    Transaction,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Normal, Self::Fifo, Self::Delay, Self::Transaction];

    /// By the properties that a producer has set. It is asked for every message.
    pub fn of(properties: &str) -> Self {
        let (mut is_half, mut is_ordered, mut waits) = (false, false, false);
        for (name, value) in Properties::new(properties.as_bytes()).pairs() {
            let is = |wanted: &str| name == wanted.as_bytes();
            match name {
                _ if is(property::TRANSACTION_PREPARED) => is_half = value == b"true",
                _ if is(property::SHARDING_KEY) => is_ordered = true,
                _ if DELAYS.iter().any(|delay| is(delay)) => waits = true,
                _ => {}
            }
        }
        match (is_half, is_ordered, waits) {
            (true, ..) => Self::Transaction,
            (_, true, _) => Self::Fifo,
            (.., true) => Self::Delay,
            _ => Self::Normal,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Fifo => "fifo",
            Self::Delay => "delay",
            Self::Transaction => "transaction",
        }
    }
}

/// What there was of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub messages: i64,
    pub bytes: i64,
    /// How many messages were no larger than each of [`SIZES`] and larger than the one before.
    pub sizes: [i64; SIZES.len()],
}

#[derive(Debug, Default)]
struct Counters {
    messages: AtomicI64,
    bytes: AtomicI64,
    sizes: [AtomicI64; SIZES.len()],
}

#[derive(Debug, Default)]
pub struct Counts([Counters; Kind::ALL.len()]);

impl Counts {
    /// Messages that came together count as equally large.
    pub fn add(&self, kind: Kind, messages: i64, bytes: i64) {
        let Some(counters) = self.0.get(kind as usize) else { return };
        counters.messages.fetch_add(messages, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        let each = bytes / messages.max(1);
        let step = SIZES.iter().position(|size| each <= *size);
        if let Some(counter) = step.and_then(|step| counters.sizes.get(step)) {
            counter.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// Of the kinds that there were.
    pub fn all(&self) -> Vec<(Kind, Counted)> {
        let load = |counter: &AtomicI64| counter.load(Ordering::Relaxed);
        let counted = |counters: &Counters| Counted {
            messages: load(&counters.messages),
            bytes: load(&counters.bytes),
            sizes: counters.sizes.each_ref().map(load),
        };
        let kinds = Kind::ALL.into_iter().zip(self.0.iter().map(counted));
        kinds.filter(|(_, counted)| counted.messages > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_message() {
        for (properties, kind) in [
            ("", Kind::Normal),
            ("KEYS\u{1}a\u{2}WAIT\u{1}true\u{2}", Kind::Normal),
            ("DELAY\u{1}3\u{2}", Kind::Delay),
            ("KEYS\u{1}TRAN_MSG\u{2}TIMER_DELAY_MS\u{1}10", Kind::Delay),
            ("DELAY\u{1}3\u{2}__SHARDINGKEY\u{1}a\u{2}", Kind::Fifo),
            ("__SHARDINGKEY\u{1}a\u{2}TRAN_MSG\u{1}true\u{2}", Kind::Transaction),
            ("TRAN_MSG\u{1}false\u{2}", Kind::Normal),
        ] {
            assert_eq!(Kind::of(properties), kind, "{properties:?}");
        }
    }

    #[test]
    fn kinds_are_counted_apart() {
        let counts = Counts::default();
        counts.add(Kind::Delay, 3, 3 * 1025);
        counts.add(Kind::Normal, 1, 5 << 20);
        let delay = Counted { messages: 3, bytes: 3075, sizes: [0, 3, 0, 0, 0, 0] };
        let normal = Counted { messages: 1, bytes: 5 << 20, sizes: [0; 6] };
        assert_eq!(counts.all(), [(Kind::Normal, normal), (Kind::Delay, delay)]);
    }
}
