use super::*;

/// The full count is `jepsen selftest`'s; this many fit into an unoptimised test.
const MUTANTS: u64 = 200;
const HISTORIES: u64 = 60;

#[test]
fn every_mutant_is_found() {
    for checker in checkers::ALL {
        let score = examine(checker, MUTANTS, 1);
        assert_eq!(score.mutants, MUTANTS, "{} has too few mutants", checker.name);
        assert_eq!(score.survivors, [], "{}", checker.name);
    }
}

/// Each mutation on its own, so that none hides behind the others of its checker.
#[test]
fn every_mutation_is_found() {
    for family in FAMILIES {
        for mutation in family.mutations {
            let checker = Checker::find(mutation.checker).expect("a checker");
            let mut applied = 0;
            for seed in 0..400 {
                let mut dice = Dice::derive(seed, mutation.name);
                let mut history = (family.valid)(&mut dice);
                if !(mutation.mutate)(&mut history, &mut dice) {
                    continue;
                }
                script::renumber(&mut history);
                applied += 1;
                assert!(
                    is_killed(checker, &history, mutation),
                    "{}: {} survives seed {seed}",
                    checker.name,
                    mutation.name
                );
                if applied == 10 {
                    break;
                }
            }
            assert_eq!(applied, 10, "{}: {} hardly ever applies", checker.name, mutation.name);
        }
    }
}

#[test]
fn nobody_is_accused_without_reason() {
    if let Some((seed, family, findings)) = accuse_nobody(HISTORIES, 1).pop() {
        panic!("{family}, seed {seed}: {findings:#?}");
    }
}

#[test]
fn every_checker_has_mutations() {
    for checker in checkers::ALL {
        for anomaly in checker.anomalies {
            let expected = FAMILIES
                .iter()
                .flat_map(|family| family.mutations)
                .any(|mutation| mutation.checker == checker.number && mutation.expected.contains(anomaly));
            assert!(expected, "nothing shows that {} finds {anomaly}", checker.name);
        }
    }
}
