//! Histories: threads make random calls on one bucket, write down what they saw and when, and
//! afterwards it is checked that there is an explanation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "plain threads, locks and time, nothing of the bucket's own"
)]

mod calls;
mod chance;
mod crew;
mod cuts;
mod id;
mod judge;
mod loading;
mod loads;
mod record;
mod relay;
mod search;
mod selftest;
mod taker;
mod workload;
mod zones;

use workload::{Plan, run};

/// Below this a history says nothing.
const LEAST_CALLS: usize = 10_000;

/// How many calls the threads of one test make together.
fn calls() -> usize {
    let calls = std::env::var("LARDER_HISTORY_OPS").map_or(2_000_000, |text| {
        text.parse().expect("LARDER_HISTORY_OPS is a number")
    });
    assert!(
        calls >= LEAST_CALLS,
        "LARDER_HISTORY_OPS is at least {LEAST_CALLS}"
    );
    calls
}

#[test]
fn g4_history_is_linearizable_per_key() {
    for keys in [8, 64] {
        let plan = Plan {
            keys,
            writers: 3,
            readers: 3,
            calls: calls() / 2,
            groups: 10,
        };
        let run = run(plan);
        let (operations, _) = judge::judge("linearizable", plan.all_keys(), &run);
        assert!(
            operations >= plan.calls * 9 / 10,
            "{operations} operations are too few"
        );
    }
}

#[test]
fn g4_history_with_loads() {
    let calls = calls() / 4;
    let run = loading::run(calls);
    let (operations, loads) = judge::judge_loads("with loads", &run);
    assert!(
        operations >= calls * 9 / 10,
        "{operations} operations are too few"
    );
    assert!(loads >= calls / 200, "{loads} loads are too few");
}

#[test]
fn g5_snapshots_are_cuts() {
    let plan = Plan {
        keys: 6,
        writers: 3,
        readers: 1,
        calls: calls() / 2,
        groups: 40,
    };
    let run = run(plan);
    let (_, snapshots) = judge::judge("cuts", plan.all_keys(), &run);
    assert!(
        snapshots >= plan.calls / 1_000,
        "{snapshots} snapshots are too few"
    );
}

#[test]
fn g5_epochs_never_go_back() {
    let looks = calls() / 4;
    let relayed = relay::run(looks);
    println!("epochs: {} looks, {} epochs", relayed.looks, relayed.epochs);
    assert!(relayed.looks >= looks - 4);
    assert!(
        relayed.epochs >= looks as u64 / 10_000,
        "{} epochs are too few",
        relayed.epochs
    );
}
