//! A master and its slaves, one of which takes its place: what the master took while it was on its way out may be gone with it, and
//! nothing else.

use ferrymq_proto::position::QueueId;

use super::Mutation;
use super::script::{NODES, Script, choose, forget, message, offset_of, seen};
use crate::checkers::promotions;
use crate::dice::Dice;
use crate::history::{
    Event, EventIndex, EventType, FaultValue, NodeId, Op, Process, PullValue, SendValue, Sent, phases,
};
use crate::message::MessageId;

const QUEUES: usize = 2;
/// Operations before, during and after each promotion.
const STEPS: u64 = 12;
const PROMOTIONS: i64 = 2;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        checker: "C1",
        name: "lose what was acknowledged before a promotion",
        expected: &["lost"],
        mutate: lose_settled,
    },
    Mutation {
        checker: "C1",
        name: "lose what the new master acknowledged",
        expected: &["lost"],
        mutate: lose_new,
    },
    Mutation {
        checker: "C1",
        name: "lose what a slave had as well",
        expected: &["lost"],
        mutate: lose_copied,
    },
    Mutation {
        checker: "C4",
        name: "show after a promotion what it lost",
        expected: &["inconsistent-offset"],
        mutate: show_lost,
    },
    Mutation {
        checker: "C9",
        name: "show after a promotion what it lost",
        expected: &["dirty-read"],
        mutate: show_lost,
    },
];

struct Model<'d> {
    dice: &'d mut Dice,
    script: Script,
    /// As the slaves have them.
    queues: Vec<Vec<Sent>>,
    /// What only the master has, behind that.
    tails: Vec<Vec<Sent>>,
    master: NodeId,
    waits_for_slaves: bool,
    counter: u64,
}

/// A valid history of a master that waits for its slaves, or of one that does not.
pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let waits_for_slaves = dice.once_in(2);
    let mut model = Model {
        dice,
        script: Script::new("masterslave", QUEUES),
        queues: vec![Vec::new(); QUEUES],
        tails: vec![Vec::new(); QUEUES],
        master: NodeId(0),
        waits_for_slaves,
        counter: 0,
    };
    if let Some(Op::Begin(begin)) = model.script.events.first_mut().map(|event| &mut event.op) {
        begin.quorum = if waits_for_slaves { 2 } else { 1 };
    }
    model.script.phase(phases::LOAD);
    for number in 1..=PROMOTIONS {
        model.steps(false);
        model.promote(number);
    }
    model.steps(false);
    model.script.phase(phases::HEALED);
    model.script.phase(phases::CONVERGED);
    let queues = std::mem::take(&mut model.queues);
    model.script.scans(1_000_000, model.master, &queues);
    model.script.phase(phases::DRAINED);
    model.script.events
}

impl Model<'_> {
    fn steps(&mut self, is_alone: bool) {
        for _ in 0..STEPS {
            let queue = self.dice.index(QUEUES);
            if self.dice.once_in(3) {
                self.pull(queue);
            } else {
                self.send(queue, is_alone);
            }
        }
    }

    fn log(&self, queue: usize) -> Vec<Sent> {
        let parts = [self.queues.get(queue), self.tails.get(queue)];
        parts.into_iter().flatten().flatten().copied().collect()
    }

    fn pull(&mut self, queue: usize) {
        let log = self.log(queue);
        let shown = log.iter().enumerate().map(|(at, message)| seen(*message, at)).collect();
        let node = self.master;
        self.script.pull(900, queue_id(queue), node, shown, log.len());
    }

    /// A message that slaves get, or, from a master that is alone, do not.
    fn send(&mut self, queue: usize, is_alone: bool) {
        self.counter += 1;
        let process = u32::try_from(self.counter).unwrap_or_default();
        let sent = message(process + 1, 1);
        let offset = offset_of(self.log(queue).len());
        let asked = SendValue {
            queue: queue_id(queue),
            messages: vec![sent],
            node: Some(self.master),
            ..SendValue::default()
        };
        let logs = if is_alone { &mut self.tails } else { &mut self.queues };
        logs.get_mut(queue).into_iter().for_each(|log| log.push(sent));
        // Whoever waits for slaves that do not hear of it does not acknowledge.
        let (kind, heard) = if is_alone && self.waits_for_slaves {
            (EventType::Info, asked.clone())
        } else {
            (EventType::Ok, SendValue { offset: Some(offset), ..asked.clone() })
        };
        self.script.call(process, Op::Send(asked), kind, Op::Send(heard));
    }

    fn promote(&mut self, number: i64) {
        let next = NodeId((self.master.0 + 1) % NODES);
        let mut fault = FaultValue { fault: "promote-kill".into(), number, ..FaultValue::default() };
        self.script.push(Process::Nemesis, EventType::Invoke, Op::Fault(fault.clone()));
        self.steps(true);
        self.tails.iter_mut().for_each(Vec::clear);
        fault.struck = (0..NODES).map(NodeId).collect();
        fault.down = vec![self.master];
        fault.promoted = Some(next);
        fault.result = Some("installed".into());
        self.master = next;
        self.script.push(Process::Nemesis, EventType::Info, Op::Fault(fault.clone()));
        self.steps(false);
        self.script.push(Process::Nemesis, EventType::Invoke, Op::Heal(fault.clone()));
        self.script.push(Process::Nemesis, EventType::Info, Op::Heal(fault));
    }
}

fn queue_id(queue: usize) -> QueueId {
    QueueId(i32::try_from(queue).unwrap_or_default())
}

/// An acknowledged message for which `wanted` holds, of the event of its acknowledgement.
fn choose_acknowledged(
    history: &[Event],
    dice: &mut Dice,
    wanted: impl Fn(EventIndex) -> bool,
) -> Option<MessageId> {
    let at = choose(history, dice, |event| {
        event.kind == EventType::Ok && matches!(event.op, Op::Send(_)) && wanted(event.index)
    })?;
    let Op::Send(value) = &history.get(at)?.op else { return None };
    value.messages.first().map(|message| message.id)
}

/// Whether the old master may have acknowledged this on its way out.
fn is_within(history: &[Event]) -> impl Fn(EventIndex) -> bool + use<> {
    let promotions = promotions(history);
    move |event| promotions.iter().any(|one| one.begun < event && event < one.done)
}

fn lose_settled(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(last) = promotions(history).last().copied() else { return false };
    let is_within = is_within(history);
    let settled = |event| event < last.begun && !is_within(event);
    let Some(id) = choose_acknowledged(history, dice, settled) else { return false };
    forget(history, id);
    true
}

fn lose_new(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(last) = promotions(history).last().copied() else { return false };
    let Some(id) = choose_acknowledged(history, dice, |event| event > last.done) else { return false };
    forget(history, id);
    true
}

/// A master that waits for its slaves acknowledges on its way out, and the message is gone.
fn lose_copied(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let is_within = is_within(history);
    let doubted = |event: &Event| {
        event.kind == EventType::Info && matches!(event.op, Op::Send(_)) && is_within(event.index)
    };
    let Some(event) = choose(history, dice, doubted).and_then(|at| history.get_mut(at)) else { return false };
    event.kind = EventType::Ok;
    if let Op::Send(value) = &mut event.op {
        value.offset = Some(offset_of(1_000_000));
    }
    true
}

/// The new master shows a message that went with the old one.
fn show_lost(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let is_within = is_within(history);
    let mut kept = std::collections::HashSet::new();
    for event in history.iter() {
        if let (Op::Scan(scan), EventType::Ok) = (&event.op, event.kind) {
            kept.extend(scan.seen.iter().map(|seen| seen.id));
        }
    }
    let lost = choose(history, dice, |event| match &event.op {
        Op::Pull(value) => {
            let is_last = value.seen.last().is_some_and(|seen| !kept.contains(&seen.id));
            event.kind == EventType::Ok && is_last && is_within(event.index)
        }
        _ => false,
    });
    let Some(Op::Pull(shown)) = lost.and_then(|at| history.get(at)).map(|event| event.op.clone()) else {
        return false;
    };
    let Some(seen) = shown.seen.last() else { return false };
    // Somebody else must have the place in the end, or nobody contradicts it.
    let is_taken = history.iter().any(|event| {
        matches!(&event.op, Op::Scan(scan) if scan.leader && scan.queue == shown.queue && scan.at(seen.offset).is_some())
    });
    let Some(last) = promotions(history).last().copied().filter(|_| is_taken) else { return false };
    let later = choose(history, dice, |event| {
        event.index > last.done
            && event.kind == EventType::Ok
            && matches!(&event.op, Op::Pull(value) if value.queue == shown.queue && value.node == Some(last.node))
    });
    let Some(Op::Pull(pull)) = later.and_then(|at| history.get_mut(at)).map(|event| &mut event.op) else {
        return false;
    };
    *pull = PullValue { seen: vec![*seen], node: pull.node, max: pull.max, ..pull.clone() };
    true
}
