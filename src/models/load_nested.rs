//! Models of loaders that call their bucket: nobody waits for himself, over any number of steps.

use std::sync::atomic::{AtomicUsize as Unseen, Ordering::SeqCst};

use super::load_kit::{Call, Kit, LONG, config, fresh, kind, value, value_of};
use super::support::run_model;
use crate::config::Config;
use crate::error::{BoxError, ErrorKind};
use crate::loader::Outcome;
use crate::sync::{Arc, thread};

fn single() -> Config {
    Config {
        batch_size: 1,
        ..config()
    }
}

/// Key 1 is made of key 2; the others are fresh.
fn made_of_two(call: &Call<'_>, key: u8) -> Result<Outcome<u64>, BoxError> {
    match key {
        1 => Ok(Outcome::Value(1 + value(&call.fetch(2)).unwrap_or(0))),
        _ => fresh(call, key),
    }
}

/// A loader wants a key that somebody else is about to queue, has queued, or has had taken off by
/// another loader thread: it is loaded once, and everybody has it.
#[test]
fn nested_takes_over_what_is_queued() {
    run_model("nested_takes_over_what_is_queued", 6400, || {
        let kit = Kit::with(&single(), made_of_two);
        let first = kit.request(&[1]);
        let workers = [kit.clone(), kit.clone()];
        let workers = workers.map(|kit| thread::spawn(move || kit.loads.work()));
        let two = value(&kit.fetch(2)).unwrap();
        let one = value(&kit.wait(&first.flights[0], LONG)).unwrap();
        assert_eq!(one, two + 1);
        kit.loads.close();
        for worker in workers {
            worker.join().unwrap();
        }
        let mut asked = kit.asked();
        asked.sort_unstable();
        assert_eq!(asked, [1, 2]);
        kit.at_rest();
    });
}

/// The only loader thread is inside a loader that wants a queued key.
#[test]
fn nested_with_one_loader_thread() {
    run_model("nested_with_one_loader_thread", 66, || {
        let kit = Kit::with(&single(), made_of_two);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let requested = kit.request(&[1, 2]);
        assert!(kit.loads.wait_over(&requested.flights, LONG));
        kit.loads.close();
        worker.join().unwrap();
        assert_eq!(kit.peek(1), kit.peek(2).map(|two| two + 1));
        assert_eq!(kit.asked().len(), 2);
        kit.at_rest();
    });
}

/// Two loaders in a circle, on two threads: one is refused, both end.
#[test]
fn nested_circle_is_refused() {
    run_model("nested_circle_is_refused", 1600, || {
        let refused = Arc::new(Unseen::new(0));
        let other = Arc::new(Unseen::new(0));
        let kit = {
            let (refused, other) = (Arc::clone(&refused), Arc::clone(&other));
            Kit::with(&single(), move |call, key| {
                match kind(&call.fetch(3 - key)) {
                    None => {}
                    Some(ErrorKind::Recursion) => drop(refused.fetch_add(1, SeqCst)),
                    Some(_) => drop(other.fetch_add(1, SeqCst)),
                }
                fresh(call, key)
            })
        };
        let requested = kit.request(&[1, 2]);
        let workers = [kit.clone(), kit.clone()];
        let workers = workers.map(|kit| thread::spawn(move || kit.loads.work()));
        for flight in &requested.flights {
            assert!(value(&kit.wait(flight, LONG)).is_some());
        }
        kit.loads.close();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(refused.load(SeqCst), 1);
        assert_eq!(other.load(SeqCst), 0);
        assert_eq!(kit.asked().len(), 2);
        kit.at_rest();
    });
}

/// A caller loads a key with a loader of its own; a loader of the bucket wants the same key. It never
/// runs the caller's flight in the caller's place.
#[test]
fn nested_leaves_a_callers_own_loader_alone() {
    run_model("nested_leaves_a_callers_own_loader_alone", 1000, || {
        let kit = Kit::with(&single(), made_of_two);
        let first = kit.request(&[1]);
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        let ran = Arc::new(Unseen::new(0));
        let mine = kit.fetch_with(2, |_| {
            ran.fetch_add(1, SeqCst);
            Outcome::Value(5)
        });
        let mine = value(&mine).unwrap();
        let one = value(&kit.wait(&first.flights[0], LONG)).unwrap();
        assert_eq!(one, mine + 1);
        assert_eq!(kit.peek(2), Some(mine));
        // Either of the two loaders, and not both.
        assert_eq!(mine == 5, ran.load(SeqCst) == 1);
        assert_eq!(kit.stats().loaded, 2);
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}

/// The same without a loader of the bucket's: two callers with loaders of their own, of which the one
/// asks for the other's key inside.
#[test]
fn nested_among_callers_own_loaders() {
    run_model("nested_among_callers_own_loaders", 820, || {
        let kit = Kit::without_loader();
        let other = kit.clone();
        let other = thread::spawn(move || {
            other.fetch_with(1, |_| {
                let two = other.fetch_with(2, |_| Outcome::Value(6));
                value(&two).map_or(Outcome::Absent, |two| Outcome::Value(two + 10))
            })
        });
        let two = value(&kit.fetch_with(2, |_| Outcome::Value(5))).unwrap();
        let one = value(&other.join().unwrap()).unwrap();
        assert_eq!(one, two + 10);
        assert_eq!(kit.stats().loaded, 2);
        assert_eq!(kit.stats().absent, 0);
        kit.loads.close();
        kit.at_rest();
    });
}

/// A refresh sweep is about to reload a key, and a loader wants it that had missed it before it came: it
/// joins the reload, and does not run it as well.
#[test]
fn nested_leaves_a_sweep_alone() {
    run_model("nested_leaves_a_sweep_alone", 8000, || {
        let kit = Kit::with(&single(), made_of_two);
        kit.set(2, 7);
        let sweep = kit.sweep(&[2]);
        let workers = [kit.clone(), kit.clone()];
        let workers = workers.map(|kit| thread::spawn(move || kit.loads.work()));
        let one = value(&kit.fetch(1)).unwrap();
        assert!([8, 2001, 2002].contains(&one), "{one}");
        kit.loads.close();
        for worker in workers {
            worker.join().unwrap();
        }
        sweep.give_up();
        kit.at_rest();
    });
}

/// A loader asks for its own key: refused at once.
#[test]
fn nested_own_key_is_refused() {
    run_model("nested_own_key_is_refused", 70, || {
        let kit = Kit::new(|call, key| match kind(&call.fetch(key)) {
            Some(ErrorKind::Recursion) => fresh(call, key),
            _ => Ok(Outcome::Absent),
        });
        let worker = kit.clone();
        let worker = thread::spawn(move || worker.loads.work());
        assert_eq!(value(&kit.fetch(1)), Some(value_of(1, 0)));
        kit.loads.close();
        worker.join().unwrap();
        kit.at_rest();
    });
}
