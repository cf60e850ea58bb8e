//! A group of three that loses nothing: clients that overlap, answers that get lost, messages that arrive late, leaders that
//! are cut off or killed.

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::script::{NODES, Script, message, offset_of, seen};
use crate::dice::Dice;
use crate::history::{
    Event, EventType, FaultValue, Flow, NodeId, Op, Process, PullValue, SendValue, Sent, phases,
};

const QUEUES: usize = 2;
const CLIENTS: u32 = 5;
const STEPS: u64 = 160;
const BATCH_MAX: u64 = 3;
const PULL_MAX: usize = 6;

struct Model<'d> {
    dice: &'d mut Dice,
    script: Script,
    queues: Vec<Vec<Sent>>,
    leader: NodeId,
    fault: Option<FaultValue>,
    faults: i64,
    /// How long each node shows each queue while it is out of touch.
    frozen: Option<(NodeId, Vec<usize>)>,
    clients: Vec<Client>,
    /// Sent, and perhaps to arrive later.
    late: Vec<SendValue>,
    counter: u64,
}

struct Client {
    process: u32,
    open: Option<Open>,
}

enum Open {
    /// Not yet where it is to go.
    Send(SendValue),
    Stored(SendValue),
    Pull(PullValue),
}

/// A valid history. Half of them restart all nodes twice and scan after each.
pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let leader = NodeId(u8::try_from(dice.below(NODES.into())).unwrap_or_default());
    let clients = (0..CLIENTS).map(|process| Client { process, open: None }).collect();
    let mut model = Model {
        dice,
        script: Script::new("queue", QUEUES),
        queues: vec![Vec::new(); QUEUES],
        leader,
        fault: None,
        faults: 0,
        frozen: None,
        clients,
        late: Vec::new(),
        counter: 0,
    };
    model.script.phase(phases::LOAD);
    for _ in 0..STEPS {
        model.step();
    }
    model.finish()
}

impl Model<'_> {
    fn step(&mut self) {
        match self.dice.below(40) {
            0 => self.change_fault(),
            1 => self.arrive_late(),
            _ => {
                let at = self.dice.index(self.clients.len());
                self.step_client(at);
            }
        }
    }

    fn change_fault(&mut self) {
        if let Some(fault) = self.fault.take() {
            self.script.push(Process::Nemesis, EventType::Invoke, Op::Heal(fault.clone()));
            self.script.push(Process::Nemesis, EventType::Info, Op::Heal(fault));
            self.frozen = None;
            return;
        }
        self.faults += 1;
        let node = NodeId(u8::try_from(self.dice.below(NODES.into())).unwrap_or_default());
        let others: Vec<NodeId> = (0..NODES).map(NodeId).filter(|other| *other != node).collect();
        let kill = self.dice.once_in(3);
        let both = |other: &NodeId| [Flow { from: node, to: *other }, Flow { from: *other, to: node }];
        let mut fault = FaultValue {
            fault: if kill { "kill-one" } else { "partition-one" }.into(),
            number: self.faults,
            down: if kill { vec![node] } else { Vec::new() },
            cut: if kill { Vec::new() } else { others.iter().flat_map(both).collect() },
            ..FaultValue::default()
        };
        self.script.push(Process::Nemesis, EventType::Invoke, Op::Fault(fault.clone()));
        if node == self.leader {
            self.leader = self.dice.choose(&others).copied().unwrap_or(node);
        }
        self.frozen = Some((node, self.queues.iter().map(Vec::len).collect()));
        fault.result = Some("installed".into());
        self.script.push(Process::Nemesis, EventType::Info, Op::Fault(fault.clone()));
        self.fault = Some(fault);
    }

    fn arrive_late(&mut self) {
        if !self.late.is_empty() {
            let at = self.dice.index(self.late.len());
            let value = self.late.swap_remove(at);
            self.store(&value);
        }
    }

    /// The offset of the first message.
    fn store(&mut self, value: &SendValue) -> QueueOffset {
        let at = usize::try_from(value.queue.0).unwrap_or_default();
        let Some(queue) = self.queues.get_mut(at) else { return QueueOffset(0) };
        let offset = offset_of(queue.len());
        queue.extend(value.messages.iter().copied());
        offset
    }

    fn step_client(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at) else { return };
        let process = client.process;
        let next = match client.open.take() {
            None => Some(self.ask(process)),
            Some(Open::Send(value)) => self.deliver(at, value),
            Some(Open::Stored(value)) => {
                // The answer may get lost.
                let kind = if self.dice.once_in(12) { EventType::Info } else { EventType::Ok };
                self.answer(at, kind, Op::Send(value));
                None
            }
            Some(Open::Pull(value)) => {
                self.answer_pull(at, value);
                None
            }
        };
        if let Some(client) = self.clients.get_mut(at) {
            client.open = next;
        }
    }

    fn ask(&mut self, process: u32) -> Open {
        let queue = QueueId(i32::try_from(self.dice.index(QUEUES)).unwrap_or_default());
        // A client may not have heard yet that another leads.
        let stale = self.frozen.as_ref().filter(|_| self.dice.once_in(4)).map(|(node, _)| *node);
        let node = Some(stale.unwrap_or(self.leader));
        if self.dice.once_in(3) {
            let length = usize::try_from(queue.0).ok().and_then(|at| self.queues.get(at)).map_or(0, Vec::len);
            let offset = offset_of(self.dice.index(length + 1));
            let value = PullValue { queue, offset, node, ..PullValue::default() };
            self.script.push(Process::Client(process), EventType::Invoke, Op::Pull(value.clone()));
            return Open::Pull(value);
        }
        let count = if self.dice.once_in(4) { self.dice.between(2, BATCH_MAX) } else { 1 };
        let messages = (0..count)
            .map(|_| {
                self.counter += 1;
                message(process + 1, self.counter)
            })
            .collect();
        let value = SendValue { queue, messages, node, ..SendValue::default() };
        self.script.push(Process::Client(process), EventType::Invoke, Op::Send(value.clone()));
        Open::Send(value)
    }

    fn deliver(&mut self, at: usize, mut value: SendValue) -> Option<Open> {
        let out_of_touch = self.frozen.as_ref().map(|(node, _)| *node);
        if value.node != Some(self.leader) || value.node == out_of_touch || self.dice.once_in(10) {
            if self.dice.once_in(2) {
                self.answer(at, EventType::Fail, Op::Send(value));
            } else {
                self.late.push(value.clone());
                self.answer(at, EventType::Info, Op::Send(value));
            }
            return None;
        }
        value.offset = Some(self.store(&value));
        Some(Open::Stored(value))
    }

    fn answer_pull(&mut self, at: usize, mut value: PullValue) {
        let queue = usize::try_from(value.queue.0).unwrap_or_default();
        let Some(log) = self.queues.get(queue) else { return };
        let shown = match &self.frozen {
            Some((node, lengths)) if value.node == Some(*node) => {
                lengths.get(queue).copied().unwrap_or_default()
            }
            _ => log.len(),
        };
        let down = self
            .fault
            .as_ref()
            .is_some_and(|fault| value.node.is_some_and(|node| fault.down.contains(&node)));
        if down {
            return self.answer(at, EventType::Fail, Op::Pull(value));
        }
        let from = usize::try_from(value.offset.0).unwrap_or_default();
        let visible = log.iter().copied().enumerate().take(shown).skip(from).take(PULL_MAX);
        value.seen = visible.map(|(at, message)| seen(message, at)).collect();
        value.max = Some(offset_of(shown));
        self.answer(at, EventType::Ok, Op::Pull(value));
    }

    fn answer(&mut self, at: usize, kind: EventType, op: Op) {
        let Some(client) = self.clients.get_mut(at) else { return };
        let op = match (kind, op) {
            (EventType::Ok, op) => op,
            (_, Op::Send(value)) => Op::Send(SendValue { offset: None, ..value }),
            (_, op) => op,
        };
        self.script.push(Process::Client(client.process), kind, op);
        if kind == EventType::Info {
            client.process += CLIENTS;
        }
    }

    fn finish(mut self) -> Vec<Event> {
        for at in 0..self.clients.len() {
            while self.clients.get(at).is_some_and(|client| client.open.is_some()) {
                self.step_client(at);
            }
        }
        if self.fault.is_some() {
            self.change_fault();
        }
        self.script.phase(phases::HEALED);
        self.script.phase(phases::CONVERGED);
        let scanner = 1_000_000;
        if self.dice.once_in(2) {
            self.script.phase(phases::RESTARTED);
            self.script.scans(scanner, self.leader, &self.queues);
            self.script.phase(phases::RESTARTED);
        }
        self.script.scans(scanner, self.leader, &self.queues);
        self.script.phase(phases::DRAINED);
        self.script.events
    }
}
