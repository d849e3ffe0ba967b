//! The checker of snapshots: on runs in which they are cuts by construction, and on single edits
//! after which they are not.

use super::config;
use crate::{
    cuts::{Cuts, epochs_advance},
    record::{EpochSeen, Group, Kind, Op, Shot, Span},
    zones::Register,
};
use proptest::{collection::vec, prelude::*, sample::Index};

const KEYS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    Remove(usize),
    Look(usize),
    /// A write of the keys whose bits are set.
    Group(usize),
    /// The next epoch; whether somebody asked for it and waited.
    Fold(bool),
    /// A snapshot is taken of the last epoch.
    Shoot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..KEYS).prop_map(Step::Write),
        2 => (0..KEYS).prop_map(Step::Remove),
        3 => (0..KEYS).prop_map(Step::Look),
        3 => (1..1_usize << KEYS).prop_map(Step::Group),
        4 => any::<bool>().prop_map(Step::Fold),
        4 => Just(Step::Shoot),
    ]
}

/// Steps with the times by which their calls began earlier and ended later than their effect.
fn steps() -> impl Strategy<Value = Vec<(Step, u64, u64)>> {
    let stretch = || prop_oneof![2 => Just(2_u64), 3 => 0..25_u64, 1 => 0..120_u64];
    vec((step(), stretch(), stretch()), 1..80)
}

#[derive(Clone, Debug, Default)]
struct Run {
    ops: Vec<Op>,
    groups: Vec<Group>,
    folds: Vec<EpochSeen>,
    shots: Vec<Shot>,
}

/// A run with snapshots that are cuts: steps take effect one after another, folds included.
fn play(steps: &[(Step, u64, u64)]) -> Run {
    let mut run = Run::default();
    let mut now = [0; KEYS];
    let mut published = (0, now);
    let mut value = 0;
    for (at, &(step, before, after)) in (1_u64..).zip(steps) {
        let moment = 1_000 + at * 10;
        let span = Span {
            start: moment - before,
            end: moment + after,
        };
        let looked = if let Step::Look(key) = step {
            now[key]
        } else {
            0
        };
        let mut write = |key: usize, kind: Kind, value: u64| {
            now[key] = value;
            run.ops.push(Op {
                kind,
                key: key as u16,
                value,
                span,
            });
        };
        let mut fresh = || {
            value += 1;
            value
        };
        match step {
            Step::Write(key) => write(key, Kind::Write, fresh()),
            Step::Remove(key) => write(key, Kind::Remove, 0),
            Step::Look(key) if looked == 0 => write(key, Kind::Miss, 0),
            Step::Look(key) => write(key, Kind::Read, looked),
            Step::Group(mask) => {
                let keys = (0..KEYS).filter(|key| mask & (1 << key) != 0);
                let group: Group = keys.map(|key| (key as u16, fresh())).collect();
                for &(key, value) in &group {
                    write(usize::from(key), Kind::Write, value);
                }
                run.groups.push(group);
            }
            Step::Fold(asked) => {
                published = (published.0 + 1, now);
                if asked {
                    run.folds.push(EpochSeen {
                        epoch: published.0,
                        span,
                    });
                }
            }
            Step::Shoot => {
                let (epoch, values) = (published.0, published.1.to_vec());
                run.shots.push(Shot {
                    epoch,
                    span,
                    values,
                });
            }
        }
    }
    run
}

fn in_turn(steps: &[(Step, u64, u64)]) -> Run {
    let steps: Vec<_> = steps.iter().map(|&(step, ..)| (step, 2, 2)).collect();
    play(&steps)
}

fn judge(run: &Run) -> Result<usize, String> {
    let lists = (0..KEYS).map(|key| {
        run.ops
            .iter()
            .copied()
            .filter(|op| usize::from(op.key) == key)
            .collect::<Vec<_>>()
    });
    let registers: Vec<Register> = lists
        .map(|ops| {
            let register = Register::new(&ops).expect("only snapshots are wrong here");
            register.check().expect("only snapshots are wrong here");
            register
        })
        .collect();
    Cuts::new(&registers, &run.groups, &run.folds).check(&run.shots)
}

/// What makes one snapshot of a run wrong.
#[derive(Clone, Copy, Debug)]
enum Edit {
    /// A key has what it had before, next to something newer than what it lacks.
    Stale,
    /// The same, where nothing shows it but the call that asked for the fold.
    Unfolded,
    /// A member of a group is missing.
    Torn,
    /// A key has what is written only later.
    Early,
    /// Two epochs are exchanged.
    Back,
}

/// Applies an edit to a run whose steps came one after another, so that it is surely wrong then.
fn broken(mut run: Run, edit: Edit, which: &Index) -> Option<Run> {
    let written = |value: u64| {
        run.ops
            .iter()
            .find(|op| op.value == value)
            .map(|op| op.span)
    };
    let writes = |key: usize| {
        let of_key = run.ops.iter().filter(move |op| usize::from(op.key) == key);
        of_key.filter(|op| matches!(op.kind, Kind::Write | Kind::Remove))
    };
    let before = |key: usize, value: u64| {
        let earlier = writes(key).take_while(|op| op.value != value);
        earlier.last().map_or(0, |op| op.value)
    };
    let mut wrong: Vec<(usize, usize, u64)> = Vec::new();
    let mut exchanged: Vec<(usize, usize)> = Vec::new();
    for (at, shot) in run.shots.iter().enumerate() {
        // Epochs of which there are several snapshots would differ, which is another fault.
        if run
            .shots
            .iter()
            .filter(|other| other.epoch == shot.epoch)
            .count()
            > 1
        {
            continue;
        }
        for (key, &value) in shot.values.iter().enumerate() {
            // A removal that had begun by then may be taken for the reason of an absence.
            let removed = |op: &Op| {
                op.kind == Kind::Remove
                    && op.span.start <= shot.span.end
                    && written(value).is_some_and(|of| of.precedes(op.span))
            };
            if before(key, value) == 0 && writes(key).any(removed) && !matches!(edit, Edit::Early) {
                continue;
            }
            let newer = |other: &u64| {
                *other != 0 && written(*other).unwrap().start > written(value).unwrap().end
            };
            let folded = |fold: &EpochSeen| {
                fold.epoch <= shot.epoch && fold.span.start > written(value).unwrap().end
            };
            match edit {
                Edit::Stale if value != 0 && shot.values.iter().any(newer) => {
                    wrong.push((at, key, before(key, value)));
                }
                Edit::Unfolded if value != 0 && run.folds.iter().any(folded) => {
                    wrong.push((at, key, before(key, value)));
                }
                Edit::Torn => {
                    let whole = run.groups.iter().any(|group| {
                        let in_it = |of: &&(u16, u64)| shot.values[usize::from(of.0)] == of.1;
                        group.contains(&(key as u16, value))
                            && group.iter().filter(in_it).count() > 1
                    });
                    if whole {
                        wrong.push((at, key, before(key, value)));
                    }
                }
                Edit::Early => {
                    let later = writes(key).find(|op| op.span.start > shot.span.end);
                    if let Some(op) = later.filter(|op| op.value != 0) {
                        wrong.push((at, key, op.value));
                    }
                }
                Edit::Back => {
                    let differ = |other: &Shot| {
                        let then = other.values[key];
                        other.epoch > shot.epoch && then != 0 && value != 0 && then != value
                    };
                    let later = run.shots.iter().position(differ);
                    exchanged.extend(later.map(|later| (at, later)));
                }
                Edit::Stale | Edit::Unfolded => {}
            }
        }
    }
    if !exchanged.is_empty() {
        let &(one, other) = which.get(&exchanged);
        let epoch = run.shots[one].epoch;
        run.shots[one].epoch = run.shots[other].epoch;
        run.shots[other].epoch = epoch;
        // Neither may be called wrong for having come before a fold that was asked for.
        run.folds.clear();
        return Some(run);
    }
    let &(at, key, value) = (!wrong.is_empty()).then(|| which.get(&wrong))?;
    run.shots[at].values[key] = value;
    Some(run)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cuts_are_accepted(steps in steps()) {
        let run = play(&steps);
        prop_assert!(judge(&run).is_ok(), "{}", judge(&run).unwrap_err());
    }

    #[test]
    fn a_snapshot_without_an_older_write_is_rejected(steps in steps(), which: Index) {
        let Some(run) = broken(in_turn(&steps), Edit::Stale, &which) else { return Ok(()) };
        prop_assert!(judge(&run).is_err());
    }

    #[test]
    fn a_fold_without_what_it_was_asked_for_is_rejected(steps in steps(), which: Index) {
        let Some(run) = broken(in_turn(&steps), Edit::Unfolded, &which) else { return Ok(()) };
        prop_assert!(judge(&run).is_err());
    }

    #[test]
    fn a_torn_group_is_rejected(steps in steps(), which: Index) {
        let Some(run) = broken(in_turn(&steps), Edit::Torn, &which) else { return Ok(()) };
        prop_assert!(judge(&run).is_err());
    }

    #[test]
    fn a_value_ahead_of_its_write_is_rejected(steps in steps(), which: Index) {
        let Some(run) = broken(in_turn(&steps), Edit::Early, &which) else { return Ok(()) };
        prop_assert!(judge(&run).is_err());
    }

    #[test]
    fn a_later_epoch_with_less_is_rejected(steps in steps(), which: Index) {
        let Some(run) = broken(in_turn(&steps), Edit::Back, &which) else { return Ok(()) };
        prop_assert!(judge(&run).is_err());
    }
}

fn seen(epoch: u64, start: u64, end: u64) -> EpochSeen {
    EpochSeen {
        epoch,
        span: Span { start, end },
    }
}

#[test]
fn an_epoch_that_goes_back_is_rejected() {
    let ahead = [seen(3, 10, 20), seen(4, 30, 40), seen(4, 50, 60)];
    let behind = [seen(3, 35, 45), seen(3, 55, 65)];
    assert_eq!(
        epochs_advance([&ahead[..], &behind[..1]].into_iter()),
        Ok(4)
    );
    assert!(
        epochs_advance([&ahead[..], &behind[..]].into_iter()).is_err(),
        "between threads"
    );
    assert!(
        epochs_advance([&[ahead[1], ahead[0]][..]].into_iter()).is_err(),
        "of one thread"
    );
}

fn op(kind: Kind, key: u16, value: u64, start: u64, end: u64) -> Op {
    Op {
        kind,
        key,
        value,
        span: Span { start, end },
    }
}

/// Judges snapshots of the epochs 1, 2, ... that were all taken at the end.
fn judge_shots(ops: &[Op], shots: &[[u64; KEYS]]) -> Result<usize, String> {
    let shot = |(epoch, values): (u64, &[u64; KEYS])| {
        let start = 1_000 + 10 * epoch;
        Shot {
            epoch,
            span: Span {
                start,
                end: start + 5,
            },
            values: values.to_vec(),
        }
    };
    let shots = (1..).zip(shots).map(shot).collect();
    judge(&Run {
        ops: ops.to_vec(),
        shots,
        ..Run::default()
    })
}

#[test]
fn a_value_next_to_a_write_after_its_removal_is_rejected() {
    let ops = [
        op(Kind::Write, 0, 1, 10, 20),
        op(Kind::Remove, 0, 0, 30, 40),
        op(Kind::Write, 1, 2, 50, 60),
    ];
    assert!(judge_shots(&ops, &[[1, 2, 0, 0]]).is_err());
    assert_eq!(judge_shots(&ops, &[[1, 0, 0, 0], [0, 2, 0, 0]]), Ok(2));
}

#[test]
fn a_removal_in_a_snapshot_needs_what_came_before_it() {
    let ops = [
        op(Kind::Write, 0, 1, 10, 20),
        op(Kind::Write, 1, 2, 10, 20),
        op(Kind::Write, 2, 3, 25, 28),
        op(Kind::Write, 1, 4, 30, 40),
        op(Kind::Remove, 0, 0, 50, 60),
    ];
    assert!(judge_shots(&ops, &[[0, 2, 3, 0]]).is_err());
    assert_eq!(judge_shots(&ops, &[[1, 2, 3, 0], [0, 4, 3, 0]]), Ok(2));
}

#[test]
fn what_is_gone_stays_gone() {
    let ops = [
        op(Kind::Write, 0, 1, 10, 100),
        op(Kind::Write, 0, 2, 10, 100),
    ];
    assert_eq!(judge_shots(&ops, &[[1, 0, 0, 0], [2, 0, 0, 0]]), Ok(2));
    assert!(judge_shots(&ops, &[[1, 0, 0, 0], [2, 0, 0, 0], [1, 0, 0, 0]]).is_err());
    assert!(
        judge_shots(&ops, &[[1, 0, 0, 0], [0; KEYS]]).is_err(),
        "nothing was removed"
    );
}
