//! Models of the end: a bucket is closed while it loads, and everybody who waits is answered.

use super::load_kit::{Kit, LONG, fresh, kind, value, value_of};
use super::support::run_model;
use crate::error::{Error, ErrorKind};
use crate::fetched::Fetched;
use crate::load::Promise;
use crate::loader::Outcome;
use crate::sync::{Arc, thread};

/// A value of key 1, or the bucket is closed.
fn is_answer(answer: &Result<Fetched<u64>, Error>) {
    match answer {
        Ok(fetched) => assert_eq!(fetched.value().map(|value| value / 1000), Some(1)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
    }
}

/// Closed before, between or after a caller leads and the loader thread takes the flight off.
#[test]
fn end_close_against_a_leader() {
    run_model("end_close_against_a_leader", 470, || {
        let kit = Kit::new(fresh);
        let (worker, closer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let closer = thread::spawn(move || closer.loads.close());
        is_answer(&kit.fetch(1));
        closer.join().unwrap();
        worker.join().unwrap();
        // And stays closed.
        match kit.peek(1) {
            Some(value) => assert_eq!(value, value_of(1, 0)),
            None => assert_eq!(kind(&kit.fetch(1)), Some(ErrorKind::Closed)),
        }
        kit.at_rest();
    });
}

/// Closed while one caller leads and another joins, and no loader thread is free.
#[test]
fn end_close_against_leader_and_joiner() {
    run_model("end_close_against_leader_and_joiner", 3200, || {
        let kit = Kit::new(fresh);
        let (other, closer) = (kit.clone(), kit.clone());
        let other = thread::spawn(move || other.fetch(1));
        let closer = thread::spawn(move || closer.loads.close());
        for answer in [kit.fetch(1), other.join().unwrap()] {
            assert_eq!(kind(&answer), Some(ErrorKind::Closed));
        }
        closer.join().unwrap();
        kit.at_rest();
    });
}

/// The loader does not return before the bucket is closed and its waiters are answered.
#[test]
fn end_close_against_a_loader_that_hangs() {
    run_model("end_close_against_a_loader_that_hangs", 110, || {
        let release = Arc::new(Promise::new());
        let kit = {
            let release = Arc::clone(&release);
            Kit::new(move |call, key| {
                let time = crate::ManualClock::new();
                release.wait(&time.clock(), LONG);
                fresh(call, key)
            })
        };
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || other.fetch(1));
        kit.loads.close();
        assert_eq!(kind(&other.join().unwrap()), Some(ErrorKind::Closed));
        release.answer(());
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// One flight ends while the bucket is closed: it is counted once, as it was answered.
#[test]
fn end_a_flight_is_counted_once() {
    run_model("end_a_flight_is_counted_once", 390, || {
        let kit = Kit::new(fresh);
        let requested = kit.request(&[1]);
        let flight = &requested.flights[0];
        let (worker, closer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let closer = thread::spawn(move || closer.loads.close());
        let answer = kit.wait(flight, LONG);
        is_answer(&answer);
        // Counted by the time that anybody can know.
        assert_eq!(kit.ended(), 1);
        closer.join().unwrap();
        worker.join().unwrap();

        let stats = kit.stats();
        assert_eq!(kit.ended(), 1);
        assert_eq!(stats.loaded, u64::from(answer.is_ok()));
        assert_eq!(stats.failed, u64::from(answer.is_err()));
        kit.at_rest();
    });
}

/// Closed while a caller runs a loader of its own.
#[test]
fn end_close_against_a_callers_own_loader() {
    run_model("end_close_against_a_callers_own_loader", 4200, || {
        let kit = Kit::new(fresh);
        let (other, closer) = (kit.clone(), kit.clone());
        let other = thread::spawn(move || other.fetch(1));
        let closer = thread::spawn(move || closer.loads.close());
        is_answer(&kit.fetch_with(1, |_| Outcome::Value(value_of(1, 0))));
        is_answer(&other.join().unwrap());
        closer.join().unwrap();
        kit.at_rest();
    });
}

/// Closed in the middle of a refresh sweep: who waits for one of its reloads learns that, and nothing
/// else.
#[test]
fn end_close_against_a_sweep() {
    run_model("end_close_against_a_sweep", 4500, || {
        let kit = Kit::new(fresh);
        kit.set(1, 7);
        let sweep = kit.sweep(&[1]);
        let (worker, closer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let closer = thread::spawn(move || closer.loads.close());
        kit.invalidate(1);
        is_answer(&kit.fetch(1));
        closer.join().unwrap();
        worker.join().unwrap();
        // What the refresher does when it is stopped.
        sweep.give_up();
        assert!(sweep.promise().is_answered());
        kit.at_rest();
    });
}

/// Two callers, two keys, one request each: all of it is loaded, or refused, or closed.
#[test]
fn end_close_against_requests() {
    run_model("end_close_against_requests", 1600, || {
        let kit = Kit::new(fresh);
        let (worker, closer) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let closer = thread::spawn(move || closer.loads.close());
        let requested = kit.request(&[1, 2]);
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        assert!([(2, 0), (0, 2)].contains(&(requested.flights.len(), requested.rejected.len())));
        for flight in &requested.flights {
            let answer = kit.wait(flight, LONG);
            if let Some(value) = value(&answer) {
                assert_eq!(kit.peek(*flight.key()), Some(value));
            } else {
                assert_eq!(kind(&answer), Some(ErrorKind::Closed));
            }
        }
        closer.join().unwrap();
        worker.join().unwrap();
        kit.at_rest();
    });
}
