//! Models of single flight: who joins whom, and what becomes of a load that was overtaken.

use std::sync::atomic::{AtomicU64 as Unseen, Ordering::SeqCst};
use std::time::Duration;

use super::load_kit::{Kit, LONG, SPOIL, fresh, kind, quiet_panic, value, value_of};
use super::support::run_model;
use crate::error::ErrorKind;
use crate::fetched::Origin;
use crate::load::Promise;
use crate::loader::Outcome;
use crate::sync::{Arc, thread};

/// Two callers miss a key, at any two moments: it is loaded once, both get the value, one of them is
/// told that it loaded, and the value is there when they have it.
#[test]
fn flight_one_load_answers_everybody() {
    run_model("flight_one_load_answers_everybody", 5300, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || other.fetch(1));
        let mine = kit.fetch(1);
        assert_eq!(kit.peek(1), Some(value_of(1, 0)));
        let theirs = other.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();

        let mut loaded = 0;
        for answer in [mine, theirs] {
            let answer = answer.unwrap();
            assert_eq!(answer.value(), Some(&value_of(1, 0)));
            match answer.origin() {
                Origin::Loaded => loaded += 1,
                Origin::Joined | Origin::Hit => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(loaded, 1);
        assert_eq!(kit.asked(), [1]);
        assert_eq!(kit.stats().loaded, 1);
        kit.at_rest();
    });
}

/// The loader panics: whoever waits is told at once, and the next call loads the key.
#[test]
fn flight_a_panic_is_answered_and_the_key_lives() {
    run_model("flight_a_panic_is_answered_and_the_key_lives", 7400, || {
        let kit = Kit::new(|call, key| match call.before {
            0 => quiet_panic(),
            _ => fresh(call, key),
        });
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || other.fetch(1));
        let answers = [kit.fetch(1), other.join().unwrap()];
        let again = kit.fetch(1);
        kit.loads.close();
        worker.join().unwrap();

        for answer in &answers {
            match answer {
                Ok(late) => assert_eq!(late.value(), Some(&value_of(1, 1))),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Panicked),
            }
        }
        assert!(answers.iter().any(Result::is_err));
        assert_eq!(value(&again), Some(value_of(1, 1)));
        kit.at_rest();
    });
}

/// The loader answers with a key whose `Hash` panics, so the batch ends in the middle: nobody is left
/// waiting, and the loader thread goes on.
#[test]
fn flight_a_broken_batch_is_answered() {
    run_model("flight_a_broken_batch_is_answered", 140, || {
        let kit = Kit::new(|call, key| match call.before {
            0 => Ok(Outcome::Value(SPOIL)),
            _ => fresh(call, key),
        });
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let broken = kit.fetch(1);
        let next = kit.fetch(1);
        kit.loads.close();
        worker.join().unwrap();

        assert_eq!(kind(&broken), Some(ErrorKind::Panicked));
        assert_eq!(value(&next), Some(value_of(1, 1)));
        kit.at_rest();
    });
}

/// A source that tells what it holds at the moment it is asked.
fn holding(truth: &Arc<Unseen>) -> Kit {
    let truth = Arc::clone(truth);
    Kit::new(move |_, _| Ok(Outcome::Value(truth.load(SeqCst))))
}

/// A load is under way; the source changes and the key is invalidated. Who asks then does not get what
/// that load brings, and neither does the bucket.
#[test]
fn flight_invalidated_is_not_joined() {
    run_model("flight_invalidated_is_not_joined", 1900, || {
        let truth = Arc::new(Unseen::new(1));
        let kit = holding(&truth);
        let first = kit.request(&[1]);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());

        // A step, before which the load may begin.
        kit.peek(1);
        truth.store(2, SeqCst);
        kit.invalidate(1);
        let after = kit.fetch(1);
        assert_eq!(value(&after), Some(2));
        assert_eq!(kit.peek(1), Some(2));
        assert!(value(&kit.wait(&first.flights[0], LONG)).is_some());
        assert_eq!(kit.peek(1), Some(2));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// A load finds the key cached, since a writer is late. Who has removed the key and asks for it then is
/// not answered with what that load found.
#[test]
fn flight_that_found_what_goes_is_not_joined() {
    run_model("flight_that_found_what_goes_is_not_joined", 20000, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || drop(other.fetch(1)));
        kit.set(1, 7);
        kit.invalidate(1);
        let mine = kit.fetch(1);
        assert_ne!(value(&mine), Some(7), "removed before");
        kit.loads.close();
        worker.join().unwrap();
        other.join().unwrap();
        kit.at_rest();
    });
}

/// A caller does not want stored what it loads, another one does, and comes at any moment: when that one has its
/// answer, the value is there.
#[test]
fn flight_unsaved_is_saved_for_who_wants_it() {
    run_model("flight_unsaved_is_saved_for_who_wants_it", 7000, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || other.fetch_unsaved(1));
        let mine = kit.fetch(1);
        assert!(value(&mine).is_some());
        assert_eq!(kit.peek(1), value(&mine));
        assert!(value(&other.join().unwrap()).is_some());
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// A load finds the key cached. Who wants it loaded in any case, as it is cached, is not answered with
/// what that load found.
#[test]
fn flight_that_found_is_no_reload() {
    run_model("flight_that_found_is_no_reload", 3000, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || drop(other.fetch(1)));
        kit.set(1, 7);
        let reload = kit.request(&[1]);
        assert_ne!(value(&kit.wait(&reload.flights[0], LONG)), Some(7));
        kit.loads.close();
        worker.join().unwrap();
        other.join().unwrap();
        kit.at_rest();
    });
}

/// The end of an overtaken flight takes out that flight and not the one that followed: a third caller
/// joins the second.
#[test]
fn flight_ends_by_identity() {
    run_model("flight_ends_by_identity", 710, || {
        let kit = Kit::new(fresh);
        let begun = Arc::new(Promise::new());
        let (first, begins) = (kit.clone(), Arc::clone(&begun));
        let first = thread::spawn(move || {
            first.fetch_with(1, |_| {
                begins.answer(());
                Outcome::Value(5)
            })
        });
        begun.wait(&kit.time.clock(), LONG);
        kit.invalidate(1);
        // Two callers who do not stay to wait, nor need threads of their own.
        for _ in 0..2 {
            match value(&kit.fetch_within(1, Duration::ZERO)) {
                Some(early) => assert_eq!(early, 5),
                None => assert!(kit.loads.queued() <= 1, "the second was not joined"),
            }
        }
        assert_eq!(value(&first.join().unwrap()), Some(5));
        kit.loads.close();
        kit.at_rest();
    });
}

/// A `set` during a load that somebody waits for: a load that began before it does not overwrite it.
#[test]
fn flight_set_during_a_load_stays() {
    run_model("flight_set_during_a_load_stays", 1200, || {
        let setting = Arc::new(Unseen::new(0));
        let kit = {
            let setting = Arc::clone(&setting);
            Kit::new(move |_, _| Ok(Outcome::Value(10 + setting.load(SeqCst))))
        };
        let (worker, setter) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let setter = thread::spawn(move || {
            setting.store(1, SeqCst);
            setter.set(1, 7);
            // 11: loaded by who asked the source after the `set` had begun.
            assert!([Some(7), Some(11)].contains(&setter.peek(1)));
        });
        let fetched = kit.fetch(1);
        setter.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();

        assert!([Some(7), Some(11)].contains(&kit.peek(1)));
        let fetched = value(&fetched).unwrap();
        assert!([7, 10, 11].contains(&fetched), "{fetched}");
        kit.at_rest();
    });
}

/// `set`, `invalidate`, `set` during one load, with a waiter: what was set last stays.
#[test]
fn flight_set_invalidate_set_during_a_load() {
    run_model("flight_set_invalidate_set_during_a_load", 1600, || {
        let writes = Arc::new(Unseen::new(0));
        let kit = {
            let writes = Arc::clone(&writes);
            Kit::new(move |_, _| Ok(Outcome::Value(10 + writes.load(SeqCst))))
        };
        let (worker, writer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let writer = thread::spawn(move || {
            writes.store(1, SeqCst);
            writer.set(1, 7);
            writes.store(2, SeqCst);
            writer.invalidate(1);
            writes.store(3, SeqCst);
            writer.set(1, 8);
        });
        let fetched = kit.fetch(1);
        writer.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();

        // 13: loaded by who asked the source after the last `set` had begun.
        assert!([Some(8), Some(13)].contains(&kit.peek(1)));
        assert!(value(&fetched).is_some());
        kit.at_rest();
    });
}

/// A load with a loader of the caller's, and a caller who wants the same key from the bucket's: one of
/// them loads.
#[test]
fn flight_a_callers_own_loader_is_joined() {
    run_model("flight_a_callers_own_loader_is_joined", 2700, || {
        let kit = Kit::new(fresh);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || other.fetch(1));
        let mine = kit.fetch_with(1, |_| Outcome::Value(5));
        let theirs = other.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();

        let (mine, theirs) = (value(&mine).unwrap(), value(&theirs).unwrap());
        assert_eq!(mine, theirs);
        assert_eq!(kit.peek(1), Some(mine));
        assert_eq!(kit.stats().loaded, 1);
        kit.at_rest();
    });
}
