//! What the threads of a run write down about their own calls.
//!
//! Each thread appends to a log of its own, allocated before the run: a counter or a queue that
//! the threads shared would order them, and hide the very faults that a history is to show. The
//! only thing they have in common is the clock, read before and after each call. A call that
//! ended at an earlier nanosecond than another began came first; calls that touch in the same
//! nanosecond count as concurrent.

use std::time::Instant;

/// Keys are small numbers, so that whatever is kept per key can be an array.
pub(crate) type Key = u16;

/// The time of one call: nanoseconds since the origin of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    /// Whether this call had returned when `later` began.
    pub(crate) fn precedes(self, later: Self) -> bool {
        self.end < later.start
    }
}

/// What a call did to one key, or saw of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wrote its value, whatever was there.
    Write,
    /// Found nothing and wrote its value, in one step.
    WriteIfAbsent,
    /// Wrote absence.
    Remove,
    /// Wrote its value, by a load: before any write or removal that began later.
    Install,
    /// May have written absence, once or more, or not at all; by a load, and so as above.
    MayRemove,
    /// Saw its value.
    Read,
    /// Saw absence.
    Miss,
}

impl Kind {
    /// Whether it is a write or a removal by a user.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Self::Write | Self::WriteIfAbsent | Self::Remove)
    }

    pub(crate) fn looks(self) -> bool {
        matches!(self, Self::Read | Self::Miss)
    }
}

/// One call, as far as it concerns one key. `value` is 0 where the kind has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) key: Key,
    pub(crate) value: u64,
    pub(crate) span: Span,
}

/// An epoch that a thread was shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpochSeen {
    pub(crate) epoch: u64,
    pub(crate) span: Span,
}

/// The answer of a read that may load: a hit, or what a flight gave to its waiters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) key: Key,
    /// 0 when the answer was "absent".
    pub(crate) value: u64,
    pub(crate) span: Span,
}

/// One result that a loader gave for one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) key: Key,
    /// 0 when the loader said that there is no such key.
    pub(crate) value: u64,
    /// Whether the value was to be returned, but not stored.
    pub(crate) ignored: bool,
    pub(crate) span: Span,
}

/// A snapshot that was taken: value by key, 0 where it had none.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) epoch: u64,
    pub(crate) span: Span,
    pub(crate) values: Vec<u64>,
}

/// The values of one `set_many`.
pub(crate) type Group = Vec<(Key, u64)>;

/// The log of one thread.
#[derive(Debug)]
pub(crate) struct Log {
    origin: Instant,
    next_value: u64,
    pub(crate) ops: Vec<Op>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) loads: Vec<Load>,
    pub(crate) groups: Vec<Group>,
    pub(crate) shots: Vec<Shot>,
    /// In the order in which the thread was shown them.
    pub(crate) epochs: Vec<EpochSeen>,
    /// The folds that the thread asked and waited for.
    pub(crate) publishes: Vec<EpochSeen>,
    /// What the thread itself found wrong.
    pub(crate) complaints: Vec<String>,
}

impl Log {
    /// A log with room for `ops` operations, for the thread of that number.
    pub(crate) fn new(origin: Instant, thread: u64, ops: usize) -> Self {
        Self {
            origin,
            next_value: (thread + 1) << 40,
            ops: Vec::with_capacity(ops),
            answers: Vec::new(),
            loads: Vec::new(),
            groups: Vec::new(),
            shots: Vec::new(),
            epochs: Vec::new(),
            publishes: Vec::new(),
            complaints: Vec::new(),
        }
    }

    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// A value that no other call of the run writes.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).expect("a run is shorter than 584 years")
    }

    /// Makes a call, and says when.
    pub(crate) fn timed<T>(&self, call: impl FnOnce() -> T) -> (T, Span) {
        let start = self.now();
        let answer = call();
        let end = self.now();
        (answer, Span { start, end })
    }

    pub(crate) fn push(&mut self, kind: Kind, key: Key, value: u64, span: Span) {
        self.ops.push(Op {
            kind,
            key,
            value,
            span,
        });
    }

    /// Records what a call that never loads saw.
    pub(crate) fn saw(&mut self, key: Key, value: Option<u64>, span: Span) {
        match value {
            Some(value) => self.push(Kind::Read, key, value, span),
            None => self.push(Kind::Miss, key, 0, span),
        }
    }
}

/// Operations by key, each list in no particular order.
pub(crate) fn by_key(keys: usize, logs: &[Log]) -> Vec<Vec<Op>> {
    let mut counts = vec![0; keys];
    for op in logs.iter().flat_map(|log| &log.ops) {
        counts[usize::from(op.key)] += 1;
    }
    let mut lists: Vec<Vec<Op>> = counts.into_iter().map(Vec::with_capacity).collect();
    for op in logs.iter().flat_map(|log| &log.ops) {
        lists[usize::from(op.key)].push(*op);
    }
    lists
}
