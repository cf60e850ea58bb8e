//! The open transactions of a node that leads. Pure.
//!
//! A transaction is known by its root: where its first half lies in the log. Whenever its producer is asked the half is written
//! again behind the others, so that what is finished before it need not be looked at any more; the newest one counts, and all of
//! them name their root. Who ends a transaction may name any of them: it is ended once.
//!
//! A half is finished when a mark in the log says so, whatever became of its transaction. Progress is the first half that is not
//! finished, and the first mark that names a half from there on; a restart begins to read at both.
//!
//! One thing at a time happens to a transaction: whoever [begins](Table::begin) says what came of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use ferrymq_proto::position::{LogOffset, QueueOffset, Timestamp};

/// Transactions that are kept in memory, about 150 bytes each. Halves past this are not looked at until others are finished:
/// who ends one of them hears that the broker is busy, and is asked later.
pub const OPEN_MAX: usize = 500_000;

/// Halves that are read at once.
const HALVES_AT_ONCE: i64 = 1024;

/// Where the first half of a transaction lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(pub LogOffset);

/// The half that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    pub root: Root,
    pub queue_offset: QueueOffset,
    pub log_offset: LogOffset,
    pub born: Timestamp,
    /// How often its producer was asked.
    pub checks: u32,
    /// So long after its birth the producer does not want to be asked.
    pub immunity_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Something happens to it.
    Busy,
    /// It is decided; the mark is not written yet.
    Decided,
}

#[derive(Clone, Copy, Debug)]
struct Transaction {
    half: Half,
    state: State,
}

/// Why nothing can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// Somebody else has begun: ask again when that is settled.
    Busy,
    /// It is decided or given up.
    Over,
    /// The table is full, and has not come to it.
    OutOfReach,
}

/// How far halves and marks need not be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub halves: QueueOffset,
    pub marks: QueueOffset,
}

#[derive(Debug)]
pub struct Table {
    open_max: usize,
    transactions: HashMap<Root, Transaction>,
    /// Halves without a mark. Invariant: the last one of each transaction is here, and its others as long as their marks are
    /// not written.
    unfinished: BTreeMap<QueueOffset, Root>,
    /// Halves before it were looked at.
    next: QueueOffset,
    /// From `next` on, and finished already.
    finished_ahead: BTreeSet<QueueOffset>,
    /// Their marks are to be written.
    unmarked: VecDeque<QueueOffset>,
    /// The marks that may have to be read again, with the highest half that each of them names.
    marks: BTreeMap<QueueOffset, QueueOffset>,
    next_mark: QueueOffset,
    /// Of those that are not open: a message that commits them lies nowhere before this.
    commits_from: HashMap<Root, LogOffset>,
    /// Halves that messages were found to commit, while those halves were out of reach.
    committed: HashSet<Root>,
}

impl Table {
    /// Nothing is open yet. Halves and marks are read from `progress` on.
    pub fn new(progress: Progress, open_max: usize) -> Self {
        Self {
            open_max,
            transactions: HashMap::new(),
            unfinished: BTreeMap::new(),
            next: progress.halves,
            finished_ahead: BTreeSet::new(),
            unmarked: VecDeque::new(),
            marks: BTreeMap::new(),
            next_mark: progress.marks,
            commits_from: HashMap::new(),
            committed: HashSet::new(),
        }
    }

    /// Halves before it were looked at.
    pub fn next(&self) -> QueueOffset {
        self.next
    }

    fn is_full(&self) -> bool {
        self.transactions.len() >= self.open_max
    }

    pub fn open(&self) -> usize {
        self.transactions.len()
    }

    /// Takes in what a mark says that was written by somebody before: these halves are finished.
    pub fn found_mark(&mut self, at: QueueOffset, halves: impl IntoIterator<Item = QueueOffset>) {
        let next = self.next;
        let mut highest = QueueOffset(-1);
        for half in halves.into_iter().filter(|half| *half >= next) {
            self.finished_ahead.insert(half);
            highest = highest.max(half);
        }
        self.marks.insert(at, highest);
    }

    /// The next halves that have to be read, of those before `end`: in order, and none where there is nothing to read.
    pub fn wanted(&mut self, end: QueueOffset) -> Vec<QueueOffset> {
        while self.next < end && self.is_known(self.next) {
            self.step();
        }
        let end = end.min(QueueOffset(self.next.0.saturating_add(HALVES_AT_ONCE)));
        (self.next.0..end.0).map(QueueOffset).filter(|half| !self.is_known(*half)).collect()
    }

    /// Goes on behind halves that were wanted and read; one that is `None` is nothing that could be a half. Returns whether
    /// there was room for all of them.
    pub fn pass(&mut self, read: Vec<(QueueOffset, Option<Half>)>) -> bool {
        for (at, half) in read {
            while self.next < at {
                self.step();
            }
            // It may have been ended meanwhile.
            if self.next > at || self.is_known(at) {
                continue;
            }
            if let Some(half) = half {
                if self.is_full() && !self.knows(half.root) {
                    return false;
                }
                self.take(half);
            }
            self.step();
        }
        true
    }

    fn is_known(&self, half: QueueOffset) -> bool {
        self.finished_ahead.contains(&half) || self.unfinished.contains_key(&half)
    }

    fn step(&mut self) {
        self.finished_ahead.remove(&self.next);
        self.next.0 += 1;
    }

    /// Nothing can be read before `to` any more.
    pub fn skip_to(&mut self, to: QueueOffset) {
        if to <= self.next {
            return;
        }
        self.next = to;
        self.finished_ahead = self.finished_ahead.split_off(&to);
    }

    /// Takes in a half that was just read or written.
    fn take(&mut self, half: Half) {
        self.unfinished.insert(half.queue_offset, half.root);
        let Some(known) = self.transactions.get_mut(&half.root) else {
            self.transactions.insert(half.root, Transaction { half, state: State::Open });
            if self.committed.remove(&half.root) {
                self.found_commit(half.root, half.log_offset);
            }
            return;
        };
        // One of the two was written again as the other, but its mark was not written.
        let is_newer = half.queue_offset > known.half.queue_offset;
        let older = if is_newer { std::mem::replace(&mut known.half, half) } else { half };
        self.unmarked.push_back(older.queue_offset);
        if is_newer && known.state == State::Decided {
            self.unmarked.push_back(half.queue_offset);
        }
    }

    /// Takes in that a message at `at` commits the transaction.
    pub fn found_commit(&mut self, root: Root, at: LogOffset) {
        let is_full = self.is_full();
        match self.transactions.get_mut(&root) {
            Some(transaction) if transaction.state == State::Open => {
                transaction.state = State::Decided;
                self.unmarked.push_back(transaction.half.queue_offset);
                self.commits_from.insert(root, at);
            }
            // It may be out of reach.
            None if is_full => drop(self.committed.insert(root)),
            _ => {}
        }
    }

    /// Whether the transaction is known, and not finished.
    pub fn knows(&self, root: Root) -> bool {
        self.transactions.contains_key(&root)
    }

    /// Begins to do something to the transaction of a half that was read. `end` is the end of the log.
    pub fn begin(&mut self, named: &Half, end: LogOffset) -> Result<Half, Occupied> {
        if !self.transactions.contains_key(&named.root) {
            self.meet(named)?;
        }
        let transaction = self.transactions.get_mut(&named.root).ok_or(Occupied::Over)?;
        match transaction.state {
            State::Open => {
                transaction.state = State::Busy;
                self.commits_from.insert(named.root, end);
                Ok(transaction.half)
            }
            State::Busy => Err(Occupied::Busy),
            State::Decided => Err(Occupied::Over),
        }
    }

    /// A half may be ended before it was looked at.
    fn meet(&mut self, named: &Half) -> Result<(), Occupied> {
        if named.queue_offset < self.next || self.is_known(named.queue_offset) {
            return Err(Occupied::Over);
        }
        // Copies are known from the moment they are written. One that is not was written before, and lies out of reach.
        if self.is_full() || named.root != Root(named.log_offset) {
            return Err(Occupied::OutOfReach);
        }
        self.take(*named);
        Ok(())
    }

    /// Nothing came of it.
    pub fn fail(&mut self, root: Root) {
        self.settle(root, State::Open);
    }

    /// It is committed or rolled back.
    pub fn decide(&mut self, root: Root) {
        if let Some(half) = self.settle(root, State::Decided) {
            self.unmarked.push_back(half.queue_offset);
        }
    }

    /// Its half was written again, and now this one counts. The mark of the one before follows.
    pub fn moved(&mut self, half: Half) {
        let Some(before) = self.settle(half.root, State::Open) else { return };
        if half.queue_offset > before.queue_offset {
            self.unfinished.insert(half.queue_offset, half.root);
            if let Some(transaction) = self.transactions.get_mut(&half.root) {
                transaction.half = half;
            }
        }
    }

    /// Its half is not there any more: nobody can decide it.
    pub fn lose(&mut self, root: Root) {
        if let Some(half) = self.settle(root, State::Open) {
            self.finish(half.queue_offset);
        }
    }

    /// A transaction that was given up is open again: this half was written.
    pub fn resume(&mut self, half: Half) {
        if !self.unfinished.contains_key(&half.queue_offset) {
            self.take(half);
        }
    }

    fn settle(&mut self, root: Root, to: State) -> Option<Half> {
        let transaction = self.transactions.get_mut(&root)?;
        assert!(transaction.state == State::Busy, "{root:?} was not begun: {transaction:?}");
        transaction.state = to;
        if to == State::Open {
            self.commits_from.remove(&root);
        }
        Some(transaction.half)
    }

    fn finish(&mut self, half: QueueOffset) {
        if half >= self.next {
            self.finished_ahead.insert(half);
        }
        let Some(root) = self.unfinished.remove(&half) else { return };
        if self.transactions.get(&root).is_some_and(|transaction| transaction.half.queue_offset == half) {
            self.transactions.remove(&root);
            self.commits_from.remove(&root);
        }
    }

    /// How many marks are to be written.
    pub fn unmarked(&self) -> usize {
        self.unmarked.len()
    }

    /// Takes halves that are to be marked now: as many as fit into so many bytes, but at least one.
    pub fn take_unmarked(&mut self, bytes_max: usize) -> Vec<QueueOffset> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(half) = self.unmarked.pop_front()
        {
            bytes += half.to_string().len() + 1;
            taken.push(half);
        }
        taken
    }

    /// The marks could not be written.
    pub fn not_marked(&mut self, halves: Vec<QueueOffset>) {
        halves.into_iter().rev().for_each(|half| self.unmarked.push_front(half));
    }

    /// The marks of these halves are in the log, in the record at `at`.
    pub fn marked(&mut self, at: QueueOffset, halves: &[QueueOffset]) {
        self.marks.insert(at, halves.iter().copied().max().unwrap_or(QueueOffset(-1)));
        halves.iter().for_each(|half| self.finish(*half));
    }

    /// When these halves have their marks, messages that commit a transaction without one lie nowhere before this.
    pub fn commits_from(&self, marking: &[QueueOffset], end: LogOffset) -> LogOffset {
        let marking: HashSet<_> = marking.iter().collect();
        let is_marked = |root: &Root| {
            let half = self.transactions.get(root).map(|transaction| transaction.half.queue_offset);
            half.is_none_or(|half| marking.contains(&half))
        };
        let unmarked = self.commits_from.iter().filter(|(root, _)| !is_marked(root));
        unmarked.map(|(_, from)| *from).min().unwrap_or(end).min(end)
    }

    /// The halves of all that wait for a decision, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &Half> {
        let newest = self.unfinished.iter().filter_map(|(queue_offset, root)| {
            self.transactions.get(root).filter(|transaction| transaction.half.queue_offset == *queue_offset)
        });
        newest.filter(|transaction| transaction.state == State::Open).map(|transaction| &transaction.half)
    }

    /// Messages that commit what is open lie nowhere before this. `None` when nothing is.
    pub fn oldest(&self) -> Option<LogOffset> {
        self.transactions.values().map(|transaction| transaction.half.log_offset).min()
    }

    /// Moves progress on, and says where it is.
    pub fn progress(&mut self) -> Progress {
        let first = self.unfinished.first_key_value().map(|(half, _)| *half);
        let halves = first.unwrap_or(self.next).min(self.next);
        while let Some(mark) = self.marks.first_entry() {
            // What lies between two marks may be one that is just being written.
            let is_next = *mark.key() <= self.next_mark;
            if !is_next || *mark.get() >= halves {
                break;
            }
            self.next_mark.0 = self.next_mark.0.max(mark.key().0 + 1);
            mark.remove();
        }
        Progress { halves, marks: self.next_mark }
    }
}

#[cfg(test)]
mod tests;
