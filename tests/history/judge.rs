//! From what the threads have written down to a verdict.

use crate::{
    crew::Run,
    cuts::{Cuts, epochs_advance},
    loading,
    loads::settle,
    record::{Answer, Key, Load, Log, Op, Span, by_key},
    search,
    zones::{Register, Violation},
};
use std::{fmt::Write, thread, time::Instant};

/// Judges the histories of all keys, on two threads. Returns the registers for more questions.
/// `more` tells all that is known about a key.
///
/// # Panics
///
/// If one is not linearizable, with the calls that were made at the time.
pub(crate) fn registers(
    histories: &[Vec<Op>],
    more: impl Fn(usize) -> Vec<(Span, String)>,
) -> Vec<Register> {
    let judge = |from: usize| {
        let mine = histories.iter().enumerate().skip(from).step_by(2);
        mine.map(|(key, ops)| (key, register(ops)))
            .collect::<Vec<_>>()
    };
    let mut judged = thread::scope(|scope| {
        let other = scope.spawn(|| judge(1));
        let mut judged = judge(0);
        judged.extend(other.join().expect("a judge does not panic"));
        judged
    });
    judged.sort_unstable_by_key(|(key, _)| *key);
    judged
        .into_iter()
        .map(|(key, register)| {
            register.unwrap_or_else(|violation| {
                let calls = excerpt(more(key), violation.span());
                panic!("key {key} is not linearizable: {violation}\n{calls}")
            })
        })
        .collect()
}

fn register(ops: &[Op]) -> Result<Register, Violation> {
    let register = Register::new(ops)?;
    register.check()?;
    search::check(ops)?;
    Ok(register)
}

/// The calls during a span and a little before and after, in the order in which they began.
fn excerpt(mut calls: Vec<(Span, String)>, span: Span) -> String {
    calls.sort_unstable();
    let near = |(of, _): &(Span, String)| of.end >= span.start && of.start <= span.end;
    let from = calls.iter().position(near).unwrap_or(0).saturating_sub(12);
    let to = calls.iter().rposition(near).unwrap_or(0) + 12;
    let mut text = String::new();
    for (span, call) in calls.iter().take(to).skip(from).take(80) {
        let _ = writeln!(text, "{:>12}..{:<12} {call}", span.start, span.end);
    }
    text
}

/// All that the threads wrote down about a key.
fn told(key: usize, logs: &[Log]) -> Vec<(Span, String)> {
    let mut calls = Vec::new();
    for (thread, log) in logs.iter().enumerate() {
        let ops = log.ops.iter().filter(|op| usize::from(op.key) == key);
        let op = |op: &Op| (op.span, format!("{thread}: {:?} {:#x}", op.kind, op.value));
        calls.extend(ops.map(op));
        let answers = log.answers.iter().filter(|of| usize::from(of.key) == key);
        calls.extend(answers.map(|of| (of.span, format!("{thread}: answer {:#x}", of.value))));
        let loads = log.loads.iter().filter(|of| usize::from(of.key) == key);
        let load = |of: &Load| {
            (
                of.span,
                format!("load {:#x} ignored: {}", of.value, of.ignored),
            )
        };
        calls.extend(loads.map(load));
    }
    calls
}

/// Judges a run without loads: every key, every snapshot, every epoch. Returns how many operations
/// and how many different snapshots that were.
pub(crate) fn judge(name: &str, keys: usize, run: &Run) -> (usize, usize) {
    let begun = Instant::now();
    let histories = by_key(keys, &run.logs);
    let registers = registers(&histories, |key| told(key, &run.logs));
    let groups = run.groups();
    let cuts = Cuts::new(&registers, &groups, &run.publishes());
    let epochs = cuts
        .check(&run.shots())
        .unwrap_or_else(|why| panic!("not a cut: {why}"));
    let seen = epochs_advance(run.logs.iter().map(|log| &log.epochs[..]))
        .unwrap_or_else(|why| panic!("an epoch went back: {why}"));
    println!(
        "{name}: {} operations on {keys} keys, {} groups, {} folds asked for, {epochs} snapshots, \
         {seen} epochs seen; run {:.1?}, check {:.1?}",
        run.operations(),
        groups.len(),
        run.publishes().len(),
        run.took,
        begun.elapsed(),
    );
    (run.operations(), epochs)
}

/// Judges a run with loads, key by key. Returns how many operations and how many loads that were.
pub(crate) fn judge_loads(name: &str, run: &Run) -> (usize, usize) {
    let begun = Instant::now();
    let operations = by_key(loading::KEYS, &run.logs);
    let answers: Vec<Answer> = run
        .logs
        .iter()
        .flat_map(|log| log.answers.clone())
        .collect();
    let loads: Vec<Load> = run.logs.iter().flat_map(|log| log.loads.clone()).collect();
    let of_key = |key: usize| {
        let answers = answers
            .iter()
            .filter(move |of| usize::from(of.key) == key)
            .copied();
        let loads = loads
            .iter()
            .filter(move |of| usize::from(of.key) == key)
            .copied();
        (
            answers.collect::<Vec<Answer>>(),
            loads.collect::<Vec<Load>>(),
        )
    };
    let history = |(key, ops): (usize, &Vec<Op>)| {
        let (answers, loads) = of_key(key);
        let reloaded = loading::is_reloaded(key as Key);
        settle(ops, &answers, &loads, reloaded).unwrap_or_else(|fault| {
            panic!(
                "key {key}: {fault}\n{}",
                excerpt(told(key, &run.logs), fault.span())
            )
        })
    };
    let histories: Vec<Vec<Op>> = operations.iter().enumerate().map(history).collect();
    registers(&histories, |key| told(key, &run.logs));
    epochs_advance(run.logs.iter().map(|log| &log.epochs[..]))
        .unwrap_or_else(|why| panic!("an epoch went back: {why}"));
    let found = |log: &Log| {
        log.answers
            .iter()
            .filter(|answer| answer.value >= 1_000 << 40)
            .count()
    };
    println!(
        "{name}: {} operations on {} keys, {} loads, {} answered by them; run {:.1?}, check {:.1?}",
        run.operations(),
        loading::KEYS,
        loads.len(),
        run.logs.iter().map(found).sum::<usize>(),
        run.took,
        begun.elapsed(),
    );
    (run.operations(), loads.len())
}
