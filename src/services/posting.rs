//! The last steps of every message into the log, whoever sends it: a client, a delay that is over, a transaction.
//!
//! A message that is to be seen later is put aside here: it goes to the topic where it waits, and remembers where it belongs.

use ferrymq_proto::name::{SystemTopic, TIMER_TOPIC, TopicName};
use ferrymq_proto::position::{QueueId, Timestamp};
use ferrymq_proto::record::{TransactionState, property};

use super::message::{Message, MessageLimits};
use crate::clock;
use crate::config::broker::DelayLevels;
use crate::config::live::Live;
use crate::replication::{Batch, Done, NotStored, Stored, Wait, Writer};

#[derive(Clone, Copy, Debug)]
pub struct TimerRules {
    pub is_enabled: bool,
    pub delay_ms_max: i64,
    pub precision_ms: i64,
}

impl TimerRules {
    /// The tick at which a message is due. As in Java a moment that lies on a tick goes to the one before.
    fn tick(self, at: Timestamp) -> Timestamp {
        let precision = self.precision_ms.max(1);
        Timestamp((at.0 - 1) / precision * precision)
    }
}

#[derive(Clone, Debug)]
pub struct Posting {
    writer: Writer,
    limits: Live<MessageLimits>,
    levels: DelayLevels,
    timers: TimerRules,
}

impl Posting {
    pub fn new(writer: Writer, limits: Live<MessageLimits>, levels: DelayLevels, timers: TimerRules) -> Self {
        Self { writer, limits, levels, timers }
    }

    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// When a message that is about to be posted will be due, if it waits for a moment.
    pub fn due(&self, message: &Message) -> Option<Timestamp> {
        if !wants_timer(message) || message.delay_level() > 0 || !self.timers.is_enabled {
            return None;
        }
        let now = clock::now();
        match wanted_time(message, now)? {
            Wanted::At(at) if at > now => Some(self.timers.tick(at)),
            _ => None,
        }
    }

    pub fn timers(&self) -> TimerRules {
        self.timers
    }

    /// Appends a message, now or where it waits for its time.
    pub fn post(&self, message: Message, done: Done) {
        let wait = if message.waits_for_safety() { Wait::AsConfigured } else { Wait::Written };
        match self.prepare(message) {
            Ok(batch) => self.writer.append(batch, wait, done),
            Err(refused) => done(Err(refused)),
        }
    }

    pub async fn store(&self, message: Message) -> Result<Stored, NotStored> {
        let batch = self.prepare(message)?;
        let stored = self.writer.store(batch).await?;
        stored.first().copied().ok_or_else(|| NotStored::Refused("nothing was stored".to_owned()))
    }

    /// Appends messages that share a topic and a queue, all of them or none.
    pub fn post_all(&self, messages: Vec<Message>, wait: Wait, done: Done) {
        let mut batch = Batch::default();
        let limits = self.limits.get();
        for message in messages {
            if let Err(refused) = message.encode_into(&mut batch, limits) {
                return done(Err(refused));
            }
        }
        self.writer.append(batch, wait, done);
    }

    fn prepare(&self, mut message: Message) -> Result<Batch, NotStored> {
        let state = message.sys_flag.transaction();
        // The half of a transaction waits for its producer first, and for its time when it is committed.
        let is_half = message.topic == SystemTopic::TransactionHalf.as_str();
        if matches!(state, TransactionState::None | TransactionState::Committed) && !is_half {
            self.put_aside(&mut message, clock::now)?;
        }
        message.into_batch(self.limits.get())
    }

    /// Sends the message to where it waits, if it shall be seen later. Of nearly all messages nobody needs to know the time.
    pub(super) fn put_aside(
        &self,
        message: &mut Message,
        clock: impl FnOnce() -> Timestamp,
    ) -> Result<(), NotStored> {
        let level = message.delay_level();
        if level > 0 {
            // The level wins over a moment.
            for name in TIMER_WISHES {
                message.properties.remove(name);
            }
            // A level past the last one means the last one.
            let level = level.min(i32::try_from(self.levels.max()).unwrap_or(i32::MAX));
            message.set(property::DELAY_LEVEL, &level.to_string())?;
            remember_place(message)?;
            message.topic = SystemTopic::Schedule.into();
            message.queue_id = QueueId(level - 1);
            return Ok(());
        }
        if !wants_timer(message) {
            return Ok(());
        }
        let waits_already =
            message.topic == TIMER_TOPIC || message.properties.get(property::TIMER_OUT_MS).is_some();
        let now = clock();
        match wanted_time(message, now) {
            Some(wanted) if !waits_already => self.set_timer(message, wanted, now),
            _ => Ok(()),
        }
    }

    fn set_timer(&self, message: &mut Message, wanted: Wanted, now: Timestamp) -> Result<(), NotStored> {
        if !self.timers.is_enabled {
            return Err(NotStored::Refused(
                "accurate timer message is not enabled, timerWheelEnable is false".to_owned(),
            ));
        }
        let illegal = || {
            let max = self.timers.delay_ms_max;
            NotStored::Illegal(format!(
                "timer message illegal, the delay time should not be bigger than the max delay {max}ms; or if set del msg, the delay time should be bigger than the current time"
            ))
        };
        let Wanted::At(Timestamp(deliver)) = wanted else { return Err(illegal()) };
        if deliver <= now.0 {
            let calls_off = message.properties.get(property::TIMER_DELETE_UNIQUE_KEY).is_some();
            return if calls_off { Err(illegal()) } else { Ok(()) };
        }
        if deliver - now.0 > self.timers.delay_ms_max {
            return Err(illegal());
        }
        let due = self.timers.tick(Timestamp(deliver));
        message.set(property::TIMER_OUT_MS, &due.to_string())?;
        remember_place(message)?;
        message.topic = timer_topic()?;
        message.queue_id = QueueId(0);
        Ok(())
    }
}

pub fn timer_topic() -> Result<TopicName, NotStored> {
    TopicName::parse(TIMER_TOPIC).map_err(|error| NotStored::Refused(error.to_string()))
}

fn remember_place(message: &mut Message) -> Result<(), NotStored> {
    let (topic, queue) = (message.topic.clone(), message.queue_id);
    message.set(property::REAL_TOPIC, topic.as_str())?;
    message.set(property::REAL_QUEUE_ID, &queue.to_string())
}

#[derive(Clone, Copy)]
enum Wanted {
    At(Timestamp),
    /// It says something that is no time.
    Unreadable,
}

/// What a sender says of the moment at which a message is to be seen.
const TIMER_WISHES: [&str; 3] =
    [property::TIMER_DELIVER_MS, property::TIMER_DELAY_SECONDS, property::TIMER_DELAY_MS];

fn wants_timer(message: &Message) -> bool {
    TIMER_WISHES.iter().any(|name| message.properties.get(name).is_some())
}

/// When the sender wants the message to be seen, if it says so.
fn wanted_time(message: &Message, now: Timestamp) -> Option<Wanted> {
    let number = |name: &str| {
        message.properties.get(name).map(|text| text.parse::<i64>().ok().filter(|number| *number >= 0))
    };
    let after = |ms: Option<i64>| ms.and_then(|ms| now.0.checked_add(ms));
    let at = if let Some(seconds) = number(property::TIMER_DELAY_SECONDS) {
        after(seconds.and_then(|seconds| seconds.checked_mul(1000)))
    } else if let Some(ms) = number(property::TIMER_DELAY_MS) {
        after(ms)
    } else {
        number(property::TIMER_DELIVER_MS)?
    };
    Some(at.map_or(Wanted::Unreadable, |at| Wanted::At(Timestamp(at))))
}
