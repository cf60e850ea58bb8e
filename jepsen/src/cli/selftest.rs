//! `selftest`: the checkers against mutants of valid histories, and against valid histories.

use clap::Args;

use super::{INVALID, Refusal, VALID};
use crate::checkers::{self, Checker};
use crate::mutation;

#[derive(Clone, Debug, Args)]
pub struct SelftestOptions {
    /// Mutants for each checker
    #[arg(long, default_value_t = 10_000)]
    pub mutations: u64,
    /// Valid histories of each kind
    #[arg(long, default_value_t = 1000)]
    pub histories: u64,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this checker, by its name or its number
    #[arg(long)]
    pub checker: Option<String>,
}

pub fn selftest(options: &SelftestOptions) -> Result<u8, Refusal> {
    let chosen: Vec<&Checker> = match &options.checker {
        None => checkers::ALL.iter().collect(),
        Some(name) => {
            let checker = Checker::find(name);
            vec![checker.ok_or_else(|| Refusal::bad(format!("there is no checker {name}")))?]
        }
    };
    let mut passed = true;
    for checker in chosen {
        let score = mutation::examine(checker, options.mutations, options.seed);
        let found = score.mutants - score.survivors.len() as u64;
        println!("{:4} {:22} found {found} of {} mutants", checker.number, checker.name, score.mutants);
        for (seed, name) in score.survivors.iter().take(5) {
            println!("     seed {seed} survives: {name}");
        }
        passed &= score.survivors.is_empty() && score.mutants == options.mutations;
    }
    let accused = mutation::accuse_nobody(options.histories, options.seed);
    println!(
        "accused {} of {} valid histories",
        accused.len(),
        options.histories * mutation::FAMILIES.len() as u64
    );
    for (seed, family, findings) in accused.iter().take(5) {
        let first =
            findings.first().map_or("its history breaks the rules", |anomaly| anomaly.sentence.as_str());
        println!("     {family}, seed {seed}: {first}");
    }
    Ok(if passed && accused.is_empty() { VALID } else { INVALID })
}
