//! Shows that the checkers can find bugs and do not invent them.
//!
//! A model writes valid histories, with concurrency, doubt and faults in them. A mutation changes one thing so that the history
//! is wrong for certain. The checker that it is meant for must find every such mutant, and no checker may accuse a history
//! that nobody changed.
#![expect(clippy::ptr_arg, reason = "all mutations have one signature, and some take events out")]

mod groups;
mod leaders;
mod locks;
mod message_mutants;
mod messages;
mod offsets;
mod promotions;
mod replica_mutants;
mod script;
mod timers;
mod topics;
mod transactions;

use crate::checkers::{self, Checker, Digest, Findings};
use crate::dice::Dice;
use crate::history::Event;

/// One way to make a valid history wrong.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// The number of the checker that must find it.
    pub checker: &'static str,
    pub name: &'static str,
    /// One of these must be reported.
    pub expected: &'static [&'static str],
    /// Returns whether the history had what it takes.
    pub mutate: fn(&mut Vec<Event>, &mut Dice) -> bool,
}

/// A model and the ways to spoil its histories.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub valid: fn(&mut Dice) -> Vec<Event>,
    pub mutations: &'static [Mutation],
}

pub const FAMILIES: &[Family] = &[
    Family { name: "messages", valid: messages::valid, mutations: message_mutants::MUTATIONS },
    Family { name: "replicas", valid: messages::valid, mutations: replica_mutants::MUTATIONS },
    Family { name: "promotions", valid: promotions::valid, mutations: promotions::MUTATIONS },
    Family { name: "groups", valid: groups::valid, mutations: groups::MUTATIONS },
    Family { name: "offsets", valid: offsets::valid, mutations: offsets::MUTATIONS },
    Family { name: "transactions", valid: transactions::valid, mutations: transactions::MUTATIONS },
    Family { name: "timers", valid: timers::valid, mutations: timers::MUTATIONS },
    Family { name: "locks", valid: locks::valid, mutations: locks::MUTATIONS },
    Family { name: "leaders", valid: leaders::valid, mutations: leaders::MUTATIONS },
    Family { name: "topics", valid: topics::valid, mutations: topics::MUTATIONS },
];

/// How one checker did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub mutants: u64,
    /// Seed and mutation of each mutant that was not found.
    pub survivors: Vec<(u64, &'static str)>,
}

/// Gives `checker` this many mutants. A seed that has no history for a mutation is passed over.
pub fn examine(checker: &Checker, mutants: u64, seed: u64) -> Score {
    let ways: Vec<(&Family, &Mutation)> = FAMILIES
        .iter()
        .flat_map(|family| family.mutations.iter().map(move |mutation| (family, mutation)))
        .filter(|(_, mutation)| mutation.checker == checker.number)
        .collect();
    let mut score = Score::default();
    let mut at = seed;
    // A mutation that hardly ever applies would be a mistake in its model: the tries are bounded.
    let last = seed + mutants.saturating_mul(20);
    while score.mutants < mutants && at < last && !ways.is_empty() {
        let mut dice = Dice::derive(at, checker.number);
        if let Some((family, mutation)) = dice.choose(&ways) {
            let mut history = (family.valid)(&mut dice);
            if (mutation.mutate)(&mut history, &mut dice) {
                script::renumber(&mut history);
                score.mutants += 1;
                if !is_killed(checker, &history, mutation) {
                    score.survivors.push((at, mutation.name));
                }
            }
        }
        at += 1;
    }
    score
}

fn is_killed(checker: &Checker, history: &[Event], mutation: &Mutation) -> bool {
    let Ok(digest) = Digest::new(history) else { return false };
    let findings = checker.check(&digest);
    mutation.expected.iter().any(|name| findings.has(name))
}

/// Shows all checkers this many valid histories of each family. Returns the seeds of those that were accused, and of what.
pub fn accuse_nobody(histories: u64, seed: u64) -> Vec<(u64, &'static str, Findings)> {
    let mut accused = Vec::new();
    for family in FAMILIES {
        for at in seed..seed + histories {
            let history = (family.valid)(&mut Dice::derive(at, family.name));
            match checkers::judge(&history) {
                Ok(findings) if findings.is_empty() => {}
                Ok(findings) => accused.push((at, family.name, findings)),
                // A model that breaks the rules of histories is as wrong as an accusation.
                Err(_) => accused.push((at, family.name, Findings::default())),
            }
        }
    }
    accused
}

#[cfg(test)]
mod tests;
