use super::*;

fn said(clocks: &[(&str, i64)]) -> Option<(bool, String)> {
    let clocks: Vec<_> = clocks.iter().map(|(name, ahead)| ((*name).to_owned(), *ahead)).collect();
    apart(&clocks).map(|found| (found.is_well, found.says))
}

#[test]
fn clocks_that_differ_are_named() {
    assert_eq!(said(&[]), None, "there is no group");
    let (is_well, says) = said(&[("n0", -30), ("n1", 40), ("n2", 0)]).expect("a finding");
    assert!(is_well && says.contains("0.07 s"), "{says}");
    let (is_well, says) = said(&[("n0", 5), ("n1", -90_000), ("n2", 0)]).expect("a finding");
    assert!(!is_well && says.contains("the clock of n0 is 90.0 s ahead of that of n1"), "{says}");
    let (is_well, says) = said(&[("n0", 2_000), ("n1", 2_010)]).expect("a finding");
    assert!(!is_well && says.contains("n1 is 2.0 s ahead of that of this machine"), "{says}");
    assert!(!said(&[("n0", i64::MIN), ("n1", i64::MAX)]).expect("a finding").0, "no overflow");
}
