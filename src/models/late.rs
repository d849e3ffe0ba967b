//! Models of a refresh that does not wait for what is late: it ends, the late load is stored, and nothing is counted twice.

use std::time::Duration;

use super::load_kit::{Kit, LONG, config, fresh, value_of};
use super::load_refresh::Refreshed;
use super::support::{run_model, spawn, store};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::load::Promise;
use crate::loader::Outcome;
use crate::store::Failed;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Arc, order, thread};

const LIMIT: Duration = Duration::from_secs(1);

/// Of batches of one key, so that there is another.
fn limited() -> Config {
    Config {
        batch_size: 1,
        refresh_timeout: Some(LIMIT),
        ..config()
    }
}

/// A loader that hangs until it is let go: the refresh ends when its time is over, and the value is stored in the end.
#[test]
fn late_refresh_ends_and_its_value_is_stored() {
    run_model("late_refresh_ends_and_its_value_is_stored", 150000, || {
        let (inside, go) = (Arc::new(Promise::new()), Arc::new(Promise::new()));
        let (at, gone) = (Arc::clone(&inside), Arc::clone(&go));
        let kit = Kit::with(&limited(), move |call, key| {
            at.answer(());
            let _: Option<&()> = gone.wait(&ManualClock::new().clock(), LONG);
            fresh(call, key)
        });
        kit.set(1, 7);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let mut refreshed = Refreshed::with(kit, None, &limited());
        let reply = refreshed.control.ask(|requests| &mut requests.refresh);
        let _: Option<&()> = inside.wait(&refreshed.kit.time.clock(), LONG);
        refreshed.kit.time.advance(LIMIT);
        refreshed.wait(&reply).unwrap();
        assert_eq!(refreshed.kit.stats().reloads_timed_out, 1);
        assert_eq!(refreshed.kit.peek(1), Some(7));
        go.answer(());
        refreshed.control.stop();
        refreshed.kit.loads.close();
        refreshed.join();
        worker.join().unwrap();
        assert_eq!(refreshed.kit.peek(1), Some(value_of(1, 0)));
        refreshed.kit.at_rest();
    });
}

/// The time is over just when the loader returns: the piece is ended by one of the two, and the next sweep is whole.
#[test]
fn late_against_its_end() {
    run_model("late_against_its_end", 270, || {
        let kit = Kit::with(&limited(), fresh);
        kit.set(1, 7);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let sweep = kit.loads.sweep_of(vec![1]);
        assert!(kit.loads.start_sweep(Arc::clone(&sweep)));
        kit.time.advance(LIMIT);
        kit.loads.give_up_late(&sweep);
        assert!(sweep.promise().wait(&kit.time.clock(), LONG).is_some());
        let sweep = kit.loads.sweep_of(vec![1]);
        assert!(kit.loads.start_sweep(Arc::clone(&sweep)));
        let swept = sweep.promise().wait(&kit.time.clock(), LONG);
        assert!(swept.is_some_and(|swept| swept.failed == 0));
        kit.loads.close();
        worker.join().unwrap();
        assert!(kit.peek(1).is_some_and(|value| value >= value_of(1, 0)));
        kit.at_rest();
    });
}

/// One key hangs, and another thread takes the place of the one that is at it.
#[test]
fn late_gives_its_place_to_another() {
    run_model("late_gives_its_place_to_another", 14000, || {
        let (inside, go) = (Arc::new(Promise::new()), Arc::new(Promise::new()));
        let (at, gone) = (Arc::clone(&inside), Arc::clone(&go));
        let kit = Kit::with(&limited(), move |_, key| {
            if key == 1 {
                at.answer(());
                let _: Option<&()> = gone.wait(&ManualClock::new().clock(), LONG);
            }
            Ok(Outcome::Value(10 + u64::from(key)))
        });
        kit.set(1, 1);
        kit.set(2, 2);
        let workers = [kit.clone(), kit.clone()];
        let workers = workers.map(|worker| thread::spawn(move || worker.loads.work()));
        let sweep = kit.loads.sweep_of(vec![1, 2]);
        assert!(kit.loads.start_sweep(Arc::clone(&sweep)));
        let _: Option<&()> = inside.wait(&kit.time.clock(), LONG);
        kit.time.advance(LIMIT);
        kit.loads.give_up_late(&sweep);
        let swept = sweep.promise().wait(&kit.time.clock(), LONG);
        assert!(swept.is_some_and(|swept| swept.failed == 1));
        assert_eq!((kit.peek(1), kit.peek(2)), (Some(1), Some(12)));
        go.answer(());
        kit.loads.close();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(kit.peek(1), Some(11));
        kit.at_rest();
    });
}

/// A reload is found late just when it ends well: what it has brought is not stale, whatever is folded when.
#[test]
fn late_value_is_not_stale() {
    run_model("late_value_is_not_stale", 6800, || {
        let (data, mut folder) = store([(1, 10)]);
        folder.track_stale();
        let (begun, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (number, ended) = (Arc::clone(&begun), Arc::clone(&over));
        let loader = spawn(&data, move |data| {
            let load = data.0.begin_load();
            number.store(load.number(), order::COUNT);
            data.install(load.number(), 1, 20);
            // As a flight is over before its load is live no more.
            ended.store(true, order::COUNT);
            drop(load);
        });
        for _ in 0..2 {
            folder.fold(&data.0);
            let number = begun.load(order::COUNT);
            if number > 0 && !over.load(order::COUNT) {
                let failed = Failed::late(number, data.hash(1), 1, Duration::ZERO);
                data.0.refresh_failed(failed);
            }
            folder.take_in_failed(&data.0);
        }
        loader.join().unwrap();
        folder.take_in_failed(&data.0);
        folder.take_out_keys(&data.0, Duration::ZERO, Duration::ZERO, 8);
        assert_eq!(data.peek(1), Some(20));
        folder.fold(&data.0);
        assert_eq!(data.peek(1), Some(20));
    });
}
