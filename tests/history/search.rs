//! Whether the history of one key is that of a register, decided by search.
//!
//! Exact where [`crate::zones`] is not: it knows that an absence which many calls saw may have had
//! one removal only, and that of two conditional writes in a row one must have failed. The calls
//! are played in the order of time while every state that the register can be in is kept; a call
//! takes effect as late as it can, that is when its own end, or that of a call which needs it,
//! comes (Lowe, "Testing for linearizability", 2017). As few calls overlap on one key, few states
//! are open at any time.

use crate::{
    record::{Kind, Op},
    zones::Violation,
};

/// More open states than any history of a dozen threads has; past it the search gives up loudly.
const MAX_STATES: usize = 1 << 16;

/// One way in which things may stand: the register's value (0 is absence), and which of the calls
/// that are under way have taken effect.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    value: u64,
    done: u64,
}

/// The calls under way, each at a bit of [`State::done`].
struct Open {
    calls: [Option<Op>; 64],
    used: u64,
    /// Bits of those that only look.
    looks: u64,
    /// For each bit, those of the users' changes that began after it.
    later: [u64; 64],
    /// How many are under way that may remove.
    perhaps: usize,
    /// Bits of the users' changes that began after the last of these. They end in the order in which
    /// they began, so what the last one may do is all that any may.
    after_perhaps: u64,
}

impl Open {
    /// Lets every look that fits the value happen now: nothing is lost by it, as a look changes
    /// nothing.
    fn look(&self, state: State) -> State {
        let mut fits = 0;
        let mut left = self.looks & !state.done;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            if self.call(bit).value == state.value {
                fits |= bit;
            }
        }
        State {
            done: state.done | fits,
            ..state
        }
    }

    fn call(&self, bit: u64) -> Op {
        self.calls[bit.trailing_zeros() as usize].expect("a set bit belongs to a call")
    }

    /// What follows when the call at `bit` takes effect, if it can.
    fn apply(&self, state: State, bit: u64) -> Option<State> {
        let op = self.call(bit);
        let late = state.done & self.later[bit.trailing_zeros() as usize] != 0;
        let value = match op.kind {
            Kind::Install if late => return None,
            Kind::Write | Kind::Install => op.value,
            Kind::Remove => 0,
            Kind::WriteIfAbsent if state.value == 0 => op.value,
            Kind::WriteIfAbsent | Kind::MayRemove | Kind::Read | Kind::Miss => return None,
        };
        Some(self.look(State {
            value,
            done: state.done | bit,
        }))
    }

    /// What can follow a state at once: each call under way takes effect, if it can.
    fn follow(&self, state: State) -> impl Iterator<Item = State> {
        let mut left = self.used & !self.looks & !state.done;
        let writes = std::iter::from_fn(move || {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            (bit != 0).then_some(bit)
        });
        writes
            .filter_map(move |bit| self.apply(state, bit))
            .chain(self.removed(state))
    }

    /// What follows when a call that may remove does, if one can.
    fn removed(&self, state: State) -> Option<State> {
        (self.perhaps > 0 && state.done & self.after_perhaps == 0)
            .then(|| self.look(State { value: 0, ..state }))
    }

    fn begin_perhaps(&mut self) {
        self.perhaps += 1;
        self.after_perhaps = 0;
    }

    /// Takes a call in, and says at which bit.
    fn begin(&mut self, op: Op) -> u64 {
        assert!(self.used != u64::MAX, "too many calls overlap for a search");
        let slot = self.used.trailing_ones();
        let bit = 1 << slot;
        self.calls[slot as usize] = Some(op);
        self.used |= bit;
        self.later[slot as usize] = 0;
        if op.kind.looks() {
            self.looks |= bit;
        }
        if op.kind.changes() {
            self.later.iter_mut().for_each(|later| *later |= bit);
            self.after_perhaps |= bit;
        }
        bit
    }

    fn end(&mut self, bit: u64) {
        self.used &= !bit;
        self.looks &= !bit;
        self.later.iter_mut().for_each(|later| *later &= !bit);
        self.after_perhaps &= !bit;
    }
}

/// Adds a state unless a kept one is as good: the same value and writes, and no look less.
fn keep(states: &mut Vec<State>, new: State, looks: u64) {
    let better = |old: &State, new: &State| {
        old.value == new.value
            && (old.done ^ new.done) & !looks == 0
            && old.done & new.done == new.done
    };
    if states.iter().any(|old| better(old, &new)) {
        return;
    }
    states.retain(|old| !better(&new, old));
    states.push(new);
    assert!(
        states.len() <= MAX_STATES,
        "too many calls overlap for a search"
    );
}

/// Looks for an order of the calls that explains all of them. Reports the first call for which
/// there is none.
pub(crate) fn check(ops: &[Op]) -> Result<(), Violation> {
    // Ends sort after starts: calls that touch are concurrent. A load's end is that of a change
    // which it must come before, so it sorts before that one.
    let mut events: Vec<(u64, u8, usize)> = Vec::with_capacity(2 * ops.len());
    for (at, op) in ops.iter().enumerate() {
        let by_load = matches!(op.kind, Kind::Install | Kind::MayRemove);
        events.push((op.span.start, 0, at));
        events.push((op.span.end, if by_load { 1 } else { 2 }, at));
    }
    events.sort_unstable();

    let mut open = Open {
        calls: [None; 64],
        used: 0,
        looks: 0,
        later: [0; 64],
        perhaps: 0,
        after_perhaps: 0,
    };
    let mut bit_of = vec![0_u64; ops.len()];
    let mut states = vec![State { value: 0, done: 0 }];
    for (_, rank, at) in events {
        let op = ops[at];
        match (op.kind, rank) {
            (Kind::MayRemove, 0) => open.begin_perhaps(),
            (Kind::MayRemove, _) => {
                states = finish_perhaps(&open, &states);
                open.perhaps -= 1;
            }
            (_, 0) => {
                bit_of[at] = open.begin(op);
                for state in &mut states {
                    *state = open.look(*state);
                }
            }
            _ => {
                states = finish(&open, &states, bit_of[at]);
                if states.is_empty() {
                    return Err(Violation::NoOrder { op });
                }
                open.end(bit_of[at]);
            }
        }
    }
    Ok(())
}

/// The states in which the call at `bit` has taken effect, that call forgotten.
fn finish(open: &Open, states: &[State], bit: u64) -> Vec<State> {
    let forget = |state: State| State {
        done: state.done & !bit,
        ..state
    };
    let mut finished = Vec::with_capacity(states.len());
    let mut reached: Vec<State> = Vec::new();
    for &state in states {
        if state.done & bit == 0 {
            keep(&mut reached, state, open.looks);
        } else {
            keep(&mut finished, forget(state), open.looks);
        }
    }
    let mut next = 0;
    while let Some(&state) = reached.get(next) {
        next += 1;
        for after in open.follow(state) {
            if after.done & bit != 0 {
                keep(&mut finished, forget(after), open.looks);
            } else if !reached.contains(&after) {
                // Not `keep`, which may drop what `next` has passed.
                reached.push(after);
            }
        }
    }
    finished
}

/// The states with and without a removal by a call that may remove and is about to end.
fn finish_perhaps(open: &Open, states: &[State]) -> Vec<State> {
    let mut finished = states.to_vec();
    let mut reached = states.to_vec();
    let mut next = 0;
    while let Some(&state) = reached.get(next) {
        next += 1;
        if let Some(removed) = open.removed(state) {
            keep(&mut finished, removed, open.looks);
        }
        for after in open.follow(state) {
            if !reached.contains(&after) {
                reached.push(after);
            }
        }
    }
    finished
}
