use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn offset(at: i64) -> QueueOffset {
    QueueOffset(at)
}

/// A half that lies in the log at its queue offset × 100; `root` is the queue offset of the first one.
fn half(root: i64, at: i64) -> Half {
    Half {
        root: Root(LogOffset(root * 100)),
        queue_offset: offset(at),
        log_offset: LogOffset(at * 100),
        born: Timestamp(0),
        checks: 0,
        immunity_ms: None,
    }
}

fn table(open_max: usize) -> Table {
    Table::new(Progress { halves: offset(0), marks: offset(0) }, open_max)
}

/// A table that has seen these halves.
fn with(halves: &[Half]) -> Table {
    let mut table = table(100);
    let read = halves.iter().map(|half| (half.queue_offset, Some(*half))).collect();
    assert!(table.pass(read));
    table
}

fn mark_all(table: &mut Table, at: i64) -> Vec<QueueOffset> {
    let marking = table.take_unmarked(1_000_000);
    table.marked(offset(at), &marking);
    marking
}

fn waiting(table: &Table) -> Vec<i64> {
    table.waiting().map(|half| half.queue_offset.0).collect()
}

const END: LogOffset = LogOffset(1_000_000);

#[test]
fn one_thing_at_a_time_and_nothing_twice() {
    let mut table = with(&[half(0, 0)]);
    assert_eq!(table.begin(&half(0, 0), END), Ok(half(0, 0)));
    assert_eq!(table.begin(&half(0, 0), END), Err(Occupied::Busy));
    table.fail(half(0, 0).root);
    assert_eq!(table.begin(&half(0, 0), END), Ok(half(0, 0)));
    table.decide(half(0, 0).root);
    assert_eq!(table.begin(&half(0, 0), END), Err(Occupied::Over));
    assert_eq!(table.progress(), Progress { halves: offset(0), marks: offset(0) });
    assert_eq!(mark_all(&mut table, 0), [offset(0)]);
    assert_eq!(table.begin(&half(0, 0), END), Err(Occupied::Over));
    assert_eq!(table.progress(), Progress { halves: offset(1), marks: offset(1) });
    assert_eq!(table.open(), 0);
}

#[test]
#[should_panic(expected = "was not begun")]
fn nobody_ends_what_he_has_not_begun() {
    with(&[half(0, 0)]).decide(half(0, 0).root);
}

#[test]
fn a_half_may_be_ended_before_it_is_looked_at() {
    let mut table = table(100);
    assert_eq!(table.begin(&half(1, 1), END), Ok(half(1, 1)));
    table.decide(half(1, 1).root);
    mark_all(&mut table, 0);
    assert_eq!(table.begin(&half(1, 1), END), Err(Occupied::Over));
    // The first one is not known yet, and keeps the other from being forgotten.
    assert_eq!(table.progress().halves, offset(0));
    assert_eq!(table.wanted(offset(3)), [offset(0), offset(2)]);
    assert!(table.pass(vec![(offset(0), Some(half(0, 0))), (offset(2), None)]));
    assert_eq!((waiting(&table), table.progress().halves), (vec![0], offset(0)));
    assert_eq!(table.begin(&half(2, 2), END), Err(Occupied::Over));
}

#[test]
fn a_half_that_was_written_again_stands_for_all_before() {
    let mut table = with(&[half(0, 0), half(1, 1)]);
    table.begin(&half(0, 0), END).expect("open");
    table.moved(half(0, 2));
    table.marked(offset(0), &[offset(0)]);
    assert_eq!(waiting(&table), [1, 2]);
    assert_eq!(table.progress(), Progress { halves: offset(1), marks: offset(1) });
    // By its old place, which is the one the producer knows.
    assert_eq!(table.begin(&half(0, 0), END), Ok(half(0, 2)));
    table.decide(half(0, 0).root);
    assert_eq!(mark_all(&mut table, 1), [offset(2)]);
    assert_eq!(table.wanted(offset(3)), []);
    assert_eq!(table.begin(&half(0, 2), END), Err(Occupied::Over));
    assert_eq!((waiting(&table), table.next()), (vec![1], offset(3)));
}

#[test]
fn of_a_torn_batch_the_newer_half_counts() {
    // The half was written again, and its mark was not.
    let mut table = with(&[half(0, 0), half(0, 1)]);
    assert_eq!(waiting(&table), [1]);
    assert_eq!(mark_all(&mut table, 0), [offset(0)]);
    assert_eq!(table.progress(), Progress { halves: offset(1), marks: offset(1) });
    assert_eq!(table.begin(&half(0, 0), END), Ok(half(0, 1)));
}

#[test]
fn what_a_message_commits_lacks_its_mark_only() {
    let mut table = with(&[half(0, 0), half(1, 1)]);
    table.found_commit(half(1, 1).root, LogOffset(500));
    assert_eq!(table.begin(&half(1, 1), END), Err(Occupied::Over));
    assert_eq!(waiting(&table), [0]);
    assert_eq!(table.commits_from(&[], END), LogOffset(500));
    assert_eq!(mark_all(&mut table, 0), [offset(1)]);
    assert_eq!(table.commits_from(&[], END), END);
}

#[test]
fn a_mark_says_where_commits_without_one_may_lie() {
    let mut table = with(&[half(0, 0), half(1, 1), half(2, 2)]);
    for (at, end) in [(0, 300), (1, 400), (2, 500)] {
        table.begin(&half(at, at), LogOffset(end)).expect("open");
    }
    assert_eq!(table.commits_from(&[], END), LogOffset(300));
    table.decide(half(0, 0).root);
    table.decide(half(1, 1).root);
    let marking = table.take_unmarked(1);
    assert_eq!(marking, [offset(0)]);
    assert_eq!(table.commits_from(&marking, END), LogOffset(400));
    // It could not be written.
    table.not_marked(marking);
    assert_eq!(table.commits_from(&[], END), LogOffset(300));
    assert_eq!(mark_all(&mut table, 0), [offset(0), offset(1)]);
    assert_eq!(table.commits_from(&[], END), LogOffset(500));
    table.fail(half(2, 2).root);
    assert_eq!(table.commits_from(&[], END), END);
}

#[test]
fn a_mark_is_read_again_until_all_its_halves_are_passed() {
    let mut table = table(100);
    table.found_mark(offset(0), [offset(0), offset(3)]);
    table.found_mark(offset(1), []);
    assert_eq!(table.wanted(offset(4)), [offset(1), offset(2)]);
    assert!(table.pass(vec![(offset(1), Some(half(1, 1))), (offset(2), Some(half(2, 2)))]));
    assert_eq!(table.wanted(offset(4)), []);
    assert_eq!(table.progress(), Progress { halves: offset(1), marks: offset(0) });
    for at in [1, 2] {
        table.begin(&half(at, at), END).expect("open");
        table.decide(half(at, at).root);
    }
    // The third mark is written before the second is known to be.
    table.marked(offset(3), &[offset(2)]);
    assert_eq!(table.progress(), Progress { halves: offset(1), marks: offset(0) });
    table.marked(offset(2), &[offset(1)]);
    assert_eq!(table.progress(), Progress { halves: offset(4), marks: offset(4) });
}

#[test]
fn a_full_table_goes_on_when_there_is_room() {
    let mut table = table(2);
    let read: Vec<_> = (0..4).map(|at| (offset(at), Some(half(at, at)))).collect();
    assert!(!table.pass(read.clone()));
    assert_eq!((table.next(), waiting(&table)), (offset(2), vec![0, 1]));
    assert_eq!(table.begin(&half(3, 3), END), Err(Occupied::OutOfReach));
    // A message was found that commits the third one.
    table.found_commit(half(2, 2).root, LogOffset(700));
    table.begin(&half(0, 0), END).expect("open");
    table.decide(half(0, 0).root);
    mark_all(&mut table, 0);
    assert!(!table.pass(read[2..].to_vec()));
    assert_eq!(table.begin(&half(2, 2), END), Err(Occupied::Over));
    assert_eq!(mark_all(&mut table, 1), [offset(2)]);
    assert!(table.pass(read[3..].to_vec()));
    assert_eq!(waiting(&table), [1, 3]);
}

#[test]
fn halves_that_are_gone_are_forgotten() {
    let mut table = with(&[half(0, 0)]);
    table.skip_to(offset(5));
    table.skip_to(offset(3));
    table.begin(&half(0, 0), END).expect("open");
    table.lose(half(0, 0).root);
    assert_eq!((table.open(), table.progress().halves), (0, offset(5)));
}

/// What a restart would read: all halves, marks and messages that commit.
#[derive(Default)]
struct Log {
    halves: Vec<Half>,
    marks: Vec<(Vec<QueueOffset>, LogOffset)>,
    commits: Vec<(Root, LogOffset)>,
}

impl Log {
    fn end(&self) -> LogOffset {
        LogOffset((self.marks.len() + self.commits.len()) as i64)
    }

    fn end_of_halves(&self) -> QueueOffset {
        offset(self.halves.len() as i64)
    }

    fn mark(&mut self, table: &mut Table, marking: Vec<QueueOffset>) {
        let commits_from = table.commits_from(&marking, self.end());
        table.marked(offset(self.marks.len() as i64), &marking);
        self.marks.push((marking, commits_from));
    }

    fn read_on(&self, table: &mut Table) {
        let wanted = table.wanted(self.end_of_halves());
        assert!(table.pass(wanted.iter().map(|at| (*at, Some(self.halves[at.0 as usize]))).collect()));
    }

    fn read(&self, from: Progress) -> Table {
        let mut table = Table::new(from, 1000);
        let marks = self.marks.iter().enumerate().skip(from.marks.0 as usize);
        marks.for_each(|(at, (mark, _))| table.found_mark(offset(at as i64), mark.iter().copied()));
        self.read_on(&mut table);
        let commits_from = self.marks.last().map_or(LogOffset(0), |(_, from)| *from);
        let commits = self.commits.iter().filter(|(_, at)| *at >= commits_from);
        commits.for_each(|(root, at)| table.found_commit(*root, *at));
        table
    }
}

proptest! {
    /// Whatever happened before a crash, and from whichever progress it is read: open is what nobody has decided, once.
    #[test]
    fn a_restart_finds_what_nobody_has_decided(steps in vec((0..6_u8, any::<prop::sample::Index>()), 0..80)) {
        let (mut log, mut table) = (Log::default(), table(1000));
        let mut undecided = BTreeSet::new();
        let mut progress = vec![table.progress()];
        for (step, index) in steps {
            let next = log.end_of_halves();
            let named = (next.0 > 0).then(|| log.halves[index.index(log.halves.len())]);
            match (step, named) {
                (0, _) => {
                    let new = half(next.0, next.0);
                    log.halves.push(new);
                    undecided.insert(new.root);
                }
                (1 | 2, Some(named)) => match table.begin(&named, log.end()) {
                    Ok(_) => {
                        prop_assert!(undecided.remove(&named.root), "{:?} was decided twice", named);
                        table.decide(named.root);
                        if step == 1 {
                            log.commits.push((named.root, log.end()));
                        } else {
                            // Only its mark makes a rollback last.
                            let marking = table.take_unmarked(1_000_000);
                            log.mark(&mut table, marking);
                        }
                    }
                    Err(occupied) => {
                        prop_assert_eq!(occupied, Occupied::Over);
                        prop_assert!(!undecided.contains(&named.root));
                    }
                },
                (3, Some(named)) => {
                    if let Ok(before) = table.begin(&named, log.end()) {
                        let copy = Half { root: before.root, ..half(next.0, next.0) };
                        log.halves.push(copy);
                        table.moved(copy);
                        log.mark(&mut table, vec![before.queue_offset]);
                    }
                }
                (4, _) => log.read_on(&mut table),
                _ => {
                    let marking = table.take_unmarked(6);
                    log.mark(&mut table, marking);
                }
            }
            progress.push(table.progress());
        }
        for from in progress {
            let read = log.read(from);
            let open: Vec<_> = read.waiting().map(|half| half.root).collect();
            prop_assert_eq!(open.len(), open.iter().collect::<BTreeSet<_>>().len());
            prop_assert_eq!(&open.into_iter().collect::<BTreeSet<_>>(), &undecided);
        }
    }
}
