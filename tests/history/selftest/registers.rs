//! The checkers of one key: on histories that are right by construction, on single edits that make
//! them wrong, and on random histories against a search that is too simple to be wrong.

use super::config;
use crate::{
    record::{Kind, Op, Span},
    search,
    zones::{Register, Violation},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::collections::HashSet;

fn zones(ops: &[Op]) -> Result<(), Violation> {
    Register::new(ops)?.check()
}

/// Tries every order: linear in nothing, for a dozen calls.
fn any_order(ops: &[Op]) -> bool {
    fn after(ops: &[Op], done: u32, value: u64, dead: &mut HashSet<(u32, u64)>) -> bool {
        let left = || (0..ops.len()).filter(|at| done & (1 << at) == 0);
        let Some(first_end) = left().map(|at| ops[at].span.end).min() else {
            return true;
        };
        if !dead.insert((done, value)) {
            return false;
        }
        left()
            .filter(|&at| ops[at].span.start <= first_end)
            .any(|at| {
                let op = ops[at];
                let next = match op.kind {
                    Kind::Write => Some(op.value),
                    Kind::WriteIfAbsent => (value == 0).then_some(op.value),
                    Kind::Remove => Some(0),
                    Kind::Install | Kind::MayRemove => unreachable!("not in these histories"),
                    Kind::Read | Kind::Miss => (op.value == value).then_some(value),
                };
                next.is_some_and(|value| after(ops, done | (1 << at), value, dead))
            })
    }
    after(ops, 0, 0, &mut HashSet::new())
}

/// What a step of a made-up history does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    WriteIfAbsent,
    Remove,
    Look,
}

fn step(removals: bool) -> impl Strategy<Value = Step> {
    let absence = u32::from(removals);
    prop_oneof![
        3 => Just(Step::Write),
        2 * absence => Just(Step::WriteIfAbsent),
        2 * absence => Just(Step::Remove),
        5 => Just(Step::Look),
    ]
}

/// Steps with the times by which their calls began earlier and ended later than their effect.
/// Effects are 10 apart, so most of the calls overlap with a few others, and some with many.
fn steps(removals: bool, count: usize) -> impl Strategy<Value = Vec<(Step, u64, u64)>> {
    let stretch = || prop_oneof![3 => Just(0_u64), 4 => 0..25_u64, 1 => 0..120_u64];
    vec((step(removals), stretch(), stretch()), 1..count)
}

/// A history that is linearizable: its calls take effect one after another.
fn play(steps: &[(Step, u64, u64)]) -> Vec<Op> {
    let mut value = 0;
    let mut ops = Vec::with_capacity(steps.len());
    for (at, &(step, before, after)) in (1_u64..).zip(steps) {
        let moment = 1_000 + at * 10;
        let kind = match step {
            Step::Write => Kind::Write,
            Step::WriteIfAbsent if value == 0 => Kind::WriteIfAbsent,
            Step::Remove => Kind::Remove,
            Step::WriteIfAbsent | Step::Look if value == 0 => Kind::Miss,
            Step::WriteIfAbsent | Step::Look => Kind::Read,
        };
        match kind {
            Kind::Write | Kind::WriteIfAbsent => value = at,
            Kind::Remove => value = 0,
            _ => {}
        }
        let span = Span {
            start: moment - before,
            end: moment + after,
        };
        ops.push(Op {
            kind,
            key: 0,
            value,
            span,
        });
    }
    ops
}

/// The same calls, each in a moment of its own: then there is one right answer to every look.
fn in_turn(steps: &[(Step, u64, u64)]) -> Vec<Op> {
    let steps: Vec<_> = steps.iter().map(|&(step, ..)| (step, 2, 2)).collect();
    play(&steps)
}

fn positions(ops: &[Op], kind: Kind) -> Vec<usize> {
    (0..ops.len()).filter(|&at| ops[at].kind == kind).collect()
}

/// One edit of a history; `None` where it does not apply.
#[derive(Clone, Debug)]
enum Edit {
    /// Two reads of different values exchange them.
    Swap(Index, Index),
    /// A read happens again after the next write or removal.
    Late(Index),
    /// A read finds nothing.
    Drop(Index),
    /// A miss finds the value that was there before.
    Resurrect(Index),
    /// A write or a removal is forgotten, though seen.
    Lose(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        any::<(Index, Index)>().prop_map(|(one, other)| Edit::Swap(one, other)),
        any::<Index>().prop_map(Edit::Late),
        any::<Index>().prop_map(Edit::Drop),
        any::<Index>().prop_map(Edit::Resurrect),
        any::<Index>().prop_map(Edit::Lose),
    ]
}

fn pick(from: &[usize], index: &Index) -> Option<usize> {
    (!from.is_empty()).then(|| *index.get(from))
}

fn broken(mut ops: Vec<Op>, edit: &Edit) -> Option<Vec<Op>> {
    let reads = positions(&ops, Kind::Read);
    match edit {
        Edit::Swap(one, other) => {
            let one = pick(&reads, one)?;
            let others: Vec<usize> = reads
                .into_iter()
                .filter(|&at| ops[at].value != ops[one].value)
                .collect();
            let other = pick(&others, other)?;
            (ops[one].value, ops[other].value) = (ops[other].value, ops[one].value);
        }
        Edit::Late(read) => {
            let read = pick(&reads, read)?;
            let next = (read..ops.len()).find(|&at| ops[at].kind.changes())?;
            let start = ops[next].span.end + 1;
            ops[read].span = Span {
                start,
                end: start + 1,
            };
        }
        Edit::Drop(read) => {
            let read = pick(&reads, read)?;
            ops[read] = Op {
                kind: Kind::Miss,
                value: 0,
                ..ops[read]
            };
        }
        Edit::Resurrect(miss) => {
            let miss = pick(&positions(&ops, Kind::Miss), miss)?;
            let value = ops[..miss].iter().rev().find(|op| op.value != 0)?.value;
            ops[miss] = Op {
                kind: Kind::Read,
                value,
                ..ops[miss]
            };
        }
        Edit::Lose(write) => {
            let noticed = |at: usize| {
                ops[at].kind.changes()
                    && ops
                        .get(at + 1)
                        .is_some_and(|op| matches!(op.kind, Kind::Read | Kind::Miss))
                    && ops[..at]
                        .iter()
                        .rev()
                        .find(|op| op.kind.changes())
                        .map_or(0, |op| op.value)
                        != ops[at].value
            };
            let write = pick(
                &(0..ops.len()).filter(|&at| noticed(at)).collect::<Vec<_>>(),
                write,
            )?;
            ops.remove(write);
        }
    }
    Some(ops)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn linearizable_histories_are_accepted(steps in steps(true, 60)) {
        let ops = play(&steps);
        prop_assert!(zones(&ops).is_ok(), "{}", zones(&ops).unwrap_err());
        prop_assert!(search::check(&ops).is_ok());
    }

    #[test]
    fn edited_histories_are_rejected(steps in steps(true, 60), edit in edit()) {
        let Some(ops) = broken(in_turn(&steps), &edit) else { return Ok(()) };
        prop_assert!(zones(&ops).is_err(), "zones accept {edit:?} of {ops:?}");
        prop_assert!(search::check(&ops).is_err(), "the search accepts {edit:?} of {ops:?}");
    }

    /// Calls that overlap may make an edit harmless; the simple search knows.
    #[test]
    fn edited_histories_are_judged_as_by_trying_every_order(
        steps in steps(true, 11),
        edit in edit(),
    ) {
        let Some(ops) = broken(play(&steps), &edit) else { return Ok(()) };
        let right = any_order(&ops);
        prop_assert_eq!(search::check(&ops).is_ok(), right);
        prop_assert!(zones(&ops).is_ok() || !right, "false alarm: {}", zones(&ops).unwrap_err());
    }

    /// Without absence zones are exact: then nothing wrong is accepted either.
    #[test]
    fn zones_without_removals_are_exact(steps in steps(false, 11), edit in edit()) {
        // Looks before the first write would see absence, and so would the edit that drops.
        let mut steps = steps;
        steps.insert(0, (Step::Write, 900, 0));
        let ops = broken(play(&steps), &edit)
            .filter(|ops| positions(ops, Kind::Miss).is_empty())
            .unwrap_or_else(|| play(&steps));
        prop_assert_eq!(zones(&ops).is_ok(), any_order(&ops));
    }

    /// Histories of nothing but chance: any value may be seen at any time.
    #[test]
    fn random_histories_are_judged_as_by_trying_every_order(
        calls in vec((0..8_u8, 1..4_u64, 0..60_u64, 0..30_u64), 1..9),
    ) {
        let mut ops: Vec<Op> = Vec::new();
        for (kind, value, start, length) in calls {
            let kind = match kind {
                0 | 1 => Kind::Write,
                2 => Kind::WriteIfAbsent,
                3 => Kind::Remove,
                4..7 => Kind::Read,
                _ => Kind::Miss,
            };
            let again = ops.iter().any(|op| op.value == value && op.kind != Kind::Read);
            let kind = match kind {
                Kind::Write | Kind::WriteIfAbsent if again => Kind::Read,
                other => other,
            };
            let value = if matches!(kind, Kind::Remove | Kind::Miss) { 0 } else { value };
            ops.push(Op { kind, key: 0, value, span: Span { start, end: start + length } });
        }
        let right = any_order(&ops);
        prop_assert_eq!(search::check(&ops).is_ok(), right);
        prop_assert!(zones(&ops).is_ok() || !right, "false alarm: {}", zones(&ops).unwrap_err());
    }
}

fn op(kind: Kind, value: u64, start: u64, end: u64) -> Op {
    Op {
        kind,
        key: 0,
        value,
        span: Span { start, end },
    }
}

#[test]
fn a_false_miss_is_named() {
    let ops = [
        op(Kind::Write, 1, 10, 20),
        op(Kind::Miss, 0, 30, 40),
        op(Kind::Remove, 0, 15, 90),
        op(Kind::Read, 1, 50, 60),
    ];
    assert!(matches!(zones(&ops), Err(Violation::FalseMiss { .. })));
}

#[test]
fn a_resurrection_is_named() {
    let ops = [
        op(Kind::Write, 1, 10, 20),
        op(Kind::Remove, 0, 30, 40),
        op(Kind::Read, 1, 50, 60),
    ];
    assert!(matches!(zones(&ops), Err(Violation::LostRemoval { .. })));
}

#[test]
fn a_miss_after_a_write_that_nobody_read_is_unexplained() {
    let ops = [
        op(Kind::Write, 1, 10, 20),
        op(Kind::Remove, 0, 30, 40),
        op(Kind::Write, 2, 50, 60),
        op(Kind::Miss, 0, 70, 80),
    ];
    assert!(matches!(zones(&ops), Err(Violation::Unexplained { .. })));
}

#[test]
fn a_later_removal_does_not_explain_a_miss() {
    let ops = [
        op(Kind::Write, 1, 10, 20),
        op(Kind::Miss, 0, 30, 40),
        op(Kind::Remove, 0, 50, 60),
        op(Kind::Remove, 0, 100, 200),
    ];
    assert!(matches!(zones(&ops), Err(Violation::Unexplained { .. })));
}

#[test]
fn a_removal_on_the_far_side_of_a_value_does_not_explain_a_miss() {
    let ops = [
        op(Kind::Write, 1, 10, 20),
        op(Kind::Miss, 0, 30, 60),
        op(Kind::Write, 2, 35, 40),
        op(Kind::Remove, 0, 50, 100),
        op(Kind::Read, 2, 90, 95),
    ];
    assert!(matches!(zones(&ops), Err(Violation::Unexplained { .. })));
}

#[test]
fn one_removal_does_not_explain_absence_on_both_sides_of_a_value() {
    let ops = [
        op(Kind::Write, 1, 10, 20),
        op(Kind::Remove, 0, 21, 90),
        op(Kind::Miss, 0, 30, 40),
        op(Kind::Write, 2, 50, 60),
        op(Kind::Miss, 0, 70, 80),
    ];
    assert!(search::check(&ops).is_err());
}

#[test]
fn two_conditional_writes_cannot_both_win() {
    let ops = [
        op(Kind::WriteIfAbsent, 1, 10, 30),
        op(Kind::WriteIfAbsent, 2, 20, 40),
    ];
    assert!(search::check(&ops).is_err());
}

#[test]
fn a_removal_that_may_have_happened_explains_but_need_not() {
    let perhaps = op(Kind::MayRemove, 0, 15, 60);
    let miss = op(Kind::Miss, 0, 30, 40);
    let read = op(Kind::Read, 1, 50, 55);
    let judge = |looks: &[Op]| {
        let mut ops = vec![op(Kind::Write, 1, 10, 20), perhaps];
        ops.extend_from_slice(looks);
        assert!(search::check(&ops).is_err() || zones(&ops).is_ok());
        search::check(&ops).is_ok()
    };
    assert!(judge(&[miss]) && judge(&[read]) && judge(&[]));
    assert!(!judge(&[miss, read]), "nothing brings it back");
    // It may happen more than once, and take effect when it is about to end.
    let again = [
        miss,
        op(Kind::WriteIfAbsent, 2, 42, 44),
        op(Kind::WriteIfAbsent, 3, 70, 80),
    ];
    assert!(judge(&again));
    assert!(!judge(&[
        op(Kind::Read, 1, 62, 64),
        op(Kind::Miss, 0, 65, 70)
    ]));
}
