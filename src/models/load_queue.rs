//! Models of the load queue: who sleeps, who is woken, who gives up waiting.

use std::time::Duration;

use super::load_kit::{Kit, LONG, config, fresh, kind, value, value_of};
use super::support::run_model;
use crate::config::Config;
use crate::error::ErrorKind;
use crate::load::Promise;
use crate::loader::Outcome;
use crate::sync::{Arc, thread};

const SECOND: Duration = Duration::from_secs(1);

/// A miss, at any moment of a loader thread's way to sleep: it is loaded.
#[test]
fn queue_a_loader_about_to_sleep_is_woken() {
    run_model("queue_a_loader_about_to_sleep_is_woken", 45, || {
        let kit = Kit::new(fresh);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        assert_eq!(value(&kit.fetch(1)), Some(value_of(1, 0)));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// Two keys, no batches, and a source that has the first only once it is asked for the second: as many
/// loader threads are woken as there is work for.
#[test]
fn queue_wakes_a_loader_for_each_batch() {
    run_model("queue_wakes_a_loader_for_each_batch", 2400, || {
        let second = Arc::new(Promise::new());
        let config = Config {
            batch_size: 1,
            ..config()
        };
        let kit = Kit::with(&config, move |call, key| {
            match key {
                1 => drop(second.wait(&crate::ManualClock::new().clock(), LONG)),
                _ => drop(second.answer(())),
            }
            fresh(call, key)
        });
        let workers = [kit.clone(), kit.clone()];
        let workers = workers.map(|kit| thread::spawn(move || kit.loads.work()));
        let requested = kit.request(&[1, 2]);
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        kit.loads.close();
        for worker in workers {
            worker.join().unwrap();
        }
        kit.at_rest();
    });
}

/// The answer against the clock: the waiter has one or the other, and leaves nothing behind.
#[test]
fn queue_answer_against_timeout() {
    run_model("queue_answer_against_timeout", 410, || {
        let kit = Kit::new(fresh);
        let requested = kit.request(&[1]);
        let flight = &requested.flights[0];
        let (worker, time) = (kit.clone(), kit.time.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let time = thread::spawn(move || time.advance(SECOND));
        let waited = kit.wait(flight, SECOND);
        assert_eq!(flight.promise().waiters(), 0);
        match &waited {
            Ok(fetched) => assert_eq!(fetched.value(), Some(&value_of(1, 0))),
            Err(error) => assert!(error.is_timeout()),
        }
        time.join().unwrap();
        // The load goes on, and its value is stored.
        assert!(value(&kit.wait(flight, LONG)).is_some());
        assert_eq!(kit.peek(1), Some(value_of(1, 0)));
        assert_eq!(kit.stats().timeouts, u64::from(waited.is_err()));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// No answer ever: the time moves at any moment of the waiter's way to sleep, and it gives up.
#[test]
fn queue_timeout_without_an_answer() {
    run_model("queue_timeout_without_an_answer", 33, || {
        let kit = Kit::new(fresh);
        let time = kit.time.clone();
        let time = thread::spawn(move || {
            time.advance(SECOND / 2);
            time.advance(SECOND / 2);
        });
        let requested = kit.request(&[1]);
        let deadline = SECOND;
        let waited = kit.loads.wait(&requested.flights[0], false, None, deadline);
        let waited = waited.expect("nothing is reset");
        assert_eq!(kind(&waited), Some(ErrorKind::Timeout));
        assert_eq!(requested.flights[0].promise().waiters(), 0);
        time.join().unwrap();
        kit.loads.close();
        kit.at_rest();
    });
}

/// A loader that waits for company, and the time that ends the wait: the miss is loaded, alone or not.
#[test]
fn queue_lingering_ends() {
    run_model("queue_lingering_ends", 980, || {
        let config = Config {
            linger: SECOND,
            ..config()
        };
        let kit = Kit::with(&config, fresh);
        let (worker, time) = (kit.clone(), kit.time.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let requested = kit.request(&[1]);
        let time = thread::spawn(move || time.advance(SECOND));
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        time.join().unwrap();
        kit.loads.close();
        worker.join().unwrap();
        assert_eq!(kit.peek(1), Some(value_of(1, 0)));
        kit.at_rest();
    });
}

/// A cached key is to be reloaded, and is invalidated: who misses it then is answered by the reload,
/// wherever that stands on its way into the queue and out of it.
#[test]
fn queue_a_reload_that_is_missed_is_promoted() {
    run_model("queue_a_reload_that_is_missed_is_promoted", 7100, || {
        let kit = Kit::new(fresh);
        kit.set(1, 7);
        let (worker, other) = (kit.clone(), kit.clone());
        let worker = thread::spawn(move || worker.loads.work());
        let other = thread::spawn(move || {
            other.invalidate(1);
            other.fetch(1)
        });
        let requested = kit.request(&[1]);
        let missed = value(&other.join().unwrap()).unwrap();
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        assert!(
            [value_of(1, 0), value_of(1, 1)].contains(&missed),
            "{missed}"
        );
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// Among queued reloads, the one that somebody waits for is loaded first.
#[test]
fn queue_a_promoted_reload_goes_first() {
    run_model("queue_a_promoted_reload_goes_first", 26, || {
        let config = Config {
            batch_size: 1,
            ..config()
        };
        let kit = Kit::with(&config, fresh);
        kit.set(1, 7);
        kit.set(2, 7);
        let requested = kit.request(&[1, 2]);
        kit.invalidate(2);
        let missed = kit.fetch_within(2, Duration::ZERO);
        assert_eq!(kind(&missed), Some(ErrorKind::Timeout));
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        kit.loads.close();
        worker.join().unwrap();
        assert_eq!(kit.asked(), [2, 1]);
        kit.at_rest();
    });
}

/// Room for one: of two callers with different keys each gets its value or is refused at once.
#[test]
fn queue_a_full_queue_refuses() {
    run_model("queue_a_full_queue_refuses", 1500, || {
        let config = Config {
            queue_capacity: 1,
            ..config()
        };
        let kit = Kit::with(&config, |_, key| Ok(Outcome::Value(u64::from(key))));
        let (worker, other) = (kit.clone(), kit.clone());
        let other = thread::spawn(move || other.fetch(2));
        let worker = thread::spawn(move || worker.loads.work());
        let answers = [(1, kit.fetch(1)), (2, other.join().unwrap())];
        assert!(answers.iter().any(|(_, answer)| answer.is_ok()));
        for (key, answer) in &answers {
            match value(answer) {
                Some(value) => assert_eq!(value, *key),
                None => assert_eq!(kind(answer), Some(ErrorKind::QueueFull)),
            }
        }
        // What was refused can be had later.
        assert_eq!(value(&kit.fetch(1)), Some(1));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}
