//! Locks against what clients believe: whatever is on its way when, no two of them ever hold one queue.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::state::lock_leases::LOCK_LIFE_MS;

#[derive(Clone, Debug)]
enum Step {
    /// A client asks for a queue, or renews it.
    Ask(u8, u8),
    Release(u8, u8),
    /// The oldest command that is on its way is applied, and answered.
    Apply,
    Wait(i64),
    /// Another node leads. What is on its way is applied before it begins, or lost.
    Failover(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (client, queue) = (0..3_u8, 0..2_u8);
    prop_oneof![
        6 => (client.clone(), queue.clone()).prop_map(|(client, queue)| Step::Ask(client, queue)),
        2 => (client, queue).prop_map(|(client, queue)| Step::Release(client, queue)),
        5 => Just(Step::Apply),
        3 => prop_oneof![1..5_000_i64, Just(LOCK_LIFE_MS), Just(LOCK_LIFE_MS + 1)].prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Failover),
    ]
}

struct World {
    tables: Tables,
    leases: Leases,
    now: i64,
    on_its_way: VecDeque<Command>,
    /// Until when a client believes that it holds a queue, and to have asked for it since it last gave it back.
    beliefs: BTreeMap<(TopicQueue, ClientId), i64>,
    grants: usize,
}

fn name(client: u8) -> ClientId {
    ClientId::from(format!("c{client}").as_str())
}

fn queue(number: u8) -> TopicQueue {
    TopicQueue { topic: TopicName::parse("t").unwrap(), queue: QueueId(number.into()) }
}

impl World {
    fn new() -> Self {
        let (tables, leases) = (Tables::default(), Leases::new(Timestamp(0)));
        Self { tables, leases, now: 0, on_its_way: VecDeque::new(), beliefs: BTreeMap::new(), grants: 0 }
    }

    fn group() -> GroupName {
        GroupName::parse("g").unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Ask(client, number) => {
                let (client, now) = (name(*client), Timestamp(self.now));
                let queues = vec![queue(*number)];
                let answer = self.leases.ask(self.tables.locks(), &Self::group(), &client, queues, now);
                self.believe(&client, &answer.held);
                self.on_its_way.extend(answer.grant);
            }
            Step::Release(client, number) => {
                let client = name(*client);
                self.beliefs.remove(&(queue(*number), client.clone()));
                let queues = vec![queue(*number)];
                let release = self.leases.release(self.tables.locks(), &Self::group(), &client, queues);
                self.on_its_way.extend(release);
            }
            Step::Apply => self.apply_next(true),
            Step::Wait(time) => self.now += time,
            Step::Failover(applied) => {
                while *applied && !self.on_its_way.is_empty() {
                    self.apply_next(false);
                }
                self.on_its_way.clear();
                self.leases = Leases::new(Timestamp(self.now));
                self.tables = Tables::restore(&self.tables.checkpoint()).unwrap();
            }
        }
    }

    fn apply_next(&mut self, answered: bool) {
        let Some(command) = self.on_its_way.pop_front() else { return };
        let client = match &command {
            Command::GrantLocks { client, .. } => client.clone(),
            _ => return drop(self.tables.apply(command)),
        };
        let Reply::Granted(queues) = self.tables.apply(command) else { panic!("no answer to a grant") };
        self.grants += queues.len();
        if answered {
            let now = Timestamp(self.now);
            self.leases.granted(self.tables.locks(), &Self::group(), &client, &queues, now);
            self.believe(&client, &queues);
        }
    }

    fn believe(&mut self, client: &ClientId, queues: &[TopicQueue]) {
        for queue in queues {
            self.beliefs.insert((queue.clone(), client.clone()), self.now + LOCK_LIFE_MS);
        }
    }

    /// The first queue that two clients hold.
    fn conflict(&self) -> Option<&TopicQueue> {
        let live = |queue: &TopicQueue| {
            let of_queue =
                self.beliefs.iter().filter(|((held, _), until)| held == queue && **until >= self.now);
            of_queue.count()
        };
        self.beliefs.keys().map(|(queue, _)| queue).find(|queue| live(queue) > 1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_clients_hold_one_queue(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for (at, step) in steps.iter().enumerate() {
            world.take(step);
            prop_assert_eq!(world.conflict(), None, "after step {}", at);
        }
    }
}

/// Nobody is kept out for good: a queue that nobody renews goes to the next who asks.
#[test]
fn a_forgotten_queue_is_taken_over() {
    let mut world = World::new();
    for (client, wait) in [(0, 0), (1, LOCK_LIFE_MS + 1), (2, LOCK_LIFE_MS + 1)] {
        for step in [Step::Wait(wait), Step::Ask(client, 0), Step::Apply] {
            world.take(&step);
        }
        let lock = world.tables.locks().find("g", &queue(0)).unwrap();
        assert_eq!(lock.client, name(client));
    }
    assert_eq!(world.grants, 3);
}

/// The check itself: a grant that does not say what it ends lets two clients in.
#[test]
fn a_grant_must_name_what_it_ends() {
    let mut world = World::new();
    for step in [Step::Ask(0, 0), Step::Apply, Step::Wait(LOCK_LIFE_MS + 1), Step::Ask(0, 0), Step::Ask(1, 0)]
    {
        world.take(&step);
    }
    world.apply_next(true);
    let Some(Command::GrantLocks { grants, .. }) = world.on_its_way.front_mut() else { panic!("no grant") };
    grants[0].ends = world.tables.locks().find("g", &queue(0)).map(|lock| lock.number);
    world.take(&Step::Apply);
    assert_eq!(world.conflict(), Some(&queue(0)));
}
